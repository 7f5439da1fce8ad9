/* fo.World: its life, who holds it, and what the collector sees of it. */
#include "bindings/world_object.h"

#include "bindings/query.h"
#include "bindings/types.h"

#include <structmember.h>

/* Who holds the world. */

static bool is_granted_here(const fol_py_world_object *self)
{
    unsigned long granted = atomic_load_explicit(&self->granted_to, memory_order_relaxed);
    return granted != 0 && granted == PyThread_get_thread_ident();
}

/* Enters without raising: false when somebody else is in. */
static bool try_enter(fol_py_world_object *self)
{
    if (is_granted_here(self)) {
        if (self->is_inside) {
            return false;
        }
        self->is_inside = true;
    } else if (fol_world_lock(self->world) < 0) {
        return false;
    }
    atomic_fetch_add_explicit(&self->in_use, 1, memory_order_relaxed);
    return true;
}

static void destroy_orphans(fol_py_world_object *self)
{
    /* Acquire pairs with the release in fol_py_world_orphan: the lists' links are seen whole. */
    fol_py_orphan *next = atomic_exchange_explicit(&self->orphans, NULL, memory_order_acquire);
    while (next != NULL) {
        fol_py_orphan *gone = next;
        next = gone->next;
        fol_query_destroy(gone->query);
        PyMem_Free(gone);
    }
}

int fol_py_world_enter(PyObject *world)
{
    fol_py_world_object *self = (fol_py_world_object *)world;
    if (!try_enter(self)) {
        return fol_py_raise(self->state, FOL_E_BUSY,
                            "the world is in use by a running frame, another thread or an "
                            "unfinished call; in a system, record the change in ctx.commands");
    }
    if (atomic_load_explicit(&self->orphans, memory_order_relaxed) != NULL) {
        destroy_orphans(self);
    }
    return 0;
}

void fol_py_world_leave(PyObject *world)
{
    fol_py_world_object *self = (fol_py_world_object *)world;
    atomic_fetch_sub_explicit(&self->in_use, 1, memory_order_relaxed);
    if (is_granted_here(self)) {
        self->is_inside = false;
    } else {
        fol_world_unlock(self->world);
    }
}

