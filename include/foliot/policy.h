/* Policies: which there are, what one is told, the slots that anybody may fill, and the records
 * that decisions leave.
 *
 * A policy decides and never acts: it has no thread, no clock and no memory of its own besides what
 * `state` points at; time is an argument. Live, time is nanoseconds of the scheduler's clock; in a
 * simulation it is whatever unit the task set is in. The same slots serve both.
 *
 * A slot that is NULL is built in. A slot answers with FOL_POLICY_ANSWERED and its output, with
 * FOL_POLICY_DEFAULT (the built-in policy decides this time), or with a negative status, which is a
 * fault: the built-in policy decides, the fault is recorded, and after so many faults as the
 * dispatcher was given the policy is switched off. An answer that cannot be (a place that is not
 * there, a slice below 1) is a fault likewise, and so is one that took too long.
 */
#ifndef FOLIOT_POLICY_H
#define FOLIOT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FOL_TIME_NEVER  INT64_MAX
#define FOL_NO_RUNNABLE UINT32_MAX
#define FOL_NO_CPU      UINT32_MAX

/* Ties go to the lower id everywhere. */
typedef enum fol_policy_kind {
    FOL_POLICY_FIFO = 0,  /* in the order of releases */
    FOL_POLICY_FP = 1,    /* fixed priority, the lowest number first */
    FOL_POLICY_RM = 2,    /* the shortest period first; what has none comes last */
    FOL_POLICY_EDF = 3,   /* the earliest absolute deadline first; what has none comes last */
    FOL_POLICY_EEVDF = 4, /* shares by weight */
    FOL_POLICY_CBS = 5, /* what has a context, by the context's deadline; then all else as EEVDF */
    FOL_POLICY_KINDS = 6,
} fol_policy_kind;

/* "fifo", "fp", "rm", "edf", "eevdf", "cbs", NULL. */
extern const char *const fol_policy_names[];

/* What a policy is told of a runnable and of its job. */
typedef struct fol_runnable_view {
    uint32_t id;
    uint32_t group; /* 0: none but the root */
    uint32_t weight;
    uint32_t latency;  /* latency class: 0 interactive, 1 normal, 2 batch */
    int32_t priority;  /* lower runs sooner under fp */
    uint32_t last_cpu; /* FOL_NO_CPU: never ran */
    uint64_t job;      /* number of the job, from 0 */
    uint64_t context;  /* handle; 0: none */
    int64_t period;    /* 0: none */
    int64_t release;   /* of the job */
    int64_t deadline;  /* absolute; FOL_TIME_NEVER: none */
    int64_t expected;  /* cost of the job as far as known; 0: unknown */
    int64_t ran;       /* of the job so far */
    int64_t since;     /* ready since */
} fol_runnable_view;

/* The runnables that may be picked, in the order in which they became ready. Good during the call.
 */
typedef struct fol_ready {
    const uint32_t *ids;
    uint32_t count;  /* at least 1 */
    uint32_t stride; /* bytes from one view to the next */
    const fol_runnable_view *views;
} fol_ready;

static inline const fol_runnable_view *fol_ready_at(const fol_ready *ready, uint32_t place)
{
    const char *base = (const char *)ready->views;
    return (const fol_runnable_view *)(const void *)(base +
                                                     (size_t)ready->ids[place] * ready->stride);
}

/* What the adaptive backend knows when it chooses; means over its window. */
typedef struct fol_policy_load {
    double frame_ns;
    double busy_ns;     /* of all systems */
    double parallelism; /* busy over frame, or the plan's bound while nothing else is known */
    double operations;  /* I/O submitted a frame */
    double in_flight;
    uint32_t current; /* place of the backend in use in fol_backend_names */
} fol_policy_load;

typedef enum fol_policy_answer {
    FOL_POLICY_ANSWERED = 0,
    FOL_POLICY_DEFAULT = 1,
} fol_policy_answer;

