/* The policies' part of the module's state, embedded in fol_py_state. */
#ifndef FOL_BINDINGS_POLICY_TYPES_H
#define FOL_BINDINGS_POLICY_TYPES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* The object references of the state of policies. Those from foliot._policy are loaded when the
 * first policy is bound. */
#define FOL_PY_POLICY_REFERENCES(X)                                                                \
    X(bound_type)                                                                                  \
    X(probe_type)                                                                                  \
    X(ready_type)                                                                                  \
    X(ready_iterator_type)                                                                         \
    X(runnable_type)                                                                               \
    X(stamp_type)

#define FOL_PY_POLICY_OBJECTS(X)                                                                   \
    X(read_policy)                                                                                 \
    X(read_name)                                                                                   \
    X(load_class)                                                                                  \
    X(names_now)                                                                                   \
    X(names_cpu_now)                                                                               \
    X(names_workers)

struct fol_py_policy_types {
#define FOL_PY_POLICY_MEMBER(name) PyTypeObject *name;
    FOL_PY_POLICY_REFERENCES(FOL_PY_POLICY_MEMBER)
#undef FOL_PY_POLICY_MEMBER
#define FOL_PY_POLICY_MEMBER(name) PyObject *name;
    FOL_PY_POLICY_OBJECTS(FOL_PY_POLICY_MEMBER)
#undef FOL_PY_POLICY_MEMBER
};

#endif
