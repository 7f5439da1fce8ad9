/* World methods about many entities, and queries. */
#include "bindings/world_object.h"

#include "bindings/pack.h"
#include "bindings/query.h"

/* Reads a number of entities, and refuses one that this world never holds before memory is taken
 * for its ids. */
static int read_count(fol_py_world_object *self, PyObject *given, Py_ssize_t *out)
{
    PyObject *number = PyNumber_Index(given);
    if (number == NULL) {
        return -1;
    }
    /* What fits no size is cut to the nearest that does. */
    Py_ssize_t count = PyNumber_AsSsize_t(number, NULL);
    int status = 0;
    if (count < 0) {
        PyErr_Format(PyExc_ValueError, "the number of entities is at least 0, got %S", number);
        status = -1;
    } else if (count > (Py_ssize_t)self->max_entities) {
        status = fol_py_raise(self->state, FOL_E_CAPACITY,
                              "%S entities do not fit: Config.max_entities is %u; nothing was "
                              "changed",
                              number, (unsigned)self->max_entities);
    }
    Py_DECREF(number);
    *out = count;
    return status;
}

static PyObject *world_spawn_many(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    if (count < 1 || count > 2) {
        PyErr_Format(PyExc_TypeError, "spawn_many takes a number and columns, got %zd arguments",
                     count);
        return NULL;
    }
    Py_ssize_t rows;
    if (read_count(self, arguments[0], &rows) < 0) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_bulk *bulks = NULL;
    size_t bulk_count = 0;
    fol_entity *ids;
    int status = -1;
    PyObject *array = fol_py_entity_array(self->state, rows, &ids);
    if (array == NULL ||
        (count == 2 &&
         fol_py_parse_bulks(self->state, arguments[1], rows, &scratch, &bulks, &bulk_count) < 0) ||
        fol_py_world_enter(object) < 0) {
        goto done;
    }
    fol_py_world_touch(self);
    status = fol_world_spawn_many(self->world, (size_t)rows, bulks, bulk_count, ids);
    fol_py_world_leave(object);
    if (status < 0) {
        fol_py_world_raise(self, status, NULL);
    }
done:
    fol_py_scratch_release(&scratch);
    if (status < 0) {
        Py_CLEAR(array);
    }
    return array;
}

/* Ids of a call: as the core takes them, and as they were given where that says more. */
typedef struct call_ids {
    const fol_entity *ids;
    Py_ssize_t rows;
    PyObject *items; /* tuple, or NULL */
} call_ids;

static int parse_ids(fol_py_world_object *self, PyObject *given, fol_py_scratch *scratch,
                     call_ids *out)
{
    return fol_py_parse_listed_ids(self->state, given, scratch, &out->ids, &out->rows, &out->items);
}

/* Raises for a bad place among ids. */
static int raise_bad(fol_py_world_object *self, int status, const call_ids *call, size_t bad,
                     const char *lacking)
{
    if (status != FOL_E_STALE && status != FOL_E_MISSING) {
        return fol_py_world_raise(self, status, NULL);
    }
    /* A number that no entity can have was read as 0. */
    bool is_none = call->ids[bad] == 0 && call->items != NULL;
    PyObject *entity = is_none ? PyNumber_Index(PyTuple_GET_ITEM(call->items, (Py_ssize_t)bad))
                               : fol_py_entity_new(self->state, call->ids[bad]);
    if (entity == NULL) {
        return -1;
    }
    if (status == FOL_E_STALE) {
        fol_py_raise(self->state, status, "%R, at place %zu of the ids, is not alive in this world",
                     entity, bad);
    } else {
        fol_py_raise(self->state, status, "%R, at place %zu of the ids, has no %s", entity, bad,
                     lacking);
    }
    Py_DECREF(entity);
    return -1;
}

