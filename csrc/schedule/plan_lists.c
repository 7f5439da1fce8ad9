/* Lists that may be long and are rarely asked for, made on the first question.
 *
 * Threads that ask at once may each make the list; the first to publish it wins and the others drop
 * theirs, so nobody waits. Once published a list never changes.
 */

#include "foliot/schedule.h"

#include <errno.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/plan_state.h"

static void fill_edges(const fol_plan *plan, const fol_phase_plan *phase, fol_edge *edges)
{
    size_t count = 0;
    for (size_t place = 0; place < phase->count; place++) {
        uint32_t system = fol_plan_system_at(plan, phase, place);
        const uint32_t *successors = plan->successors + plan->successor_firsts[system];
        for (uint32_t k = 0; k < plan->successor_counts[system]; k++) {
            bool is_explicit =
                fol_matrix_test(&phase->explicit, place, fol_plan_local_place(plan, successors[k]));
            edges[count++] = (fol_edge){
                .before = system,
                .after = successors[k],
                .reason = is_explicit ? FOL_EDGE_EXPLICIT : FOL_EDGE_CONFLICT,
            };
        }
    }
    FOL_ASSERT(count == phase->edge_count);
}

int fol_plan_edges(const fol_plan *plan, uint32_t phase, const fol_edge **out, size_t *count)
{
    FOL_ASSERT(phase < plan->phase_count);
    fol_phase_plan *answered = &plan->phases[phase];
    /* Pairs with the release below: the list is complete before its address is seen. */
    fol_edge *edges = atomic_load_explicit(&answered->edges, memory_order_acquire);
    if (edges == NULL) {
        fol_edge *made = fol_alloc_array(answered->edge_count, sizeof(*made));
        if (made == NULL) {
            return -ENOMEM;
        }
        fill_edges(plan, answered, made);
        /* Release pairs with the acquire of readers; on failure, acquire with the winner's. */
        if (atomic_compare_exchange_strong_explicit(&answered->edges, &edges, made,
                                                    memory_order_release, memory_order_acquire)) {
            edges = made;
        } else {
            fol_free(made);
        }
    }
    *out = edges;
    *count = answered->edge_count;
    return FOL_OK;
}

static void fill_ambiguities(const fol_plan *plan, fol_ambiguity *out)
{
    size_t count = 0;
    for (uint32_t i = 0; i < plan->phase_count; i++) {
        const fol_phase_plan *phase = &plan->phases[i];
        for (size_t place = 0; place < phase->count; place++) {
            const uint64_t *conflicts = fol_matrix_row(&phase->conflicts, place);
            const uint64_t *ordered = fol_matrix_row(&phase->explicit, place);
            for (size_t k = place / FOL_WORD_BITS; k < phase->conflicts.words; k++) {
                uint64_t rest = conflicts[k] & ~ordered[k] & fol_bits_above(place, k);
                /* At most 64 rounds: each takes one bit. */
                for (; rest != 0; rest &= rest - 1) {
                    size_t other = k * FOL_WORD_BITS + (size_t)__builtin_ctzll(rest);
                    out[count++] = (fol_ambiguity){
                        .a = fol_plan_system_at(plan, phase, place),
                        .b = fol_plan_system_at(plan, phase, other),
                    };
                }
            }
        }
    }
    FOL_ASSERT(count == plan->ambiguity_count);
}

size_t fol_plan_ambiguity_count(const fol_plan *plan)
{
    return plan->ambiguity_count;
}

int fol_plan_ambiguities(const fol_plan *plan, const fol_ambiguity **out, size_t *count)
{
    /* Every plan is on the heap and not constant; only this field of it changes. */
    fol_plan *publishing = (fol_plan *)plan;
    /* Pairs with the release below: the list is complete before its address is seen. */
    fol_ambiguity *list = atomic_load_explicit(&publishing->ambiguities, memory_order_acquire);
    if (list == NULL) {
        fol_ambiguity *made = fol_alloc_array(plan->ambiguity_count, sizeof(*made));
        if (made == NULL) {
            return -ENOMEM;
        }
        fill_ambiguities(plan, made);
        /* Release pairs with the acquire of readers; on failure, acquire with the winner's. */
        if (atomic_compare_exchange_strong_explicit(&publishing->ambiguities, &list, made,
                                                    memory_order_release, memory_order_acquire)) {
            list = made;
        } else {
            fol_free(made);
        }
    }
    *out = list;
    *count = plan->ambiguity_count;
    return FOL_OK;
}