void fol_py_world_orphan(fol_py_world_object *self, fol_py_orphan *orphan)
{
    if (try_enter(self)) {
        fol_query_destroy(orphan->query);
        PyMem_Free(orphan);
        fol_py_world_leave((PyObject *)self);
        return;
    }
    orphan->next = atomic_load_explicit(&self->orphans, memory_order_relaxed);
    /* Release pairs with the acquire in destroy_orphans. Bounded by contention. */
    while (!atomic_compare_exchange_weak_explicit(&self->orphans, &orphan->next, orphan,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

void fol_py_world_begin_frame(PyObject *world)
{
    fol_py_world_object *self = (fol_py_world_object *)world;
    atomic_fetch_add_explicit(&self->in_use, 1, memory_order_relaxed);
    /* While a frame of another scheduler has the world, this one is refused, and that one's chunks
     * are to go on. */
    if (fol_world_lock(self->world) == 0) {
        fol_py_world_touch(self);
        fol_world_unlock(self->world);
    }
}

void fol_py_world_end_frame(PyObject *world, bool has_run)
{
    fol_py_world_object *self = (fol_py_world_object *)world;
    if (has_run) {
        fol_py_world_touch(self);
    }
    atomic_fetch_sub_explicit(&self->in_use, 1, memory_order_relaxed);
}

void fol_py_world_grant(PyObject *world)
{
    fol_py_world_object *self = (fol_py_world_object *)world;
    self->is_inside = false;
    fol_py_world_touch(self);
    atomic_store_explicit(&self->granted_to, PyThread_get_thread_ident(), memory_order_relaxed);
}

void fol_py_world_revoke(PyObject *world)
{
    fol_py_world_object *self = (fol_py_world_object *)world;
    atomic_store_explicit(&self->granted_to, 0, memory_order_relaxed);
    fol_py_world_touch(self);
}

fol_world *fol_py_world(PyObject *world)
{
    return ((fol_py_world_object *)world)->world;
}

PyObject *fol_py_world_config(PyObject *world)
{
    return ((fol_py_world_object *)world)->config;
}

bool fol_py_is_world(const fol_py_state *state, PyObject *object)
{
    return PyObject_TypeCheck(object, state->world_type);
}

/* Errors of calls. */

static int raise_full(fol_py_world_object *self)
{
    return fol_py_raise(
        self->state, FOL_E_CAPACITY, "the world is full: Config.%s is %llu; nothing was changed",
        fol_world_full_setting(self->world), (unsigned long long)fol_world_full_limit(self->world));
}

int fol_py_world_raise(fol_py_world_object *self, int status, PyObject *entity)
{
    if (status == FOL_E_CAPACITY) {
        return raise_full(self);
    }
    if (status == FOL_E_STALE && entity != NULL) {
        return fol_py_raise(self->state, status, "%R is not alive in this world", entity);
    }
    if (status == FOL_E_MISSING && entity != NULL) {
        return fol_py_raise(self->state, status, "%R lacks a component that the call names",
                            entity);
    }
    return fol_py_raise(self->state, status, NULL);
}

/* Life. */

static int read_limit(PyObject *config, PyObject *name, uint32_t *out)
{
    PyObject *value = PyObject_GetAttr(config, name);
    if (value == NULL) {
        return -1;
    }
    unsigned long limit = PyLong_AsUnsignedLong(value);
    Py_DECREF(value);
    if (PyErr_Occurred()) {
        return -1;
    }
    *out = limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
    return 0;
}

static int check_config(fol_py_state *state, PyObject **config)
{
    if (*config == Py_None) {
        *config = PyObject_CallNoArgs(state->config_type);
        return *config == NULL ? -1 : 0;
    }
    if (!PyObject_TypeCheck(*config, (PyTypeObject *)state->config_type)) {
        PyErr_Format(PyExc_TypeError, "config is a foliot.Config, got %R", *config);
        return -1;
    }
    Py_INCREF(*config);
    return 0;
}

static PyObject *world_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"config", NULL};
    fol_py_state *state = fol_py_state_of(type);
    PyObject *config = Py_None;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:World", names, &config) ||
        check_config(state, &config) < 0) {
        return NULL;
    }
    fol_world_config limits;
    fol_py_world_object *self = NULL;
    if (read_limit(config, state->names[FOL_PY_NAME_max_entities], &limits.max_entities) == 0 &&
        read_limit(config, state->names[FOL_PY_NAME_max_components], &limits.max_components) == 0 &&
        read_limit(config, state->names[FOL_PY_NAME_max_tables], &limits.max_tables) == 0) {
        self = (fol_py_world_object *)type->tp_alloc(type, 0);
    }
    if (self == NULL) {
        Py_DECREF(config);
        return NULL;
    }
    self->state = state;
    self->config = config;
    self->max_entities = limits.max_entities;
    int status = fol_world_create(&limits, &self->world);
    if (status < 0) {
        fol_py_raise(state, status, "no world can be made of %R", config);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Ends the world's ownership of the queries it keeps. */
static void disown_queries(fol_py_world_object *self)
{
    for (uint32_t i = 0; i < FOL_PY_KEPT_QUERIES; i++) {
        PyObject *core = self->cores[i];
        self->cores[i] = NULL;
        if (core != NULL) {
            fol_py_core_disown(core);
        }
    }
}

static int visit_object(void *object, void *argument)
{
    void **both = argument;
    visitproc visit = *(visitproc *)both[0];
    return object == NULL ? 0 : visit(object, both[1]);
}

static int world_traverse(PyObject *object, visitproc visit, void *arg)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->config);
    for (uint32_t i = 0; i < FOL_PY_KEPT_QUERIES; i++) {
        Py_VISIT(self->cores[i]);
    }
    if (self->world == NULL || atomic_load_explicit(&self->in_use, memory_order_relaxed) != 0) {
        return 0;
    }
    void *both[] = {&visit, arg};
    return fol_world_visit_objects(self->world, visit_object, both);
}

static int world_clear(PyObject *object)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    disown_queries(self);
    if (self->world != NULL && try_enter(self)) {
        fol_world_clear_objects(self->world);
        fol_py_world_leave(object);
    }
    return 0;
}

static void world_dealloc(PyObject *object)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    if (self->world != NULL) {
        disown_queries(self);
        destroy_orphans(self);
        fol_world_destroy(self->world);
    }
    Py_XDECREF(self->config);
    type->tp_free(object);
    Py_DECREF(type);
}

/* What the world as a whole answers. */

static PyObject *world_digest(PyObject *object, PyObject *Py_UNUSED(unused))
{
    uint8_t digest[16];
    if (fol_py_world_enter(object) < 0) {
        return NULL;
    }
    fol_world_digest(fol_py_world(object), digest);
    fol_py_world_leave(object);
    char text[2 * sizeof(digest)];
    for (size_t i = 0; i < sizeof(digest); i++) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    return PyUnicode_FromStringAndSize(text, sizeof(text));
}

static Py_ssize_t world_length(PyObject *object)
{
    if (fol_py_world_enter(object) < 0) {
        return -1;
    }
    uint32_t count = fol_world_entity_count(fol_py_world(object));
    fol_py_world_leave(object);
    return (Py_ssize_t)count;
}

/* A world is true even when it is empty. */
static int world_truth(PyObject *Py_UNUSED(object))
{
    return 1;
}

static int world_contains(PyObject *object, PyObject *entity)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    fol_entity id;
    if (fol_py_parse_entity(self->state, entity, &id) < 0) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    if (fol_py_world_enter(object) < 0) {
        return -1;
    }
    bool is_alive = fol_world_is_alive(self->world, id);
    fol_py_world_leave(object);
    return is_alive;
}

