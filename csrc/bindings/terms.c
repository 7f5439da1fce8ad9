/* Keyword arguments of queries and systems as terms of the core. */
#include "bindings/bindings.h"

#include <string.h>

/* Terms while they are collected: lists that grow together. */
typedef struct collection {
    fol_py_state *state;
    fol_py_scratch *scratch;
    fol_term *terms;
    size_t count;
    size_t room;
    PyObject *classes; /* list */
} collection;

static const char *const option_names[] = {"writes",  "reads",   "with_",
                                           "without", "changed", "added"};

static bool is_filter(fol_term_kind kind)
{
    return kind != FOL_TERM_WRITE && kind != FOL_TERM_READ;
}

/* 1 when an earlier term says as much, 0 when it does not, -1 when they contradict each other. */
static int compare_with_earlier(const collection *all, fol_component *component, fol_term_kind kind)
{
    for (size_t i = 0; i < all->count; i++) {
        fol_term_kind earlier = all->terms[i].kind;
        if (all->terms[i].component != component) {
            continue;
        }
        if ((earlier == FOL_TERM_WITHOUT) != (kind == FOL_TERM_WITHOUT)) {
            PyErr_Format(PyExc_ValueError, "%s is in %s and in %s: no entity can match",
                         fol_component_name(component), option_names[earlier], option_names[kind]);
            return -1;
        }
        if (kind == earlier || kind == FOL_TERM_READ || kind == FOL_TERM_WITH) {
            return 1;
        }
    }
    return 0;
}

static int grow(collection *all)
{
    if (all->count < all->room) {
        return 0;
    }
    size_t room = all->room == 0 ? 16 : all->room * 2;
    fol_term *terms = fol_py_scratch_take(all->scratch, room * sizeof(*terms));
    if (terms == NULL) {
        return -1;
    }
    if (all->count > 0) {
        memcpy(terms, all->terms, all->count * sizeof(*terms));
    }
    all->terms = terms;
    all->room = room;
    return 0;
}

static int add_term(collection *all, PyObject *key, fol_term_kind kind)
{
    fol_component *component = fol_py_component_of(all->state, key);
    if (component == NULL) {
        return -1;
    }
    if (is_filter(kind) && fol_component_is_resource(component)) {
        PyErr_Format(PyExc_TypeError, "%s is a resource: it cannot stand in %s",
                     fol_component_name(component), option_names[kind]);
        return -1;
    }
    int found = compare_with_earlier(all, component, kind);
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    if (grow(all) < 0 || PyList_Append(all->classes, key) < 0) {
        return -1;
    }
    all->terms[all->count++] = (fol_term){component, kind};
    return 0;
}

static int add_option(collection *all, PyObject *given, fol_term_kind kind)
{
    if (given == NULL || given == Py_None) {
        return 0;
    }
    if (PyType_Check(given)) {
        return add_term(all, given, kind);
    }
    PyObject *keys = PySequence_Tuple(given);
    if (keys == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "%s is a list of components, got %R", option_names[kind],
                         given);
        }
        return -1;
    }
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyTuple_GET_SIZE(keys); i++) {
        status = add_term(all, PyTuple_GET_ITEM(keys, i), kind);
    }
    Py_DECREF(keys);
    return status;
}

int fol_py_parse_terms(fol_py_state *state, const fol_py_terms *given, fol_py_scratch *scratch,
                       fol_term **out, size_t *count, PyObject **classes)
{
    /* In the order of fol_term_kind, so that the strongest term on a component comes first. */
    PyObject *const options[] = {given->writes,  given->reads,   given->with,
                                 given->without, given->changed, given->added};
    collection all = {.state = state, .scratch = scratch, .classes = PyList_New(0)};
    int status = all.classes == NULL ? -1 : grow(&all);
    for (int kind = 0; status == 0 && kind < (int)(sizeof(options) / sizeof(options[0])); kind++) {
        status = add_option(&all, options[kind], (fol_term_kind)kind);
    }
    PyObject *tuple = status < 0 ? NULL : PyList_AsTuple(all.classes);
    Py_XDECREF(all.classes);
    if (tuple == NULL) {
        return -1;
    }
    *out = all.terms;
    *count = all.count;
    *classes = tuple;
    return 0;
}
