/* Starting and stopping the threads of a pool, and the list of teams that they look at.
 *
 * The list is a chain of blocks of entries, which only grows. A thread that looks at a team counts
 * itself as a user of its entry meanwhile; a team that goes takes itself out of its entry, and then
 * waits until the entry has no users.
 */
#include "exec/pool.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/fork.h"
#include "base/thread.h"
#include "exec/worker.h"

/* Before this long the counter's speed is not known well; then it is taken for as slow as any. */
#define CALIBRATION_NS        100000u
#define SLOWEST_CYCLES_PER_NS 0.02

static FOL_ATOMIC(uint64_t) thread_failure_countdown;
static _Atomic(void (*)(void)) at_thread_end;

void fol_pool_fail_nth_thread(uint64_t n)
{
    fol_atomic_store(&thread_failure_countdown, n, memory_order_relaxed);
}

void fol_pool_at_thread_end(void (*function)(void))
{
    /* Release pairs with the acquire in run_thread: what the function uses is there. */
    atomic_store_explicit(&at_thread_end, function, memory_order_release);
}

int fol_pool_create(fol_pool **out)
{
    int status = fol_fork_watch();
    if (status != 0) {
        return status;
    }
    fol_pool *pool = fol_alloc_aligned(sizeof(*pool));
    if (pool == NULL) {
        return -ENOMEM;
    }
    memset(pool, 0, sizeof(*pool));
    if (pthread_mutex_init(&pool->mutex, NULL) != 0) {
        fol_free(pool);
        return -ENOMEM;
    }
    pool->generation = fol_fork_generation();
    pool->processors = fol_topology_read_usable();
    pool->start_cycles = fol_cycles_now();
    pool->start_ns = fol_exec_now_ns();
    fol_event_count_init(&pool->parked.event);
    *out = pool;
    return 0;
}

static void *run_thread(void *argument)
{
    fol_pool_thread *thread = argument;
    char name[16];
    snprintf(name, sizeof(name), "foliot-%u", (unsigned)(uint8_t)thread->number);
    pthread_setname_np(pthread_self(), name);
    fol_pool_serve(thread->pool);
    /* Acquire pairs with the release in fol_pool_at_thread_end. */
    void (*function)(void) = atomic_load_explicit(&at_thread_end, memory_order_acquire);
    if (function != NULL) {
        function();
    }
    return NULL;
}

/* Starts the thread of this index; a negative errno. */
static int start_thread(fol_pool *pool, uint32_t index)
{
    fol_pool_thread *thread = &pool->threads[index];
    thread->pool = pool;
    thread->number = index + 1;
    if (fol_countdown_hits(&thread_failure_countdown)) {
        return -EAGAIN;
    }
    return -pthread_create(&thread->thread, NULL, run_thread, thread);
}

uint32_t fol_pool_grow(fol_pool *pool, uint32_t threads, int *refused)
{
    sigset_t before;
    int status = 0;
    uint32_t wanted = threads < FOL_POOL_MAX_THREADS ? threads : FOL_POOL_MAX_THREADS;
    pthread_mutex_lock(&pool->mutex);
    uint32_t count = fol_atomic_load(&pool->thread_count, memory_order_relaxed);
    if (count < wanted) {
        fol_thread_block_signals(&before);
        while (count < wanted && (status = start_thread(pool, count)) == 0) {
            count += 1;
            fol_atomic_store(&pool->thread_count, count, memory_order_relaxed);
        }
        fol_thread_restore_signals(&before);
    }
    pthread_mutex_unlock(&pool->mutex);
    *refused = status;
    return count;
}

uint32_t fol_pool_thread_count(const fol_pool *pool)
{
    return fol_atomic_load(&pool->thread_count, memory_order_relaxed);
}

uint32_t fol_pool_parked_count(const fol_pool *pool)
{
    return fol_event_count_waiters(&pool->parked.event);
}

uint64_t fol_pool_cycles(const fol_pool *pool, uint64_t ns)
{
    uint64_t passed_ns = fol_exec_now_ns() - pool->start_ns;
    uint64_t passed_cycles = fol_cycles_now() - pool->start_cycles;
    double cycles_per_ns = passed_ns < CALIBRATION_NS ? SLOWEST_CYCLES_PER_NS
                                                      : (double)passed_cycles / (double)passed_ns;
    return (uint64_t)((double)ns * cycles_per_ns);
}

/* A free entry, with the mutex held; NULL when there is none. The last block goes to *last. */
static fol_team_entry *find_free_entry(fol_pool *pool, fol_team_block **last)
{
    fol_team_block *block = &pool->first_block;
    while (block != NULL) {
        for (uint32_t i = 0; i < FOL_TEAM_ENTRIES; i++) {
            if (fol_atomic_load(&block->entries[i].team, memory_order_relaxed) == NULL) {
                return &block->entries[i];
            }
        }
        *last = block;
        /* Under the mutex. */
        block = fol_atomic_load(&block->next, memory_order_relaxed);
    }
    return NULL;
}

int fol_pool_add_team(fol_pool *pool, fol_team *team, fol_team_entry **out)
{
    fol_team_block *last = NULL;
    int status = 0;
    pthread_mutex_lock(&pool->mutex);
    fol_team_entry *entry = find_free_entry(pool, &last);
    if (entry == NULL) {
        fol_team_block *block = fol_alloc_zeroed(1, sizeof(*block));
        if (block == NULL) {
            status = -ENOMEM;
            goto unlock;
        }
        entry = &block->entries[0];
        /* Release pairs with the acquire of those who go over the blocks. */
        fol_atomic_store(&last->next, block, memory_order_release);
    }
    /* Release pairs with the load in enter (idle.c): the team is there. */
    fol_atomic_store(&entry->team, team, memory_order_release);
    *out = entry;

unlock:
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

void fol_pool_remove_team(fol_team_entry *entry)
{
    /* Pairs with the addition and the load in enter (idle.c). */
    fol_atomic_store(&entry->team, NULL, memory_order_seq_cst);
    /* Looks are short, so this waits for no longer than a thread is off its processor. Acquire (in
     * the sequentially consistent load) pairs with the release in leave. */
    while (fol_atomic_load(&entry->users, memory_order_seq_cst) != 0) {
        sched_yield();
    }
}

static void join_threads(fol_pool *pool)
{
    uint32_t count = fol_atomic_load(&pool->thread_count, memory_order_relaxed);
    /* Release pairs with the acquire in fol_pool_serve. */
    fol_atomic_store(&pool->is_stopping, true, memory_order_release);
    fol_event_count_notify_all(&pool->parked.event);
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(pool->threads[i].thread, NULL);
    }
}

void fol_pool_destroy(fol_pool *pool)
{
    /* In a forked child the threads do not exist, and the mutex may be held by one of them. */
    bool is_own = pool->generation == fol_fork_generation();
    if (is_own) {
        join_threads(pool);
        pthread_mutex_destroy(&pool->mutex);
    }
    fol_team_block *block = fol_atomic_load(&pool->first_block.next, memory_order_relaxed);
    while (block != NULL) {
        fol_team_block *next = fol_atomic_load(&block->next, memory_order_relaxed);
        fol_free(block);
        block = next;
    }
    fol_free(pool);
}
