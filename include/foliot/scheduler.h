/* The scheduler: runs a plan's systems over a world, frame after frame.
 *
 * A frame runs the phases in order, each as often as its rate says. Within a phase systems run in
 * an order the plan allows, and recorded commands are merged at the plan's sync points and at the
 * phase's end. The world after a frame is the same on every backend.
 *
 * The host language is known only through three hooks: systems that need it run attached, all
 * others detached. `fol_scheduler_tick` is called attached and returns attached.
 *
 * Rows of a native system may be cut into pieces for several workers. When a kernel fails, the
 * system failed with what the kernel returned for the first of its runs, in the order of rows, that
 * did not return 0; all rows before that run were given to the kernel, rows behind it may have
 * been, and whatever any of those calls recorded is forgotten. So a system that failed may have
 * changed any of its rows, and rows that an interrupt kept it from finishing likewise.
 *
 * Hooks of the host may be called on any worker. A worker is detached while it looks for work,
 * parks or runs what does not need the host.
 *
 * One thread at a time drives a scheduler: others get FOL_E_BUSY. While a frame runs the scheduler
 * holds the world. The world must outlive the scheduler.
 */
#ifndef FOLIOT_SCHEDULER_H
#define FOLIOT_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "foliot/budget.h"
#include "foliot/clock.h"
#include "foliot/policy.h"
#include "foliot/schedule.h"
#include "foliot/system.h"
#include "foliot/trace.h"
#include "foliot/world.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fol_scheduler fol_scheduler;

/* What fol_host.watch says when `pending` never has anything to tell this thread. */
#define FOL_HOST_IS_SILENT (-1)

/* The host language. All may be NULL together: plain C. */
typedef struct fol_host {
    void *state;
    void (*attach)(void *state); /* this thread takes the host's lock */
    void (*detach)(void *state); /* and gives it back */
    /* Called attached every few milliseconds; nonzero asks the frame to stop. The host remembers
     * why. */
    int (*pending)(void *state);
    /* Both may be NULL: then a wait ends every 80 ms for a look at `pending`. Called attached,
     * before a wait for which there is no end in sight: a descriptor that is readable from then on,
     * until unwatch, once `pending` may have something new to tell. It has called `pending` itself
     * after that began, so nothing is missed; FOL_E_INTERRUPTED is its nonzero answer.
     * FOL_HOST_IS_SILENT: there is nothing to look for. Any other negative errno: it cannot, so
     * look now and then. The number of the descriptor stays that file's as long as the process
     * lives. */
    int (*watch)(void *state);
    /* Called attached, after each watch that gave a descriptor. */
    void (*unwatch)(void *state);
} fol_host;

/* What a running system sees. Good until the system returns. */
typedef struct fol_task {
    fol_world *world;          /* structural functions only for exclusive systems */
    fol_query *const *queries; /* as declared; the first is the default one */
    uint32_t query_count;
    uint32_t system; /* index in the plan */
    uint32_t worker;
    fol_commands *commands; /* NULL unless the system records commands */
    fol_io_queue *io;       /* NULL unless the system does I/O; for fol_io_queue_submit */
    double dt;              /* seconds */
    double time;            /* seconds of all frames before this one */
    uint64_t frame;
    uint64_t since;        /* tick of the last run that did not fail, for fol_query_begin */
    uint64_t tick;         /* tick of this run, for fol_query_mark */
    uint64_t rows;         /* a hosted system adds the rows it was given */
    bool is_beside_others; /* other workers may be inside of systems meanwhile */
} fol_task;

/* A hosted system returns 0, FOL_E_HOST when the host raised (and remembers the error itself),
 * FOL_E_INTERRUPTED when the host's own interrupt ended it, or another negative status. */
typedef int (*fol_hosted_function)(void *user, fol_task *task);

/* Whether the system runs this time: 1 or 0, or a negative status as above. */
typedef int (*fol_condition_function)(void *user, fol_task *task);

typedef enum fol_system_kind {
    FOL_SYSTEM_COLUMNS = 0, /* fol_columns_kernel, once a run of the default query */
    FOL_SYSTEM_CHUNK = 1,   /* fol_chunk_kernel, once a run of the default query */
    FOL_SYSTEM_HOSTED = 2,  /* fol_hosted_function, once a frame */
} fol_system_kind;

