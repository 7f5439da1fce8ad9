/* The blocking backend: every node in order on the calling thread. */

#include "backend/backend.h"
#include "foliot/status.h"

void fol_backend_run_in_order(const fol_backend *backend, const fol_work *work)
{
    const fol_work_calls *calls = &backend->calls;
    uint32_t node = 0;
    for (uint32_t segment = 0; segment < work->segment_count; segment++) {
        for (; node < work->segment_ends[segment]; node++) {
            calls->run_node(calls->state, node, 0);
        }
        calls->merge(calls->state, segment);
    }
}

static int blocking_init(fol_backend *backend, const fol_backend_config *config)
{
    (void)config;
    backend->workers = 1;
    return FOL_OK;
}

static void blocking_deinit(fol_backend *backend)
{
    (void)backend;
}

static void blocking_run(fol_backend *backend, const fol_work *work)
{
    fol_backend_run_in_order(backend, work);
}

const fol_backend_ops fol_backend_blocking = {
    .name = "blocking", .init = blocking_init, .deinit = blocking_deinit, .run = blocking_run};
