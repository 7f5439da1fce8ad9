/* The fair queue's steps: pick, switch, charge; fair_queue.h has the rules, fair_place.c the rest.
 */

#include "policy/fair_queue.h"

#include <string.h>

#include "base/memory.h"
#include "policy/fair_points.h"

/* V may be this far after v0 before that follows. */
#define FOLLOW_SHIFT 56

void fol_fair_config_default(fol_fair_config *out)
{
    *out = (fol_fair_config){.slices = {750000, 3000000, 12000000}};
}

static bool is_time(int64_t time, int64_t least)
{
    return time >= least && time <= FOL_FAIR_MAX_TIME;
}

int fol_fair_config_check(const fol_fair_config *config)
{
    for (int latency = 0; latency < FOL_FAIR_CLASS_COUNT; latency++) {
        if (!is_time(config->slices[latency], 1)) {
            return FOL_E_VALUE;
        }
    }
    const bool is_mode = config->mode == FOL_FAIR_LINUX || config->mode == FOL_FAIR_TEXTBOOK;
    return is_mode && is_time(config->tick, 0) && is_time(config->quantum, 0) ? 0 : FOL_E_VALUE;
}

int fol_fair_store_init(fol_fair_store *store, uint32_t capacity)
{
    *store = (fol_fair_store){0};
    return fol_fair_store_reserve(store, capacity);
}

int fol_fair_store_reserve(fol_fair_store *store, uint32_t capacity)
{
    if (capacity > FOL_FAIR_MAX_RUNNABLES) {
        return FOL_E_CAPACITY;
    }
    if (capacity <= store->capacity) {
        return 0;
    }
    fol_fair_node *nodes = fol_alloc_aligned((size_t)capacity * sizeof(*nodes));
    if (nodes == NULL) {
        return -ENOMEM;
    }
    fol_fair_rest *rests = fol_realloc_array(store->rests, capacity, sizeof(*rests));
    if (rests == NULL) {
        fol_free(nodes);
        return -ENOMEM;
    }
    const size_t more = capacity - store->capacity;
    if (store->capacity > 0) {
        memcpy(nodes, store->nodes, store->capacity * sizeof(*nodes));
    }
    memset(&nodes[store->capacity], 0, more * sizeof(*nodes));
    memset(&rests[store->capacity], 0, more * sizeof(*rests));
    fol_free(store->nodes);
    *store = (fol_fair_store){.nodes = nodes, .rests = rests, .capacity = capacity};
    return 0;
}

void fol_fair_store_deinit(fol_fair_store *store)
{
    fol_free(store->nodes);
    fol_free(store->rests);
    *store = (fol_fair_store){0};
}

void fol_fair_queue_init(fol_fair_queue *queue, const fol_fair_config *config,
                         fol_fair_store *store)
{
    FOL_ASSERT(fol_fair_config_check(config) == 0);
    *queue = (fol_fair_queue){.store = store, .config = *config, .running = FOL_FAIR_NONE};
    fol_fair_tree_init(&queue->tree, config->mode == FOL_FAIR_TEXTBOOK);
    for (int latency = 0; latency < FOL_FAIR_CLASS_COUNT; latency++) {
        const int64_t slice = config->slices[latency];
        queue->largest = slice > queue->largest ? slice : queue->largest;
    }
}

static void move_zero(fol_fair_queue *queue, uint64_t to)
{
    fol_fair_average *average = &queue->average;
    const int64_t by = (int64_t)(to - average->zero);
    average->sum -= (fol_int128)by * (int64_t)average->weight;
    average->zero = to;
    queue->zero_total += by;
}

/* The earliest start of those who are counted; there are some. */
static uint64_t least_start(const fol_fair_queue *queue)
{
    const fol_fair_store *store = queue->store;
    const uint32_t root = queue->tree.root;
    uint64_t least =
        root != FOL_FAIR_NONE ? store->nodes[root].least : store->nodes[queue->running].start;
    uint32_t id = queue->running;
    for (uint32_t i = 0; i < queue->running_count; i++) {
        const uint64_t start = store->nodes[id].start;
        least = fol_fair_is_earlier(start, least) ? start : least;
        id = store->rests[id].next;
    }
    return least;
}