typedef struct fol_system_query {
    const fol_term *terms;
    size_t count;
} fol_system_query;

/* What a system's time is charged to: a context with a budget, or a group with a share. Systems
 * whose key is the same have the same one, which goes on from one plan to the next. */
typedef struct fol_system_budget {
    uint64_t key; /* not 0 */
    bool is_group;
    fol_context_options context; /* of a context; times in nanoseconds of the scheduler's clock */
    uint32_t weight;             /* of a group; 1024 is one system outside of all groups */
    uint32_t latency;            /* class, of a group */
} fol_system_budget;

/* Belongs to the plan's system of the same index. Everything but functions and user pointers is
 * copied. */
typedef struct fol_system {
    fol_system_kind kind;
    fol_columns_kernel columns_kernel;
    fol_chunk_kernel chunk_kernel;
    fol_hosted_function hosted;
    void *user;
    fol_condition_function condition; /* NULL: always */
    void *condition_user;
    const fol_system_query *queries; /* at least the default one, for every kind */
    size_t query_count;
    bool needs_host;           /* the function runs attached */
    bool condition_needs_host; /* the condition does */
    bool in_lane; /* what runs attached holds the host's lock all the time: such systems take turns
                   */
    uint32_t max_rows;     /* longest run a kernel gets; 0: chosen by the scheduler */
    int64_t carries_state; /* index before a replan whose state this one continues, or -1 */
    const fol_system_budget *budget; /* NULL: none */
} fol_system;

typedef enum fol_rate_kind {
    FOL_RATE_FRAMES = 0, /* every `every`-th frame, starting with the first */
    /* As many steps of step_seconds as the time that passed holds; one that lacks less than a
     * billionth of itself is due, so ten frames of 0.01 s hold a step of 0.1 s. */
    FOL_RATE_FIXED = 1,
} fol_rate_kind;

typedef struct fol_phase_rate {
    fol_rate_kind kind;
    uint32_t every;
    double step_seconds;
    uint32_t max_steps; /* a frame; what is beyond is dropped and counted */
} fol_phase_rate;

typedef enum fol_error_policy {
    FOL_ERRORS_RAISE = 0,      /* tick returns FOL_E_FRAME after the frame's other systems ran */
    FOL_ERRORS_CONTINUE = 1,   /* recorded in the frame only */
    FOL_ERRORS_QUARANTINE = 2, /* and a system that failed quarantine_after times is switched off */
} fol_error_policy;

/* How the adaptive backend chooses. Others refuse nothing of it. */
typedef struct fol_adaptive_config {
    uint32_t window;   /* frames of the rolling means, 4 .. 4096; 0: the default of all four */
    uint32_t cooldown; /* frames after a switch before the next one */
    double least_gain; /* a switch must save this part of the frame, as expected; below 1 */
    double least_operations; /* I/O of a frame that is worth the ring */
} fol_adaptive_config;

/* Who runs when. Without a choice nothing is decided beyond the order of the plan, unless a system
 * has a budget: then it is FOL_POLICY_CBS. With one, or with budgets, the program is governed: see
 * docs/architecture.md. */
typedef struct fol_policy_choice {
    bool is_chosen;
    fol_policy_kind kind;
    const fol_policy_slots *slots; /* copied; NULL: all built in */
    uint32_t max_faults;           /* of the slots, then they are switched off; 0: 8 */
    /* For how long slots take; NULL: they may take as long as they like. Any thread. */
    int64_t (*stopwatch)(void *state);
    void *stopwatch_state;
    int64_t slot_limit;
    uint32_t decisions; /* records kept; a power of 2; 0: 4,096 */
} fol_policy_choice;

typedef struct fol_scheduler_config {
    const char *backend; /* a name of fol_backend_names */
    uint32_t workers;    /* 0: as many as there are processors for this process */
    uint64_t seed;
    double max_dt; /* seconds */
    fol_error_policy errors;
    uint32_t quarantine_after;
    /* What one run of a system may record, as fol_commands_config. Hosted systems are told at once.
     * Of native ones, and of hosted ones that need the host for their condition alone, the merge
     * refuses what is beyond, since several workers may record parts of a run. */
    uint32_t max_commands;
    size_t command_bytes;
    /* A native system over rows is cut into pieces that take about so long. */
    double target_task_seconds;
    uint32_t steal_batch;   /* jobs a worker takes from another at most at once; 0: chosen */
    bool require_workers;   /* fail with what the system said rather than run with fewer threads */
    uint32_t trace_records; /* kept of each worker; 0: no trace */
    fol_io_choice io;
    uint32_t max_io;         /* operations one worker has queued or in flight */
    uint32_t min_io_threads; /* of the blocking pool, kept when idle */
    uint32_t max_io_threads; /* at least 1 */
    bool use_sqpoll;         /* a kernel thread looks at the ring's queue: burns a processor */
    fol_adaptive_config adaptive;
    fol_policy_choice policy;
    fol_host host;
    fol_clock clock;
} fol_scheduler_config;

