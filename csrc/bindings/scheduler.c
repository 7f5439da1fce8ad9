/* `_core.Scheduler`: its life, a change of plan, and what can be asked between frames.
 *
 * `foliot.Scheduler` derives from it, checks arguments and makes plans. The core keeps pointers to
 * the contexts, so they live until the core has let go; a replan swaps both at once.
 */
#include "bindings/scheduler.h"
#include "bindings/io.h"

#include <errno.h>
#include <unistd.h>

fol_scheduler *fol_py_scheduler_core(fol_py_scheduler *self)
{
    if (self->was_closed && fol_py_is_left_by_exit()) {
        /* A daemon thread that drives frames until the end ends with it, without a word. */
        PyErr_SetNone(PyExc_SystemExit);
        return NULL;
    }
    if (self->core == NULL) {
        PyErr_SetString(PyExc_RuntimeError, self->was_closed ? "the scheduler is closed"
                                                             : "the scheduler was never opened");
        return NULL;
    }
    if (getpid() != self->process) {
        fol_py_raise(self->state, FOL_E_FORKED,
                     "the scheduler belongs to the process before the fork: make a new one here");
        return NULL;
    }
    return self->core;
}

int fol_py_scheduler_refuse(fol_py_scheduler *self, const char *what)
{
    if (self->is_driving) {
        return fol_py_raise(self->state, FOL_E_BUSY, "%s while a frame runs", what);
    }
    return 0;
}

/* A core that is let go, and what it pointed at. */
typedef struct closed_core {
    fol_scheduler *core;
    fol_py_context **contexts;
    uint32_t context_count;
} closed_core;

/* From here on the scheduler is closed. Under its lock. */
static closed_core take_core(fol_py_scheduler *self)
{
    closed_core taken = {self->core, self->contexts, self->context_count};
    self->core = NULL;
    self->contexts = NULL;
    self->context_count = 0;
    self->was_closed = self->was_closed || taken.core != NULL;
    return taken;
}

static void end_core(fol_py_scheduler *self, closed_core taken)
{
    fol_scheduler *core = taken.core;
    if (core == NULL) {
        return;
    }
    if (self->home != NULL) {
        self->home->is_closed = true;
    }
    fol_py_contexts_release(taken.contexts, taken.context_count);
    /* In a child of fork its threads and locks are those of the parent: what it holds stays. So
     * does what is left when the interpreter has begun to end: to end it could mean to wait for
     * threads that wait for this one. */
    if (getpid() == self->process && !fol_py_is_exiting()) {
        fol_py_orphans_end(self->state, core, self->world);
    }
}

static PyObject *scheduler_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    fol_py_scheduler *self = (fol_py_scheduler *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = fol_py_state_of(type);
    }
    return (PyObject *)self;
}

/* Hands what a binding made to the scheduler, and takes back for it what the scheduler had; the
 * plan that it had, or NULL. Runs no Python code. */
static fol_py_plan *exchange(fol_py_scheduler *self, fol_py_binding *binding, fol_py_plan *plan)
{
    fol_py_plan *old_plan = self->plan;
    fol_py_context **old = self->contexts;
    uint32_t old_count = self->context_count;
    for (uint32_t i = 0; i < binding->count; i++) {
        binding->contexts[i]->scheduler = self;
    }
    self->contexts = binding->contexts;
    self->context_count = binding->count;
    self->runs_host = binding->runs_host;
    self->plan = (fol_py_plan *)Py_NewRef((PyObject *)plan);
    binding->contexts = old;
    binding->count = old_count;
    return old_plan;
}

static uint32_t column_count(const fol_py_bound_query *query)
{
    uint32_t count = 0;
    for (size_t i = 0; i < query->count; i++) {
        const fol_term *term = &query->terms[i];
        if (term->kind == FOL_TERM_WRITE || term->kind == FOL_TERM_READ) {
            count += fol_component_field_count(term->component);
        }
    }
    return count;
}

/* Raises for the system whose query no core query can be. */
static int raise_wide_query(fol_py_scheduler *self, const fol_py_binding *binding)
{
    for (uint32_t i = 0; i < binding->count; i++) {
        const fol_py_context *context = binding->contexts[i];
        for (size_t place = 0; place < context->query_count; place++) {
            uint32_t columns = column_count(&context->queries[place]);
            if (columns > FOL_MAX_COLUMNS) {
                return fol_py_raise(self->state, FOL_E_VALUE,
                                    "a query of system `%U` has %u columns, the fields of all "
                                    "components it reads and writes; no query has more than %d "
                                    "columns",
                                    context->name, (unsigned)columns, FOL_MAX_COLUMNS);
            }
        }
    }
    return fol_py_raise(self->state, FOL_E_VALUE, "a query of a system has too many terms");
}