static PyObject *world_despawn_many(PyObject *object, PyObject *given)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    call_ids call;
    int status = -1;
    if (parse_ids(self, given, &scratch, &call) == 0 && fol_py_world_enter(object) == 0) {
        size_t bad = 0;
        fol_py_world_touch(self);
        status = fol_world_despawn_many(self->world, call.ids, (size_t)call.rows, &bad);
        fol_py_world_leave(object);
        if (status < 0) {
            raise_bad(self, status, &call, bad, NULL);
        }
    }
    fol_py_scratch_release(&scratch);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *world_add_many(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "add_many takes ids and columns, got %zd arguments", count);
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    call_ids call;
    fol_bulk *bulks;
    size_t bulk_count;
    int status = -1;
    if (parse_ids(self, arguments[0], &scratch, &call) == 0 &&
        fol_py_parse_bulks(self->state, arguments[1], call.rows, &scratch, &bulks, &bulk_count) ==
            0 &&
        fol_py_world_enter(object) == 0) {
        size_t bad = 0;
        fol_py_world_touch(self);
        status =
            fol_world_add_many(self->world, call.ids, (size_t)call.rows, bulks, bulk_count, &bad);
        fol_py_world_leave(object);
        if (status < 0) {
            raise_bad(self, status, &call, bad, NULL);
        }
    }
    fol_py_scratch_release(&scratch);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static const char *name_lacking(fol_world *world, fol_entity id, fol_component *const *components,
                                size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fol_world_has(world, id, components[i]) == 0) {
            return fol_component_name(components[i]);
        }
    }
    return "such component";
}

static PyObject *world_remove_many(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    if (count < 2) {
        PyErr_Format(PyExc_TypeError, "remove_many takes ids and components, got %zd arguments",
                     count);
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    call_ids call;
    fol_component **components;
    size_t component_count = (size_t)count - 1;
    int status = -1;
    if (parse_ids(self, arguments[0], &scratch, &call) == 0 &&
        fol_py_parse_components(self->state, arguments + 1, count - 1, &scratch, &components) ==
            0 &&
        fol_py_world_enter(object) == 0) {
        size_t bad = 0;
        fol_py_world_touch(self);
        status = fol_world_remove_many(self->world, call.ids, (size_t)call.rows, components,
                                       component_count, &bad);
        const char *lacking = status == FOL_E_MISSING ? name_lacking(self->world, call.ids[bad],
                                                                     components, component_count)
                                                      : NULL;
        fol_py_world_leave(object);
        if (status < 0) {
            raise_bad(self, status, &call, bad, lacking);
        }
    }
    fol_py_scratch_release(&scratch);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* Queries. */

static bool is_core_of(const fol_py_query_core *core, const fol_term *terms, size_t count)
{
    if (core == NULL || core->term_count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (core->terms[i].component != terms[i].component ||
            core->terms[i].kind != terms[i].kind) {
            return false;
        }
    }
    return true;
}

/* Raises for a query that could not be made. */
static int raise_query(fol_py_world_object *self, int status, const fol_term *terms, size_t count)
{
    uint64_t columns = 0;
    for (size_t i = 0; i < count; i++) {
        if (terms[i].kind <= FOL_TERM_READ) {
            columns += fol_component_field_count(terms[i].component);
        }
    }
    if (status == FOL_E_VALUE && columns > FOL_MAX_COLUMNS) {
        return fol_py_raise(self->state, status,
                            "world.query() has %llu columns, the fields of all components it reads "
                            "and writes; no query has more than %d columns",
                            (unsigned long long)columns, FOL_MAX_COLUMNS);
    }
    if (status == FOL_E_VALUE) {
        return fol_py_raise(self->state, status, "world.query() has too many terms");
    }
    return fol_py_world_raise(self, status, NULL);
}

static PyObject *make_core(fol_py_world_object *self, const fol_term *terms, size_t count,
                           PyObject *classes)
{
    PyObject *name = PyUnicode_FromString("world.query()");
    if (name == NULL || fol_py_world_enter((PyObject *)self) < 0) {
        Py_XDECREF(name);
        return NULL;
    }
    fol_query *query;
    PyObject *core = NULL;
    int status = fol_query_create(self->world, terms, count, &query);
    if (status == 0) {
        core = fol_py_core_new(self->state, (PyObject *)self, query, true, true, terms, count,
                               classes, name);
        if (core == NULL) {
            fol_query_destroy(query);
        }
    }
    fol_py_world_leave((PyObject *)self);
    Py_DECREF(name);
    if (status < 0) {
        raise_query(self, status, terms, count);
    }
    return core;
}

/* The kept core of some terms, or a new one that is kept from now on. */
static PyObject *find_core(fol_py_world_object *self, const fol_term *terms, size_t count,
                           PyObject *classes)
{
    for (uint32_t i = 0; i < FOL_PY_KEPT_QUERIES; i++) {
        if (is_core_of((fol_py_query_core *)self->cores[i], terms, count)) {
            return Py_NewRef(self->cores[i]);
        }
    }
    PyObject *core = make_core(self, terms, count, classes);
    if (core == NULL) {
        return NULL;
    }
    PyObject **place = &self->cores[self->next_core];
    self->next_core = (self->next_core + 1) % FOL_PY_KEPT_QUERIES;
    PyObject *before = *place;
    ((fol_py_query_core *)core)->owners++;
    *place = Py_NewRef(core);
    if (before != NULL) {
        fol_py_core_disown(before);
    }
    return core;
}

PyObject *fol_py_world_query(PyObject *object, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"reads", "writes", "with_", "without", NULL};
    fol_py_world_object *self = (fol_py_world_object *)object;
    fol_py_terms given = {0};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|$OOOO:query", names, &given.reads,
                                     &given.writes, &given.with, &given.without)) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_term *terms;
    size_t count;
    PyObject *classes;
    PyObject *view = NULL;
    if (fol_py_parse_terms(self->state, &given, &scratch, &terms, &count, &classes) == 0) {
        /* Together, because another query may push the core out of those kept. */
        FOL_PY_BEGIN_CRITICAL(object);
        PyObject *core = find_core(self, terms, count, classes);
        if (core != NULL) {
            view = fol_py_view_over(object, core);
            Py_DECREF(core);
        }
        FOL_PY_END_CRITICAL();
        Py_DECREF(classes);
    }
    fol_py_scratch_release(&scratch);
    return view;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