/* stealing, max_dt 1000 s, raise, 65,536 commands, 256 MiB of command address space, pieces of 50
 * microseconds, no trace, 65,536 operations, 0 to 16 I/O threads, monotonic. */
extern const fol_scheduler_config fol_scheduler_config_default;

/* The known backends, NULL at the end. */
extern const char *const fol_backend_names[];

typedef struct fol_backend_info {
    const char *requested;
    const char *actual;
    const char *reason; /* why they differ; "" when they do not */
    uint32_t workers;
} fol_backend_info;

/* systems has one element for each system of the plan, rates one for each phase (NULL: every
 * frame). FOL_E_VALUE for an unknown backend; with require_workers, what the system said when it
 * refused a thread; -ERANGE for a budget that is smaller than two dispatches, -ENODEV for one that
 * no worker may use; -ENOSPC (replan) for far more systems or budgets than there were. The plan
 * must outlive its use. Creating and destroying change the world's lists: the caller holds the
 * world, or nobody else uses it. */
int fol_scheduler_create(fol_world *world, const fol_plan *plan, const fol_system *systems,
                         const fol_phase_rate *rates, const fol_scheduler_config *config,
                         fol_scheduler **out);
/* Commands that wait are dropped, and I/O in flight is ended: its receivers are told. Called
 * attached. In a forked child, a scheduler that was running a frame is left
 * alone, memory and all. */
void fol_scheduler_destroy(fol_scheduler *scheduler);

/* Replaces the plan between frames. Systems that carry state keep when they last ran, their mean
 * cost, failures, and whether they are enabled; a phase of the same name keeps the time its fixed
 * rate owes. On failure the old plan stays. FOL_E_BUSY during a frame and while the world is held.
 */
int fol_scheduler_replan(fol_scheduler *scheduler, const fol_plan *plan, const fol_system *systems,
                         const fol_phase_rate *rates);

fol_backend_info fol_scheduler_backend(const fol_scheduler *scheduler);

typedef enum fol_run_state {
    FOL_RUN_NOT_DUE = 0, /* its phase did not run */
    FOL_RUN_DONE = 1,
    FOL_RUN_SKIPPED = 2, /* its condition said no */
    FOL_RUN_DISABLED = 3,
    FOL_RUN_QUARANTINED = 4,
    FOL_RUN_FAILED = 5,
    FOL_RUN_INTERRUPTED = 6, /* the frame stopped before it or in it */
    FOL_RUN_DENIED = 7,      /* the policy did not admit it */
    FOL_RUN_OVERRUN = 8,     /* its budget was used up before its end, and it is to be skipped */
    FOL_RUN_KILLED = 9,      /* the same, and it is to be ended for good */
} fol_run_state;

typedef struct fol_system_timing {
    uint64_t wall_ns; /* of all its runs in the frame; of pieces, the sum */
    uint64_t rows;
    uint32_t tasks;  /* calls of its function or kernel */
    uint32_t worker; /* that began it */
    fol_run_state state;
    uint32_t misses;   /* deadlines missed in the frame */
    uint32_t overruns; /* times it used up its budget in the frame, its work not done */
} fol_system_timing;

typedef struct fol_frame_error {
    uint32_t system; /* UINT32_MAX: no single system (a merge ran out of memory), or one of a plan
                      * replaced while its commands waited or its I/O was in flight */
    int status;      /* FOL_E_KERNEL: code says what the kernel returned. Of an operation that
                      * failed: its value; of a system the first one that a cut delivers */
    int code;
    bool is_merge; /* it happened in a merge: a command of the system failed or was refused */
    const char *full_setting; /* of a FOL_E_CAPACITY of a merge: what was full, such as */
    uint64_t full_limit;      /* "max_tables", and what that setting is; else NULL and 0 */
    uint32_t sequence;        /* among the frame's errors, as they happened */
} fol_frame_error;

