/* Generational handles over a fixed number of places.
 *
 * A handle is generation << 32 | index. Giving a place back makes its generation one more, so that
 * every handle to it is stale from then on, wherever it was copied to; a place whose generations
 * are used up is not given out again. A generation is never 0, so neither is a handle. Free places
 * are taken last in, first out, and new ones in order, so handles depend only on the order of
 * calls.
 *
 * Not thread-safe; the only allocation is at init.
 */
#ifndef FOL_STRUCTURES_SLOT_MAP_H
#define FOL_STRUCTURES_SLOT_MAP_H

#include <stdint.h>

#define FOL_SLOT_MAP_NONE UINT32_MAX

typedef struct fol_slot_map_item {
    uint32_t generation; /* of the handle that is out, or of the next one */
    uint32_t next;       /* of a free place, the next one; of a taken one, its own index */
} fol_slot_map_item;

typedef struct fol_slot_map {
    fol_slot_map_item *items;
    uint32_t capacity;
    uint32_t count; /* places ever taken */
    uint32_t free_head;
    uint32_t live;
    uint32_t retired;
} fol_slot_map;

/* -ENOMEM; the map is then as after deinit. 1 <= capacity < FOL_SLOT_MAP_NONE. */
int fol_slot_map_init(fol_slot_map *map, uint32_t capacity);
/* Safe on a zeroed map. */
void fol_slot_map_deinit(fol_slot_map *map);

/* FOL_E_CAPACITY. */
int fol_slot_map_take(fol_slot_map *map, uint64_t *handle);
/* FOL_E_STALE. */
int fol_slot_map_give(fol_slot_map *map, uint64_t handle);

/* The handle that is out for a place, or 0. */
uint64_t fol_slot_map_handle(const fol_slot_map *map, uint32_t index);

/* The place a handle names, or FOL_SLOT_MAP_NONE when it is stale. */
static inline uint32_t fol_slot_map_find(const fol_slot_map *map, uint64_t handle)
{
    uint32_t index = (uint32_t)handle;
    if (index >= map->count) {
        return FOL_SLOT_MAP_NONE;
    }
    const fol_slot_map_item *item = &map->items[index];
    return item->generation == handle >> 32 && item->next == index ? index : FOL_SLOT_MAP_NONE;
}

/* Asserts that every place is taken, free or retired, and counted as that. */
void fol_slot_map_invariants(const fol_slot_map *map);

#endif