void fol_fair_follow(fol_fair_queue *queue)
{
    const fol_fair_average *average = &queue->average;
    if (FOL_LIKELY(average->sum >> FOLLOW_SHIFT <= (fol_int128)average->weight) ||
        average->weight == 0) {
        return;
    }
    const uint64_t farthest = least_start(queue) + (uint64_t)FOL_FAIR_REACH;
    const uint64_t floor = fol_fair_floor(queue);
    const uint64_t to = fol_fair_is_earlier(farthest, floor) ? farthest : floor;
    if (fol_fair_is_earlier(average->zero, to)) {
        move_zero(queue, to);
    }
}

void fol_fair_count_in(fol_fair_queue *queue, uint32_t id)
{
    fol_fair_average *average = &queue->average;
    const uint32_t weight = queue->store->nodes[id].weight;
    average->sum += (fol_int128)(int64_t)(fol_fair_v(queue, id) - average->zero) * weight;
    average->weight += weight;
}

void fol_fair_count_out(fol_fair_queue *queue, uint32_t id)
{
    fol_fair_average *average = &queue->average;
    const uint32_t weight = queue->store->nodes[id].weight;
    const uint64_t v = fol_fair_v(queue, id);
    FOL_ASSERT(average->weight >= weight);
    average->sum -= (fol_int128)(int64_t)(v - average->zero) * weight;
    average->weight -= weight;
    if (average->weight == 0) {
        FOL_ASSERT_HOT(average->sum == 0);
        move_zero(queue, v);
    }
}

void fol_fair_link(fol_fair_queue *queue, uint32_t id)
{
    fol_fair_rest *rests = queue->store->rests;
    const uint32_t other = queue->running == FOL_FAIR_NONE ? id : queue->running;
    if (other == id) {
        rests[id].previous = id;
    }
    rests[id].next = other;
    rests[id].previous = rests[other].previous;
    rests[rests[other].previous].next = id;
    rests[other].previous = id;
    queue->running = id;
    queue->running_count++;
}

void fol_fair_unlink(fol_fair_queue *queue, uint32_t id)
{
    fol_fair_rest *rests = queue->store->rests;
    FOL_ASSERT_HOT(queue->running_count > 0);
    const uint32_t next = rests[id].next;
    rests[next].previous = rests[id].previous;
    rests[rests[id].previous].next = next;
    queue->running_count--;
    queue->running = queue->running_count == 0 ? FOL_FAIR_NONE : next;
}

uint32_t fol_fair_queue_pick(fol_fair_queue *queue)
{
    const fol_fair_node *nodes = queue->store->nodes;
    /* Each time round one leaves, or it ends. */
    while (queue->tree.count > 0) {
        uint32_t id = fol_fair_tree_find(&queue->tree, nodes, &queue->average);
        if (id == FOL_FAIR_NONE) {
            id = fol_fair_tree_find_least(&queue->tree, nodes);
        }
        if (nodes[id].state != FOL_FAIR_DELAYED) {
            return id;
        }
        fol_fair_end_delay(queue, id);
    }
    return FOL_FAIR_NONE;
}

void fol_fair_queue_switch_in(fol_fair_queue *queue, uint32_t id)
{
    const fol_fair_node *node = &queue->store->nodes[id];
    fol_fair_rest *rest = &queue->store->rests[id];
    rest->switched_v = node->start;
    rest->switched_vd = node->deadline;
}

void fol_fair_queue_take_out(fol_fair_queue *queue, uint32_t id)
{
    fol_fair_node *nodes = queue->store->nodes;
    FOL_ASSERT(id < queue->store->capacity);
    FOL_ASSERT(nodes[id].state == FOL_FAIR_QUEUED);
    fol_fair_tree_remove(&queue->tree, nodes, id);
    nodes[id].state = FOL_FAIR_RUNNING;
    fol_fair_link(queue, id);
}

