/* The blocking backend: every node in order on the calling thread. */

#include "backend/backend.h"

static void blocking_run(fol_backend *backend, const fol_work *work)
{
    (void)backend;
    uint32_t node = 0;
    for (uint32_t segment = 0; segment < work->segment_count; segment++) {
        for (; node < work->segment_ends[segment]; node++) {
            work->run_node(work->state, node, 0);
        }
        work->merge(work->state, segment);
    }
}

static void blocking_deinit(fol_backend *backend)
{
    (void)backend;
}

const fol_backend_ops fol_backend_blocking = {
    .name = "blocking", .run = blocking_run, .deinit = blocking_deinit};
