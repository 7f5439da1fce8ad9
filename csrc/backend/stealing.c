/* The stealing backend: the plan's graph on a team of workers that steal, and no barrier but the
 * plan's merges. */

#include "backend/stealing.h"

#include <errno.h>
#include <stddef.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"

/* Nodes below this are not worth handing over: about what a theft costs. */
#define SMALL_US 0.2

/* A prepared phase. */
typedef struct stealing_phase {
    fol_placed placed; /* first: who shares this code looks at it */
    fol_dag *dag;
} stealing_phase;

int fol_stealing_init(fol_stealing *stealing, fol_backend *backend,
                      const fol_backend_config *config)
{
    int status = fol_dag_hub_create(fol_crew_size(config), &stealing->hub);
    if (status != FOL_OK) {
        return status;
    }
    status = fol_crew_init(&stealing->crew, backend, config, fol_dag_hub_source(stealing->hub));
    if (status != FOL_OK) {
        fol_dag_hub_destroy(stealing->hub);
        return status;
    }
    backend->state = stealing;
    return FOL_OK;
}

void fol_stealing_deinit(fol_stealing *stealing)
{
    fol_crew_deinit(&stealing->crew);
    fol_dag_hub_destroy(stealing->hub);
}

int fol_stealing_create(fol_backend *backend, const fol_backend_config *config)
{
    fol_stealing *stealing = fol_alloc_zeroed(1, sizeof(*stealing));
    if (stealing == NULL) {
        return -ENOMEM;
    }
    int status = fol_stealing_init(stealing, backend, config);
    if (status != FOL_OK) {
        fol_free(stealing);
    }
    return status;
}

void fol_stealing_destroy(fol_backend *backend)
{
    fol_stealing *stealing = backend->state;
    fol_stealing_deinit(stealing);
    fol_free(stealing);
}

static int make_dag(fol_backend *backend, const fol_work *work, fol_dag **out)
{
    const fol_dag_graph graph = {.node_count = work->node_count,
                                 .segment_count = work->segment_count,
                                 .segment_ends = work->segment_ends,
                                 .successor_starts = work->successor_starts,
                                 .successors = work->successors,
                                 .in_lane = work->in_lane};
    const fol_dag_calls calls = {.state = backend->calls.state,
                                 .begin = backend->calls.begin_node,
                                 .run_piece = backend->calls.run_piece,
                                 .end = backend->calls.end_node,
                                 .pause = backend->calls.release_host};
    fol_stealing *state = backend->state;
    return fol_dag_create(backend->team, state->hub, &graph, &calls, out);
}

int fol_stealing_prepare(fol_backend *backend, fol_work *work)
{
    fol_stealing *state = backend->state;
    work->prepared = NULL;
    if (backend->workers == 1) {
        return FOL_OK;
    }
    stealing_phase *phase = fol_alloc_zeroed(1, sizeof(*phase));
    if (phase == NULL) {
        return -ENOMEM;
    }
    int status = fol_placed_init(&phase->placed, backend, &state->crew, work);
    if (status != FOL_OK) {
        goto fail_placed;
    }
    status = make_dag(backend, work, &phase->dag);
    if (status != FOL_OK) {
        goto fail_dag;
    }
    work->prepared = phase;
    return FOL_OK;

fail_dag:
    fol_placed_deinit(&phase->placed);
fail_placed:
    fol_free(phase);
    return status;
}

void fol_stealing_unprepare(fol_backend *backend, fol_work *work)
{
    (void)backend;
    stealing_phase *phase = work->prepared;
    if (phase != NULL) {
        fol_dag_destroy(phase->dag);
        fol_placed_deinit(&phase->placed);
        fol_free(phase);
        work->prepared = NULL;
    }
}

static void run_on_workers(fol_backend *backend, const fol_work *work)
{
    const fol_work_calls *calls = &backend->calls;
    const stealing_phase *phase = work->prepared;
    uint32_t first = 0;
    for (uint32_t s = 0; s < work->segment_count; s++) {
        uint32_t end = work->segment_ends[s];
        if (fol_placed_is_parallel(&phase->placed, s)) {
            fol_dag_run(phase->dag, s);
        } else {
            for (uint32_t node = first; node < end; node++) {
                calls->run_node(calls->state, node, 0);
            }
        }
        calls->merge(calls->state, s);
        first = end;
    }
}

double fol_stealing_use_costs(fol_backend *backend, const fol_work *work)
{
    fol_stealing *state = backend->state;
    stealing_phase *phase = work->prepared;
    fol_dag_set_costs(phase->dag, phase->placed.costs, SMALL_US * state->crew.cycles_a_microsecond);
    double span = 0.0;
    for (uint32_t s = 0; s < work->segment_count; s++) {
        span += fol_dag_span(phase->dag, s);
    }
    return span;
}

void fol_stealing_run(fol_backend *backend, const fol_work *work)
{
    stealing_phase *phase = work->prepared;
    if (phase == NULL) {
        fol_backend_run_in_order(backend, work);
        backend->serial_runs++;
        return;
    }
    fol_placed_run_phase(&phase->placed, backend, work, run_on_workers, fol_stealing_use_costs);
}

size_t fol_stealing_explain(const fol_backend *backend, const fol_work *work, double ns_per_cycle,
                            char *out, size_t room)
{
    const stealing_phase *phase = work->prepared;
    return fol_placed_explain(phase == NULL ? NULL : &phase->placed, backend->ops->name,
                              ns_per_cycle, out, room);
}

const fol_backend_ops fol_backend_stealing = {.name = "stealing",
                                              .init = fol_stealing_create,
                                              .deinit = fol_stealing_destroy,
                                              .prepare = fol_stealing_prepare,
                                              .unprepare = fol_stealing_unprepare,
                                              .run = fol_stealing_run,
                                              .explain = fol_stealing_explain};
