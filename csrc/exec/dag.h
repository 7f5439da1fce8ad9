/* Running a graph of nodes on a team, without a coordinator: who ends a node releases its
 * successors, keeps the most urgent of those that became ready, and pushes the rest.
 *
 * A dag is made once from a graph and run any number of times. A run covers the nodes [first, end)
 * of it, one segment, whose predecessors outside of it have all ended. Nodes start most urgent
 * first: the urgency of a node is the cost of the longest way from it to the end of its segment
 * (upward rank, as in HEFT), by the costs given last.
 *
 * A node may be cut into pieces, which several workers take from a shared counter in rising order.
 * Nodes of the lane run one at a time, on whichever worker drains it: the caller first; another
 * worker only while the caller is busy with something else. Their pieces, if any, go to everybody.
 *
 * One run at a time; run is called by the team's caller and returns when all nodes have ended.
 */
#ifndef FOL_EXEC_DAG_H
#define FOL_EXEC_DAG_H

#include <stdbool.h>
#include <stdint.h>

#include "exec/team.h"

typedef struct fol_dag fol_dag;

/* All arrays are copied. Edges stay inside of a segment and go from lower to higher numbers. */
typedef struct fol_dag_graph {
    uint32_t node_count;
    const uint32_t *successor_starts; /* node_count + 1 */
    const uint32_t *successors;
    const uint8_t *in_lane; /* one a node; NULL: none */
} fol_dag_graph;

typedef struct fol_dag_calls {
    void *state;
    /* Starts a node. 0: it has ended. Else the number of pieces, each of which is to be run exactly
     * once, and then end. */
    uint32_t (*begin)(void *state, uint32_t node, uint32_t worker);
    void (*run_piece)(void *state, uint32_t node, uint32_t piece, uint32_t worker);
    void (*end)(void *state, uint32_t node, uint32_t worker);
    /* Round a stretch of nodes of the lane on one worker; may be NULL. leave is called before the
     * worker looks for anything else, and before it searches or parks. */
    void (*leave_lane)(void *state, uint32_t worker);
} fol_dag_calls;

/* The lane of a team, which every dag of the team shares: it is the team's source, so it is made
 * first and goes into the team's config. */
typedef struct fol_lane fol_lane;
int fol_lane_create(uint32_t capacity, fol_lane **out);
void fol_lane_destroy(fol_lane *lane);
fol_team_source fol_lane_source(fol_lane *lane);

/* lane may be NULL when no node is in it. -ENOMEM; -EINVAL for edges that do not rise. */
int fol_dag_create(fol_team *team, fol_lane *lane, const fol_dag_graph *graph,
                   const fol_dag_calls *calls, fol_dag **out);
void fol_dag_destroy(fol_dag *dag);
/* Costs in any one unit; decides who starts first. Between runs. */
void fol_dag_set_costs(fol_dag *dag, const double *costs);
/* The longest way through nodes [first, end) by those costs. */
double fol_dag_span(const fol_dag *dag, uint32_t first, uint32_t end);
void fol_dag_run(fol_dag *dag, uint32_t first, uint32_t end);

#endif
