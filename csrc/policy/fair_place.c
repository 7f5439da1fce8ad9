/* The fair queue's places: who joins, wakes, sleeps, leaves, changes weight or queue; fair_queue.h
 * has the rules.
 *
 * What may be refused is worked out before anything is changed.
 */

#include "policy/fair_points.h"

/* The farthest that a kept lag may be from 0. */
static int64_t lag_limit(const fol_fair_queue *queue, uint32_t weight)
{
    const uint64_t longest = (uint64_t)(queue->largest + queue->config.tick);
    return (int64_t)((longest << FOL_FAIR_SHIFT) / weight);
}

static int64_t hold(const fol_fair_queue *queue, uint32_t weight, int64_t lag)
{
    const int64_t limit = lag_limit(queue, weight);
    return lag > limit ? limit : lag < -limit ? -limit : lag;
}

static int64_t held_lag(const fol_fair_queue *queue, uint32_t id)
{
    return hold(queue, queue->store->nodes[id].weight, fol_fair_queue_lag_units(queue, id));
}

/* value * old / new, rounded down. */
static int64_t scale(int64_t value, uint32_t old_weight, uint32_t new_weight)
{
    return (int64_t)fol_fair_divide((fol_int128)value * old_weight, new_weight);
}

/* Where one with a kept lag comes in. -EOVERFLOW. */
static int find_place(fol_fair_queue *queue, uint32_t weight, int64_t lag, uint64_t *out)
{
    fol_fair_follow(queue);
    const fol_fair_average *average = &queue->average;
    const int64_t total = (int64_t)average->weight;
    if (total == 0) {
        *out = average->zero;
        return 0;
    }
    const fol_int128 above = average->sum - (fol_int128)lag * (total + weight);
    const fol_int128 ahead = fol_fair_divide(above, total);
    if (ahead > FOL_FAIR_REACH || ahead < -FOL_FAIR_REACH) {
        return -EOVERFLOW;
    }
    *out = average->zero + (uint64_t)ahead;
    return 0;
}

/* Queued at v with a deadline `units` after it, at least one. */
static void enter(fol_fair_queue *queue, uint32_t id, uint64_t v, uint64_t units)
{
    fol_fair_node *node = &queue->store->nodes[id];
    node->start = v;
    node->deadline = v + (units > 0 ? units : 1);
    node->remainder = 0;
    node->state = FOL_FAIR_QUEUED;
    queue->store->rests[id].done = 0;
    fol_fair_count_in(queue, id);
    fol_fair_tree_insert(&queue->tree, queue->store->nodes, id);
}

static bool is_in_tree(fol_fair_state state)
{
    return state == FOL_FAIR_QUEUED || state == FOL_FAIR_DELAYED;
}

/* Out of the tree or from among those who run. */
static void detach(fol_fair_queue *queue, uint32_t id)
{
    const fol_fair_state state = fol_fair_queue_state(queue, id);
    if (is_in_tree(state)) {
        fol_fair_tree_remove(&queue->tree, queue->store->nodes, id);
        queue->delayed_count -= state == FOL_FAIR_DELAYED;
    } else if (state == FOL_FAIR_RUNNING) {
        fol_fair_unlink(queue, id);
    }
}

/* No longer counted; asleep with this lag. */
static void fall_asleep(fol_fair_queue *queue, uint32_t id, int64_t lag)
{
    detach(queue, id);
    fol_fair_count_out(queue, id);
    queue->store->nodes[id].state = FOL_FAIR_ASLEEP;
    queue->store->rests[id].lag = lag;
    queue->store->rests[id].deadline_kept = 0;
}

static bool is_weight(int64_t weight)
{
    return weight >= 1 && weight <= FOL_FAIR_MAX_WEIGHT;
}

int fol_fair_queue_join(fol_fair_queue *queue, uint32_t id, int64_t weight, int64_t request)
{
    if (id >= queue->store->capacity) {
        return FOL_E_CAPACITY;
    }
    fol_fair_node *node = &queue->store->nodes[id];
    if (node->state != FOL_FAIR_ABSENT) {
        return FOL_E_MISSING;
    }
    if (!is_weight(weight) || request < 0 || request > FOL_FAIR_MAX_TIME) {
        return FOL_E_VALUE;
    }
    uint64_t v = 0;
    const int status = find_place(queue, (uint32_t)weight, 0, &v);
    if (status < 0) {
        return status;
    }
    node->weight = (uint32_t)weight;
    node->request = request == 0 ? queue->config.slices[FOL_FAIR_NORMAL] : request;
    queue->largest = node->request > queue->largest ? node->request : queue->largest;
    queue->store->rests[id] = (fol_fair_rest){0};
    /* Half of a time that is odd is not a whole number, half of its units is. */
    const uint32_t parts = fol_fair_is_textbook(queue) ? 1 : 2;
    enter(queue, id, v, fol_fair_units(node->request, node->weight * parts));
    return 0;
}

