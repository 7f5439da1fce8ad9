/* Reads machines out of arrays, and tells counts by distance as tuples. */
#include "bindings/sim_machine.h"

int fol_py_take_machine(PyObject *given, uint32_t cpus, fol_py_machine *out)
{
    if (given == Py_None) {
        return 0;
    }
    Py_ssize_t count = 3 * (Py_ssize_t)cpus;
    if (fol_py_take_array(given, "machine", 'u', 4, count, false, &out->array) < 0) {
        return -1;
    }
    const uint32_t *rows = out->array.view.buf;
    out->machine = (fol_sim_machine){rows, rows + cpus, rows + 2 * (size_t)cpus};
    out->given = &out->machine;
    return 0;
}

void fol_py_release_machine(fol_py_machine *machine)
{
    fol_py_release_array(&machine->array);
    machine->given = NULL;
}

void fol_py_spread_costs(const long long given[3], int64_t out[FOL_SIM_DISTANCES])
{
    out[FOL_SIM_SAME_CORE] = given[0];
    out[FOL_SIM_SAME_CACHE] = given[0];
    out[FOL_SIM_SAME_NODE] = given[1];
    out[FOL_SIM_OTHER_NODE] = given[2];
}

PyObject *fol_py_counts_by_distance(const uint64_t counts[FOL_SIM_DISTANCES])
{
    uint64_t near = counts[FOL_SIM_SAME_CORE] + counts[FOL_SIM_SAME_CACHE];
    return Py_BuildValue("(KKK)", (unsigned long long)near,
                         (unsigned long long)counts[FOL_SIM_SAME_NODE],
                         (unsigned long long)counts[FOL_SIM_OTHER_NODE]);
}