static int raise_open(fol_py_scheduler *self, int status, const fol_py_binding *binding)
{
    if (status == FOL_E_BUSY) {
        return fol_py_raise(self->state, status, "the world is in use by a frame");
    }
    if (status == FOL_E_CAPACITY) {
        return fol_py_raise(self->state, status,
                            "the world has no room for what the systems declare: %s is reached",
                            fol_world_full_setting(fol_py_world(self->world)));
    }
    if (status == FOL_E_VALUE) {
        return raise_wide_query(self, binding);
    }
    if (status == -ENOSPC) {
        return fol_py_raise(self->state, FOL_E_CAPACITY,
                            "the new plan has far more systems or budgets than the one that the "
                            "scheduler made room for: make a new scheduler");
    }
    if (status == -ERANGE || status == -ENODEV) {
        return fol_py_raise_budget(self, status, binding);
    }
    if (status > -4096 && status != -ENOMEM) {
        return fol_py_raise(self->state, status,
                            "the system refused the threads that Config.require_workers asks for: "
                            "%s",
                            fol_status_text(status));
    }
    return fol_py_raise(self->state, status, NULL);
}

static int read_config(fol_py_scheduler *self, PyObject *args, fol_scheduler_config *config,
                       PyObject **plan, PyObject **records, PyObject **rates, PyObject **clock)
{
    PyObject *world, *chosen;
    int policy;
    unsigned long long seed;
    Py_ssize_t command_bytes;
    *config = fol_scheduler_config_default;
    int require_workers, choice, use_sqpoll;
    fol_adaptive_config *adaptive = &config->adaptive;
    if (!PyArg_ParseTuple(
            args, "O!OOOOsIKdiIIndIpI(iIIIp)(IIdd)O", self->state->scheduler.plan_type, plan,
            records, rates, &world, clock, &config->backend, &config->workers, &seed,
            &config->max_dt, &policy, &config->quarantine_after, &config->max_commands,
            &command_bytes, &config->target_task_seconds, &config->steal_batch, &require_workers,
            &config->trace_records, &choice, &config->max_io, &config->min_io_threads,
            &config->max_io_threads, &use_sqpoll, &adaptive->window, &adaptive->cooldown,
            &adaptive->least_gain, &adaptive->least_operations, &chosen)) {
        return -1;
    }
    config->require_workers = require_workers != 0;
    config->io = (fol_io_choice)choice;
    config->use_sqpoll = use_sqpoll != 0;
    if (!fol_py_is_world(self->state, world)) {
        PyErr_Format(PyExc_TypeError, "a scheduler runs a fo.World, got %R", world);
        return -1;
    }
    config->seed = seed;
    config->errors = (fol_error_policy)policy;
    config->command_bytes = (size_t)command_bytes;
    config->host = fol_py_host(self);
    if (fol_py_choose_policy(self, chosen, config) < 0) {
        return -1;
    }
    if (self->bound_policy != NULL) {
        config->host.pending = fol_py_pending_with_policy;
    }
    if (fol_py_is_exiting()) {
        config->workers = 1;
    }
    Py_XSETREF(self->world, Py_NewRef(world));
    return 0;
}

/* _open(plan, records, rates, world, clock, backend, workers, seed, max_dt, policy,
 *       quarantine_after, max_commands, command_bytes, target_task_seconds, steal_batch,
 *       require_workers, trace_records, (io, max_io, min_io_threads, max_io_threads, sqpoll),
 *       (window, cooldown, least_gain, least_operations), policy) */
static PyObject *scheduler_open(PyObject *object, PyObject *args)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    if (self->core != NULL || self->was_closed) {
        PyErr_SetString(PyExc_RuntimeError, "a scheduler is opened once");
        return NULL;
    }
    fol_scheduler_config config;
    PyObject *plan, *records, *rates, *clock;
    fol_py_binding binding;
    if (read_config(self, args, &config, &plan, &records, &rates, &clock) < 0) {
        return NULL;
    }
    fol_py_clock_face_deinit(&self->face);
    Py_XSETREF(self->home, (fol_py_io_home *)fol_py_io_home_new(self->state, config.max_io));
    if (self->home == NULL || fol_py_clock_face_init(&self->face, self->state, clock) < 0 ||
        fol_py_binding_init(&binding, self, (fol_py_plan *)plan, records, rates) < 0) {
        return NULL;
    }
    config.clock = self->face.clock;
    self->max_dt = config.max_dt;
    self->trace_records = config.trace_records;
    self->policy = config.errors;
    self->process = (int)getpid();
    self->fork_count = fol_py_fork_count();
    if (fol_py_world_enter(self->world) < 0) {
        fol_py_binding_deinit(&binding);
        return NULL;
    }
    int status = fol_scheduler_create(fol_py_world(self->world), ((fol_py_plan *)plan)->core,
                                      binding.systems, binding.rates, &config, &self->core);
    fol_py_world_leave(self->world);
    if (status == 0) {
        Py_XDECREF(exchange(self, &binding, (fol_py_plan *)plan));
    } else {
        raise_open(self, status, &binding);
    }
    fol_py_binding_deinit(&binding);
    return status == 0 ? Py_NewRef(Py_None) : NULL;
}

