/* `FrameResult`: what one frame did, copied whole when the frame ends and turned into Python when
 * somebody asks.
 *
 * A tick pays one allocation and one copy; names come from the plan that ran.
 */
#include "bindings/scheduler.h"

#include <string.h>

typedef struct frame_result {
    PyObject_HEAD fol_py_state *state;
    fol_py_plan *plan;
    PyObject *scheduler;   /* where its trace is; NULL without one */
    PyObject *errors;      /* list, or NULL for none */
    PyObject *quarantined; /* list of the names of all frames of a call, or NULL for the frame's */
    fol_frame frame;       /* its pointers point into block */
    void *block;
} frame_result;

/* Copies count elements to *place and moves *place on; the addresses stay 8-byte aligned. */
static void *copy_array(unsigned char **place, const void *from, size_t count, size_t size)
{
    void *copy = *place;
    if (count > 0) {
        memcpy(copy, from, count * size);
    }
    *place += (count * size + 7) / 8 * 8;
    return copy;
}

static int copy_frame(frame_result *self, const fol_frame *frame)
{
    size_t size = frame->system_count * sizeof(*frame->systems) +
                  frame->phase_count * (sizeof(*frame->phase_ns) + sizeof(*frame->phase_steps)) +
                  frame->quarantined_count * sizeof(*frame->quarantined) + 32;
    self->frame = *frame;
    self->block = PyMem_Malloc(size);
    if (self->block == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    unsigned char *place = self->block;
    self->frame.systems =
        copy_array(&place, frame->systems, frame->system_count, sizeof(*frame->systems));
    self->frame.phase_ns =
        copy_array(&place, frame->phase_ns, frame->phase_count, sizeof(*frame->phase_ns));
    self->frame.phase_steps =
        copy_array(&place, frame->phase_steps, frame->phase_count, sizeof(*frame->phase_steps));
    self->frame.quarantined = copy_array(&place, frame->quarantined, frame->quarantined_count,
                                         sizeof(*frame->quarantined));
    self->frame.errors = NULL;
    return 0;
}

PyObject *fol_py_frame_result_new(fol_py_scheduler *scheduler, PyObject *errors,
                                  PyObject *quarantined)
{
    PyTypeObject *type = scheduler->state->scheduler.frame_result_type;
    frame_result *self = (frame_result *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = scheduler->state;
    self->plan = (fol_py_plan *)Py_NewRef((PyObject *)scheduler->plan);
    self->scheduler = scheduler->trace_records == 0 ? NULL : Py_NewRef((PyObject *)scheduler);
    self->errors = Py_XNewRef(errors);
    self->quarantined = Py_XNewRef(quarantined);
    if (copy_frame(self, fol_scheduler_frame(scheduler->core)) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int result_traverse(PyObject *object, visitproc visit, void *arg)
{
    frame_result *self = (frame_result *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->plan);
    Py_VISIT(self->scheduler);
    Py_VISIT(self->errors);
    return 0;
}

static int result_clear(PyObject *object)
{
    Py_CLEAR(((frame_result *)object)->errors);
    Py_CLEAR(((frame_result *)object)->scheduler);
    return 0;
}

static void result_dealloc(PyObject *object)
{
    frame_result *self = (frame_result *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_CLEAR(self->errors);
    Py_CLEAR(self->quarantined);
    Py_CLEAR(self->scheduler);
    Py_CLEAR(self->plan);
    PyMem_Free(self->block);
    type->tp_free(object);
    Py_DECREF(type);
}

static bool did_run(const fol_system_timing *timing)
{
    return timing->state == FOL_RUN_DONE || timing->state == FOL_RUN_FAILED ||
           (timing->state == FOL_RUN_INTERRUPTED && timing->tasks > 0);
}

static const char *skip_reason(const fol_system_timing *timing)
{
    switch (timing->state) {
    case FOL_RUN_NOT_DUE:
        return "its phase was not due";
    case FOL_RUN_SKIPPED:
        return "run_if said no";
    case FOL_RUN_DISABLED:
        return "disabled";
    case FOL_RUN_QUARANTINED:
        return "quarantined";
    case FOL_RUN_DENIED:
        return "the policy did not admit it";
    case FOL_RUN_OVERRUN:
        return "its budget was used up, so it was skipped";
    case FOL_RUN_KILLED:
        return "its budget was used up, so it was killed";
    default:
        return "the frame was interrupted";
    }
}

static PyObject *system_name(const frame_result *self, uint32_t system)
{
    return PyTuple_GET_ITEM(self->plan->names, system);
}

/* Sets a key to a value whose reference it takes; NULL passes a failure on. */
static int set_taken(PyObject *dict, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        return -1;
    }
    int status = PyDict_SetItem(dict, key, value);
    Py_DECREF(value);
    return status;
}

/* foliot._frame.SystemTiming, borrowed. */
static PyObject *timing_class(fol_py_state *state)
{
    return fol_py_load_once(state, &state->scheduler.timing_class, "foliot._frame", "SystemTiming");
}

static PyObject *result_systems(PyObject *object, void *closure)
{
    (void)closure;
    frame_result *self = (frame_result *)object;
    PyObject *class = timing_class(self->state);
    PyObject *dict = class == NULL ? NULL : PyDict_New();
    const uint32_t *order = fol_plan_running_order(self->plan->core);
    for (uint32_t i = 0; dict != NULL && i < self->frame.system_count; i++) {
        const fol_system_timing *timing = &self->frame.systems[order[i]];
        if (!did_run(timing)) {
            continue;
        }
        PyObject *value = PyObject_CallFunction(
            class, "KIKI", (unsigned long long)timing->wall_ns, (unsigned)timing->tasks,
            (unsigned long long)timing->rows, (unsigned)timing->worker);
        if (set_taken(dict, system_name(self, order[i]), value) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

static PyObject *result_skipped(PyObject *object, void *closure)
{
    (void)closure;
    frame_result *self = (frame_result *)object;
    PyObject *list = PyList_New(0);
    const uint32_t *order = fol_plan_running_order(self->plan->core);
    for (uint32_t i = 0; list != NULL && i < self->frame.system_count; i++) {
        if (!did_run(&self->frame.systems[order[i]]) &&
            PyList_Append(list, system_name(self, order[i])) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* {name: how often} of the systems for which that is not 0. */
static PyObject *count_dict(const frame_result *self, bool is_misses)
{
    PyObject *dict = PyDict_New();
    const uint32_t *order = fol_plan_running_order(self->plan->core);
    for (uint32_t i = 0; dict != NULL && i < self->frame.system_count; i++) {
        const fol_system_timing *timing = &self->frame.systems[order[i]];
        uint32_t count = is_misses ? timing->misses : timing->overruns;
        if (count > 0 &&
            set_taken(dict, system_name(self, order[i]), PyLong_FromUnsignedLong(count)) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

static PyObject *result_misses(PyObject *object, void *closure)
{
    (void)closure;
    return count_dict((frame_result *)object, true);
}

static PyObject *result_overruns(PyObject *object, void *closure)
{
    (void)closure;
    return count_dict((frame_result *)object, false);
}

static PyObject *result_skipped_reasons(PyObject *object, void *closure)
{
    (void)closure;
    frame_result *self = (frame_result *)object;
    PyObject *dict = PyDict_New();
    const uint32_t *order = fol_plan_running_order(self->plan->core);
    for (uint32_t i = 0; dict != NULL && i < self->frame.system_count; i++) {
        const fol_system_timing *timing = &self->frame.systems[order[i]];
        if (!did_run(timing) && set_taken(dict, system_name(self, order[i]),
                                          PyUnicode_FromString(skip_reason(timing))) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

static PyObject *result_phases(PyObject *object, void *closure)
{
    (void)closure;
    frame_result *self = (frame_result *)object;
    PyObject *dict = PyDict_New();
    for (uint32_t i = 0; dict != NULL && i < self->frame.phase_count; i++) {
        if (set_taken(dict, PyTuple_GET_ITEM(self->plan->phases, i),
                      PyLong_FromUnsignedLongLong(self->frame.phase_ns[i])) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

static PyObject *result_phase_steps(PyObject *object, void *closure)
{
    (void)closure;
    frame_result *self = (frame_result *)object;
    PyObject *dict = PyDict_New();
    for (uint32_t i = 0; dict != NULL && i < self->frame.phase_count; i++) {
        if (set_taken(dict, PyTuple_GET_ITEM(self->plan->phases, i),
                      PyLong_FromUnsignedLong(self->frame.phase_steps[i])) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

/* Time in the systems of each stage of a phase. */
static PyObject *phase_stages(const frame_result *self, uint32_t phase)
{
    const fol_plan *plan = self->plan->core;
    uint32_t stage_count = fol_plan_stage_count(plan, phase);
    uint64_t *sums = PyMem_Calloc(stage_count + 1, sizeof(*sums));
    if (sums == NULL) {
        return PyErr_NoMemory();
    }
    uint32_t first, count;
    fol_plan_phase_range(plan, phase, &first, &count);
    const uint32_t *order = fol_plan_order(plan) + first;
    for (uint32_t i = 0; i < count; i++) {
        sums[fol_plan_system_stage(plan, order[i])] += self->frame.systems[order[i]].wall_ns;
    }
    PyObject *list = PyList_New(stage_count);
    for (uint32_t i = 0; list != NULL && i < stage_count; i++) {
        PyObject *sum = PyLong_FromUnsignedLongLong(sums[i]);
        if (sum == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, sum);
    }
    PyMem_Free(sums);
    return list;
}

static PyObject *result_stages(PyObject *object, void *closure)
{
    (void)closure;
    frame_result *self = (frame_result *)object;
    PyObject *dict = PyDict_New();
    for (uint32_t i = 0; dict != NULL && i < self->frame.phase_count; i++) {
        if (set_taken(dict, PyTuple_GET_ITEM(self->plan->phases, i), phase_stages(self, i)) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

static PyObject *result_commands(PyObject *object, void *closure)
{
    (void)closure;
    frame_result *self = (frame_result *)object;
    PyObject *dict = PyDict_New();
    for (int kind = 0; dict != NULL && kind <= FOL_COMMAND_KINDS; kind++) {
        bool is_kind = kind < FOL_COMMAND_KINDS;
        uint64_t count = is_kind ? self->frame.merged.applied[kind] : self->frame.merged.dropped;
        const char *name = is_kind ? fol_command_kind_name((fol_command_kind)kind) : "dropped";
        PyObject *key = PyUnicode_FromString(name);
        if (key == NULL || set_taken(dict, key, PyLong_FromUnsignedLongLong(count)) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(key);
    }
    return dict;
}

static PyObject *result_errors(PyObject *object, void *closure)
{
    (void)closure;
    PyObject *errors = ((frame_result *)object)->errors;
    return errors == NULL ? PyList_New(0) : PySequence_List(errors);
}

static PyObject *result_quarantined(PyObject *object, void *closure)
{
    (void)closure;
    frame_result *self = (frame_result *)object;
    if (self->quarantined != NULL) {
        return PySequence_List(self->quarantined);
    }
    return fol_py_plan_name_list(self->plan, self->frame.quarantined,
                                 self->frame.quarantined_count);
}

#define UNSIGNED_GETTER(name, expression)                                                          \
    static PyObject *result_##name(PyObject *object, void *closure)                                \
    {                                                                                              \
        (void)closure;                                                                             \
        const fol_frame *frame = &((frame_result *)object)->frame;                                 \
        return PyLong_FromUnsignedLongLong(frame->expression);                                     \
    }

UNSIGNED_GETTER(frame, frame)
UNSIGNED_GETTER(wall_ns, wall_ns)
UNSIGNED_GETTER(cpu_ns, cpu_ns)
UNSIGNED_GETTER(merge_ns, merge_ns)
UNSIGNED_GETTER(bytes_moved, merged.bytes_moved)
UNSIGNED_GETTER(dropped_steps, dropped_steps)

static PyObject *result_dt(PyObject *object, void *closure)
{
    (void)closure;
    return PyFloat_FromDouble(((frame_result *)object)->frame.dt);
}

static PyObject *result_time(PyObject *object, void *closure)
{
    (void)closure;
    return PyFloat_FromDouble(((frame_result *)object)->frame.time);
}

/* The answer of a function of a module; takes the reference of its arguments. */
static PyObject *ask(const char *module_name, const char *name, PyObject *arguments)
{
    PyObject *module = arguments == NULL ? NULL : PyImport_ImportModule(module_name);
    PyObject *function = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    PyObject *answer = function == NULL ? NULL : PyObject_Call(function, arguments, NULL);
    Py_XDECREF(function);
    Py_XDECREF(module);
    Py_XDECREF(arguments);
    return answer;
}

static PyObject *result_spans(PyObject *object, void *closure)
{
    (void)closure;
    frame_result *self = (frame_result *)object;
    if (self->scheduler == NULL) {
        return PyList_New(0);
    }
    return ask(
        "foliot._trace", "frame_spans",
        Py_BuildValue("(OOK)", self->scheduler, self->plan, (unsigned long long)self->frame.frame));
}

static PyObject *result_to_svg(PyObject *object, PyObject *unused)
{
    (void)unused;
    return ask("foliot._trace", "frame_svg", PyTuple_Pack(1, object));
}

static PyObject *result_repr_html(PyObject *object, PyObject *unused)
{
    (void)unused;
    return ask("foliot._frame_html", "frame_html", PyTuple_Pack(1, object));
}

static PyObject *result_repr(PyObject *object)
{
    frame_result *self = (frame_result *)object;
    unsigned ran = 0;
    for (uint32_t i = 0; i < self->frame.system_count; i++) {
        ran += did_run(&self->frame.systems[i]);
    }
    Py_ssize_t errors = self->errors == NULL ? 0 : PyList_GET_SIZE(self->errors);
    return PyUnicode_FromFormat("<FrameResult %llu: %u of %u systems, %zd errors, %llu us>",
                                (unsigned long long)self->frame.frame, ran,
                                (unsigned)self->frame.system_count, errors,
                                (unsigned long long)(self->frame.wall_ns / 1000));
}

static PyGetSetDef result_getset[] = {
    {"frame", result_frame, NULL, "The frame's number, from 0.", NULL},
    {"dt", result_dt, NULL, "Seconds that the frame advanced.", NULL},
    {"time", result_time, NULL, "Seconds of all frames before it.", NULL},
    {"wall_ns", result_wall_ns, NULL, "Nanoseconds on the scheduler's clock.", NULL},
    {"cpu_ns", result_cpu_ns, NULL,
     "Processor nanoseconds of the calling thread, and of other workers while they ran "
     "systems.",
     NULL},
    {"merge_ns", result_merge_ns, NULL, "Nanoseconds in merges of commands.", NULL},
    {"systems", result_systems, NULL, "{name: SystemTiming} of the systems that ran, in order.",
     NULL},
    {"skipped", result_skipped, NULL, "Names of the systems that did not run, in order.", NULL},
    {"skipped_reasons", result_skipped_reasons, NULL,
     "{name: why} of the systems that did not run.", NULL},
    {"misses", result_misses, NULL, "{name: deadlines missed} of the systems that missed any.",
     NULL},
    {"overruns", result_overruns, NULL,
     "{name: times it used up its budget before its work was done} of the systems that did.", NULL},
    {"phases", result_phases, NULL, "{phase: nanoseconds}, merges included.", NULL},
    {"phase_steps", result_phase_steps, NULL, "{phase: how often it ran in the frame}.", NULL},
    {"stages", result_stages, NULL, "{phase: [nanoseconds in the systems of each stage]}.", NULL},
    {"commands", result_commands, NULL, "{kind: commands applied}, and those \"dropped\".", NULL},
    {"bytes_moved", result_bytes_moved, NULL, "Bytes of rows that merges moved.", NULL},
    {"dropped_steps", result_dropped_steps, NULL, "Steps of fixed-step phases given up.", NULL},
    {"errors", result_errors, NULL, "Exceptions of the systems that failed.", NULL},
    {"quarantined", result_quarantined, NULL, "Names of the systems this frame switched off.",
     NULL},
    {"spans", result_spans, NULL,
     "What each worker did when, as a list of Span, while the trace still has it; empty without "
     "one.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef result_methods[] = {
    {"to_svg", result_to_svg, METH_NOARGS,
     "to_svg($self, /)\n--\n\n"
     "A picture of the frame, a lane for each worker; ValueError without spans."},
    {"_repr_html_", result_repr_html, METH_NOARGS,
     "_repr_html_($self, /)\n--\n\nThe frame as a table for notebooks."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot result_slots[] = {
    {Py_tp_methods, result_methods},
    {Py_tp_doc, "What one frame did: times, systems run and skipped, commands, errors."},
    {Py_tp_dealloc, result_dealloc},
    {Py_tp_traverse, result_traverse},
    {Py_tp_clear, result_clear},
    {Py_tp_repr, result_repr},
    {Py_tp_getset, result_getset},
    {0, NULL},
};

PyType_Spec fol_py_frame_result_spec = {
    .name = "foliot._core.FrameResult",
    .basicsize = sizeof(frame_result),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = result_slots,
};
