/* Generational handles; slot_map.h has the contract. */

#include "structures/slot_map.h"

#include <errno.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"

int fol_slot_map_init(fol_slot_map *map, uint32_t capacity)
{
    FOL_ASSERT(capacity >= 1 && capacity < FOL_SLOT_MAP_NONE);
    *map = (fol_slot_map){0};
    fol_slot_map_item *items = fol_alloc_array(capacity, sizeof(*items));
    if (items == NULL) {
        return -ENOMEM;
    }
    *map = (fol_slot_map){.items = items, .capacity = capacity, .free_head = FOL_SLOT_MAP_NONE};
    return 0;
}

void fol_slot_map_deinit(fol_slot_map *map)
{
    fol_free(map->items);
    *map = (fol_slot_map){0};
}

int fol_slot_map_take(fol_slot_map *map, uint64_t *handle)
{
    uint32_t index = map->free_head;
    if (index != FOL_SLOT_MAP_NONE) {
        map->free_head = map->items[index].next;
    } else if (map->count < map->capacity) {
        index = map->count++;
        map->items[index].generation = 1;
    } else {
        return FOL_E_CAPACITY;
    }
    map->items[index].next = index;
    map->live++;
    *handle = fol_slot_map_handle(map, index);
    FOL_CHECK_INVARIANTS(fol_slot_map_invariants(map));
    return 0;
}

int fol_slot_map_give(fol_slot_map *map, uint64_t handle)
{
    uint32_t index = fol_slot_map_find(map, handle);
    if (index == FOL_SLOT_MAP_NONE) {
        return FOL_E_STALE;
    }
    fol_slot_map_item *item = &map->items[index];
    map->live--;
    item->generation++;
    /* The generation that wraps to 0 belongs to no handle. */
    if (item->generation == 0) {
        item->next = FOL_SLOT_MAP_NONE;
        map->retired++;
    } else {
        item->next = map->free_head;
        map->free_head = index;
    }
    FOL_CHECK_INVARIANTS(fol_slot_map_invariants(map));
    return 0;
}

uint64_t fol_slot_map_handle(const fol_slot_map *map, uint32_t index)
{
    FOL_ASSERT(index < map->capacity);
    if (index >= map->count || map->items[index].next != index) {
        return 0;
    }
    return (uint64_t)map->items[index].generation << 32 | index;
}

void fol_slot_map_invariants(const fol_slot_map *map)
{
    FOL_ASSERT(map->count <= map->capacity);
    uint32_t free_count = 0;
    for (uint32_t i = map->free_head; i != FOL_SLOT_MAP_NONE; i = map->items[i].next) {
        FOL_ASSERT(i < map->count && free_count < map->count);
        FOL_ASSERT(map->items[i].next != i && map->items[i].generation != 0);
        free_count++;
    }
    uint32_t live = 0;
    uint32_t retired = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        live += map->items[i].next == i;
        retired += map->items[i].generation == 0;
    }
    FOL_ASSERT(live == map->live && retired == map->retired);
    FOL_ASSERT(live + free_count + retired == map->count);
}