static PyObject *world_repr(PyObject *object)
{
    fol_py_world_object *self = (fol_py_world_object *)object;
    if (!try_enter(self)) {
        return PyUnicode_FromFormat("<%s in use>", Py_TYPE(object)->tp_name);
    }
    uint32_t count = fol_world_entity_count(self->world);
    fol_py_world_leave(object);
    return PyUnicode_FromFormat("<%s of %u entities>", Py_TYPE(object)->tp_name, (unsigned)count);
}

PyDoc_STRVAR(digest_doc,
             "digest($self)\n--\n\n"
             "128 bits over all plain data and bytes, as 32 hexadecimal digits.\n\n"
             "Worlds with the same entities, values and resources have the same digest, whatever "
             "the order they came in; Python objects do not count.\n\n"
             "Example:\n"
             "    >>> import foliot as fo\n"
             "    >>> fo.World().digest() == fo.World().digest()\n"
             "    True\n");
PyDoc_STRVAR(insert_doc,
             "insert($self, resource, /)\n--\n\n"
             "Insert or replace the one value of a resource: a resource value, or any object, "
             "which then is the resource of its class.\n\n"
             "Example:\n"
             "    >>> import foliot as fo\n"
             "    >>> Gravity = fo.resource(\"Gravity\", {\"g\": \"f8\"})\n"
             "    >>> world = fo.World()\n"
             "    >>> world.insert(Gravity(g=1.5))\n"
             "    >>> world[Gravity].g\n"
             "    1.5\n");
PyDoc_STRVAR(query_doc,
             "query($self, *, reads=(), writes=(), with_=(), without=())\n--\n\n"
             "An iterable of the chunks that have every component of reads, writes and with_, and "
             "none of without; with no terms, of every table.\n\n"
             "Changing the world's structure ends the loop with an AccessError: collect first.\n\n"
             "Example:\n"
             "    >>> import foliot as fo\n"
             "    >>> Mass = fo.component(\"Mass\", \"f8\")\n"
             "    >>> world = fo.World()\n"
             "    >>> ids = world.spawn_many(2, {Mass: 1.0})\n"
             "    >>> sum(len(chunk) for chunk in world.query(reads=[Mass]))\n"
             "    2\n");

static PyMethodDef world_methods[] = {
    {"digest", world_digest, METH_NOARGS, digest_doc},
    {"insert", fol_py_world_insert, METH_O, insert_doc},
    {"query", (PyCFunction)(void (*)(void))fol_py_world_query, METH_VARARGS | METH_KEYWORDS,
     query_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef world_members[] = {
    {"config", T_OBJECT, offsetof(fol_py_world_object, config), READONLY,
     "The Config the world was made with."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(fol_py_world_object, weak_references), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(world_doc,
             "World(config=None)\n--\n\n"
             "Entities, their components, and resources.\n\n"
             "One thread at a time may call it, and none while a frame runs: WorldBusyError, with "
             "nothing changed. A call that raises has changed nothing. A dead or reused id is a "
             "StaleHandleError, a component the entity lacks a KeyError, and a full world a "
             "CapacityError that names the setting of Config.\n\n"
             "Example:\n"
             "    >>> import foliot as fo\n"
             "    >>> Position = fo.component(\"Position\", {\"x\": \"f4\", \"y\": \"f4\"})\n"
             "    >>> world = fo.World()\n"
             "    >>> entity = world.spawn(Position(x=1, y=2))\n"
             "    >>> world.get(entity, Position)\n"
             "    Position(x=1.0, y=2.0)\n"
             "    >>> entity in world, len(world)\n"
             "    (True, 1)\n");

static PyType_Slot world_slots[] = {
    {Py_tp_doc, (void *)world_doc},
    {Py_tp_new, world_new},
    {Py_tp_dealloc, world_dealloc},
    {Py_tp_traverse, world_traverse},
    {Py_tp_clear, world_clear},
    {Py_tp_repr, world_repr},
    {Py_tp_methods, world_methods},
    {Py_tp_members, world_members},
    {Py_mp_length, world_length},
    {Py_mp_subscript, fol_py_world_item},
    {Py_nb_bool, world_truth},
    {Py_sq_contains, world_contains},
    {0, NULL},
};

static PyType_Spec world_spec = {
    .name = "foliot.World",
    .basicsize = sizeof(fol_py_world_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = world_slots,
};

/* The methods of the other files join the type here: one PyMethodDef table would be one long file.
 */
static int add_methods(fol_py_state *state, PyMethodDef *methods)
{
    for (PyMethodDef *method = methods; method->ml_name != NULL; method++) {
        PyObject *descriptor = PyDescr_NewMethod(state->world_type, method);
        if (descriptor == NULL || PyObject_SetAttrString((PyObject *)state->world_type,
                                                         method->ml_name, descriptor) < 0) {
            Py_XDECREF(descriptor);
            return -1;
        }
        Py_DECREF(descriptor);
    }
    return 0;
}

int fol_py_add_world_type(fol_py_state *state)
{
    if (fol_py_add_type(state, &world_spec, NULL, &state->world_type) < 0 ||
        add_methods(state, fol_py_world_entity_methods) < 0) {
        return -1;
    }
    return add_methods(state, fol_py_world_bulk_methods);
}
