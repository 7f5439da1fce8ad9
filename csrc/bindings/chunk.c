/* Chunks and the cache of their views. */
#include "bindings/chunk.h"

#include "bindings/memory_view.h"
#include "bindings/types.h"

#include <string.h>

typedef struct chunk_object {
    PyObject_VAR_HEAD fol_py_query_core *core;
    uint64_t stamp;
    uint64_t tick;
    fol_run run; /* columns points into slots */
    fol_block *block;
    PyObject *entities;
    void *slots[]; /* a view for each term, then the column pointers */
} chunk_object;

static PyObject **views_of(chunk_object *chunk)
{
    return (PyObject **)chunk->slots;
}

static void drop_views(chunk_object *chunk)
{
    Py_CLEAR(chunk->entities);
    PyObject **views = views_of(chunk);
    for (uint32_t i = 0; i < chunk->core->term_count; i++) {
        Py_CLEAR(views[i]);
    }
}

/* Makes a chunk stand for a run; it must hold no views. */
static void fill_chunk(chunk_object *chunk, const fol_run *run, fol_block *block)
{
    fol_py_query_core *core = chunk->core;
    void **columns = chunk->slots + core->term_count;
    if (core->column_count > 0) {
        memcpy(columns, run->columns, core->column_count * sizeof(*columns));
    }
    chunk->run = *run;
    chunk->run.columns = columns;
    fol_block *before = chunk->block;
    chunk->block = block;
    if (chunk->block != NULL) {
        fol_block_retain(chunk->block);
    }
    if (before != NULL) {
        fol_block_release(before);
    }
}

static bool is_of_run(const chunk_object *chunk, const fol_run *run)
{
    return chunk->run.version == run->version && chunk->run.first == run->first &&
           chunk->run.rows == run->rows;
}

