/* A simulation as a Python object: made of plain tuples, run in slices, read as numpy arrays over
 * its own memory.
 *
 * A run gives up the interpreter lock unless slots of the policy are Python's, and between two
 * slices looks for signals. foliot.sim and foliot._sim_result are its only users.
 */
#include "bindings/sim.h"

#include "bindings/memory_view.h"
#include "bindings/policy.h"
#include "bindings/sim_machine.h"
#include "bindings/types.h"

/* Instants and releases of one slice: about a hundredth of a second. A Python policy takes longer
 * for each. */
#define SLICE        16384u
#define SLICE_PYTHON 64u

typedef struct sim_object {
    PyObject_HEAD fol_sim *sim;
    PyObject *names; /* tuple of str, of tasks */
    PyObject *bound; /* the policy */
    uint32_t task_count;
    uint32_t group_count;
    uint32_t context_count;
    uint32_t cpus;
    bool has_slots;
    bool is_running;
} sim_object;

static PyObject *name_of(void *state, uint32_t task)
{
    const sim_object *self = state;
    return task < self->task_count ? Py_NewRef(PyTuple_GET_ITEM(self->names, task)) : NULL;
}

/* Binds the policy and makes the core's simulation. */
static int make(sim_object *self, fol_py_state *state, PyObject *policy, fol_sim_config *config)
{
    const fol_py_policy_names names = {.state = self, .runnable = name_of};
    self->bound = fol_py_policy_bind(state, policy, &names, false);
    if (self->bound == NULL) {
        return -1;
    }
    const fol_py_policy_facts *facts = fol_py_policy_facts_of(self->bound);
    config->policy = facts->base;
    config->slots = facts->slots;
    config->max_faults = facts->max_faults;
    config->stopwatch = facts->stopwatch;
    config->stopwatch_state = facts->stopwatch_state;
    config->slot_limit = facts->slot_limit;
    self->has_slots = facts->slots != NULL;
    self->task_count = config->task_count;
    self->group_count = config->group_count;
    self->context_count = config->context_count;
    self->cpus = config->cpus;
    int status = fol_sim_create(config, &self->sim);
    if (status < 0) {
        fol_py_raise(state, status, NULL);
        return -1;
    }
    return 0;
}

static PyObject *sim_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"names",  "tasks",      "groups",   "contexts", "policy",  "cpus",
                               "queues", "preemption", "until",    "costs",    "seed",    "slices",
                               "tick",   "records",    "segments", "sample",   "machine", NULL};
    PyObject *names;
    PyObject *tasks;
    PyObject *groups;
    PyObject *contexts;
    PyObject *policy;
    int queues;
    int preemption;
    int keeps_segments;
    PyObject *machine = Py_None;
    long long times[7];
    long long migration[3];
    long long steal[3];
    unsigned long long seed;
    fol_sim_config config = {0};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!O!O!O!OIiiL(L(LLL)(LLL))K(LLL)LIpL|O:TaskSimulation", keywords,
            &PyTuple_Type, &names, &PyList_Type, &tasks, &PyList_Type, &groups, &PyList_Type,
            &contexts, &policy, &config.cpus, &queues, &preemption, &times[0], &times[1],
            &migration[0], &migration[1], &migration[2], &steal[0], &steal[1], &steal[2], &seed,
            &times[2], &times[3], &times[4], &times[5], &config.records, &keeps_segments, &times[6],
            &machine)) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(names) != PyList_GET_SIZE(tasks)) {
        PyErr_SetString(PyExc_ValueError, "each task has a name");
        return NULL;
    }
    config.queues = (fol_sim_queues)queues;
    config.preemption = (fol_sim_preemption)preemption;
    config.until = times[0];
    config.switch_cost = times[1];
    fol_py_spread_costs(migration, config.migration_costs);
    fol_py_spread_costs(steal, config.steal_costs);
    config.seed = seed;
    memcpy(config.slices, (int64_t[]){times[2], times[3], times[4]}, sizeof(config.slices));
    config.tick = times[5];
    config.keeps_segments = keeps_segments != 0;
    config.sample_every = times[6];

    sim_object *self = (sim_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->names = Py_NewRef(names);
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_py_machine taken = {0};
    bool is_read = fol_py_parse_sim(tasks, groups, contexts, &scratch, &config) == 0 &&
                   fol_py_take_machine(machine, config.cpus, &taken) == 0;
    config.machine = taken.given;
    if (!is_read || make(self, fol_py_state_of(type), policy, &config) < 0) {
        Py_CLEAR(self);
    }
    fol_py_release_machine(&taken);
    fol_py_scratch_release(&scratch);
    return (PyObject *)self;
}

