/* The fair queue's questions: who preempts, how long may one go on, and what everybody is owed;
 * fair_queue.h has the rules.
 */

#include "policy/fair_points.h"

/* Until here one that runs is protected, as far as it is eligible. */
static uint64_t protected_until(const fol_fair_queue *queue, uint32_t id)
{
    const fol_fair_node *nodes = queue->store->nodes;
    const fol_fair_rest *rest = &queue->store->rests[id];
    const uint32_t root = queue->tree.root;
    if (root == FOL_FAIR_NONE || nodes[root].shortest >= nodes[id].request) {
        return rest->switched_vd;
    }
    const uint64_t earlier =
        rest->switched_v + fol_fair_units(nodes[root].shortest, nodes[id].weight);
    return fol_fair_is_earlier(earlier, rest->switched_vd) ? earlier : rest->switched_vd;
}

static bool is_protected(const fol_fair_queue *queue, uint32_t id)
{
    return !fol_fair_is_textbook(queue) &&
           fol_fair_is_earlier(fol_fair_v(queue, id), protected_until(queue, id));
}

uint32_t fol_fair_queue_should_preempt(fol_fair_queue *queue, uint32_t current)
{
    const fol_fair_node *nodes = queue->store->nodes;
    FOL_ASSERT(current < queue->store->capacity);
    FOL_ASSERT(nodes[current].state == FOL_FAIR_RUNNING || nodes[current].state == FOL_FAIR_QUEUED);
    /* Each time round one leaves, which moves V, or it ends. */
    while (true) {
        const bool is_eligible = fol_fair_average_reaches(&queue->average, nodes[current].start);
        if (is_eligible && is_protected(queue, current)) {
            return FOL_FAIR_NONE;
        }
        const uint32_t id = fol_fair_tree_find(&queue->tree, nodes, &queue->average);
        if (id == FOL_FAIR_NONE || id == current) {
            return FOL_FAIR_NONE;
        }
        if (is_eligible && fol_fair_tree_is_before(&queue->tree, nodes, current, id)) {
            return FOL_FAIR_NONE;
        }
        if (nodes[id].state != FOL_FAIR_DELAYED) {
            return id;
        }
        fol_fair_end_delay(queue, id);
    }
}

/* The least time after which a charge has added `units` to v. */
static int64_t time_to_add(const fol_fair_node *node, fol_int128 units)
{
    const fol_int128 needed = units * node->weight - node->remainder;
    const fol_int128 one = (fol_int128)1 << FOL_FAIR_SHIFT;
    const fol_int128 time = fol_fair_divide(needed + one - 1, one);
    return time < 1 ? 1 : time > INT64_MAX ? INT64_MAX : (int64_t)time;
}

/* Until one that is eligible no longer is, by its own running. */
static int64_t time_to_ineligible(const fol_fair_queue *queue, const fol_fair_node *node)
{
    const fol_fair_average *average = &queue->average;
    const int64_t others = (int64_t)(average->weight - node->weight);
    if (others == 0) {
        return INT64_MAX;
    }
    const int64_t ahead = (int64_t)(node->start - average->zero);
    const fol_int128 owed = average->sum - (fol_int128)ahead * (int64_t)average->weight;
    FOL_ASSERT_HOT(owed >= 0);
    return time_to_add(node, owed / others + 1);
}

/* Until V reaches the least start of those who wait, by one's running. */
static int64_t time_to_another(const fol_fair_queue *queue, const fol_fair_node *node)
{
    const fol_fair_average *average = &queue->average;
    const uint64_t least = queue->store->nodes[queue->tree.root].least;
    const int64_t ahead = (int64_t)(least - average->zero);
    const fol_int128 missing = (fol_int128)ahead * (int64_t)average->weight - average->sum;
    return time_to_add(node, fol_fair_divide(missing + node->weight - 1, node->weight));
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t fol_fair_queue_until_preempt(const fol_fair_queue *queue, uint32_t current)
{
    const fol_fair_node *node = &queue->store->nodes[current];
    FOL_ASSERT(node->state == FOL_FAIR_RUNNING || node->state == FOL_FAIR_QUEUED);
    const uint32_t itself = node->state == FOL_FAIR_QUEUED;
    if (fol_fair_queue_queued(queue) == itself) {
        return INT64_MAX;
    }
    const uint64_t v = fol_fair_v(queue, current);
    const int64_t served = time_to_add(node, (int64_t)(node->deadline - v));
    if (fol_fair_is_textbook(queue)) {
        return queue->config.quantum > 0 ? lesser(served, queue->config.quantum) : served;
    }
    if (!fol_fair_average_reaches(&queue->average, node->start)) {
        return time_to_another(queue, node);
    }
    const int64_t ineligible = time_to_ineligible(queue, node);
    if (is_protected(queue, current)) {
        const uint64_t end = protected_until(queue, current);
        return lesser(ineligible, time_to_add(node, (int64_t)(end - v)));
    }
    return queue->config.tick > 0 ? queue->config.tick : lesser(ineligible, served);
}

int64_t fol_fair_queue_lag_units(const fol_fair_queue *queue, uint32_t id)
{
    FOL_ASSERT(id < queue->store->capacity);
    if (!fol_fair_is_counted(fol_fair_queue_state(queue, id))) {
        return queue->store->rests[id].lag;
    }
    return (int64_t)(fol_fair_floor(queue) - fol_fair_v(queue, id));
}

int64_t fol_fair_queue_deadline_units(const fol_fair_queue *queue, uint32_t id)
{
    FOL_ASSERT(id < queue->store->capacity);
    FOL_ASSERT(fol_fair_is_counted(fol_fair_queue_state(queue, id)));
    return (int64_t)(queue->store->nodes[id].deadline - fol_fair_floor(queue));
}

/* Units as a number in the unit of virtual time. */
static double in_virtual_time(const fol_fair_queue *queue, double units)
{
    const int shift = fol_fair_is_textbook(queue) ? FOL_FAIR_SHIFT : FOL_FAIR_SHIFT - 10;
    return units / (double)(1 << shift);
}

double fol_fair_queue_lag(const fol_fair_queue *queue, uint32_t id)
{
    FOL_ASSERT(id < queue->store->capacity);
    const fol_fair_average *average = &queue->average;
    if (!fol_fair_is_counted(fol_fair_queue_state(queue, id))) {
        return in_virtual_time(queue, (double)queue->store->rests[id].lag);
    }
    const fol_fair_node *node = &queue->store->nodes[id];
    const int64_t ahead = (int64_t)(fol_fair_v(queue, id) - average->zero);
    const fol_int128 owed = average->sum - (fol_int128)ahead * (int64_t)average->weight;
    const double carried = (double)node->remainder / node->weight;
    return in_virtual_time(queue, (double)owed / (double)average->weight - carried);
}

fol_int128 fol_fair_queue_virtual_units(const fol_fair_queue *queue)
{
    return queue->zero_total + (int64_t)(fol_fair_floor(queue) - queue->average.zero);
}

double fol_fair_queue_virtual_time(const fol_fair_queue *queue)
{
    const fol_fair_average *average = &queue->average;
    double units = (double)queue->zero_total;
    if (average->weight > 0) {
        const fol_int128 whole = average->sum / (int64_t)average->weight;
        const fol_int128 part = average->sum % (int64_t)average->weight;
        units = (double)(queue->zero_total + whole) + (double)part / (double)average->weight;
    }
    return in_virtual_time(queue, units);
}
