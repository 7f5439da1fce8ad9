/* What a query and everything handed out of it share.
 *
 * A core is owned by the world's cache, by views, or both (`owners`); with its last owner it
 * detaches: its query is destroyed, its cached chunks are dropped. Chunks refer to the core but own
 * nothing, so a chunk somebody kept never keeps a world alive; it just stops working.
 *
 * What is handed out shares its core, so every use of a chunk, a column or an iterator runs under
 * the core's critical section.
 *
 * Stamps. A core is live under one stamp at a time: its own, which fol_py_query_invalidate moves by
 * FOL_PY_STAMP_STEP, plus the world's epoch. Both only grow, so the sum is the same only while
 * neither changed. What is handed out carries the stamp of that moment and is checked against the
 * live one at each use. What no change of the world moves, a resource, is checked against the
 * core's own stamp alone.
 */
#ifndef FOL_BINDINGS_QUERY_H
#define FOL_BINDINGS_QUERY_H

#include <stdatomic.h>

#include "bindings/bindings.h"
#include "bindings/world_object.h"

/* The match of a run that a gather joined. */
#define FOL_PY_JOINED UINT32_MAX

/* No stamp ever has this value. */
#define FOL_PY_NEVER_LIVE UINT64_MAX

/* More than an epoch changes while a system runs: a stamp older by less is from the same run. */
#define FOL_PY_STAMP_STEP (UINT64_C(1) << 32)

typedef struct fol_py_term {
    fol_component *component; /* kept alive by the core's classes */
    fol_term_kind kind;
    int32_t first_column;   /* -1 when the term gives no column */
    bool hands_out_stamped; /* chunk[component] is an object that carries a stamp itself */
} fol_py_term;

typedef struct fol_py_query_core {
    PyObject_HEAD fol_py_state *state;
    fol_py_world_object *world; /* borrowed from the owners; NULL once detached */
    fol_query *query;           /* NULL once detached */
    fol_py_orphan *orphan;      /* spare room for destroying an owned query; NULL when borrowed */
    uint32_t owners;
    bool takes_lock; /* world.query(): no frame holds the world for us */
    _Atomic uint64_t own_stamp;
    PyObject *owner_name;
    PyObject *classes; /* tuple, parallel to terms */
    fol_py_term *terms;
    uint32_t term_count;
    uint32_t column_count;
    PyObject **chunks; /* last chunk of each match, or NULL */
    uint32_t chunk_room;
    struct fol_py_batches *batches; /* NULL until a loop over batches */
    /* Asked before each chunk of a loop in a system, whose context it gets; false with an error set
     * ends the loop. NULL: nobody asks. */
    bool (*may_go_on)(void *context);
    void *context;
} fol_py_query_core;

/* Whether a loop may have another chunk; false with an error set. */
static inline bool fol_py_core_may_go_on(const fol_py_query_core *core)
{
    return core->may_go_on == NULL || core->may_go_on(core->context);
}

static inline uint64_t fol_py_core_own_stamp(const fol_py_query_core *core)
{
    return atomic_load_explicit(&core->own_stamp, memory_order_relaxed);
}

static inline uint64_t fol_py_core_stamp(const fol_py_query_core *core)
{
    if (core->world == NULL) {
        return FOL_PY_NEVER_LIVE;
    }
    return fol_py_core_own_stamp(core) +
           atomic_load_explicit(&core->world->epoch, memory_order_relaxed);
}

static inline bool fol_py_core_is_live(const fol_py_query_core *core, uint64_t stamp)
{
    return fol_py_core_stamp(core) == stamp;
}

/* Cells are the world's own memory. In a frame the plan keeps others from them; a loop over
 * world.query() has only the interpreter's lock, and where there is none, the world's. */
static inline int fol_py_core_enter(const fol_py_query_core *core)
{
#ifdef Py_GIL_DISABLED
    return core->takes_lock ? fol_py_world_enter((PyObject *)core->world) : 0;
#else
    (void)core;
    return 0;
#endif
}
static inline void fol_py_core_leave(const fol_py_query_core *core)
{
#ifdef Py_GIL_DISABLED
    if (core->takes_lock) {
        fol_py_world_leave((PyObject *)core->world);
    }
#else
    (void)core;
#endif
}

/* Raises AccessError for something whose stamp is over. Returns -1. */
int fol_py_core_raise_stale(const fol_py_query_core *core, uint64_t stamp);
/* The same for what lives as long as the system runs. Returns -1. */
int fol_py_core_raise_returned(const fol_py_query_core *core);

static inline int fol_py_core_check_live(const fol_py_query_core *core, uint64_t stamp)
{
    return fol_py_core_is_live(core, stamp) ? 0 : fol_py_core_raise_stale(core, stamp);
}

/* takes_lock makes a core of world.query(). The new core has no owner yet. */
PyObject *fol_py_core_new(fol_py_state *state, PyObject *world, fol_query *query, bool is_owned,
                          bool takes_lock, const fol_term *terms, size_t count, PyObject *classes,
                          PyObject *owner_name);
/* A view over a core; owns it with others. */
PyObject *fol_py_view_over(PyObject *world, PyObject *core);
/* One owner less; with the last one the core detaches. The world must be alive. */
void fol_py_core_disown(PyObject *core);

/* The core behind a view. Borrowed. */
fol_py_query_core *fol_py_query_core_of(PyObject *query_view);

#endif
