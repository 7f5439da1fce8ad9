/* What can be asked of a scheduler: costs, counters of all and of each worker, where a phase ran
 * and why, and its trace.
 *
 * Counters and the trace may be read while a frame runs in another thread; costs and explanations
 * may not, because a new plan may take the place of what they speak of.
 */
#include "bindings/scheduler.h"

/* Records that may join a ring between counting and reading it. */
#define SPARE_RECORDS 64u

PyObject *fol_py_scheduler_costs(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    if (fol_py_scheduler_core(self) == NULL ||
        fol_py_scheduler_refuse(self, "costs cannot be read") < 0) {
        return NULL;
    }
    uint32_t count = self->context_count;
    double *costs = PyMem_Calloc((size_t)count + 1, sizeof(*costs));
    if (costs == NULL) {
        return PyErr_NoMemory();
    }
    fol_scheduler_costs(self->core, costs);
    /* Making a dict may run the collector, and with it code that changes the plan. */
    PyObject *names = Py_NewRef(self->plan->names);
    PyObject *dict = PyDict_New();
    for (uint32_t i = 0; dict != NULL && i < count; i++) {
        PyObject *cost = PyFloat_FromDouble(costs[i]);
        if (cost == NULL || PyDict_SetItem(dict, PyTuple_GET_ITEM(names, i), cost) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(cost);
    }
    Py_DECREF(names);
    PyMem_Free(costs);
    return dict;
}

/* (requested, actual, reason, workers) */
PyObject *fol_py_scheduler_backend(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_scheduler *core = fol_py_scheduler_core((fol_py_scheduler *)object);
    if (core == NULL) {
        return NULL;
    }
    fol_backend_info info = fol_scheduler_backend(core);
    return Py_BuildValue("(sssI)", info.requested, info.actual, info.reason,
                         (unsigned)info.workers);
}

typedef struct named_number {
    const char *name;
    uint64_t value;
} named_number;

static PyObject *number_dict(const named_number *numbers, size_t count)
{
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < count; i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(numbers[i].value);
        if (value == NULL || PyDict_SetItemString(dict, numbers[i].name, value) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(value);
    }
    return dict;
}

#define NUMBER(name)   {#name, stats.name}
#define COUNT(numbers) (sizeof(numbers) / sizeof((numbers)[0]))

PyObject *fol_py_scheduler_read_stats(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_scheduler *core = fol_py_scheduler_core((fol_py_scheduler *)object);
    if (core == NULL) {
        return NULL;
    }
    fol_scheduler_stats stats;
    fol_scheduler_read_stats(core, &stats);
    const named_number numbers[] = {
        NUMBER(frames),           NUMBER(tasks),           NUMBER(systems_run),
        NUMBER(systems_skipped),  NUMBER(systems_failed),  NUMBER(commands_applied),
        NUMBER(commands_dropped), NUMBER(merges),          NUMBER(wall_ns),
        NUMBER(host_switches),    NUMBER(parallel_phases), NUMBER(serial_phases),
        NUMBER(steals),           NUMBER(wakes_sent),      NUMBER(wakes_saved),
        NUMBER(io_submitted),     NUMBER(io_completed),    NUMBER(io_failed),
        NUMBER(io_system_calls),  NUMBER(io_in_flight),    NUMBER(switches),
        NUMBER(misses),           NUMBER(overruns),        NUMBER(decisions),
        NUMBER(policy_faults),
    };
    return number_dict(numbers, COUNT(numbers));
}

/* A worker's number out of an argument; -1 with an error. */
static int read_number(PyObject *given, uint32_t *out)
{
    unsigned long number = PyLong_AsUnsignedLong(given);
    if (number == (unsigned long)-1 && PyErr_Occurred()) {
        return -1;
    }
    *out = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
    return 0;
}

PyObject *fol_py_scheduler_read_worker(PyObject *object, PyObject *given)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    fol_scheduler *core = fol_py_scheduler_core(self);
    uint32_t worker;
    if (core == NULL || read_number(given, &worker) < 0) {
        return NULL;
    }
    fol_worker_stats stats;
    int status = fol_scheduler_read_worker(core, worker, &stats);
    if (status < 0) {
        fol_py_raise(self->state, status, "there is no worker %R", given);
        return NULL;
    }
    const named_number numbers[] = {
        NUMBER(tasks),         NUMBER(systems),      NUMBER(stolen),      NUMBER(steal_attempts),
        NUMBER(steal_misses),  NUMBER(contended),    NUMBER(batches),     NUMBER(largest_batch),
        NUMBER(spins),         NUMBER(yields),       NUMBER(parks),       NUMBER(wakes_sent),
        NUMBER(wakes_saved),   NUMBER(commands),     NUMBER(busy_ns),     NUMBER(idle_ns),
        NUMBER(host_switches), NUMBER(host_wait_ns), NUMBER(queue_depth),
    };
    return number_dict(numbers, COUNT(numbers));
}

