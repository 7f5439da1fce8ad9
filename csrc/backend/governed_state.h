/* What the files of a governed run share; nobody else includes it. */
#ifndef FOL_BACKEND_GOVERNED_STATE_H
#define FOL_BACKEND_GOVERNED_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend/governed.h"
#include "base/assert.h"

typedef enum fol_governed_state {
    FOL_NODE_WAITS = 0, /* for others */
    FOL_NODE_READY,     /* in the dispatcher, not begun */
    FOL_NODE_BEGUN,     /* it has pieces */
    FOL_NODE_ENDED,
} fol_governed_state;

/* A runnable. */
typedef struct fol_lane_job {
    uint32_t node;   /* of the phase */
    bool has_job;    /* in the dispatcher */
    bool is_used;    /* the job is of the segment that runs */
    bool is_blocked; /* until what holds the host's lock has ended */
} fol_lane_job;

/* A worker's clock: what was charged last, and when its CPU clock was last looked at. */
typedef struct fol_worker_time {
    int64_t last;
    int64_t since;
    int64_t cpu_since;
    int64_t idle; /* without a processor, not yet taken from what is charged */
} fol_worker_time;

typedef struct fol_helper_job {
    fol_job job; /* first: it is found by that */
    fol_governor *governor;
    bool is_out;
} fol_helper_job;

struct fol_governor {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    _Atomic pthread_t owner; /* of the mutex; good while is_owned */
    _Atomic bool is_owned;
    fol_dispatcher *dispatcher;
    fol_clock clock;
    bool is_real; /* the machine's clock */
    fol_governed_calls calls;
    uint32_t workers;
    uint32_t capacity;   /* of runnables, and so of nodes */
    fol_lane_job *lanes; /* by runnable */
    fol_worker_time *times;
    fol_helper_job *helpers; /* workers - 1 */
    fol_latch latch;         /* jobs of helpers that are out */
    int64_t now;             /* never goes back */
    bool has_gone;           /* contexts are */
    bool is_restricted;      /* some may run on some workers only */
    uint32_t sleepers;
    uint64_t told;          /* decisions that were passed on */
    uint32_t leftovers;     /* lanes with a job that is of no use any more */
    fol_attribution counts; /* its choices are the dispatcher's */
    /* The run. */
    fol_backend *backend;
    const fol_work *work;
    const fol_governed *governed;
    fol_governed_node *nodes; /* of the phase */
    uint32_t *queue;          /* nodes of the segment whose predecessors have ended */
    uint32_t queue_head;
    uint32_t queue_tail;
    uint32_t *blocked; /* runnables */
    uint32_t blocked_count;
    int64_t release;
    uint32_t segment_first;
    uint32_t segment_end;
    uint32_t left;    /* nodes of the segment that have not ended */
    uint32_t running; /* lanes on workers */
    uint32_t most_helpers;
    uint32_t called; /* helpers that are out */
    bool lane_is_busy;
    bool gives_turns;
};

/* governed.c */
void fol_governor_own(fol_governor *governor);
void fol_governor_disown(fol_governor *governor);
/* Takes the mutex; who has to wait for it measures how long. */
void fol_governor_take(fol_governor *governor);
void fol_governor_give(fol_governor *governor);
/* Wakes whoever sleeps. Under the lock, under which sleepers are counted: there are no others. */
void fol_governor_wake_all(fol_governor *governor);
int64_t fol_governor_read_clock(const fol_governor *governor);
/* Under the lock. Workers read their clocks before they lock, so one may come later with an earlier
 * time. */
static inline int64_t fol_governor_go_to(fol_governor *governor, int64_t now)
{
    governor->now = now > governor->now ? now : governor->now;
    return governor->now;
}

/* governed_nodes.c: all under the lock. */
/* Lays the segment out, and releases what waits for nobody. */
void fol_governed_begin_segment(fol_governor *governor, uint32_t segment);
/* The job of a lane is of use no more. */
void fol_governed_leave_lanes(fol_governor *governor, fol_governed_node *node);
/* The node has ended, whatever way: what waited for it alone is queued for its release. */
void fol_governed_finish(fol_governor *governor, uint32_t index);
void fol_governed_release_queued(fol_governor *governor, uint32_t worker);
/* The node has begun and is cut: its other lanes may help. */
void fol_governed_call_lanes(fol_governor *governor, uint32_t index);
/* Ends what waits, after an interrupt; and what waits with a context that has gone. */
void fol_governed_give_up(fol_governor *governor, uint32_t worker);
void fol_governed_cull(fol_governor *governor, uint32_t worker);
/* Ends the node before its end, because of what the dispatcher decided last about the runnable. */
void fol_governed_drop(fol_governor *governor, uint32_t index, uint32_t worker, uint32_t runnable);
/* Takes what is left of jobs without use out of the dispatcher. */
void fol_governed_drain(fol_governor *governor);

/* Whether the node holds the host's lock when it begins. */
static inline bool fol_governed_takes_turns(const fol_governor *governor, uint32_t index)
{
    return governor->work->in_lane[index] != FOL_LANE_NOTHING;
}

#endif
