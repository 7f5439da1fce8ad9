/* Running a graph of nodes on a team, without a coordinator: who ends a node releases its
 * successors, keeps the most urgent of those that became ready, and pushes the rest.
 *
 * A dag is made once from a graph and run any number of times, a segment a run. Nodes start most
 * urgent first: the urgency of a node is the cost of the longest way from it to the end of its
 * segment (upward rank, as in HEFT: Topcuoglu, Hariri, Wu, 2002), by the costs given last.
 *
 * A node may be cut into pieces, which several workers take from a shared counter in rising order.
 * Nodes of the lane (exec/lane.h) run one at a time, on whichever worker drains it: the caller
 * first; another worker only while the caller is busy with something else. Their pieces, if any, go
 * to everybody.
 *
 * One run at a time on a team; run is called by the team's caller. When it returns every node has
 * ended and no worker is inside of any call.
 */
#ifndef FOL_EXEC_DAG_H
#define FOL_EXEC_DAG_H

#include <stdbool.h>
#include <stdint.h>

#include "exec/team.h"

typedef struct fol_dag fol_dag;

/* What the dags of one team share: the lane, and the count of what their run has yet to end. It is
 * the team's source, so it is made before the team and outlives it. -ENOMEM. */
typedef struct fol_dag_hub fol_dag_hub;
int fol_dag_hub_create(uint32_t workers, fol_dag_hub **out);
void fol_dag_hub_destroy(fol_dag_hub *hub);
fol_team_source fol_dag_hub_source(fol_dag_hub *hub);

/* All arrays are copied. Nodes of segment s are [segment_ends[s - 1], segment_ends[s]), from 0. */
typedef struct fol_dag_graph {
    uint32_t node_count;
    uint32_t segment_count;
    const uint32_t *segment_ends;
    const uint32_t *successor_starts; /* node_count + 1 */
    const uint32_t *successors;
    /* One a node: 0, in no lane; 1, in the lane; 2, the same, but its cost is that of its pieces,
     * which run anywhere. NULL: none is. */
    const uint8_t *in_lane;
} fol_dag_graph;

typedef struct fol_dag_calls {
    void *state;
    /* Starts a node. 0: it has ended. Else the number of pieces, each of which is to be run exactly
     * once, and then end. */
    uint32_t (*begin)(void *state, uint32_t node, uint32_t worker);
    void (*run_piece)(void *state, uint32_t node, uint32_t piece, uint32_t worker);
    void (*end)(void *state, uint32_t node, uint32_t worker);
    /* After some of the others, before the worker looks for anything else; may be NULL. */
    void (*pause)(void *state, uint32_t worker);
} fol_dag_calls;

/* The team's source is the hub's. -ENOMEM; -EINVAL for edges that do not rise or leave their
 * segment, and segments that do not cover the nodes. Between runs of the team's dags. */
int fol_dag_create(fol_team *team, fol_dag_hub *hub, const fol_dag_graph *graph,
                   const fol_dag_calls *calls, fol_dag **out);
void fol_dag_destroy(fol_dag *dag);

/* Costs in any one unit, one a node; they decide who starts first. Nodes that cost less than
 * `small`, but something, are not worth handing over: a worker holds up to FOL_DAG_HELD of them
 * back for itself, and the caller runs a segment of nothing else in place, in order. A dag that is
 * given no costs measures its nodes, but for those that are cut, in the second and third run of
 * each segment, and again in every 4,096 runs. Between runs. */
#define FOL_DAG_HELD     4u
#define FOL_DAG_SMALL_NS 200u /* of nodes it measures itself */
void fol_dag_set_costs(fol_dag *dag, const double *costs, double small);
/* What a segment takes at least by those costs: the longest way through it, or all of its lane. */
double fol_dag_span(const fol_dag *dag, uint32_t segment);
void fol_dag_run(fol_dag *dag, uint32_t segment);

#endif
