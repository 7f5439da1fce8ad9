/* The pool engine: its life, jobs and completions; see pool.h. */
#include "io/pool.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/fork.h"
#include "base/memory.h"
#include "foliot/status.h"

#define DEFAULT_THREADS   16u
#define DEFAULT_IDLE_NS   UINT64_C(1000000000)
#define DEFAULT_IN_FLIGHT 65536u
/* More are never of use, and make a size that cannot overflow. */
#define THREADS_MAX   4096u
#define IN_FLIGHT_MAX (1u << 24)
#define BLOCK_JOBS    256u
#define FIRST_ROOM    2048u
#define EVENTS        64
/* Calls in place in one turn. */
#define TURN_CALLS 64u
/* Batches beside the crew in one wait that has something to give. */
#define HELP_BATCHES 32u

struct fol_io_job_block {
    fol_io_job_block *next;
    fol_io_job jobs[BLOCK_JOBS];
};

/* Pools that a thread is still inside of, and that are never freed: here, so that what searches for
 * leaks finds them. Nobody goes over the list, so its order with anything else is of no account. */
static FOL_ATOMIC(fol_io_pool *) abandoned_pools;

static fol_io_pool *pool_of(fol_io_engine *engine)
{
    return (fol_io_pool *)(void *)engine;
}

void fol_io_pool_count_call(fol_io_pool *pool)
{
    fol_atomic_fetch_add(&pool->engine.counters.system_calls, 1, memory_order_relaxed);
}

/* Those of the epoll set are counted by it. */
static void count_calls_of_readiness(fol_io_pool *pool)
{
    fol_atomic_fetch_add(&pool->engine.counters.system_calls, pool->readiness.system_calls,
                         memory_order_relaxed);
    pool->readiness.system_calls = 0;
}

static fol_io_job **chain_of(fol_io_pool *pool, uint64_t token)
{
    uint64_t mixed = token * UINT64_C(0x9e3779b97f4a7c15);
    return &pool->chains[mixed >> 52];
}

static void link_token(fol_io_pool *pool, fol_io_job *job)
{
    fol_io_job **link = chain_of(pool, job->token);
    job->chain = *link;
    job->chain_link = link;
    if (job->chain != NULL) {
        job->chain->chain_link = &job->chain;
    }
    *link = job;
}

static void unlink_token(fol_io_job *job)
{
    *job->chain_link = job->chain;
    if (job->chain != NULL) {
        job->chain->chain_link = job->chain_link;
    }
}

/* -ENOMEM: there is no free job and no memory for more. */
static int make_jobs(fol_io_pool *pool)
{
    if (pool->free_jobs != NULL) {
        return 0;
    }
    fol_io_job_block *block = fol_alloc_zeroed(1, sizeof(*block));
    if (block == NULL) {
        return -ENOMEM;
    }
    block->next = pool->blocks;
    pool->blocks = block;
    for (uint32_t i = 0; i < BLOCK_JOBS; i++) {
        block->jobs[i].next = pool->free_jobs;
        pool->free_jobs = &block->jobs[i];
    }
    return 0;
}

/* Room for the last outcome of one more job. */
static int make_room(fol_io_pool *pool)
{
    if (pool->engine.in_flight + 1 + FOL_IO_POOL_PIECES <= pool->outcome_room) {
        return 0;
    }
    uint32_t room = pool->outcome_room != 0 ? pool->outcome_room * 2 : FIRST_ROOM;
    fol_io_outcome *outcomes = fol_alloc_array(room, sizeof(*outcomes));
    if (outcomes == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = pool->outcome_first; i != pool->outcome_end; i++) {
        outcomes[i & (room - 1)] = pool->outcomes[i & (pool->outcome_room - 1)];
    }
    fol_free(pool->outcomes);
    pool->outcomes = outcomes;
    pool->outcome_room = room;
    return 0;
}

static void put_outcome(fol_io_pool *pool, const fol_io_job *job, const fol_io_event *event)
{
    FOL_ASSERT(pool->outcome_end - pool->outcome_first < pool->outcome_room);
    fol_io_outcome *outcome = &pool->outcomes[pool->outcome_end & (pool->outcome_room - 1)];
    outcome->event = *event;
    outcome->opened = fol_io_job_opened(job, event->value);
    pool->outcome_end += 1;
}

