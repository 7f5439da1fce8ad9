/* The event count: what it does in one thread, and hunts for a lost wake with many, where a lost
 * one is a hang that the alarm ends.
 */

#include <errno.h>

#include "base/futex.h"
#include "base/rng.h"
#include "check.h"
#include "stress.h"
#include "structures/event_count.h"

static fol_event_count event;

static void test_nobody_is_there_to_wake(void)
{
    fol_event_count_init(&event);
    CHECK(!fol_event_count_notify_one(&event));
    CHECK(!fol_event_count_notify_all(&event));
    CHECK_EQ(fol_event_count_waiters(&event), 0);
}

static void test_cancel_takes_back_a_prepare(void)
{
    fol_event_count_init(&event);
    fol_event_count_prepare(&event);
    fol_event_count_prepare(&event);
    CHECK_EQ(fol_event_count_waiters(&event), 2);
    fol_event_count_cancel(&event);
    CHECK_EQ(fol_event_count_waiters(&event), 1);
    fol_event_count_cancel(&event);
    CHECK(!fol_event_count_notify_one(&event));
}

static void test_commit_returns_at_once_after_a_notify(void)
{
    fol_event_count_init(&event);
    uint32_t key = fol_event_count_prepare(&event);
    CHECK(fol_event_count_notify_one(&event));
    CHECK(fol_event_count_commit(&event, key, 0));
    CHECK_EQ(fol_event_count_waiters(&event), 0);
    key = fol_event_count_prepare(&event);
    CHECK(fol_event_count_notify_all(&event));
    CHECK(fol_event_count_commit(&event, key, 1000));
}

static void test_limited_commit_ends_by_itself(void)
{
    fol_event_count_init(&event);
    uint32_t key = fol_event_count_prepare(&event);
    CHECK(!fol_event_count_commit(&event, key, 1000));
    CHECK_EQ(fol_event_count_waiters(&event), 0);
}

static void test_epoch_wraps_round_without_notice(void)
{
    fol_event_count_init(&event);
    atomic_store(&event.epoch, UINT32_MAX);
    uint32_t key = fol_event_count_prepare(&event);
    CHECK_EQ(key, UINT32_MAX);
    CHECK(fol_event_count_notify_one(&event));
    CHECK(fol_event_count_commit(&event, key, 0));
    CHECK_EQ(atomic_load(&event.epoch), 0);
}

static void test_futex_tells_why_it_returned(void)
{
    _Atomic uint32_t word = 7;
    CHECK_EQ(fol_futex_wait(&word, 8, 0), -EAGAIN);
    CHECK_EQ(fol_futex_wait(&word, 7, 1000), -ETIMEDOUT);
    CHECK_EQ(fol_futex_wake(&word, 1), 0);
}

/* Pieces of work of several kinds, so that each is for one group of threads. */
static _Atomic uint32_t pieces[2];
static _Atomic uint32_t done_count;
static uint32_t rounds;
static uint32_t takers;

