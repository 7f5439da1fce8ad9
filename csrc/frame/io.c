/* What a scheduler says of its I/O. */

#include <errno.h>
#include <stdio.h>

#include "base/fork.h"
#include "foliot/status.h"
#include "frame/frame.h"

int fol_io_queue_submit(fol_io_queue *queue, const fol_io_intent *intent, fol_io_handle *out)
{
    (void)queue;
    (void)intent;
    (void)out;
    return FOL_E_CAPACITY;
}

int fol_scheduler_wait(fol_scheduler *scheduler, uint64_t timeout_ns)
{
    (void)timeout_ns;
    return fol_fork_generation() != scheduler->fork_generation ? FOL_E_FORKED : -ENOENT;
}

fol_io_info fol_scheduler_io(const fol_scheduler *scheduler)
{
    (void)scheduler;
    return (fol_io_info){.engine = "pool", .reason = ""};
}

size_t fol_scheduler_explain_backend(const fol_scheduler *scheduler, char *out, size_t room)
{
    const fol_backend *backend = &scheduler->backend;
    if (backend->ops->explain_choice != NULL) {
        return backend->ops->explain_choice(backend, fol_ns_per_cycle(scheduler), out, room);
    }
    const char *why = backend->reason;
    int length =
        snprintf(out, room, "%s%s%s", backend->ops->name, why[0] == '\0' ? "" : ": ", why);
    return length < 0 ? 0 : (size_t)length;
}

void fol_turn(void *state)
{
    fol_scheduler *scheduler = state;
    FOL_ASSERT_HOT(scheduler->phase != NULL);
}