void fol_io_pool_give_piece(fol_io_pool *pool, const fol_io_job *job, int64_t value, int32_t buffer)
{
    FOL_ASSERT(pool->pieces < FOL_IO_POOL_PIECES);
    fol_io_event event = {.token = job->token, .value = value, .has_more = true, .buffer = buffer};
    if (buffer >= 0) {
        event.data = pool->buffers + (size_t)buffer * FOL_IO_POOL_BUFFER_SIZE;
    }
    put_outcome(pool, job, &event);
    pool->pieces += 1;
}

void fol_io_pool_end(fol_io_pool *pool, fol_io_job *job, int64_t value)
{
    if (job->place == FOL_IO_PLACE_STANDING) {
        fol_io_readiness_leave(&pool->readiness, job);
    }
    FOL_ASSERT(job->place == FOL_IO_PLACE_NONE);
    fol_io_event event = {.token = job->token, .value = value, .buffer = -1};
    put_outcome(pool, job, &event);
    unlink_token(job);
    job->next = pool->free_jobs;
    pool->free_jobs = job;
}

static int start(fol_io_engine *engine, const fol_io_request *request, uint64_t token)
{
    fol_io_pool *pool = pool_of(engine);
    const fol_io_operation *row = fol_io_operation_of(request->kind);
    if (row == NULL || row->call == NULL || (request->flags & FOL_IO_DIRECT) != 0) {
        return -EOPNOTSUPP;
    }
    bool is_path = fol_io_is_path_request(request);
    if (is_path && (request->handle == 0 || request->offset == FOL_IO_CURRENT ||
                    (request->flags & FOL_IO_VECTORS) != 0)) {
        return -EOPNOTSUPP;
    }
    if (engine->in_flight >= engine->in_flight_bound) {
        return -EBUSY;
    }
    if (make_jobs(pool) != 0 || make_room(pool) != 0) {
        return -ENOMEM;
    }
    fol_io_job *job = pool->free_jobs;
    pool->free_jobs = job->next;
    *job = (fol_io_job){.request = request, .token = token};
    if (is_path) {
        *fol_io_whole_of(request) = (fol_io_whole){.opened = -1};
    }
    link_token(pool, job);
    fol_io_jobs_append(&pool->fresh, job, FOL_IO_PLACE_FRESH);
    engine->in_flight += 1;
    fol_atomic_fetch_add(&engine->counters.started, 1, memory_order_relaxed);
    return FOL_OK;
}

/* Hands over what is for threads; with none at all it is the driving thread's. */
static void hand_over(fol_io_pool *pool)
{
    fol_io_job *job = pool->leaving.first;
    uint32_t count = pool->leaving.count;
    if (count == 0) {
        return;
    }
    if (pool->is_waiting && count == 1 && pool->handed == 0 && !job->is_slow) {
        job = fol_io_jobs_pop(&pool->leaving);
        fol_io_jobs_append(&pool->own, job, FOL_IO_PLACE_OWN);
        return;
    }
    for (; job != NULL; job = job->next) {
        job->is_handed = true;
    }
    if (fol_io_crew_hand_over(&pool->crew, &pool->leaving, pool->is_waiting)) {
        pool->handed += count;
        return;
    }
    while ((job = fol_io_jobs_pop(&pool->leaving)) != NULL) {
        job->is_handed = false;
        /* Then it has to wait for others after all. */
        fol_io_jobs_append(&pool->own, job, FOL_IO_PLACE_OWN);
    }
}

static bool has_own_work(const fol_io_pool *pool)
{
    return pool->fresh.count != 0 || pool->own.count != 0 ||
           (pool->starved.count != 0 && pool->free_buffer_count != 0);
}

