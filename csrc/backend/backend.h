/* The one interface between a frame and what runs it.
 *
 * A backend is given a phase as a list of nodes in an order the plan allows, cut into segments by
 * merges, and calls back to run each node and each merge exactly once. It may reorder or overlap
 * nodes of a segment only as the plan's graph allows; it never starts a node of a segment before
 * the merge in front of it has returned. Nothing here knows systems, worlds or the host language.
 */
#ifndef FOL_BACKEND_BACKEND_H
#define FOL_BACKEND_BACKEND_H

#include <stdint.h>

/* One phase to run. Nodes of segment s are [segment_ends[s - 1], segment_ends[s]), from 0. */
typedef struct fol_work {
    void *state;
    const uint32_t *segment_ends;
    uint32_t segment_count;
    /* Runs one node on a worker (0 is the caller). Failures are the callee's to record. */
    void (*run_node)(void *state, uint32_t node, uint32_t worker);
    /* Runs alone, after every node of the segment has ended. */
    void (*merge)(void *state, uint32_t segment);
} fol_work;

typedef struct fol_backend fol_backend;

typedef struct fol_backend_ops {
    const char *name;
    void (*run)(fol_backend *backend, const fol_work *work);
    void (*deinit)(fol_backend *backend);
} fol_backend_ops;

struct fol_backend {
    const fol_backend_ops *ops;
    const char *requested;
    const char *reason; /* why ops is not what was requested; "" when it is */
    uint32_t workers;
};

/* Fills the caller's storage. Falls back to what is there and says why; fails only for a name that
 * no version knows: FOL_E_VALUE. */
int fol_backend_init(fol_backend *backend, const char *name, uint32_t workers);
void fol_backend_deinit(fol_backend *backend);

static inline void fol_backend_run(fol_backend *backend, const fol_work *work)
{
    backend->ops->run(backend, work);
}

/* In order on the caller, least overhead. */
extern const fol_backend_ops fol_backend_blocking;

#endif
