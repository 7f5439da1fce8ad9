/* A hash map from 64-bit keys to 32-bit values.
 *
 * Open addressing with linear probing over a power of two of entries, at most half of them in use,
 * so that a probe is short and a miss ends at an empty entry. Keys are spread by Fibonacci hashing
 * (Knuth, The Art of Computer Programming, volume 3, 6.4). Nothing is ever removed. Any key
 * is allowed; the value FOL_MAP_ABSENT is not.
 *
 * Not thread-safe; finding is reading, so several threads may find while none inserts.
 */
#ifndef FOL_STRUCTURES_MAP_H
#define FOL_STRUCTURES_MAP_H

#include <stddef.h>
#include <stdint.h>

#define FOL_MAP_ABSENT UINT32_MAX

typedef struct fol_map_entry {
    uint64_t key;
    uint32_t value; /* FOL_MAP_ABSENT marks an empty entry */
} fol_map_entry;

/* All zero: empty. */
typedef struct fol_map {
    fol_map_entry *entries; /* NULL until the first insertion */
    uint32_t mask;          /* entries minus one */
    uint32_t shift;         /* 64 minus the logarithm of the number of entries */
    uint32_t count;
} fol_map;

/* Empty again. */
void fol_map_deinit(fol_map *map);

/* Room for `count` keys, so that inserting up to there cannot fail. -ENOMEM. */
int fol_map_reserve(fol_map *map, uint32_t count);

/* Sets the value of a key, new or not. -ENOMEM, and then the map is as before. */
int fol_map_insert(fol_map *map, uint64_t key, uint32_t value);

static inline uint32_t fol_map_home(const fol_map *map, uint64_t key)
{
    return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> map->shift);
}

/* The value of a key, or FOL_MAP_ABSENT. */
static inline uint32_t fol_map_find(const fol_map *map, uint64_t key)
{
    if (map->entries == NULL) {
        return FOL_MAP_ABSENT;
    }
    uint32_t index = fol_map_home(map, key);
    /* Ends: at least half of the entries are empty. */
    while (map->entries[index].value != FOL_MAP_ABSENT && map->entries[index].key != key) {
        index = (index + 1) & map->mask;
    }
    return map->entries[index].value;
}

#endif
