/* What the files of the CPython module share: the module's state and the calls between its types.
 *
 * Only this folder knows Python, and it knows the core through include/foliot alone. There is no
 * static mutable object: every type and constant hangs on the module's state. numpy is reached
 * through its Python face and the buffer protocol, never through its C one.
 *
 * Who may call what. Every function here expects an attached thread (the GIL). Functions that
 * return int give 0 for success and -1 with a Python error set; functions that return an object
 * give a new reference, or NULL with an error set, unless they say "borrowed".
 *
 * Python code never runs between taking the world's lock and giving it back, except object drops:
 * arguments are converted first, then the world is entered, changed, and left.
 */
#ifndef FOL_BINDINGS_BINDINGS_H
#define FOL_BINDINGS_BINDINGS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "foliot/status.h"
#include "foliot/world.h"

#include "bindings/policy_types.h"
#include "bindings/scheduler_types.h"

/* Without the GIL an object's own lock stands in for it; with it these are nothing. No return may
 * stand between the two. */
#ifdef Py_BEGIN_CRITICAL_SECTION
#define FOL_PY_LOCK(object) Py_BEGIN_CRITICAL_SECTION(object)
#define FOL_PY_UNLOCK()     Py_END_CRITICAL_SECTION()
#else
#define FOL_PY_LOCK(object) {
#define FOL_PY_UNLOCK()     }
#endif
#define FOL_PY_BEGIN_CRITICAL(object)                                                              \
    (void)(object);                                                                                \
    FOL_PY_LOCK(object)
#define FOL_PY_END_CRITICAL() FOL_PY_UNLOCK()

/* Whether the caller's reference is the only one, so that nobody notices when the object is used
 * again. Without the GIL that can be known of an object that this thread made; of others the answer
 * is no. */
static inline bool fol_py_is_unshared(PyObject *object)
{
#ifndef Py_GIL_DISABLED
    return Py_REFCNT(object) == 1;
#elif PY_VERSION_HEX >= 0x030e0000
    return PyUnstable_Object_IsUniquelyReferenced(object) != 0;
#else
    return _Py_IsOwnedByCurrentThread(object) && object->ob_ref_local == 1 &&
           _Py_atomic_load_ssize_relaxed(&object->ob_ref_shared) == 0;
#endif
}

/* State of the module. */

#define FOL_PY_STATUS_COUNT 32

/* Attributes looked up by name. They are interned once: each lookup with a fresh string would take
 * a place in the interpreter's cache of type attributes and keep the string alive in it. */
#define FOL_PY_NAMES(X)                                                                            \
    X(dtype)                                                                                       \
    X(kind)                                                                                        \
    X(max_components)                                                                              \
    X(max_entities)                                                                                \
    X(max_tables)                                                                                  \
    X(setdefault)                                                                                  \
    X(tolist)                                                                                      \
    X(__match_args__)                                                                              \
    X(address)                                                                                     \
    X(data)                                                                                        \
    X(data_only)                                                                                   \
    X(dir_fd)                                                                                      \
    X(events)                                                                                      \
    X(family)                                                                                      \
    X(fd)                                                                                          \
    X(fileno)                                                                                      \
    X(flags)                                                                                       \
    X(follow_symlinks)                                                                             \
    X(how)                                                                                         \
    X(into)                                                                                        \
    X(many)                                                                                        \
    X(mode)                                                                                        \
    X(new)                                                                                         \
    X(offset)                                                                                      \
    X(old)                                                                                         \
    X(operation)                                                                                   \
    X(path)                                                                                        \
    X(path_or_fd)                                                                                  \
    X(paths)                                                                                       \
    X(proto)                                                                                       \
    X(seconds)                                                                                     \
    X(size)                                                                                        \
    X(timeout)                                                                                     \
    X(to)                                                                                          \
    X(type)                                                                                        \
    X(wait)                                                                                        \
    X(whole)                                                                                       \
    X(__fspath__)                                                                                  \
    X(stage)                                                                                       \
    X(phase)                                                                                       \
    X(none)

enum fol_py_name {
#define FOL_PY_NAME_ENUM(name) FOL_PY_NAME_##name,
    FOL_PY_NAMES(FOL_PY_NAME_ENUM)
#undef FOL_PY_NAME_ENUM
        FOL_PY_NAME_COUNT,
};

