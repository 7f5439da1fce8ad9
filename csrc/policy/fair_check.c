/* What must hold of a fair queue between its calls; fair_queue.h has the rules. */

#include "policy/fair_points.h"

/* What is found by looking at everybody. */
typedef struct counts {
    fol_int128 sum;
    uint64_t weight;
    uint32_t delayed;
} counts;

static void check_counted(const fol_fair_queue *queue, uint32_t id, counts *found)
{
    const fol_fair_node *node = &queue->store->nodes[id];
    const uint64_t v = fol_fair_v(queue, id);
    const int64_t ahead = (int64_t)(v - queue->average.zero);
    FOL_ASSERT(node->weight >= 1 && node->weight <= FOL_FAIR_MAX_WEIGHT);
    FOL_ASSERT(node->remainder < node->weight);
    FOL_ASSERT(node->request >= 1 && node->request <= queue->largest);
    FOL_ASSERT(ahead <= FOL_FAIR_REACH && ahead >= -FOL_FAIR_REACH);
    FOL_ASSERT(fol_fair_is_earlier(v, node->deadline));
    FOL_ASSERT(!fol_fair_is_earlier(v, node->start));
    FOL_ASSERT(fol_fair_is_textbook(queue) || queue->store->rests[id].done == 0);
    found->sum += (fol_int128)ahead * node->weight;
    found->weight += node->weight;
    found->delayed += node->state == FOL_FAIR_DELAYED;
}

void fol_fair_queue_invariants(const fol_fair_queue *queue)
{
    const fol_fair_node *nodes = queue->store->nodes;
    const fol_fair_rest *rests = queue->store->rests;
    counts found = {0};
    fol_fair_tree_invariants(&queue->tree, nodes);
    uint32_t id = fol_fair_tree_first(&queue->tree, nodes);
    while (id != FOL_FAIR_NONE) {
        FOL_ASSERT(id < queue->store->capacity);
        FOL_ASSERT(nodes[id].state == FOL_FAIR_QUEUED || nodes[id].state == FOL_FAIR_DELAYED);
        check_counted(queue, id, &found);
        id = fol_fair_tree_next(nodes, id);
    }
    id = queue->running;
    for (uint32_t i = 0; i < queue->running_count; i++) {
        FOL_ASSERT(nodes[id].state == FOL_FAIR_RUNNING);
        FOL_ASSERT(rests[rests[id].next].previous == id);
        check_counted(queue, id, &found);
        id = rests[id].next;
    }
    FOL_ASSERT(id == queue->running);
    FOL_ASSERT((queue->running == FOL_FAIR_NONE) == (queue->running_count == 0));
    FOL_ASSERT(found.sum == queue->average.sum && found.weight == queue->average.weight);
    FOL_ASSERT(found.delayed == queue->delayed_count);
    FOL_ASSERT(queue->average.zero == (uint64_t)queue->zero_total);
}
