/* Schedulability tests as functions of the module, on rows of packed numbers.
 *
 * A row is a task: five numbers of 64 bits, as fol_analysis_task. Each call makes its own room and
 * gives it back; the tests run without the interpreter lock.
 */
#include "bindings/bindings.h"

#include <errno.h>

#include "bindings/types.h"
#include "foliot/analysis.h"

_Static_assert(sizeof(fol_analysis_task) == 5 * sizeof(int64_t), "a row is five numbers");
_Static_assert(sizeof(fol_demand_verdict) == 40, "foliot.analysis unpacks verdicts");

/* Rows, and the room to work on them. */
typedef struct rows {
    Py_buffer buffer;
    const fol_analysis_task *tasks;
    size_t count;
    fol_analysis *analysis;
} rows;

static PyObject *raise_status(PyObject *module, int status)
{
    fol_py_state *state = fol_py_state_of_module(module);
    if (status == -EOVERFLOW) {
        PyErr_SetString(PyExc_ValueError,
                        "cannot be decided: the busy period ends after 2**62, the largest time "
                        "there is");
    } else if (status == -E2BIG) {
        PyErr_Format(PyExc_ValueError, "cannot be decided within %llu looks at a task",
                     (unsigned long long)FOL_ANALYSIS_STEPS_MAX);
    } else if (status == FOL_E_VALUE) {
        PyErr_Format(PyExc_ValueError,
                     "an analysis takes at most %u tasks, with times from 0 to 2**60, periods and "
                     "wcets of at least 1, and wcets of at most the deadline",
                     FOL_ANALYSIS_TASKS_MAX);
    } else {
        fol_py_raise(state, status, NULL);
    }
    return NULL;
}

/* Items of one size, aligned as their numbers are. */
static int read_buffer(PyObject *object, Py_ssize_t item, size_t alignment, Py_buffer *out)
{
    if (PyObject_GetBuffer(object, out, PyBUF_C_CONTIGUOUS) < 0) {
        return -1;
    }
    /* What is empty may be anywhere. */
    if (out->len % item != 0 || (out->len > 0 && (uintptr_t)out->buf % alignment != 0)) {
        PyErr_Format(PyExc_ValueError,
                     "a buffer holds whole, aligned items of %zd bytes, got %zd bytes", item,
                     out->len);
        PyBuffer_Release(out);
        return -1;
    }
    return 0;
}

/* room: for how many tasks at once; 0: for all of them. */
static int rows_init(PyObject *module, PyObject *object, size_t room, rows *out)
{
    if (read_buffer(object, sizeof(fol_analysis_task), sizeof(int64_t), &out->buffer) < 0) {
        return -1;
    }
    out->tasks = out->buffer.buf;
    out->count = (size_t)out->buffer.len / sizeof(fol_analysis_task);
    room = room != 0 ? room : out->count != 0 ? out->count : 1;
    int status = room > FOL_ANALYSIS_TASKS_MAX
                     ? FOL_E_VALUE
                     : fol_analysis_create((uint32_t)room, &out->analysis);
    if (status < 0) {
        PyBuffer_Release(&out->buffer);
        raise_status(module, status);
        return -1;
    }
    return 0;
}

static void rows_deinit(rows *rows)
{
    fol_analysis_destroy(rows->analysis);
    PyBuffer_Release(&rows->buffer);
}

static PyObject *analysis_utilisation(PyObject *module, PyObject *argument)
{
    rows rows;
    int answer = 0;
    if (rows_init(module, argument, 0, &rows) < 0) {
        return NULL;
    }
    int status = fol_analysis_utilisation(rows.analysis, rows.tasks, (uint32_t)rows.count, &answer);
    rows_deinit(&rows);
    return status < 0 ? raise_status(module, status) : PyLong_FromLong(answer);
}

static PyObject *responses_list(const int64_t *responses, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = responses[i] == FOL_ANALYSIS_UNBOUNDED
                             ? Py_NewRef(Py_None)
                             : PyLong_FromLongLong((long long)responses[i]);
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}

