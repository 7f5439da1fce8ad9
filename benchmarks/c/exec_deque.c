/* The deque alone on one thread, as benchmarks/peers_tasks/src/crossbeam_peer.rs has it: push and
 * pop of batches, and the steal of one item at a time.
 *
 * deque_push_pop makes each item visible to thieves at once, as crossbeam-deque does.
 * deque_fork_join pushes privately and shares when no public item is left, as a worker's fork does.
 * deque_alone and deque_beside are the same in processor time, the latter while another thread does
 * it too, on the deque that lies next in memory: if the two shared a cache line, it would show.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "exec_sampler.h"
#include "structures/deque.h"

#define BATCH   1024
#define BATCHES 100

/* Items are told apart by where they lie. */
static uint64_t items[BATCH];

typedef struct state {
    fol_deque *deque;
    uint64_t sum;
} state;

/* The one that is timed, and its neighbour. */
static fol_deque deques[2];
static atomic_bool is_over;

static uint64_t index_of(const void *item)
{
    return (uint64_t)((const uint64_t *)item - items);
}

/* Sums are kept in locals, as the peer's loops keep theirs: a store to memory between two exchanges
 * would be waited for. */
static void pop_all(state *self)
{
    fol_deque *deque = self->deque;
    uint64_t sum = 0;
    void *item = fol_deque_pop_owner(deque);
    while (item != NULL) {
        sum += index_of(item);
        item = fol_deque_pop_owner(deque);
    }
    self->sum = sum;
}

static uint64_t push_and_pop(void *argument)
{
    state *self = argument;
    fol_deque *deque = self->deque;
    for (size_t i = 0; i < BATCH; i++) {
        (void)fol_deque_push_owner(deque, &items[i]);
    }
    pop_all(self);
    return 0;
}

static uint64_t fork_and_join(void *argument)
{
    state *self = argument;
    fol_deque *deque = self->deque;
    for (size_t i = 0; i < BATCH; i++) {
        (void)fol_deque_push_private_owner(deque, &items[i]);
        (void)fol_deque_share_owner(deque);
    }
    pop_all(self);
    return 0;
}

static uint64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t fork_and_join_batches(void *argument)
{
    const uint64_t start_ns = thread_ns();
    for (int i = 0; i < BATCHES; i++) {
        fork_and_join(argument);
    }
    return thread_ns() - start_ns;
}

/* Filling the deque is not counted. */
static uint64_t fill_and_steal(void *argument)
{
    state *self = argument;
    fol_deque *deque = self->deque;
    for (size_t i = 0; i < BATCH; i++) {
        (void)fol_deque_push_owner(deque, &items[i]);
    }
    bool contended = false;
    uint64_t sum = 0;
    const uint64_t start_ns = bench_now_ns();
    void *item = fol_deque_steal_thief(deque, &contended);
    while (item != NULL) {
        sum += index_of(item);
        item = fol_deque_steal_thief(deque, &contended);
    }
    const uint64_t spent_ns = bench_now_ns() - start_ns;
    self->sum = sum;
    return spent_ns;
}

static int run(const bench_sampler *sampler, uint64_t units, bench_body body,
               bench_outcome *outcome, uint64_t *checksum)
{
    state self = {.deque = &deques[0]};
    const int status = fol_deque_init(self.deque, BATCH);
    if (status != 0) {
        return status;
    }
    bench_time(sampler, units, body, &self, outcome);
    *checksum = self.sum;
    fol_deque_deinit(self.deque);
    return 0;
}

static int run_alone(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return run(sampler, BATCH * BATCHES, fork_and_join_batches, outcome, checksum);
}

static void *be_the_neighbour(void *argument)
{
    state self = {.deque = &deques[1]};
    /* Nothing is handed over: the thread only has to end some time after it is told to. */
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        fork_and_join(&self);
    }
    return argument;
}

static int run_beside(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    pthread_t neighbour;
    int status = fol_deque_init(&deques[1], BATCH);
    if (status != 0) {
        return status;
    }
    status = -pthread_create(&neighbour, NULL, be_the_neighbour, NULL);
    if (status == 0) {
        status = run_alone(sampler, outcome, checksum);
        atomic_store_explicit(&is_over, true, memory_order_relaxed);
        pthread_join(neighbour, NULL);
    }
    fol_deque_deinit(&deques[1]);
    return status;
}

static int run_push_pop(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return run(sampler, BATCH, push_and_pop, outcome, checksum);
}

static int run_fork_join(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return run(sampler, BATCH, fork_and_join, outcome, checksum);
}

static int run_steal(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return run(sampler, BATCH, fill_and_steal, outcome, checksum);
}

int main(int argc, char **argv)
{
    static const bench_workload workloads[] = {
        {"deque_push_pop", run_push_pop}, {"deque_fork_join", run_fork_join},
        {"deque_alone", run_alone},       {"deque_beside", run_beside},
        {"deque_steal", run_steal},
    };
    return bench_main(argc, argv, workloads, sizeof workloads / sizeof workloads[0]);
}