/* What there is to do without waiting. */
static void take_turn(fol_io_pool *pool)
{
    fol_io_job *job = NULL;
    uint32_t fed = pool->starved.count < pool->free_buffer_count ? pool->starved.count
                                                                 : pool->free_buffer_count;
    for (; fed != 0; fed--) {
        job = fol_io_jobs_pop(&pool->starved);
        fol_io_jobs_append(&pool->fresh, job, FOL_IO_PLACE_FRESH);
    }
    /* Those that come again are for the next turn. */
    for (uint32_t rest = pool->fresh.count; rest != 0; rest--) {
        job = fol_io_jobs_pop(&pool->fresh);
        fol_io_pool_begin(pool, job);
    }
    hand_over(pool);
    uint32_t calls = pool->own.count < TURN_CALLS ? pool->own.count : TURN_CALLS;
    for (; calls != 0; calls--) {
        fol_io_pool_run(pool, fol_io_jobs_pop(&pool->own));
    }
    hand_over(pool);
    count_calls_of_readiness(pool);
    if (has_own_work(pool)) {
        fol_io_crew_signal(&pool->crew, false);
    }
}

static int flush(fol_io_engine *engine)
{
    fol_io_pool *pool = pool_of(engine);
    if (has_own_work(pool)) {
        take_turn(pool);
    }
    return FOL_OK;
}

/* Takes what threads have ended. */
static void look(fol_io_pool *pool)
{
    fol_io_jobs ended = {0};
    fol_io_job *job = NULL;
    bool was_woken = false;
    fol_io_crew_look(&pool->crew, &ended, &was_woken);
    pool->is_woken = pool->is_woken || was_woken;
    while ((job = fol_io_jobs_pop(&ended)) != NULL) {
        job->is_handed = false;
        pool->handed -= 1;
        fol_io_pool_end(pool, job, job->value);
    }
}

/* Waits for events, and goes on with what they are about; what fol_io_pool_wait says. */
static int harvest(fol_io_pool *pool, uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS];
    int count = fol_io_pool_wait(pool, events, EVENTS, timeout_ns);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == FOL_IO_READINESS_NOTICE) {
            look(pool);
        } else if (events[i].data.u64 == FOL_IO_READINESS_TIMER) {
            fol_io_crew_answer_alarm(&pool->crew);
        } else {
            fol_io_pool_go_on(pool, &events[i]);
        }
    }
    hand_over(pool);
    count_calls_of_readiness(pool);
    return count;
}

/* Everything that is there becomes an outcome, and the notice goes down. */
static void gather(fol_io_pool *pool)
{
    look(pool);
    if (pool->readiness.was_used || pool->handed != 0) {
        harvest(pool, 0);
    }
    flush(&pool->engine);
}

static size_t give_outcomes(fol_io_pool *pool, fol_io_event *out, size_t room)
{
    size_t count = 0;
    while (count < room && pool->outcome_first != pool->outcome_end) {
        out[count] = pool->outcomes[pool->outcome_first & (pool->outcome_room - 1)].event;
        pool->outcome_first += 1;
        if (out[count].has_more) {
            pool->pieces -= 1;
        } else {
            pool->engine.in_flight -= 1;
        }
        count += 1;
    }
    return count;
}

static size_t reap(fol_io_engine *engine, fol_io_event *out, size_t room)
{
    fol_io_pool *pool = pool_of(engine);
    size_t count = give_outcomes(pool, out, room);
    if (count < room && !pool->has_gathered) {
        gather(pool);
        count += give_outcomes(pool, out + count, room - count);
    }
    pool->has_gathered = false;
    return count;
}

static bool was_woken(fol_io_pool *pool)
{
    bool is_woken = pool->is_woken;
    pool->is_woken = false;
    return is_woken;
}

/* Does a batch of the crew's. False: there is none that is for the driving thread. */
static bool help(fol_io_pool *pool)
{
    fol_io_jobs batch = {0};
    fol_io_job *job = NULL;
    if (pool->handed == 0 || !fol_io_crew_take(&pool->crew, &batch)) {
        return false;
    }
    pool->handed -= batch.count;
    pool->looks = true;
    while ((job = fol_io_jobs_pop(&batch)) != NULL) {
        job->is_handed = false;
        fol_io_pool_run(pool, job);
    }
    hand_over(pool);
    look(pool);
    return true;
}

static uint32_t count_outcomes(const fol_io_pool *pool)
{
    return pool->outcome_end - pool->outcome_first;
}

