/* Choosing a backend by name; what gets no thread falls back to the nearest
 * that needs none, and says why. */

#include "backend/backend.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "foliot/scheduler.h"
#include "foliot/status.h"

const char *const fol_backend_names[] = {"blocking", "evented",  "threadpool", "stealing",
                                         "uring",    "adaptive", NULL};

/* Each of the names, in their order; and what stands in when it gets no thread: the nearest that
 * needs none. NULL: there is nothing it could lack. */
static const struct {
    const fol_backend_ops *ops;
    const fol_backend_ops *without_threads;
} choices[] = {
    {&fol_backend_blocking, NULL},
    {&fol_backend_evented, NULL},
    {&fol_backend_threadpool, &fol_backend_blocking},
    {&fol_backend_stealing, &fol_backend_blocking},
    {&fol_backend_uring, &fol_backend_evented},
    {&fol_backend_adaptive, &fol_backend_blocking},
};

static size_t find_name(const char *name)
{
    size_t i = 0;
    while (fol_backend_names[i] != NULL && strcmp(fol_backend_names[i], name) != 0) {
        i++;
    }
    return i;
}

int fol_backend_init(fol_backend *backend, const fol_backend_config *config)
{
    size_t choice = config->name == NULL ? SIZE_MAX : find_name(config->name);
    if (choice >= sizeof(choices) / sizeof(choices[0])) {
        return FOL_E_VALUE;
    }
    *backend = (fol_backend){.ops = choices[choice].ops, .requested = fol_backend_names[choice]};
    backend->calls = config->calls;
    int status = backend->ops->init(backend, config);
    bool lacks_threads = status != FOL_OK && status != -ENOMEM && status != FOL_E_VALUE;
    if (lacks_threads && !config->require_workers) {
        if (backend->reason[0] == '\0') {
            snprintf(backend->reason, sizeof(backend->reason), "the %s backend cannot start: %s",
                     backend->ops->name, fol_status_text(status));
        }
        FOL_ASSERT(choices[choice].without_threads != NULL);
        backend->ops = choices[choice].without_threads;
        status = backend->ops->init(backend, config);
    }
    return status;
}

void fol_backend_deinit(fol_backend *backend)
{
    backend->ops->deinit(backend);
}

int fol_backend_prepare(fol_backend *backend, fol_work *work)
{
    return backend->ops->prepare == NULL ? FOL_OK : backend->ops->prepare(backend, work);
}

void fol_backend_unprepare(fol_backend *backend, fol_work *work)
{
    if (backend->ops->unprepare != NULL) {
        backend->ops->unprepare(backend, work);
    }
}

size_t fol_backend_explain_run(const fol_backend *backend, const fol_work *work,
                               double ns_per_cycle, char *out, size_t room)
{
    if (backend->ops->explain != NULL) {
        return backend->ops->explain(backend, work, ns_per_cycle, out, room);
    }
    int length = snprintf(out, room, "the %s backend runs everything on the caller's thread",
                          backend->ops->name);
    return length < 0 ? 0 : (size_t)length;
}
