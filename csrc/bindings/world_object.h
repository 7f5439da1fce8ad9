/* The Python object round a world.
 *
 * Holding. A method converts its arguments, enters, calls the core, leaves. Entering takes the
 * core's lock, or, for the thread a frame granted the world to, notes that a call is under way; so
 * a call made by an object's finaliser in the middle of another one is refused in both cases.
 *
 * Epoch. It changes whenever rows may have moved. Chunks of world.query() carry the epoch they were
 * made in and refuse to work in another.
 *
 * Garbage. in_use counts calls and frames under way; it changes only on attached threads, so the
 * collector sees one value through all its passes, and leaves the core's objects alone while it is
 * not zero.
 */
#ifndef FOL_BINDINGS_WORLD_OBJECT_H
#define FOL_BINDINGS_WORLD_OBJECT_H

#include <stdatomic.h>

#include "bindings/bindings.h"

/* Queries a world keeps for world.query(); with more distinct ones the oldest goes. */
#define FOL_PY_KEPT_QUERIES 64

/* A query whose owner is gone, waiting for somebody who holds the world to destroy it. */
typedef struct fol_py_orphan {
    struct fol_py_orphan *next;
    fol_query *query;
} fol_py_orphan;

typedef struct fol_py_world_object {
    PyObject_HEAD fol_py_state *state;
    fol_world *world;
    PyObject *config;
    uint32_t max_entities;
    PyObject *cores[FOL_PY_KEPT_QUERIES]; /* of world.query(); owned, NULL where there is none */
    uint32_t next_core;                   /* place of the next new one */
    PyObject *weak_references;
    _Atomic uint64_t epoch;
    _Atomic uint32_t in_use;
    _Atomic unsigned long granted_to; /* thread, or 0 */
    bool is_inside;                   /* the granted thread is in a call */
    fol_py_orphan *_Atomic orphans;
} fol_py_world_object;

/* After a structural call: chunks handed out before stop working. */
static inline void fol_py_world_touch(fol_py_world_object *self)
{
    atomic_fetch_add_explicit(&self->epoch, 1, memory_order_relaxed);
}

/* Destroys a query now or, when somebody holds the world, when it is next entered. Takes the
 * orphan.
 */
void fol_py_world_orphan(fol_py_world_object *self, fol_py_orphan *orphan);

/* Tables of methods by what they are about. */
extern PyMethodDef fol_py_world_entity_methods[];
extern PyMethodDef fol_py_world_bulk_methods[];

PyObject *fol_py_world_query(PyObject *self, PyObject *arguments, PyObject *keywords);
PyObject *fol_py_world_insert(PyObject *self, PyObject *resource);
PyObject *fol_py_world_item(PyObject *self, PyObject *key);

/* Raises the exception for a status of a call on one entity, or on many (bad: place in ids). */
int fol_py_world_raise(fol_py_world_object *self, int status, PyObject *entity);

#endif
