/* Budgets and policies of a scheduler, as Python gives them and asks about them.
 *
 * A budget is known to the core by a number that `foliot.Scheduler` gives it. The core is asked
 * without the interpreter's lock, since whoever decides holds the governor's lock while it runs the
 * policy's Python code.
 */
#include "bindings/scheduler.h"

#include <errno.h>

/* Decisions copied at once. */
#define DECISIONS_AT_ONCE 256u

/* Worker numbers as bits. */
static int read_cpus(PyObject *given, uint64_t *words)
{
    if (given == Py_None) {
        return 0;
    }
    PyObject *numbers = PySequence_Fast(given, "workers of a context are numbers");
    if (numbers == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(numbers); i++) {
        unsigned long number = PyLong_AsUnsignedLong(PySequence_Fast_GET_ITEM(numbers, i));
        if (PyErr_Occurred() || number >= FOL_CONTEXT_CPU_WORDS * 64) {
            Py_DECREF(numbers);
            return -1;
        }
        words[number / 64] |= UINT64_C(1) << (number % 64);
    }
    Py_DECREF(numbers);
    return 0;
}

int fol_py_read_budget(PyObject *given, fol_system_budget *out, const fol_system_budget **budget)
{
    PyObject *cpus;
    int is_group, kind, overrun;
    unsigned long long key;
    long long amount, period, deadline;
    fol_context_options *context = &out->context;
    *budget = NULL;
    if (given == Py_None) {
        return 0;
    }
    *out = (fol_system_budget){0};
    if (!PyArg_ParseTuple(given, "KpiiILLLOII", &key, &is_group, &kind, &overrun, &context->refills,
                          &amount, &period, &deadline, &cpus, &out->weight, &out->latency) ||
        read_cpus(cpus, context->cpus) < 0) {
        return -1;
    }
    out->key = key;
    out->is_group = is_group != 0;
    context->kind = (fol_context_kind)kind;
    context->overrun = (fol_overrun)overrun;
    context->budget = amount;
    context->period = period;
    context->deadline = deadline;
    *budget = out;
    return 0;
}

/* Whether a context leaves worker 0 out; every scheduler has that one. */
static bool is_restricted(const fol_system_budget *budget)
{
    return !budget->is_group && (budget->context.cpus[0] & 1) == 0;
}

int fol_py_raise_budget(fol_py_scheduler *self, int status, const fol_py_binding *binding)
{
    const fol_py_context *found = NULL;
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < binding->count; i++) {
        const fol_system_budget *budget = binding->systems[i].budget;
        bool is_candidate = budget != NULL && !budget->is_group &&
                            (status == -ERANGE ? budget->context.budget < least
                                               : found == NULL && is_restricted(budget));
        if (is_candidate) {
            found = binding->contexts[i];
            least = budget->context.budget;
        }
    }
    PyObject *name = found == NULL ? Py_None : found->name;
    if (status == -ERANGE) {
        return fol_py_raise(self->state, FOL_E_VALUE,
                            "the budget of system `%S` is %lld ns, less than what two decisions "
                            "take on this machine: no run would fit in",
                            name, (long long)least);
    }
    return fol_py_raise(self->state, FOL_E_VALUE,
                        "cpus= of the context of system `%S` names no worker that the scheduler "
                        "has",
                        name);
}

/* The name of a runnable's system; called by slots, under the governor's lock. */
static PyObject *name_runnable(void *state, uint32_t id)
{
    const fol_py_scheduler *self = state;
    uint32_t system =
        self->core == NULL ? UINT32_MAX : fol_scheduler_runnable_system(self->core, id);
    return self->plan == NULL || system >= (size_t)PyTuple_GET_SIZE(self->plan->names)
               ? NULL
               : Py_NewRef(PyTuple_GET_ITEM(self->plan->names, system));
}

