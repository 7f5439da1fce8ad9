/* A team: the places at which the threads that work for one user (a scheduler) stand.
 *
 * Place 0 belongs to the caller, the thread that drives; places 1 .. workers - 1 are taken and left
 * by threads of the pool. Each place is a worker with a deque of its own; beside them stand an
 * injector for work from any thread, and a source, which is whatever work its user keeps in another
 * form (the Python lane).
 *
 * A worker looks for work in this order: the job it kept, (place 0: the source), its own deque, the
 * injector, victims by distance from a random start, (others: the source). In FOL_FAIR_INTERVAL
 * jobs it looks once at the injector first, and once at the oldest of its own deque, so no job
 * waits for more than FOL_FAIR_INTERVAL * (jobs before it in its queue + 1) jobs of a worker that
 * can take it.
 *
 * Who may call what: functions with a worker run on the thread that stands at its place; inject and
 * notify and the readers of counters from any thread; create and destroy as for any object. One
 * thread at a time is the caller. Work that is left when the caller is in no wait goes to helpers.
 *
 * In a forked child a team that was copied may be destroyed, which gives back its memory, and used
 * for nothing else.
 */
#ifndef FOL_EXEC_TEAM_H
#define FOL_EXEC_TEAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/job.h"
#include "exec/pool.h"
#include "trace/trace.h"

typedef struct fol_team fol_team;

#define FOL_FAIR_INTERVAL    61u
#define FOL_TEAM_MAX_WORKERS 254u

/* Work in another form. Both functions are called at any time between create and destroy, also when
 * there is nothing to do, and must not wait for long. When is_ready says yes to a worker, take
 * gives it a job soon, or is_ready comes to say no. */
typedef struct fol_team_source {
    void *state;
    /* A job for this worker, or NULL. */
    fol_job *(*take)(void *state, fol_worker *worker);
    /* Whether take would give this worker one: the last look before parking. Called by any thread;
     * worker is the caller's, or stands for any other, so only whether its place is 0 counts. */
    bool (*is_ready)(void *state, fol_worker *worker);
    /* Whether what is being run will release more: then it is worth looking on for longer, because
     * a wake takes longer than what is looked for may. A hint, asked by any worker that looks for
     * work in vain; may be NULL: never. */
    bool (*is_under_way)(void *state);
} fol_team_source;

typedef struct fol_team_config {
    uint32_t workers;           /* 1 .. FOL_TEAM_MAX_WORKERS, the caller included */
    uint32_t deque_capacity;    /* of each worker, to begin with; 0: 1024 */
    uint32_t injector_capacity; /* 0: 1024 */
    uint32_t steal_batch;       /* jobs a thief takes at most at once; 0: 8 */
    uint64_t seed;              /* of the random starts */
    fol_team_source source;     /* functions NULL: none */
    /* Called by the caller while it waits, at least every poll_ns; may be NULL. */
    void (*poll)(void *state);
    void *poll_state;
    uint64_t poll_ns;
    fol_trace *trace; /* gets steals and parks; NULL: none */
} fol_team_config;

/* The pool must outlive the team. -ENOMEM, -EINVAL. Starts no thread. */
int fol_team_create(fol_pool *pool, const fol_team_config *config, fol_team **out);
/* Waits for helpers to leave their places. No job is queued or runs. */
void fol_team_destroy(fol_team *team);

uint32_t fol_team_worker_count(const fol_team *team);
fol_worker *fol_team_worker(fol_team *team, uint32_t place);
uint32_t fol_worker_place(const fol_worker *worker);
fol_team *fol_worker_team(const fol_worker *worker);
/* What a policy wants of the worker at a place, from its next search or wake on; by the caller
 * between waits. Victims that are not named come after, by distance; an order of 0 names none.
 * Rounds of looking in vain before it parks; FOL_SPINS_LEARNT: as many as were worth it lately. */
#define FOL_SPINS_LEARNT UINT32_MAX
void fol_team_choose_victims(fol_team *team, uint32_t place, const uint32_t *order, uint32_t count);
void fol_team_choose_spins(fol_team *team, uint32_t place, uint32_t rounds);
/* Somebody looks for work at this moment: an answer within a microsecond is likely. The caller asks
 * between waits, so it means helpers. */
bool fol_team_is_hot(const fol_team *team);
/* The caller runs a job, so it cannot look at the source before that ends. When the caller becomes
 * busy it looks at the source once more afterwards and wakes a helper if that is ready, so a job
 * that a helper left for the caller is not left for good. */
