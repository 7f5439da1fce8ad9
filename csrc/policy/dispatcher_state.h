/* What a dispatcher is made of, for the files dispatcher*.c only.
 *
 * Each runnable has one owner at any time, which its state names: nobody (asleep, blocked, dead),
 * one band of one queue (ready), one CPU (running), or its context (throttled, held). The functions
 * below move it from one to the next; whoever takes it out of one place puts it into another in the
 * same call.
 *
 * Rules that more than one file rests on:
 * - The order in a band is by (rank, id), in the fair band by the fair queue. Bands go before bands
 *   in the order of fol_band.
 * - What arrives displaces only what is strictly after it: an equal rank never does. A runnable
 *   whose slice ended stands in line with the others, where of equal ranks the lower id is first.
 * - A CPU that nobody uses counts as taken by the first of those that are ready, for its owner will
 *   ask; so an arrival displaces only when more are ready than CPUs are idle or marked already.
 */
#ifndef FOL_POLICY_DISPATCHER_STATE_H
#define FOL_POLICY_DISPATCHER_STATE_H

#include "base/assert.h"
#include "base/bitset.h"
#include "policy/context.h"
#include "policy/dispatcher.h"
#include "policy/fair_queue.h"
#include "policy/slots.h"
#include "structures/heap.h"

#define FOL_NO_ID UINT32_MAX

typedef enum fol_band {
    FOL_BAND_RANKED = 0, /* by a slot */
    FOL_BAND_ORDERED,    /* by a number of the policy */
    FOL_BAND_FAIR,
    FOL_BAND_SLACK, /* a context that used its budget up, and runs on what nobody wants */
    FOL_BANDS,
} fol_band;

/* Where a runnable stands that may not draw on its context. */
typedef enum fol_standing {
    FOL_STANDING_FULL = 0,
    FOL_STANDING_DEMOTED, /* fair until the refill */
    FOL_STANDING_SLACK,   /* on slack until the refill */
} fol_standing;

typedef struct fol_runnable {
    fol_runnable_view view;
    fol_account account;
    int64_t rank; /* in its band */
    int64_t next_release;
    uint64_t jobs;         /* released so far */
    uint64_t arrival;      /* counts up: the order in which runnables became ready */
    uint8_t state;         /* fol_runnable_state */
    uint8_t band;          /* of a ready or running one */
    uint8_t standing;      /* fol_standing */
    bool is_restricted;    /* its context allows some CPUs only */
    bool is_revoked;       /* runs, and is dropped at its next point */
    uint32_t queue;        /* home */
    uint32_t cpu;          /* on which it runs, or FOL_NO_CPU */
    uint32_t context;      /* place, or FOL_NO_ID */
    uint32_t next_sibling; /* of the same context; also of free places */
    uint32_t previous_sibling;
    uint32_t next_ready; /* in the order of arrival, when there is a pick slot */
    uint32_t previous_ready;
} fol_runnable;

typedef struct fol_cpu {
    uint32_t running; /* FOL_NO_RUNNABLE: idle */
    uint32_t last;    /* who ran here last */
    uint32_t choice;  /* who was preferred to the one that left here at chosen_at */
    int64_t chosen_at;
    uint64_t chosen_among; /* arrivals by then */
    int64_t slice;         /* left of what a slot gave; FOL_TIME_NEVER: no end */
    int64_t fair_left;     /* until the fair queue is asked again; FOL_TIME_NEVER: not fair */
    int64_t charged_at;    /* time up to which the fair queue was charged */
    int64_t ahead;         /* charged there, and not told of by ran yet */
    int64_t fair_point;    /* time from which on an arrival in the fair band may take its place */
    fol_account account;
} fol_cpu;

typedef struct fol_queue {
    fol_heap heaps[FOL_BANDS]; /* that of the fair band is unused */
    fol_fair_queue fair;       /* of runnables without a group, and of groups */
    uint32_t ready;
    uint32_t restricted; /* of those */
    uint32_t first_ready;
    uint32_t last_ready;
} fol_queue;