static int make_room(fol_py_query_core *core, uint32_t match)
{
    if (match < core->chunk_room) {
        return 0;
    }
    uint32_t room = core->chunk_room < 8 ? 8 : core->chunk_room * 2;
    room = room <= match ? match + 1 : room;
    PyObject **chunks = PyMem_Realloc(core->chunks, room * sizeof(*chunks));
    if (chunks == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(chunks + core->chunk_room, 0, (room - core->chunk_room) * sizeof(*chunks));
    core->chunks = chunks;
    core->chunk_room = room;
    return 0;
}

PyObject *fol_py_chunk_take_over(fol_py_query_core *core, const fol_run *run, fol_block *block,
                                 uint64_t stamp, uint64_t tick, PyObject **slot)
{
    chunk_object *chunk = (chunk_object *)*slot;
    if (chunk == NULL || !is_of_run(chunk, run)) {
        if (chunk == NULL || !fol_py_is_unshared((PyObject *)chunk)) {
            PyTypeObject *type = core->state->chunk_type;
            Py_ssize_t slots = (Py_ssize_t)core->term_count + (Py_ssize_t)core->column_count;
            chunk_object *fresh = (chunk_object *)type->tp_alloc(type, slots);
            if (fresh == NULL) {
                return NULL;
            }
            fresh->core = (fol_py_query_core *)Py_NewRef((PyObject *)core);
            chunk = fresh;
            Py_XSETREF(*slot, (PyObject *)fresh);
        } else {
            drop_views(chunk);
        }
        fill_chunk(chunk, run, block);
    }
    chunk->stamp = stamp;
    chunk->tick = tick;
    return Py_NewRef((PyObject *)chunk);
}

PyObject *fol_py_chunk_take(fol_py_query_core *core, const fol_run *run, uint64_t stamp,
                            uint64_t tick)
{
    if (make_room(core, run->match) < 0) {
        return NULL;
    }
    return fol_py_chunk_take_over(core, run, fol_query_block(core->query, run), stamp, tick,
                                  &core->chunks[run->match]);
}

/* Subscription. */

static int raise_undeclared(const chunk_object *chunk, PyObject *key)
{
    const fol_py_query_core *core = chunk->core;
    fol_component *component = fol_py_component_of(core->state, key);
    if (component == NULL) {
        return -1;
    }
    const char *name = fol_component_name(component);
    bool is_filter = false;
    for (uint32_t i = 0; i < core->term_count; i++) {
        is_filter = is_filter || core->terms[i].component == component;
    }
    if (fol_component_is_resource(component)) {
        return fol_py_raise(core->state, FOL_E_ACCESS,
                            "%U takes %s from a chunk, but it is a resource: use ctx[%s] or "
                            "world[%s]",
                            core->owner_name, name, name, name);
    }
    return fol_py_raise(core->state, FOL_E_ACCESS,
                        is_filter ? "%U has %s only as a filter: add it to reads or writes"
                                  : "%U does not declare %s: add it to reads or writes",
                        core->owner_name, name);
}

/* The index of the term that gives a component's columns, or -1 with an error. */
static Py_ssize_t find_term(const chunk_object *chunk, PyObject *key)
{
    const fol_py_query_core *core = chunk->core;
    if (fol_py_core_check_live(core, chunk->stamp) < 0) {
        return -1;
    }
    if (fol_py_is_component(core->state, key)) {
        const fol_component *component = ((fol_py_component *)key)->component;
        for (uint32_t i = 0; i < core->term_count; i++) {
            if (core->terms[i].component == component && core->terms[i].first_column >= 0) {
                return (Py_ssize_t)i;
            }
        }
    }
    return raise_undeclared(chunk, key);
}

/* Rows count as changed from the moment their columns are taken for writing. */
static int mark_written(chunk_object *chunk, fol_component *component)
{
    fol_py_query_core *core = chunk->core;
    if (chunk->run.match == FOL_PY_JOINED) {
        return 0; /* Joined rows are marked when they are copied back. */
    }
    if (!core->takes_lock) {
        fol_query_mark(core->query, &chunk->run, component, chunk->tick);
        return 0;
    }
    if (fol_py_world_enter((PyObject *)core->world) < 0) {
        return -1;
    }
    /* Again: from here on nobody moves the rows. */
    int status = fol_py_core_check_live(core, chunk->stamp);
    if (status == 0) {
        fol_query_mark(core->query, &chunk->run, component, chunk->tick);
    }
    fol_py_world_leave((PyObject *)core->world);
    return status;
}

static PyObject *make_view(chunk_object *chunk, uint32_t term)
{
    fol_py_query_core *core = chunk->core;
    fol_py_column_origin origin = {
        .core = core,
        .type = (fol_py_component *)PyTuple_GET_ITEM(core->classes, term),
        .stamp = chunk->stamp,
        .block = chunk->block,
        .rows = (Py_ssize_t)chunk->run.rows,
        .columns = chunk->run.columns + core->terms[term].first_column,
        .is_writable = core->terms[term].kind == FOL_TERM_WRITE,
    };
    fol_component *component = core->terms[term].component;
    if (fol_component_storage(component) != FOL_STORAGE_PLAIN) {
        return fol_py_cells_new(&origin);
    }
    if (core->terms[term].hands_out_stamped) {
        return fol_py_columns_new(&origin);
    }
    return fol_py_column_view(&origin, 0);
}

/* The view of a term, restamped. Borrowed from the chunk. */
static PyObject *take_view(chunk_object *chunk, Py_ssize_t term)
{
    fol_py_query_core *core = chunk->core;
    const fol_py_term *declared = &core->terms[term];
    if (declared->kind == FOL_TERM_WRITE && mark_written(chunk, declared->component) < 0) {
        return NULL;
    }
    PyObject **place = &views_of(chunk)[term];
    if (*place == NULL) {
        PyObject *made = make_view(chunk, (uint32_t)term);
        if (made == NULL) {
            return NULL;
        }
        Py_XSETREF(*place, made);
    } else if (declared->hands_out_stamped) {
        if (Py_IS_TYPE(*place, core->state->columns_type)) {
            fol_py_columns_restamp(*place, chunk->stamp);
        } else {
            fol_py_cells_restamp(*place, chunk->stamp);
        }
    }
    return *place;
}

static PyObject *chunk_subscript(PyObject *self, PyObject *key)
{
    chunk_object *chunk = (chunk_object *)self;
    PyObject *view;
    FOL_PY_BEGIN_CRITICAL((PyObject *)chunk->core);
    Py_ssize_t term = find_term(chunk, key);
    view = term < 0 ? NULL : Py_XNewRef(take_view(chunk, term));
    FOL_PY_END_CRITICAL();
    return view;
}

static int assign_term(chunk_object *chunk, PyObject *key, PyObject *values)
{
    Py_ssize_t term = find_term(chunk, key);
    if (term < 0) {
        return -1;
    }
    fol_py_query_core *core = chunk->core;
    const fol_py_component *type = (fol_py_component *)PyTuple_GET_ITEM(core->classes, term);
    const char *name = fol_component_name(type->component);
    if (values == NULL) {
        PyErr_Format(PyExc_TypeError, "the column of %s cannot be deleted", name);
        return -1;
    }
    if (core->terms[term].kind != FOL_TERM_WRITE) {
        return fol_py_raise_read_only(core, type);
    }
    PyObject *view = Py_XNewRef(take_view(chunk, term));
    if (view == NULL) {
        return -1;
    }
    int status = -1;
    if (!core->terms[term].hands_out_stamped) {
        status = fol_py_column_assign(type, 0, view, values);
    } else if (Py_IS_TYPE(view, core->state->cells_type)) {
        status = fol_py_cells_assign(view, values);
    } else if (view == values) {
        status = 0;
    } else {
        PyErr_Format(PyExc_TypeError, "%s has named fields: assign to chunk[%s].field", name, name);
    }
    Py_DECREF(view);
    return status;
}

static int chunk_assign(PyObject *self, PyObject *key, PyObject *values)
{
    chunk_object *chunk = (chunk_object *)self;
    int status;
    FOL_PY_BEGIN_CRITICAL((PyObject *)chunk->core);
    status = assign_term(chunk, key, values);
    FOL_PY_END_CRITICAL();
    return status;
}

static Py_ssize_t chunk_length(PyObject *self)
{
    return (Py_ssize_t)((chunk_object *)self)->run.rows;
}

static PyObject *take_entities(chunk_object *chunk)
{
    fol_py_query_core *core = chunk->core;
    if (fol_py_core_check_live(core, chunk->stamp) < 0) {
        return NULL;
    }
    if (chunk->entities == NULL) {
        size_t size = chunk->run.rows * sizeof(fol_entity);
        PyObject *shape = Py_BuildValue("(n)", (Py_ssize_t)chunk->run.rows);
        if (shape == NULL) {
            return NULL;
        }
        void *memory = (void *)(uintptr_t)chunk->run.entities;
        PyObject *made = fol_py_array_over(core->state, memory, size, shape,
                                           core->state->entity_dtype, false, chunk->block, NULL);
        Py_DECREF(shape);
        if (made == NULL) {
            return NULL;
        }
        Py_XSETREF(chunk->entities, made);
    }
    return Py_NewRef(chunk->entities);
}

static PyObject *chunk_entities(PyObject *self, void *Py_UNUSED(closure))
{
    chunk_object *chunk = (chunk_object *)self;
    PyObject *entities;
    FOL_PY_BEGIN_CRITICAL((PyObject *)chunk->core);
    entities = take_entities(chunk);
    FOL_PY_END_CRITICAL();
    return entities;
}

static PyObject *chunk_repr(PyObject *self)
{
    chunk_object *chunk = (chunk_object *)self;
    return PyUnicode_FromFormat("<chunk of %U: %zu rows>", chunk->core->owner_name,
                                chunk->run.rows);
}

static int chunk_traverse(PyObject *self, visitproc visit, void *arg)
{
    chunk_object *chunk = (chunk_object *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(chunk->entities);
    if (chunk->core != NULL) {
        PyObject **views = views_of(chunk);
        for (uint32_t i = 0; i < chunk->core->term_count; i++) {
            Py_VISIT(views[i]);
        }
        Py_VISIT(chunk->core);
    }
    return 0;
}

static int chunk_clear(PyObject *self)
{
    chunk_object *chunk = (chunk_object *)self;
    if (chunk->core != NULL) {
        drop_views(chunk);
    }
    return 0;
}

static void chunk_dealloc(PyObject *self)
{
    chunk_object *chunk = (chunk_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (chunk->core != NULL) {
        drop_views(chunk);
    }
    if (chunk->block != NULL) {
        fol_block_release(chunk->block);
    }
    Py_XDECREF(chunk->core);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyGetSetDef chunk_getset[] = {
    {"entities", chunk_entities, NULL, "Ids of the rows: a read-only numpy array of u8, (rows,).",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    chunk_doc,
    "Contiguous rows of one table, handed out by ctx or world.query().\n\n"
    "``chunk[Position].x`` is a numpy view of a field, ``chunk[Mass]`` of an unnamed one, "
    "shape (rows, ...); ``chunk[Text]`` and ``chunk[Note]`` are sequences. Views are "
    "read-only unless the component was declared written. ``len(chunk)`` is the number of "
    "rows.\n\n"
    "A component that was not declared, and any use after the system returned or the world "
    "changed, is an AccessError. Numpy views already taken stay valid memory.\n\n"
    "Example:\n"
    "    >>> import foliot as fo\n"
    "    >>> Mass = fo.component(\"Mass\", \"f8\")\n"
    "    >>> world = fo.World()\n"
    "    >>> ids = world.spawn_many(3, {Mass: [1.0, 2.0, 3.0]})\n"
    "    >>> for chunk in world.query(writes=[Mass]):\n"
    "    ...     chunk[Mass] *= 2\n"
    "    >>> world.get(ids[2], Mass)\n"
    "    Mass(6.0)\n");

static PyType_Slot chunk_slots[] = {
    {Py_tp_doc, (void *)chunk_doc},     {Py_tp_dealloc, chunk_dealloc},
    {Py_tp_traverse, chunk_traverse},   {Py_tp_clear, chunk_clear},
    {Py_tp_repr, chunk_repr},           {Py_tp_getset, chunk_getset},
    {Py_mp_subscript, chunk_subscript}, {Py_mp_ass_subscript, chunk_assign},
    {Py_mp_length, chunk_length},       {0, NULL},
};

static PyType_Spec chunk_spec = {
    .name = "foliot.Chunk",
    .basicsize = sizeof(chunk_object),
    .itemsize = sizeof(void *),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = chunk_slots,
};

int fol_py_add_chunk_type(fol_py_state *state)
{
    return fol_py_add_type(state, &chunk_spec, NULL, &state->chunk_type);
}
