/* `ctx`: what a running system may touch.
 *
 * Views of queries are made when first asked for and kept for later frames. Whatever a view handed
 * out is ended when the function returns; numpy arrays taken from it stay valid memory.
 *
 * Threads that a system starts may use its context while it runs. What Python calls takes the
 * context's lock, under which the task is set and taken back as well.
 */
#include "bindings/batch.h"
#include "bindings/io.h"
#include "bindings/scheduler.h"

/* Rows that make the cost of a numpy call small against its work. */
#define DEFAULT_BATCH_ROWS 16384

int fol_py_context_check(const fol_py_context *context)
{
    if (context->task == NULL) {
        return fol_py_raise(
            context->state, FOL_E_ACCESS,
            "the context of `%U` is used outside its system: it works only while the "
            "system runs",
            context->name);
    }
    return 0;
}

void fol_py_context_end_use(fol_py_context *context)
{
    context->is_looked_at = false;
    for (size_t i = 0; i < context->query_count; i++) {
        if (context->queries[i].view != NULL) {
            fol_py_query_invalidate(context->queries[i].view);
        }
    }
}

/* The view of a query, borrowed. */
static PyObject *view_of(fol_py_context *self, size_t index)
{
    fol_py_bound_query *query = &self->queries[index];
    if (query->view == NULL) {
        PyObject *owner = PyUnicode_FromFormat("system `%U`", self->name);
        if (owner == NULL) {
            return NULL;
        }
        query->view = fol_py_query_wrap(self->state, self->world, self->task->queries[index], false,
                                        query->terms, query->count, query->classes, owner);
        Py_DECREF(owner);
        if (query->view != NULL) {
            fol_py_query_core *core = fol_py_query_core_of(query->view);
            core->may_go_on = fol_py_budget_may_go_on;
            core->context = self;
        }
    }
    if (query->view != NULL) {
        self->is_looked_at = true;
    }
    return query->view;
}

/* KeyError naming the first resource of the system that the world lacks. */
static int check_resources(fol_py_context *self)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (self->resources != NULL && PyDict_Next(self->resources, &position, &key, &value)) {
        fol_component *component = fol_py_component_of(self->state, key);
        /* Looking for it may have run Python code, and meanwhile the system may have returned. */
        if (component == NULL || fol_py_context_check(self) < 0) {
            return -1;
        }
        if (fol_world_resource(self->task->world, component) == NULL) {
            return fol_py_raise(self->state, FOL_E_MISSING,
                                "system `%U` uses the resource %s, which the world does not have: "
                                "insert it first",
                                self->name, fol_component_name(component));
        }
    }
    return 0;
}

static PyObject *chunks_of(fol_py_context *self, size_t index)
{
    PyObject *view = view_of(self, index);
    if (view == NULL || check_resources(self) < 0) {
        return NULL;
    }
    fol_task *task = self->task;
    return fol_py_query_chunks(view, task->since, task->tick, &task->rows);
}

static PyObject *iterate(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    return fol_py_context_check(self) < 0 ? NULL : chunks_of(self, 0);
}

/* The index of a query by name, or -1 with an error. Comparing names may run Python code, and
 * meanwhile the system may return. */
static Py_ssize_t find_query(fol_py_context *self, PyObject *name)
{
    for (size_t i = 1; i < self->query_count; i++) {
        int is_same = PyObject_RichCompareBool(self->queries[i].name, name, Py_EQ);
        if (is_same != 0) {
            return is_same < 0 || fol_py_context_check(self) < 0 ? -1 : (Py_ssize_t)i;
        }
    }
    return fol_py_raise(
        self->state, FOL_E_ACCESS,
        "system `%U` has no query `%S`: declare it with queries={%R: fo.Query(...)}", self->name,
        name, name);
}

static PyObject *query_named(PyObject *object, PyObject *name)
{
    fol_py_context *self = (fol_py_context *)object;
    if (fol_py_context_check(self) < 0) {
        return NULL;
    }
    Py_ssize_t index = find_query(self, name);
    return index < 0 ? NULL : chunks_of(self, (size_t)index);
}

static PyObject *batches_of(fol_py_context *self, PyObject *name, Py_ssize_t rows)
{
    if (fol_py_context_check(self) < 0) {
        return NULL;
    }
    Py_ssize_t index = name == Py_None ? 0 : find_query(self, name);
    PyObject *view = index < 0 ? NULL : view_of(self, (size_t)index);
    if (view == NULL || check_resources(self) < 0) {
        return NULL;
    }
    fol_task *task = self->task;
    return fol_py_query_batches(view, rows, task->since, task->tick, &task->rows);
}

static PyObject *context_batches(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"name", "rows", NULL};
    PyObject *name = Py_None;
    Py_ssize_t rows = DEFAULT_BATCH_ROWS;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O$n:batches", names, &name, &rows)) {
        return NULL;
    }
    PyObject *batches;
    FOL_PY_BEGIN_CRITICAL(object);
    batches = batches_of((fol_py_context *)object, name, rows);
    FOL_PY_END_CRITICAL();
    return batches;
}

