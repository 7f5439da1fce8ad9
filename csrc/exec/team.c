/* Making and ending teams, and reading what their workers did. */

#include "exec/team.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/fork.h"
#include "exec/worker.h"

#define DEFAULT_DEQUE_CAPACITY    1024u
#define DEFAULT_INJECTOR_CAPACITY 1024u
#define DEFAULT_STEAL_BATCH       8u
/* Half of the bounds: long enough to meet quick successors, and soon unlearnt. */
#define FIRST_SPIN_LIMIT_NS 25000u
#define FIRST_LOOK_LIMIT_NS 500000u

static int init_worker(fol_team *team, uint32_t place, const fol_team_config *config)
{
    fol_worker *worker = &team->workers[place];
    uint32_t capacity =
        config->deque_capacity == 0 ? DEFAULT_DEQUE_CAPACITY : config->deque_capacity;
    memset(worker, 0, sizeof(*worker));
    int status = fol_deque_init(&worker->deque, capacity);
    if (status != 0) {
        return status;
    }
    worker->team = team;
    worker->place = place;
    worker->spin_limit_ns = FIRST_SPIN_LIMIT_NS;
    worker->look_limit_ns = FIRST_LOOK_LIMIT_NS;
    worker->idle_start_ns = fol_exec_now_ns();
    worker->state_start = fol_cycles_now();
    fol_rng_init(&worker->rng, config->seed + place);
    fol_event_count_init(&worker->joined);
    fol_atomic_init(&worker->processor, -1);
    fol_atomic_init(&worker->chosen_spins, FOL_SPINS_LEARNT);
    return 0;
}

static void deinit_workers(fol_team *team, uint32_t count)
{
    for (uint32_t place = 0; place < count; place++) {
        fol_deque_deinit(&team->workers[place].deque);
    }
}

static int init_workers(fol_team *team, const fol_team_config *config)
{
    /* Both are multiples of a cache line, which keeps the workers aligned. */
    team->workers = fol_alloc_aligned(config->workers * sizeof(fol_worker));
    if (team->workers == NULL) {
        return -ENOMEM;
    }
    for (uint32_t place = 0; place < config->workers; place++) {
        int status = init_worker(team, place, config);
        if (status != 0) {
            deinit_workers(team, place);
            fol_free(team->workers);
            return status;
        }
    }
    return 0;
}

/* All places but the caller's are free. */
static void init_places(fol_team *team)
{
    for (uint32_t place = 1; place < team->worker_count; place++) {
        uint64_t bits = fol_atomic_load(&team->free_places[place / 64], memory_order_relaxed);
        fol_atomic_init(&team->free_places[place / 64], bits | UINT64_C(1) << (place % 64));
    }
}

static bool config_is_valid(const fol_team_config *config)
{
    return config->workers >= 1 && config->workers <= FOL_TEAM_MAX_WORKERS &&
           (config->source.take == NULL) == (config->source.is_ready == NULL) &&
           (config->poll == NULL || config->poll_ns > 0);
}

int fol_team_create(fol_pool *pool, const fol_team_config *config, fol_team **out)
{
    if (!config_is_valid(config)) {
        return -EINVAL;
    }
    fol_team *team = fol_alloc_aligned(sizeof(*team));
    if (team == NULL) {
        return -ENOMEM;
    }
    memset(team, 0, sizeof(*team));
    team->pool = pool;
    team->generation = fol_fork_generation();
    team->worker_count = config->workers;
    team->steal_batch = config->steal_batch == 0 ? DEFAULT_STEAL_BATCH : config->steal_batch;
    team->source = config->source;
    team->poll = config->poll;
    team->poll_state = config->poll_state;
    team->poll_ns = config->poll_ns;
    team->trace = config->trace;
    fol_event_count_init(&team->caller.event);
    fol_event_count_init(&team->nested.event);
    init_places(team);
    uint32_t capacity =
        config->injector_capacity == 0 ? DEFAULT_INJECTOR_CAPACITY : config->injector_capacity;
    int status = fol_injector_init(&team->injector, capacity);
    if (status != 0) {
        goto fail_injector;
    }
    status = init_workers(team, config);
    if (status != 0) {
        goto fail_workers;
    }
    fol_worker_order_victims(&team->workers[0]);
    status = fol_pool_add_team(pool, team, &team->entry);
    if (status != 0) {
        goto fail_entry;
    }
    *out = team;
    return 0;

fail_entry:
    deinit_workers(team, team->worker_count);
    fol_free(team->workers);
fail_workers:
    fol_injector_deinit(&team->injector);
fail_injector:
    fol_free(team);
    return status;
}

