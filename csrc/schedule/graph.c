/* Transitive closure and reduction in one pass from the last place to the first.
 *
 * The candidates of a place are taken nearest first; one that is on a path already is no edge of
 * the reduction (Aho, Garey, Ullman, The Transitive Reduction of a Directed Graph, 1972: that of an
 * acyclic graph is unique).
 */

#include "schedule/graph.h"

#include <errno.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/grow.h"

static int append_successor(fol_plan *plan, uint32_t system, uint32_t successor)
{
    if (plan->successor_count == plan->successor_room) {
        uint32_t *grown = fol_grow(plan->successors, &plan->successor_room,
                                   plan->successor_count + 1, sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        plan->successors = grown;
    }
    plan->successors[plan->successor_count++] = successor;
    plan->successor_counts[system]++;
    plan->predecessor_counts[successor]++;
    return FOL_OK;
}

/* Adds the edge from `place` to `next`, and every path that goes on from there. */
static int add_edge(fol_plan *plan, fol_phase_plan *phase, size_t place, size_t next)
{
    FOL_ASSERT_HOT(place < next);
    uint64_t *path = fol_matrix_row(&phase->paths, place);
    uint32_t successor = fol_plan_system_at(plan, phase, next);
    fol_bits_set(path, next);
    if (plan->successor_counts[successor] > 0) {
        /* What comes after a place stands in its own word or a later one. */
        size_t own = next / FOL_WORD_BITS;
        fol_bits_or(path + own, fol_matrix_row(&phase->paths, next) + own,
                    phase->paths.words - own);
    }
    return append_successor(plan, fol_plan_system_at(plan, phase, place), successor);
}

static int reduce_place(fol_plan *plan, fol_phase_plan *phase, size_t place)
{
    const uint64_t *path = fol_matrix_row(&phase->paths, place);
    const uint64_t *ordered = fol_matrix_row(&phase->explicit, place);
    const uint64_t *conflicts = fol_matrix_row(&phase->conflicts, place);
    for (size_t i = place / FOL_WORD_BITS; i < phase->paths.words; i++) {
        uint64_t candidates = (ordered[i] | conflicts[i]) & fol_bits_above(place, i);
        /* At most 64 rounds: each puts the lowest candidate on a path. */
        for (uint64_t rest = candidates & ~path[i]; rest != 0; rest = candidates & ~path[i]) {
            size_t next = i * FOL_WORD_BITS + (size_t)__builtin_ctzll(rest);
            int status = add_edge(plan, phase, place, next);
            if (status != FOL_OK) {
                return status;
            }
        }
    }
    return FOL_OK;
}

int fol_graph_reduce(fol_plan *plan, fol_phase_plan *phase)
{
    for (size_t place = phase->count; place-- > 0;) {
        uint32_t system = fol_plan_system_at(plan, phase, place);
        plan->successor_firsts[system] = plan->successor_count;
        int status = reduce_place(plan, phase, place);
        if (status != FOL_OK) {
            return status;
        }
        phase->edge_count += plan->successor_counts[system];
    }
    return FOL_OK;
}
