/* `ctx.commands`: recording what happens to the world at the next merge.
 *
 * One object a recording system, used again in every frame. Arguments are converted first and
 * recorded in one step, so a refused command leaves nothing behind. Threads that a system starts
 * may record beside it: a method takes the lock of the context, under which its run ends as well.
 */
#include "bindings/scheduler.h"
#include "bindings/world_object.h"

typedef struct commands_object {
    PyObject_HEAD fol_py_state *state;
    fol_py_context *context; /* borrowed; NULL once its context has gone */
} commands_object;

PyObject *fol_py_commands_new(fol_py_state *state, fol_py_context *context)
{
    PyTypeObject *type = state->scheduler.commands_type;
    commands_object *self = (commands_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
        self->context = context;
    }
    return (PyObject *)self;
}

void fol_py_commands_detach(PyObject *commands)
{
    FOL_PY_BEGIN_CRITICAL(commands);
    ((commands_object *)commands)->context = NULL;
    FOL_PY_END_CRITICAL();
}

/* The context, which stays until the reference is given back; AccessError when it has gone. */
static PyObject *hold_context(commands_object *self)
{
    PyObject *context;
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    context = Py_XNewRef((PyObject *)self->context);
    FOL_PY_END_CRITICAL();
    if (context == NULL) {
        fol_py_raise(self->state, FOL_E_ACCESS,
                     "these commands belong to a scheduler that is closed");
    }
    return context;
}

/* The buffer to record into; AccessError unless the system runs now. */
static fol_commands *buffer_of(commands_object *self)
{
    if (self->context == NULL) {
        fol_py_raise(self->state, FOL_E_ACCESS,
                     "these commands belong to a scheduler that is closed");
        return NULL;
    }
    if (fol_py_context_check(self->context) < 0) {
        return NULL;
    }
    if (self->context->is_in_condition || self->context->task->commands == NULL) {
        fol_py_raise(self->state, FOL_E_ACCESS, "the run condition of `%U` may not record commands",
                     self->context->name);
        return NULL;
    }
    return self->context->task->commands;
}

static int check_status(commands_object *self, int status)
{
    if (status == 0) {
        return 0;
    }
    if (status == FOL_E_CAPACITY) {
        const fol_commands *commands = self->context->task->commands;
        return fol_py_raise(self->state, status,
                            "this command of system `%U` does not fit: Config.%s is %llu, which "
                            "bounds what one run of a system records",
                            self->context->name, fol_commands_full_setting(commands),
                            (unsigned long long)fol_commands_full_limit(commands));
    }
    if (status == FOL_E_VALUE) {
        return fol_py_raise(self->state, status, "a component stands twice in one command");
    }
    return fol_py_raise(self->state, status, NULL);
}

static PyObject *none_or_error(commands_object *self, int status)
{
    return check_status(self, status) < 0 ? NULL : Py_NewRef(Py_None);
}

static int check_count(const char *method, const char *takes, Py_ssize_t count, Py_ssize_t least,
                       Py_ssize_t most)
{
    if (count < least || count > most) {
        PyErr_Format(PyExc_TypeError, "commands.%s takes %s, got %zd arguments", method, takes,
                     count);
        return -1;
    }
    return 0;
}

static PyObject *commands_spawn(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    commands_object *self = (commands_object *)object;
    fol_commands *buffer = buffer_of(self);
    if (buffer == NULL) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_value *values;
    fol_entity entity = 0;
    int failed = fol_py_pack_values(self->state, args, count, &scratch, &values);
    /* Packing may run Python code, and that may have ended the system's turn. */
    if (failed == 0 && (buffer = buffer_of(self)) != NULL) {
        failed = check_status(self, fol_commands_spawn(buffer, values, (size_t)count, &entity));
    }
    fol_py_scratch_release(&scratch);
    return failed < 0 || buffer == NULL ? NULL : fol_py_entity_new(self->state, entity);
}

