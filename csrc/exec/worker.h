/* What pool, teams and workers share among their sources; nobody else includes it. */
#ifndef FOL_EXEC_WORKER_H
#define FOL_EXEC_WORKER_H

#include <pthread.h>
#include <stdalign.h>
#include <time.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "base/cycles.h"
#include "base/memory.h"
#include "base/rng.h"
#include "exec/spread.h"
#include "exec/team.h"
#include "exec/topology.h"
#include "structures/deque.h"
#include "structures/event_count.h"
#include "structures/injector.h"

/* Places are bits of this many words. */
#define FOL_PLACE_WORDS ((FOL_TEAM_MAX_WORKERS + 63) / 64)

/* One number of fol_worker_counters each, in its order. */
typedef struct fol_worker_numbers {
    FOL_ATOMIC(uint64_t) jobs;
    FOL_ATOMIC(uint64_t) stolen;
    FOL_ATOMIC(uint64_t) steal_attempts;
    FOL_ATOMIC(uint64_t) steal_misses;
    FOL_ATOMIC(uint64_t) contended;
    FOL_ATOMIC(uint64_t) batches;
    FOL_ATOMIC(uint64_t) largest_batch;
    FOL_ATOMIC(uint64_t) injected;
    FOL_ATOMIC(uint64_t) spins;
    FOL_ATOMIC(uint64_t) yields;
    FOL_ATOMIC(uint64_t) parks;
    FOL_ATOMIC(uint64_t) wakes_sent;
    FOL_ATOMIC(uint64_t) wakes_saved;
    FOL_ATOMIC(uint64_t) joins;
    FOL_ATOMIC(uint64_t) busy_cycles;
    FOL_ATOMIC(uint64_t) idle_cycles;
} fol_worker_numbers;

/* What a worker remembers of its last look at another one's deque; victims.c says what for. */
typedef struct fol_victim_memory {
    uint32_t search;     /* in which it was */
    uint32_t gone;       /* jobs that had been taken there before it */
    bool had_single;     /* there was one job, left alone */
    uint8_t rest;        /* rounds without a look that owners like it are worth */
    uint8_t rested;      /* of them, since it */
    uint8_t rounds_left; /* of these */
} fol_victim_memory;

/* One place of a team. But for the last three groups, everything is used only by the thread that
 * stands there; taking and leaving the place hands it over. */
struct fol_worker {
    fol_deque deque;
    fol_team *team;
    fol_job *kept;
    uint32_t place;
    uint32_t kept_in_row;
    uint32_t turn;  /* jobs since the last round of FOL_FAIR_INTERVAL began */
    uint32_t depth; /* jobs on this thread's stack, one inside of the other */
    bool takes_oldest;
    bool is_searching; /* counted among the team's searchers */
    bool may_spin;     /* in this search */
    bool left_some;    /* it left a single job alone, and looks again soon */
    uint8_t yields_left;
    uint32_t pauses; /* of the back-off after lost swaps */
    uint64_t spin_limit_ns;
    uint64_t look_limit_ns; /* the same while the source's work is under way */
    uint64_t spin_start_ns;
    uint32_t rounds;        /* of looking in vain since then */
    uint32_t search;        /* number of the last one */
    uint64_t idle_start_ns; /* when work ran out last */
    uint64_t state_start;   /* cycles, when busy or idle began */
    uint64_t poll_at;       /* cycles */
    uint64_t parked_since;  /* cycles, when a helper left; 0: none did */
    fol_rng rng;
    /* Other places: first named_count that a policy named, then the others, nearest first; those of
     * distance d end at order_ends[d]. */
    uint8_t named_count;
    uint8_t order_ends[FOL_DISTANCES];
    uint8_t order[FOL_TEAM_MAX_WORKERS];
    fol_victim_memory victims[FOL_TEAM_MAX_WORKERS]; /* of each place */
    /* Read by anybody. */
    alignas(FOL_CACHE_LINE) fol_worker_numbers numbers;
    /* Where this worker sleeps while it waits for a branch. */
    fol_event_count joined;
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(fol_worker *) waits_for; /* who runs the branch, or NULL */
    FOL_ATOMIC(bool) sleeps_in_join;
    FOL_ATOMIC(int32_t) processor; /* -1: unknown */
    /* What a policy wants; written by the caller. */
    FOL_ATOMIC(uint32_t) chosen_spins; /* FOL_SPINS_LEARNT: it does not say */
    FOL_ATOMIC(uint32_t) chosen_count; /* of those that follow */
    FOL_ATOMIC(uint8_t) chosen[FOL_TEAM_MAX_WORKERS];
};

static_assert(FOL_TEAM_MAX_WORKERS <= UINT8_MAX, "places fit into the victims' order");

/* Threads that sleep until there is work, and whether one of them was woken and is on its way. */
typedef struct fol_sleepers {
    fol_event_count event;
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(uint32_t) wake_is_under_way;
} fol_sleepers;

typedef struct fol_team_entry {
    FOL_ATOMIC(fol_team *) team; /* NULL: free */
    FOL_ATOMIC(uint32_t) users;  /* threads that look at the team without standing in it */
} fol_team_entry;

/* Entries never move or go away before the pool does, so threads go over them without a lock. */
#define FOL_TEAM_ENTRIES 15u

typedef struct fol_team_block {
    fol_team_entry entries[FOL_TEAM_ENTRIES];
    FOL_ATOMIC(struct fol_team_block *) next;
} fol_team_block;

