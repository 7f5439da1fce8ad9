/* List scheduling that keeps the best of several orders.
 *
 * Greedy first, so that the answer is never longer than that; then the critical path and the
 * longest task. From the best of them passes go back and forth, as Li and Willis (1992) justify
 * schedules: backwards over the turned graph, what ends last goes first, and forwards again by what
 * the turned schedule ended last. A round that brings nothing is tried again with other ties, drawn
 * by the seed, a few times. Whoever meets the lower bound cannot be beaten, and ends the search.
 */

#include "sim/graph_run.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"

/* Passes back and forth, and how many in a row may bring nothing. */
#define MAX_ROUNDS      24u
#define MAX_VAIN_ROUNDS 6u

typedef struct search {
    const fol_sim_graph *graph;
    const fol_sim_graph_options *options;
    fol_graph_view forth;
    fol_graph_view back;
    fol_graph_run run;
    int64_t *ranks;
    uint32_t *ties;
    fol_sim_graph_jobs trial; /* of the pass that ran last */
    fol_sim_graph_jobs best;  /* the caller's arrays */
    fol_sim_graph_summary summary;
    uint32_t passes;
    int64_t bound;
    fol_rng rng;
} search;

static void keep(search *s)
{
    size_t count = s->graph->count;
    memcpy(s->best.release, s->trial.release, count * sizeof(int64_t));
    memcpy(s->best.start, s->trial.start, count * sizeof(int64_t));
    memcpy(s->best.finish, s->trial.finish, count * sizeof(int64_t));
    memcpy(s->best.cpu, s->trial.cpu, count * sizeof(uint32_t));
    s->summary = s->run.summary;
}

/* A pass into trial; forwards it is kept if it is the shortest so far. */
static int try_pass(search *s, const fol_graph_view *view, const int64_t *ranks,
                    const uint32_t *ties, bool *is_better)
{
    s->run.ranks = ranks;
    s->run.ties = ties;
    int status = fol_graph_run_pass(&s->run, view, &s->trial);
    if (status != FOL_OK) {
        return status;
    }
    bool is_first = s->passes++ == 0;
    bool is_forth = view == &s->forth;
    *is_better = is_forth && (is_first || s->run.summary.makespan < s->summary.makespan);
    if (*is_better) {
        keep(s);
    }
    return FOL_OK;
}

static bool is_optimal(const search *s)
{
    return s->summary.makespan <= s->bound;
}

static int try_orders(search *s)
{
    static const fol_sim_graph_order orders[] = {FOL_GRAPH_CRITICAL_PATH, FOL_GRAPH_COST};
    bool is_better;
    int status = try_pass(s, &s->forth, NULL, NULL, &is_better);
    for (size_t i = 0; i < 2 && status == FOL_OK && !is_optimal(s); i++) {
        fol_graph_rank(s->graph, orders[i], s->ranks, s->ties);
        status = try_pass(s, &s->forth, s->ranks, s->ties, &is_better);
    }
    return status;
}

/* What finished last in a schedule comes first in the next, which goes the other way. */
static void rank_by_finish(search *s, const int64_t *finish, bool is_shuffled)
{
    for (uint32_t task = 0; task < s->graph->count; task++) {
        s->ranks[task] = -finish[task];
        s->ties[task] = is_shuffled ? (uint32_t)(fol_rng_next(&s->rng) >> 32) : 0;
    }
}

static int try_rounds(search *s)
{
    const int64_t *from = s->best.finish;
    uint32_t vain = 0;
    int status = FOL_OK;
    for (uint32_t round = 0;
         round < MAX_ROUNDS && vain < MAX_VAIN_ROUNDS && status == FOL_OK && !is_optimal(s);
         round++) {
        bool is_better = false;
        rank_by_finish(s, from, vain > 0);
        status = try_pass(s, &s->back, s->ranks, s->ties, &is_better);
        if (status != FOL_OK) {
            break;
        }
        rank_by_finish(s, s->trial.finish, vain > 0);
        status = try_pass(s, &s->forth, s->ranks, s->ties, &is_better);
        from = s->trial.finish;
        vain = is_better ? 0 : vain + 1;
        if (vain % 2 == 0) {
            from = s->best.finish;
        }
    }
    return status;
}

static int take_memory(search *s)
{
    size_t count = s->graph->count;
    s->ranks = fol_alloc_array(count, sizeof(int64_t));
    s->ties = fol_alloc_array(count, sizeof(uint32_t));
    s->trial.release = fol_alloc_array(count, sizeof(int64_t));
    s->trial.start = fol_alloc_array(count, sizeof(int64_t));
    s->trial.finish = fol_alloc_array(count, sizeof(int64_t));
    s->trial.cpu = fol_alloc_array(count, sizeof(uint32_t));
    bool is_whole = s->ranks != NULL && s->ties != NULL && s->trial.release != NULL &&
                    s->trial.start != NULL && s->trial.finish != NULL && s->trial.cpu != NULL;
    return is_whole ? FOL_OK : -ENOMEM;
}

static void release_memory(search *s)
{
    fol_free(s->ranks);
    fol_free(s->ties);
    fol_free(s->trial.release);
    fol_free(s->trial.start);
    fol_free(s->trial.finish);
    fol_free(s->trial.cpu);
}

int fol_graph_run_best(const fol_sim_graph *graph, const fol_sim_graph_options *options,
                       const fol_sim_graph_jobs *jobs, fol_sim_graph_summary *summary)
{
    FOL_ASSERT(options->slots == NULL);
    search s = {
        .graph = graph,
        .options = options,
        .forth = {graph->count, graph->lane_count, graph->costs, graph->lanes, &graph->before,
                  &graph->after},
        .back = {graph->count, graph->lane_count, graph->costs, graph->lanes, &graph->after,
                 &graph->before},
        .best = *jobs,
        .bound = fol_sim_graph_lower_bound(graph, options->cpus),
    };
    fol_rng_init(&s.rng, options->seed);
    int status = take_memory(&s);
    if (status != FOL_OK) {
        goto done;
    }
    status = fol_graph_run_init(&s.run, &s.forth, options, &fol_graph_central);
    if (status != FOL_OK) {
        goto done;
    }
    status = try_orders(&s);
    if (status == FOL_OK) {
        status = try_rounds(&s);
    }
    if (status == FOL_OK) {
        s.summary.passes = s.passes;
        *summary = s.summary;
    }
    fol_graph_run_deinit(&s.run);
done:
    release_memory(&s);
    return status;
}