static bool has_helpers(const fol_team *team)
{
    for (uint32_t place = 1; place < team->worker_count; place++) {
        /* Acquire pairs with the release in leave_place (idle.c): the helper has gone. */
        uint64_t bits = fol_atomic_load(&team->free_places[place / 64], memory_order_acquire);
        if ((bits >> (place % 64) & 1) == 0) {
            return true;
        }
    }
    return false;
}

void fol_team_destroy(fol_team *team)
{
    /* In a forked child nobody else is there, and nobody will ever leave. */
    if (team->generation == fol_fork_generation()) {
        /* Helpers that find nothing look at this each time, so they are gone soon. */
        fol_atomic_store(&team->is_closing, true, memory_order_relaxed);
        fol_pool_remove_team(team->entry);
        while (has_helpers(team)) {
            sched_yield();
        }
    }
    deinit_workers(team, team->worker_count);
    fol_free(team->workers);
    fol_injector_deinit(&team->injector);
    fol_free(team);
}

uint32_t fol_team_worker_count(const fol_team *team)
{
    return team->worker_count;
}

fol_worker *fol_team_worker(fol_team *team, uint32_t place)
{
    FOL_ASSERT(place < team->worker_count);
    return &team->workers[place];
}

uint32_t fol_worker_place(const fol_worker *worker)
{
    return worker->place;
}

fol_team *fol_worker_team(const fol_worker *worker)
{
    return worker->team;
}

void fol_team_choose_victims(fol_team *team, uint32_t place, const uint32_t *order, uint32_t count)
{
    FOL_ASSERT(place < team->worker_count && count < team->worker_count);
    fol_worker *worker = &team->workers[place];
    for (uint32_t i = 0; i < count; i++) {
        FOL_ASSERT(order[i] < team->worker_count && order[i] != place);
        fol_atomic_store(&worker->chosen[i], (uint8_t)order[i], memory_order_relaxed);
    }
    /* Release pairs with the acquire in fol_worker_order_victims: who sees the count sees the
     * places. One that reads while they change again gets a mixture, each of which is a place. */
    fol_atomic_store(&worker->chosen_count, count, memory_order_release);
}

void fol_team_choose_spins(fol_team *team, uint32_t place, uint32_t rounds)
{
    FOL_ASSERT(place < team->worker_count);
    fol_atomic_store(&team->workers[place].chosen_spins, rounds, memory_order_relaxed);
}

bool fol_team_is_hot(const fol_team *team)
{
    return fol_atomic_load(&team->searchers, memory_order_relaxed) != 0;
}

bool fol_team_caller_is_busy(const fol_team *team)
{
    return fol_atomic_load(&team->caller_is_busy, memory_order_relaxed);
}

static uint64_t read(const FOL_ATOMIC(uint64_t) * number)
{
    return fol_atomic_load(number, memory_order_relaxed);
}

void fol_team_read_worker(const fol_team *team, uint32_t place, fol_worker_counters *out)
{
    FOL_ASSERT(place < team->worker_count);
    const fol_worker *worker = &team->workers[place];
    const fol_worker_numbers *numbers = &worker->numbers;
    *out = (fol_worker_counters){
        .jobs = read(&numbers->jobs),
        .stolen = read(&numbers->stolen),
        .steal_attempts = read(&numbers->steal_attempts),
        .steal_misses = read(&numbers->steal_misses),
        .contended = read(&numbers->contended),
        .batches = read(&numbers->batches),
        .largest_batch = read(&numbers->largest_batch),
        .injected = read(&numbers->injected),
        .spins = read(&numbers->spins),
        .yields = read(&numbers->yields),
        .parks = read(&numbers->parks),
        .wakes_sent = read(&numbers->wakes_sent),
        .wakes_saved = read(&numbers->wakes_saved),
        .joins = read(&numbers->joins),
        .busy_cycles = read(&numbers->busy_cycles),
        .idle_cycles = read(&numbers->idle_cycles),
        .queue_depth = fol_deque_public_count(&worker->deque),
    };
}