static int wake_asleep(fol_fair_queue *queue, uint32_t id)
{
    const fol_fair_node *node = &queue->store->nodes[id];
    const fol_fair_rest *rest = &queue->store->rests[id];
    uint64_t v = 0;
    const int status = find_place(queue, node->weight, rest->lag, &v);
    if (status < 0) {
        return status;
    }
    const uint64_t whole = fol_fair_units(node->request, node->weight);
    enter(queue, id, v, rest->deadline_kept > 0 ? (uint64_t)rest->deadline_kept : whole);
    return 0;
}

/* One that is owed something by now does not keep it: it slept meanwhile. */
static void wake_delayed(fol_fair_queue *queue, uint32_t id)
{
    fol_fair_node *node = &queue->store->nodes[id];
    const fol_fair_average *average = &queue->average;
    const int64_t ahead = (int64_t)(node->start - average->zero);
    const bool is_owed = (fol_int128)ahead * (int64_t)average->weight < average->sum;
    if (!is_owed) {
        node->state = FOL_FAIR_QUEUED;
        queue->delayed_count--;
        return;
    }
    fall_asleep(queue, id, 0);
    const int status = wake_asleep(queue, id);
    FOL_ASSERT(status == 0); /* an average is within reach */
}

int fol_fair_queue_wake(fol_fair_queue *queue, uint32_t id)
{
    if (id >= queue->store->capacity) {
        return FOL_E_CAPACITY;
    }
    const fol_fair_state state = fol_fair_queue_state(queue, id);
    if (state == FOL_FAIR_ASLEEP) {
        return wake_asleep(queue, id);
    }
    if (state != FOL_FAIR_DELAYED) {
        return FOL_E_MISSING;
    }
    wake_delayed(queue, id);
    return 0;
}

int fol_fair_queue_sleep(fol_fair_queue *queue, uint32_t id)
{
    if (id >= queue->store->capacity) {
        return FOL_E_CAPACITY;
    }
    fol_fair_node *node = &queue->store->nodes[id];
    const fol_fair_state state = fol_fair_queue_state(queue, id);
    if (state != FOL_FAIR_QUEUED && state != FOL_FAIR_RUNNING) {
        return FOL_E_MISSING;
    }
    if (fol_fair_is_textbook(queue)) {
        fol_fair_queue_leave(queue, id);
        return 0;
    }
    if (fol_fair_average_reaches(&queue->average, node->start)) {
        fall_asleep(queue, id, held_lag(queue, id));
        return 0;
    }
    if (state == FOL_FAIR_RUNNING) {
        fol_fair_queue_put_back(queue, id);
    }
    node->state = FOL_FAIR_DELAYED;
    queue->delayed_count++;
    return 0;
}

void fol_fair_end_delay(fol_fair_queue *queue, uint32_t id)
{
    FOL_ASSERT(fol_fair_queue_state(queue, id) == FOL_FAIR_DELAYED);
    const int64_t lag = held_lag(queue, id);
    fall_asleep(queue, id, lag < 0 ? lag : 0);
}

void fol_fair_queue_leave(fol_fair_queue *queue, uint32_t id)
{
    FOL_ASSERT(id < queue->store->capacity);
    if (fol_fair_is_counted(fol_fair_queue_state(queue, id))) {
        fall_asleep(queue, id, 0);
    }
    queue->store->nodes[id].state = FOL_FAIR_ABSENT;
}

/* A point moved to where another weight has it: as far from V, by old / new. */
static uint64_t scaled_point(uint64_t point, uint64_t v, uint32_t old_weight, uint32_t new_weight)
{
    return v + (uint64_t)scale((int64_t)(point - v), old_weight, new_weight);
}