static int sim_traverse(PyObject *object, visitproc visit, void *arg)
{
    sim_object *self = (sim_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->names);
    Py_VISIT(self->bound);
    return 0;
}

static int sim_clear(PyObject *object)
{
    /* Only what can be in a circle: the log stays readable for whoever still looks at it. */
    Py_CLEAR(((sim_object *)object)->bound);
    return 0;
}

static void sim_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    sim_object *self = (sim_object *)object;
    PyObject_GC_UnTrack(object);
    /* The slots go with the policy, so what might call them goes first. */
    fol_sim_destroy(self->sim);
    Py_CLEAR(self->bound);
    Py_CLEAR(self->names);
    type->tp_free(object);
    Py_DECREF(type);
}

static int step(sim_object *self)
{
    int status;
    if (self->has_slots) {
        return fol_sim_step(self->sim, SLICE_PYTHON);
    }
    Py_BEGIN_ALLOW_THREADS;
    status = fol_sim_step(self->sim, SLICE);
    Py_END_ALLOW_THREADS;
    return status;
}

/* What happens between two slices: signals, interrupts out of slots, the progress. */
static int look_round(sim_object *self, PyObject *on_progress)
{
    if (fol_py_policy_raise_interrupt(self->bound) < 0 || PyErr_CheckSignals() < 0) {
        return -1;
    }
    if (on_progress != Py_None) {
        PyObject *answer =
            PyObject_CallFunction(on_progress, "L", (long long)fol_sim_now(self->sim));
        Py_XDECREF(answer);
        return answer == NULL ? -1 : 0;
    }
    return 0;
}

static PyObject *sim_run(PyObject *object, PyObject *on_progress)
{
    sim_object *self = (sim_object *)object;
    bool was_running;
    FOL_PY_BEGIN_CRITICAL(object);
    was_running = self->is_running;
    self->is_running = true;
    FOL_PY_END_CRITICAL();
    if (was_running) {
        PyErr_SetString(PyExc_RuntimeError, "the simulation is running");
        return NULL;
    }
    int status;
    int failed;
    do {
        /* Bounded: each slice brings the clock nearer to the end. */
        status = step(self);
        failed = look_round(self, on_progress);
    } while (status == 0 && failed == 0);
    self->is_running = false;
    if (failed < 0) {
        return NULL;
    }
    if (status < 0) {
        fol_py_raise(fol_py_state_of(Py_TYPE(object)), status, NULL);
        return NULL;
    }
    Py_RETURN_NONE;
}

/* A read-only array over the simulation's own memory. */
static PyObject *array_of(PyObject *object, const void *memory, uint64_t count, size_t size,
                          PyObject *dtype)
{
    PyObject *shape = Py_BuildValue("(K)", (unsigned long long)count);
    if (shape == NULL) {
        return NULL;
    }
    static const int64_t nothing[1];
    void *start = (void *)(uintptr_t)(count == 0 ? nothing : memory);
    PyObject *array = fol_py_array_over(fol_py_state_of(Py_TYPE(object)), start, count * size,
                                        shape, dtype, false, NULL, object);
    Py_DECREF(shape);
    return array;
}

static PyObject *sim_jobs(PyObject *object, PyObject *dtype)
{
    uint64_t count;
    const fol_sim_job *jobs = fol_sim_jobs(((sim_object *)object)->sim, &count);
    return array_of(object, jobs, count, sizeof(*jobs), dtype);
}

