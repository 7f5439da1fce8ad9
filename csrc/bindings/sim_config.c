/* A simulation's configuration out of tuples of whole numbers. */
#include "bindings/sim.h"

/* An array of `size` for each item of a list, from the scratch. NULL with an error set. */
static void *take_array(fol_py_scratch *scratch, PyObject *list, size_t size, uint32_t *count)
{
    Py_ssize_t length = PyList_GET_SIZE(list);
    if (length > (Py_ssize_t)FOL_SIM_MAX_TASKS) {
        PyErr_Format(PyExc_ValueError, "at most %u of a kind, got %zd", FOL_SIM_MAX_TASKS, length);
        return NULL;
    }
    *count = (uint32_t)length;
    void *memory = fol_py_scratch_take(scratch, ((size_t)length + 1) * size);
    if (memory != NULL) {
        memset(memory, 0, ((size_t)length + 1) * size);
    }
    return memory;
}

static int parse_costs(PyObject *costs, fol_py_scratch *scratch, fol_sim_task *task)
{
    Py_ssize_t count = PyTuple_GET_SIZE(costs);
    if (count > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many execution times");
        return -1;
    }
    int64_t *taken = fol_py_scratch_take(scratch, ((size_t)count + 1) * sizeof(int64_t));
    if (taken == NULL) {
        return -1;
    }
    for (Py_ssize_t index = 0; index < count; index++) {
        taken[index] = PyLong_AsLongLong(PyTuple_GET_ITEM(costs, index));
        if (taken[index] == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    task->costs = taken;
    task->cost_count = (uint32_t)count;
    return 0;
}

static int parse_task(PyObject *item, fol_py_scratch *scratch, fol_sim_task *task)
{
    long long times[8];
    PyObject *costs;
    if (!PyArg_ParseTuple(item, "LLLLLLLLO!IIIIIi:task", &times[0], &times[1], &times[2], &times[3],
                          &times[4], &times[5], &times[6], &times[7], &PyTuple_Type, &costs,
                          &task->weight, &task->latency, &task->group, &task->context, &task->cpu,
                          &task->priority)) {
        return -1;
    }
    task->wcet = times[0];
    task->period = times[1];
    task->deadline = times[2];
    task->offset = times[3];
    task->jitter = times[4];
    task->gap = times[5];
    task->section = times[6];
    task->chunk = times[7];
    return parse_costs(costs, scratch, task);
}

static int parse_context(PyObject *item, fol_context_options *options)
{
    int kind;
    int overrun;
    long long times[4];
    PyObject *cpus;
    if (!PyArg_ParseTuple(item, "iiILLLLO!:context", &kind, &overrun, &options->refills, &times[0],
                          &times[1], &times[2], &times[3], &PyTuple_Type, &cpus)) {
        return -1;
    }
    options->kind = (fol_context_kind)kind;
    options->overrun = (fol_overrun)overrun;
    options->budget = times[0];
    options->period = times[1];
    options->deadline = times[2];
    options->minimum = times[3];
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(cpus); index++) {
        unsigned long cpu = PyLong_AsUnsignedLong(PyTuple_GET_ITEM(cpus, index));
        if (cpu == (unsigned long)-1 && PyErr_Occurred()) {
            return -1;
        }
        if (cpu >= FOL_CONTEXT_CPU_WORDS * 64) {
            PyErr_Format(PyExc_ValueError, "CPU %lu is none of a context's", cpu);
            return -1;
        }
        options->cpus[cpu / 64] |= UINT64_C(1) << (cpu % 64);
    }
    return 0;
}

int fol_py_parse_sim(PyObject *tasks, PyObject *groups, PyObject *contexts, fol_py_scratch *scratch,
                     fol_sim_config *config)
{
    fol_sim_task *task = take_array(scratch, tasks, sizeof(*task), &config->task_count);
    fol_sim_group *group = take_array(scratch, groups, sizeof(*group), &config->group_count);
    fol_context_options *context =
        take_array(scratch, contexts, sizeof(*context), &config->context_count);
    if (task == NULL || group == NULL || context == NULL) {
        return -1;
    }
    for (uint32_t index = 0; index < config->task_count; index++) {
        if (parse_task(PyList_GET_ITEM(tasks, index), scratch, &task[index]) < 0) {
            return -1;
        }
    }
    for (uint32_t index = 0; index < config->group_count; index++) {
        if (!PyArg_ParseTuple(PyList_GET_ITEM(groups, index), "II:group", &group[index].weight,
                              &group[index].latency)) {
            return -1;
        }
    }
    for (uint32_t index = 0; index < config->context_count; index++) {
        if (parse_context(PyList_GET_ITEM(contexts, index), &context[index]) < 0) {
            return -1;
        }
    }
    config->tasks = task;
    config->groups = group;
    config->contexts = context;
    return 0;
}