/* What one frame did. Pointers are good until the next tick, replan or destroy. */
typedef struct fol_frame {
    uint64_t frame;
    double dt;
    double time;
    uint64_t wall_ns;
    uint64_t cpu_ns; /* of the calling thread, and of the other workers while they ran its nodes */
    const fol_system_timing *systems;
    uint32_t system_count;
    const uint64_t *phase_ns; /* merges included */
    const uint32_t *phase_steps;
    uint32_t phase_count;
    uint64_t merge_ns;
    uint64_t io_ns;         /* the caller sent I/O and waited for it */
    uint64_t io_operations; /* sent */
    uint64_t dropped_steps; /* of fixed-rate phases */
    fol_merge_report merged;
    const fol_frame_error *errors; /* in order of (system, sequence) */
    uint32_t error_count;
    const uint32_t *quarantined; /* systems switched off by this frame */
    uint32_t quarantined_count;
    bool was_interrupted;
} fol_frame;

/* Runs one frame. FOL_E_VALUE unless dt is finite, >= 0 and <= max_dt; FOL_E_BUSY; FOL_E_FORKED;
 * -EBUSY: operations are in flight on a ring that only the thread that drove the scheduler before,
 * and still lives, can drive; nothing ran then. FOL_E_FRAME (policy raise), FOL_E_INTERRUPTED and
 * -ENOMEM (an error could not be recorded) come after the frame: commands of systems that had ended
 * are merged, the frame is counted. */
int fol_scheduler_tick(fol_scheduler *scheduler, double dt);
/* Up to `count` frames; stops at the first that does not return 0. *done says how many were run,
 * the last one included. Only the last frame's result is kept: who must see every error of another
 * policy than raise runs frames one by one. */
int fol_scheduler_tick_many(fol_scheduler *scheduler, uint64_t count, double dt, uint64_t *done);
const fol_frame *fol_scheduler_frame(const fol_scheduler *scheduler);
/* The number of the next frame. */
uint64_t fol_scheduler_frame_number(const fol_scheduler *scheduler);

/* Queues an intent of the system that runs; see fol_io_api. */
int fol_io_queue_submit(fol_io_queue *queue, const fol_io_intent *intent, fol_io_handle *out);

/* Between frames: waits until an operation that a later frame delivers has come, or timeout_ns
 * (UINT64_MAX: no limit) passed. FOL_OK: one has; -ETIME; -ENOENT: there is none to wait for;
 * FOL_E_INTERRUPTED; FOL_E_BUSY, -EBUSY, FOL_E_FORKED as for a tick. Called attached, waits
 * detached. */
int fol_scheduler_wait(fol_scheduler *scheduler, uint64_t timeout_ns);
/* Between frames: goes on with the I/O in flight until until_ns of the scheduler's clock, whatever
 * comes meanwhile; once, without waiting, when that has passed. FOL_OK; else as above, and -ENOENT
 * when nothing is in flight any more and until_ns is UINT64_MAX or of a clock that is not the
 * machine's, which waits as it does. */
int fol_scheduler_rest(fol_scheduler *scheduler, uint64_t until_ns);

/* What does the I/O. */
typedef struct fol_io_info {
    const char *engine; /* "uring" or "pool"; "" while no plan had a system with I/O */
    const char *reason; /* why not the ring, when it was wished for; else "" */
} fol_io_info;
fol_io_info fol_scheduler_io(const fol_scheduler *scheduler);

/* Enabling ends a quarantine and forgets failures. FOL_E_BUSY during a frame. */
int fol_scheduler_enable(fol_scheduler *scheduler, uint32_t system, bool enabled);
bool fol_scheduler_is_enabled(const fol_scheduler *scheduler, uint32_t system);
/* Running mean of measured costs, seconds a run; 0 for a system that never ran. */
void fol_scheduler_costs(const fol_scheduler *scheduler, double *out);
/* The command buffer of a worker, with what waits for a merge; NULL when there is no such worker.
 */
fol_commands *fol_scheduler_commands(const fol_scheduler *scheduler, uint32_t worker);

