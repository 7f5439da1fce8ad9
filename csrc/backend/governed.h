/* A governed run: the nodes of a phase in the order and for the time that a dispatcher grants, on
 * whichever workers the backend has.
 *
 * Every node has one or more runnables of the dispatcher, its lanes. A node that can be cut and has
 * no context has a lane for each worker: all take the node's next piece, and each belongs to one
 * worker while it runs. A node with a context has one lane, so that its budget bounds what it uses.
 * The dispatcher is asked before every piece; what waits for a refill holds up nobody but what
 * depends on it and the end of its segment.
 *
 * What a job is: the run of a node in a run of its phase, released when that begins. Nodes whose
 * predecessors have not ended are not in the dispatcher.
 *
 * Time is the scheduler's clock, in nanoseconds. On the machine's clock what a worker spent without
 * a processor is found by the thread's CPU clock now and then, and not charged.
 *
 * Who may call what: create and destroy as for any object; run by the caller of the backend's team,
 * one at a time; lock, unlock and what stands between them by any thread that holds no host's lock.
 */
#ifndef FOL_BACKEND_GOVERNED_H
#define FOL_BACKEND_GOVERNED_H

#include "backend/backend.h"
#include "foliot/clock.h"
#include "foliot/scheduler.h"
#include "policy/dispatcher.h"

typedef struct fol_governor fol_governor;

/* Why a node ended before its end. */
typedef enum fol_governed_end {
    FOL_GOVERNED_DENIED = 0, /* not admitted */
    FOL_GOVERNED_SKIPPED = 1,
    FOL_GOVERNED_KILLED = 2,
    FOL_GOVERNED_GONE = 3, /* its context was killed or revoked before, or was revoked now */
} fol_governed_end;

/* What a run asks beside the calls of the backend. All are called under the governor's lock, and
 * take neither that nor the host's. */
typedef struct fol_governed_calls {
    void *state;
    bool (*is_interrupted)(void *state);
    /* False: begin_node would do nothing but note why. */
    bool (*is_due)(void *state, uint32_t node);
    /* Of a run of the node; 0: unknown. */
    int64_t (*expected_ns)(void *state, uint32_t node);
    /* A decision was made, not earlier than when this worker asked last; NULL: nobody listens. */
    void (*decided)(void *state, uint32_t worker, const fol_decision *decision);
    /* It ends here; has_begun: begin_node was called and said so many pieces, of which none runs.
     */
    void (*drop)(void *state, uint32_t node, uint32_t worker, uint32_t pieces, bool has_begun,
                 fol_governed_end why);
} fol_governed_calls;

typedef struct fol_governor_config {
    fol_dispatcher_config dispatcher; /* cpus: workers */
    fol_clock clock;
    fol_governed_calls calls;
} fol_governor_config;

/* -ENOMEM, -EINVAL. */
int fol_governor_create(const fol_governor_config *config, fol_governor **out);
void fol_governor_destroy(fol_governor *governor);

/* The dispatcher is good between these two, with the time to tell it. FOL_E_BUSY: this thread has
 * it already (a slot of the policy asks). Between runs whoever has the lock calls no slot and no
 * clock, so who changes a scheduler may come with the host's lock then. */
int fol_governor_lock(fol_governor *governor, int64_t *now);
void fol_governor_unlock(fol_governor *governor);
fol_dispatcher *fol_governor_dispatcher(fol_governor *governor);
/* Where the time went beside the work. Under the lock. */
void fol_governor_read_attribution(const fol_governor *governor, fol_attribution *out);
/* Under the lock: some context may run on some workers only. */
void fol_governor_restrict(fol_governor *governor);
/* The runnable was removed. Between runs, under the lock. */
void fol_governor_forget(fol_governor *governor, uint32_t runnable);
/* Under the lock: contexts have gone, so what waits with one ends at the next point. */
void fol_governor_tell_gone(fol_governor *governor);

/* A program's share of it: the lanes of each node, in the program's order. */
typedef struct fol_governed_node {
    uint32_t first; /* of its lanes, in the list of all */
    uint32_t count;
    uint64_t context; /* handle; 0: none */
    bool is_gone;     /* the context is, and there are no lanes */
    /* Of the run, under the lock. */
    uint32_t waits_for; /* predecessors that have not ended */
    uint32_t pieces;
    uint32_t next_piece;
    uint32_t pieces_left;
    uint32_t running; /* lanes on a worker */
    uint8_t state;
} fol_governed_node;

typedef struct fol_governed {
    fol_governed_node *nodes;
    uint32_t *lanes; /* runnables */
    uint32_t node_count;
} fol_governed;

/* Runs the phase whose nodes begin at `first` of the program's, merges included. */
void fol_governed_run(fol_governor *governor, const fol_governed *governed, fol_backend *backend,
                      const fol_work *work, uint32_t first);

#endif