static PyObject *name_system(void *state, uint32_t system)
{
    const fol_py_scheduler *self = state;
    return self->plan == NULL || system >= (size_t)PyTuple_GET_SIZE(self->plan->names)
               ? NULL
               : Py_NewRef(PyTuple_GET_ITEM(self->plan->names, system));
}

int fol_py_choose_policy(fol_py_scheduler *self, PyObject *policy, fol_scheduler_config *config)
{
    const fol_py_policy_names names = {self, name_runnable, name_system};
    if (policy == Py_None) {
        return 0;
    }
    PyObject *bound = fol_py_policy_bind(self->state, policy, &names, true);
    if (bound == NULL) {
        return -1;
    }
    Py_XSETREF(self->bound_policy, bound);
    const fol_py_policy_facts *facts = fol_py_policy_facts_of(bound);
    config->policy = (fol_policy_choice){.is_chosen = true,
                                         .kind = facts->base,
                                         .slots = facts->slots,
                                         .max_faults = facts->max_faults,
                                         .stopwatch = facts->stopwatch,
                                         .stopwatch_state = facts->stopwatch_state,
                                         .slot_limit = facts->slot_limit};
    return 0;
}

/* The open core, for a call without the interpreter's lock: it stays until leave. */
static fol_scheduler *enter(fol_py_scheduler *self)
{
    fol_scheduler *core;
    FOL_PY_BEGIN_CRITICAL((PyObject *)self);
    core = fol_py_scheduler_core(self);
    if (core != NULL) {
        self->call_count++;
    }
    FOL_PY_END_CRITICAL();
    return core;
}

static void leave(fol_py_scheduler *self)
{
    fol_py_scheduler_release(self);
}

/* Raises what the core refused; the Python side knows what was asked about. */
static PyObject *refuse(fol_py_scheduler *self, int status)
{
    if (status == FOL_E_BUSY) {
        fol_py_raise(self->state, status, "a slot of the policy cannot ask its own scheduler");
    } else {
        fol_py_raise(self->state, status, NULL);
    }
    return NULL;
}

PyObject *fol_py_decision_kinds(void)
{
    PyObject *kinds = PyTuple_New(FOL_DECISION_KINDS);
    for (int kind = 0; kinds != NULL && kind < FOL_DECISION_KINDS; kind++) {
        PyObject *name = PyUnicode_FromString(fol_decision_names[kind]);
        if (name == NULL) {
            Py_CLEAR(kinds);
            break;
        }
        PyTuple_SET_ITEM(kinds, kind, name);
    }
    return kinds;
}

/* _revoke(key) */
PyObject *fol_py_scheduler_revoke(PyObject *object, PyObject *given)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    unsigned long long key = PyLong_AsUnsignedLongLong(given);
    fol_scheduler *core = PyErr_Occurred() ? NULL : enter(self);
    int status;
    if (core == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    status = fol_scheduler_revoke(core, key);
    Py_END_ALLOW_THREADS;
    leave(self);
    return status == 0 ? Py_NewRef(Py_None) : refuse(self, status);
}

PyObject *fol_py_budget_gone_error(const fol_py_context *context)
{
    fol_py_raise(context->state, FOL_E_STALE,
                 "the context that pays for system `%U` was revoked, or ended by its overrun "
                 "policy: give the system another one",
                 context->name);
    return fol_py_take_error();
}

bool fol_py_budget_may_go_on(void *user)
{
    fol_py_context *context = user;
    const fol_task *task = context->task;
    fol_py_scheduler *scheduler = context->scheduler;
    if (scheduler == NULL || scheduler->core == NULL || task == NULL) {
        return true;
    }
    uint64_t revocations = fol_scheduler_revocations(scheduler->core);
    if (revocations == context->revocations) {
        return true;
    }
    uint32_t system = task->system;
    bool is_revoked = false;
    /* The loop may be one of a thread that its system leaves alone meanwhile. */
    Py_INCREF(scheduler);
    Py_INCREF(context);
    fol_py_scheduler_hold(scheduler);
    if (scheduler->core != NULL) {
        Py_BEGIN_ALLOW_THREADS;
        is_revoked = fol_scheduler_is_revoked(scheduler->core, system);
        Py_END_ALLOW_THREADS;
    }
    fol_py_scheduler_release(scheduler);
    Py_DECREF(scheduler);
    if (is_revoked) {
        PyObject *error = fol_py_budget_gone_error(context);
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    } else {
        context->revocations = revocations;
    }
    Py_DECREF(context);
    return !is_revoked;
}

