/* The graph of tables: from a set of components to its table.
 *
 * Adding or removing one component is an edge, remembered in the table it starts from and in one
 * map; a set is found by the sum of its members' hashes, so that a step costs one addition.
 */
#ifndef FOL_WORLD_GRAPH_H
#define FOL_WORLD_GRAPH_H

#include "world/world.h"

/* The table of a set, or NULL. */
fol_table *fol_graph_lookup(const fol_world *world, const fol_set *set);

/* The table of a set, made when there is none. -ENOMEM; FOL_E_CAPACITY for "max_tables". */
int fol_graph_find(fol_world *world, const fol_set *set, fol_table **out);

/* The table one component away, as above. `from` has, or lacks, the component. */
int fol_graph_step(fol_world *world, fol_table *from, uint32_t type, bool is_removed,
                   fol_table **out);

static inline int fol_graph_add(fol_world *world, fol_table *from, uint32_t type, fol_table **out)
{
    if (FOL_LIKELY(from->added_type == type)) {
        *out = from->added_to;
        return 0;
    }
    return fol_graph_step(world, from, type, false, out);
}

static inline int fol_graph_remove(fol_world *world, fol_table *from, uint32_t type,
                                   fol_table **out)
{
    if (FOL_LIKELY(from->removed_type == type)) {
        *out = from->removed_to;
        return 0;
    }
    return fol_graph_step(world, from, type, true, out);
}

/* Adds a component that a call names to the call's set, registering it when it is new. FOL_E_VALUE
 * for NULL, a resource, or a component that is in the set; -ENOMEM, FOL_E_CAPACITY. */
int fol_set_name(fol_world *world, fol_component *component, fol_set *set, uint16_t *out);

static inline void fol_set_clear(fol_set *set, size_t words)
{
    fol_bits_clear(set->mask, words);
    set->hash = 0;
}

static inline void fol_set_of_table(fol_set *set, const fol_table *table, size_t words)
{
    fol_bits_copy(set->mask, table->mask, words);
    set->hash = table->hash;
}

static inline bool fol_set_has(const fol_set *set, uint32_t type)
{
    return fol_bits_test(set->mask, type);
}

static inline void fol_set_add(fol_set *set, const fol_world *world, uint32_t type)
{
    if (!fol_set_has(set, type)) {
        fol_bits_set(set->mask, type);
        set->hash += world->types[type].hash;
    }
}

static inline void fol_set_remove(fol_set *set, const fol_world *world, uint32_t type)
{
    if (fol_set_has(set, type)) {
        fol_bits_reset(set->mask, type);
        set->hash -= world->types[type].hash;
    }
}

#endif
