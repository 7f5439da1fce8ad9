/* The fair queue (EEVDF): runnables share processors by weight, and each gets what it asks for
 * before its virtual deadline, but for one request.
 *
 * Sources: Stoica and Abdel-Wahab 1995 (see foliot/fair.h) for the textbook mode and its bound; the
 * rules of Linux since 6.12 for placement, protection and delayed dequeue.
 *
 * Rules. Runnable i has weight w, virtual runtime v, virtual deadline vd and request r. Running for
 * t adds t / w to v. V is the average of the v by weight, over all that are counted: queued,
 * delayed and running. lag = V - v, and i is eligible while it is not negative. Picked is the
 * eligible one with the least vd; ties go by id. When v reaches vd a request is served, and the
 * next one has vd = v + r / w.
 * - Joining for the first time: v = V, and vd half a request after v. Waking: v = V - lag', where
 *   lag' = lag * (W + w) / W makes up for what joining does to V, and vd a whole request after v.
 *   In an empty queue v = V.
 * - Sleeping keeps the lag, held to +-L / w, where L is the tick and the largest request that the
 *   queue has ever been given. One that is not eligible stays in as delayed, so that its debt is
 *   paid by waiting: when it would be picked it leaves, and keeps no lag above 0; when it wakes
 *   first it goes on where it is, or at lag 0 if it is owed something by then.
 * - Protection: whoever is switched in keeps the processor while it is eligible and v has not
 *   reached vd as it was then, nor v as it was then and the shortest request that is queued. A
 *   request that follows is not protected.
 * - Another weight scales lag and vd - V by old / new, which leaves V where it is.
 * - Textbook mode: eligible from the start of the request on; a whole request at first; whoever
 *   leaves is forgotten, and its lag is shared by those who stay, for V is the average; of equal
 *   deadlines the later start goes first, then the lesser id. No protection, no delay.
 *
 * Several runnables may run at once: m processors share one queue. When nobody of those who wait is
 * eligible, for those who run hold V back, the one that would be so first is picked: a processor
 * does not idle while somebody waits.
 *
 * Units. One virtual unit is 2^-20 of a unit of time at weight 1, so 2^-10 at weight 1024. v and vd
 * are rounded down. What is cut from v by a charge is carried to the next one, so that charges add
 * up exactly: between two placements v is the exact value, rounded down. A placement or a change of
 * weight is off by less than 3 units, the carry that it drops included; a lag that is kept is
 * rounded down.
 *
 * Numbers. Points (v, vd) wrap, and are compared by their differences to v0 = `average.zero`, which
 * follows V upwards. Times are at most 2^38, weights at most 2^20. So a charge and a request are at
 * most 2^58 units; a lag that is kept at most L / w <= 2^59 / w units, and lag' at most
 * 2^59 / w + 2^59 / W <= 2^60. Each v is within FOL_FAIR_REACH = 2^61 of v0: what would put one
 * beyond is refused, and v0 moves no farther than that from the least v. vd is at most 2^58 after
 * v, except where a lag or a weight puts both back. So points differ by less than 2^63, and V, an
 * average, is within reach as well. With at most 2^24 runnables W is at most 2^44; w * (v - v0)
 * summed up is at most 2^105, and at most 2^125 when multiplied by a weight: all within 2^127.
 *
 * Pure: no thread, no clock, no allocation after the store is made.
 */
#ifndef FOL_POLICY_FAIR_QUEUE_H
#define FOL_POLICY_FAIR_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "foliot/fair.h"
#include "structures/fair_tree.h"

/* Virtual units of a unit of time at weight 1, as a shift. */
#define FOL_FAIR_SHIFT 20
/* Units that v may be from v0, either way. */
#define FOL_FAIR_REACH (INT64_C(1) << 61)

typedef enum fol_fair_state {
    FOL_FAIR_ABSENT = 0, /* unknown to its queue */
    FOL_FAIR_ASLEEP,     /* known, not counted; its lag is kept */
    FOL_FAIR_QUEUED,
    FOL_FAIR_DELAYED, /* asleep for its owner, counted until its debt is paid */
    FOL_FAIR_RUNNING, /* counted, not queued */
} fol_fair_state;

/* What is not needed to find a runnable. */
typedef struct fol_fair_rest {
    int64_t lag;           /* units, while asleep */
    int64_t deadline_kept; /* units from v to vd after a migration; 0: none */
    uint64_t done;         /* units, textbook: v - start */
    uint64_t switched_v;   /* v when it was switched in */
    uint64_t switched_vd;  /* vd then */
    uint32_t next;         /* of those who run, a ring; FOL_FAIR_NONE: not running */
    uint32_t previous;
} fol_fair_rest;

/* The places of runnables, by id. Queues may share a store; an id is in one of them at a time. */
typedef struct fol_fair_store {
    fol_fair_node *nodes;
    fol_fair_rest *rests;
    uint32_t capacity;
} fol_fair_store;

typedef struct fol_fair_queue {
    fol_fair_store *store;
    fol_fair_tree tree; /* queued and delayed */
    fol_fair_average average;
    fol_int128 zero_total; /* average.zero without wrapping */
    int64_t largest;       /* request ever given */
    fol_fair_config config;
    uint32_t running; /* one of those who run, or FOL_FAIR_NONE */
    uint32_t running_count;
    uint32_t delayed_count;
} fol_fair_queue;

