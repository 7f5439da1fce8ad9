/* A table: the entities with one set of components, each field in a column of its own.
 *
 * A component of a table is a *part*; parts stand in the order of the world's type numbers, and
 * their columns follow each other. Invariants: rows <= capacity; the set's bits in `mask` are
 * exactly the parts; every column, the entity ids and the ticks of watched parts lie in `block`,
 * which is NULL exactly while the capacity is 0.
 *
 * Ticks. A watched part keeps for each row when it changed and when it was added; the effective
 * tick is the greater of the row's and the part's own `all_…` tick, so that marking a whole table
 * costs one store. `latest_…` bounds all effective ticks from above.
 */
#ifndef FOL_WORLD_TABLE_H
#define FOL_WORLD_TABLE_H

#include <stdatomic.h>

#include "base/bitset.h"
#include "foliot/world.h"
#include "world/component.h"

#define FOL_MAX_TYPES  1024u
#define FOL_MASK_WORDS (FOL_MAX_TYPES / FOL_WORD_BITS)

typedef struct fol_column {
    uint8_t *data;
    uint32_t size; /* bytes of one element */
} fol_column;

typedef struct fol_part {
    fol_component *component;
    uint16_t type; /* number of the component in its world */
    uint16_t column_count;
    uint32_t first_column;
    bool is_owned;
    bool is_watched;
    uint64_t *changed; /* by row; only when watched */
    uint64_t *added;
    uint64_t all_added;
    _Atomic uint64_t latest_added;
    _Atomic uint64_t all_changed;
    _Atomic uint64_t latest_changed;
} fol_part;

typedef struct fol_table {
    fol_entity *entities;
    size_t rows;
    size_t capacity;
    uint64_t version;
    fol_column *columns;
    fol_part *parts;
    uint32_t part_count;
    uint32_t column_count;
    uint32_t index;     /* among the world's tables */
    uint32_t row_bytes; /* of all columns and the id */
    bool has_owned;
    bool has_watched;
    fol_block *block;
    uint64_t hash;               /* of the set */
    struct fol_table *next_same; /* another table with the same hash */
    uint16_t *by_name;           /* positions of the parts in the order of fol_component_compare */

    /* The last single steps from here in the graph of tables. */
    uint32_t added_type;
    uint32_t removed_type;
    struct fol_table *added_to;
    struct fol_table *removed_to;

    /* Scratch of bulk operations and merges, see touched.h. */
    size_t leaving;
    size_t incoming;
    struct fol_table *target;
    struct fol_table *next_touched;
    bool is_touched;

    uint64_t mask[FOL_MASK_WORDS];
} fol_table;

static inline bool fol_table_has(const fol_table *table, uint32_t type)
{
    return fol_bits_test(table->mask, type);
}

/* The part of a component that the table has. */
static inline fol_part *fol_table_part(const fol_table *table, uint32_t type)
{
    uint32_t position = 0;
    if (table->part_count <= 8) {
        while (table->parts[position].type != type) {
            position++;
        }
        return &table->parts[position];
    }
    uint32_t word = type / FOL_WORD_BITS;
    for (uint32_t i = 0; i < word; i++) {
        position += (uint32_t)__builtin_popcountll(table->mask[i]);
    }
    uint64_t below = table->mask[word] & ((UINT64_C(1) << (type % FOL_WORD_BITS)) - 1);
    return &table->parts[position + (uint32_t)__builtin_popcountll(below)];
}

static inline void *fol_column_cell(const fol_column *column, size_t row)
{
    return column->data + row * column->size;
}

/* The columns of a part. */
static inline fol_column *fol_part_columns(const fol_table *table, const fol_part *part)
{
    return &table->columns[part->first_column];
}

/* A table without rows for the components, which stand in the order of their numbers `types`.
 * NULL without memory. */
fol_table *fol_table_create(fol_component *const *components, const uint16_t *types, uint32_t count,
                            uint64_t hash);

/* Drops every cell. */
void fol_table_destroy(fol_table *table);

/* A block of its own for `capacity` >= rows rows; the rows move over. -ENOMEM. */
int fol_table_resize(fol_table *table, size_t capacity);

/* The capacity to take when `rows` are needed: twice the old one, or more in one go. */
size_t fol_table_next_capacity(const fol_table *table, size_t rows);

/* Gives a part ticks, from now on and for the rows already there. -ENOMEM. */
int fol_table_watch(fol_table *table, fol_part *part, uint64_t tick);
/* Forgets them again. */
void fol_table_unwatch(fol_table *table, fol_part *part);

/* Drops the owned cells of `count` rows of a part that no longer count as rows of the table. */
void fol_part_drop(const fol_table *table, const fol_part *part, size_t row, size_t count);

#endif
