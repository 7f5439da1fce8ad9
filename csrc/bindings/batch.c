/* Loops over batches; see batch.h. */
#include "bindings/batch.h"

#include "bindings/chunk.h"
#include "bindings/types.h"

struct fol_py_batches {
    fol_gather *gather;
    Py_ssize_t rows;   /* at most in one batch */
    uint64_t loop;     /* number of the loop that is open */
    uint64_t tick;     /* of that loop */
    uint64_t stamp;    /* of that loop */
    bool is_open;      /* a batch was handed out and not committed */
    PyObject **chunks; /* by position in the loop */
    uint32_t chunk_room;
};

typedef struct batch_iterator {
    PyObject_HEAD PyObject *view;
    uint64_t stamp;
    uint64_t loop;
    uint64_t tick;
    uint64_t *rows_counter;
    uint32_t position;
    bool is_done;
    fol_query_iterator iterator;
} batch_iterator;

void fol_py_batches_close(fol_py_query_core *core)
{
    struct fol_py_batches *batches = core->batches;
    if (batches != NULL && batches->is_open) {
        batches->is_open = false;
        /* Rows that moved meanwhile are no longer where they were copied from. */
        if (fol_py_core_is_live(core, batches->stamp)) {
            fol_gather_commit(batches->gather, batches->tick);
        }
    }
}

void fol_py_batches_forget(fol_py_query_core *core)
{
    struct fol_py_batches *batches = core->batches;
    for (uint32_t i = 0; batches != NULL && i < batches->chunk_room; i++) {
        Py_CLEAR(batches->chunks[i]);
    }
}

int fol_py_batches_traverse(fol_py_query_core *core, visitproc visit, void *arg)
{
    struct fol_py_batches *batches = core->batches;
    for (uint32_t i = 0; batches != NULL && i < batches->chunk_room; i++) {
        Py_VISIT(batches->chunks[i]);
    }
    return 0;
}

void fol_py_batches_destroy(fol_py_query_core *core)
{
    struct fol_py_batches *batches = core->batches;
    if (batches == NULL) {
        return;
    }
    fol_py_batches_forget(core);
    core->batches = NULL;
    fol_gather_destroy(batches->gather);
    PyMem_Free(batches->chunks);
    PyMem_Free(batches);
}