typedef enum fol_policy_slot {
    FOL_SLOT_ENQUEUE = 0,
    FOL_SLOT_PICK,
    FOL_SLOT_SLICE,
    FOL_SLOT_ADMIT,
    FOL_SLOT_VICTIMS,
    FOL_SLOT_SPIN_LIMIT,
    FOL_SLOT_CHUNK_ROWS,
    FOL_SLOT_BACKEND,
    FOL_SLOT_COUNT,
} fol_policy_slot;

/* "enqueue", "pick", … */
extern const char *const fol_slot_names[];

typedef struct fol_policy_slots {
    void *state;
    /* The runnable became ready: its rank; the least rank runs first. When this slot answers the
     * built-in order is left out of account for that runnable, which runs before all that have no
     * rank. */
    int (*enqueue)(void *state, const fol_runnable_view *runnable, int64_t now, int64_t *rank);
    /* Who runs next on the CPU: a place in ready. Asked whenever a CPU is free, a slice ends, or,
     * with the running one among the ready, somebody arrives. */
    int (*pick)(void *state, const fol_ready *ready, uint32_t cpu, int64_t now, uint32_t *place);
    /* How long it runs at most before the policy is asked again; at least 1. */
    int (*slice)(void *state, const fol_runnable_view *runnable, int64_t now, int64_t *slice);
    /* Whether the job that was released is taken; if not it is skipped, and recorded. */
    int (*admit)(void *state, const fol_runnable_view *runnable, int64_t now, bool *is_taken);
    /* In which order an idle worker looks at the others: up to workers - 1 different numbers, never
     * its own; those left out are looked at after. */
    int (*victims)(void *state, uint32_t worker, uint32_t workers, uint32_t *order,
                   uint32_t *count);
    /* Rounds of looking in vain before a worker parks; at most FOL_MAX_SPIN_LIMIT. */
    int (*spin_limit)(void *state, uint32_t worker, uint32_t *limit);
    /* Rows of one piece of a native system that has so many; at least 1. */
    int (*chunk_rows)(void *state, uint32_t system, uint64_t rows, uint64_t *chunk);
    /* Of the adaptive backend: a place in fol_backend_names. */
    int (*backend)(void *state, const fol_policy_load *load, uint32_t *choice);
} fol_policy_slots;

#define FOL_MAX_SPIN_LIMIT 1000000u

/* What was decided. `numbers` as said for each. */
typedef enum fol_decision_kind {
    FOL_DECISION_PICK = 0, /* runs on cpu; other: who ran there before; slice, ready count, 0 */
    FOL_DECISION_PREEMPT,  /* gave way to other, detail why (fol_preempt_reason); ran of the job,
                            * what decided of it, and of the other */
    FOL_DECISION_MIGRATE,  /* to cpu; other: the CPU from which */
    FOL_DECISION_DENY,     /* its job was not taken; release, deadline, 0 */
    FOL_DECISION_DELAY,    /* it left while not eligible and stays counted; lag, 0, 0 */
    FOL_DECISION_THROTTLE, /* budget used up; used, budget, time of the refill */
    FOL_DECISION_REFILL,   /* may run again; budget left, 0, 0 */
    FOL_DECISION_SKIP,     /* job dropped for its overrun; used, budget, next release or 0 */
    FOL_DECISION_KILL,     /* job ended and context released; used, budget, 0 */
    FOL_DECISION_DEMOTE,   /* goes on in the fair class; used, budget, time of the refill */
    FOL_DECISION_PROMOTE,  /* back from there; budget left, 0, 0 */
    FOL_DECISION_NOTIFY, /* notice left, goes on when nobody else wants to; used, budget, refill */
    FOL_DECISION_MISS,   /* deadline missed; deadline, finish, how late */
    FOL_DECISION_REVOKE, /* its context is gone */
    FOL_DECISION_SWITCH, /* the backend changed; from, to, 0 */
    FOL_DECISION_FAULT,  /* a slot failed; other: fol_policy_slot; status, faults so far, 0 */
    FOL_DECISION_POLICY_OFF, /* switched off; other: slot of the last fault; faults, 0, 0 */
    FOL_DECISION_KINDS,
} fol_decision_kind;

/* "pick", "preempt", … */
extern const char *const fol_decision_names[];