typedef struct fol_scheduler_stats {
    uint64_t frames;
    uint64_t tasks;
    uint64_t systems_run;
    uint64_t systems_skipped;
    uint64_t systems_failed;
    uint64_t commands_applied;
    uint64_t commands_dropped;
    uint64_t merges;
    uint64_t wall_ns;
    uint64_t host_switches;   /* attaches of running frames */
    uint64_t parallel_phases; /* runs of a phase on several workers */
    uint64_t serial_phases;   /* and on the caller alone */
    uint64_t steals;          /* jobs taken from another worker */
    uint64_t wakes_sent;
    uint64_t wakes_saved; /* not sent because a worker was looking for work already */
    uint64_t io_submitted;
    uint64_t io_completed; /* failed and cancelled ones too */
    uint64_t io_failed;
    uint64_t io_system_calls; /* of the driving thread, for I/O */
    uint64_t io_in_flight;
    uint64_t switches; /* of the adaptive backend */
    uint64_t misses;   /* deadlines */
    uint64_t overruns; /* budgets used up with the work not done */
    uint64_t decisions;
    uint64_t policy_faults; /* of slots */
} fol_scheduler_stats;

/* Any thread, also while a frame runs: each number is whole, together they may be an instant apart.
 */
void fol_scheduler_read_stats(const fol_scheduler *scheduler, fol_scheduler_stats *out);

/* What one worker did since the scheduler began. Always on. */
typedef struct fol_worker_stats {
    uint64_t tasks;          /* kernels and functions called: systems, and pieces of systems */
    uint64_t systems;        /* begun here */
    uint64_t stolen;         /* jobs taken from other workers */
    uint64_t steal_attempts; /* victims looked at */
    uint64_t steal_misses;   /* of them, had nothing */
    uint64_t contended;      /* of them, lost to another thief or to the owner */
    uint64_t batches;        /* steals that brought more than one job */
    uint64_t largest_batch;
    uint64_t spins; /* rounds of looking in vain */
    uint64_t yields;
    uint64_t parks;
    uint64_t wakes_sent;
    uint64_t wakes_saved;
    uint64_t commands; /* recorded, and not rolled back */
    uint64_t busy_ns;
    uint64_t idle_ns;       /* looking for work, or parked, also between frames */
    uint64_t host_switches; /* attaches */
    uint64_t host_wait_ns;  /* waiting for the host's lock; measured with a trace only, else 0 */
    uint64_t queue_depth;   /* jobs waiting in its queue at this moment */
} fol_worker_stats;

/* As above. FOL_E_VALUE when there is no such worker. */
int fol_scheduler_read_worker(const fol_scheduler *scheduler, uint32_t worker,
                              fol_worker_stats *out);

/* Where the last run of a phase went, and why, as a sentence with its numbers. Like snprintf. Not
 * during a frame. */
size_t fol_scheduler_explain_phase(const fol_scheduler *scheduler, uint32_t phase, char *out,
                                   size_t room);

/* Which backend runs the frames now, and why, with the numbers of the last decision. Like snprintf.
 * Not during a frame. */
size_t fol_scheduler_explain_backend(const fol_scheduler *scheduler, char *out, size_t room);

/* Budgets and the policy, of a governed program; others have no runnables, groups or decisions. The
 * functions may be called by any thread that does not hold the host's lock, also while a frame
 * runs, but not by a slot of the policy: FOL_E_BUSY. */

/* Takes a context away from its systems for good: they fail with FOL_E_STALE, and one that runs is
 * stopped at its next piece. FOL_E_MISSING: no plan of this scheduler had it; FOL_E_STALE: it is
 * gone already. */
int fol_scheduler_revoke(fol_scheduler *scheduler, uint64_t key);
/* How often that was done, for those who look often: without a lock, and by any thread. */
uint64_t fol_scheduler_revocations(const fol_scheduler *scheduler);
/* Whether the context of a system that runs now is gone; what asks is that run. */
bool fol_scheduler_is_revoked(fol_scheduler *scheduler, uint32_t system);

typedef enum fol_account_kind {
    FOL_ACCOUNT_SYSTEM = 0, /* id: index in the plan */
    FOL_ACCOUNT_GROUP = 1,  /* id: key */
    FOL_ACCOUNT_WORKER = 2, /* id: number */
} fol_account_kind;

/* Times in nanoseconds. FOL_E_MISSING when there is no such thing, or the program is not governed.
 */
int fol_scheduler_read_account(fol_scheduler *scheduler, fol_account_kind kind, uint64_t id,
                               fol_account *out);
