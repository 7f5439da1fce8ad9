/* Plain dicts from the machine probes. The probes run without the interpreter lock. */
#include "bindings/machine.h"

#include "foliot/machine.h"

#include <errno.h>

static PyObject *raise_errno(int status)
{
    if (status == -ENOMEM) {
        return PyErr_NoMemory();
    }
    errno = -status;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* Appends an object whose reference it takes; NULL passes a failure on. */
static int append_taken(PyObject *list, PyObject *item)
{
    if (item == NULL) {
        return -1;
    }
    int status = PyList_Append(list, item);
    Py_DECREF(item);
    return status;
}

static PyObject *cache_dict(const fol_cache *cache)
{
    static const char *const types[] = {"unified", "data", "instruction"};
    return Py_BuildValue("{s:I,s:s,s:K,s:I,s:I,s:I}", "level", (unsigned)cache->level, "type",
                         types[cache->type < 3 ? cache->type : 0], "size",
                         (unsigned long long)cache->size, "line_size", (unsigned)cache->line_size,
                         "count", (unsigned)cache->count, "shared_by", (unsigned)cache->shared_by);
}

static PyObject *cache_list(const fol_topology *topology)
{
    PyObject *list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    for (uint32_t index = 0; index < topology->cache_count; index++) {
        if (append_taken(list, cache_dict(&topology->caches[index])) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *quota_or_none(const fol_topology *topology)
{
    if (topology->quota_period_us == 0) {
        return Py_NewRef(Py_None);
    }
    return PyFloat_FromDouble((double)topology->quota_us / (double)topology->quota_period_us);
}

PyObject *fol_py_topology(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fol_topology topology;
    int status;
    Py_BEGIN_ALLOW_THREADS;
    status = fol_topology_read(&topology);
    Py_END_ALLOW_THREADS;
    if (status != 0) {
        return raise_errno(status);
    }
    /* "N" takes the reference and passes a NULL on as the error it is. */
    return Py_BuildValue("{s:s,s:I,s:I,s:I,s:I,s:I,s:N,s:I,s:N}", "source",
                         topology.source == FOL_TOPOLOGY_HWLOC ? "hwloc" : "sysconf", "packages",
                         (unsigned)topology.packages, "cores", (unsigned)topology.cores,
                         "processors", (unsigned)topology.processors, "numa_nodes",
                         (unsigned)topology.numa_nodes, "affinity", (unsigned)topology.affinity,
                         "quota", quota_or_none(&topology), "usable", (unsigned)topology.usable,
                         "caches", cache_list(&topology));
}

/* Names of the set bits; a bit without a name is shown by number. */
static PyObject *bit_names(uint32_t bits, const char *(*name_of)(uint32_t))
{
    PyObject *list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    for (uint32_t bit = 0; bit < 32; bit++) {
        if ((bits >> bit & 1U) == 0) {
            continue;
        }
        const char *name = name_of(bit);
        PyObject *item = name != NULL ? PyUnicode_FromString(name)
                                      : PyUnicode_FromFormat("bit %u", (unsigned)bit);
        if (append_taken(list, item) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *operation_names(const fol_io_report *report)
{
    PyObject *list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    for (uint32_t opcode = 0; opcode < FOL_IO_OPERATIONS_MAX; opcode++) {
        if (!fol_io_report_has(report, opcode)) {
            continue;
        }
        const char *name = fol_io_operation_name(opcode);
        PyObject *item = name != NULL ? PyUnicode_FromString(name)
                                      : PyUnicode_FromFormat("operation %u", (unsigned)opcode);
        if (append_taken(list, item) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *attempt_list(const fol_io_report *report)
{
    PyObject *list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    for (uint32_t index = 0; index < report->attempt_count; index++) {
        const fol_io_attempt *attempt = &report->attempts[index];
        PyObject *item =
            Py_BuildValue("{s:N,s:I,s:s,s:i}", "setup_flags",
                          bit_names(attempt->setup_flags, fol_io_setup_flag_name), "entries",
                          (unsigned)attempt->entries, "step", fol_io_step_name(attempt->step),
                          "error", -(int)attempt->error);
        if (append_taken(list, item) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

PyObject *fol_py_probe_io_uring(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fol_io_report report;
    int status;
    Py_BEGIN_ALLOW_THREADS;
    status = fol_io_probe(&report);
    Py_END_ALLOW_THREADS;
    if (status != 0) {
        return raise_errno(status);
    }
    return Py_BuildValue("{s:N,s:i,s:s,s:s,s:s,s:N,s:N,s:I,s:I,s:i,s:N,s:N}", "available",
                         PyBool_FromLong((long)report.available), "error", -(int)report.error,
                         "step", fol_io_step_name(report.step), "cure",
                         fol_io_cure_name(report.cure), "cure_text", fol_io_cure_text(report.cure),
                         "setup_flags", bit_names(report.setup_flags, fol_io_setup_flag_name),
                         "features", bit_names(report.features, fol_io_feature_name),
                         "submission_entries", (unsigned)report.submission_entries,
                         "completion_entries", (unsigned)report.completion_entries,
                         "register_error", -(int)report.register_error, "operations",
                         operation_names(&report), "attempts", attempt_list(&report));
}