static bool take_piece(uint32_t kind)
{
    /* Relaxed all through: nothing but the event count makes a piece seen. */
    uint32_t count = atomic_load_explicit(&pieces[kind], memory_order_relaxed);
    while (count != 0) {
        if (atomic_compare_exchange_weak_explicit(&pieces[kind], &count, count - 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static void wait_for_piece(uint32_t kind, uint64_t timeout_ns)
{
    while (!take_piece(kind)) {
        uint32_t key = fol_event_count_prepare(&event);
        if (take_piece(kind)) {
            fol_event_count_cancel(&event);
            return;
        }
        fol_event_count_commit(&event, key, timeout_ns);
    }
}

static void publish_piece(uint32_t kind)
{
    atomic_fetch_add_explicit(&pieces[kind], 1, memory_order_relaxed);
    fol_event_count_notify_one(&event);
}

static void begin(uint32_t round_count, uint32_t taker_count)
{
    fol_event_count_init(&event);
    atomic_store(&pieces[0], 0);
    atomic_store(&pieces[1], 0);
    atomic_store(&done_count, 0);
    rounds = stress_rounds(round_count);
    takers = taker_count;
}

static void play(uint32_t self)
{
    for (uint32_t round = 0; round < rounds; round++) {
        if (self == 0) {
            publish_piece(1);
            wait_for_piece(0, 0);
        } else {
            wait_for_piece(1, 0);
            publish_piece(0);
        }
    }
}

static void test_two_threads_play_ping_pong(void)
{
    begin(20000, 0);
    stress_run(2, play);
    CHECK_EQ(atomic_load(&pieces[0]) + atomic_load(&pieces[1]), 0);
    CHECK_EQ(fol_event_count_waiters(&event), 0);
}

/* The first `takers` threads wait for a piece each round; the others publish as many in all. */
static void take_or_publish(uint32_t self)
{
    fol_rng rng;
    fol_rng_init(&rng, stress_seed() * 1000 + self);
    uint64_t timeout_ns = self == 0 && takers > 1 ? 20000 : 0;
    uint32_t looks = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        if (self < takers) {
            wait_for_piece(0, timeout_ns);
            atomic_fetch_add_explicit(&done_count, 1, memory_order_relaxed);
        } else {
            /* Takers keep up, and are at any point of theirs when the piece comes. */
            while (atomic_load_explicit(&pieces[0], memory_order_relaxed) > 1) {
                stress_wait(&looks);
            }
            for (uint32_t pause = fol_rng_below(&rng, 64); pause > 0; pause--) {
                fol_pause();
            }
            publish_piece(0);
        }
    }
}

static void test_no_wake_is_lost_between_takers_and_publishers(void)
{
    begin(20000, 3);
    stress_run(6, take_or_publish);
    CHECK_EQ(atomic_load(&done_count), 3 * rounds);
    CHECK_EQ(atomic_load(&pieces[0]), 0);
    CHECK_EQ(fol_event_count_waiters(&event), 0);
}

static void test_no_wake_is_lost_with_one_of_each(void)
{
    begin(60000, 1);
    stress_run(2, take_or_publish);
    CHECK_EQ(atomic_load(&done_count), rounds);
}

/* Everybody waits for the round to be called; the caller waits until all have answered. */
static void answer_or_call(uint32_t self)
{
    uint32_t all = 4;
    for (uint32_t round = 1; round <= rounds; round++) {
        if (self == all) {
            atomic_store_explicit(&pieces[0], round, memory_order_relaxed);
            fol_event_count_notify_all(&event);
            uint32_t looks = 0;
            while (atomic_load_explicit(&done_count, memory_order_relaxed) != all * round) {
                stress_wait(&looks);
            }
            continue;
        }
        while (atomic_load_explicit(&pieces[0], memory_order_relaxed) != round) {
            uint32_t key = fol_event_count_prepare(&event);
            if (atomic_load_explicit(&pieces[0], memory_order_relaxed) == round) {
                fol_event_count_cancel(&event);
                break;
            }
            fol_event_count_commit(&event, key, 0);
        }
        atomic_fetch_add_explicit(&done_count, 1, memory_order_relaxed);
    }
}

static void test_one_call_wakes_all(void)
{
    begin(5000, 0);
    stress_run(5, answer_or_call);
    CHECK_EQ(atomic_load(&done_count), 4 * rounds);
    CHECK_EQ(fol_event_count_waiters(&event), 0);
}

int main(void)
{
    stress_watch(300);
    RUN(test_nobody_is_there_to_wake);
    RUN(test_cancel_takes_back_a_prepare);
    RUN(test_commit_returns_at_once_after_a_notify);
    RUN(test_limited_commit_ends_by_itself);
    RUN(test_epoch_wraps_round_without_notice);
    RUN(test_futex_tells_why_it_returned);
    RUN(test_two_threads_play_ping_pong);
    RUN(test_no_wake_is_lost_between_takers_and_publishers);
    RUN(test_no_wake_is_lost_with_one_of_each);
    RUN(test_one_call_wakes_all);
    stress_report();
    CHECK_MAIN_END();
}
