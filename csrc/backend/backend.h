/* The one interface between a frame and what runs it.
 *
 * A backend is given a phase as a list of nodes in an order the plan allows, cut into segments by
 * merges, with the plan's graph and stages, and calls back to run each node and each merge exactly
 * once. It may reorder or overlap nodes of a segment only as the plan's graph allows; it never
 * starts a node of a segment before the merge in front of it has returned. Nothing here knows
 * systems, worlds or the host language.
 *
 * A node runs in one of two ways: whole, by run_node; or by begin_node, which may cut it into
 * pieces for several workers, then run_piece for each, then end_node. Worker 0 is the caller's
 * thread.
 */
#ifndef FOL_BACKEND_BACKEND_H
#define FOL_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/parallel.h"
#include "exec/team.h"
#include "foliot/scheduler.h"

/* The calls of a frame's runner; the same for all phases. Failures are the callee's to record. */
typedef struct fol_work_calls {
    void *state;
    void (*run_node)(void *state, uint32_t node, uint32_t worker);
    /* 0: it has ended, else the number of pieces. */
    uint32_t (*begin_node)(void *state, uint32_t node, uint32_t worker);
    void (*run_piece)(void *state, uint32_t node, uint32_t piece, uint32_t worker);
    void (*end_node)(void *state, uint32_t node, uint32_t worker);
    /* Runs alone on the caller, after every node of the segment has ended. */
    void (*merge)(void *state, uint32_t segment);
    /* The worker is about to do something in which it must not hold the host: search, park, or run
     * nodes that do not need it. */
    void (*release_host)(void *state, uint32_t worker);
    /* Between two nodes of a backend that gives I/O its turn there; the caller. */
    void (*turn)(void *state);
    /* The caller waits: time to look at the host. */
    void (*poll)(void *state);
    /* A run of a phase on several workers begins and ends, on the caller. */
    void (*begin_parallel)(void *state);
    void (*end_parallel)(void *state);
    /* Learnt cost of a node, cycles a run (0: never ran), and the most pieces it would be cut in.
     */
    double (*node_cost)(void *state, uint32_t node, uint32_t *pieces);
    /* Which backend it should be from here on, as a place in fol_backend_names, for one that
     * chooses; the caller, between frames. False: that is left to the backend. May be NULL. Times
     * of the load are in cycles. */
    bool (*choose_backend)(void *state, fol_policy_load *load, uint32_t *choice);
    /* The backend changed, by places in fol_backend_names. May be NULL. */
    void (*note_switch)(void *state, uint32_t from, uint32_t to);
} fol_work_calls;

/* What of a node holds the host's lock, and so takes turns with others that do. */
typedef enum fol_lane_use {
    FOL_LANE_NOTHING = 0,
    FOL_LANE_NODE = 1,  /* all of it, or its begin and nobody knows what else */
    FOL_LANE_BEGIN = 2, /* only its begin; its pieces run anywhere */
} fol_lane_use;

/* One phase. Nodes of segment s are [segment_ends[s - 1], segment_ends[s]), from 0; edges go from
 * lower to higher numbers and stay in a segment. All arrays outlive the prepared phase. */
typedef struct fol_work {
    uint32_t node_count;
    uint32_t segment_count;
    const uint32_t *segment_ends;
    const uint32_t *successor_starts; /* node_count + 1 */
    const uint32_t *successors;
    const uint32_t *stages; /* one a node; rises with segments */
    const uint8_t *in_lane; /* one a node, a fol_lane_use */
    void *prepared;         /* the backend's own */
} fol_work;

typedef struct fol_backend fol_backend;

typedef struct fol_backend_config {
    const char *name;
    uint32_t workers;     /* 0: as many as this process may use */
    bool require_workers; /* fail rather than run with fewer threads */
    uint32_t steal_batch; /* 0: the team's own choice */
    uint64_t seed;
    fol_work_calls calls;
    uint64_t poll_ns;
    fol_trace *trace; /* NULL: none */
    fol_adaptive_config adaptive;
} fol_backend_config;

