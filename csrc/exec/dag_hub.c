/* What the dags of a team share, as the team's source: the lane's drain, and the countdown of a
 * run. dag_run.c has the argument. */

#include <errno.h>
#include <stddef.h>

#include "base/assert.h"
#include "exec/dag_state.h"

int fol_dag_hub_create(uint32_t workers, fol_dag_hub **out)
{
    FOL_ASSERT(workers > 0 && workers <= FOL_TEAM_MAX_WORKERS);
    size_t size = sizeof(fol_dag_hub) + workers * sizeof(fol_dag_place);
    fol_dag_hub *hub = fol_alloc_aligned(size);
    if (hub == NULL) {
        return -ENOMEM;
    }
    fol_latch_init(&hub->left, 0);
    fol_lane_init(&hub->lane);
    hub->start.run = fol_dag_start_job;
    hub->drain.run = fol_dag_drain_job;
    hub->dag = NULL;
    hub->place_count = workers;
    for (uint32_t i = 0; i < workers; i++) {
        hub->places[i] = (fol_dag_place){0};
    }
    *out = hub;
    return 0;
}

void fol_dag_hub_destroy(fol_dag_hub *hub)
{
    if (hub != NULL) {
        fol_lane_deinit(&hub->lane);
        fol_free(hub);
    }
}

static void count_down(fol_dag_hub *hub, fol_worker *worker, fol_dag_place *place)
{
    uint32_t ended = place->ended;
    place->ended = 0;
    fol_latch_count_down(&hub->left, fol_worker_team(worker), ended);
}

static bool may_drain(fol_dag_hub *hub, fol_worker *worker, uint32_t place)
{
    return fol_lane_is_waiting(&hub->lane) &&
           (place == 0 || fol_team_caller_is_busy(fol_worker_team(worker)));
}

static fol_job *take(void *state, fol_worker *worker)
{
    fol_dag_hub *hub = state;
    uint32_t number = fol_worker_place(worker);
    fol_dag_place *place = &hub->places[number];
    if (may_drain(hub, worker, number) && fol_lane_try_enter(&hub->lane)) {
        return &hub->drain;
    }
    if (place->ended > 0) {
        count_down(hub, worker, place);
    }
    return NULL;
}

/* Any thread may ask, about any worker. */
static bool is_ready(void *state, fol_worker *worker)
{
    return may_drain(state, worker, fol_worker_place(worker));
}

/* Each node that runs may release others. Relaxed: it is a hint. */
static bool is_under_way(void *state)
{
    const fol_dag_hub *hub = state;
    return atomic_load_explicit(&hub->left.count, memory_order_relaxed) != 0;
}

fol_team_source fol_dag_hub_source(fol_dag_hub *hub)
{
    return (fol_team_source){
        .state = hub, .take = take, .is_ready = is_ready, .is_under_way = is_under_way};
}