/* What the dispatcher adds to a context. */
typedef struct fol_budget {
    uint64_t handle;
    int64_t relative_deadline;
    uint64_t cpus[FOL_CONTEXT_CPU_WORDS];
    fol_overrun overrun;
    fol_context_kind kind;
    bool is_restricted;
    uint32_t members; /* first of the list, or FOL_NO_ID */
    uint32_t holder;  /* who runs on it, or FOL_NO_RUNNABLE */
    uint32_t active;  /* members with a job that is not blocked */
    uint32_t waiting; /* of those, throttled, demoted or on slack */
    uint32_t held;    /* of those, held */
    int64_t full;
    int64_t granted; /* what the holder may use from its last point on */
    int64_t debt;    /* used beyond that by the last charge */
    fol_cbs soft;    /* follows a soft server's own: what is left until its deadline moves */
} fol_budget;

typedef struct fol_group {
    fol_group_options options;
    fol_account account;
} fol_group;

typedef struct fol_last {
    fol_decision decision;
    bool is_set;
} fol_last;

struct fol_dispatcher {
    fol_dispatcher_config config;
    fol_slots slots;
    uint32_t queue_count;
    uint32_t group_count; /* the root among them */
    uint32_t idle_count;
    uint32_t marked_count;
    uint32_t ready_count;
    uint32_t throttled_count;
    uint32_t first_free;
    uint32_t used_count; /* places of runnables ever used */
    uint32_t worst;      /* CPU whose runnable is last in line; FOL_NO_CPU: to be found */
    int64_t next_refill; /* the first of `refills`, or FOL_TIME_NEVER */
    uint64_t arrivals;
    uint64_t idle[FOL_DISPATCHER_CPU_WORDS];
    uint64_t marked[FOL_DISPATCHER_CPU_WORDS];
    uint64_t busy[FOL_DISPATCHER_CPU_WORDS];     /* queues with somebody ready */
    uint64_t deferred[FOL_DISPATCHER_CPU_WORDS]; /* queues to look at again for displacement */
    fol_runnable *runnables;
    uint32_t *places; /* in heaps, of runnables */
    fol_queue *queues;
    fol_cpu *cpus;
    fol_group *groups;
    fol_fair_queue *members; /* of groups: for each queue, one for each group */
    fol_fair_store store;    /* ids of runnables, then those of the groups in each queue */
    fol_heap_node *nodes;    /* of all heaps of queues */
    size_t node_bytes;
    uint32_t *scratch; /* ids for a pick slot, those set aside, places of a heap */
    uint32_t *victims; /* as the slot of this name answered */
    uint32_t *nearest; /* rows of the configuration's victims, or NULL */
    fol_context_table *contexts;
    fol_budget *budgets;
    uint32_t *refill_places;
    fol_heap refills; /* contexts somebody waits for, by the time of the refill */
    fol_decision *records;
    fol_last *lasts;
    uint64_t record_count;
    int64_t gone_runtime;     /* of runnables that were removed */
    fol_choice_counts counts; /* candidates are summed up for who asks */
};

static inline fol_runnable *fol_runnable_of(const fol_dispatcher *dispatcher, uint32_t id)
{
    FOL_ASSERT_HOT(id < dispatcher->used_count);
    return &dispatcher->runnables[id];
}

static inline fol_budget *fol_budget_of(const fol_dispatcher *dispatcher,
                                        const fol_runnable *runnable)
{
    return runnable->context == FOL_NO_ID ? NULL : &dispatcher->budgets[runnable->context];
}

static inline uint32_t fol_queue_of_cpu(const fol_dispatcher *dispatcher, uint32_t cpu)
{
    return dispatcher->queue_count == 1 ? 0 : cpu;
}

static inline bool fol_may_run_on(const fol_dispatcher *dispatcher, const fol_runnable *runnable,
                                  uint32_t cpu)
{
    return !runnable->is_restricted ||
           fol_bits_test(dispatcher->budgets[runnable->context].cpus, cpu);
}

/* One more of an entry in the ledgers of a runnable, its group, and a CPU if there is one. */
#define FOL_COUNT(dispatcher, runnable, cpu_number, entry)                                         \
    do {                                                                                           \
        (runnable)->account.entry += 1;                                                            \
        (dispatcher)->groups[(runnable)->view.group].account.entry += 1;                           \
        if ((cpu_number) != FOL_NO_CPU) {                                                          \
            (dispatcher)->cpus[(cpu_number)].account.entry += 1;                                   \
        }                                                                                          \
    } while (0)

/* dispatcher_record.c: ledgers and records. */

void fol_dispatcher_write(fol_dispatcher *dispatcher, const fol_decision *decision);
void fol_dispatcher_fault(void *dispatcher, fol_policy_slot slot, int status,
                          const fol_slot_site *site);
