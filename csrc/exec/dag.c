/* Making a dag: its nodes, and their order of urgency. dag_run.c runs it. */

#include "exec/dag.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "exec/dag_state.h"
#include "exec/urgency.h"

static bool graph_is_valid(const fol_dag_graph *graph)
{
    uint32_t first = 0;
    for (uint32_t s = 0; s < graph->segment_count; s++) {
        uint32_t end = graph->segment_ends[s];
        if (end < first || end > graph->node_count) {
            return false;
        }
        for (uint32_t node = first; node < end; node++) {
            for (uint32_t i = graph->successor_starts[node]; i < graph->successor_starts[node + 1];
                 i++) {
                if (graph->successors[i] <= node || graph->successors[i] >= end) {
                    return false;
                }
            }
        }
        first = end;
    }
    return first == graph->node_count;
}

static int allocate(fol_dag *dag, uint32_t nodes, uint32_t edges, uint32_t segments)
{
    dag->nodes = fol_alloc_aligned(sizeof(*dag->nodes) * (nodes == 0 ? 1 : nodes));
    dag->segments = fol_alloc_zeroed(segments, sizeof(*dag->segments));
    dag->successors = fol_alloc_array(edges, sizeof(*dag->successors));
    dag->predecessor_starts = fol_alloc_zeroed((size_t)nodes + 1, sizeof(uint32_t));
    dag->predecessors = fol_alloc_array(edges, sizeof(*dag->predecessors));
    dag->order = fol_alloc_array(nodes, sizeof(*dag->order));
    dag->cursors = fol_alloc_array(nodes, sizeof(*dag->cursors));
    dag->lane_nodes = fol_alloc_array(nodes, sizeof(*dag->lane_nodes));
    dag->roots = fol_alloc_array(nodes, sizeof(fol_job *));
    dag->urgency = fol_alloc_array(nodes, sizeof(*dag->urgency));
    dag->costs = fol_alloc_zeroed(nodes, sizeof(*dag->costs));
    bool has_all = dag->nodes != NULL && dag->segments != NULL && dag->successors != NULL &&
                   dag->predecessor_starts != NULL && dag->predecessors != NULL &&
                   dag->order != NULL && dag->cursors != NULL && dag->lane_nodes != NULL &&
                   dag->roots != NULL && dag->urgency != NULL && dag->costs != NULL;
    return has_all ? 0 : -ENOMEM;
}

/* The graph turned round; cursors are scratch. */
static void find_predecessors(fol_dag *dag, const fol_dag_graph *graph)
{
    uint32_t edges = graph->node_count == 0 ? 0 : graph->successor_starts[graph->node_count];
    uint32_t *starts = dag->predecessor_starts;
    for (uint32_t i = 0; i < edges; i++) {
        starts[graph->successors[i] + 1]++;
    }
    for (uint32_t node = 0; node < graph->node_count; node++) {
        starts[node + 1] += starts[node];
        dag->cursors[node] = starts[node];
    }
    for (uint32_t node = 0; node < graph->node_count; node++) {
        for (uint32_t i = graph->successor_starts[node]; i < graph->successor_starts[node + 1];
             i++) {
            dag->predecessors[dag->cursors[graph->successors[i]]++] = node;
        }
    }
}

static void make_nodes(fol_dag *dag, const fol_dag_graph *graph)
{
    for (uint32_t i = 0; i < graph->node_count; i++) {
        fol_dag_node *node = &dag->nodes[i];
        uint32_t predecessors = dag->predecessor_starts[i + 1] - dag->predecessor_starts[i];
        *node = (fol_dag_node){
            .job = {fol_dag_run_job},
            .dag = dag,
            .index = i,
            .predecessor_count = predecessors,
            .first_successor = graph->successor_starts[i],
            .successor_count = graph->successor_starts[i + 1] - graph->successor_starts[i],
            .is_in_lane = graph->in_lane != NULL && graph->in_lane[i] != 0,
            .is_cheap_in_lane = graph->in_lane != NULL && graph->in_lane[i] == 2};
        atomic_init(&node->pending, predecessors);
        atomic_init(&node->next_piece, 0);
        atomic_init(&node->pieces_left, 0);
    }
    uint32_t first = 0;
    for (uint32_t s = 0; s < graph->segment_count; s++) {
        fol_dag_segment *segment = &dag->segments[s];
        segment->first = first;
        segment->end = graph->segment_ends[s];
        for (uint32_t i = first; i < segment->end; i++) {
            segment->lane_count += dag->nodes[i].is_in_lane;
        }
        first = segment->end;
    }
}

static uint32_t largest_lane(const fol_dag *dag)
{
    uint32_t largest = 0;
    for (uint32_t s = 0; s < dag->segment_count; s++) {
        uint32_t count = dag->segments[s].lane_count;
        largest = count > largest ? count : largest;
    }
    return largest;
}

