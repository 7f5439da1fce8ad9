/* Batches: the rows of many small tables handed to Python as one chunk.
 *
 * A query keeps one gather and the chunks made over it. One loop over batches is open at a time: a
 * new loop, or the end of the system, commits what the last one was working on.
 */
#ifndef FOL_BINDINGS_BATCH_H
#define FOL_BINDINGS_BATCH_H

#include "bindings/bindings.h"
#include "bindings/query.h"

#define FOL_PY_MAX_BATCH_ROWS ((Py_ssize_t)1 << 24)

/* An iterator of chunks of up to `rows` rows. Raises ValueError for queries that are not plain. */
PyObject *fol_py_query_batches(PyObject *query_view, Py_ssize_t rows, uint64_t since, uint64_t tick,
                               uint64_t *rows_counter);
/* Copies back what the open loop's last batch holds, if there is one. */
void fol_py_batches_close(fol_py_query_core *core);
/* Drops the chunks, for the collector. */
void fol_py_batches_forget(fol_py_query_core *core);
int fol_py_batches_traverse(fol_py_query_core *core, visitproc visit, void *arg);
/* Ends the gather; the query is still there. */
void fol_py_batches_destroy(fol_py_query_core *core);

int fol_py_add_batch_types(fol_py_state *state);

#endif
