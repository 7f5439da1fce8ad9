/* Cores, views and iterators of queries. */
#include "bindings/query.h"

#include "bindings/batch.h"
#include "bindings/chunk.h"
#include "bindings/types.h"

#include <string.h>

typedef struct view_object {
    PyObject_HEAD PyObject *world;
    fol_py_query_core *core;
} view_object;

typedef struct iterator_object {
    PyObject_HEAD PyObject *view;
    uint64_t stamp;
    uint64_t tick;
    uint64_t *rows_counter;
    bool is_done;
    fol_query_iterator iterator;
} iterator_object;

int fol_py_core_raise_stale(const fol_py_query_core *core, uint64_t stamp)
{
    if (core->world == NULL) {
        return fol_py_raise(core->state, FOL_E_ACCESS, "the world that %U went over is gone",
                            core->owner_name);
    }
    if (core->takes_lock || fol_py_core_stamp(core) - stamp < FOL_PY_STAMP_STEP) {
        return fol_py_raise(core->state, FOL_E_ACCESS,
                            "the world changed since %U handed this out: query again, and change "
                            "the world after the loop",
                            core->owner_name);
    }
    return fol_py_core_raise_returned(core);
}

int fol_py_core_raise_returned(const fol_py_query_core *core)
{
    return fol_py_raise(core->state, FOL_E_ACCESS, "ctx of %U was used after the system returned",
                        core->owner_name);
}

/* Cores. */

