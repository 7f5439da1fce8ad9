/* What slots raised and returned, kept until somebody asks: nothing stops for it.
 *
 * The last few exceptions are kept. What is no Exception asks the caller to stop; the first such is
 * the one that is told.
 */
#include "bindings/policy_bound.h"
#include "bindings/scheduler.h"

/* What a policy is called in messages: its class, or the name of a built-in one. New reference. */
static PyObject *policy_label(fol_py_bound_policy *bound)
{
    if (bound->policy == NULL || PyUnicode_Check(bound->policy)) {
        return Py_NewRef(bound->policy == NULL ? Py_None : bound->policy);
    }
    return PyObject_GetAttrString((PyObject *)Py_TYPE(bound->policy), "__name__");
}

/* error.add_note(…); a note that cannot be made is left out. */
static void add_note(fol_py_bound_policy *bound, fol_policy_slot slot, PyObject *error)
{
    PyObject *label = policy_label(bound);
    PyObject *note = label == NULL ? NULL
                                   : PyUnicode_FromFormat("in slot `%s` of the policy %S",
                                                          fol_slot_names[slot], label);
    PyObject *done = note == NULL ? NULL : PyObject_CallMethod(error, "add_note", "O", note);
    if (done == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(done);
    Py_XDECREF(note);
    Py_XDECREF(label);
}

/* Takes an exception; returns what has to be dropped for it, or NULL. */
static PyObject *store(fol_py_bound_policy *bound, PyObject *error, bool is_ordinary)
{
    if (!is_ordinary) {
        if (bound->interrupt != NULL) {
            return error;
        }
        bound->interrupt = error;
        atomic_store_explicit(&bound->is_interrupted, true, memory_order_relaxed);
        return NULL;
    }
    uint32_t place = (bound->error_start + bound->error_count) % FOL_PY_POLICY_ERRORS;
    PyObject *oldest = bound->errors[place];
    bound->errors[place] = error;
    if (bound->error_count == FOL_PY_POLICY_ERRORS) {
        bound->error_start = (bound->error_start + 1) % FOL_PY_POLICY_ERRORS;
    } else {
        bound->error_count++;
    }
    return oldest;
}

int fol_py_policy_keep_error(fol_py_bound_policy *bound, fol_policy_slot slot, int status)
{
    bool is_ordinary = PyErr_ExceptionMatches(PyExc_Exception) != 0;
    PyObject *error = fol_py_take_error();
    add_note(bound, slot, error);
    PyObject *dropped;
    FOL_PY_BEGIN_CRITICAL((PyObject *)bound);
    dropped = store(bound, error, is_ordinary);
    FOL_PY_END_CRITICAL();
    Py_XDECREF(dropped);
    return is_ordinary ? status : FOL_E_INTERRUPTED;
}

int fol_py_policy_keep_status(fol_py_bound_policy *bound, fol_policy_slot slot, int status)
{
    fol_py_policy_call *call = &bound->calls[slot];
    atomic_store_explicit(&call->native_status, status, memory_order_relaxed);
    atomic_fetch_add_explicit(&call->native_failures, 1, memory_order_relaxed);
    return status < 0 ? status : FOL_E_KERNEL;
}

/* The failures of a native slot as one KernelError, or NULL: there are none, or an error is set. */
static PyObject *native_error(fol_py_bound_policy *bound, fol_policy_slot slot)
{
    fol_py_policy_call *call = &bound->calls[slot];
    uint32_t count = atomic_exchange_explicit(&call->native_failures, 0, memory_order_relaxed);
    if (count == 0) {
        return NULL;
    }
    int status = atomic_load_explicit(&call->native_status, memory_order_relaxed);
    PyObject *error = PyObject_CallFunction(
        fol_py_error_class(bound->state, FOL_E_KERNEL), "N",
        PyUnicode_FromFormat("the native slot `%s` returned %d, the last of %u failures",
                             fol_slot_names[slot], status, (unsigned)count));
    PyObject *code = error == NULL ? NULL : PyLong_FromLong(status);
    if (code == NULL || PyObject_SetAttrString(error, "code", code) < 0) {
        Py_CLEAR(error);
    }
    Py_XDECREF(code);
    if (error != NULL) {
        add_note(bound, slot, error);
    }
    return error;
}

static int append_taken(PyObject *list, PyObject *error)
{
    int status = PyList_Append(list, error);
    Py_DECREF(error);
    return status;
}

PyObject *fol_py_policy_take_errors(PyObject *object)
{
    fol_py_bound_policy *bound = (fol_py_bound_policy *)object;
    PyObject *taken[FOL_PY_POLICY_ERRORS];
    uint32_t count;
    FOL_PY_BEGIN_CRITICAL(object);
    count = bound->error_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = (bound->error_start + i) % FOL_PY_POLICY_ERRORS;
        taken[i] = bound->errors[place];
        bound->errors[place] = NULL;
    }
    bound->error_start = bound->error_count = 0;
    FOL_PY_END_CRITICAL();
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; i < count; i++) {
        if (list == NULL) {
            Py_DECREF(taken[i]);
        } else if (append_taken(list, taken[i]) < 0) {
            Py_CLEAR(list);
        }
    }
    for (int slot = 0; list != NULL && slot < FOL_SLOT_COUNT; slot++) {
        PyObject *error = native_error(bound, (fol_policy_slot)slot);
        if (error == NULL ? PyErr_Occurred() != NULL : append_taken(list, error) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

bool fol_py_policy_is_interrupted(PyObject *object)
{
    fol_py_bound_policy *bound = (fol_py_bound_policy *)object;
    return atomic_load_explicit(&bound->is_interrupted, memory_order_relaxed);
}

PyObject *fol_py_policy_take_interrupt(PyObject *object)
{
    fol_py_bound_policy *bound = (fol_py_bound_policy *)object;
    PyObject *interrupt;
    FOL_PY_BEGIN_CRITICAL(object);
    interrupt = bound->interrupt;
    bound->interrupt = NULL;
    atomic_store_explicit(&bound->is_interrupted, false, memory_order_relaxed);
    FOL_PY_END_CRITICAL();
    return interrupt;
}

int fol_py_policy_raise_interrupt(PyObject *object)
{
    PyObject *interrupt = fol_py_policy_take_interrupt(object);
    if (interrupt == NULL) {
        return 0;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(interrupt), interrupt);
    Py_DECREF(interrupt);
    return -1;
}
