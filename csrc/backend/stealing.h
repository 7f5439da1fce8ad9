/* The plan's graph on a team of workers that steal: what the stealing, uring and adaptive backends
 * have in common.
 *
 * backend->state points at a fol_stealing, which may be the first member of something larger, and
 * work->prepared at a fol_placed when there are several workers, else it is NULL.
 */
#ifndef FOL_BACKEND_STEALING_H
#define FOL_BACKEND_STEALING_H

#include "backend/backend.h"
#include "backend/crew.h"
#include "backend/placed.h"
#include "exec/dag.h"

typedef struct fol_stealing {
    fol_crew crew;
    fol_dag_hub *hub;
} fol_stealing;

/* In the caller's storage, which is zeroed; fills backend->state. As ops->init otherwise. */
int fol_stealing_init(fol_stealing *stealing, fol_backend *backend,
                      const fol_backend_config *config);
void fol_stealing_deinit(fol_stealing *stealing);
/* On the heap. */
int fol_stealing_create(fol_backend *backend, const fol_backend_config *config);
void fol_stealing_destroy(fol_backend *backend);

/* As of fol_backend_ops. */
int fol_stealing_prepare(fol_backend *backend, fol_work *work);
void fol_stealing_unprepare(fol_backend *backend, fol_work *work);
void fol_stealing_run(fol_backend *backend, const fol_work *work);
size_t fol_stealing_explain(const fol_backend *backend, const fol_work *work, double ns_per_cycle,
                            char *out, size_t room);
/* A fol_placed_use_costs. */
double fol_stealing_use_costs(fol_backend *backend, const fol_work *work);

#endif
