/* The fair queue as others meet it: for one processor, with a store of its own; foliot/fair.h has
 * the contract, policy/fair_queue.h the rules.
 */

#include "foliot/fair.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/status.h"
#include "policy/fair_queue.h"

struct fol_fair {
    fol_fair_store store;
    fol_fair_queue queue;
    int64_t *ranks;
    uint32_t current; /* who was picked, or FOL_FAIR_NONE */
};

int fol_fair_create(const fol_fair_config *config, uint32_t capacity, fol_fair **out)
{
    if (fol_fair_config_check(config) < 0) {
        return FOL_E_VALUE;
    }
    fol_fair *fair = fol_alloc_zeroed(1, sizeof(*fair));
    if (fair == NULL) {
        return -ENOMEM;
    }
    fair->current = FOL_FAIR_NONE;
    fol_fair_queue_init(&fair->queue, config, &fair->store);
    const int status = fol_fair_reserve(fair, capacity);
    if (status < 0) {
        fol_fair_destroy(fair);
        return status;
    }
    *out = fair;
    return 0;
}

void fol_fair_destroy(fol_fair *fair)
{
    if (fair != NULL) {
        fol_fair_store_deinit(&fair->store);
        fol_free(fair->ranks);
        fol_free(fair);
    }
}

int fol_fair_reserve(fol_fair *fair, uint32_t capacity)
{
    const uint32_t before = fair->store.capacity;
    if (capacity > FOL_FAIR_MAX_RUNNABLES) {
        return FOL_E_CAPACITY;
    }
    if (capacity <= before) {
        return 0;
    }
    int64_t *ranks = fol_realloc_array(fair->ranks, capacity, sizeof(*ranks));
    if (ranks == NULL) {
        return -ENOMEM;
    }
    memset(&ranks[before], 0, (capacity - before) * sizeof(*ranks));
    fair->ranks = ranks;
    fair->queue.tree.ranks = ranks;
    return fol_fair_store_reserve(&fair->store, capacity);
}

static fol_fair_state state_of(const fol_fair *fair, uint32_t id)
{
    return id < fair->store.capacity ? fol_fair_queue_state(&fair->queue, id) : FOL_FAIR_ABSENT;
}

int fol_fair_set_rank(fol_fair *fair, uint32_t id, int64_t rank)
{
    if (id >= fair->store.capacity) {
        return FOL_E_CAPACITY;
    }
    if (state_of(fair, id) != FOL_FAIR_ABSENT) {
        return FOL_E_MISSING;
    }
    fair->ranks[id] = rank;
    return 0;
}

int64_t fol_fair_rank(const fol_fair *fair, uint32_t id)
{
    FOL_ASSERT(id < fair->store.capacity);
    return fair->ranks[id];
}

/* One that was away comes back, perhaps with another weight and request. */
static int come_back(fol_fair *fair, uint32_t id, int64_t weight, int64_t request)
{
    fol_fair_queue *queue = &fair->queue;
    const fol_fair_node node_before = fair->store.nodes[id];
    const fol_fair_rest rest_before = fair->store.rests[id];
    const int64_t largest_before = queue->largest;
    const int64_t asked = request == 0 ? fol_fair_queue_slice(queue, FOL_FAIR_NORMAL) : request;
    if (asked < 1 || asked > FOL_FAIR_MAX_TIME) {
        return FOL_E_VALUE;
    }
    int status = fol_fair_queue_reweight(queue, id, weight);
    if (status < 0) {
        return status;
    }
    status = fol_fair_queue_set_request(queue, id, asked);
    FOL_ASSERT(status == 0);
    status = fol_fair_queue_wake(queue, id);
    if (status < 0) {
        /* Only one that is asleep can be refused, and nothing else depends on what it has. */
        FOL_ASSERT(node_before.state == FOL_FAIR_ASLEEP);
        fair->store.nodes[id] = node_before;
        fair->store.rests[id] = rest_before;
        queue->largest = largest_before;
    }
    return status;
}

int fol_fair_join(fol_fair *fair, uint32_t id, int64_t weight, int64_t request)
{
    const fol_fair_state state = state_of(fair, id);
    if (state == FOL_FAIR_ASLEEP || state == FOL_FAIR_DELAYED) {
        return come_back(fair, id, weight, request);
    }
    return fol_fair_queue_join(&fair->queue, id, weight, request);
}

int fol_fair_leave(fol_fair *fair, uint32_t id)
{
    const int status = fol_fair_queue_sleep(&fair->queue, id);
    if (status == 0 && fair->current == id) {
        fair->current = FOL_FAIR_NONE;
    }
    return status;
}

int fol_fair_forget(fol_fair *fair, uint32_t id)
{
    if (id >= fair->store.capacity) {
        return FOL_E_CAPACITY;
    }
    fol_fair_queue_leave(&fair->queue, id);
    if (fair->current == id) {
        fair->current = FOL_FAIR_NONE;
    }
    return 0;
}

int fol_fair_reweight(fol_fair *fair, uint32_t id, int64_t weight)
{
    return fol_fair_queue_reweight(&fair->queue, id, weight);
}

uint32_t fol_fair_pick(fol_fair *fair)
{
    fol_fair_queue *queue = &fair->queue;
    uint32_t next = FOL_FAIR_NONE;
    if (fair->current == FOL_FAIR_NONE) {
        next = fol_fair_queue_pick(queue);
    } else {
        next = fol_fair_queue_should_preempt(queue, fair->current);
        if (next == FOL_FAIR_NONE) {
            return fair->current;
        }
        fol_fair_queue_put_back(queue, fair->current);
    }
    if (next != FOL_FAIR_NONE) {
        fol_fair_queue_set_running(queue, next);
    }
    fair->current = next;
    return next;
}

int fol_fair_account(fol_fair *fair, uint32_t id, int64_t ran)
{
    return fol_fair_queue_account(&fair->queue, id, ran);
}

int64_t fol_fair_until(const fol_fair *fair)
{
    return fair->current == FOL_FAIR_NONE
               ? INT64_MAX
               : fol_fair_queue_until_preempt(&fair->queue, fair->current);
}

bool fol_fair_has(const fol_fair *fair, uint32_t id)
{
    const fol_fair_state state = state_of(fair, id);
    return state == FOL_FAIR_QUEUED || state == FOL_FAIR_RUNNING;
}

bool fol_fair_knows(const fol_fair *fair, uint32_t id)
{
    return state_of(fair, id) != FOL_FAIR_ABSENT;
}

uint32_t fol_fair_count(const fol_fair *fair)
{
    return fol_fair_queue_queued(&fair->queue) + fair->queue.running_count;
}

double fol_fair_lag(const fol_fair *fair, uint32_t id)
{
    return fol_fair_queue_lag(&fair->queue, id);
}

double fol_fair_virtual_time(const fol_fair *fair)
{
    return fol_fair_queue_virtual_time(&fair->queue);
}

void fol_fair_invariants(const fol_fair *fair)
{
    fol_fair_queue_invariants(&fair->queue);
    FOL_ASSERT(fair->queue.running_count == (fair->current != FOL_FAIR_NONE));
    FOL_ASSERT(fair->current == FOL_FAIR_NONE || fair->queue.running == fair->current);
}