struct fol_team {
    fol_pool *pool;
    uint64_t generation; /* of the process that made it */
    fol_worker *workers;
    uint32_t worker_count;
    uint32_t steal_batch;
    fol_team_source source;
    void (*poll)(void *state);
    void *poll_state;
    uint64_t poll_ns;
    fol_trace *trace;
    fol_team_entry *entry;
    fol_injector injector;
    /* The idle protocol's words; idle.c says what they promise. What the caller writes at each run
     * has another line than what helpers write. */
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(uint32_t) searchers;
    FOL_ATOMIC(uint32_t) join_sleepers;
    FOL_ATOMIC(bool) is_closing;
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(bool) caller_is_busy;
    FOL_ATOMIC(bool) caller_waits; /* and is not parked */
    fol_sleepers caller;
    fol_sleepers nested; /* helpers in a wait inside of a job */
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(uint64_t) free_places[FOL_PLACE_WORDS];
};

typedef struct fol_pool_thread {
    fol_pool *pool;
    pthread_t thread;
    uint32_t number;
} fol_pool_thread;

struct fol_pool {
    pthread_mutex_t mutex; /* growing, and entries that become used */
    uint64_t generation;
    uint32_t processors;
    uint64_t start_cycles; /* read together with start_ns */
    uint64_t start_ns;
    FOL_ATOMIC(uint32_t) thread_count;
    FOL_ATOMIC(bool) is_stopping;
    fol_team_block first_block;
    fol_sleepers parked;
    fol_spread spread; /* of the last wake of one of them */
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(uint32_t) seekers;
    /* A team has a place for a thread and found none parked. */
    alignas(FOL_CACHE_LINE) FOL_ATOMIC(bool) is_short;
    fol_pool_thread threads[FOL_POOL_MAX_THREADS];
};

static inline uint64_t fol_exec_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* One writer, so a load and a store make an addition. */
static inline void fol_number_add(FOL_ATOMIC(uint64_t) * number, uint64_t amount)
{
    uint64_t value = fol_atomic_load(number, memory_order_relaxed);
    fol_atomic_store(number, value + amount, memory_order_relaxed);
}

static inline fol_job *fol_job_of_item(void *item)
{
    return (fol_job *)((uintptr_t)item & ~(uintptr_t)1);
}

/* pool.c */

/* -ENOMEM. */
int fol_pool_add_team(fol_pool *pool, fol_team *team, fol_team_entry **out);
/* Returns when no thread looks at the team any more, except from its places. */
void fol_pool_remove_team(fol_team_entry *entry);
/* Cycles that are at most as long as ns, as far as the pool knows the counter by now. */
uint64_t fol_pool_cycles(const fol_pool *pool, uint64_t ns);

/* idle.c */

typedef enum fol_wake {
    FOL_WAKE_NOBODY, /* is there to be woken */
    FOL_WAKE_SAVED,  /* somebody looks for work already */
    FOL_WAKE_SENT,
} fol_wake;

/* Work that any worker may take has been published: somebody will look. */
fol_wake fol_team_wake(fol_team *team);
/* The same, and it is counted. */
void fol_worker_wake(fol_worker *worker);
/* A latch has opened. */
void fol_team_wake_waiters(fol_team *team);
/* As fol_worker_wake, without a fence before: for what the worker does itself when nobody comes. */
void fol_worker_wake_unfenced(fol_worker *worker);
/* Branches have been published. */
void fol_worker_wake_for_branches(fol_worker *worker);
/* Whether there is something this worker could take; the caller passed a full fence. */
bool fol_team_has_work(const fol_team *team, const fol_worker *worker);

/* Between the full fence of prepare and the last look before sleeping; idle.c says why. */
static inline void fol_exec_let_stores_arrive(void)
{
    /* A good part of a microsecond, many times what a store takes. */
    for (uint32_t i = 0; i < 16; i++) {
        fol_pause();
    }
}

/* Whether there are processors enough for all who are awake. */
bool fol_worker_may_spin(const fol_worker *worker);
/* The worker found nothing: it counts as a searcher from now on. */
void fol_worker_begin_search(fol_worker *worker);
/* It found something, or stops for another reason than parking. */
void fol_worker_end_search(fol_worker *worker);
/* Waits a little. False when it is time to park. */
bool fol_worker_search_on(fol_worker *worker);
/* A searcher parks until there is work, the latch is open, or poll_ns have gone by. */
void fol_worker_park(fol_worker *worker, const fol_latch *latch);

/* The life of a pool's thread. */
void fol_pool_serve(fol_pool *pool);

/* victims.c */

/* Notes the processor, and orders the victims by distance. */
void fol_worker_order_victims(fol_worker *worker);
/* A job of another worker, or NULL. A bounded number of looks. */
fol_job *fol_worker_steal(fol_worker *worker);
/* The same of one victim, and only if that has plenty: for a worker with jobs of its own. */
fol_job *fol_worker_steal_plenty(fol_worker *worker);

/* worker.c */

/* The next job, or NULL. */
fol_job *fol_worker_find(fol_worker *worker);
void fol_worker_run(fol_worker *worker, fol_job *job);
/* From taking the place to leaving it. */
void fol_worker_serve(fol_worker *worker);

/* Says what the caller is doing; see fol_team_caller_is_busy. */
void fol_worker_set_busy(fol_worker *worker);
void fol_worker_clear_busy(fol_worker *worker);

#endif