static PyObject *refuse_subscript(fol_py_context *self, PyObject *key)
{
    PyObject *shown = PyType_Check(key) ? fol_py_component_name(key) : PyObject_Repr(key);
    if (shown == NULL) {
        return NULL;
    }
    fol_component *component = PyType_Check(key) && fol_py_is_component(self->state, key)
                                   ? fol_py_component_of(self->state, key)
                                   : NULL;
    if (component != NULL && !fol_component_is_resource(component)) {
        fol_py_raise(self->state, FOL_E_ACCESS,
                     "%U is a component: system `%U` reaches it through the chunks of its queries",
                     shown, self->name);
    } else {
        fol_py_raise(self->state, FOL_E_ACCESS,
                     "system `%U` does not declare the resource %U: add it to its reads or writes",
                     self->name, shown);
    }
    Py_DECREF(shown);
    return NULL;
}

static PyObject *subscript(PyObject *object, PyObject *key)
{
    fol_py_context *self = (fol_py_context *)object;
    if (fol_py_context_check(self) < 0) {
        return NULL;
    }
    PyObject *is_written = NULL;
    if (self->resources != NULL && PyType_Check(key)) {
        is_written = PyDict_GetItemWithError(self->resources, key);
        if (is_written == NULL && PyErr_Occurred()) {
            return NULL;
        }
    }
    if (is_written == NULL) {
        return refuse_subscript(self, key);
    }
    fol_component *component = fol_py_component_of(self->state, key);
    /* Hashes and comparisons of classes may be Python code: see check_resources. */
    if (component == NULL || fol_py_context_check(self) < 0) {
        return NULL;
    }
    if (fol_world_resource(self->task->world, component) == NULL) {
        fol_py_raise(self->state, FOL_E_MISSING,
                     "system `%U` uses the resource %s, which the world does not have: insert it "
                     "first",
                     self->name, fol_component_name(component));
        return NULL;
    }
    PyObject *view = view_of(self, 0);
    if (view == NULL) {
        return NULL;
    }
    return fol_py_resource_view(self->state, self->world, key, is_written == Py_True, view);
}

static PyObject *get_dt(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    return fol_py_context_check(self) < 0 ? NULL : PyFloat_FromDouble(self->task->dt);
}

static PyObject *get_time(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    return fol_py_context_check(self) < 0 ? NULL : PyFloat_FromDouble(self->task->time);
}

static PyObject *get_frame(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    return fol_py_context_check(self) < 0 ? NULL : PyLong_FromUnsignedLongLong(self->task->frame);
}

static PyObject *get_world(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    if (fol_py_context_check(self) < 0) {
        return NULL;
    }
    if (!self->is_exclusive) {
        fol_py_raise(
            self->state, FOL_E_ACCESS,
            "system `%U` is not exclusive: only a system declared with exclusive=True gets "
            "ctx.world",
            self->name);
        return NULL;
    }
    return Py_NewRef(self->world);
}

static PyObject *get_commands(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    if (fol_py_context_check(self) < 0) {
        return NULL;
    }
    if (self->commands == NULL || self->is_in_condition) {
        fol_py_raise(self->state, FOL_E_ACCESS,
                     self->is_in_condition
                         ? "the run condition of `%U` may not record commands"
                         : "system `%U` does not record commands: declare it with commands=True",
                     self->name);
        return NULL;
    }
    return Py_NewRef(self->commands);
}

static PyObject *get_io(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    if (fol_py_context_check(self) < 0) {
        return NULL;
    }
    if (self->io == NULL || self->is_in_condition) {
        fol_py_raise(self->state, FOL_E_ACCESS,
                     self->is_in_condition
                         ? "the run condition of `%U` may not do I/O"
                         : "system `%U` does not do I/O: ctx.io needs io=True in its declaration",
                     self->name);
        return NULL;
    }
    return Py_NewRef(self->io);
}

/* A getter that asks under the lock. */
#define LOCKED(name)                                                                               \
    static PyObject *context_##name(PyObject *object, void *closure)                               \
    {                                                                                              \
        PyObject *answer;                                                                          \
        (void)closure;                                                                             \
        FOL_PY_BEGIN_CRITICAL(object);                                                             \
        answer = get_##name(object);                                                               \
        FOL_PY_END_CRITICAL();                                                                     \
        return answer;                                                                             \
    }

LOCKED(dt)
LOCKED(time)
LOCKED(frame)
LOCKED(world)
LOCKED(commands)
LOCKED(io)

static PyObject *context_iter(PyObject *object)
{
    PyObject *chunks;
    FOL_PY_BEGIN_CRITICAL(object);
    chunks = iterate(object);
    FOL_PY_END_CRITICAL();
    return chunks;
}

