/* The inside of a world: the registry of types, the graph of tables, the entity slots.
 *
 * A world numbers the component and resource types it meets, in order of first use; sets of
 * components are bit rows over these numbers. `structure_version` grows whenever a table is made, a
 * block changes or a resource comes or goes: queries compare one number to know that nothing did.
 *
 * One thread at a time changes a world. The directory of provisional ids is the exception: every
 * recording thread takes sheets of it; see provisional.h.
 */
#ifndef FOL_WORLD_WORLD_H
#define FOL_WORLD_WORLD_H

#include <stdatomic.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "foliot/world.h"
#include "structures/map.h"
#include "world/provisional.h"
#include "world/slots.h"
#include "world/table.h"
#include "world/ticks.h"

#define FOL_COMMANDS_WORKERS 255u

typedef struct fol_merge fol_merge;

/* fol_merge_report's run_parallel. */
typedef void (*fol_parallel_run)(void *state, uint32_t count,
                                 void (*part)(void *argument, uint32_t index), void *argument);

/* A component or resource as one world knows it. */
typedef struct fol_type {
    fol_component *component;
    uint64_t hash; /* its share of the hash of a set */
    bool is_watched;
    bool is_present; /* a resource that was inserted */
    void *resource;  /* its memory, kept from the first insertion to the world's end */
    _Atomic uint64_t resource_tick; /* when it was last written */
} fol_type;

/* From where on a merge works in other ways; see merge_place.c and bulk.c. */
typedef struct fol_merge_limits {
    uint32_t placed_leaving;   /* entries that leave a table, for a group to be placed */
    uint32_t parallel_entries; /* entries worth several threads */
    uint32_t part_entries;     /* of one part */
    uint32_t piece_rows;       /* of one part of a bulk of values */
    size_t piece_bytes;        /* of a bulk worth several threads */
} fol_merge_limits;

extern const fol_merge_limits fol_merge_limits_default;

/* The components of the last spawn of plain data, and where they go. */
#define FOL_SHAPE_MAX 8u

typedef struct fol_shape {
    size_t count; /* 0: none */
    fol_table *table;
    fol_component *components[FOL_SHAPE_MAX];
    fol_part *parts[FOL_SHAPE_MAX];
} fol_shape;

struct fol_world {
    _Atomic bool is_held;
    bool is_merging;
    uint32_t merge_round; /* merges that failed */
    fol_world_config config;
    const char *full_setting;
    uint64_t full_limit;
    uint64_t tick;
    uint64_t structure_version;

    fol_type *types;
    uint32_t type_count;
    uint32_t type_capacity;
    uint32_t object_type_count;
    uint32_t bytes_type_count;
    uint16_t *by_name;   /* type numbers in the order of fol_component_compare */
    fol_bytes *prepared; /* scratch: one for each Bytes type */
    fol_map type_of;     /* component address -> type number */
    fol_component *last_component;
    uint32_t last_type;
    fol_shape shape;

    fol_table **tables;
    uint32_t table_count;
    uint32_t table_capacity;
    fol_map table_of; /* hash of a set -> first table with it */
    fol_map edges;    /* single steps, see graph.c */

    fol_slots slots;

    uint64_t moves; /* rows moved between tables or created, ever */
    uint64_t bytes_moved;

    fol_merge_limits limits;
    fol_parallel_run run_parallel; /* of the running merge; NULL between merges */
    void *parallel_state;
    fol_merge *merge;
    fol_query *queries;     /* all of the world's */
    fol_commands *commands; /* all of the world's */
    fol_id_directory ids;   /* of all provisional ids */
};

/* A set of components: bits, and the sum of the types' hashes. */
typedef struct fol_set {
    uint64_t mask[FOL_MASK_WORDS];
    uint64_t hash;
} fol_set;