void fol_fair_queue_set_running(fol_fair_queue *queue, uint32_t id)
{
    fol_fair_queue_take_out(queue, id);
    fol_fair_queue_switch_in(queue, id);
}

void fol_fair_queue_put_back(fol_fair_queue *queue, uint32_t id)
{
    fol_fair_node *nodes = queue->store->nodes;
    FOL_ASSERT(id < queue->store->capacity);
    FOL_ASSERT(nodes[id].state == FOL_FAIR_RUNNING);
    fol_fair_unlink(queue, id);
    nodes[id].state = FOL_FAIR_QUEUED;
    fol_fair_tree_insert(&queue->tree, nodes, id);
}

static bool is_served(const fol_fair_node *node, uint64_t v)
{
    return !fol_fair_is_earlier(v, node->deadline);
}

static void advance(fol_fair_queue *queue, uint32_t id, uint64_t by)
{
    fol_fair_node *nodes = queue->store->nodes;
    fol_fair_node *node = &nodes[id];
    fol_fair_rest *rest = &queue->store->rests[id];
    const bool is_in_tree = node->state == FOL_FAIR_QUEUED;
    const bool is_textbook = fol_fair_is_textbook(queue);
    const uint64_t v = fol_fair_v(queue, id) + by;
    if (is_served(node, v)) {
        if (is_in_tree) {
            fol_fair_tree_remove(&queue->tree, nodes, id);
        }
        node->start = v;
        node->deadline = v + fol_fair_units(node->request, node->weight);
        if (is_textbook) {
            rest->done = 0;
        }
        if (is_in_tree) {
            fol_fair_tree_insert(&queue->tree, nodes, id);
        }
    } else if (is_textbook) {
        rest->done += by;
    } else if (is_in_tree) {
        fol_fair_tree_restart(&queue->tree, nodes, id, v);
    } else {
        node->start = v;
    }
}

/* A charge that is worked out. */
typedef struct charge {
    uint64_t by; /* units */
    uint32_t remainder;
} charge;

static int work_out(fol_fair_queue *queue, uint32_t id, int64_t ran, charge *out)
{
    if (id >= queue->store->capacity) {
        return FOL_E_CAPACITY;
    }
    const fol_fair_node *node = &queue->store->nodes[id];
    if (node->state != FOL_FAIR_RUNNING && node->state != FOL_FAIR_QUEUED) {
        return FOL_E_MISSING;
    }
    const int64_t quantum = queue->config.quantum;
    if (!is_time(ran, 0) || (fol_fair_is_textbook(queue) && quantum > 0 && ran > quantum)) {
        return FOL_E_VALUE;
    }
    fol_fair_follow(queue);
    const uint64_t product = ((uint64_t)ran << FOL_FAIR_SHIFT) + node->remainder;
    const uint64_t by = product / node->weight;
    const int64_t ahead = (int64_t)(fol_fair_v(queue, id) + by - queue->average.zero);
    if (FOL_UNLIKELY(ahead > FOL_FAIR_REACH)) {
        return -EOVERFLOW;
    }
    *out = (charge){.by = by, .remainder = (uint32_t)(product - by * node->weight)};
    return 0;
}

int fol_fair_queue_can_account(fol_fair_queue *queue, uint32_t id, int64_t ran)
{
    charge unused;
    return work_out(queue, id, ran, &unused);
}

int fol_fair_queue_account(fol_fair_queue *queue, uint32_t id, int64_t ran)
{
    charge worked_out;
    const int status = work_out(queue, id, ran, &worked_out);
    if (status < 0) {
        return status;
    }
    fol_fair_node *node = &queue->store->nodes[id];
    node->remainder = worked_out.remainder;
    queue->average.sum += (fol_int128)(int64_t)worked_out.by * node->weight;
    advance(queue, id, worked_out.by);
    return 0;
}