/* What the scheduler runs from the next frame on. */
static int replan(fol_py_scheduler *self, fol_py_plan *plan, PyObject *records, PyObject *rates)
{
    fol_py_binding binding;
    if (fol_py_binding_init(&binding, self, plan, records, rates) < 0) {
        return -1;
    }
    fol_py_plan *old_plan = NULL;
    int status;
    /* What others ask speaks of the old plan or of the new one. */
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    status = fol_scheduler_replan(self->core, plan->core, binding.systems, binding.rates);
    if (status == 0) {
        old_plan = exchange(self, &binding, plan);
    }
    FOL_PY_END_CRITICAL();
    if (status != 0) {
        raise_open(self, status, &binding);
    }
    fol_py_binding_deinit(&binding);
    Py_XDECREF(old_plan);
    return status == 0 ? 0 : -1;
}

/* _replan_with(plan, records, rates) */
static PyObject *scheduler_replan_with(PyObject *object, PyObject *args)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    PyObject *plan, *records, *rates;
    if (!PyArg_ParseTuple(args, "O!OO", self->state->scheduler.plan_type, &plan, &records,
                          &rates) ||
        fol_py_scheduler_core(self) == NULL) {
        return NULL;
    }
    /* Making contexts may run the collector, and with it any Python code. */
    int begun = fol_py_scheduler_begin_drive(self);
    if (begun <= 0) {
        if (begun == 0) {
            fol_py_raise(self->state, FOL_E_BUSY, "the plan cannot change while a frame runs");
        }
        return NULL;
    }
    int replanned = replan(self, (fol_py_plan *)plan, records, rates);
    fol_py_scheduler_end_drive(self);
    return replanned == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *scheduler_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    closed_core taken = {0};
    int status = 0;
    FOL_PY_BEGIN_CRITICAL(object);
    if (self->call_count > 0) {
        status = fol_py_raise(self->state, FOL_E_BUSY,
                              "the scheduler cannot close while it runs frames");
    } else if (fol_py_scheduler_refuse(self, "the scheduler cannot close") < 0) {
        status = -1;
    } else {
        taken = take_core(self);
        self->was_closed = true;
    }
    FOL_PY_END_CRITICAL();
    if (status < 0) {
        return NULL;
    }
    end_core(self, taken);
    Py_RETURN_NONE;
}

static PyObject *scheduler_mark_stale(PyObject *object, PyObject *unused)
{
    (void)unused;
    ((fol_py_scheduler *)object)->is_stale = true;
    Py_RETURN_NONE;
}

/* The place of a system in the plan of the next frame, where that can be made now. */
static Py_ssize_t find_system(fol_py_scheduler *self, PyObject *system)
{
    if (fol_py_scheduler_core(self) == NULL ||
        (!self->is_driving && fol_py_scheduler_refresh(self) < 0)) {
        return -1;
    }
    return fol_py_plan_index(self->plan, system);
}

static PyObject *set_enabled(PyObject *object, PyObject *system, bool enabled)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    if (fol_py_scheduler_core(self) == NULL ||
        fol_py_scheduler_refuse(self, "a system cannot be switched on or off") < 0) {
        return NULL;
    }
    Py_ssize_t index = find_system(self, system);
    /* Looking for it may have run Python code, and that may have closed the scheduler, or begun a
     * frame. */
    fol_scheduler *core = index < 0 ? NULL : fol_py_scheduler_core(self);
    if (core == NULL ||
        fol_py_scheduler_refuse(self, "a system cannot be switched on or off") < 0) {
        return NULL;
    }
    int status = fol_scheduler_enable(core, (uint32_t)index, enabled);
    if (status != 0) {
        fol_py_raise(self->state, status, NULL);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *scheduler_enable(PyObject *object, PyObject *system)
{
    return set_enabled(object, system, true);
}

static PyObject *scheduler_disable(PyObject *object, PyObject *system)
{
    return set_enabled(object, system, false);
}

static PyObject *scheduler_is_enabled(PyObject *object, PyObject *system)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    Py_ssize_t index = find_system(self, system);
    fol_scheduler *core = index < 0 ? NULL : fol_py_scheduler_core(self);
    return core == NULL ? NULL : PyBool_FromLong(fol_scheduler_is_enabled(core, (uint32_t)index));
}

