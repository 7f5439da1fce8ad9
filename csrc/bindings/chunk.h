/* Chunks: contiguous rows of one table as Python sees them.
 *
 * A chunk keeps the views made from it, and a query keeps its last chunk of each table, so that in
 * a frame where no table moved or grew a system gets last frame's numpy arrays again.
 */
#ifndef FOL_BINDINGS_CHUNK_H
#define FOL_BINDINGS_CHUNK_H

#include "bindings/bindings.h"
#include "bindings/query.h"

/* The chunk of a run, new or kept. Called by the holder of the world. */
PyObject *fol_py_chunk_take(fol_py_query_core *core, const fol_run *run, uint64_t stamp,
                            uint64_t tick);

/* The same over a gather's rows: `slot` keeps the last chunk made there, or NULL. */
PyObject *fol_py_chunk_take_over(fol_py_query_core *core, const fol_run *run, fol_block *block,
                                 uint64_t stamp, uint64_t tick, PyObject **slot);

/* What of a chunk a column object needs. */
typedef struct fol_py_column_origin {
    fol_py_query_core *core;
    fol_py_component *type;
    uint64_t stamp;
    fol_block *block;
    Py_ssize_t rows;
    void *const *columns; /* of the component's fields */
    bool is_writable;
} fol_py_column_origin;

/* chunk[Position]: an object with a numpy view for each field. */
PyObject *fol_py_columns_new(const fol_py_column_origin *origin);
/* One field's numpy view. */
PyObject *fol_py_column_view(const fol_py_column_origin *origin, uint32_t index);
/* Copies values into a view of a field; nothing when they are the view itself. */
int fol_py_column_assign(const fol_py_component *type, uint32_t index, PyObject *view,
                         PyObject *values);
/* chunk[Text], chunk[Note]: a sequence of cells. */
PyObject *fol_py_cells_new(const fol_py_column_origin *origin);
/* chunk[Text] = values. */
int fol_py_cells_assign(PyObject *cells, PyObject *values);

/* Columns and cells carry the stamp of the chunk they were last taken from. */
void fol_py_columns_restamp(PyObject *columns, uint64_t stamp);
void fol_py_cells_restamp(PyObject *cells, uint64_t stamp);

/* Raises AccessError for a write into something that was declared as read. Returns -1. */
int fol_py_raise_read_only(const fol_py_query_core *core, const fol_py_component *type);

#endif