/* Why one gave way, and what two numbers tell of it and of the other. */
typedef enum fol_preempt_reason {
    FOL_PREEMPT_ORDER = 0, /* the policy's order: ranks */
    FOL_PREEMPT_RANK,      /* what the enqueue slot said: ranks */
    FOL_PREEMPT_CHOICE,    /* the pick slot's choice: 0, 0 */
    FOL_PREEMPT_CLASS,     /* the other's class goes first: classes, 0 ranked by the enqueue slot,
                            * 1 in the policy's order, 2 fair, 3 on slack */
    FOL_PREEMPT_LAG,       /* fair: it had more than its share: lags, in virtual time, rounded
                            * away from zero */
    FOL_PREEMPT_DEADLINE,  /* fair: virtual deadlines, from the queue's virtual time on */
    FOL_PREEMPT_SLACK,     /* both on slack, the earlier release: releases */
    FOL_PREEMPT_HOLDER,    /* it has budget again, on which the other draws now: 0, 0 */
    FOL_PREEMPT_REASONS,
} fol_preempt_reason;

typedef struct fol_decision {
    int64_t now;
    uint16_t kind;     /* fol_decision_kind */
    uint8_t policy;    /* fol_policy_kind that was in force */
    uint8_t detail;    /* of a preempt: why; of what a budget caused: fol_context_kind; else 0 */
    uint32_t runnable; /* FOL_NO_RUNNABLE: of nobody in particular */
    uint32_t cpu;      /* FOL_NO_CPU: of none */
    uint32_t other;
    uint64_t job;
    int64_t numbers[3];
} fol_decision;

/* How a decision is told: names of runnables, what a CPU and a unit of time is called, and since
 * when time is told. */
typedef struct fol_decision_words {
    void *state;
    const char *(*name)(void *state, uint32_t runnable);
    const char *cpu; /* NULL: "CPU" */
    int64_t origin;  /* what is taken from points in time before they are told */
    bool is_ns;      /* times are told as ns, us, ms or s; else as plain numbers */
} fol_decision_words;

/* A sentence: the event, the rule, the numbers. Like snprintf. */
size_t fol_decision_explain(const fol_decision *decision, const fol_decision_words *words,
                            char *out, size_t room);

/* One ledger: of each runnable, group and CPU the same entries. Time stops while it is neither
 * running nor ready. */
typedef struct fol_account {
    int64_t runtime;         /* on a CPU */
    int64_t waited;          /* ready, and somebody else ran */
    int64_t virtual_runtime; /* runtime times 1024 over the weight, rounded down at each charge */
    uint64_t jobs;           /* that ended */
    uint64_t switches;       /* times it was put on a CPU on which it was not */
    uint64_t preemptions;    /* times it was taken off one against its will */
    uint64_t blocks;         /* times it left one to wait */
    uint64_t migrations;
    uint64_t steals;
    uint64_t throttles;
    uint64_t overruns;         /* budgets used up with the job not done, throttles included */
    uint64_t skipped;          /* jobs denied or dropped */
    uint64_t misses;           /* deadlines */
    uint64_t longest_response; /* from release to end */
} fol_account;

/* Where the choices of a dispatcher went. Always counted. A candidate is a runnable that was asked
 * whether it runs now: the first in line, and those after it while it may not. So
 * candidates = taken + forbidden + held + depleted + outranked. */
typedef struct fol_choice_counts {
    uint64_t picks;       /* an idle CPU asked for somebody to run */
    uint64_t idle_picks;  /* of them, there was nobody */
    uint64_t comparisons; /* what runs was compared with who is ready */
    uint64_t candidates;
    uint64_t taken;     /* it may run: it begins, or takes the place of what runs */
    uint64_t forbidden; /* its context does not allow this CPU */
    uint64_t held;      /* a sibling draws on its context */
    uint64_t depleted;  /* its budget is used up, and the refill not due */
    uint64_t outranked; /* what runs stays before it */
    uint64_t asked;     /* the pick slot was */
    uint64_t answered;  /* and its answer taken */
    uint64_t defaulted; /* the built-in policy chose instead; faults included */
} fol_choice_counts;

#ifdef __cplusplus
}
#endif

#endif
