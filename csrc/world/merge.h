/* The inside of a merge: every waiting record in one order, cut into groups.
 *
 * A *group* is what stands between two boundaries (custom commands and many-commands). It is
 * planned (which entities, what set of components each ends with), everything it needs is acquired,
 * and then it is applied, which cannot fail: so a group without memory leaves nothing half done.
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
    uint32_t number; /* of the buffer's stretches */
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
    uint32_t row;    /* of `from`, before the group */
    bool is_gone;    /* despawned */
    bool is_refused; /* its spawn was: it never comes to be */
} fol_merge_entry;

struct fol_merge {
    fol_merge_stretch *stretches;
    fol_merge_stretch *spare; /* as many, for sorting */
    uint32_t stretch_count;
    uint32_t stretch_capacity;
    fol_merge_item *items;
    fol_merge_entry *entries; /* twice as many as items: see merge_place.c */
    uint32_t item_count;
    uint32_t item_capacity;
    uint32_t entry_count;
    uint64_t *masks; /* of the entries, `words` each: the components they have so far */
    size_t mask_capacity;
    size_t words;
    size_t spawn_count;       /* of the group, without those refused for want of a place */
    uint64_t places;          /* for entities that the group's commands so far leave */
    bool has_unknown;         /* a buffer has components that the world has no number for */
    uint32_t refused_stretch; /* the last one a refusal was reported of, or FOL_NO_INDEX */
    uint32_t refused_for;     /* bits of fol_record_fate that were reported of its run */
    fol_touched touched;

    uint32_t leaving;   /* entries of the group that leave a table */
    bool is_placed;     /* the group is applied by fol_merge_place */
    uint8_t *kept;      /* rows that others overwrite before they are read: see merge_place.c */
    size_t kept_size;   /* reserved bytes */
    size_t kept_stride; /* bytes of one row */
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

/* The set that has the bits of a mask of the merge. */
void fol_merge_set_of_mask(const fol_world *world, const uint64_t *mask, fol_set *out);

/* Follows what a record does to the set of its entity; false when it asks for what is not there. */
static inline bool fol_merge_follow(const fol_commands *commands, const fol_record *record,
                                    uint64_t *mask)
{
    const fol_recorded_value *values = record->payload;
    if (record->kind == FOL_RECORD_SET || record->kind == FOL_RECORD_REMOVE) {
        for (uint32_t i = 0; i < record->count; i++) {
            if (!fol_bits_test(mask, fol_recorded_type(commands, &values[i]))) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < record->count; i++) {
        uint32_t type = fol_recorded_type(commands, &values[i]);
        if (record->kind == FOL_RECORD_REMOVE) {
            fol_bits_reset(mask, type);
        } else {
            fol_bits_set(mask, type);
        }
    }
    return true;
}

/* Whether a record names a component that the world has no number for. */
bool fol_merge_names_unknown(const fol_commands *commands, const fol_record *record);

/* Settles an entry whose set has no table and can get none; then the entry has one, or is refused.
 */
void fol_merge_refuse(fol_world *world, fol_merge_entry *entry);

/* Reports a record that was refused for this as a failure of its system, once for each of the
 * reasons. */
void fol_merge_report_refused(fol_world *world, const fol_merge_item *item, fol_record_fate fate,
                              fol_merge_report *report);

/* What the world's last FOL_E_CAPACITY comes to. */
fol_record_fate fol_merge_fate_of_full(const fol_world *world);

/* Whether stretches are of one run: of one system, since one merge. Those of a run stand together.
 */
static inline bool fol_merge_is_one_run(const fol_merge_stretch *a, const fol_merge_stretch *b)
{
    return a->round == b->round && a->system_order == b->system_order;
}

static inline fol_stretch *fol_merge_stretch_of(const fol_merge_stretch *stretch)
{
    return &stretch->commands->stretches[stretch->number];
}

/* Refuses what goes beyond the limits of runs that were recorded in parts. */
void fol_merge_limit_runs(fol_world *world, fol_merge_report *report);

/* Plans items [begin, end) and acquires all they need. -ENOMEM: nothing remains. */
int fol_merge_plan(fol_world *world, uint32_t begin, uint32_t end);

/* Decides whether the planned group is placed, and reserves what that needs. -ENOMEM. */
int fol_merge_prepare_places(fol_world *world);

/* Applies the entries of a group that is placed. */
void fol_merge_place(fol_world *world);

/* Writes what an entry's records leave in its row. */
void fol_merge_write_entry(const fol_world *world, const fol_merge_entry *entry, size_t row);

/* Applies what was planned, and finishes the records. */
void fol_merge_apply(fol_world *world, uint32_t begin, uint32_t end, fol_merge_report *report);

/* Runs a boundary. -ENOMEM: it waits for the next merge. */
int fol_merge_run(fol_world *world, const fol_merge_item *item, fol_merge_report *report);

#endif
