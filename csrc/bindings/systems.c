/* From the declared systems of a plan to what the core runs: a context, terms and a function each.
 */
#include "bindings/io.h"
#include "bindings/scheduler.h"

#include <string.h>

static PyObject *own_or_null(PyObject *object)
{
    return object == Py_None ? NULL : Py_NewRef(object);
}

/* Terms of one query, moved out of the scratch that parsed them. */
static int bind_terms(fol_py_state *state, fol_py_bound_query *query, const fol_py_terms *given)
{
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_term *terms;
    size_t count;
    int failed = fol_py_parse_terms(state, given, &scratch, &terms, &count, &query->classes);
    if (failed == 0) {
        query->terms = PyMem_New(fol_term, count + 1);
        if (query->terms == NULL) {
            PyErr_NoMemory();
            failed = -1;
        } else {
            memcpy(query->terms, terms, count * sizeof(*terms));
            query->count = count;
        }
    }
    fol_py_scratch_release(&scratch);
    return failed;
}

/* (name, writes, reads, with_, without, changed, added) */
static int bind_query(fol_py_state *state, fol_py_bound_query *query, PyObject *record)
{
    PyObject *name;
    fol_py_terms given;
    if (!PyArg_ParseTuple(record, "OOOOOOO", &name, &given.writes, &given.reads, &given.with,
                          &given.without, &given.changed, &given.added)) {
        return -1;
    }
    query->name = own_or_null(name);
    return bind_terms(state, query, &given);
}

