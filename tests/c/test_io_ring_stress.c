/* The ring engine under races: cancels beside completions, wakes beside waits, threads that end. */

#include "base/atomics.h"
#include "base/rng.h"
#include "ring_support.h"

#define DEPTH 16

static fol_io_engine *engine;
static _Atomic uint32_t writes_due;
static _Atomic uint32_t news;
static _Atomic bool is_over;
static int pipes[DEPTH][2];
static char bytes[DEPTH];

static void open_pipes(void)
{
    for (int index = 0; index < DEPTH; index++) {
        CHECK_EQ(pipe2(pipes[index], O_CLOEXEC), 0);
    }
}

static void close_pipes(void)
{
    for (int index = 0; index < DEPTH; index++) {
        close(pipes[index][0]);
        close(pipes[index][1]);
    }
}

/* Writes a byte to each pipe whenever a round begins. */
static void *write_bytes(void *unused)
{
    uint32_t done = 0;
    uint32_t looks = 0;
    (void)unused;
    while (!atomic_load_explicit(&is_over, memory_order_acquire)) {
        if (atomic_load_explicit(&writes_due, memory_order_acquire) == done) {
            stress_wait(&looks);
            continue;
        }
        done += 1;
        for (int index = 0; index < DEPTH; index++) {
            CHECK_EQ(write(pipes[index][1], "x", 1), 1);
        }
    }
    return NULL;
}

/* Each request ends exactly once, with its byte or as cancelled; no byte is lost. */
static void race_round(uint32_t round, fol_rng *rng, uint64_t *cancelled)
{
    uint32_t ended[DEPTH] = {0};
    for (uint64_t index = 0; index < DEPTH; index++) {
        CHECK_EQ(
            ring_read_byte(engine, pipes[index][0], &bytes[index], (uint64_t)round * DEPTH + index),
            0);
    }
    CHECK_EQ(engine->ops->flush(engine), 0);
    atomic_fetch_add_explicit(&writes_due, 1, memory_order_release);
    uint64_t pause = fol_rng_next(rng) % 64;
    for (uint64_t turn = 0; turn < pause; turn++) {
        fol_pause();
    }
    for (uint64_t index = 0; index < DEPTH; index++) {
        engine->ops->cancel(engine, (uint64_t)round * DEPTH + index);
    }
    for (size_t got = 0; got < DEPTH;) {
        size_t count = ring_collect(engine, 1);
        for (size_t event = 0; event < count; event++) {
            uint64_t index = events[event].token - (uint64_t)round * DEPTH;
            if (!CHECK(index < DEPTH)) {
                abort();
            }
            ended[index] += 1;
            CHECK(events[event].value == 1 || events[event].value == -ECANCELED);
            if (events[event].value == -ECANCELED) {
                *cancelled += 1;
                /* The byte was not taken: it is still to come, or there. */
                CHECK_EQ(read(pipes[index][0], &bytes[index], 1), 1);
            }
        }
        got += count;
    }
    for (int index = 0; index < DEPTH; index++) {
        CHECK_EQ(ended[index], 1);
    }
    CHECK_EQ(engine->in_flight, 0);
}

static void test_cancel_beside_a_completion_ends_each_request_once(void)
{
    pthread_t writer;
    fol_rng rng;
    uint64_t cancelled = 0;
    fol_rng_init(&rng, stress_seed());
    engine = ring_make();
    open_pipes();
    atomic_store(&is_over, false);
    CHECK_EQ(pthread_create(&writer, NULL, write_bytes, NULL), 0);
    const uint32_t rounds = stress_rounds(10000 / DEPTH + 1);
    for (uint32_t round = 0; round < rounds && check_failures == 0; round++) {
        race_round(round, &rng, &cancelled);
    }
    atomic_store(&is_over, true);
    pthread_join(writer, NULL);
    close_pipes();
    CHECK(engine->ops->destroy(engine));
}

#define WAKES 20000

static void *publish_and_wake(void *unused)
{
    (void)unused;
    const uint32_t count = stress_rounds(WAKES);
    for (uint32_t index = 0; index < count; index++) {
        atomic_fetch_add_explicit(&news, 1, memory_order_relaxed);
        engine->ops->wake(engine);
    }
    return NULL;
}

static void test_no_wake_is_lost(void)
{
    pthread_t wakers[3];
    const uint32_t all = 3 * stress_rounds(WAKES);
    engine = ring_make();
    atomic_store(&news, 0);
    for (int waker = 0; waker < 3; waker++) {
        CHECK_EQ(pthread_create(&wakers[waker], NULL, publish_and_wake, NULL), 0);
    }
    while (atomic_load_explicit(&news, memory_order_relaxed) < all) {
        int status = engine->ops->wait(engine, 1, UINT64_MAX);
        CHECK(status == FOL_OK || status == -EINTR);
        CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    }
    for (int waker = 0; waker < 3; waker++) {
        pthread_join(wakers[waker], NULL);
    }
    CHECK(engine->ops->destroy(engine));
}

static void *use_and_end(void *argument)
{
    uint64_t round = *(uint64_t *)argument;
    CHECK_EQ(engine->ops->adopt(engine), 0);
    for (uint64_t index = 0; index < DEPTH; index++) {
        CHECK_EQ(ring_read_byte(engine, pipes[index][0], &bytes[index], round * DEPTH + index), 0);
    }
    CHECK_EQ(engine->ops->flush(engine), 0);
    return NULL;
}

static void test_owners_that_end_leave_each_request_to_end_once(void)
{
    const fol_io_ring_config config = {.entries = 64};
    const uint32_t rounds = stress_rounds(30);
    uint32_t files = ring_open_files();
    engine = ring_make_with(&config);
    open_pipes();
    for (uint64_t round = 0; round < rounds; round++) {
        ring_in_thread(use_and_end, &round);
        CHECK_EQ(engine->ops->adopt(engine), 0);
        CHECK_EQ(ring_collect(engine, DEPTH), DEPTH);
        for (int index = 0; index < DEPTH; index++) {
            CHECK_EQ(events[index].value, -ECANCELED);
        }
        CHECK_EQ(engine->in_flight, 0);
    }
    close_pipes();
    CHECK(engine->ops->destroy(engine));
    CHECK_EQ(ring_open_files(), files);
}

static void test_a_million_requests_leave_no_memory(void)
{
    engine = ring_make();
    CHECK_EQ(ring_nop(engine, 0), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    uint64_t blocks = ring_live_blocks();
    const uint32_t bound = engine->in_flight_bound;
    for (uint64_t done = 0; done < 1000000; done += bound) {
        for (uint32_t token = 0; token < bound; token++) {
            if (ring_nop(engine, token) != 0) {
                abort();
            }
        }
        if (ring_collect(engine, bound) != bound) {
            abort();
        }
    }
    CHECK_EQ(ring_live_blocks(), blocks);
    CHECK_EQ(atomic_load(&engine->counters.overflows), 0);
    CHECK(engine->ops->destroy(engine));
}

static void run_all(void)
{
    RUN(test_cancel_beside_a_completion_ends_each_request_once);
    RUN(test_no_wake_is_lost);
    RUN(test_owners_that_end_leave_each_request_to_end_once);
    RUN(test_a_million_requests_leave_no_memory);
}

int main(void)
{
    stress_watch(120);
    if (!ring_begin()) {
        return 0;
    }
    ladder_climb(run_all);
    stress_report();
    CHECK_MAIN_END();
}
