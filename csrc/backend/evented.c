/* The evented backend: one thread, which runs nodes in order and gives I/O its turn between two of
 * them.
 *
 * So completions are taken and timers end while a long phase still runs, as in an event loop, but
 * never inside of a node.
 */

#include "backend/backend.h"
#include "foliot/status.h"

static int evented_init(fol_backend *backend, const fol_backend_config *config)
{
    (void)config;
    backend->workers = 1;
    backend->wants_ring = true;
    return FOL_OK;
}

static void evented_deinit(fol_backend *backend)
{
    (void)backend;
}

static void evented_run(fol_backend *backend, const fol_work *work)
{
    const fol_work_calls *calls = &backend->calls;
    uint32_t node = 0;
    for (uint32_t segment = 0; segment < work->segment_count; segment++) {
        for (; node < work->segment_ends[segment]; node++) {
            if (node > 0 && calls->turn != NULL) {
                calls->turn(calls->state);
            }
            calls->run_node(calls->state, node, 0);
        }
        calls->merge(calls->state, segment);
    }
    backend->serial_runs++;
}

const fol_backend_ops fol_backend_evented = {
    .name = "evented", .init = evented_init, .deinit = evented_deinit, .run = evented_run};
