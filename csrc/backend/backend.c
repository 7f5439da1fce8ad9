/* Choosing a backend by name; what cannot run falls back to blocking with the reason. */

#include "backend/backend.h"

#include <stddef.h>
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

int fol_backend_init(fol_backend *backend, const char *name, uint32_t workers)
{
    const char *requested = name == NULL ? NULL : known_name(name);
    if (requested == NULL) {
        return FOL_E_VALUE;
    }
    (void)workers; /* The caller is the only worker there is without threads. */
    backend->requested = requested;
    backend->ops = &fol_backend_blocking;
    backend->reason = strcmp(requested, fol_backend_blocking.name) == 0
                          ? ""
                          : "this version of foliot has only the blocking backend";
    backend->workers = 1;
    return FOL_OK;
}

void fol_backend_deinit(fol_backend *backend)
{
    backend->ops->deinit(backend);
}