typedef struct fol_py_state {
    PyObject *module;                             /* borrowed: the state lives inside it */
    PyObject *status_errors[FOL_PY_STATUS_COUNT]; /* exception classes, by -4096 - status */

    PyTypeObject *component_type; /* the metaclass of component classes */
    PyTypeObject *field_type;     /* descriptor of one field of a component class */
    PyTypeObject *value_type;     /* base of all component classes */
    PyTypeObject *entity_type;
    PyTypeObject *world_type;
    PyTypeObject *query_core_type; /* what a query and its chunks share */
    PyTypeObject *query_type;
    PyTypeObject *chunk_iterator_type;
    PyTypeObject *batch_iterator_type;
    PyTypeObject *chunk_type;
    PyTypeObject *columns_type; /* chunk[Position] */
    PyTypeObject *cells_type;   /* chunk[Text], chunk[Note] */
    PyTypeObject *memory_type;  /* exports column memory */
    PyTypeObject *bytes_type;   /* exports one Bytes cell */
    PyTypeObject *resource_view_type;

    PyObject *ndarray;        /* numpy.ndarray */
    PyObject *entity_dtype;   /* numpy.dtype("u8") */
    PyObject *config_type;    /* foliot.Config */
    PyObject *column_prepare; /* foliot._columns.prepare */
    PyObject
        *class_components; /* WeakKeyDictionary: plain class -> its object-resource component */
    PyObject *empty_tuple;
    PyObject *ellipsis_key; /* (...,): the whole of an array */
    PyObject *names[FOL_PY_NAME_COUNT];

    struct fol_py_scheduler_types scheduler;
    struct fol_py_policy_types policy;
} fol_py_state;

/* The state of a module object, or of a heap type of the module or a subclass of one. Borrowed,
 * never NULL. */
fol_py_state *fol_py_state_of_module(PyObject *module);
fol_py_state *fol_py_state_of(PyTypeObject *type);

/* Makes a heap type from its spec and adds it to the module under its last name unless it starts
 * with an underscore. *out owns a reference. */
int fol_py_add_type(fol_py_state *state, PyType_Spec *spec, PyObject *bases, PyTypeObject **out);

/* An attribute of a module that is looked up when first needed, and kept in a place of the state.
 * Borrowed; NULL with an error. */
PyObject *fol_py_load_once(fol_py_state *state, PyObject **place, const char *module,
                           const char *name);

/* Errors. */

/* Raises the exception class of a status with a sentence (PyErr_Format's directives); NULL gives
 * the status's own text. FOL_E_HOST leaves a pending error alone; errno values give an OSError.
 * Returns -1. */
int fol_py_raise(fol_py_state *state, int status, const char *format, ...);
/* The exception class of one of foliot's statuses. Borrowed. */
PyObject *fol_py_error_class(fol_py_state *state, int status);

/* Scratch: memory, references and buffers that live until one release. */

typedef struct fol_py_scratch {
    void *blocks;
    void *holds;
    size_t used;
    _Alignas(16) unsigned char first[480];
} fol_py_scratch;

void fol_py_scratch_init(fol_py_scratch *scratch);
/* Memory aligned to 16 bytes, good until the release; not zeroed. */
void *fol_py_scratch_take(fol_py_scratch *scratch, size_t size);
/* Keeps an object alive until the release. */
int fol_py_scratch_hold(fol_py_scratch *scratch, PyObject *object);
/* Exports an object's buffer until the release. */
int fol_py_scratch_buffer(fol_py_scratch *scratch, PyObject *object, int flags, Py_buffer **out);
/* Safe on an initialised scratch in any state; keeps a pending Python error. */
void fol_py_scratch_release(fol_py_scratch *scratch);

/* Components. */

/* A component class: made by fo.component, fo.tag or fo.resource, never subclassed. */
typedef struct fol_py_component {
    PyHeapTypeObject heap;
    fol_py_state *state;
    fol_component *component;
    PyObject *names;          /* tuple of interned field names; ("value",) for an unnamed field */
    PyObject *dtypes;         /* tuple of numpy dtypes of plain fields */
    PyObject *default_object; /* default of a Bytes or object field, or NULL */
    void *default_value;      /* packed default of plain data; NULL: zeros */
} fol_py_component;

static inline bool fol_py_is_component(const fol_py_state *state, PyObject *object)
{
    return Py_IS_TYPE(object, state->component_type);
}

/* The component of a key: a component class, or any other class (then the object resource made for
 * it once). Borrowed: lives as long as the key. TypeError for anything that is not a class. */
fol_component *fol_py_component_of(fol_py_state *state, PyObject *key);

/* A readable name of a component key: "Position". New reference. */
PyObject *fol_py_component_name(PyObject *key);

/* Values. */

/* One value given to spawn, add, set or insert: a component value, a component class (its default,
 * zeros where there is none), or, for insert only, any object (is_resource true). *out points into
 * the value or the scratch. */
int fol_py_pack_value(fol_py_state *state, PyObject *value, bool is_resource,
                      fol_py_scratch *scratch, fol_value *out);