int fol_dag_create(fol_team *team, fol_dag_hub *hub, const fol_dag_graph *graph,
                   const fol_dag_calls *calls, fol_dag **out)
{
    if (!graph_is_valid(graph)) {
        return -EINVAL;
    }
    FOL_ASSERT(fol_team_worker_count(team) <= hub->place_count);
    fol_dag *dag = fol_alloc_zeroed(1, sizeof(*dag));
    if (dag == NULL) {
        return -ENOMEM;
    }
    uint32_t edges = graph->node_count == 0 ? 0 : graph->successor_starts[graph->node_count];
    int status = allocate(dag, graph->node_count, edges, graph->segment_count);
    if (status != 0) {
        goto fail;
    }
    dag->team = team;
    dag->hub = hub;
    dag->calls = *calls;
    dag->node_count = graph->node_count;
    dag->segment_count = graph->segment_count;
    find_predecessors(dag, graph);
    make_nodes(dag, graph);
    status = fol_lane_reserve(&hub->lane, largest_lane(dag));
    if (status != 0) {
        goto fail;
    }
    if (edges > 0) {
        memcpy(dag->successors, graph->successors, edges * sizeof(*dag->successors));
    }
    fol_dag_use_costs(dag, NULL, 0.0);
    *out = dag;
    return 0;

fail:
    fol_dag_destroy(dag);
    return status;
}

void fol_dag_destroy(fol_dag *dag)
{
    if (dag == NULL) {
        return;
    }
    fol_free(dag->nodes);
    fol_free(dag->segments);
    fol_free(dag->successors);
    fol_free(dag->predecessor_starts);
    fol_free(dag->predecessors);
    fol_free(dag->order);
    fol_free(dag->cursors);
    fol_free(dag->lane_nodes);
    fol_free(dag->roots);
    fol_free(dag->urgency);
    fol_free(dag->costs);
    fol_free(dag);
}

/* Urgencies from the last node to the first, and the spans. */
void fol_dag_use_costs(fol_dag *dag, const double *costs, double small)
{
    for (uint32_t s = 0; s < dag->segment_count; s++) {
        fol_dag_segment *segment = &dag->segments[s];
        double longest = 0.0;
        double lane = 0.0;
        segment->is_trifles = segment->lane_count == 0;
        for (uint32_t i = segment->end; i > segment->first; i--) {
            fol_dag_node *node = &dag->nodes[i - 1];
            double cost = costs == NULL ? 1.0 : costs[i - 1];
            const uint32_t *successors = &dag->successors[node->first_successor];
            double after = 0.0;
            for (uint32_t k = 0; k < node->successor_count; k++) {
                double way = dag->urgency[successors[k]];
                after = way > after ? way : after;
            }
            dag->urgency[i - 1] = cost + after;
            longest = cost + after > longest ? cost + after : longest;
            lane += node->is_in_lane && !node->is_cheap_in_lane ? cost : 0.0;
            node->is_small = costs != NULL && cost > 0.0 && cost < small;
            segment->is_trifles = segment->is_trifles && node->is_small;
        }
        segment->span = longest > lane ? longest : lane;
    }
    dag->order_is_stale = true;
}

void fol_dag_set_costs(fol_dag *dag, const double *costs, double small)
{
    dag->has_costs = true;
    fol_dag_use_costs(dag, costs, small);
}

double fol_dag_span(const fol_dag *dag, uint32_t segment)
{
    FOL_ASSERT(segment < dag->segment_count);
    return dag->segments[segment].span;
}

void fol_dag_put_in_order(fol_dag *dag)
{
    uint32_t root_count = 0;
    uint32_t lane_count = 0;
    for (uint32_t i = 0; i < dag->node_count; i++) {
        dag->order[i] = i;
        dag->cursors[i] = dag->nodes[i].first_successor;
    }
    for (uint32_t s = 0; s < dag->segment_count; s++) {
        fol_dag_segment *segment = &dag->segments[s];
        fol_sort_by_urgency(&dag->order[segment->first], segment->end - segment->first,
                            dag->urgency);
        segment->first_root = root_count;
        segment->first_lane = lane_count;
        for (uint32_t at = segment->first; at < segment->end; at++) {
            uint32_t i = dag->order[at];
            fol_dag_node *node = &dag->nodes[i];
            /* Each node in the order of urgency goes to the end of its predecessors' lists. */
            for (uint32_t k = dag->predecessor_starts[i]; k < dag->predecessor_starts[i + 1]; k++) {
                dag->successors[dag->cursors[dag->predecessors[k]]++] = i;
            }
            if (node->is_in_lane) {
                node->lane_rank = lane_count - segment->first_lane;
                dag->lane_nodes[lane_count] = i;
                lane_count++;
            } else if (node->predecessor_count == 0) {
                dag->roots[root_count] = &node->job;
                root_count++;
            }
        }
        segment->root_count = root_count - segment->first_root;
        FOL_ASSERT(lane_count - segment->first_lane == segment->lane_count);
    }
    dag->order_is_stale = false;
}