static PyObject *context_query(PyObject *object, PyObject *name)
{
    PyObject *chunks;
    FOL_PY_BEGIN_CRITICAL(object);
    chunks = query_named(object, name);
    FOL_PY_END_CRITICAL();
    return chunks;
}

static PyObject *context_subscript(PyObject *object, PyObject *key)
{
    PyObject *view;
    FOL_PY_BEGIN_CRITICAL(object);
    view = subscript(object, key);
    FOL_PY_END_CRITICAL();
    return view;
}

static PyObject *context_name(PyObject *object, void *closure)
{
    (void)closure;
    return Py_NewRef(((fol_py_context *)object)->name);
}

static PyObject *context_repr(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    return PyUnicode_FromFormat("<context of system %R%s>", self->name,
                                self->task == NULL ? ", which does not run now" : "");
}

static int context_traverse(PyObject *object, visitproc visit, void *arg)
{
    fol_py_context *self = (fol_py_context *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->function);
    Py_VISIT(self->condition);
    Py_VISIT(self->world);
    Py_VISIT(self->system);
    Py_VISIT(self->kernel);
    Py_VISIT(self->resources);
    Py_VISIT(self->commands);
    Py_VISIT(self->io);
    Py_VISIT(self->errors);
    Py_VISIT(self->merge_errors);
    for (size_t i = 0; i < self->query_count; i++) {
        Py_VISIT(self->queries[i].classes);
        Py_VISIT(self->queries[i].view);
    }
    return 0;
}

static int context_clear(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    /* While a core scheduler points here it needs everything; it lets go first. */
    if (self->scheduler != NULL) {
        return 0;
    }
    Py_CLEAR(self->function);
    Py_CLEAR(self->condition);
    Py_CLEAR(self->system);
    Py_CLEAR(self->kernel);
    Py_CLEAR(self->resources);
    if (self->commands != NULL) {
        fol_py_commands_detach(self->commands);
        Py_CLEAR(self->commands);
    }
    if (self->io != NULL) {
        fol_py_io_detach(self->io);
        Py_CLEAR(self->io);
    }
    Py_CLEAR(self->errors);
    Py_CLEAR(self->merge_errors);
    for (size_t i = 0; i < self->query_count; i++) {
        if (self->queries[i].view != NULL) {
            fol_py_query_core_of(self->queries[i].view)->may_go_on = NULL;
        }
        Py_CLEAR(self->queries[i].view);
        Py_CLEAR(self->queries[i].classes);
    }
    Py_CLEAR(self->world);
    return 0;
}

static void context_dealloc(PyObject *object)
{
    fol_py_context *self = (fol_py_context *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    self->scheduler = NULL;
    context_clear(object);
    for (size_t i = 0; i < self->query_count; i++) {
        Py_CLEAR(self->queries[i].name);
        PyMem_Free(self->queries[i].terms);
    }
    PyMem_Free(self->queries);
    Py_CLEAR(self->name);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef context_methods[] = {
    {"query", context_query, METH_O,
     "query($self, name, /)\n--\n\nAn iterator over the chunks of a declared query."},
    {"batches", (PyCFunction)(void (*)(void))context_batches, METH_VARARGS | METH_KEYWORDS,
     "batches($self, /, name=None, *, rows=16384)\n--\n\n"
     "Like iterating ctx (or a named query), but small tables come together: each chunk joins\n"
     "copies of up to `rows` rows of many tables, and written columns are copied back when the\n"
     "loop goes on. Worth it when many tables have few rows, because numpy costs by the call;\n"
     "a table longer than `rows` comes alone and uncopied. Written components count as changed\n"
     "in every row. ValueError for queries with objects or Bytes."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef context_getset[] = {
    {"dt", context_dt, NULL, "Seconds that this run of the system advances.", NULL},
    {"time", context_time, NULL, "Seconds of all frames before this one.", NULL},
    {"frame", context_frame, NULL, "The number of the running frame, from 0.", NULL},
    {"world", context_world, NULL, "The world; exclusive systems only.", NULL},
    {"commands", context_commands, NULL, "Records commands; needs commands=True.", NULL},
    {"io", context_io, NULL, "I/O operations; needs io=True.", NULL},
    {"name", context_name, NULL, "The system's name.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot context_slots[] = {
    {Py_tp_doc,
     "What a running system may touch. Iterating gives the chunks of its default query."},
    {Py_tp_dealloc, context_dealloc},
    {Py_tp_traverse, context_traverse},
    {Py_tp_clear, context_clear},
    {Py_tp_iter, context_iter},
    {Py_mp_subscript, context_subscript},
    {Py_tp_repr, context_repr},
    {Py_tp_methods, context_methods},
    {Py_tp_getset, context_getset},
    {0, NULL},
};

PyType_Spec fol_py_context_spec = {
    .name = "foliot._core.Context",
    .basicsize = sizeof(fol_py_context),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = context_slots,
};