static int fill_terms(fol_py_query_core *core, const fol_term *terms, size_t count)
{
    core->terms = PyMem_Calloc(count == 0 ? 1 : count, sizeof(*core->terms));
    if (core->terms == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    core->term_count = (uint32_t)count;
    core->column_count = fol_query_column_count(core->query);
    for (size_t i = 0; i < count; i++) {
        const fol_component *component = terms[i].component;
        fol_py_term *term = &core->terms[i];
        term->component = terms[i].component;
        term->kind = terms[i].kind;
        term->first_column = -1;
        if (terms[i].kind <= FOL_TERM_READ && !fol_component_is_resource(component)) {
            bool is_written;
            int column = fol_query_column_of(core->query, component, &is_written);
            /* A tag has no column, and still may be taken. */
            term->first_column = column < 0 ? 0 : column;
        }
        bool is_unnamed = fol_component_field_count(component) == 1 &&
                          fol_component_field(component, 0)->name[0] == '\0';
        term->hands_out_stamped =
            !is_unnamed || fol_component_storage(component) != FOL_STORAGE_PLAIN;
    }
    return 0;
}

PyObject *fol_py_core_new(fol_py_state *state, PyObject *world, fol_query *query, bool is_owned,
                          bool takes_lock, const fol_term *terms, size_t count, PyObject *classes,
                          PyObject *owner_name)
{
    PyTypeObject *type = state->query_core_type;
    fol_py_query_core *core = (fol_py_query_core *)type->tp_alloc(type, 0);
    fol_py_orphan *orphan = is_owned ? PyMem_Malloc(sizeof(*orphan)) : NULL;
    if (core == NULL || (is_owned && orphan == NULL)) {
        Py_XDECREF(core);
        PyMem_Free(orphan);
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        return NULL;
    }
    core->state = state;
    core->world = (fol_py_world_object *)world;
    core->query = query;
    core->takes_lock = takes_lock;
    core->owner_name = Py_NewRef(owner_name);
    core->classes = Py_NewRef(classes);
    if (fill_terms(core, terms, count) < 0) {
        core->query = NULL;
        PyMem_Free(orphan);
        Py_DECREF(core);
        return NULL;
    }
    core->orphan = orphan;
    return (PyObject *)core;
}

static void forget_chunks(fol_py_query_core *core)
{
    for (uint32_t i = 0; i < core->chunk_room; i++) {
        Py_CLEAR(core->chunks[i]);
    }
    fol_py_batches_forget(core);
}

/* After this nothing handed out works, and no world is needed any more. */
static void detach(fol_py_query_core *core)
{
    fol_py_world_object *world = core->world;
    atomic_store_explicit(&core->own_stamp, FOL_PY_NEVER_LIVE, memory_order_relaxed);
    core->world = NULL;
    fol_py_batches_destroy(core);
    if (core->orphan != NULL) {
        core->orphan->query = core->query;
        fol_py_world_orphan(world, core->orphan);
        core->orphan = NULL;
    }
    core->query = NULL;
    forget_chunks(core);
}

void fol_py_core_disown(PyObject *object)
{
    fol_py_query_core *core = (fol_py_query_core *)object;
    FOL_PY_BEGIN_CRITICAL(object);
    if (--core->owners == 0) {
        detach(core);
    }
    FOL_PY_END_CRITICAL();
    Py_DECREF(core);
}

static int core_traverse(PyObject *self, visitproc visit, void *arg)
{
    fol_py_query_core *core = (fol_py_query_core *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(core->classes);
    for (uint32_t i = 0; i < core->chunk_room; i++) {
        Py_VISIT(core->chunks[i]);
    }
    return fol_py_batches_traverse(core, visit, arg);
}

static int core_clear(PyObject *self)
{
    forget_chunks((fol_py_query_core *)self);
    return 0;
}

static void core_dealloc(PyObject *self)
{
    fol_py_query_core *core = (fol_py_query_core *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    forget_chunks(core);
    PyMem_Free(core->chunks);
    PyMem_Free(core->terms);
    Py_XDECREF(core->classes);
    Py_XDECREF(core->owner_name);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Views. */

PyObject *fol_py_view_over(PyObject *world, PyObject *core)
{
    PyTypeObject *type = ((fol_py_query_core *)core)->state->query_type;
    view_object *view = (view_object *)type->tp_alloc(type, 0);
    if (view == NULL) {
        return NULL;
    }
    view->world = Py_NewRef(world);
    view->core = (fol_py_query_core *)Py_NewRef(core);
    FOL_PY_BEGIN_CRITICAL(core);
    view->core->owners++;
    FOL_PY_END_CRITICAL();
    return (PyObject *)view;
}

PyObject *fol_py_query_wrap(fol_py_state *state, PyObject *world, fol_query *query, bool is_owned,
                            const fol_term *terms, size_t count, PyObject *classes,
                            PyObject *owner_name)
{
    PyObject *core =
        fol_py_core_new(state, world, query, is_owned, false, terms, count, classes, owner_name);
    if (core == NULL) {
        return NULL;
    }
    PyObject *view = fol_py_view_over(world, core);
    if (view == NULL && is_owned) {
        /* The query stays the caller's when the call fails. */
        PyMem_Free(((fol_py_query_core *)core)->orphan);
    }
    Py_DECREF(core);
    return view;
}

fol_py_query_core *fol_py_query_core_of(PyObject *query_view)
{
    return ((view_object *)query_view)->core;
}

void fol_py_query_invalidate(PyObject *query_view)
{
    fol_py_query_core *core = fol_py_query_core_of(query_view);
    /* The lock keeps a thread of the system that is in its loop from going on. */
    FOL_PY_BEGIN_CRITICAL((PyObject *)core);
    fol_py_batches_close(core);
    atomic_fetch_add_explicit(&core->own_stamp, FOL_PY_STAMP_STEP, memory_order_relaxed);
    FOL_PY_END_CRITICAL();
}

void fol_py_query_forget(PyObject *query_view)
{
    forget_chunks(fol_py_query_core_of(query_view));
}

static int view_traverse(PyObject *self, visitproc visit, void *arg)
{
    view_object *view = (view_object *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(view->world);
    Py_VISIT(view->core);
    return 0;
}

static void view_dealloc(PyObject *self)
{
    view_object *view = (view_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (view->core != NULL) {
        fol_py_core_disown((PyObject *)view->core);
    }
    Py_XDECREF(view->world);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Iterators. */

static int raise_begin(fol_py_query_core *core, int status)
{
    const fol_component *missing = status == FOL_E_MISSING ? fol_query_missing(core->query) : NULL;
    if (missing == NULL) {
        return fol_py_raise(core->state, status, NULL);
    }
    const char *name = fol_component_name(missing);
    return fol_py_raise(core->state, status, "%U needs %s, which was never inserted into the world",
                        core->owner_name, name);
}

static PyObject *begin_loop(PyObject *query_view, fol_py_query_core *core, uint64_t since,
                            uint64_t tick, uint64_t *rows_counter)
{
    fol_py_batches_close(core);
    iterator_object *iterator = PyObject_GC_New(iterator_object, core->state->chunk_iterator_type);
    if (iterator == NULL) {
        return NULL;
    }
    iterator->view = Py_NewRef(query_view);
    iterator->rows_counter = rows_counter;
    iterator->is_done = false;
    int status = 0;
    if (core->takes_lock && fol_py_world_enter((PyObject *)core->world) < 0) {
        Py_DECREF(iterator);
        return NULL;
    }
    iterator->stamp = fol_py_core_stamp(core);
    iterator->tick = core->takes_lock ? fol_world_tick(core->world->world) : tick;
    status = fol_query_begin(core->query, since, 0, &iterator->iterator);
    if (status < 0) {
        raise_begin(core, status);
    }
    if (core->takes_lock) {
        fol_py_world_leave((PyObject *)core->world);
    }
    if (status < 0) {
        Py_DECREF(iterator);
        return NULL;
    }
    PyObject_GC_Track((PyObject *)iterator);
    return (PyObject *)iterator;
}

PyObject *fol_py_query_chunks(PyObject *query_view, uint64_t since, uint64_t tick,
                              uint64_t *rows_counter)
{
    fol_py_query_core *core = fol_py_query_core_of(query_view);
    PyObject *iterator;
    FOL_PY_BEGIN_CRITICAL((PyObject *)core);
    iterator = begin_loop(query_view, core, since, tick, rows_counter);
    FOL_PY_END_CRITICAL();
    return iterator;
}

/* The chunk of the next run, if there is one, while nobody changes the world. */
static PyObject *take_chunk(iterator_object *iterator, fol_py_query_core *core)
{
    fol_run run;
    PyObject *chunk = NULL;
    if (fol_query_next(&iterator->iterator, &run)) {
        chunk = fol_py_chunk_take(core, &run, iterator->stamp, iterator->tick);
        if (chunk != NULL && iterator->rows_counter != NULL) {
            *iterator->rows_counter += run.rows;
        }
    } else {
        iterator->is_done = true;
    }
    return chunk;
}

static PyObject *next_chunk(iterator_object *iterator, fol_py_query_core *core)
{
    if (iterator->is_done) {
        return NULL;
    }
    if (fol_py_core_check_live(core, iterator->stamp) < 0 || !fol_py_core_may_go_on(core)) {
        return NULL;
    }
    if (core->takes_lock && fol_py_world_enter((PyObject *)core->world) < 0) {
        return NULL;
    }
    /* Again: asking may have let other threads go on, and so may have waiting for the world. */
    PyObject *chunk = NULL;
    if (fol_py_core_check_live(core, iterator->stamp) == 0) {
        chunk = take_chunk(iterator, core);
    }
    if (core->takes_lock) {
        fol_py_world_leave((PyObject *)core->world);
    }
    return chunk;
}

static PyObject *iterator_next(PyObject *self)
{
    iterator_object *iterator = (iterator_object *)self;
    fol_py_query_core *core = fol_py_query_core_of(iterator->view);
    PyObject *chunk;
    FOL_PY_BEGIN_CRITICAL((PyObject *)core);
    chunk = next_chunk(iterator, core);
    FOL_PY_END_CRITICAL();
    return chunk;
}

static int iterator_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((iterator_object *)self)->view);
    return 0;
}

static void iterator_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(((iterator_object *)self)->view);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* What `for chunk in world.query(…)` calls; a frame's views are iterated through ctx. */
static PyObject *view_iterate(PyObject *self)
{
    return fol_py_query_chunks(self, 0, 0, NULL);
}

static PyObject *view_repr(PyObject *self)
{
    fol_py_query_core *core = fol_py_query_core_of(self);
    return PyUnicode_FromFormat("<query of %U: %R>", core->owner_name, core->classes);
}

static PyType_Slot core_slots[] = {
    {Py_tp_doc, "What a query and its chunks share."},
    {Py_tp_dealloc, core_dealloc},
    {Py_tp_traverse, core_traverse},
    {Py_tp_clear, core_clear},
    {0, NULL},
};

static PyType_Spec core_spec = {
    .name = "foliot._core._QueryCore",
    .basicsize = sizeof(fol_py_query_core),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = core_slots,
};

static PyType_Slot view_slots[] = {
    {Py_tp_doc, "An iterable of chunks; each loop over it starts anew."},
    {Py_tp_dealloc, view_dealloc},
    {Py_tp_traverse, view_traverse},
    {Py_tp_iter, view_iterate},
    {Py_tp_repr, view_repr},
    {0, NULL},
};

static PyType_Spec view_spec = {
    .name = "foliot._core.QueryView",
    .basicsize = sizeof(view_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = view_slots,
};

static PyType_Slot iterator_slots[] = {
    {Py_tp_doc, "Hands out the chunks of one loop."},
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "foliot._core.ChunkIterator",
    .basicsize = sizeof(iterator_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = iterator_slots,
};

int fol_py_add_query_types(fol_py_state *state)
{
    if (fol_py_add_type(state, &core_spec, NULL, &state->query_core_type) < 0 ||
        fol_py_add_type(state, &view_spec, NULL, &state->query_type) < 0) {
        return -1;
    }
    return fol_py_add_type(state, &iterator_spec, NULL, &state->chunk_iterator_type);
}