/* Waits for `wanted` outcomes at most; as fol_io_engine_ops.wait. */
static int wait_for_some(fol_io_pool *pool, uint32_t wanted, uint64_t timeout_ns)
{
    uint64_t start_ns = timeout_ns != UINT64_MAX ? fol_io_pool_now_ns() : 0;
    uint64_t left_ns = timeout_ns;
    uint32_t helped = 0;
    int count = 1;
    /* Each turn is a batch, or an event that ended too little; the time bounds them. */
    while (count_outcomes(pool) < wanted && !was_woken(pool)) {
        bool has_any = count_outcomes(pool) != 0;
        /* Whoever drives looks at signals now and then. */
        bool is_long = has_any && (helped == HELP_BATCHES || has_own_work(pool));
        if ((count == 0 && left_ns == 0) || is_long) {
            return has_any ? FOL_OK : -ETIME;
        }
        bool has_helped = left_ns != 0 && help(pool);
        helped += has_helped;
        if (!has_helped && pool->handed != 0) {
            uint32_t missing = wanted - count_outcomes(pool);
            fol_io_crew_expect(&pool->crew, missing < pool->handed ? missing : pool->handed);
        }
        count = harvest(pool, has_helped || has_own_work(pool) ? 0 : left_ns);
        if (count < 0) {
            return count_outcomes(pool) != 0 ? FOL_OK : count;
        }
        flush(&pool->engine);
        pool->has_gathered = count < EVENTS && !has_helped;
        if (timeout_ns != UINT64_MAX) {
            uint64_t passed_ns = fol_io_pool_now_ns() - start_ns;
            left_ns = passed_ns < timeout_ns ? timeout_ns - passed_ns : 0;
        }
    }
    return FOL_OK;
}

static int wait_for_outcome(fol_io_engine *engine, uint32_t least, uint64_t timeout_ns)
{
    fol_io_pool *pool = pool_of(engine);
    pool->is_waiting = timeout_ns != 0;
    flush(engine);
    uint32_t wanted = least < engine->in_flight ? least : engine->in_flight;
    int status = wait_for_some(pool, wanted != 0 ? wanted : 1, timeout_ns);
    pool->is_waiting = false;
    if (pool->handed != 0 || pool->looks) {
        fol_io_crew_expect(&pool->crew, 1);
        pool->looks = false;
    }
    return status;
}

static void wake(fol_io_engine *engine)
{
    fol_io_crew_signal(&pool_of(engine)->crew, true);
}

static void cancel(fol_io_engine *engine, uint64_t token)
{
    fol_io_pool *pool = pool_of(engine);
    fol_io_job *job = *chain_of(pool, token);
    /* Over the requests in flight with one hash. */
    while (job != NULL && job->token != token) {
        job = job->chain;
    }
    if (job == NULL) {
        return;
    }
    if (job->is_handed) {
        if (!fol_io_crew_take_back(&pool->crew, job)) {
            /* Relaxed: nothing is handed over with it. */
            fol_atomic_store(&job->is_cut, 1, memory_order_relaxed);
            return;
        }
        job->is_handed = false;
        pool->handed -= 1;
    } else if (job->place == FOL_IO_PLACE_STANDING) {
        fol_io_readiness_leave(&pool->readiness, job);
    } else if (job->place == FOL_IO_PLACE_STARVED) {
        fol_io_jobs_remove(&pool->starved, job);
    } else if (job->place == FOL_IO_PLACE_OWN) {
        fol_io_jobs_remove(&pool->own, job);
    } else {
        FOL_ASSERT(job->place == FOL_IO_PLACE_FRESH);
        fol_io_jobs_remove(&pool->fresh, job);
    }
    fol_io_pool_end(pool, job, -ECANCELED);
}

static void give_buffer(fol_io_engine *engine, int32_t buffer)
{
    fol_io_pool *pool = pool_of(engine);
    FOL_ASSERT(buffer >= 0 && buffer < (int32_t)FOL_IO_POOL_BUFFER_COUNT);
    FOL_ASSERT(pool->free_buffer_count < FOL_IO_POOL_BUFFER_COUNT);
    pool->free_buffers[pool->free_buffer_count] = buffer;
    pool->free_buffer_count += 1;
    if (pool->starved.count != 0) {
        fol_io_crew_signal(&pool->crew, false);
    }
}

/* Nothing in flight depends on who drives. */
static int adopt(fol_io_engine *engine)
{
    (void)engine;
    return FOL_OK;
}