/* FOL_E_MISSING, FOL_E_STALE. */
int fol_scheduler_read_context(fol_scheduler *scheduler, uint64_t key, fol_context_stats *out);
/* What happened to a context whose overrun policy is to notify since this was called last. False:
 * nothing. */
bool fol_scheduler_take_notice(fol_scheduler *scheduler, uint64_t key, fol_notice *out);

/* What governed runs cost beside the work, since the scheduler became governed. Always counted,
 * under the lock that it takes anyway; time is only measured by who has to wait. Whoever asks takes
 * that lock too. */
typedef struct fol_attribution {
    fol_choice_counts choices;
    uint64_t turn_waits;   /* granted, and put off: another one holds the host's lock */
    uint64_t locks;        /* the lock was taken */
    uint64_t lock_waits;   /* of them, somebody else had it */
    uint64_t lock_wait_ns; /* and time until it was free, by the machine's clock */
    uint64_t wakes_sent;   /* sleepers were woken, one or all */
    uint64_t wakes_saved;  /* there was nobody to wake or call, or nothing ready for them */
    uint64_t helper_calls; /* another worker was called for what was ready */
    uint64_t sleeps;       /* a worker found nothing to do and slept */
} fol_attribution;

/* FOL_E_MISSING: the program is not governed; FOL_E_BUSY. */
int fol_scheduler_read_attribution(fol_scheduler *scheduler, fol_attribution *out);

/* Decisions are numbered from 0; those before *first are overwritten. Copies up to `room` from
 * number *first (or the oldest that is kept, which *first then gets); returns how many. Runnables
 * are given as indices of systems in the plan. */
size_t fol_scheduler_read_decisions(fol_scheduler *scheduler, uint64_t *first, fol_decision *out,
                                    size_t room);
/* The system of a runnable, for names in slots, which know runnables: only there. UINT32_MAX: none.
 */
uint32_t fol_scheduler_runnable_system(const fol_scheduler *scheduler, uint32_t runnable);
/* Why a system, or what its time is charged to (NULL: all), was last throttled, skipped and so on,
 * as a sentence with its numbers. Like snprintf. */
size_t fol_scheduler_explain_system(fol_scheduler *scheduler, uint32_t system, char *out,
                                    size_t room);
size_t fol_scheduler_explain_budget(fol_scheduler *scheduler, uint64_t key, char *out, size_t room);

/* The trace, when there is one. Any thread, also while a frame runs. Copies up to `room` of the
 * newest records of a worker, oldest first; *lost gets how many older ones there were. */
size_t fol_scheduler_read_trace(const fol_scheduler *scheduler, uint32_t worker,
                                fol_trace_record *out, size_t room, uint64_t *lost);
void fol_scheduler_clear_trace(fol_scheduler *scheduler);
/* To make nanoseconds of the monotonic clock of a record's cycles: origin_ns + (cycles -
 * origin_cycles) * ns_per_cycle. Measured over the scheduler's life. */
typedef struct fol_trace_scale {
    uint64_t origin_cycles;
    uint64_t origin_ns;
    double ns_per_cycle;
} fol_trace_scale;
void fol_scheduler_trace_scale(const fol_scheduler *scheduler, fol_trace_scale *out);

/* Fixed-rate pacing: deadlines on a grid of `period_ns` from the start. Pure arithmetic. */
typedef struct fol_pacer {
    uint64_t period_ns;
    uint64_t next_ns;      /* deadline of the next frame */
    uint32_t max_catch_up; /* late frames run back to back at most; older ones are dropped */
    uint64_t late_frames;
    uint64_t dropped_frames;
    uint64_t max_lateness_ns;
    uint64_t total_lateness_ns;
} fol_pacer;

/* period_ns 0: as fast as possible. */
void fol_pacer_init(fol_pacer *pacer, uint64_t period_ns, uint32_t max_catch_up, uint64_t now_ns);
/* Nanoseconds to wait before the next frame, 0 when it is due. */
uint64_t fol_pacer_wait_ns(const fol_pacer *pacer, uint64_t now_ns);
/* Takes the due frame: records its lateness, drops what cannot be caught up, moves the deadline. */
void fol_pacer_begin_frame(fol_pacer *pacer, uint64_t now_ns);

#ifdef __cplusplus
}
#endif

#endif