static int reweight_counted(fol_fair_queue *queue, uint32_t id, uint32_t weight)
{
    fol_fair_node *nodes = queue->store->nodes;
    fol_fair_node *node = &nodes[id];
    fol_fair_rest *rest = &queue->store->rests[id];
    const uint32_t old_weight = node->weight;
    const uint64_t average = fol_fair_floor(queue);
    const uint64_t v = average - (uint64_t)scale(held_lag(queue, id), old_weight, weight);
    const int64_t ahead = (int64_t)(v - queue->average.zero);
    if (ahead > FOL_FAIR_REACH || ahead < -FOL_FAIR_REACH) {
        return -EOVERFLOW;
    }
    const bool has_place = is_in_tree(fol_fair_queue_state(queue, id));
    if (has_place) {
        fol_fair_tree_remove(&queue->tree, nodes, id);
    }
    const uint64_t deadline = scaled_point(node->deadline, average, old_weight, weight);
    fol_fair_count_out(queue, id);
    rest->done = (uint64_t)scale((int64_t)rest->done, old_weight, weight);
    rest->switched_v = scaled_point(rest->switched_v, average, old_weight, weight);
    rest->switched_vd = scaled_point(rest->switched_vd, average, old_weight, weight);
    node->weight = weight;
    node->remainder = 0;
    node->start = v - rest->done;
    node->deadline = fol_fair_is_earlier(v, deadline) ? deadline : v + 1;
    fol_fair_count_in(queue, id);
    if (has_place) {
        fol_fair_tree_insert(&queue->tree, nodes, id);
    }
    return 0;
}

int fol_fair_queue_reweight(fol_fair_queue *queue, uint32_t id, int64_t weight)
{
    if (id >= queue->store->capacity) {
        return FOL_E_CAPACITY;
    }
    fol_fair_node *node = &queue->store->nodes[id];
    fol_fair_rest *rest = &queue->store->rests[id];
    if (node->state == FOL_FAIR_ABSENT) {
        return FOL_E_MISSING;
    }
    if (!is_weight(weight)) {
        return FOL_E_VALUE;
    }
    if (weight == node->weight) {
        return 0;
    }
    if (node->state != FOL_FAIR_ASLEEP) {
        return reweight_counted(queue, id, (uint32_t)weight);
    }
    rest->lag = scale(rest->lag, node->weight, (uint32_t)weight);
    rest->deadline_kept = scale(rest->deadline_kept, node->weight, (uint32_t)weight);
    node->weight = (uint32_t)weight;
    return 0;
}

int fol_fair_queue_set_request(fol_fair_queue *queue, uint32_t id, int64_t request)
{
    if (id >= queue->store->capacity) {
        return FOL_E_CAPACITY;
    }
    fol_fair_node *nodes = queue->store->nodes;
    const fol_fair_state state = fol_fair_queue_state(queue, id);
    if (state == FOL_FAIR_ABSENT) {
        return FOL_E_MISSING;
    }
    if (request < 1 || request > FOL_FAIR_MAX_TIME) {
        return FOL_E_VALUE;
    }
    if (is_in_tree(state)) {
        fol_fair_tree_remove(&queue->tree, nodes, id);
    }
    nodes[id].request = request;
    queue->largest = request > queue->largest ? request : queue->largest;
    if (is_in_tree(state)) {
        fol_fair_tree_insert(&queue->tree, nodes, id);
    }
    return 0;
}

int fol_fair_queue_migrate(fol_fair_queue *from, fol_fair_queue *to, uint32_t id)
{
    FOL_ASSERT(from->store == to->store && from != to);
    FOL_ASSERT(from->config.mode == to->config.mode);
    if (id >= from->store->capacity) {
        return FOL_E_CAPACITY;
    }
    const fol_fair_node *node = &from->store->nodes[id];
    fol_fair_rest *rest = &from->store->rests[id];
    const fol_fair_state state = fol_fair_queue_state(from, id);
    if (state == FOL_FAIR_ABSENT || state == FOL_FAIR_RUNNING) {
        return FOL_E_MISSING;
    }
    const int64_t largest = node->request > to->largest ? node->request : to->largest;
    if (state == FOL_FAIR_DELAYED) {
        fol_fair_end_delay(from, id);
    } else if (state == FOL_FAIR_QUEUED) {
        const int64_t lag = held_lag(from, id);
        uint64_t v = 0;
        const int status = find_place(to, node->weight, lag, &v);
        if (status < 0) {
            return status;
        }
        const uint64_t rest_of_request = node->deadline - fol_fair_v(from, id);
        fall_asleep(from, id, lag);
        enter(to, id, v, rest_of_request);
    }
    to->largest = largest;
    rest->lag = hold(to, node->weight, rest->lag);
    return 0;
}
