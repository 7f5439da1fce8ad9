/* Choosing a backend by name; what cannot run falls back to blocking with the reason. */

#include "backend/backend.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "foliot/scheduler.h"
#include "foliot/status.h"

const char *const fol_backend_names[] = {"blocking", "evented",  "threadpool", "stealing",
                                         "uring",    "adaptive", NULL};

static const char *known_name(const char *name)
{
    for (size_t i = 0; fol_backend_names[i] != NULL; i++) {
        if (strcmp(fol_backend_names[i], name) == 0) {
            return fol_backend_names[i];
        }
    }
    return NULL;
}

int fol_backend_init(fol_backend *backend, const fol_backend_config *config)
{
    const char *requested = config->name == NULL ? NULL : known_name(config->name);
    if (requested == NULL) {
        return FOL_E_VALUE;
    }
    *backend = (fol_backend){.ops = &fol_backend_blocking, .requested = requested};
    backend->calls = config->calls;
    if (strcmp(requested, fol_backend_blocking.name) != 0) {
        snprintf(backend->reason, sizeof backend->reason, "%s",
                 "this version of foliot has only the blocking backend");
    }
    return backend->ops->init(backend, config);
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
