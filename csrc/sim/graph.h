/* Inside a task graph: edges both ways as rows of one array, and the longest ways to the end.
 *
 * Invariant: `order` is every task once, each after all its predecessors; upward[i] is cost[i] plus
 * the largest upward of a successor, so along every edge upward falls by at least the cost.
 */
#ifndef FOL_SIM_GRAPH_H
#define FOL_SIM_GRAPH_H

#include "foliot/sim_graph.h"

/* One direction of the edges: those of task i are ends[first[i] .. first[i + 1]). */
typedef struct fol_graph_edges {
    uint64_t *first;
    uint32_t *ends;
} fol_graph_edges;

struct fol_sim_graph {
    uint32_t count;
    uint32_t lane_count;
    int64_t work;
    int64_t critical_path;
    int64_t busiest_lane;
    int64_t *costs;
    uint32_t *lanes; /* NULL: none */
    fol_graph_edges before;
    fol_graph_edges after; /* successors, each row by rising id */
    uint32_t *order;
    int64_t *upward;
};

static inline uint64_t fol_graph_degree(const fol_graph_edges *edges, uint32_t task)
{
    return edges->first[task + 1] - edges->first[task];
}

/* Walks everything; for tests. */
void fol_sim_graph_invariants(const fol_sim_graph *graph);

#endif