bool fol_team_caller_is_busy(const fol_team *team);

/* Publishing. push: the newest of the worker's deque, visible to thieves at once. push_many: in the
 * order given, with one publication and one look for sleepers. -ENOMEM: none was pushed (the
 * caller runs them itself). */
int fol_worker_push(fol_worker *worker, fol_job *job);
int fol_worker_push_many(fol_worker *worker, fol_job *const *jobs, uint32_t count);
/* The same for jobs that may as well all run here, one after another: a helper that goes to sleep
 * at this very moment may miss them, and then they do. Spares the fence, which waits for every
 * store that is on its way to lines that others had. */
int fol_worker_offer_many(fol_worker *worker, fol_job *const *jobs, uint32_t count);
/* Runs next on this worker, before its deque. At most three in a row: then it is pushed like any
 * other, as is the one before when a job keeps two. Nobody else can take it, so only from within a
 * job that is about to return. */
void fol_worker_keep(fol_worker *worker, fol_job *job);
/* Own jobs are taken oldest first while this is on (list scheduling), newest first else. */
void fol_worker_set_oldest_first(fol_worker *worker, bool is_on);
/* From any thread, which sees to it that the team stays until this returns, whatever the job does
 * meanwhile; the same holds for notify. False when the injector is full. */
bool fol_team_inject(fol_team *team, fol_job *job);
/* Tells sleepers that a source has work, or that what somebody waits for has come: the caller if it
 * is parked (also when helpers search, since a source may keep work for it), else somebody if
 * nobody searches. */
void fol_team_notify(fol_team *team);
void fol_team_notify_all(fol_team *team);

/* Something to wait for: open when its count is 0. */
typedef struct fol_latch {
    _Atomic uint32_t count;
} fol_latch;

static inline void fol_latch_init(fol_latch *latch, uint32_t count)
{
    atomic_init(&latch->count, count);
}

static inline bool fol_latch_is_open(const fol_latch *latch)
{
    /* Acquire pairs with the release of fol_latch_count_down: who sees it open sees all that was
     * done before. */
    return atomic_load_explicit(&latch->count, memory_order_acquire) == 0;
}

/* The latch may be gone as soon as its count is 0: only the team is touched after that. So who
 * calls it stands at a place of the team, or knows by other means that the team stays. */
void fol_latch_count_down(fol_latch *latch, fol_team *team, uint32_t by);

/* Runs jobs of the team until the latch is open; parks when there is nothing to run. From inside of
 * a job it does the same, so other jobs run nested in that one: joins of parallel.h do not. */
void fol_worker_wait(fol_worker *worker, fol_latch *latch);
/* Runs this job, which nobody else can see, as if it had been found. */
void fol_worker_run_now(fol_worker *worker, fol_job *job);
/* The same without telling that the caller is busy: for when the source has nothing, and gets
 * nothing, that would be left to the caller. */
void fol_worker_run_unseen(fol_worker *worker, fol_job *job);
/* Runs one job if there is one. */
bool fol_worker_run_one(fol_worker *worker);

/* What a worker did since the team began. Written by the worker alone, read by anybody at any time:
 * each number is whole, together they may be an instant apart. Always on. */
typedef struct fol_worker_counters {
    uint64_t jobs;   /* run; branches that were joined where they were forked are not counted */
    uint64_t stolen; /* taken from other workers */
    uint64_t steal_attempts; /* victims looked at */
    uint64_t steal_misses;   /* victims that had nothing */
    uint64_t contended;      /* lost to another thief or the owner */
    uint64_t batches;        /* steals that brought more than one */
    uint64_t largest_batch;
    uint64_t injected; /* taken from the injector */
    uint64_t spins;    /* rounds of looking in vain */
    uint64_t yields;
    uint64_t parks;
    uint64_t wakes_sent;
    uint64_t wakes_saved; /* not sent because somebody was searching */
    uint64_t joins;       /* times a thread took this place */
    /* Running jobs, joins inside of them too; of the caller, inside of waits only. */
    uint64_t busy_cycles;
    uint64_t idle_cycles; /* searching and parked; an unfinished stretch is not in it yet */
    uint64_t queue_depth; /* at this moment */
} fol_worker_counters;

void fol_team_read_worker(const fol_team *team, uint32_t place, fol_worker_counters *out);

#endif