PyDoc_STRVAR(spawn_many_doc,
             "spawn_many($self, count, columns=None, /)\n--\n\n"
             "Spawn entities with the same components; a numpy array of their ids, (count,) of "
             "u8.\n\n"
             "columns maps a component to its values: a mapping from field to an array of shape "
             "(count, ...) or one value for all; for an unnamed field the array or value itself; a "
             "component value; or None for defaults, which are zeros where there are none.\n\n"
             "Example:\n"
             "    >>> import foliot as fo\n"
             "    >>> Position = fo.component(\"Position\", {\"x\": \"f4\", \"y\": \"f4\"})\n"
             "    >>> world = fo.World()\n"
             "    >>> ids = world.spawn_many(3, {Position: {\"x\": [1, 2, 3], \"y\": 0.5}})\n"
             "    >>> world.get(ids[2], Position)\n"
             "    Position(x=3.0, y=0.5)\n");
PyDoc_STRVAR(despawn_many_doc,
             "despawn_many($self, ids, /)\n--\n\n"
             "Despawn entities; an id given twice counts once.\n\n"
             "Errors: StaleHandleError naming the first id that is not alive; then none is "
             "despawned.\n");
PyDoc_STRVAR(add_many_doc,
             "add_many($self, ids, columns, /)\n--\n\n"
             "Add components to entities, or overwrite them; columns as in spawn_many, in the "
             "order of the ids. Of an id given twice the last values count.\n");
PyDoc_STRVAR(remove_many_doc,
             "remove_many($self, ids, /, *components)\n--\n\n"
             "Take components from entities.\n\n"
             "Errors: StaleHandleError, KeyError naming the first entity that lacks one; then "
             "nothing is taken.\n");

PyMethodDef fol_py_world_bulk_methods[] = {
    {"spawn_many", FAST(world_spawn_many), METH_FASTCALL, spawn_many_doc},
    {"despawn_many", world_despawn_many, METH_O, despawn_many_doc},
    {"add_many", FAST(world_add_many), METH_FASTCALL, add_many_doc},
    {"remove_many", FAST(world_remove_many), METH_FASTCALL, remove_many_doc},
    {NULL, NULL, 0, NULL},
};