static int bind_queries(fol_py_context *context, PyObject *records)
{
    Py_ssize_t count = PyTuple_GET_SIZE(records);
    context->queries = PyMem_Calloc((size_t)count, sizeof(*context->queries));
    if (context->queries == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    context->query_count = (size_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (bind_query(context->state, &context->queries[i], PyTuple_GET_ITEM(records, i)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* (system, name, function, condition, kernel, queries, resources, exclusive, commands, io,
 * max_rows, takes_turns, carries, budget); *carries and *budget get the last two. */
static fol_py_context *make_context(fol_py_scheduler *scheduler, PyObject *record,
                                    long long *carries, PyObject **budget)
{
    PyObject *system, *name, *function, *condition, *kernel, *queries, *resources;
    int is_exclusive, records_commands, does_io, takes_turns;
    unsigned int max_rows;
    if (!PyArg_ParseTuple(record, "OUOOOO!O!pppIpLO", &system, &name, &function, &condition,
                          &kernel, &PyTuple_Type, &queries, &PyDict_Type, &resources, &is_exclusive,
                          &records_commands, &does_io, &max_rows, &takes_turns, carries, budget)) {
        return NULL;
    }
    fol_py_state *state = scheduler->state;
    PyTypeObject *type = state->scheduler.context_type;
    fol_py_context *context = (fol_py_context *)type->tp_alloc(type, 0);
    if (context == NULL) {
        return NULL;
    }
    context->state = state;
    context->name = Py_NewRef(name);
    context->system = Py_NewRef(system);
    context->world = Py_NewRef(scheduler->world);
    context->function = own_or_null(function);
    context->condition = own_or_null(condition);
    context->kernel = own_or_null(kernel);
    context->resources = Py_NewRef(resources);
    context->is_exclusive = is_exclusive != 0;
    context->max_rows = max_rows;
    context->takes_turns = takes_turns != 0;
    if (bind_queries(context, queries) < 0 ||
        (records_commands != 0 && function != Py_None &&
         (context->commands = fol_py_commands_new(state, context)) == NULL) ||
        (does_io != 0 && function != Py_None &&
         (context->io = fol_py_io_new(state, context)) == NULL)) {
        Py_DECREF(context);
        return NULL;
    }
    return context;
}

/* The core's system of a context. */
static void fill_system(fol_system *system, fol_py_context *context, fol_system_query *queries,
                        int64_t carries)
{
    for (size_t i = 0; i < context->query_count; i++) {
        queries[i] = (fol_system_query){.terms = context->queries[i].terms,
                                        .count = context->queries[i].count};
    }
    *system = (fol_system){.queries = queries,
                           .query_count = context->query_count,
                           .max_rows = context->max_rows,
                           .in_lane = context->takes_turns,
                           .carries_state = carries};
    if (context->kernel != NULL) {
        const fol_py_kernel *kernel = (const fol_py_kernel *)context->kernel;
        system->kind = kernel->takes_chunk ? FOL_SYSTEM_CHUNK : FOL_SYSTEM_COLUMNS;
        if (kernel->takes_chunk) {
            system->chunk_kernel = (fol_chunk_kernel)kernel->address;
        } else {
            system->columns_kernel = (fol_columns_kernel)kernel->address;
        }
        system->user = kernel->user;
    } else {
        system->kind = FOL_SYSTEM_HOSTED;
        system->hosted = context->is_exclusive ? fol_py_run_exclusive : fol_py_run_hosted;
        system->user = context;
        system->needs_host = true;
    }
    if (context->condition != NULL) {
        system->condition = fol_py_run_condition;
        system->condition_user = context;
        system->condition_needs_host = true;
    }
}

/* (kind, every, step_seconds, max_steps), kind 0 for every n-th frame and 1 for a fixed step. */
static int read_rate(PyObject *record, fol_phase_rate *rate)
{
    int kind;
    unsigned int every, max_steps;
    double step_seconds;
    if (!PyArg_ParseTuple(record, "iIdI", &kind, &every, &step_seconds, &max_steps)) {
        return -1;
    }
    *rate = (fol_phase_rate){.kind = kind == 0 ? FOL_RATE_FRAMES : FOL_RATE_FIXED,
                             .every = every,
                             .step_seconds = step_seconds,
                             .max_steps = max_steps};
    return 0;
}

static size_t count_queries(PyObject *records)
{
    size_t count = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(records); i++) {
        PyObject *record = PyList_GET_ITEM(records, i);
        PyObject *queries = PyTuple_Check(record) && PyTuple_GET_SIZE(record) > 5
                                ? PyTuple_GET_ITEM(record, 5)
                                : NULL;
        count += queries != NULL && PyTuple_Check(queries) ? (size_t)PyTuple_GET_SIZE(queries) : 0;
    }
    return count;
}

static int check_binding_sizes(fol_py_plan *plan, PyObject *records, PyObject *rates)
{
    if (!PyList_Check(records) || !PyList_Check(rates) ||
        PyList_GET_SIZE(records) != PyTuple_GET_SIZE(plan->names) ||
        PyList_GET_SIZE(rates) != PyTuple_GET_SIZE(plan->phases)) {
        PyErr_SetString(PyExc_ValueError, "one record for each system and one rate for each phase");
        return -1;
    }
    return 0;
}

int fol_py_binding_init(fol_py_binding *binding, fol_py_scheduler *scheduler, fol_py_plan *plan,
                        PyObject *records, PyObject *rates)
{
    *binding = (fol_py_binding){.count = 0};
    if (check_binding_sizes(plan, records, rates) < 0) {
        return -1;
    }
    size_t count = (size_t)PyList_GET_SIZE(records);
    size_t phases = (size_t)PyList_GET_SIZE(rates);
    binding->contexts = PyMem_Calloc(count + 1, sizeof(*binding->contexts));
    binding->systems = PyMem_Calloc(count + 1, sizeof(*binding->systems));
    binding->queries = PyMem_Calloc(count_queries(records) + 1, sizeof(*binding->queries));
    binding->budgets = PyMem_Calloc(count + 1, sizeof(*binding->budgets));
    binding->rates = PyMem_Calloc(phases + 1, sizeof(*binding->rates));
    if (binding->contexts == NULL || binding->systems == NULL || binding->queries == NULL ||
        binding->budgets == NULL || binding->rates == NULL) {
        PyErr_NoMemory();
        goto fail;
    }
    fol_system_query *queries = binding->queries;
    for (size_t i = 0; i < count; i++) {
        long long carries = -1;
        PyObject *record = PyList_GET_ITEM(records, (Py_ssize_t)i);
        PyObject *budget = Py_None;
        fol_py_context *context = make_context(scheduler, record, &carries, &budget);
        if (context == NULL) {
            goto fail;
        }
        binding->contexts[i] = context;
        binding->count++;
        fill_system(&binding->systems[i], context, queries, carries);
        if (fol_py_read_budget(budget, &binding->budgets[i], &binding->systems[i].budget) < 0) {
            goto fail;
        }
        queries += context->query_count;
        binding->runs_host = binding->runs_host || binding->systems[i].needs_host ||
                             binding->systems[i].condition_needs_host;
    }
    for (size_t i = 0; i < phases; i++) {
        if (read_rate(PyList_GET_ITEM(rates, (Py_ssize_t)i), &binding->rates[i]) < 0) {
            goto fail;
        }
    }
    return 0;

fail:
    fol_py_binding_deinit(binding);
    return -1;
}

void fol_py_contexts_release(fol_py_context **contexts, uint32_t count)
{
    for (uint32_t i = 0; contexts != NULL && i < count; i++) {
        fol_py_context *context = contexts[i];
        if (context == NULL) {
            continue;
        }
        fol_py_context_end_use(context);
        context->scheduler = NULL;
        for (size_t query = 0; query < context->query_count; query++) {
            /* The core's query goes, so the view must not stay. */
            Py_CLEAR(context->queries[query].view);
        }
        if (context->commands != NULL) {
            fol_py_commands_detach(context->commands);
        }
        if (context->io != NULL) {
            fol_py_io_detach(context->io);
        }
        contexts[i] = NULL;
        Py_DECREF(context);
    }
    PyMem_Free(contexts);
}

void fol_py_binding_deinit(fol_py_binding *binding)
{
    fol_py_contexts_release(binding->contexts, binding->count);
    PyMem_Free(binding->systems);
    PyMem_Free(binding->queries);
    PyMem_Free(binding->budgets);
    PyMem_Free(binding->rates);
    *binding = (fol_py_binding){.count = 0};
}