static PyObject *scheduler_set_notices(PyObject *object, PyObject *wanted)
{
    int is_wanted = PyObject_IsTrue(wanted);
    if (is_wanted < 0) {
        return NULL;
    }
    ((fol_py_scheduler *)object)->has_notices = is_wanted != 0;
    Py_RETURN_NONE;
}

static PyObject *scheduler_plan(PyObject *object, void *closure)
{
    (void)closure;
    fol_py_plan *plan = ((fol_py_scheduler *)object)->plan;
    return Py_NewRef(plan == NULL ? Py_None : (PyObject *)plan);
}

static PyObject *scheduler_world(PyObject *object, void *closure)
{
    (void)closure;
    PyObject *world = ((fol_py_scheduler *)object)->world;
    return Py_NewRef(world == NULL ? Py_None : world);
}

static PyObject *scheduler_is_closed(PyObject *object, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((fol_py_scheduler *)object)->core == NULL);
}

static PyObject *scheduler_frame(PyObject *object, void *closure)
{
    (void)closure;
    fol_scheduler *core = fol_py_scheduler_core((fol_py_scheduler *)object);
    return core == NULL ? NULL : PyLong_FromUnsignedLongLong(fol_scheduler_frame_number(core));
}

/* Methods and getters that ask under the lock, so that nobody closes the scheduler meanwhile. */
#define LOCKED(function)                                                                           \
    static PyObject *locked_##function(PyObject *object, PyObject *argument)                       \
    {                                                                                              \
        PyObject *answer;                                                                          \
        FOL_PY_BEGIN_CRITICAL(object);                                                             \
        answer = function(object, argument);                                                       \
        FOL_PY_END_CRITICAL();                                                                     \
        return answer;                                                                             \
    }
#define LOCKED_GETTER(function)                                                                    \
    static PyObject *locked_##function(PyObject *object, void *closure)                            \
    {                                                                                              \
        PyObject *answer;                                                                          \
        FOL_PY_BEGIN_CRITICAL(object);                                                             \
        answer = function(object, closure);                                                        \
        FOL_PY_END_CRITICAL();                                                                     \
        return answer;                                                                             \
    }

LOCKED(scheduler_enable)
LOCKED(scheduler_disable)
LOCKED(scheduler_is_enabled)
LOCKED(fol_py_scheduler_costs)
LOCKED(fol_py_scheduler_backend)
LOCKED(fol_py_scheduler_read_stats)
LOCKED(fol_py_scheduler_read_worker)
LOCKED(fol_py_scheduler_explain_phase)
LOCKED(fol_py_scheduler_explain_backend)
LOCKED(fol_py_scheduler_io)
LOCKED(fol_py_scheduler_read_trace)
LOCKED(fol_py_scheduler_trace_scale)
LOCKED(fol_py_scheduler_clear_trace)
LOCKED_GETTER(scheduler_plan)
LOCKED_GETTER(scheduler_world)
LOCKED_GETTER(scheduler_frame)

static int scheduler_traverse(PyObject *object, visitproc visit, void *arg)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->world);
    Py_VISIT(self->plan);
    Py_VISIT(self->face.object);
    Py_VISIT(self->face.error);
    Py_VISIT(self->interrupt);
    Py_VISIT(self->home);
    Py_VISIT(self->bound_policy);
    for (uint32_t i = 0; i < self->context_count; i++) {
        Py_VISIT(self->contexts[i]);
    }
    return 0;
}

static int scheduler_clear(PyObject *object)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    /* The world must outlive the core. */
    end_core(self, take_core(self));
    Py_CLEAR(self->world);
    Py_CLEAR(self->plan);
    Py_CLEAR(self->interrupt);
    Py_CLEAR(self->home);
    Py_CLEAR(self->bound_policy);
    fol_py_clock_face_deinit(&self->face);
    return 0;
}

static void scheduler_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    scheduler_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(tick_doc,
             "tick($self, /, dt)\n--\n\nRun one frame that advances dt seconds; its FrameResult.");
PyDoc_STRVAR(tick_n_doc, "tick_n($self, /, count, dt)\n--\n\n"
                         "Run up to count frames; the result of the last one, None for no frame.");

