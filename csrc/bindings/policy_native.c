/* Native slots: the function that the user gave, with its own user data, and an account of what it
 * returned. No interpreter is needed, so a detached worker stays detached.
 */
#include "bindings/policy_bound.h"

/* What the core is told; a status that is neither answer is kept for whoever asks. */
static inline int finish(fol_py_bound_policy *bound, fol_policy_slot slot, int status)
{
    fol_py_policy_note_call(bound);
    if (status == FOL_POLICY_ANSWERED || status == FOL_POLICY_DEFAULT) {
        return status;
    }
    return fol_py_policy_keep_status(bound, slot, status);
}

static int native_enqueue(void *state, const fol_runnable_view *runnable, int64_t now,
                          int64_t *rank)
{
    fol_py_bound_policy *bound = state;
    void *user = bound->calls[FOL_SLOT_ENQUEUE].user;
    return finish(bound, FOL_SLOT_ENQUEUE, bound->native.enqueue(user, runnable, now, rank));
}

static int native_pick(void *state, const fol_ready *ready, uint32_t cpu, int64_t now,
                       uint32_t *place)
{
    fol_py_bound_policy *bound = state;
    void *user = bound->calls[FOL_SLOT_PICK].user;
    return finish(bound, FOL_SLOT_PICK, bound->native.pick(user, ready, cpu, now, place));
}

static int native_slice(void *state, const fol_runnable_view *runnable, int64_t now, int64_t *slice)
{
    fol_py_bound_policy *bound = state;
    void *user = bound->calls[FOL_SLOT_SLICE].user;
    return finish(bound, FOL_SLOT_SLICE, bound->native.slice(user, runnable, now, slice));
}

static int native_admit(void *state, const fol_runnable_view *runnable, int64_t now, bool *is_taken)
{
    fol_py_bound_policy *bound = state;
    void *user = bound->calls[FOL_SLOT_ADMIT].user;
    return finish(bound, FOL_SLOT_ADMIT, bound->native.admit(user, runnable, now, is_taken));
}

static int native_victims(void *state, uint32_t worker, uint32_t workers, uint32_t *order,
                          uint32_t *count)
{
    fol_py_bound_policy *bound = state;
    void *user = bound->calls[FOL_SLOT_VICTIMS].user;
    return finish(bound, FOL_SLOT_VICTIMS,
                  bound->native.victims(user, worker, workers, order, count));
}

static int native_spin_limit(void *state, uint32_t worker, uint32_t *limit)
{
    fol_py_bound_policy *bound = state;
    void *user = bound->calls[FOL_SLOT_SPIN_LIMIT].user;
    return finish(bound, FOL_SLOT_SPIN_LIMIT, bound->native.spin_limit(user, worker, limit));
}

static int native_chunk_rows(void *state, uint32_t system, uint64_t rows, uint64_t *chunk)
{
    fol_py_bound_policy *bound = state;
    void *user = bound->calls[FOL_SLOT_CHUNK_ROWS].user;
    return finish(bound, FOL_SLOT_CHUNK_ROWS, bound->native.chunk_rows(user, system, rows, chunk));
}

static int native_backend(void *state, const fol_policy_load *load, uint32_t *choice)
{
    fol_py_bound_policy *bound = state;
    void *user = bound->calls[FOL_SLOT_BACKEND].user;
    return finish(bound, FOL_SLOT_BACKEND, bound->native.backend(user, load, choice));
}

const fol_policy_slots fol_py_native_slots = {
    .enqueue = native_enqueue,
    .pick = native_pick,
    .slice = native_slice,
    .admit = native_admit,
    .victims = native_victims,
    .spin_limit = native_spin_limit,
    .chunk_rows = native_chunk_rows,
    .backend = native_backend,
};
