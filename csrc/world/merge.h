/* The inside of a merge: every waiting record in one order, cut into groups.
 *
 * A *group* is what stands between two boundaries (custom commands and many-commands). It is
 * planned (which entities, what set of components each ends with), everything it needs is acquired,
 * and then it is applied, which cannot fail: so a group that is refused leaves nothing half done.
 * Each entity of a group has one *entry*, with its records in a chain, and makes one move.
 *
 * Lists are scratch of the world: they grow at a merge and stay.
 */
#ifndef FOL_WORLD_MERGE_H
#define FOL_WORLD_MERGE_H

#include "world/commands.h"
#include "world/graph.h"
#include "world/touched.h"

/* A stretch of one buffer, with what decides its place. */
typedef struct fol_merge_stretch {
    fol_commands *commands;
    uint32_t round;
    uint32_t system_order;
    uint32_t chunk;
    uint32_t first; /* record */
    uint32_t end;
} fol_merge_stretch;

typedef struct fol_merge_item {
    fol_record *record;
    uint32_t stretch;
    uint32_t next; /* item of the same entity, or FOL_NO_INDEX */
} fol_merge_item;

typedef struct fol_merge_entry {
    fol_entity entity; /* 0 until it is spawned */
    fol_table *from;   /* NULL: spawned by this group */
    fol_table *to;
    uint32_t first; /* item */
    uint32_t last;
    bool is_gone; /* despawned */
} fol_merge_entry;

struct fol_merge {
    fol_merge_stretch *stretches;
    fol_merge_stretch *spare; /* as many, for sorting */
    uint32_t stretch_count;
    uint32_t stretch_capacity;
    fol_merge_item *items;
    fol_merge_entry *entries; /* as many as items */
    uint32_t item_count;
    uint32_t item_capacity;
    uint32_t entry_count;
    uint64_t *masks; /* of the entries, `words` each: the components they have so far */
    size_t mask_capacity;
    size_t words;
    size_t spawn_count; /* of the group */
    fol_touched touched;
};

static inline fol_commands *fol_merge_commands(const fol_merge *merge, const fol_merge_item *item)
{
    return merge->stretches[item->stretch].commands;
}

/* The world's number of a recorded component. */
static inline uint32_t fol_recorded_type(const fol_commands *commands,
                                         const fol_recorded_value *value)
{
    return commands->world_types[value->type];
}

/* Plans items [begin, end) and acquires all they need. -ENOMEM, FOL_E_CAPACITY: nothing remains. */
int fol_merge_plan(fol_world *world, uint32_t begin, uint32_t end);

/* Applies what was planned, and finishes the records. */
void fol_merge_apply(fol_world *world, uint32_t begin, uint32_t end, fol_merge_report *report);

/* Runs a boundary. -ENOMEM, FOL_E_CAPACITY: it waits for the next merge. */
int fol_merge_run(fol_world *world, const fol_merge_item *item, fol_merge_report *report);

#endif