static PyObject *analysis_responses(PyObject *module, PyObject *args)
{
    PyObject *given;
    int by_deadline;
    rows rows;
    if (!PyArg_ParseTuple(args, "Op:analysis_responses", &given, &by_deadline) ||
        rows_init(module, given, 0, &rows) < 0) {
        return NULL;
    }
    PyObject *list = NULL;
    int status;
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    int64_t *out = fol_py_scratch_take(&scratch, (rows.count + 1) * sizeof(*out));
    if (out == NULL) {
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS;
    status = (by_deadline ? fol_analysis_edf_responses : fol_analysis_fixed_responses)(
        rows.analysis, rows.tasks, (uint32_t)rows.count, out);
    Py_END_ALLOW_THREADS;
    list = status < 0 ? raise_status(module, status) : responses_list(out, rows.count);
done:
    fol_py_scratch_release(&scratch);
    rows_deinit(&rows);
    return list;
}

/* The largest of the counts, whose sum must be the number of rows; -1 with an error set. */
static int check_counts(const uint32_t *counts, size_t sets, size_t *largest, size_t *sum)
{
    *largest = 1;
    *sum = 0;
    for (size_t i = 0; i < sets; i++) {
        *largest = counts[i] > *largest ? counts[i] : *largest;
        *sum += counts[i];
    }
    if (*largest > FOL_ANALYSIS_TASKS_MAX) {
        PyErr_Format(PyExc_ValueError, "an analysis takes at most %u tasks, got %zu",
                     FOL_ANALYSIS_TASKS_MAX, *largest);
        return -1;
    }
    return 0;
}

static PyObject *analysis_edf(PyObject *module, PyObject *args)
{
    PyObject *given;
    PyObject *given_counts;
    Py_buffer counts;
    rows rows;
    PyObject *out = NULL;
    size_t largest;
    size_t sum;
    if (!PyArg_ParseTuple(args, "OO:analysis_edf", &given, &given_counts) ||
        read_buffer(given_counts, sizeof(uint32_t), sizeof(uint32_t), &counts) < 0) {
        return NULL;
    }
    size_t sets = (size_t)counts.len / sizeof(uint32_t);
    if (check_counts(counts.buf, sets, &largest, &sum) < 0 ||
        rows_init(module, given, largest, &rows) < 0) {
        goto done;
    }
    if (sum != rows.count) {
        PyErr_Format(PyExc_ValueError, "the counts of tasks add up to %zu, got %zu rows", sum,
                     rows.count);
        goto done_rows;
    }
    out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(sets * sizeof(fol_demand_verdict)));
    if (out != NULL) {
        fol_demand_verdict *verdicts = (fol_demand_verdict *)(void *)PyBytes_AS_STRING(out);
        Py_BEGIN_ALLOW_THREADS;
        fol_analysis_edf_many(rows.analysis, rows.tasks, counts.buf, sets, verdicts);
        Py_END_ALLOW_THREADS;
    }
done_rows:
    rows_deinit(&rows);
done:
    PyBuffer_Release(&counts);
    return out;
}

/* (CPUs of the tasks, the task that fits nowhere or None, verdicts of the CPUs it was tried on). */
static PyObject *partition_answer(const int32_t *cpu_of, size_t count, int64_t misfit,
                                  const fol_demand_verdict *why, uint32_t cpus)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = cpu_of[i] < 0 ? Py_NewRef(Py_None) : PyLong_FromLong((long)cpu_of[i]);
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    if (list == NULL) {
        return NULL;
    }
    Py_ssize_t size = misfit < 0 ? 0 : (Py_ssize_t)(cpus * sizeof(*why));
    PyObject *left = misfit < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong((long long)misfit);
    return Py_BuildValue("(NNy#)", list, left, (const char *)why, size);
}

static PyObject *analysis_partition(PyObject *module, PyObject *args)
{
    PyObject *given;
    PyObject *given_pins;
    unsigned int cpus;
    Py_buffer pins;
    rows rows;
    if (!PyArg_ParseTuple(args, "OIO:analysis_partition", &given, &cpus, &given_pins) ||
        read_buffer(given_pins, sizeof(int32_t), sizeof(int32_t), &pins) < 0) {
        return NULL;
    }
    if (rows_init(module, given, 0, &rows) < 0) {
        PyBuffer_Release(&pins);
        return NULL;
    }
    PyObject *answer = NULL;
    int status;
    int64_t misfit = -1;
    fol_py_scratch scratch;
    fol_py_scratch_init(&scratch);
    fol_demand_verdict *why = fol_py_scratch_take(&scratch, ((size_t)cpus + 1) * sizeof(*why));
    int32_t *cpu_of = fol_py_scratch_take(&scratch, (rows.count + 1) * sizeof(*cpu_of));
    if (why == NULL || cpu_of == NULL) {
        goto done;
    }
    if ((size_t)pins.len != rows.count * sizeof(int32_t)) {
        PyErr_Format(PyExc_ValueError, "there is one pin for each of %zu rows", rows.count);
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS;
    status = fol_analysis_partition(rows.analysis, rows.tasks, (uint32_t)rows.count, cpus, pins.buf,
                                    cpu_of, &misfit, why);
    Py_END_ALLOW_THREADS;
    answer = status < 0 ? raise_status(module, status)
                        : partition_answer(cpu_of, rows.count, misfit, why, cpus);
done:
    fol_py_scratch_release(&scratch);
    rows_deinit(&rows);
    PyBuffer_Release(&pins);
    return answer;
}

PyDoc_STRVAR(utilisation_doc, "analysis_utilisation($module, rows, /)\n--\n\n"
                              "-1, 0 or 1: the utilisation is below, at or above 1.");
PyDoc_STRVAR(responses_doc,
             "analysis_responses($module, rows, by_deadline, /)\n--\n\n"
             "The worst response of each row, None where there is no bound; rows in order of "
             "priority, or under earliest deadline first.");
PyDoc_STRVAR(edf_doc, "analysis_edf($module, rows, counts, /)\n--\n\n"
                      "The demand test of many sets: 40 bytes of verdict for each.");
PyDoc_STRVAR(partition_doc, "analysis_partition($module, rows, cpus, pinned, /)\n--\n\n"
                            "CPUs of the rows, the row that fits nowhere, and why not.");

static PyMethodDef analysis_functions[] = {
    {"analysis_utilisation", analysis_utilisation, METH_O, utilisation_doc},
    {"analysis_responses", analysis_responses, METH_VARARGS, responses_doc},
    {"analysis_edf", analysis_edf, METH_VARARGS, edf_doc},
    {"analysis_partition", analysis_partition, METH_VARARGS, partition_doc},
    {NULL, NULL, 0, NULL},
};

int fol_py_add_analysis(fol_py_state *state)
{
    return PyModule_AddFunctions(state->module, analysis_functions);
}
