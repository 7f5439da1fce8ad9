/* The runners of a scheduler: one for each worker, made with it. */

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "foliot/status.h"
#include "frame/frame.h"

static void init_runner(fol_scheduler *scheduler, uint32_t worker)
{
    fol_runner *runner = &scheduler->runners[worker];
    runner->worker = worker;
    runner->commands = scheduler->buffers[worker];
    runner->task.world = scheduler->world;
    runner->task.worker = worker;
    runner->chunk_seen.parallel = &fol_parallel_in_place;
    if (scheduler->backend.team != NULL) {
        runner->chunk_seen.parallel = &fol_parallel_on_team;
        runner->chunk_seen.self =
            fol_worker_parallel(fol_team_worker(scheduler->backend.team, worker));
    }
}

int fol_runners_create(fol_scheduler *scheduler)
{
    uint32_t workers = scheduler->backend.workers;
    FOL_ASSERT(workers > 0);
    fol_runner *runners = fol_alloc_aligned(workers * sizeof(*runners));
    if (runners == NULL) {
        return -ENOMEM;
    }
    memset(runners, 0, workers * sizeof(*runners));
    scheduler->runners = runners;
    scheduler->worker_count = workers;
    int status = -ENOMEM;
    scheduler->buffers = fol_alloc_zeroed(workers, sizeof(*scheduler->buffers));
    if (scheduler->buffers == NULL) {
        goto fail;
    }
    for (uint32_t i = 0; i < workers; i++) {
        const fol_commands_config commands = {.max_commands = scheduler->config.max_commands,
                                              .max_bytes = scheduler->config.command_bytes,
                                              .worker = (uint8_t)i};
        status = fol_commands_create(scheduler->world, &commands, &scheduler->buffers[i]);
        if (status != FOL_OK) {
            goto fail;
        }
        init_runner(scheduler, i);
    }
    return FOL_OK;

fail:
    fol_runners_destroy(scheduler);
    return status;
}

void fol_runners_destroy(fol_scheduler *scheduler)
{
    for (uint32_t i = 0; scheduler->buffers != NULL && i < scheduler->worker_count; i++) {
        fol_commands_destroy(scheduler->buffers[i]);
    }
    fol_free(scheduler->buffers);
    fol_free(scheduler->runners);
}