PyObject *fol_py_scheduler_explain_phase(PyObject *object, PyObject *name)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    if (fol_py_scheduler_core(self) == NULL ||
        fol_py_scheduler_refuse(self, "a phase cannot be explained") < 0) {
        return NULL;
    }
    Py_ssize_t phase = fol_py_plan_phase_index(self->plan, name);
    /* Looking for it may have run Python code, and that may have closed the scheduler. */
    fol_scheduler *core = phase < 0 ? NULL : fol_py_scheduler_core(self);
    if (core == NULL) {
        return NULL;
    }
    size_t size = fol_scheduler_explain_phase(core, (uint32_t)phase, NULL, 0);
    char *text = PyMem_Malloc(size + 1);
    if (text == NULL) {
        return PyErr_NoMemory();
    }
    fol_scheduler_explain_phase(core, (uint32_t)phase, text, size + 1);
    PyObject *sentence = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "replace");
    PyMem_Free(text);
    return sentence;
}

PyObject *fol_py_scheduler_explain_backend(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    fol_scheduler *core = fol_py_scheduler_core(self);
    if (core == NULL || fol_py_scheduler_refuse(self, "the backend cannot be explained") < 0) {
        return NULL;
    }
    size_t size = fol_scheduler_explain_backend(core, NULL, 0);
    char *text = PyMem_Malloc(size + 1);
    if (text == NULL) {
        return PyErr_NoMemory();
    }
    fol_scheduler_explain_backend(core, text, size + 1);
    PyObject *sentence = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "replace");
    PyMem_Free(text);
    return sentence;
}

/* (engine, reason) */
PyObject *fol_py_scheduler_io(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_scheduler *core = fol_py_scheduler_core((fol_py_scheduler *)object);
    if (core == NULL) {
        return NULL;
    }
    fol_io_info info = fol_scheduler_io(core);
    return Py_BuildValue("(ss)", info.engine, info.reason);
}

/* The core of a scheduler that has a trace. */
static fol_scheduler *traced_core(fol_py_scheduler *self)
{
    fol_scheduler *core = fol_py_scheduler_core(self);
    if (core != NULL && self->trace_records == 0) {
        PyErr_SetString(PyExc_RuntimeError, "the scheduler keeps no trace");
        return NULL;
    }
    return core;
}

/* (records of a worker as bytes, older ones that are lost) */
PyObject *fol_py_scheduler_read_trace(PyObject *object, PyObject *given)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    fol_scheduler *core = traced_core(self);
    uint32_t worker;
    if (core == NULL || read_number(given, &worker) < 0) {
        return NULL;
    }
    if (worker >= fol_scheduler_backend(core).workers) {
        fol_py_raise(self->state, FOL_E_VALUE, "there is no worker %R", given);
        return NULL;
    }
    uint64_t lost = 0;
    fol_scheduler_read_trace(core, worker, NULL, 0, &lost);
    uint64_t most = 2 * (uint64_t)self->trace_records;
    uint64_t room = lost + SPARE_RECORDS < most ? lost + SPARE_RECORDS : most;
    size_t size = (size_t)room * sizeof(fol_trace_record);
    fol_trace_record *records = PyMem_Malloc(size);
    if (records == NULL) {
        return PyErr_NoMemory();
    }
    size_t count = fol_scheduler_read_trace(core, worker, records, (size_t)room, &lost);
    PyObject *bytes =
        PyBytes_FromStringAndSize((const char *)records, (Py_ssize_t)(count * sizeof(*records)));
    PyMem_Free(records);
    return bytes == NULL ? NULL : Py_BuildValue("(NK)", bytes, (unsigned long long)lost);
}

/* (origin_cycles, origin_ns, ns_per_cycle) */
PyObject *fol_py_scheduler_trace_scale(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_scheduler *core = traced_core((fol_py_scheduler *)object);
    if (core == NULL) {
        return NULL;
    }
    fol_trace_scale scale;
    fol_scheduler_trace_scale(core, &scale);
    return Py_BuildValue("(KKd)", (unsigned long long)scale.origin_cycles,
                         (unsigned long long)scale.origin_ns, scale.ns_per_cycle);
}

PyObject *fol_py_scheduler_clear_trace(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_scheduler *core = traced_core((fol_py_scheduler *)object);
    if (core == NULL) {
        return NULL;
    }
    fol_scheduler_clear_trace(core);
    Py_RETURN_NONE;
}

PyObject *fol_py_trace_kinds(void)
{
    PyObject *kinds = PyTuple_New(FOL_TRACE_KINDS);
    for (int kind = 0; kinds != NULL && kind < FOL_TRACE_KINDS; kind++) {
        PyObject *name = PyUnicode_FromString(fol_trace_kind_name((fol_trace_kind)kind));
        if (name == NULL) {
            Py_CLEAR(kinds);
            break;
        }
        PyTuple_SET_ITEM(kinds, kind, name);
    }
    return kinds;
}
