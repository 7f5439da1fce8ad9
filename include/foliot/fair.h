/* The fair queue: who runs next when everybody is to get a share by weight, with short waits for
 * those who ask for short slices.
 *
 * Earliest eligible virtual deadline first (Stoica and Abdel-Wahab, "Earliest Eligible Virtual
 * Deadline First: A Flexible and Accurate Mechanism for Proportional Share Resource Allocation",
 * 1995), with the rules that Linux adds for sleep, wake and preemption.
 *
 * Time is an integer in any unit; the queue has no clock. Runnables are numbers from 0 to the
 * capacity less one. Nothing is allocated except by create and reserve. Not thread-safe.
 *
 * Statuses: FOL_E_MISSING for an id that is not in the state a call needs, FOL_E_VALUE for a number
 * outside its bounds, FOL_E_CAPACITY for an id beyond the capacity, -EOVERFLOW when somebody would
 * be left behind or run ahead farther than numbers reach; then nothing has changed.
 */
#ifndef FOLIOT_FAIR_H
#define FOLIOT_FAIR_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FOL_FAIR_WEIGHT_NORMAL 1024
#define FOL_FAIR_MAX_WEIGHT    (INT64_C(1) << 20)
/* Slices, requests, the tick, the quantum, and what is charged at once. */
#define FOL_FAIR_MAX_TIME      (INT64_C(1) << 38)
#define FOL_FAIR_MAX_RUNNABLES (UINT32_C(1) << 24)
#define FOL_FAIR_NONE          UINT32_MAX

typedef enum fol_fair_class {
    FOL_FAIR_INTERACTIVE = 0,
    FOL_FAIR_NORMAL,
    FOL_FAIR_BATCH,
    FOL_FAIR_CLASS_COUNT,
} fol_fair_class;

typedef enum fol_fair_mode {
    FOL_FAIR_LINUX = 0,
    /* As in the paper: eligible from the start of a request on, no protection, no memory of those
     * who left, and of equal deadlines the request that starts later, which is the shorter one. */
    FOL_FAIR_TEXTBOOK,
} fol_fair_mode;

typedef struct fol_fair_config {
    int64_t slices[FOL_FAIR_CLASS_COUNT]; /* of the latency classes, at least 1 */
    int64_t tick;                         /* how late a preemption may come; 0 or more */
    int64_t quantum;                      /* textbook: most that is charged at once; 0: no bound */
    fol_fair_mode mode;
} fol_fair_config;

/* Slices of 0.75, 3 and 12 ms, tick 0, in nanoseconds. */
void fol_fair_config_default(fol_fair_config *out);
/* FOL_E_VALUE for a field outside its bounds. */
int fol_fair_config_check(const fol_fair_config *config);

typedef struct fol_fair fol_fair;

/* For one processor. -ENOMEM, FOL_E_VALUE, FOL_E_CAPACITY beyond FOL_FAIR_MAX_RUNNABLES. */
int fol_fair_create(const fol_fair_config *config, uint32_t capacity, fol_fair **out);
void fol_fair_destroy(fol_fair *fair);
/* Room for ids below `capacity`, never less than before. -ENOMEM, FOL_E_CAPACITY; then it is as it
 * was. */
int fol_fair_reserve(fol_fair *fair, uint32_t capacity);

/* Ties between equal deadlines go to the lower rank, then to the lower id; every rank is 0 until
 * set. For an id that is unknown. FOL_E_CAPACITY, FOL_E_MISSING. */
int fol_fair_set_rank(fol_fair *fair, uint32_t id, int64_t rank);
int64_t fol_fair_rank(const fol_fair *fair, uint32_t id);

/* A newcomer, or one that was away and comes back: it keeps its lag, scaled when its weight is
 * another. request 0: the slice of the normal class. FOL_E_MISSING: it is in. */
int fol_fair_join(fol_fair *fair, uint32_t id, int64_t weight, int64_t request);
/* It sleeps, and its lag is kept until it joins again; in the textbook mode it is forgotten. */
int fol_fair_leave(fol_fair *fair, uint32_t id);
/* It is gone, and its id may be another's; whether it was in, away or unknown. */
int fol_fair_forget(fol_fair *fair, uint32_t id);
int fol_fair_reweight(fol_fair *fair, uint32_t id, int64_t weight);

/* Who should run from now on, which may be who runs already; FOL_FAIR_NONE when nobody is in. */
uint32_t fol_fair_pick(fol_fair *fair);
/* Charges time to one that is in. */
int fol_fair_account(fol_fair *fair, uint32_t id, int64_t ran);
/* How long who was picked may run before the next point at which another may be picked;
 * INT64_MAX when there is none. */
int64_t fol_fair_until(const fol_fair *fair);

/* It has joined and not left. */
bool fol_fair_has(const fol_fair *fair, uint32_t id);
/* It is in, or away with its lag kept. */
bool fol_fair_knows(const fol_fair *fair, uint32_t id);
uint32_t fol_fair_count(const fol_fair *fair);
/* Virtual time less the virtual runtime of one that is known, in the unit of virtual time; of one
 * that is away, what is kept. Times weight / 1024 (textbook: times weight) it is the service that
 * it is owed. */
double fol_fair_lag(const fol_fair *fair, uint32_t id);
/* Of what a runnable of weight 1024 (textbook: 1) gets, in the unit of time. */
double fol_fair_virtual_time(const fol_fair *fair);

/* Whether all is consistent: stops the process where it is not. For tests. */
void fol_fair_invariants(const fol_fair *fair);

#ifdef __cplusplus
}
#endif

#endif