/* What a frame was, for a backend that chooses. Real figures all. */
typedef struct fol_backend_frame {
    uint64_t cycles;      /* from its begin to its end */
    uint64_t busy_cycles; /* sum over all nodes */
    uint64_t io_cycles;   /* the caller waited for I/O */
    uint64_t operations;  /* submitted */
    uint32_t in_flight;   /* at its end */
    uint32_t nodes;       /* that ran */
} fol_backend_frame;

/* Why the last run of a phase went where it did, as a sentence; like snprintf. */
typedef size_t fol_backend_explain(const fol_backend *backend, const fol_work *work,
                                   double ns_per_cycle, char *out, size_t room);

typedef struct fol_backend_ops {
    const char *name;
    /* Threads and memory; a negative status makes the backend fall back. reason may be filled. */
    int (*init)(fol_backend *backend, const fol_backend_config *config);
    void (*deinit)(fol_backend *backend);
    /* Makes work->prepared; between runs. NULL: nothing to prepare. */
    int (*prepare)(fol_backend *backend, fol_work *work);
    void (*unprepare)(fol_backend *backend, fol_work *work);
    void (*run)(fol_backend *backend, const fol_work *work);
    fol_backend_explain *explain; /* NULL: everything runs on the caller */
    /* How many workers a governed run of the phase may use, which it counts as a run; NULL: all. */
    uint32_t (*governed_workers)(fol_backend *backend, const fol_work *work);
    /* After each frame; NULL: nothing to learn. The backend's wants_ring may change here only. */
    void (*end_frame)(fol_backend *backend, const fol_backend_frame *frame);
    /* Which backend it is for now, and why; NULL: its own name, and what init said. */
    size_t (*explain_choice)(const fol_backend *backend, double ns_per_cycle, char *out,
                             size_t room);
} fol_backend_ops;

#define FOL_BACKEND_REASON_SIZE 256

struct fol_backend {
    const fol_backend_ops *ops;
    const char *requested;
    /* Why ops is not what was requested, or why there are fewer workers; "" when all is so. */
    char reason[FOL_BACKEND_REASON_SIZE];
    uint32_t workers; /* how many places there are: worker numbers are below it */
    fol_work_calls calls;
    fol_team *team;  /* NULL: the caller is the only worker */
    void *state;     /* of the ops */
    bool wants_ring; /* I/O goes to the ring where there is one */
    /* So many frames to come are not told to end_frame, nor looked at in any other way, unless one
     * takes skip_cycles or more: then the next one is. Set by end_frame. */
    uint32_t frames_to_skip;
    uint64_t skip_cycles;
    uint64_t switches;
    uint64_t serial_runs;   /* of phases on the caller alone */
    uint64_t parallel_runs; /* of phases on several workers */
};

/* Fills the caller's storage. Falls back to what is there and says why. FOL_E_VALUE for a name that
 * no version knows; -EAGAIN or what the system said when threads are required and refused, with the
 * reason filled; -ENOMEM. */
int fol_backend_init(fol_backend *backend, const fol_backend_config *config);
void fol_backend_deinit(fol_backend *backend);
/* -ENOMEM: nothing is prepared. */
int fol_backend_prepare(fol_backend *backend, fol_work *work);
void fol_backend_unprepare(fol_backend *backend, fol_work *work);
size_t fol_backend_explain_run(const fol_backend *backend, const fol_work *work,
                               double ns_per_cycle, char *out, size_t room);

static inline void fol_backend_run(fol_backend *backend, const fol_work *work)
{
    backend->ops->run(backend, work);
}

/* What every backend does with a phase that stays on the caller. */
void fol_backend_run_in_order(const fol_backend *backend, const fol_work *work);

/* In order on the caller, least overhead. */
extern const fol_backend_ops fol_backend_blocking;
/* In order on the caller, with a turn for I/O between two nodes; through the ring. */
extern const fol_backend_ops fol_backend_evented;
/* A shared queue, and a barrier after every stage. */
extern const fol_backend_ops fol_backend_threadpool;
/* Work stealing over the plan's graph, no barrier but its merges. */
extern const fol_backend_ops fol_backend_stealing;
/* The same, with I/O through the ring. */
extern const fol_backend_ops fol_backend_uring;
/* Each frame as blocking, stealing or uring, whichever suits the load. */
extern const fol_backend_ops fol_backend_adaptive;

#endif