/* What ran on the CPU used so much. */
void fol_ledger_ran(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu, int64_t used);
void fol_ledger_waited(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
/* The job ended at a time: its response, and whether its deadline was missed. True: it was. */
bool fol_ledger_ended(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                      int64_t now);

/* Records cost nothing when none are kept. */
static inline void fol_tell_why(fol_dispatcher *dispatcher, fol_decision_kind kind, uint8_t detail,
                                const fol_runnable *runnable, uint32_t cpu, uint32_t other,
                                int64_t now, int64_t first, int64_t second, int64_t third)
{
    if (dispatcher->records != NULL) {
        fol_decision decision = {.now = now,
                                 .kind = (uint16_t)kind,
                                 .policy = (uint8_t)dispatcher->config.policy,
                                 .detail = detail,
                                 .runnable = runnable->view.id,
                                 .cpu = cpu,
                                 .other = other,
                                 .job = runnable->view.job,
                                 .numbers = {first, second, third}};
        fol_dispatcher_write(dispatcher, &decision);
    }
}

static inline void fol_tell(fol_dispatcher *dispatcher, fol_decision_kind kind,
                            const fol_runnable *runnable, uint32_t cpu, uint32_t other, int64_t now,
                            int64_t first, int64_t second, int64_t third)
{
    fol_tell_why(dispatcher, kind, 0, runnable, cpu, other, now, first, second, third);
}

/* dispatcher_fair.c: the fair band of each queue, with groups. */

void fol_band_join(fol_dispatcher *dispatcher, fol_runnable *runnable);
/* It is queued no more, and keeps its lag. True: it stays counted until that is paid. */
bool fol_band_sleep(fol_dispatcher *dispatcher, fol_runnable *runnable);
/* What runs in the fair band of the queue is charged up to now, before somebody joins: who joins is
 * placed by the average of all. */
void fol_band_catch_up(fol_dispatcher *dispatcher, uint32_t queue, int64_t now);
/* What runs on the CPU begins, or begins anew, to be charged to the fair queue. */
void fol_band_begin(fol_dispatcher *dispatcher, uint32_t cpu, int64_t now);
/* It ran for so long since it was asked last. */
void fol_band_ran(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t used, int64_t now);
/* It is gone. */
void fol_band_leave(fol_dispatcher *dispatcher, fol_runnable *runnable);
uint32_t fol_band_pick(fol_dispatcher *dispatcher, uint32_t queue);
void fol_band_take(fol_dispatcher *dispatcher, fol_runnable *runnable);
void fol_band_put_back(fol_dispatcher *dispatcher, fol_runnable *runnable);
/* Who should run in place of a running one, or FOL_NO_RUNNABLE. */
uint32_t fol_band_rival(fol_dispatcher *dispatcher, fol_runnable *runnable);
int64_t fol_band_until(const fol_dispatcher *dispatcher, const fol_runnable *runnable);
void fol_band_migrate(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t queue);
uint32_t fol_band_queued(const fol_dispatcher *dispatcher, uint32_t queue);
int fol_band_reweight(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t weight);
int fol_band_reweigh_group(fol_dispatcher *dispatcher, uint32_t group, uint32_t weight);
int64_t fol_band_lag(const fol_dispatcher *dispatcher, const fol_runnable *runnable);
/* Why one in the fair band gave way to another one there, told where the two of them, or their
 * groups, stand in one queue: FOL_PREEMPT_LAG or _DEADLINE, and its numbers. */
fol_preempt_reason fol_band_compare(const fol_dispatcher *dispatcher, const fol_runnable *runnable,
                                    const fol_runnable *other, int64_t numbers[2]);

/* dispatcher_queue.c: who is ready. */

/* The band and rank that it has from now on; asks the enqueue slot. */
void fol_queue_rank(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
/* It becomes ready, in the place that fol_queue_rank gave. */
void fol_queue_enter(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
/* One that ran becomes ready again, in the place that it has. */
void fol_queue_put_back(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
/* It is ready no more: to run, or else. */
void fol_queue_take(fol_dispatcher *dispatcher, fol_runnable *runnable);
void fol_queue_leave(fol_dispatcher *dispatcher, fol_runnable *runnable);
/* One that is ready goes to another queue. */
void fol_queue_move(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t queue);
/* The first one that may run on the CPU now, or FOL_NO_RUNNABLE. Those that their context keeps
 * from running go where they belong on the way. */
uint32_t fol_queue_first(fol_dispatcher *dispatcher, uint32_t queue, uint32_t cpu, int64_t now);
/* The one that should run in place of the one that runs on the CPU, or FOL_NO_RUNNABLE. In line: an
 * equal rank with a lower id goes first as well. is_choice: the pick slot said so. */
uint32_t fol_queue_rival(fol_dispatcher *dispatcher, uint32_t cpu, bool is_in_line, int64_t now,
                         bool *is_choice);
/* The pick slot's choice among those ready in the queue and, unless it is FOL_NO_RUNNABLE, the one
 * that runs. False: it has none. */
bool fol_queue_ask(fol_dispatcher *dispatcher, uint32_t queue, uint32_t cpu, uint32_t running,
                   int64_t now, uint32_t *id);

/* dispatcher_displace.c: who gives way. */

/* Somebody became ready. */
void fol_displace_arrived(fol_dispatcher *dispatcher, const fol_runnable *runnable, int64_t now);
void fol_displace_mark(fol_dispatcher *dispatcher, uint32_t cpu);
void fol_displace_unmark(fol_dispatcher *dispatcher, uint32_t cpu);
/* Somebody began to run on the CPU, or has another place in line now. */
void fol_displace_began(fol_dispatcher *dispatcher, uint32_t cpu);
void fol_displace_ended(fol_dispatcher *dispatcher, uint32_t cpu);

/* dispatcher_budget.c: contexts. */

void fol_budget_link(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t place);
void fol_budget_unlink(fol_dispatcher *dispatcher, fol_runnable *runnable);
typedef enum fol_woken {
    FOL_WOKEN_READY = 0,
    FOL_WOKEN_WAITS,   /* it was put where it waits, or goes on without its budget */
    FOL_WOKEN_SKIPPED, /* the job that was released is dropped */
} fol_woken;

/* A job is released or goes on. */
fol_woken fol_budget_wake(fol_dispatcher *dispatcher, fol_runnable *runnable, bool is_release,
                          int64_t now);
/* It has no job to run any more. */
void fol_budget_slept(fol_dispatcher *dispatcher, fol_runnable *runnable);
/* Whether one that is first in line may run on the CPU; if not it has left. */
bool fol_budget_allows(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                       int64_t now);
/* It runs from now on. */
void fol_budget_begin(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
/* It does not run any more; those that it held up are ready again. */
void fol_budget_end(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
void fol_budget_release_held(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
/* Time until the budget of what runs is used up, or its server's deadline moves. */
int64_t fol_budget_left(const fol_dispatcher *dispatcher, const fol_runnable *runnable,
                        int64_t now);

typedef enum fol_spent {
    FOL_SPENT_NOT = 0,
    FOL_SPENT_MOVED, /* it may go on, and its place in line changed */
    FOL_SPENT_ALL,
} fol_spent;

fol_spent fol_budget_charge(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t used,
                            int64_t now);
/* What used its budget up: it is demoted, or waits, or its job is over. */
typedef enum fol_outcome {
    FOL_OUTCOME_GOES_ON = 0, /* with another standing */
    FOL_OUTCOME_WAITS,
    FOL_OUTCOME_DROPPED,
    FOL_OUTCOME_KILLED,
} fol_outcome;
fol_outcome fol_budget_overrun(fol_dispatcher *dispatcher, fol_runnable *runnable, uint32_t cpu,
                               int64_t now);
/* One that left its CPU waits for the refill. */
void fol_budget_wait(fol_dispatcher *dispatcher, fol_runnable *runnable);
/* One that left its CPU is dead, and so is whoever else uses its context, which is closed. */
void fol_budget_kill(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
/* It leaves everything that holds it, its context too, and is dead, or will be at its next point
 * if it runs. */
void fol_budget_detach(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
/* One that runs demoted or on slack has budget again. */
bool fol_budget_is_back(fol_dispatcher *dispatcher, const fol_runnable *runnable, int64_t now);
void fol_budget_promote(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
int64_t fol_budget_deadline(const fol_dispatcher *dispatcher, const fol_runnable *runnable);

/* dispatcher.c */

/* It is ready from now on. */
void fol_dispatcher_arrive(fol_dispatcher *dispatcher, fol_runnable *runnable, int64_t now);
#endif
