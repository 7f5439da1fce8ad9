/* Explicit constraints as a graph whose nodes are systems and the two ends of sets.
 *
 * Everything a set holds stands between its entry and its exit, so a constraint between sets is one
 * edge, whatever their sizes. The order is acyclic exactly when this graph is. Where sets are
 * folded, a set with one member is that member, and sets that stand in no constraint have no nodes.
 */
#ifndef FOL_SCHEDULE_CONSTRAINTS_H
#define FOL_SCHEDULE_CONSTRAINTS_H

#include "schedule/schedule_state.h"

typedef struct fol_constraints {
    uint32_t node_count;
    uint32_t system_count; /* nodes below are systems, by id */
    uint32_t *entries;     /* per set: its first node, or FOL_NONE */
    uint32_t *exits;
    size_t *first; /* per node, and one past: where its successors stand in `next` */
    uint32_t *next;
    uint32_t *sorted;    /* nodes, before their successors */
    uint32_t *positions; /* the inverse */
} fol_constraints;

/* Sets are folded, or each has both ends and an edge from entry to exit. -ENOMEM. */
int fol_constraints_init(fol_constraints *graph, const fol_schedule *schedule, bool fold_sets);
void fol_constraints_deinit(fol_constraints *graph);

/* Fills `sorted` and `positions`; the number of nodes sorted, all of them unless there is a cycle.
 */
uint32_t fol_constraints_sort(fol_constraints *graph, uint32_t *degrees);

/* Looks for a system that is ordered before another one whose phase comes earlier; the graph is
 * sorted, `latest` is scratch of one item a node. */
bool fol_constraints_cross_phases(const fol_constraints *graph, const fol_catalog *catalog,
                                  uint32_t *latest, uint32_t *before, uint32_t *after);

#endif