static PyObject *sim_segments(PyObject *object, PyObject *dtype)
{
    uint64_t count;
    const fol_sim_segment *segments = fol_sim_segments(((sim_object *)object)->sim, &count);
    return array_of(object, segments, count, sizeof(*segments), dtype);
}

static PyObject *sim_samples(PyObject *object, PyObject *dtype)
{
    uint64_t rows;
    sim_object *self = (sim_object *)object;
    const int64_t *samples = fol_sim_samples(self->sim, &rows);
    size_t columns = (size_t)1 + self->task_count;
    return array_of(object, samples, rows * columns, sizeof(int64_t), dtype);
}

/* A number of one of several things, below a bound. */
static int read_place(PyObject *given, uint32_t bound, uint32_t *out)
{
    unsigned long place = PyLong_AsUnsignedLong(given);
    if (place == (unsigned long)-1 && PyErr_Occurred()) {
        return -1;
    }
    if (place >= bound) {
        PyErr_Format(PyExc_IndexError, "%lu is not below %u", place, (unsigned)bound);
        return -1;
    }
    *out = (uint32_t)place;
    return 0;
}

static PyObject *account_tuple(const fol_account *a)
{
    return Py_BuildValue("(LLLKKKKKKKKKKK)", (long long)a->runtime, (long long)a->waited,
                         (long long)a->virtual_runtime, (unsigned long long)a->jobs,
                         (unsigned long long)a->switches, (unsigned long long)a->preemptions,
                         (unsigned long long)a->blocks, (unsigned long long)a->migrations,
                         (unsigned long long)a->steals, (unsigned long long)a->throttles,
                         (unsigned long long)a->overruns, (unsigned long long)a->skipped,
                         (unsigned long long)a->misses, (unsigned long long)a->longest_response);
}

/* The account of one of so many. */
static PyObject *read_account(const sim_object *self, PyObject *given, uint32_t bound,
                              const fol_account *(*find)(const fol_sim *sim, uint32_t place))
{
    uint32_t place;
    return read_place(given, bound, &place) < 0 ? NULL : account_tuple(find(self->sim, place));
}

static PyObject *sim_task_account(PyObject *object, PyObject *given)
{
    const sim_object *self = (const sim_object *)object;
    return read_account(self, given, self->task_count, fol_sim_task_account);
}

static PyObject *sim_group_account(PyObject *object, PyObject *given)
{
    const sim_object *self = (const sim_object *)object;
    /* 0 is what all of them are in. */
    return read_account(self, given, self->group_count + 1, fol_sim_group_account);
}

static PyObject *sim_cpu_account(PyObject *object, PyObject *given)
{
    const sim_object *self = (const sim_object *)object;
    return read_account(self, given, self->cpus, fol_sim_cpu_account);
}

static PyObject *sim_cpu_use(PyObject *object, PyObject *given)
{
    sim_object *self = (sim_object *)object;
    uint32_t cpu;
    fol_sim_cpu_use use;
    if (read_place(given, self->cpus, &cpu) < 0) {
        return NULL;
    }
    fol_sim_cpu(self->sim, cpu, &use);
    return Py_BuildValue("(LL)", (long long)use.busy, (long long)use.costs);
}

static PyObject *sim_moves(PyObject *object, PyObject *unused)
{
    (void)unused;
    const fol_sim_moves *moves = fol_sim_moves_of(((sim_object *)object)->sim);
    PyObject *migrations = fol_py_counts_by_distance(moves->migrations);
    PyObject *steals = fol_py_counts_by_distance(moves->steals);
    if (migrations == NULL || steals == NULL) {
        Py_XDECREF(migrations);
        Py_XDECREF(steals);
        return NULL;
    }
    return Py_BuildValue("(NN)", migrations, steals);
}

