/* Threads that start together, rounds that an environment variable multiplies, and an end to tests
 * that hang: what the tests of shared structures have in common.
 *
 * FOLIOT_STRESS=1 makes every run a hundred times longer, FOLIOT_SEED=n changes the choices that
 * threads make. What the scheduler of the system does is not repeatable; tests/model is.
 */
#ifndef FOL_TESTS_STRESS_H
#define FOL_TESTS_STRESS_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"

#define STRESS_THREADS_MAX 16

static inline uint32_t stress_rounds(uint32_t rounds)
{
    return getenv("FOLIOT_STRESS") != NULL ? rounds * 100 : rounds;
}

static inline uint64_t stress_seed(void)
{
    const char *text = getenv("FOLIOT_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 1;
}

static inline void stress_hangs(int signal_number)
{
    static const char message[] = "the test hangs: an item or a wake is lost\n";
    (void)signal_number;
    (void)!write(STDERR_FILENO, message, sizeof(message) - 1);
    abort();
}

/* From here on the program may run for this long before it is taken to hang. */
static inline void stress_watch(unsigned seconds)
{
    signal(SIGALRM, stress_hangs);
    alarm(getenv("FOLIOT_STRESS") != NULL ? seconds * 60 : seconds);
}

/* Before the closing line: what to set to make the same choices again. */
static inline void stress_report(void)
{
    if (check_failed != 0) {
        fprintf(stderr, "FOLIOT_SEED=%" PRIu64 "\n", stress_seed());
    }
}

/* Lets others run now and then where a thread looks in vain. */
static inline void stress_wait(uint32_t *looks)
{
    *looks += 1;
    if (*looks % 64 == 0) {
        sched_yield();
    }
}

typedef struct stress_thread {
    pthread_t thread;
    void (*run)(uint32_t index);
    uint32_t index;
    _Atomic uint32_t *missing;
} stress_thread;

static inline void *stress_enter(void *argument)
{
    stress_thread *self = argument;
    uint32_t looks = 0;
    /* Releases and acquires of one counter: everybody begins after everybody has come. */
    atomic_fetch_sub_explicit(self->missing, 1, memory_order_acq_rel);
    while (atomic_load_explicit(self->missing, memory_order_acquire) != 0) {
        stress_wait(&looks);
    }
    self->run(self->index);
    return NULL;
}

/* Runs run(0) ... run(count - 1), each in a thread of its own, all at once. */
static inline void stress_run(uint32_t count, void (*run)(uint32_t index))
{
    stress_thread threads[STRESS_THREADS_MAX];
    _Atomic uint32_t missing = count;
    for (uint32_t index = 0; index < count; index++) {
        threads[index].run = run;
        threads[index].index = index;
        threads[index].missing = &missing;
        if (pthread_create(&threads[index].thread, NULL, stress_enter, &threads[index]) != 0) {
            abort();
        }
    }
    for (uint32_t index = 0; index < count; index++) {
        pthread_join(threads[index].thread, NULL);
    }
}

#endif
