/* The uring backend: nodes as the stealing backend runs them, and I/O through the ring.
 *
 * What its nodes ask for in a stage goes to the kernel in one batch when the stage has ended.
 * Whether there is a ring is not its business: where the machine has none, the frame uses the pool
 * of blocking threads and says why.
 */

#include "backend/stealing.h"
#include "foliot/status.h"

static int uring_init(fol_backend *backend, const fol_backend_config *config)
{
    int status = fol_stealing_create(backend, config);
    backend->wants_ring = status == FOL_OK;
    return status;
}

const fol_backend_ops fol_backend_uring = {.name = "uring",
                                           .init = uring_init,
                                           .deinit = fol_stealing_destroy,
                                           .prepare = fol_stealing_prepare,
                                           .unprepare = fol_stealing_unprepare,
                                           .run = fol_stealing_run,
                                           .explain = fol_stealing_explain};
