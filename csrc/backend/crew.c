/* The threads and the team of a backend; see crew.h. */

#include "backend/crew.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/cycles.h"
#include "exec/topology.h"
#include "foliot/clock.h"
#include "foliot/status.h"

/* How long the cycle counter is watched to learn its speed: 1 % is near enough. */
#define CALIBRATION_NS 20000u

static double measure_cycles(void)
{
    uint64_t start_ns = fol_clock_monotonic.now_ns(NULL);
    uint64_t start = fol_cycles_now();
    uint64_t now_ns = start_ns;
    while (now_ns - start_ns < CALIBRATION_NS) {
        now_ns = fol_clock_monotonic.now_ns(NULL);
    }
    uint64_t cycles = fol_cycles_now() - start;
    return cycles == 0 ? 1000.0 : (double)cycles * 1000.0 / (double)(now_ns - start_ns);
}

/* Processors this process may use; without the topology, which takes milliseconds to read. */
static uint32_t usable_processors(void)
{
    cpu_set_t set;
    uint32_t affinity = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        affinity = (uint32_t)CPU_COUNT(&set);
    }
    uint64_t quota_us = 0;
    uint64_t period_us = 0;
    fol_topology_read_quota("", &quota_us, &period_us);
    return fol_topology_usable(affinity, quota_us, period_us);
}

uint32_t fol_crew_size(const fol_backend_config *config)
{
    uint32_t workers = config->workers == 0 ? usable_processors() : config->workers;
    return workers < FOL_TEAM_MAX_WORKERS ? workers : FOL_TEAM_MAX_WORKERS;
}

/* Says what became of the wish for workers. */
static void explain_size(fol_backend *backend, uint32_t asked, uint32_t workers, int refused)
{
    if (workers == 1 && refused != 0) {
        snprintf(backend->reason, sizeof(backend->reason),
                 "asked for %u workers, the system started no thread: %s", asked,
                 fol_status_text(refused));
    } else if (workers < asked && refused != 0) {
        snprintf(backend->reason, sizeof(backend->reason),
                 "asked for %u workers, the system started %u: %s", asked, workers,
                 fol_status_text(refused));
    } else if (workers < asked) {
        snprintf(backend->reason, sizeof(backend->reason),
                 "asked for %u workers, %u are the most there can be", asked, workers);
    }
}

/* Starts threads; *workers gets how many there are with the caller. */
static int start_threads(fol_crew *crew, fol_backend *backend, const fol_backend_config *config,
                         uint32_t *workers)
{
    uint32_t wanted = fol_crew_size(config);
    uint32_t asked = config->workers > wanted ? config->workers : wanted;
    int refused = 0;
    if (asked > wanted && config->require_workers) {
        explain_size(backend, asked, wanted, 0);
        return FOL_E_VALUE;
    }
    uint32_t threads = fol_pool_grow(crew->pool, wanted - 1, &refused);
    *workers = threads < wanted - 1 ? threads + 1 : wanted;
    if (*workers == wanted) {
        refused = 0;
    }
    explain_size(backend, asked, *workers, refused);
    if (refused != 0 && (*workers == 1 || config->require_workers)) {
        /* No memory for a thread is the system's refusal, not ours. */
        return refused == -ENOMEM ? -EAGAIN : refused;
    }
    FOL_ASSERT(*workers > 1);
    return FOL_OK;
}

int fol_crew_init(fol_crew *crew, fol_backend *backend, const fol_backend_config *config,
                  fol_team_source source)
{
    *crew = (fol_crew){.cycles_a_microsecond = measure_cycles()};
    backend->workers = 1;
    if (fol_crew_size(config) == 1) {
        return FOL_OK;
    }
    int status = fol_pool_acquire(&crew->pool);
    if (status != FOL_OK) {
        return status;
    }
    uint32_t workers = 1;
    status = start_threads(crew, backend, config, &workers);
    if (status != FOL_OK) {
        goto fail;
    }
    const fol_team_config team = {.workers = workers,
                                  .steal_batch = config->steal_batch,
                                  .seed = config->seed,
                                  .source = source,
                                  .poll = config->calls.poll,
                                  .poll_state = config->calls.state,
                                  .poll_ns = config->poll_ns,
                                  .trace = config->trace};
    status = fol_team_create(crew->pool, &team, &crew->team);
    if (status != FOL_OK) {
        goto fail;
    }
    backend->workers = workers;
    backend->team = crew->team;
    return FOL_OK;

fail:
    fol_pool_release(crew->pool);
    crew->pool = NULL;
    return status;
}

void fol_crew_deinit(fol_crew *crew)
{
    if (crew->pool != NULL) {
        fol_team_destroy(crew->team);
        fol_pool_release(crew->pool);
    }
}
