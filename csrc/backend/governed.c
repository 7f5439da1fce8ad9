/* A governor's life, its lock and its clock; governed_run.c runs phases. */

#include "backend/governed.h"

#include <errno.h>

#include "backend/governed_state.h"
#include "base/memory.h"
#include "foliot/status.h"

static bool is_mine(fol_governor *governor)
{
    /* Acquire pairs with the release in own: who sees the flag sees whose it is. Only this thread
     * writes its own name, and takes the flag back before it unlocks. */
    return atomic_load_explicit(&governor->is_owned, memory_order_acquire) &&
           pthread_equal(atomic_load_explicit(&governor->owner, memory_order_relaxed),
                         pthread_self()) != 0;
}

void fol_governor_own(fol_governor *governor)
{
    atomic_store_explicit(&governor->owner, pthread_self(), memory_order_relaxed);
    /* Release pairs with the acquire in is_mine. */
    atomic_store_explicit(&governor->is_owned, true, memory_order_release);
}

void fol_governor_disown(fol_governor *governor)
{
    atomic_store_explicit(&governor->is_owned, false, memory_order_relaxed);
}

void fol_governor_take(fol_governor *governor)
{
    uint64_t waited = 0;
    bool has_waited = pthread_mutex_trylock(&governor->mutex) != 0;
    if (has_waited) {
        uint64_t start = fol_clock_monotonic.now_ns(NULL);
        pthread_mutex_lock(&governor->mutex);
        waited = fol_clock_monotonic.now_ns(NULL) - start;
    }
    fol_governor_own(governor);
    governor->counts.locks += 1;
    governor->counts.lock_waits += has_waited;
    governor->counts.lock_wait_ns += waited;
}

void fol_governor_give(fol_governor *governor)
{
    fol_governor_disown(governor);
    pthread_mutex_unlock(&governor->mutex);
}

int fol_governor_lock(fol_governor *governor, int64_t *now)
{
    if (is_mine(governor)) {
        return FOL_E_BUSY;
    }
    int64_t read = fol_governor_read_clock(governor);
    fol_governor_take(governor);
    *now = fol_governor_go_to(governor, read);
    return FOL_OK;
}

void fol_governor_unlock(fol_governor *governor)
{
    FOL_ASSERT(is_mine(governor));
    fol_governor_give(governor);
}

fol_dispatcher *fol_governor_dispatcher(fol_governor *governor)
{
    FOL_ASSERT(is_mine(governor));
    return governor->dispatcher;
}

int64_t fol_governor_read_clock(const fol_governor *governor)
{
    uint64_t now = governor->clock.now_ns(governor->clock.state);
    return now < (uint64_t)FOL_BUDGET_MAX_TIME ? (int64_t)now : FOL_BUDGET_MAX_TIME;
}

void fol_governor_tell_gone(fol_governor *governor)
{
    FOL_ASSERT(is_mine(governor));
    governor->has_gone = true;
    fol_governor_wake_all(governor);
}

void fol_governor_wake_all(fol_governor *governor)
{
    if (governor->sleepers == 0) {
        governor->counts.wakes_saved += 1;
        return;
    }
    governor->counts.wakes_sent += 1;
    pthread_cond_broadcast(&governor->changed);
}

void fol_governor_read_attribution(const fol_governor *governor, fol_attribution *out)
{
    FOL_ASSERT(governor->counts.lock_waits <= governor->counts.locks);
    *out = governor->counts;
    fol_dispatcher_choices(governor->dispatcher, &out->choices);
}

void fol_governor_restrict(fol_governor *governor)
{
    FOL_ASSERT(is_mine(governor));
    governor->is_restricted = true;
}

void fol_governor_forget(fol_governor *governor, uint32_t runnable)
{
    fol_lane_job *lane = &governor->lanes[runnable];
    FOL_ASSERT(is_mine(governor) && !lane->is_used);
    governor->leftovers -= lane->has_job;
    *lane = (fol_lane_job){0};
}

static int allocate(fol_governor *governor)
{
    uint32_t workers = governor->workers;
    uint32_t capacity = governor->capacity;
    governor->lanes = fol_alloc_zeroed(capacity, sizeof(*governor->lanes));
    governor->queue = fol_alloc_zeroed(capacity, sizeof(*governor->queue));
    governor->blocked = fol_alloc_zeroed(capacity, sizeof(*governor->blocked));
    governor->times = fol_alloc_zeroed(workers, sizeof(*governor->times));
    governor->helpers = fol_alloc_zeroed(workers, sizeof(*governor->helpers));
    bool has_all = governor->lanes != NULL && governor->queue != NULL &&
                   governor->blocked != NULL && governor->times != NULL &&
                   governor->helpers != NULL;
    return has_all ? FOL_OK : -ENOMEM;
}

static void init_lock(fol_governor *governor)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&governor->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&governor->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

int fol_governor_create(const fol_governor_config *config, fol_governor **out)
{
    FOL_ASSERT(config->dispatcher.cpus >= 1 && config->dispatcher.capacity >= 1);
    fol_governor *governor = fol_alloc_zeroed(1, sizeof(*governor));
    if (governor == NULL) {
        return -ENOMEM;
    }
    init_lock(governor);
    governor->workers = config->dispatcher.cpus;
    governor->capacity = config->dispatcher.capacity;
    governor->clock = config->clock;
    governor->is_real = config->clock.now_ns == fol_clock_monotonic.now_ns;
    governor->calls = config->calls;
    fol_latch_init(&governor->latch, 0);
    int status = allocate(governor);
    if (status == FOL_OK) {
        status = fol_dispatcher_create(&config->dispatcher, &governor->dispatcher);
    }
    if (status != FOL_OK) {
        fol_governor_destroy(governor);
        return status;
    }
    *out = governor;
    return FOL_OK;
}

void fol_governor_destroy(fol_governor *governor)
{
    if (governor == NULL) {
        return;
    }
    fol_dispatcher_destroy(governor->dispatcher);
    fol_free(governor->lanes);
    fol_free(governor->queue);
    fol_free(governor->blocked);
    fol_free(governor->times);
    fol_free(governor->helpers);
    pthread_cond_destroy(&governor->changed);
    pthread_mutex_destroy(&governor->mutex);
    fol_free(governor);
}