/* _read_account(kind, id) -> tuple in the order of fol_account, or None */
PyObject *fol_py_scheduler_read_account(PyObject *object, PyObject *args)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    int kind;
    unsigned long long id;
    fol_account a;
    if (!PyArg_ParseTuple(args, "iK", &kind, &id)) {
        return NULL;
    }
    fol_scheduler *core = enter(self);
    int status;
    if (core == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    status = fol_scheduler_read_account(core, (fol_account_kind)kind, id, &a);
    Py_END_ALLOW_THREADS;
    leave(self);
    if (status == FOL_E_MISSING) {
        Py_RETURN_NONE;
    }
    if (status != 0) {
        return refuse(self, status);
    }
    return Py_BuildValue("(LLLKKKKKKKKKKK)", (long long)a.runtime, (long long)a.waited,
                         (long long)a.virtual_runtime, (unsigned long long)a.jobs,
                         (unsigned long long)a.switches, (unsigned long long)a.preemptions,
                         (unsigned long long)a.blocks, (unsigned long long)a.migrations,
                         (unsigned long long)a.steals, (unsigned long long)a.throttles,
                         (unsigned long long)a.overruns, (unsigned long long)a.skipped,
                         (unsigned long long)a.misses, (unsigned long long)a.longest_response);
}

/* _read_attribution() -> (choices, the rest), each in the order of fol_attribution, or None */
PyObject *fol_py_scheduler_read_attribution(PyObject *object, PyObject *unused)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    fol_attribution a;
    fol_scheduler *core = enter(self);
    int status;
    (void)unused;
    if (core == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    status = fol_scheduler_read_attribution(core, &a);
    Py_END_ALLOW_THREADS;
    leave(self);
    if (status == FOL_E_MISSING) {
        Py_RETURN_NONE;
    }
    if (status != 0) {
        return refuse(self, status);
    }
    PyObject *choices = fol_py_choices(&a.choices);
    return choices == NULL
               ? NULL
               : Py_BuildValue("(N(KKKKKKKK))", choices, (unsigned long long)a.turn_waits,
                               (unsigned long long)a.locks, (unsigned long long)a.lock_waits,
                               (unsigned long long)a.lock_wait_ns, (unsigned long long)a.wakes_sent,
                               (unsigned long long)a.wakes_saved,
                               (unsigned long long)a.helper_calls, (unsigned long long)a.sleeps);
}

/* _take_notice(key) -> (count, first_ns, last_ns, amount_ns), or None */
PyObject *fol_py_scheduler_take_notice(PyObject *object, PyObject *given)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    unsigned long long key = PyLong_AsUnsignedLongLong(given);
    fol_scheduler *core = PyErr_Occurred() ? NULL : enter(self);
    fol_notice notice;
    bool is_taken;
    if (core == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    is_taken = fol_scheduler_take_notice(core, key, &notice);
    Py_END_ALLOW_THREADS;
    leave(self);
    if (!is_taken) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(KLLL)", (unsigned long long)notice.count, (long long)notice.first,
                         (long long)notice.last, (long long)notice.amount);
}

/* _explain_budget(is_system, index or key) -> str */
PyObject *fol_py_scheduler_explain_budget(PyObject *object, PyObject *args)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    int is_system;
    unsigned long long id;
    char text[1024];
    size_t size;
    if (!PyArg_ParseTuple(args, "pK", &is_system, &id)) {
        return NULL;
    }
    fol_scheduler *core = enter(self);
    if (core == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    size = is_system != 0 ? fol_scheduler_explain_system(core, (uint32_t)id, text, sizeof(text))
                          : fol_scheduler_explain_budget(core, id, text, sizeof(text));
    Py_END_ALLOW_THREADS;
    leave(self);
    size = size < sizeof(text) ? size : sizeof(text) - 1;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "replace");
}

