/* The seeded scheduler: threads are coroutines that give up the processor at every point; fuzz.h
 * says why.
 */

#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "base/futex.h"
#include "base/rng.h"

#define STACK_SIZE     (64 * 1024)
#define STEPS_MAX      200000u
#define PRIORITY_DROPS 4u
#define STEPS_OF_ONE   400u /* about as many as a history takes; drops fall among them */
#define NOBODY         UINT32_MAX

typedef enum { THREAD_RUNS, THREAD_SLEEPS, THREAD_HAS_ENDED } thread_state;

typedef struct thread {
    ucontext_t context;
    thread_state state;
    bool has_timeout;
    int wake_status; /* what its futex_wait returns */
    const void *word;
    uint32_t priority;
} thread;

static struct {
    uint64_t seed;
    fol_rng rng;
    uint32_t count;
    uint32_t current;
    uint32_t steps;
    uint32_t one_in; /* a switch at one point in so many; 0: by priority */
    uint32_t drops[PRIORITY_DROPS];
    uint32_t lowest;
    void (*run)(uint32_t index);
    ucontext_t outside;
    thread threads[FUZZ_THREADS_MAX];
} fuzz = {.current = NOBODY};

static char stacks[FUZZ_THREADS_MAX][STACK_SIZE];

uint32_t fuzz_below(uint32_t count)
{
    return fol_rng_below(&fuzz.rng, count);
}

void fuzz_check(bool condition, const char *message)
{
    if (!condition) {
        printf("seed %llu, step %u: %s\n", (unsigned long long)fuzz.seed, fuzz.steps, message);
        exit(1);
    }
}

/* A sleeper with a limit may run too: its time is up whenever it is chosen. */
static bool can_run(const thread *one)
{
    return one->state == THREAD_RUNS || (one->state == THREAD_SLEEPS && one->has_timeout);
}

static uint32_t choose_by_priority(void)
{
    uint32_t best = NOBODY;
    for (uint32_t index = 0; index < fuzz.count; index++) {
        if (can_run(&fuzz.threads[index]) &&
            (best == NOBODY || fuzz.threads[index].priority > fuzz.threads[best].priority)) {
            best = index;
        }
    }
    return best;
}

static uint32_t choose_at_random(void)
{
    uint32_t ready[FUZZ_THREADS_MAX];
    uint32_t count = 0;
    for (uint32_t index = 0; index < fuzz.count; index++) {
        if (can_run(&fuzz.threads[index])) {
            ready[count] = index;
            count++;
        }
    }
    return count == 0 ? NOBODY : ready[fuzz_below(count)];
}

/* Goes on with somebody who can run, perhaps with who runs now. */
static void run_another(void)
{
    uint32_t from = fuzz.current;
    uint32_t to = fuzz.one_in == 0 ? choose_by_priority() : choose_at_random();
    fuzz_check(to != NOBODY, "all sleep: a wake is lost");
    thread *next = &fuzz.threads[to];
    if (next->state == THREAD_SLEEPS) {
        next->state = THREAD_RUNS;
        next->wake_status = -ETIMEDOUT;
    }
    if (to != from) {
        fuzz.current = to;
        swapcontext(&fuzz.threads[from].context, &next->context);
    }
}

/* Below everybody else from now on. */
static void lower_current(void)
{
    fuzz.lowest -= 1;
    fuzz.threads[fuzz.current].priority = fuzz.lowest;
}

void fol_fuzz_point(void)
{
    if (fuzz.current == NOBODY) {
        return;
    }
    fuzz.steps += 1;
    fuzz_check(fuzz.steps < STEPS_MAX, "too many steps: nobody gets on");
    if (fuzz.one_in != 0) {
        if (fuzz_below(fuzz.one_in) == 0) {
            run_another();
        }
        return;
    }
    for (uint32_t drop = 0; drop < PRIORITY_DROPS; drop++) {
        if (fuzz.drops[drop] == fuzz.steps) {
            lower_current();
            run_another();
            return;
        }
    }
}

int fol_futex_wait(FOL_ATOMIC(uint32_t) * word, uint32_t expected, uint64_t timeout_ns)
{
    if (fol_atomic_load(word, memory_order_relaxed) != expected) {
        return -EAGAIN;
    }
    thread *self = &fuzz.threads[fuzz.current];
    self->state = THREAD_SLEEPS;
    self->has_timeout = timeout_ns != 0;
    self->word = word;
    run_another();
    return self->wake_status;
}

uint32_t fol_futex_wake(FOL_ATOMIC(uint32_t) * word, uint32_t count)
{
    uint32_t woken = 0;
    fol_fuzz_point();
    /* From a random place on: no order among sleepers is promised. */
    uint32_t first = fuzz_below(fuzz.count);
    for (uint32_t step = 0; step < fuzz.count && woken < count; step++) {
        thread *one = &fuzz.threads[(first + step) % fuzz.count];
        if (one->state == THREAD_SLEEPS && one->word == word) {
            one->state = THREAD_RUNS;
            one->wake_status = 0;
            woken++;
        }
    }
    /* Who just woke somebody may stop at once. */
    fol_fuzz_point();
    return woken;
}

static void enter(int index)
{
    fuzz.run((uint32_t)index);
    fuzz.threads[index].state = THREAD_HAS_ENDED;
    bool all_have_ended = true;
    for (uint32_t each = 0; each < fuzz.count; each++) {
        all_have_ended = all_have_ended && fuzz.threads[each].state == THREAD_HAS_ENDED;
    }
    if (all_have_ended) {
        fuzz.current = NOBODY;
        setcontext(&fuzz.outside);
    }
    run_another();
}

void fuzz_run(uint64_t seed, uint32_t count, void (*run)(uint32_t index))
{
    fuzz.seed = seed;
    fol_rng_init(&fuzz.rng, seed);
    fuzz.count = count;
    fuzz.steps = 0;
    fuzz.one_in = fuzz_below(2) == 0 ? 0 : 1 + fuzz_below(8);
    fuzz.lowest = UINT32_MAX / 2;
    fuzz.run = run;
    for (uint32_t drop = 0; drop < PRIORITY_DROPS; drop++) {
        fuzz.drops[drop] = 1 + fuzz_below(STEPS_OF_ONE);
    }
    for (uint32_t index = 0; index < count; index++) {
        thread *one = &fuzz.threads[index];
        getcontext(&one->context);
        one->context.uc_stack.ss_sp = stacks[index];
        one->context.uc_stack.ss_size = STACK_SIZE;
        one->context.uc_link = NULL;
        one->state = THREAD_RUNS;
        one->priority = UINT32_MAX / 2 + fuzz_below(1u << 20);
        makecontext(&one->context, (void (*)(void))(void *)enter, 1, (int)index);
    }
    fuzz.current = fuzz_below(count);
    swapcontext(&fuzz.outside, &fuzz.threads[fuzz.current].context);
}