/* The same for an argument vector. *out has `count` values. */
int fol_py_pack_values(fol_py_state *state, PyObject *const *values, Py_ssize_t count,
                       fol_py_scratch *scratch, fol_value **out);
/* Component classes in an argument vector, none of them a resource. */
int fol_py_parse_components(fol_py_state *state, PyObject *const *keys, Py_ssize_t count,
                            fol_py_scratch *scratch, fol_component ***out);
/* A mapping {Component: {"x": array or scalar, …} | array | scalar | value | None} for `rows`
 * entities. */
int fol_py_parse_bulks(fol_py_state *state, PyObject *columns, Py_ssize_t rows,
                       fol_py_scratch *scratch, fol_bulk **out, size_t *count);
/* Entity ids: an array of integers, or any iterable of them. */
int fol_py_parse_ids(fol_py_state *state, PyObject *ids, fol_py_scratch *scratch,
                     const fol_entity **out, Py_ssize_t *count);
/* One id. A number no entity can have is taken as 0, which is never alive. */
int fol_py_parse_entity(fol_py_state *state, PyObject *entity, fol_entity *out);

PyObject *fol_py_entity_new(fol_py_state *state, fol_entity entity);
/* A numpy array of `count` ids for the callee to fill; *out points at its memory, which lives as
 * long as the array. */
PyObject *fol_py_entity_array(fol_py_state *state, Py_ssize_t count, fol_entity **out);

/* The value of a resource or entity as a Python value; packed is what fol_world_get gave. */
PyObject *fol_py_value_new(fol_py_state *state, PyObject *component_class, const void *packed);

/* World. */

fol_world *fol_py_world(PyObject *world);
/* The Config the world was made with. Borrowed. */
PyObject *fol_py_world_config(PyObject *world);
bool fol_py_is_world(const fol_py_state *state, PyObject *object);

/* Around a frame, attached, begin before the core's tick and end after it, whatever it returned:
 * chunks of world.query() handed out before stop working, and the garbage collector does not look
 * into the world meanwhile. */
void fol_py_world_begin_frame(PyObject *world);
void fol_py_world_end_frame(PyObject *world, bool has_run);

/* While granted, this thread's World methods work although the frame holds the world: exclusive
 * systems and custom commands. Grants do not nest. */
void fol_py_world_grant(PyObject *world);
void fol_py_world_revoke(PyObject *world);

/* For a World method or anything that calls structural functions: WorldBusyError when somebody else
 * holds the world, or when a drop of an object calls back. */
int fol_py_world_enter(PyObject *world);
void fol_py_world_leave(PyObject *world);

/* Queries. */

/* Terms of a query out of the keyword arguments, any of which may be NULL or None, one component or
 * an iterable of them. *classes is a new tuple, parallel to the terms. A component named twice is
 * one term, WRITE before READ before filters; wanted and refused at once is a ValueError. */
typedef struct fol_py_terms {
    PyObject *writes;
    PyObject *reads;
    PyObject *with;
    PyObject *without;
    PyObject *changed;
    PyObject *added;
} fol_py_terms;

int fol_py_parse_terms(fol_py_state *state, const fol_py_terms *given, fol_py_scratch *scratch,
                       fol_term **out, size_t *count, PyObject **classes);

/* A view over a core query with cached chunks. classes is parallel to the terms; owner_name says
 * in errors whose it is: "system `move`". An owned query is destroyed with the view, which keeps
 * the world alive. A view made here belongs to a frame: it takes no lock, and chunks work from one
 * fol_py_query_chunks until the next fol_py_query_invalidate. */
PyObject *fol_py_query_wrap(fol_py_state *state, PyObject *world, fol_query *query, bool is_owned,
                            const fol_term *terms, size_t count, PyObject *classes,
                            PyObject *owner_name);
/* An iterator of chunks. rows_counter (may be NULL) gets the rows handed out added, and must live
 * until the view is invalidated. */
PyObject *fol_py_query_chunks(PyObject *query_view, uint64_t since, uint64_t tick,
                              uint64_t *rows_counter);
/* From now on chunks, columns, iterators and resource views handed out raise AccessError; numpy
 * views taken from them stay valid memory. */
void fol_py_query_invalidate(PyObject *query_view);
/* Drops cached chunks and their numpy views. */
void fol_py_query_forget(PyObject *query_view);

/* Access to one resource in place: attributes read and write the world's memory (`value` for an
 * unnamed field, numpy views for shaped fields); for object storage the object itself. Works until
 * query_view, the system's default query, is invalidated. KeyError when it was never inserted. */
PyObject *fol_py_resource_view(fol_py_state *state, PyObject *world, PyObject *component_class,
                               bool is_writable, PyObject *query_view);

#endif
