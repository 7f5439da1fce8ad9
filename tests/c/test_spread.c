/* Where threads of a pool sleep: what a late wake teaches, and that the affinity of a thread that
 * is awake is its own.
 */
#include <sched.h>

#include "check.h"
#include "exec/spread.h"
#include "exec/worker.h"

static fol_sleeping_place place;
static fol_spread spread;
static cpu_set_t first;

static void setup(void)
{
    fol_sleeping_place_init(&place);
    CHECK_EQ(sched_getaffinity(0, sizeof(first), &first), 0);
}

static bool has_whole_affinity(void)
{
    cpu_set_t now;
    CHECK_EQ(sched_getaffinity(0, sizeof(now), &now), 0);
    return CPU_EQUAL(&now, &first) != 0;
}

/* A wake from a processor, so long ago. */
static void wake_from(int32_t processor, uint64_t ago_ns)
{
    fol_atomic_store(&spread.processor, processor, memory_order_relaxed);
    fol_atomic_store(&spread.woken_ns, fol_exec_now_ns() - ago_ns, memory_order_relaxed);
}

/* Stays on one processor for the time of a call. */
static int32_t stay(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    int32_t processor = sched_getcpu();
    CPU_SET(processor, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    return processor;
}

static void move_freely(void)
{
    CHECK_EQ(sched_setaffinity(0, sizeof(first), &first), 0);
}

/* A sleep that ended late where its waker runs; which processor that is. */
static int32_t learn(void)
{
    fol_sleeping_place_enter(&place);
    int32_t processor = stay();
    wake_from(processor, FOL_SPREAD_LATE_NS);
    fol_sleeping_place_leave(&place, &spread);
    move_freely();
    return processor;
}

static void test_a_note_says_where_and_when(void)
{
    setup();
    int32_t processor = stay();
    uint64_t before_ns = fol_exec_now_ns();
    fol_spread_note(&spread);
    CHECK_EQ(fol_atomic_load(&spread.processor, memory_order_relaxed), processor);
    CHECK(fol_atomic_load(&spread.woken_ns, memory_order_relaxed) >= before_ns);
    CHECK(fol_atomic_load(&spread.woken_ns, memory_order_relaxed) <= fol_exec_now_ns());
    move_freely();
}

static void test_who_was_late_on_its_wakers_processor_sleeps_elsewhere(void)
{
    setup();
    int32_t processor = learn();
    CHECK_EQ(place.avoided, processor);
    fol_sleeping_place_enter(&place);
    if (CPU_COUNT(&first) > 1) {
        cpu_set_t narrow = first;
        cpu_set_t now;
        CPU_CLR(processor, &narrow);
        CHECK_EQ(sched_getaffinity(0, sizeof(now), &now), 0);
        CHECK(CPU_EQUAL(&now, &narrow));
        CHECK(sched_getcpu() != processor);
    }
    fol_sleeping_place_leave(&place, &spread);
    CHECK(has_whole_affinity());
}

static void test_with_one_processor_the_affinity_stays(void)
{
    setup();
    int32_t processor = learn();
    CHECK_EQ(stay(), sched_getcpu());
    place.avoided = sched_getcpu();
    fol_sleeping_place_enter(&place);
    CHECK_EQ(place.narrow_size, 0);
    CHECK_EQ(sched_getcpu(), place.avoided);
    fol_sleeping_place_leave(&place, &spread);
    move_freely();
    CHECK(processor >= 0);
    CHECK(has_whole_affinity());
}

static void test_who_is_woken_in_time_or_elsewhere_learns_nothing(void)
{
    setup();
    int32_t processor = stay();
    fol_sleeping_place_enter(&place);
    /* Woken in the future: it cannot be late by then. */
    fol_atomic_store(&spread.processor, processor, memory_order_relaxed);
    fol_atomic_store(&spread.woken_ns, UINT64_MAX, memory_order_relaxed);
    fol_sleeping_place_leave(&place, &spread);
    CHECK_EQ(place.avoided, -1);
    fol_sleeping_place_enter(&place);
    wake_from(processor + 1, FOL_SPREAD_LATE_NS);
    fol_sleeping_place_leave(&place, &spread);
    CHECK_EQ(place.avoided, -1);
    fol_sleeping_place_enter(&place);
    wake_from(-1, FOL_SPREAD_LATE_NS);
    fol_sleeping_place_leave(&place, &spread);
    CHECK_EQ(place.avoided, -1);
    move_freely();
}

static void test_the_processor_that_is_avoided_is_the_last_wakers(void)
{
    setup();
    learn();
    fol_sleeping_place_enter(&place);
    wake_from(sched_getcpu() + 1, 0);
    fol_sleeping_place_leave(&place, &spread);
    CHECK_EQ(place.avoided, fol_atomic_load(&spread.processor, memory_order_relaxed));
    CHECK(has_whole_affinity());
}

static void test_it_is_tried_without_again_after_many_wakes(void)
{
    setup();
    learn();
    for (uint32_t wake = 0; wake < FOL_SPREAD_WAKES; wake++) {
        CHECK(place.avoided >= 0);
        fol_sleeping_place_enter(&place);
        wake_from(sched_getcpu() + 1, 0);
        fol_sleeping_place_leave(&place, &spread);
    }
    CHECK_EQ(place.avoided, -1);
    fol_sleeping_place_enter(&place);
    CHECK_EQ(place.narrow_size, 0);
    fol_sleeping_place_leave(&place, &spread);
    CHECK(has_whole_affinity());
}

static void test_an_affinity_that_was_changed_during_a_sleep_stays(void)
{
    setup();
    learn();
    fol_sleeping_place_enter(&place);
    cpu_set_t chosen;
    CPU_ZERO(&chosen);
    CPU_SET(place.avoided, &chosen);
    CHECK_EQ(sched_setaffinity(0, sizeof(chosen), &chosen), 0);
    fol_sleeping_place_leave(&place, &spread);
    cpu_set_t now;
    CHECK_EQ(sched_getaffinity(0, sizeof(now), &now), 0);
    CHECK(CPU_EQUAL(&now, &chosen));
    move_freely();
}

static void test_a_processor_beyond_all_masks_is_not_avoided(void)
{
    setup();
    place.avoided = INT32_MAX;
    place.wakes = FOL_SPREAD_WAKES;
    fol_sleeping_place_enter(&place);
    CHECK_EQ(place.narrow_size, 0);
    fol_sleeping_place_leave(&place, &spread);
    CHECK(has_whole_affinity());
}

int main(void)
{
    RUN(test_a_note_says_where_and_when);
    RUN(test_who_was_late_on_its_wakers_processor_sleeps_elsewhere);
    RUN(test_with_one_processor_the_affinity_stays);
    RUN(test_who_is_woken_in_time_or_elsewhere_learns_nothing);
    RUN(test_the_processor_that_is_avoided_is_the_last_wakers);
    RUN(test_it_is_tried_without_again_after_many_wakes);
    RUN(test_an_affinity_that_was_changed_during_a_sleep_stays);
    RUN(test_a_processor_beyond_all_masks_is_not_avoided);
    CHECK_MAIN_END();
}