/* All ids are absent. -ENOMEM; FOL_E_CAPACITY beyond FOL_FAIR_MAX_RUNNABLES. */
int fol_fair_store_init(fol_fair_store *store, uint32_t capacity);
/* Room for more ids; queues on the store stay as they are. The same statuses. */
int fol_fair_store_reserve(fol_fair_store *store, uint32_t capacity);
void fol_fair_store_deinit(fol_fair_store *store);

/* The configuration is valid (fol_fair_config_check). The store outlives the queue's use; the queue
 * itself owns nothing. */
void fol_fair_queue_init(fol_fair_queue *queue, const fol_fair_config *config,
                         fol_fair_store *store);

/* Ids below are less than the capacity, and belong to this queue unless absent. Statuses as in
 * foliot/fair.h; -EOVERFLOW leaves all as it was. */

/* An absent one comes in, queued. request 0: the normal slice. FOL_E_MISSING: it is not absent. */
int fol_fair_queue_join(fol_fair_queue *queue, uint32_t id, int64_t weight, int64_t request);
/* One that is asleep or delayed is queued. FOL_E_MISSING: it is neither. */
int fol_fair_queue_wake(fol_fair_queue *queue, uint32_t id);
/* One that is queued or running sleeps; it may have to stay as delayed. In the textbook mode it
 * becomes absent. FOL_E_MISSING: it is neither. */
int fol_fair_queue_sleep(fol_fair_queue *queue, uint32_t id);
/* It becomes absent, from any state. */
void fol_fair_queue_leave(fol_fair_queue *queue, uint32_t id);

/* The one of those queued that should run next; it stays queued until fol_fair_queue_set_running.
 * Delayed ones whose time has come leave on the way. */
uint32_t fol_fair_queue_pick(fol_fair_queue *queue);
/* A queued one is switched in on some processor. */
void fol_fair_queue_set_running(fol_fair_queue *queue, uint32_t id);
/* A queued one is no longer queued, for nobody is left to run in its name but who does so already:
 * its protection stays as it is. */
void fol_fair_queue_take_out(fol_fair_queue *queue, uint32_t id);
/* One that runs is switched out, and queued. */
void fol_fair_queue_put_back(fol_fair_queue *queue, uint32_t id);
/* Protection starts anew for one that is queued and stays so, for others run in its name. */
void fol_fair_queue_switch_in(fol_fair_queue *queue, uint32_t id);

/* Charges `ran`, 0 to FOL_FAIR_MAX_TIME (textbook: to the quantum), to one that runs or is queued.
 * FOL_E_MISSING, FOL_E_VALUE, -EOVERFLOW. */
int fol_fair_queue_account(fol_fair_queue *queue, uint32_t id, int64_t ran);

/* What fol_fair_queue_account would return, without charging. */
int fol_fair_queue_can_account(fol_fair_queue *queue, uint32_t id, int64_t ran);

/* Who should run in place of `current`, which runs, or is queued while others run in its name.
 * FOL_FAIR_NONE: it goes on. Delayed ones whose time has come leave on the way. */
uint32_t fol_fair_queue_should_preempt(fol_fair_queue *queue, uint32_t current);
/* How long `current` may run before the next point at which that may change, while nobody joins: to
 * the end of its protection or eligibility, whichever is first; when it is not protected, a tick,
 * or with tick 0 to the end of its request or eligibility. Textbook: to the end of its request, at
 * most a quantum. At least 1; INT64_MAX while nobody else is queued. */
int64_t fol_fair_queue_until_preempt(const fol_fair_queue *queue, uint32_t current);

/* Another weight, in any state but absent. FOL_E_MISSING, FOL_E_VALUE, -EOVERFLOW. */
int fol_fair_queue_reweight(fol_fair_queue *queue, uint32_t id, int64_t weight);
/* Another request from its next one on; queued or not. FOL_E_MISSING, FOL_E_VALUE. */
int fol_fair_queue_set_request(fol_fair_queue *queue, uint32_t id, int64_t request);
/* One that is not running goes to another queue on the same store with its lag and vd - v. One that
 * is delayed or asleep is asleep there. FOL_E_MISSING, -EOVERFLOW. */
int fol_fair_queue_migrate(fol_fair_queue *from, fol_fair_queue *to, uint32_t id);

static inline fol_fair_state fol_fair_queue_state(const fol_fair_queue *queue, uint32_t id)
{
    return (fol_fair_state)queue->store->nodes[id].state;
}

/* How many may be picked now, delayed ones excluded. */
static inline uint32_t fol_fair_queue_queued(const fol_fair_queue *queue)
{
    return queue->tree.count - queue->delayed_count;
}

/* Of the class, in units of time. */
static inline int64_t fol_fair_queue_slice(const fol_fair_queue *queue, fol_fair_class latency)
{
    return queue->config.slices[latency];
}

/* V - v of one that is counted, or the lag kept of one that is asleep; in units, rounded down. */
int64_t fol_fair_queue_lag_units(const fol_fair_queue *queue, uint32_t id);
/* vd - V of one that is counted; in units, V rounded down. */
int64_t fol_fair_queue_deadline_units(const fol_fair_queue *queue, uint32_t id);
/* The lag as a number in the unit of virtual time (foliot/fair.h), not rounded to units. */
double fol_fair_queue_lag(const fol_fair_queue *queue, uint32_t id);
/* V in units, rounded down. */
fol_int128 fol_fair_queue_virtual_units(const fol_fair_queue *queue);
double fol_fair_queue_virtual_time(const fol_fair_queue *queue);

/* Under FOL_VERIFY. Walks all who are counted. */
void fol_fair_queue_invariants(const fol_fair_queue *queue);

#endif
