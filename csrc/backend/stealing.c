/* The stealing backend: the plan's graph on a team of workers that steal, and no barrier but the
 * plan's merges. */

#include <errno.h>
#include <stddef.h>

#include "backend/backend.h"
#include "backend/crew.h"
#include "backend/placed.h"
#include "base/assert.h"
#include "base/memory.h"
#include "exec/dag.h"
#include "foliot/status.h"

/* Nodes below this are not worth handing over: about what a theft costs. */
#define SMALL_US 0.2

typedef struct stealing {
    fol_crew crew;
    fol_dag_hub *hub;
} stealing;

/* A prepared phase. */
typedef struct stealing_phase {
    fol_placed placed;
    fol_dag *dag;
} stealing_phase;

static int stealing_init(fol_backend *backend, const fol_backend_config *config)
{
    stealing *state = fol_alloc_zeroed(1, sizeof(*state));
    if (state == NULL) {
        return -ENOMEM;
    }
    int status = fol_dag_hub_create(fol_crew_size(config), &state->hub);
    if (status != FOL_OK) {
        goto fail_hub;
    }
    status = fol_crew_init(&state->crew, backend, config, fol_dag_hub_source(state->hub));
    if (status != FOL_OK) {
        goto fail_crew;
    }
    backend->state = state;
    return FOL_OK;

fail_crew:
    fol_dag_hub_destroy(state->hub);
fail_hub:
    fol_free(state);
    return status;
}

static void stealing_deinit(fol_backend *backend)
{
    stealing *state = backend->state;
    fol_crew_deinit(&state->crew);
    fol_dag_hub_destroy(state->hub);
    fol_free(state);
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
    stealing *state = backend->state;
    return fol_dag_create(backend->team, state->hub, &graph, &calls, out);
}

static int stealing_prepare(fol_backend *backend, fol_work *work)
{
    stealing *state = backend->state;
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

static void stealing_unprepare(fol_backend *backend, fol_work *work)
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

static double use_costs(fol_backend *backend, const fol_work *work)
{
    stealing *state = backend->state;
    stealing_phase *phase = work->prepared;
    fol_dag_set_costs(phase->dag, phase->placed.costs, SMALL_US * state->crew.cycles_a_microsecond);
    double span = 0.0;
    for (uint32_t s = 0; s < work->segment_count; s++) {
        span += fol_dag_span(phase->dag, s);
    }
    return span;
}

static void stealing_run(fol_backend *backend, const fol_work *work)
{
    stealing_phase *phase = work->prepared;
    if (phase == NULL) {
        fol_backend_run_in_order(backend, work);
        backend->serial_runs++;
        return;
    }
    fol_placed_run_phase(&phase->placed, backend, work, run_on_workers, use_costs);
}

static size_t stealing_explain(const fol_backend *backend, const fol_work *work,
                               double ns_per_cycle, char *out, size_t room)
{
    const stealing_phase *phase = work->prepared;
    return fol_placed_explain(phase == NULL ? NULL : &phase->placed, backend->ops->name,
                              ns_per_cycle, out, room);
}

const fol_backend_ops fol_backend_stealing = {.name = "stealing",
                                              .init = stealing_init,
                                              .deinit = stealing_deinit,
                                              .prepare = stealing_prepare,
                                              .unprepare = stealing_unprepare,
                                              .run = stealing_run,
                                              .explain = stealing_explain};