static PyObject *sim_context(PyObject *object, PyObject *given)
{
    sim_object *self = (sim_object *)object;
    uint32_t context;
    fol_context_stats s;
    if (read_place(given, self->context_count, &context) < 0) {
        return NULL;
    }
    if (fol_sim_context_stats(self->sim, context + 1, &s) < 0) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(KKKKKKKK)", (unsigned long long)s.used, (unsigned long long)s.charges,
                         (unsigned long long)s.depletions, (unsigned long long)s.overruns,
                         (unsigned long long)s.debt, (unsigned long long)s.worst_debt,
                         (unsigned long long)s.jobs, (unsigned long long)s.misses);
}

static PyObject *sim_records(PyObject *object, PyObject *unused)
{
    (void)unused;
    const fol_sim *sim = ((sim_object *)object)->sim;
    uint64_t first;
    uint64_t end;
    fol_sim_records(sim, &first, &end);
    PyObject *bytes =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)((end - first) * sizeof(fol_decision)));
    if (bytes == NULL) {
        return NULL;
    }
    char *out = PyBytes_AS_STRING(bytes);
    for (uint64_t number = first; number < end; number++) {
        memcpy(out + (number - first) * sizeof(fol_decision), fol_sim_record(sim, number),
               sizeof(fol_decision));
    }
    return Py_BuildValue("(KN)", (unsigned long long)first, bytes);
}

static PyObject *sim_last(PyObject *object, PyObject *given)
{
    sim_object *self = (sim_object *)object;
    uint32_t task;
    fol_decision decision;
    if (read_place(given, self->task_count, &task) < 0) {
        return NULL;
    }
    if (!fol_sim_last(self->sim, task, &decision)) {
        Py_RETURN_NONE;
    }
    return PyBytes_FromStringAndSize((const char *)&decision, sizeof(decision));
}

/* The name as the core's words take it. */
static const char *text_of(void *state, uint32_t task)
{
    const sim_object *self = state;
    const char *text =
        task < self->task_count ? PyUnicode_AsUTF8(PyTuple_GET_ITEM(self->names, task)) : "";
    if (text == NULL) {
        PyErr_Clear();
    }
    return text == NULL ? "?" : text;
}

static PyObject *sim_explain(PyObject *object, PyObject *given)
{
    const fol_decision_words words = {.state = object, .name = text_of, .is_ns = false};
    fol_decision decision;
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(given, &bytes, &size) < 0) {
        return NULL;
    }
    if (size != (Py_ssize_t)sizeof(decision)) {
        PyErr_Format(PyExc_ValueError, "a decision has %zu bytes, got %zd", sizeof(decision), size);
        return NULL;
    }
    memcpy(&decision, bytes, sizeof(decision));
    uint32_t details =
        decision.kind == FOL_DECISION_PREEMPT ? FOL_PREEMPT_REASONS : (uint32_t)FOL_CONTEXT_KINDS;
    if (decision.kind >= FOL_DECISION_KINDS || decision.policy >= FOL_POLICY_KINDS ||
        decision.detail >= details) {
        PyErr_SetString(PyExc_ValueError, "the bytes are no decision");
        return NULL;
    }
    size_t length = fol_decision_explain(&decision, &words, NULL, 0);
    char *text = PyMem_Malloc(length + 1);
    if (text == NULL) {
        return PyErr_NoMemory();
    }
    fol_decision_explain(&decision, &words, text, length + 1);
    PyObject *answer = PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "replace");
    PyMem_Free(text);
    return answer;
}

static PyObject *sim_choices(PyObject *object, PyObject *unused)
{
    fol_choice_counts counts;
    (void)unused;
    fol_sim_choices(((sim_object *)object)->sim, &counts);
    return fol_py_choices(&counts);
}

static PyObject *sim_errors(PyObject *object, PyObject *unused)
{
    (void)unused;
    PyObject *bound = ((sim_object *)object)->bound;
    return bound == NULL ? PyList_New(0) : fol_py_policy_take_errors(bound);
}