/* How many to spawn: a number that the world can hold, so that memory is taken for no other. */
static int read_rows(commands_object *self, PyObject *given, Py_ssize_t *out)
{
    /* What is beyond the type becomes its end, which is refused like any other such number. */
    Py_ssize_t rows = PyNumber_AsSsize_t(given, NULL);
    if (rows == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (rows < 0) {
        PyErr_Format(PyExc_ValueError, "commands.spawn_many: count is at least 0, got %R", given);
        return -1;
    }
    if (buffer_of(self) == NULL) {
        return -1;
    }
    uint32_t most = ((fol_py_world_object *)self->context->world)->max_entities;
    if ((size_t)rows > most) {
        return fol_py_raise(self->state, FOL_E_CAPACITY,
                            "%R entities of system `%U` do not fit: Config.max_entities is %u",
                            given, self->context->name, (unsigned)most);
    }
    *out = rows;
    return 0;
}

static PyObject *commands_spawn_many(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    commands_object *self = (commands_object *)object;
    Py_ssize_t rows = 0;
    if (check_count("spawn_many", "a count and columns", count, 1, 2) < 0 ||
        buffer_of(self) == NULL || read_rows(self, args[0], &rows) < 0) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_bulk *bulks = NULL;
    size_t bulk_count = 0;
    fol_entity *ids;
    PyObject *array = NULL;
    bool has_columns = count == 2 && args[1] != Py_None;
    if (!has_columns ||
        fol_py_parse_bulks(self->state, args[1], rows, &scratch, &bulks, &bulk_count) == 0) {
        array = fol_py_entity_array(self->state, rows, &ids);
    }
    fol_commands *buffer = array == NULL ? NULL : buffer_of(self);
    if (buffer == NULL || check_status(self, fol_commands_spawn_many(buffer, (size_t)rows, bulks,
                                                                     bulk_count, ids)) < 0) {
        Py_CLEAR(array);
    }
    fol_py_scratch_release(&scratch);
    return array;
}

static PyObject *commands_despawn(PyObject *object, PyObject *entity)
{
    commands_object *self = (commands_object *)object;
    fol_entity id;
    if (buffer_of(self) == NULL || fol_py_parse_entity(self->state, entity, &id) < 0) {
        return NULL;
    }
    fol_commands *buffer = buffer_of(self);
    return buffer == NULL ? NULL : none_or_error(self, fol_commands_despawn(buffer, id));
}

typedef int (*value_recorder)(fol_commands *commands, fol_entity entity, const fol_value *values,
                              size_t count);

/* add and set: an entity and values. */
static PyObject *record_values(PyObject *object, PyObject *const *args, Py_ssize_t count,
                               const char *method, value_recorder record)
{
    commands_object *self = (commands_object *)object;
    fol_entity entity;
    if (check_count(method, "an entity and at least one value", count, 2, PY_SSIZE_T_MAX) < 0 ||
        buffer_of(self) == NULL || fol_py_parse_entity(self->state, args[0], &entity) < 0) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_value *values;
    PyObject *answer = NULL;
    if (fol_py_pack_values(self->state, args + 1, count - 1, &scratch, &values) == 0) {
        fol_commands *buffer = buffer_of(self);
        if (buffer != NULL) {
            answer = none_or_error(self, record(buffer, entity, values, (size_t)(count - 1)));
        }
    }
    fol_py_scratch_release(&scratch);
    return answer;
}

static PyObject *commands_add(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    return record_values(object, args, count, "add", fol_commands_add);
}

static PyObject *commands_set(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    return record_values(object, args, count, "set", fol_commands_set);
}

static PyObject *commands_remove(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    commands_object *self = (commands_object *)object;
    fol_entity entity;
    if (check_count("remove", "an entity and at least one component", count, 2, PY_SSIZE_T_MAX) <
            0 ||
        buffer_of(self) == NULL || fol_py_parse_entity(self->state, args[0], &entity) < 0) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_component **components;
    PyObject *answer = NULL;
    if (fol_py_parse_components(self->state, args + 1, count - 1, &scratch, &components) == 0) {
        fol_commands *buffer = buffer_of(self);
        if (buffer != NULL) {
            answer = none_or_error(
                self, fol_commands_remove(buffer, entity, components, (size_t)(count - 1)));
        }
    }
    fol_py_scratch_release(&scratch);
    return answer;
}

static PyObject *commands_insert(PyObject *object, PyObject *resource)
{
    commands_object *self = (commands_object *)object;
    if (buffer_of(self) == NULL) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_value value;
    PyObject *answer = NULL;
    if (fol_py_pack_value(self->state, resource, true, &scratch, &value) == 0) {
        fol_commands *buffer = buffer_of(self);
        if (buffer != NULL) {
            answer = none_or_error(self, fol_commands_insert(buffer, &value));
        }
    }
    fol_py_scratch_release(&scratch);
    return answer;
}

static PyObject *commands_add_many(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    commands_object *self = (commands_object *)object;
    if (check_count("add_many", "ids and columns", count, 2, 2) < 0 || buffer_of(self) == NULL) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    const fol_entity *ids;
    Py_ssize_t rows;
    fol_bulk *bulks;
    size_t bulk_count;
    PyObject *answer = NULL;
    if (fol_py_parse_ids(self->state, args[0], &scratch, &ids, &rows) == 0 &&
        fol_py_parse_bulks(self->state, args[1], rows, &scratch, &bulks, &bulk_count) == 0) {
        fol_commands *buffer = buffer_of(self);
        if (buffer != NULL) {
            answer = none_or_error(
                self, fol_commands_add_many(buffer, ids, (size_t)rows, bulks, bulk_count));
        }
    }
    fol_py_scratch_release(&scratch);
    return answer;
}

static PyObject *commands_remove_many(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    commands_object *self = (commands_object *)object;
    if (check_count("remove_many", "ids and at least one component", count, 2, PY_SSIZE_T_MAX) <
            0 ||
        buffer_of(self) == NULL) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    const fol_entity *ids;
    Py_ssize_t rows;
    fol_component **components;
    PyObject *answer = NULL;
    if (fol_py_parse_ids(self->state, args[0], &scratch, &ids, &rows) == 0 &&
        fol_py_parse_components(self->state, args + 1, count - 1, &scratch, &components) == 0) {
        fol_commands *buffer = buffer_of(self);
        if (buffer != NULL) {
            answer = none_or_error(self, fol_commands_remove_many(buffer, ids, (size_t)rows,
                                                                  components, (size_t)(count - 1)));
        }
    }
    fol_py_scratch_release(&scratch);
    return answer;
}

static PyObject *commands_despawn_many(PyObject *object, PyObject *given)
{
    commands_object *self = (commands_object *)object;
    if (buffer_of(self) == NULL) {
        return NULL;
    }
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    const fol_entity *ids;
    Py_ssize_t rows;
    PyObject *answer = NULL;
    if (fol_py_parse_ids(self->state, given, &scratch, &ids, &rows) == 0) {
        fol_commands *buffer = buffer_of(self);
        if (buffer != NULL) {
            answer = none_or_error(self, fol_commands_despawn_many(buffer, ids, (size_t)rows));
        }
    }
    fol_py_scratch_release(&scratch);
    return answer;
}

/* The record of a custom command: (context, fn, world, argument, …), so that fn's arguments stand
 * together. */
static int run_call(void *world, void *argument)
{
    (void)world;
    PyObject *record = argument;
    PyObject **items = PySequence_Fast_ITEMS(record);
    fol_py_context *context = (fol_py_context *)items[0];
    fol_py_world_grant(items[2]);
    PyObject *result =
        PyObject_Vectorcall(items[1], items + 2, (size_t)(PyTuple_GET_SIZE(record) - 2), NULL);
    fol_py_world_revoke(items[2]);
    if (result == NULL) {
        return fol_py_keep_error(context, true);
    }
    Py_DECREF(result);
    return 0;
}

static void drop_call(void *argument)
{
    Py_DECREF((PyObject *)argument);
}

static PyObject *commands_call(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    commands_object *self = (commands_object *)object;
    fol_commands *buffer = buffer_of(self);
    if (buffer == NULL) {
        return NULL;
    }
    if (count < 1 || !PyCallable_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError,
                        "commands.call takes a function and its arguments: fn(world, *args) runs "
                        "at the merge");
        return NULL;
    }
    PyObject *record = PyTuple_New(count + 2);
    if (record == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(record, 0, Py_NewRef((PyObject *)self->context));
    PyTuple_SET_ITEM(record, 1, Py_NewRef(args[0]));
    PyTuple_SET_ITEM(record, 2, Py_NewRef(self->context->world));
    for (Py_ssize_t i = 1; i < count; i++) {
        PyTuple_SET_ITEM(record, i + 2, Py_NewRef(args[i]));
    }
    int status = fol_commands_call(buffer, run_call, drop_call, record, true);
    if (status != 0) {
        Py_DECREF(record);
    }
    return none_or_error(self, status);
}

static Py_ssize_t commands_length(PyObject *object)
{
    PyObject *context = hold_context((commands_object *)object);
    if (context == NULL) {
        return -1;
    }
    Py_ssize_t length;
    FOL_PY_BEGIN_CRITICAL(context);
    fol_commands *buffer = buffer_of((commands_object *)object);
    length = buffer == NULL ? -1 : (Py_ssize_t)fol_commands_recorded(buffer);
    FOL_PY_END_CRITICAL();
    Py_DECREF(context);
    return length;
}

static void commands_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

/* Methods under the lock of the context. */
#define LOCKED_FAST(name)                                                                          \
    static PyObject *locked_##name(PyObject *object, PyObject *const *args, Py_ssize_t count)      \
    {                                                                                              \
        PyObject *context = hold_context((commands_object *)object);                               \
        if (context == NULL) {                                                                     \
            return NULL;                                                                           \
        }                                                                                          \
        PyObject *answer;                                                                          \
        FOL_PY_BEGIN_CRITICAL(context);                                                            \
        answer = commands_##name(object, args, count);                                             \
        FOL_PY_END_CRITICAL();                                                                     \
        Py_DECREF(context);                                                                        \
        return answer;                                                                             \
    }
#define LOCKED_ONE(name)                                                                           \
    static PyObject *locked_##name(PyObject *object, PyObject *argument)                           \
    {                                                                                              \
        PyObject *context = hold_context((commands_object *)object);                               \
        if (context == NULL) {                                                                     \
            return NULL;                                                                           \
        }                                                                                          \
        PyObject *answer;                                                                          \
        FOL_PY_BEGIN_CRITICAL(context);                                                            \
        answer = commands_##name(object, argument);                                                \
        FOL_PY_END_CRITICAL();                                                                     \
        Py_DECREF(context);                                                                        \
        return answer;                                                                             \
    }

LOCKED_FAST(spawn)
LOCKED_FAST(spawn_many)
LOCKED_FAST(add)
LOCKED_FAST(set)
LOCKED_FAST(remove)
LOCKED_FAST(add_many)
LOCKED_FAST(remove_many)
LOCKED_FAST(call)
LOCKED_ONE(despawn)
LOCKED_ONE(insert)
LOCKED_ONE(despawn_many)

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL

static PyMethodDef commands_methods[] = {
    {"spawn", FAST(locked_spawn),
     "spawn($self, /, *values)\n--\n\nA provisional entity, good in later commands of the frame."},
    {"spawn_many", FAST(locked_spawn_many),
     "spawn_many($self, count, columns=None, /)\n--\n\nAn array of provisional entities."},
    {"despawn", locked_despawn, METH_O, "despawn($self, entity, /)\n--\n\nRemove an entity."},
    {"add", FAST(locked_add),
     "add($self, entity, /, *values)\n--\n\nAdd components or overwrite them."},
    {"set", FAST(locked_set), "set($self, entity, /, *values)\n--\n\nOverwrite components it has."},
    {"remove", FAST(locked_remove),
     "remove($self, entity, /, *components)\n--\n\nRemove components."},
    {"insert", locked_insert, METH_O,
     "insert($self, resource, /)\n--\n\nInsert or replace a resource."},
    {"add_many", FAST(locked_add_many),
     "add_many($self, ids, columns, /)\n--\n\nAdd components to many entities."},
    {"remove_many", FAST(locked_remove_many),
     "remove_many($self, ids, /, *components)\n--\n\nRemove components from many entities."},
    {"despawn_many", locked_despawn_many, METH_O,
     "despawn_many($self, ids, /)\n--\n\nRemove many entities."},
    {"call", FAST(locked_call),
     "call($self, fn, /, *args)\n--\n\nCall fn(world, *args) at the merge, alone."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot commands_slots[] = {
    {Py_tp_doc,
     "Records commands, which take effect at the next merge. len() counts those waiting."},
    {Py_tp_dealloc, commands_dealloc},
    {Py_tp_methods, commands_methods},
    {Py_sq_length, commands_length},
    {0, NULL},
};

PyType_Spec fol_py_commands_spec = {
    .name = "foliot._core.Commands",
    .basicsize = sizeof(commands_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = commands_slots,
};
