/* Runs of a task graph: with the lock of the interpreter only where a policy in Python decides.
 */
#include <errno.h>

#include "bindings/graph.h"
#include "bindings/policy.h"
#include "bindings/sim_machine.h"

/* What a run knows of Python while it runs. */
typedef struct host {
    PyThreadState *detached; /* NULL: attached */
    PyObject *progress;      /* called with the tasks done, or NULL */
    PyObject *bound;         /* policy, or NULL */
} host;

/* Signals and progress, now and then. */
static int look_at_host(void *state, uint32_t done)
{
    host *self = state;
    bool was_detached = self->detached != NULL;
    if (was_detached) {
        PyEval_RestoreThread(self->detached);
        self->detached = NULL;
    }
    int status = PyErr_CheckSignals();
    if (status == 0 && self->progress != NULL) {
        PyObject *answer = PyObject_CallFunction(self->progress, "I", (unsigned int)done);
        status = answer == NULL ? -1 : 0;
        Py_XDECREF(answer);
    }
    if (status == 0 && self->bound != NULL) {
        status = fol_py_policy_raise_interrupt(self->bound);
    }
    if (was_detached) {
        self->detached = PyEval_SaveThread();
    }
    return status == 0 ? FOL_OK : FOL_E_HOST;
}

static PyObject *name_of(void *state, uint32_t task)
{
    fol_py_graph *self = state;
    return task < PyTuple_GET_SIZE(self->names) ? Py_NewRef(PyTuple_GET_ITEM(self->names, task))
                                                : NULL;
}

static PyObject *summary_dict(const fol_sim_graph_summary *summary, PyObject *errors)
{
    PyObject *migrations = fol_py_counts_by_distance(summary->moves.migrations);
    PyObject *steals = fol_py_counts_by_distance(summary->moves.steals);
    PyObject *told = NULL;
    if (migrations != NULL && steals != NULL) {
        told =
            Py_BuildValue("{s:L,s:L,s:O,s:O,s:I,s:I,s:O}", "makespan", (long long)summary->makespan,
                          "overhead", (long long)summary->overhead, "migrations", migrations,
                          "steals", steals, "passes", (unsigned int)summary->passes, "faults",
                          (unsigned int)summary->faults, "errors", errors);
    }
    Py_XDECREF(migrations);
    Py_XDECREF(steals);
    return told;
}

static int run_graph(fol_py_graph *self, fol_sim_graph_options *options,
                     const fol_sim_graph_jobs *jobs, host *host, fol_sim_graph_summary *summary)
{
    int status;
    options->check = look_at_host;
    options->check_state = host;
    if (host->bound == NULL) {
        host->detached = PyEval_SaveThread();
        status = fol_sim_graph_run(self->graph, options, jobs, summary);
        PyEval_RestoreThread(host->detached);
        return status;
    }
    const fol_py_policy_facts *facts = fol_py_policy_facts_of(host->bound);
    options->slots = facts->slots;
    options->max_faults = facts->max_faults;
    status = fol_sim_graph_run(self->graph, options, jobs, summary);
    if (status == FOL_OK && fol_py_policy_raise_interrupt(host->bound) < 0) {
        status = FOL_E_HOST;
    }
    return status;
}

static PyObject *tell_run(fol_py_state *state, int status, const fol_sim_graph_summary *summary,
                          PyObject *bound)
{
    if (status == -EOVERFLOW) {
        fol_py_raise(state, FOL_E_VALUE,
                     "the costs of all tasks, switches, migrations and steals "
                     "may exceed 2**63 - 2 in sum");
        return NULL;
    }
    if (status != FOL_OK) {
        fol_py_raise(state, status, NULL);
        return NULL;
    }
    PyObject *errors = bound == NULL ? PyList_New(0) : fol_py_policy_take_errors(bound);
    PyObject *told = errors == NULL ? NULL : summary_dict(summary, errors);
    Py_XDECREF(errors);
    return told;
}

PyObject *fol_py_graph_run(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"order",  "cpus",     "seed",    "costs", "out",
                               "policy", "progress", "machine", NULL};
    fol_py_graph *self = (fol_py_graph *)object;
    unsigned int order;
    unsigned int cpus;
    unsigned long long seed;
    long long costs[7];
    PyObject *out[4];
    PyObject *policy = Py_None;
    PyObject *progress = Py_None;
    PyObject *machine = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IIK(L(LLL)(LLL))(OOOO)|OOO:run", keywords,
                                     &order, &cpus, &seed, &costs[0], &costs[1], &costs[2],
                                     &costs[3], &costs[4], &costs[5], &costs[6], &out[0], &out[1],
                                     &out[2], &out[3], &policy, &progress, &machine)) {
        return NULL;
    }
    fol_py_state *state = fol_py_state_of(Py_TYPE(object));
    Py_ssize_t count = PyTuple_GET_SIZE(self->names);
    fol_py_array arrays[4] = {0};
    host host = {.progress = progress == Py_None ? NULL : progress};
    fol_py_machine taken = {0};
    PyObject *told = NULL;
    if (fol_py_take_array(out[0], "release", 'i', 8, count, true, &arrays[0]) < 0 ||
        fol_py_take_array(out[1], "start", 'i', 8, count, true, &arrays[1]) < 0 ||
        fol_py_take_array(out[2], "finish", 'i', 8, count, true, &arrays[2]) < 0 ||
        fol_py_take_array(out[3], "cpu", 'u', 4, count, true, &arrays[3]) < 0 ||
        fol_py_take_machine(machine, cpus, &taken) < 0) {
        goto done;
    }
    if (policy != Py_None) {
        fol_py_policy_names names = {.state = self, .runnable = name_of};
        host.bound = fol_py_policy_bind(state, policy, &names, false);
        if (host.bound == NULL) {
            goto done;
        }
    }
    fol_sim_graph_options options = {
        .order = (fol_sim_graph_order)order,
        .cpus = cpus,
        .seed = seed,
        .switch_cost = costs[0],
        .machine = taken.given,
    };
    fol_py_spread_costs(&costs[1], options.migration_costs);
    fol_py_spread_costs(&costs[4], options.steal_costs);
    fol_sim_graph_jobs jobs = {arrays[0].view.buf, arrays[1].view.buf, arrays[2].view.buf,
                               arrays[3].view.buf};
    fol_sim_graph_summary summary;
    int status = run_graph(self, &options, &jobs, &host, &summary);
    told = tell_run(state, status, &summary, host.bound);
done:
    for (size_t i = 0; i < 4; i++) {
        fol_py_release_array(&arrays[i]);
    }
    fol_py_release_machine(&taken);
    Py_XDECREF(host.bound);
    return told;
}
