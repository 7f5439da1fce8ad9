/* Contexts: who holds a budget, by handles that can be taken back.
 *
 * A table of a fixed number of contexts, each a ring of refills or a constant bandwidth server,
 * with what is to happen when it is used up, where it may run, and what it has used. A handle is
 * generation << 32 | index. Revoking and closing both make the generation one more: every copy of
 * the handle is stale from then on. Calls that change something then give FOL_E_STALE; questions
 * have the answer that lets nothing run. Nothing falls back to running without a budget.
 *
 * A run is what happens between a dispatch and the next time that somebody else may be dispatched.
 * The order of calls: wake when a job is released or no longer blocked; unblock when a run begins;
 * charge during the run as often as one likes, and at its end; finish when a job is done. Jobs that
 * share a context are one to it. The bounds of policy/refill.h and policy/cbs.h hold for all of
 * them together, with c the longest time for which a run goes on after its context is used up.
 *
 * Invariant: a context has a live handle exactly while it is open; what is used up is not ready
 * until its refill is due.
 *
 * No allocation after set-up, no clock. Not thread-safe: one owner, or a lock round each call.
 */
#ifndef FOL_POLICY_CONTEXT_H
#define FOL_POLICY_CONTEXT_H

#include "foliot/budget.h"

typedef struct fol_context_table fol_context_table;

/* What a charge says; statuses are negative. */
typedef enum fol_charge {
    FOL_CHARGE_WITHIN = 0,   /* it may go on */
    FOL_CHARGE_DEPLETED = 1, /* it may not: the overrun policy says what now */
} fol_charge;

/* -ENOMEM; FOL_E_VALUE unless 1 <= capacity < 2^32 - 1. */
int fol_context_table_create(uint32_t capacity, fol_context_table **out);
/* NULL is fine. */
void fol_context_table_destroy(fol_context_table *table);
uint32_t fol_context_table_count(const fol_context_table *table);

/* A context with all of its budget. FOL_E_VALUE when an option is out of its bounds, FOL_E_CAPACITY
 * when all places are taken. A notice that an earlier context left in the place is dropped. */
int fol_context_create(fol_context_table *table, const fol_context_options *options, int64_t now,
                       uint64_t *handle);
/* Closes the context, on behalf of its owner. `last` gets its counters unless it is NULL. */
int fol_context_close(fol_context_table *table, uint64_t handle, fol_context_stats *last);
/* Takes the context away from whoever uses it, who learns at the next call. */
int fol_context_revoke(fol_context_table *table, uint64_t handle);
uint64_t fol_context_revocations(const fol_context_table *table);

int fol_context_wake(fol_context_table *table, uint64_t handle, int64_t now);
int fol_context_unblock(fol_context_table *table, uint64_t handle, int64_t now);
/* A fol_charge or a status. A context that is used up leaves a notice, once until it is refilled;
 * later charges until then add to its debt. A soft server is always within. FOL_E_VALUE unless
 * 0 <= used <= FOL_BUDGET_MAX_TIME: then nothing is charged. */
int fol_context_charge(fol_context_table *table, uint64_t handle, int64_t used, int64_t now);
/* A job that was released at a time is done. 1: after its deadline; 0: in time; or a status. */
int fol_context_finish(fol_context_table *table, uint64_t handle, int64_t release, int64_t now);

/* Questions, for stale handles as well. */

/* NULL when stale. Good until the context is closed or revoked; `deadline` is never 0. */
const fol_context_options *fol_context_find(const fol_context_table *table, uint64_t handle);
bool fol_context_ready(const fol_context_table *table, uint64_t handle, int64_t now);
/* From when on it is ready, which may be past; FOL_TIME_NEVER: it will not be. */
int64_t fol_context_ready_at(const fol_context_table *table, uint64_t handle);
/* What a run that begins now may use without a pause; FOL_TIME_NEVER for a soft server. */
int64_t fol_context_budget_left(const fol_context_table *table, uint64_t handle, int64_t now);
/* The absolute deadline to schedule by: a server's own, or the one of a job released at a time;
 * FOL_TIME_NEVER when stale. */
int64_t fol_context_deadline(const fol_context_table *table, uint64_t handle, int64_t release);
bool fol_context_may_run_on(const fol_context_table *table, uint64_t handle, uint32_t cpu);
/* FOL_E_STALE. */
int fol_context_read_stats(const fol_context_table *table, uint64_t handle, fol_context_stats *out);

/* The notice of one context, or of the one that was used up first. They can be taken after the
 * context was closed. False: there is none. */
bool fol_context_take_notice(fol_context_table *table, uint64_t handle, fol_notice *out);
bool fol_context_take_first_notice(fol_context_table *table, fol_notice *out);
uint64_t fol_context_notices_dropped(const fol_context_table *table);

/* Asserts what the invariants of all parts say. Costly. */
void fol_context_invariants(const fol_context_table *table);

#endif
