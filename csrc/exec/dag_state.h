/* The inside of a dag, shared by the files that make it and run it. */
#ifndef FOL_EXEC_DAG_STATE_H
#define FOL_EXEC_DAG_STATE_H

#include <assert.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "exec/dag.h"
#include "exec/lane.h"

typedef struct fol_dag_node fol_dag_node;

/* One node: a cache line, which moves to the worker that runs it. */
struct fol_dag_node {
    fol_job job;
    fol_dag *dag;
    fol_dag_node *next; /* of those a worker holds back */
    uint32_t index;
    uint32_t predecessor_count;
    uint32_t first_successor;
    uint32_t successor_count;
    uint32_t lane_rank; /* among the lane's nodes of its segment, by urgency */
    bool is_in_lane;
    bool is_cheap_in_lane; /* what it costs is not spent there */
    bool is_small;
    _Atomic uint32_t
        pending;          /* predecessors that have not ended; set anew when the node is ready */
    uint32_t piece_count; /* 0 until begin has said that it is cut */
    _Atomic uint32_t next_piece;
    _Atomic uint32_t pieces_left; /* that have not ended */
};
static_assert(sizeof(fol_dag_node) == FOL_CACHE_LINE, "a node is a cache line");

typedef struct fol_dag_segment {
    uint32_t first;
    uint32_t end;
    uint32_t first_root; /* in roots: those not in the lane, the most urgent first */
    uint32_t root_count;
    uint32_t first_lane; /* in lane_nodes, by rank */
    uint32_t lane_count;
    uint32_t runs;
    bool is_short;   /* its first run took less than a measurement in place may */
    bool is_trifles; /* no node is worth handing over, and none is in the lane */
    double span;
} fol_dag_segment;

/* What the worker at one place has ended and not counted down yet. */
typedef struct fol_dag_place {
    _Alignas(FOL_CACHE_LINE) uint32_t ended;
} fol_dag_place;

struct fol_dag_hub {
    _Alignas(FOL_CACHE_LINE) fol_latch left; /* nodes of the run, and copies of those cut */
    _Alignas(FOL_CACHE_LINE) fol_lane lane;
    _Alignas(FOL_CACHE_LINE) fol_job start; /* of a run, on the caller */
    bool start_drains;                      /* it begins in the lane */
    fol_job drain;
    fol_dag *dag; /* that runs, or ran last */
    uint32_t place_count;
    _Alignas(FOL_CACHE_LINE) fol_dag_place places[];
};

struct fol_dag {
    fol_team *team;
    fol_dag_hub *hub;
    fol_dag_calls calls;
    const fol_dag_segment *running;
    fol_dag_node *nodes;
    fol_dag_segment *segments;
    uint32_t node_count;
    uint32_t segment_count;
    bool order_is_stale;  /* costs changed since nodes were put in order */
    bool has_costs;       /* somebody gave it costs */
    bool is_measuring;    /* this run */
    uint32_t *successors; /* the most urgent first */
    uint32_t *predecessor_starts;
    uint32_t *predecessors;
    uint32_t *order; /* nodes, segment by segment, by urgency */
    uint32_t *cursors;
    uint32_t *lane_nodes;
    fol_job **roots;
    double *urgency;
    double *costs; /* as it measured them: cycles, 0 when it did not */
};

void fol_dag_run_job(fol_job *job, fol_worker *worker);
void fol_dag_start_job(fol_job *job, fol_worker *worker);
void fol_dag_drain_job(fol_job *job, fol_worker *worker);
/* Takes over costs, given or measured. */
void fol_dag_use_costs(fol_dag *dag, const double *costs, double small);
/* Puts successors, roots and the lane in the order of urgency. */
void fol_dag_put_in_order(fol_dag *dag);

#endif