/* The index of a runnable's system, or None. */
static PyObject *index_or_none(uint32_t index)
{
    return index == UINT32_MAX ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(index);
}

/* (number, now, kind, policy, system, cpu, other, job, (a, b, c)) */
static PyObject *decision_tuple(uint64_t number, const fol_decision *d)
{
    PyObject *system = index_or_none(d->runnable);
    PyObject *cpu = system == NULL ? NULL : index_or_none(d->cpu);
    PyObject *other = cpu == NULL ? NULL : index_or_none(d->other);
    if (other == NULL) {
        Py_XDECREF(system);
        Py_XDECREF(cpu);
        return NULL;
    }
    return Py_BuildValue("(KLssNNNK(LLL))", (unsigned long long)number, (long long)d->now,
                         fol_decision_names[d->kind], fol_policy_names[d->policy], system, cpu,
                         other, (unsigned long long)d->job, (long long)d->numbers[0],
                         (long long)d->numbers[1], (long long)d->numbers[2]);
}

/* _read_decisions(first) -> list of tuples; some of those that are kept, empty at the end */
PyObject *fol_py_scheduler_read_decisions(PyObject *object, PyObject *given)
{
    fol_py_scheduler *self = (fol_py_scheduler *)object;
    unsigned long long wanted = PyLong_AsUnsignedLongLong(given);
    fol_scheduler *core = PyErr_Occurred() ? NULL : enter(self);
    fol_decision decisions[DECISIONS_AT_ONCE];
    uint64_t first = wanted;
    size_t count;
    if (core == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    count = fol_scheduler_read_decisions(core, &first, decisions, DECISIONS_AT_ONCE);
    Py_END_ALLOW_THREADS;
    leave(self);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *decision = decision_tuple(first + i, &decisions[i]);
        if (decision == NULL || PyList_Append(list, decision) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(decision);
    }
    return list;
}

/* _take_policy_errors() -> list of exceptions */
PyObject *fol_py_scheduler_take_policy_errors(PyObject *object, PyObject *unused)
{
    (void)unused;
    const fol_py_scheduler *self = (fol_py_scheduler *)object;
    return self->bound_policy == NULL ? PyList_New(0)
                                      : fol_py_policy_take_errors(self->bound_policy);
}

int fol_py_collect_notices(fol_py_scheduler *self, PyObject **list)
{
    if (!self->has_notices) {
        return 0;
    }
    PyObject *errors = PyObject_CallMethod((PyObject *)self, "_deliver_notices", NULL);
    if (errors == NULL) {
        return -1;
    }
    Py_ssize_t count = PyObject_Size(errors);
    if (count > 0 && *list == NULL && (*list = PyList_New(0)) == NULL) {
        count = -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *error = PySequence_GetItem(errors, i);
        if (error == NULL || PyList_Append(*list, error) < 0) {
            count = -1;
        }
        Py_XDECREF(error);
    }
    Py_DECREF(errors);
    return count < 0 ? -1 : count > 0;
}

bool fol_py_take_policy_interrupt(fol_py_scheduler *self)
{
    if (self->bound_policy == NULL || !fol_py_policy_is_interrupted(self->bound_policy)) {
        return false;
    }
    PyObject *interrupt = fol_py_policy_take_interrupt(self->bound_policy);
    if (interrupt != NULL) {
        Py_XSETREF(self->interrupt, interrupt);
    }
    return interrupt != NULL;
}

/* The host's own, and what a slot raised to end everything. */
int fol_py_pending_with_policy(void *state)
{
    fol_py_scheduler *self = state;
    bool was_taken = fol_py_take_policy_interrupt(self);
    return fol_py_pending(state) != 0 || was_taken;
}