/* Descriptors in results that nobody will reap. */
static void close_unreported(fol_io_pool *pool)
{
    for (uint32_t i = pool->outcome_first; i != pool->outcome_end; i++) {
        const fol_io_outcome *outcome = &pool->outcomes[i & (pool->outcome_room - 1)];
        if (outcome->opened >= 0) {
            close(outcome->opened);
        }
    }
}

static void free_memory(fol_io_pool *pool)
{
    fol_io_job_block *block = pool->blocks;
    while (block != NULL) {
        fol_io_job_block *next = block->next;
        fol_free(block);
        block = next;
    }
    fol_free(pool->outcomes);
    fol_free(pool->buffers);
    fol_free(pool);
}

static void abandon(fol_io_pool *pool)
{
    pool->abandoned = fol_atomic_load(&abandoned_pools, memory_order_relaxed);
    /* Each turn in vain means that another pool was put there. */
    while (!fol_atomic_compare_exchange_weak(&abandoned_pools, &pool->abandoned, pool,
                                             memory_order_relaxed, memory_order_relaxed)) {
    }
}

static bool destroy(fol_io_engine *engine)
{
    fol_io_pool *pool = pool_of(engine);
    if (pool->generation == fol_fork_generation()) {
        bool all_gone = fol_io_crew_stop(&pool->crew);
        if (!all_gone) {
            fol_io_readiness_deinit(&pool->readiness);
            close_unreported(pool);
            fol_io_crew_close(&pool->crew);
            abandon(pool);
            return false;
        }
        look(pool);
        fol_io_crew_deinit(&pool->crew);
    } else {
        fol_io_crew_forget(&pool->crew);
    }
    close_unreported(pool);
    fol_io_readiness_deinit(&pool->readiness);
    free_memory(pool);
    return true;
}

static const fol_io_engine_ops pool_ops = {
    .name = "pool",
    .start = start,
    .cancel = cancel,
    .flush = flush,
    .reap = reap,
    .wait = wait_for_outcome,
    .wake = wake,
    .give_buffer = give_buffer,
    .use_memory = NULL,
    .adopt = adopt,
    .destroy = destroy,
};

static uint32_t value_or(uint32_t value, uint32_t otherwise, uint32_t most)
{
    uint32_t chosen = value != 0 ? value : otherwise;
    return chosen < most ? chosen : most;
}

int fol_io_pool_create(const fol_io_pool_config *config, fol_io_engine **out)
{
    int status = fol_fork_watch();
    if (status != 0) {
        return status;
    }
    fol_io_pool *pool = fol_alloc_zeroed(1, sizeof(*pool));
    if (pool == NULL) {
        return -ENOMEM;
    }
    pool->engine.ops = &pool_ops;
    pool->engine.takes_paths = true;
    pool->engine.in_flight_bound =
        value_or(config->max_in_flight, DEFAULT_IN_FLIGHT, IN_FLIGHT_MAX);
    pool->runs_in_place = config->runs_in_place;
    pool->interruption = config->interruption;
    pool->generation = fol_fork_generation();
    status = fol_io_readiness_init(&pool->readiness);
    if (status != 0) {
        goto fail_readiness;
    }
    status = fol_io_crew_init(&pool->crew, config->min_threads,
                              value_or(config->max_threads, DEFAULT_THREADS, THREADS_MAX),
                              config->idle_ns != 0 ? config->idle_ns : DEFAULT_IDLE_NS);
    if (status != 0) {
        goto fail_crew;
    }
    status = fol_io_pool_join_set(pool);
    if (status != 0) {
        goto fail_watch;
    }
    pool->engine.notice_fd = pool->readiness.epoll_fd;
    *out = &pool->engine;
    return FOL_OK;

fail_watch:
    fol_io_crew_deinit(&pool->crew);
fail_crew:
    fol_io_readiness_deinit(&pool->readiness);
fail_readiness:
    fol_free(pool);
    return status;
}

void fol_io_pool_count(fol_io_engine *engine, fol_io_pool_census *out)
{
    fol_io_crew *crew = &pool_of(engine)->crew;
    pthread_mutex_lock(&crew->mutex);
    *out = (fol_io_pool_census){
        .threads = crew->live, .idle = crew->idle, .waiting = crew->queue.count};
    pthread_mutex_unlock(&crew->mutex);
}