/* The gather of a query for this many rows, made anew when the number changed. */
static int prepare(fol_py_query_core *core, Py_ssize_t rows)
{
    if (core->batches != NULL && core->batches->rows == rows) {
        return 0;
    }
    struct fol_py_batches *batches = PyMem_Calloc(1, sizeof(*batches));
    if (batches == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int status = fol_gather_create(core->query, (size_t)rows, &batches->gather);
    if (status < 0) {
        PyMem_Free(batches);
        if (status == FOL_E_VALUE) {
            PyErr_Format(PyExc_ValueError,
                         "batches of %U: only plain data can be joined, and it reads or writes "
                         "objects or Bytes",
                         core->owner_name);
            return -1;
        }
        return fol_py_raise(core->state, status, NULL);
    }
    batches->rows = rows;
    batches->loop = core->batches == NULL ? 0 : core->batches->loop;
    fol_py_batches_destroy(core);
    core->batches = batches;
    return 0;
}

static PyObject *begin_loop(PyObject *query_view, fol_py_query_core *core, Py_ssize_t rows,
                            uint64_t since, uint64_t tick, uint64_t *rows_counter)
{
    if (rows < 1 || rows > FOL_PY_MAX_BATCH_ROWS) {
        PyErr_Format(PyExc_ValueError, "batches of %U: rows must be 1 to %zd, not %zd",
                     core->owner_name, FOL_PY_MAX_BATCH_ROWS, rows);
        return NULL;
    }
    fol_py_batches_close(core);
    if (prepare(core, rows) < 0) {
        return NULL;
    }
    batch_iterator *self = PyObject_GC_New(batch_iterator, core->state->batch_iterator_type);
    if (self == NULL) {
        return NULL;
    }
    self->view = Py_NewRef(query_view);
    self->stamp = fol_py_core_stamp(core);
    self->loop = ++core->batches->loop;
    self->tick = tick;
    self->rows_counter = rows_counter;
    self->position = 0;
    self->is_done = false;
    int status = fol_query_begin(core->query, since, 0, &self->iterator);
    if (status < 0) {
        fol_py_raise(core->state, status, NULL);
        Py_DECREF(self);
        return NULL;
    }
    fol_gather_begin(core->batches->gather);
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

PyObject *fol_py_query_batches(PyObject *query_view, Py_ssize_t rows, uint64_t since, uint64_t tick,
                               uint64_t *rows_counter)
{
    fol_py_query_core *core = fol_py_query_core_of(query_view);
    PyObject *iterator;
    FOL_PY_BEGIN_CRITICAL((PyObject *)core);
    iterator = begin_loop(query_view, core, rows, since, tick, rows_counter);
    FOL_PY_END_CRITICAL();
    return iterator;
}

static int make_room(struct fol_py_batches *batches, uint32_t position)
{
    if (position < batches->chunk_room) {
        return 0;
    }
    uint32_t room = batches->chunk_room == 0 ? 4 : batches->chunk_room * 2;
    PyObject **chunks = PyMem_Realloc(batches->chunks, room * sizeof(*chunks));
    if (chunks == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = batches->chunk_room; i < room; i++) {
        chunks[i] = NULL;
    }
    batches->chunks = chunks;
    batches->chunk_room = room;
    return 0;
}

static PyObject *hand_out(batch_iterator *self, fol_py_query_core *core, const fol_run *run,
                          bool is_joined)
{
    struct fol_py_batches *batches = core->batches;
    if (!is_joined) {
        return fol_py_chunk_take(core, run, self->stamp, self->tick);
    }
    if (make_room(batches, self->position) < 0) {
        return NULL;
    }
    return fol_py_chunk_take_over(core, run, fol_gather_block(batches->gather), self->stamp,
                                  self->tick, &batches->chunks[self->position]);
}

/* AccessError unless this is the loop that goes on. */
static int check_open(const batch_iterator *self, fol_py_query_core *core)
{
    if (fol_py_core_check_live(core, self->stamp) < 0) {
        return -1;
    }
    if (core->batches->loop != self->loop) {
        return fol_py_raise(core->state, FOL_E_ACCESS,
                            "this loop over batches of %U ended when another one began",
                            core->owner_name);
    }
    return 0;
}

static PyObject *next_batch(batch_iterator *self, fol_py_query_core *core)
{
    if (self->is_done) {
        return NULL;
    }
    if (check_open(self, core) < 0) {
        return NULL;
    }
    fol_py_batches_close(core);
    /* Asking may have let other threads go on. */
    if (!fol_py_core_may_go_on(core) || check_open(self, core) < 0) {
        return NULL;
    }
    struct fol_py_batches *batches = core->batches;
    fol_run run;
    bool is_joined = false;
    int status = fol_gather_next(batches->gather, &self->iterator, &run, &is_joined);
    if (status <= 0) {
        self->is_done = status == 0;
        if (status < 0) {
            fol_py_raise(core->state, status, NULL);
        }
        return NULL;
    }
    PyObject *chunk = hand_out(self, core, &run, is_joined);
    if (chunk != NULL) {
        batches->is_open = true;
        batches->tick = self->tick;
        batches->stamp = self->stamp;
        self->position++;
        *self->rows_counter += run.rows;
    }
    return chunk;
}

static PyObject *iterator_next(PyObject *object)
{
    batch_iterator *self = (batch_iterator *)object;
    fol_py_query_core *core = fol_py_query_core_of(self->view);
    PyObject *chunk;
    FOL_PY_BEGIN_CRITICAL((PyObject *)core);
    chunk = next_batch(self, core);
    FOL_PY_END_CRITICAL();
    return chunk;
}

static int iterator_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((batch_iterator *)self)->view);
    return 0;
}

static void iterator_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(((batch_iterator *)self)->view);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot iterator_slots[] = {
    {Py_tp_doc, "Hands out the batches of one loop."},
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "foliot._core._BatchIterator",
    .basicsize = sizeof(batch_iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = iterator_slots,
};

int fol_py_add_batch_types(fol_py_state *state)
{
    return fol_py_add_type(state, &iterator_spec, NULL, &state->batch_iterator_type);
}
