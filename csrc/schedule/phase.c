/* One phase: conflicts, order, commands, graph, segments, stages. */

#include "schedule/phase.h"

#include <errno.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/commands.h"
#include "schedule/conflict.h"
#include "schedule/graph.h"
#include "schedule/order.h"
#include "schedule/segment.h"

/* No explicit order points against registration: then the order is that of registration. */
static bool follows_registration(const fol_phase_plan *phase)
{
    for (size_t rank = 0; rank < phase->count; rank++) {
        const uint64_t *after = fol_matrix_row(&phase->explicit, rank);
        for (size_t i = 0; i <= rank / FOL_WORD_BITS; i++) {
            if (after[i] & fol_bits_below(rank, i)) {
                return false;
            }
        }
    }
    return true;
}

/* Pairs that conflict or whose order matters, without those that explicit order relates. */
static void fill_ties(const fol_phase_plan *phase, const fol_command_rows *rows,
                      const fol_matrix *before, fol_matrix *ties)
{
    for (size_t rank = 0; rank < phase->count; rank++) {
        uint64_t *tied = fol_matrix_row(ties, rank);
        const uint64_t *conflicts = fol_matrix_row(&phase->conflicts, rank);
        const uint64_t *later = fol_matrix_row(&phase->explicit, rank);
        const uint64_t *earlier = fol_matrix_row(before, rank);
        fol_command_rows_matter(rows, rank, tied);
        for (size_t i = 0; i < ties->words; i++) {
            tied[i] = (tied[i] | conflicts[i]) & ~later[i] & ~earlier[i];
        }
    }
}

/* Renumbers everything from rank to place; ranks[place] is the rank. `systems` is scratch. */
static void apply_order(fol_plan *plan, fol_phase_plan *phase, const uint32_t *ranks,
                        uint32_t *systems, fol_matrix *scratch)
{
    fol_matrix_permute(&phase->conflicts, ranks, scratch);
    fol_matrix_permute(&phase->explicit, ranks, scratch);
    for (uint32_t place = 0; place < phase->count; place++) {
        systems[place] = fol_plan_system_at(plan, phase, ranks[place]);
    }
    for (uint32_t place = 0; place < phase->count; place++) {
        plan->order[phase->first + place] = systems[place];
        plan->places[systems[place]] = phase->first + place;
    }
}

static int reorder(fol_plan *plan, fol_phase_plan *phase)
{
    int status = -ENOMEM;
    fol_command_rows rows;
    fol_precedence precedence = {.after = phase->explicit};
    uint32_t *ranks = fol_alloc_array(2 * (size_t)phase->count, sizeof(*ranks));
    if (ranks == NULL) {
        goto fail_ranks;
    }
    status = fol_command_rows_init(&rows, &plan->catalog, plan->order + phase->first, phase->count);
    if (status != FOL_OK) {
        goto fail_rows;
    }
    status = fol_matrix_init(&precedence.before, phase->count);
    if (status != FOL_OK) {
        goto fail_before;
    }
    status = fol_matrix_init(&precedence.ties, phase->count);
    if (status != FOL_OK) {
        goto fail_ties;
    }
    fol_matrix_transpose(&phase->explicit, &precedence.before);
    fill_ties(phase, &rows, &precedence.before, &precedence.ties);
    status = fol_order_make(&precedence, ranks);
    if (status == FOL_OK) {
        apply_order(plan, phase, ranks, ranks + phase->count, &precedence.ties);
    }
    fol_matrix_deinit(&precedence.ties);

fail_ties:
    fol_matrix_deinit(&precedence.before);
fail_before:
    fol_command_rows_deinit(&rows);
fail_rows:
    fol_free(ranks);
fail_ranks:
    return status;
}

static size_t count_ambiguities(const fol_phase_plan *phase)
{
    size_t count = 0;
    for (size_t place = 0; place < phase->count; place++) {
        const uint64_t *conflicts = fol_matrix_row(&phase->conflicts, place);
        const uint64_t *ordered = fol_matrix_row(&phase->explicit, place);
        for (size_t i = place / FOL_WORD_BITS; i < phase->conflicts.words; i++) {
            uint64_t open = conflicts[i] & ~ordered[i] & fol_bits_above(place, i);
            count += (size_t)__builtin_popcountll(open);
        }
    }
    return count;
}

/* What follows from the order. */
static int derive(fol_plan *plan, fol_phase_plan *phase)
{
    fol_command_rows rows;
    fol_stretches stretches;
    int status =
        fol_command_rows_init(&rows, &plan->catalog, plan->order + phase->first, phase->count);
    if (status != FOL_OK) {
        goto fail_rows;
    }
    status = fol_stretches_init(&stretches, phase->count);
    if (status != FOL_OK) {
        goto fail_stretches;
    }
    fol_commands_add_conflicts(&rows, phase);
    plan->ambiguity_count += count_ambiguities(phase);
    status = fol_graph_reduce(plan, phase);
    if (status != FOL_OK) {
        goto fail_graph;
    }
    fol_segments_assign(plan, phase, &rows, &stretches);
    fol_stages_assign(plan, phase, &rows, &stretches);
    fol_segments_cut(plan, phase, &rows, &stretches);
    status = fol_sync_points_make(plan, phase, &rows, &stretches);

fail_graph:
    fol_stretches_deinit(&stretches);
fail_stretches:
    fol_command_rows_deinit(&rows);
fail_rows:
    return status;
}

int fol_phase_finish(fol_plan *plan, fol_phase_plan *phase)
{
    int status = fol_matrix_init(&phase->conflicts, phase->count);
    if (status != FOL_OK) {
        return status;
    }
    status = fol_conflicts_build(&plan->catalog, plan->order + phase->first, &phase->conflicts);
    if (status == FOL_OK && !follows_registration(phase)) {
        status = reorder(plan, phase);
    }
    if (status == FOL_OK) {
        status = fol_matrix_init(&phase->paths, phase->count);
    }
    return status == FOL_OK ? derive(plan, phase) : status;
}
