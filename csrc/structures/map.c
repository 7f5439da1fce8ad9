/* The hash map's growth and insertion; see map.h. */

#include "structures/map.h"

#include <errno.h>

#include "base/assert.h"
#include "base/memory.h"

#define MIN_ENTRIES 16u
#define MAX_ENTRIES (UINT32_C(1) << 31)

void fol_map_deinit(fol_map *map)
{
    fol_free(map->entries);
    *map = (fol_map){0};
}

static void empty_entries(fol_map_entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = (fol_map_entry){0, FOL_MAP_ABSENT};
    }
}

/* The entry of a key, or the empty one where it belongs. */
static fol_map_entry *entry_of(const fol_map *map, uint64_t key)
{
    uint32_t index = fol_map_home(map, key);
    while (map->entries[index].value != FOL_MAP_ABSENT && map->entries[index].key != key) {
        index = (index + 1) & map->mask;
    }
    return &map->entries[index];
}

int fol_map_reserve(fol_map *map, uint32_t count)
{
    uint32_t current = map->entries == NULL ? 0 : map->mask + 1;
    if (count <= current / 2) {
        return 0;
    }
    uint32_t wanted = MIN_ENTRIES;
    uint32_t shift = 64 - 4;
    while (wanted / 2 < count) {
        if (wanted == MAX_ENTRIES) {
            return -ENOMEM;
        }
        wanted *= 2;
        shift--;
    }
    fol_map grown = {.mask = wanted - 1, .shift = shift, .count = map->count};
    grown.entries = fol_alloc_array(wanted, sizeof(*grown.entries));
    if (grown.entries == NULL) {
        return -ENOMEM;
    }
    empty_entries(grown.entries, wanted);
    for (uint32_t i = 0; i < current; i++) {
        if (map->entries[i].value != FOL_MAP_ABSENT) {
            *entry_of(&grown, map->entries[i].key) = map->entries[i];
        }
    }
    fol_free(map->entries);
    *map = grown;
    return 0;
}

int fol_map_insert(fol_map *map, uint64_t key, uint32_t value)
{
    FOL_ASSERT(value != FOL_MAP_ABSENT);
    int status = fol_map_reserve(map, map->count + 1);
    if (status < 0) {
        return status;
    }
    fol_map_entry *entry = entry_of(map, key);
    map->count += entry->value == FOL_MAP_ABSENT ? 1 : 0;
    *entry = (fol_map_entry){key, value};
    FOL_ASSERT_HOT(map->count <= (map->mask + 1) / 2);
    return 0;
}