static PyObject *sim_policy_state(PyObject *object, PyObject *unused)
{
    (void)unused;
    const fol_sim *sim = ((sim_object *)object)->sim;
    return Py_BuildValue("(IO)", (unsigned)fol_sim_faults(sim),
                         fol_sim_policy_is_on(sim) ? Py_True : Py_False);
}

static PyObject *sim_kinds(PyObject *type, PyObject *unused)
{
    (void)type;
    (void)unused;
    PyObject *names = PyTuple_New(FOL_DECISION_KINDS);
    for (Py_ssize_t kind = 0; names != NULL && kind < FOL_DECISION_KINDS; kind++) {
        PyObject *name = PyUnicode_FromString(fol_decision_names[kind]);
        if (name == NULL) {
            Py_CLEAR(names);
        } else {
            PyTuple_SET_ITEM(names, kind, name);
        }
    }
    return names;
}

static PyMethodDef sim_methods[] = {
    {"run", sim_run, METH_O,
     "run($self, on_progress, /)\n--\n\nRun to the end; on_progress gets the time now and then."},
    {"jobs", sim_jobs, METH_O, "jobs($self, dtype, /)\n--\n\nThe log of jobs."},
    {"segments", sim_segments, METH_O, "segments($self, dtype, /)\n--\n\nWho ran where, when."},
    {"samples", sim_samples, METH_O, "samples($self, dtype, /)\n--\n\nTimes and lags, flat."},
    {"task_account", sim_task_account, METH_O,
     "task_account($self, task, /)\n--\n\nThe ledger of a task."},
    {"group_account", sim_group_account, METH_O,
     "group_account($self, group, /)\n--\n\nThe ledger of a group; 0 is the root."},
    {"cpu_account", sim_cpu_account, METH_O,
     "cpu_account($self, cpu, /)\n--\n\nThe ledger of a CPU."},
    {"cpu_use", sim_cpu_use, METH_O,
     "cpu_use($self, cpu, /)\n--\n\nTime spent on jobs and on costs."},
    {"moves", sim_moves, METH_NOARGS,
     "moves($self, /)\n--\n\nMigrations and steals: in a cache, in a node, to another node."},
    {"context", sim_context, METH_O,
     "context($self, context, /)\n--\n\nNumbers of a context; None when it was ended."},
    {"records", sim_records, METH_NOARGS,
     "records($self, /)\n--\n\nThe number of the first decision kept, and all of them as bytes."},
    {"last", sim_last, METH_O,
     "last($self, task, /)\n--\n\nThe last decision about a task that was no pick, as bytes."},
    {"explain", sim_explain, METH_O, "explain($self, decision, /)\n--\n\nA decision in words."},
    {"choices", sim_choices, METH_NOARGS, "choices($self, /)\n--\n\nIn the core's order."},
    {"errors", sim_errors, METH_NOARGS,
     "errors($self, /)\n--\n\nWhat the policy's slots raised, the last few; forgets them."},
    {"policy_state", sim_policy_state, METH_NOARGS,
     "policy_state($self, /)\n--\n\nFaults of the policy's slots, and whether they are still on."},
    {"kinds", sim_kinds, METH_NOARGS | METH_STATIC,
     "kinds()\n--\n\nNames of decisions, by the number in their bytes."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(sim_doc, "One simulation of a task set. Use foliot.sim.run.");

static PyType_Slot sim_slots[] = {
    {Py_tp_doc, (void *)sim_doc},
    {Py_tp_new, sim_new},
    {Py_tp_dealloc, sim_dealloc},
    {Py_tp_traverse, sim_traverse},
    {Py_tp_clear, sim_clear},
    {Py_tp_methods, sim_methods},
    {0, NULL},
};

static PyType_Spec sim_spec = {
    .name = "foliot._core.TaskSimulation",
    .basicsize = sizeof(sim_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = sim_slots,
};

int fol_py_add_sim_types(fol_py_state *state)
{
    PyTypeObject *type = NULL;
    int status = fol_py_add_type(state, &sim_spec, NULL, &type);
    Py_XDECREF(type);
    return status;
}