PyDoc_STRVAR(wait_doc,
             "wait($self, /, timeout=None)\n--\n\n"
             "Wait, between frames, until an operation asked for with wait=\"none\" has come.\n\n"
             "True when the next frame delivers one. False after timeout seconds, and at once when "
             "there\nis none to wait for.");

static PyMethodDef scheduler_methods[] = {
    {"tick", (PyCFunction)(void (*)(void))fol_py_scheduler_tick, METH_FASTCALL | METH_KEYWORDS,
     tick_doc},
    {"tick_n", (PyCFunction)(void (*)(void))fol_py_scheduler_tick_n, METH_FASTCALL | METH_KEYWORDS,
     tick_n_doc},
    {"wait", (PyCFunction)(void (*)(void))fol_py_scheduler_wait, METH_FASTCALL | METH_KEYWORDS,
     wait_doc},
    {"close", scheduler_close, METH_NOARGS,
     "close($self, /)\n--\n\nEnd the scheduler; closing twice is fine."},
    {"enable", locked_scheduler_enable, METH_O,
     "enable($self, system, /)\n--\n\nSwitch a system on; ends a quarantine."},
    {"disable", locked_scheduler_disable, METH_O,
     "disable($self, system, /)\n--\n\nSwitch a system off."},
    {"is_enabled", locked_scheduler_is_enabled, METH_O,
     "is_enabled($self, system, /)\n--\n\nFalse when switched off or in quarantine."},
    {"costs", locked_fol_py_scheduler_costs, METH_NOARGS,
     "costs($self, /)\n--\n\n{name: mean measured seconds a run}; 0.0 for what never ran."},
    {"_open", scheduler_open, METH_VARARGS, NULL},
    {"_replan_with", scheduler_replan_with, METH_VARARGS, NULL},
    {"_run", fol_py_scheduler_run, METH_VARARGS, NULL},
    {"_mark_stale", scheduler_mark_stale, METH_NOARGS, NULL},
    {"_backend", locked_fol_py_scheduler_backend, METH_NOARGS, NULL},
    {"_read_stats", locked_fol_py_scheduler_read_stats, METH_NOARGS, NULL},
    {"_read_worker", locked_fol_py_scheduler_read_worker, METH_O, NULL},
    {"_explain_phase", locked_fol_py_scheduler_explain_phase, METH_O, NULL},
    {"_explain_backend", locked_fol_py_scheduler_explain_backend, METH_NOARGS, NULL},
    {"_revoke", fol_py_scheduler_revoke, METH_O, NULL},
    {"_read_account", fol_py_scheduler_read_account, METH_VARARGS, NULL},
    {"_read_attribution", fol_py_scheduler_read_attribution, METH_NOARGS, NULL},
    {"_take_notice", fol_py_scheduler_take_notice, METH_O, NULL},
    {"_explain_budget", fol_py_scheduler_explain_budget, METH_VARARGS, NULL},
    {"_read_decisions", fol_py_scheduler_read_decisions, METH_O, NULL},
    {"_take_policy_errors", fol_py_scheduler_take_policy_errors, METH_NOARGS, NULL},
    {"_set_notices", scheduler_set_notices, METH_O, NULL},
    {"_io", locked_fol_py_scheduler_io, METH_NOARGS, NULL},
    {"_read_trace", locked_fol_py_scheduler_read_trace, METH_O, NULL},
    {"_trace_scale", locked_fol_py_scheduler_trace_scale, METH_NOARGS, NULL},
    {"_clear_trace", locked_fol_py_scheduler_clear_trace, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef scheduler_getset[] = {
    {"plan", locked_scheduler_plan, NULL, "The plan that runs.", NULL},
    {"world", locked_scheduler_world, NULL, "The world that it runs over.", NULL},
    {"frame", locked_scheduler_frame, NULL, "The number of the next frame.", NULL},
    {"closed", scheduler_is_closed, NULL, "Whether it has ended.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot scheduler_slots[] = {
    {Py_tp_doc, "Runs a plan's systems over a world, frame after frame."},
    {Py_tp_new, scheduler_new},
    {Py_tp_dealloc, scheduler_dealloc},
    {Py_tp_traverse, scheduler_traverse},
    {Py_tp_clear, scheduler_clear},
    {Py_tp_methods, scheduler_methods},
    {Py_tp_getset, scheduler_getset},
    {0, NULL},
};

PyType_Spec fol_py_scheduler_spec = {
    .name = "foliot._core.Scheduler",
    .basicsize = sizeof(fol_py_scheduler),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = scheduler_slots,
};
