/* Budgets: how much time something may use in each period, and what happens when it uses more.
 *
 * Plain data, and the functions that Python and native code call on it. Time is an argument, in any
 * integer unit (live: nanoseconds), never negative and at most FOL_BUDGET_MAX_TIME; periods are at
 * most FOL_BUDGET_MAX_PERIOD. Then no sum of two leaves 64 bits. A debt that would lead past the
 * end of time shuts its owner out for good.
 *
 * The theory and the invariants stand beside the code: sporadic refills in policy/refill.h,
 * constant bandwidth servers in policy/cbs.h.
 */
#ifndef FOLIOT_BUDGET_H
#define FOLIOT_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "foliot/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FOL_BUDGET_MAX_TIME   (INT64_C(1) << 61)
#define FOL_BUDGET_MAX_PERIOD (INT64_C(1) << 60)

#define FOL_REFILLS_MIN 2u
#define FOL_REFILLS_MAX 64u

/* An amount that may be used from a time on. */
typedef struct fol_refill {
    int64_t time;
    int64_t amount;
} fol_refill;

typedef struct fol_refill_ring {
    fol_refill *slots; /* the caller's, `capacity` of them */
    int64_t budget;    /* sum of all amounts, always */
    int64_t period;
    int64_t minimum; /* no refill at the head is smaller */
    uint32_t capacity;
    uint32_t head;
    uint32_t count;
} fol_refill_ring;

/* All of the budget may be used from `now` on. FOL_E_VALUE unless 1 <= budget <= period,
 * 0 <= minimum <= budget and everything else is in its bounds. */
int fol_refill_init(fol_refill_ring *ring, fol_refill *slots, uint32_t capacity, int64_t budget,
                    int64_t period, int64_t minimum, int64_t now);
/* So much was used since the last call of this or of unblock; may exceed what there was, and then
 * the debt moves what follows away from now. 0 <= used <= FOL_BUDGET_MAX_TIME. */
void fol_refill_charge(fol_refill_ring *ring, int64_t used);
/* A run begins: what is ready counts from now, with all that has become due. */
void fol_refill_unblock(fol_refill_ring *ring, int64_t now);
bool fol_refill_ready(const fol_refill_ring *ring, int64_t now);
/* From when on it is ready; FOL_TIME_NEVER: its debt is beyond the end of time. */
int64_t fol_refill_ready_at(const fol_refill_ring *ring);
/* What a run that begins now may use without a pause; 0 when not ready. */
int64_t fol_refill_available(const fol_refill_ring *ring, int64_t now);
/* The refill at a place below `count`, in the order of time. */
const fol_refill *fol_refill_at(const fol_refill_ring *ring, uint32_t place);

typedef struct fol_cbs {
    int64_t full; /* budget of a period */
    int64_t period;
    int64_t relative_deadline; /* at most the period */
    int64_t budget;            /* left; 0 or less: used up, the debt */
    int64_t deadline;          /* absolute */
    int64_t throttled_until;   /* may not run before; once it was reached it stays as it is */
    bool is_hard;
    bool is_throttled;
    bool has_begun; /* with the first call about it */
} fol_cbs;

/* FOL_E_VALUE unless 1 <= budget <= relative_deadline <= period, in bounds. */
int fol_cbs_init(fol_cbs *server, int64_t budget, int64_t period, int64_t relative_deadline,
                 bool is_hard);
/* Work arrives at a server that had none. True: it may run. */
bool fol_cbs_wake(fol_cbs *server, int64_t now);
/* A server that has had work all the time is looked at again: it is refilled if that is due. True:
 * it may run. */
bool fol_cbs_unblock(fol_cbs *server, int64_t now);
/* True: that was the last of its budget. 0 <= used <= FOL_BUDGET_MAX_TIME. */
bool fol_cbs_charge(fol_cbs *server, int64_t used, int64_t now);
bool fol_cbs_ready(const fol_cbs *server, int64_t now);

/* Contexts. */

typedef enum fol_context_kind {
    FOL_CONTEXT_SPORADIC = 0, /* refills */
    FOL_CONTEXT_CBS_HARD = 1, /* a server that waits for its next period */
    FOL_CONTEXT_CBS_SOFT = 2, /* a server that goes on with a later deadline */
    FOL_CONTEXT_KINDS = 3,
} fol_context_kind;

/* What becomes of a job whose context has no budget left. */
typedef enum fol_overrun {
    FOL_OVERRUN_THROTTLE = 0, /* it waits for the refill */
    FOL_OVERRUN_SKIP = 1,     /* it is dropped; the next release is taken */
    FOL_OVERRUN_KILL = 2,     /* it is ended, and the context released */
    FOL_OVERRUN_DEMOTE = 3,   /* it goes on in the fair class until the refill */
    FOL_OVERRUN_NOTIFY = 4,   /* a notice is left; it goes on only when nobody else wants to */
    FOL_OVERRUN_POLICIES = 5,
} fol_overrun;

#define FOL_CONTEXT_CPU_WORDS 16u /* 1024 CPUs */

typedef struct fol_context_options {
    fol_context_kind kind;
    fol_overrun overrun;
    uint32_t refills; /* capacity of the ring; FOL_REFILLS_MIN .. FOL_REFILLS_MAX */
    int64_t budget;
    int64_t period;
    int64_t deadline;                     /* relative, budget .. period; 0: the period */
    int64_t minimum;                      /* a context with less is not ready; 0 .. budget */
    uint64_t cpus[FOL_CONTEXT_CPU_WORDS]; /* where it may run; no bit at all: everywhere */
} fol_context_options;

typedef struct fol_context_stats {
    uint64_t used;       /* time charged */
    uint64_t charges;    /* above 0 */
    uint64_t depletions; /* charges that used up what could be used without a pause */
    uint64_t overruns;   /* depletions that used more than that */
    uint64_t debt;       /* time used beyond, of all overruns */
    uint64_t worst_debt; /* of one overrun */
    uint64_t jobs;       /* finished */
    uint64_t misses;     /* of those, finished after their deadline */
} fol_context_stats;

/* What happened to a context since somebody took its last notice. */
typedef struct fol_notice {
    uint64_t context; /* handle */
    uint64_t count;   /* depletions */
    int64_t first;    /* time of the first and the last of them */
    int64_t last;
    int64_t amount; /* time used beyond the budget, of all of them */
} fol_notice;

#ifdef __cplusplus
}
#endif

#endif