/* The number of a component in a world, or FOL_NO_INDEX when it never met it. */
static inline uint32_t fol_world_find_type(const fol_world *world, const fol_component *component)
{
    return fol_map_find(&world->type_of, (uintptr_t)component);
}

/* The same, registering it when it is new. FOL_E_VALUE for NULL, -ENOMEM, FOL_E_CAPACITY. */
int fol_world_register(fol_world *world, fol_component *component, uint32_t *out);

static inline int fol_world_type_of(fol_world *world, fol_component *component, uint32_t *out)
{
    if (FOL_LIKELY(component == world->last_component && component != NULL)) {
        *out = world->last_type;
        return 0;
    }
    return fol_world_register(world, component, out);
}

/* The words of a mask that may hold bits. */
static inline size_t fol_world_mask_words(const fol_world *world)
{
    return fol_bits_words(world->type_count);
}

static inline fol_table *fol_world_table(const fol_world *world, const fol_slot *slot)
{
    return world->tables[slot->table];
}

/* Remembers the setting and its value, and returns FOL_E_CAPACITY. */
static inline int fol_world_is_full(fol_world *world, const char *setting, uint64_t limit)
{
    world->full_setting = setting;
    world->full_limit = limit;
    return FOL_E_CAPACITY;
}

static inline void fol_world_restructure(fol_world *world)
{
    world->structure_version++;
}

/* Grows with every row that comes, moves or goes: a spawn adds a move and a life, a move adds a
 * move, a despawn takes a life. So 0 is the version of a world that never had a row. */
static inline uint64_t fol_world_row_version(const fol_world *world)
{
    return 2 * world->moves - world->slots.live;
}

/* Runs `count` parts of some work, at once if a merge is running that may. */
static inline void fol_world_run_parts(const fol_world *world, uint32_t count,
                                       void (*part)(void *argument, uint32_t index), void *argument)
{
    if (count > 1 && world->run_parallel != NULL) {
        world->run_parallel(world->parallel_state, count, part, argument);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        part(argument, i);
    }
}

/* Room for `extra` more rows. -ENOMEM. */
int fol_world_grow_table(fol_world *world, fol_table *table, size_t extra);

static inline int fol_world_reserve_rows(fol_world *world, fol_table *table, size_t extra)
{
    if (FOL_LIKELY(extra <= table->capacity - table->rows)) {
        return 0;
    }
    return fol_world_grow_table(world, table, extra);
}

/* Whether `count` more entities may live beside the living ones; FOL_E_CAPACITY, -ENOMEM. Then
 * `count` slots can be taken. */
int fol_world_reserve_entities(fol_world *world, size_t count);

/* Follows rows [row, row + count) of a table: their entities' slots point there. */
static inline void fol_world_place(fol_world *world, const fol_table *table, size_t row,
                                   size_t count)
{
    fol_slot *slots = world->slots.items;
    for (size_t i = row; i < row + count; i++) {
        fol_slot *slot = &slots[fol_entity_index(table->entities[i])];
        slot->table = table->index;
        slot->row = (uint32_t)i;
    }
}

/* Puts every watched component's ticks into a table. -ENOMEM. */
int fol_world_watch(fol_world *world, uint32_t type);

/* Resources: memory for one, without a value yet. -ENOMEM. */
int fol_resource_reserve(fol_world *world, uint32_t type);
/* Takes over a packed value whose Bytes or object is now the world's. */
void fol_resource_put(fol_world *world, uint32_t type, const void *packed);

void fol_merge_destroy(fol_merge *merge);
void fol_commands_forget_world(fol_world *world);
void fol_queries_forget_world(fol_world *world);
int fol_commands_visit(const fol_commands *commands, int (*visit)(void *object, void *argument),
                       void *argument);
void fol_commands_clear_objects(fol_commands *commands);
fol_commands *fol_commands_next(const fol_commands *commands);

/* Walks everything and asserts what the headers promise; for tests. */
void fol_world_invariants(const fol_world *world);

#endif
