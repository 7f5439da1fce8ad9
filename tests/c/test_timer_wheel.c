/* The timer wheel: by hand, and against an array that is kept in order. */

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "check.h"
#include "draw.h"
#include "foliot/memory.h"
#include "structures/timer_wheel.h"

#define MODEL_TIMERS 3000
#define SECOND       UINT64_C(1000000000)
#define YEAR         (365 * 86400 * SECOND)

static fol_timer_wheel *new_wheel(uint64_t now_ns)
{
    fol_timer_wheel *wheel = NULL;
    CHECK_EQ(fol_timer_wheel_create(now_ns, &wheel), 0);
    return wheel;
}

static void test_an_empty_wheel_has_nothing_due(void)
{
    fol_timer_wheel *wheel = new_wheel(5);
    CHECK_EQ(fol_timer_wheel_count(wheel), 0);
    CHECK(fol_timer_wheel_next(wheel) == UINT64_MAX);
    CHECK(fol_timer_wheel_expire(wheel, UINT64_MAX) == NULL);
    fol_timer_wheel_destroy(wheel);
}

static void test_refused_memory_is_reported(void)
{
    fol_timer_wheel *wheel = NULL;
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_timer_wheel_create(0, &wheel), -ENOMEM);
    fol_memory_fail_nth(0);
    CHECK(wheel == NULL);
}

static void test_a_timer_is_due_at_its_deadline_and_not_before(void)
{
    static const uint64_t delays[] = {1, 4095, 4096, 4097, 262144, 123456789, SECOND, YEAR};
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        fol_timer_wheel *wheel = new_wheel(1000);
        fol_timer timer = {0};
        fol_timer_wheel_add(wheel, &timer, 1000 + delays[i]);
        CHECK(fol_timer_wheel_expire(wheel, 1000 + delays[i] - 1) == NULL);
        CHECK(fol_timer_wheel_next(wheel) == 1000 + delays[i]);
        CHECK(fol_timer_wheel_expire(wheel, 1000 + delays[i]) == &timer);
        CHECK(!fol_timer_is_set(&timer));
        CHECK_EQ(fol_timer_wheel_count(wheel), 0);
        fol_timer_wheel_destroy(wheel);
    }
}

static void test_a_deadline_that_has_passed_is_due_at_once(void)
{
    fol_timer_wheel *wheel = new_wheel(YEAR);
    fol_timer late = {0};
    fol_timer later = {0};
    fol_timer_wheel_add(wheel, &late, YEAR - 1);
    fol_timer_wheel_add(wheel, &later, 0);
    CHECK(fol_timer_wheel_next(wheel) == 0);
    CHECK(fol_timer_wheel_expire(wheel, YEAR) == &later);
    CHECK(fol_timer_wheel_expire(wheel, YEAR) == &late);
    CHECK(fol_timer_wheel_expire(wheel, YEAR) == NULL);
    fol_timer_wheel_destroy(wheel);
}

static void test_equal_deadlines_come_in_order_of_insertion(void)
{
    fol_timer_wheel *wheel = new_wheel(0);
    fol_timer timers[100] = {0};
    for (size_t i = 0; i < 100; i++) {
        fol_timer_wheel_add(wheel, &timers[i], 7 * SECOND);
        /* Some come when the first are at a lower level already. */
        CHECK(fol_timer_wheel_expire(wheel, 6 * SECOND + i * 10000000) == NULL);
    }
    for (size_t i = 0; i < 100; i++) {
        CHECK(fol_timer_wheel_expire(wheel, 8 * SECOND) == &timers[i]);
    }
    fol_timer_wheel_destroy(wheel);
}

static void test_a_removed_timer_never_comes_and_may_be_set_again(void)
{
    fol_timer_wheel *wheel = new_wheel(0);
    fol_timer kept = {0};
    fol_timer removed = {0};
    fol_timer_wheel_remove(wheel, &removed);
    fol_timer_wheel_add(wheel, &kept, 2 * SECOND);
    fol_timer_wheel_add(wheel, &removed, SECOND);
    CHECK(fol_timer_wheel_next(wheel) == SECOND);
    CHECK(fol_timer_is_set(&removed));
    fol_timer_wheel_remove(wheel, &removed);
    CHECK(!fol_timer_is_set(&removed));
    CHECK(fol_timer_wheel_next(wheel) == 2 * SECOND);
    CHECK(fol_timer_wheel_expire(wheel, SECOND) == NULL);
    fol_timer_wheel_add(wheel, &removed, 3 * SECOND);
    CHECK(fol_timer_wheel_expire(wheel, YEAR) == &kept);
    CHECK(fol_timer_wheel_expire(wheel, YEAR) == &removed);
    fol_timer_wheel_destroy(wheel);
}

static void test_the_last_representable_deadline_is_kept(void)
{
    fol_timer_wheel *wheel = new_wheel(SECOND);
    fol_timer timer = {0};
    fol_timer_wheel_add(wheel, &timer, UINT64_MAX - 1);
    CHECK(fol_timer_wheel_next(wheel) == UINT64_MAX - 1);
    CHECK(fol_timer_wheel_expire(wheel, UINT64_MAX - 2) == NULL);
    CHECK(fol_timer_wheel_expire(wheel, UINT64_MAX - 1) == &timer);
    fol_timer_wheel_destroy(wheel);
}

static void test_the_next_deadline_is_exact_while_the_nearest_are_removed(void)
{
    enum { COUNT = 500 };
    static fol_timer timers[COUNT];
    fol_timer_wheel *wheel = new_wheel(0);
    memset(timers, 0, sizeof(timers));
    /* One slot of a high level; 7 has no factor in common with COUNT. */
    for (uint64_t i = 0; i < COUNT; i++) {
        fol_timer_wheel_add(wheel, &timers[i], YEAR + i * 7 % COUNT);
    }
    for (uint64_t deadline = 0; deadline < COUNT; deadline++) {
        CHECK(fol_timer_wheel_next(wheel) == YEAR + deadline);
        for (uint64_t i = 0; i < COUNT; i++) {
            if (i * 7 % COUNT == deadline) {
                fol_timer_wheel_remove(wheel, &timers[i]);
            }
        }
        FOL_CHECK_INVARIANTS(fol_timer_wheel_invariants(wheel));
    }
    CHECK(fol_timer_wheel_next(wheel) == UINT64_MAX);
    fol_timer_wheel_destroy(wheel);
}

/* All timers that are set, in the order in which they must come. */
typedef struct model {
    fol_timer timers[MODEL_TIMERS];
    fol_timer *set[MODEL_TIMERS];
    fol_timer *unset[MODEL_TIMERS];
    uint32_t set_count;
    uint32_t unset_count;
    uint64_t now_ns;
} model;

static void model_insert(model *m, fol_timer *timer, uint64_t deadline_ns)
{
    /* Behind all that are not later: insertion is the second key. */
    uint32_t low = 0;
    uint32_t high = m->set_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (m->set[middle]->deadline_ns <= deadline_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    memmove(&m->set[low + 1], &m->set[low], (m->set_count - low) * sizeof(m->set[0]));
    m->set[low] = timer;
    m->set_count++;
}

static void model_remove(model *m, uint32_t index)
{
    m->unset[m->unset_count] = m->set[index];
    m->unset_count++;
    m->set_count--;
    memmove(&m->set[index], &m->set[index + 1], (m->set_count - index) * sizeof(m->set[0]));
}

/* From 1 ns to years, each order of magnitude as likely. */
static uint64_t draw_duration(uint64_t *random)
{
    return draw(random) % (UINT64_C(1) << draw_below(random, 58)) + 1;
}

static uint64_t draw_deadline(uint64_t *random, const model *m)
{
    switch (draw_below(random, 16)) {
    case 0:
        return draw(random) % (m->now_ns + 1);
    case 1:
        return UINT64_MAX - 1 - draw_below(random, 3);
    case 2:
        return m->now_ns;
    case 3: /* one that is there already */
        return m->set_count == 0 ? m->now_ns
                                 : m->set[draw_below(random, m->set_count)]->deadline_ns;
    case 4: /* many in one slot of a high level */
        return (m->now_ns / YEAR + 2) * YEAR + draw_below(random, 1000);
    default:
        return m->now_ns + draw_duration(random);
    }
}

/* Takes out all that is due, in the model's order. */
static void expire_all(model *m, fol_timer_wheel *wheel)
{
    while (m->set_count > 0 && m->set[0]->deadline_ns <= m->now_ns) {
        if (!CHECK(fol_timer_wheel_expire(wheel, m->now_ns) == m->set[0])) {
            return;
        }
        CHECK(!fol_timer_is_set(m->set[0]));
        model_remove(m, 0);
    }
    CHECK(fol_timer_wheel_expire(wheel, m->now_ns) == NULL);
}

static void do_step(model *m, fol_timer_wheel *wheel, uint64_t *random, uint32_t adds_of_16)
{
    const uint32_t kind = draw_below(random, 16);
    if (kind < adds_of_16 && m->unset_count > 0) {
        m->unset_count--;
        fol_timer *timer = m->unset[m->unset_count];
        const uint64_t deadline = draw_deadline(random, m);
        model_insert(m, timer, deadline);
        fol_timer_wheel_add(wheel, timer, deadline);
    } else if (kind < 14 && m->set_count > 0) {
        const uint32_t index = kind % 2 == 0 ? 0 : draw_below(random, m->set_count);
        fol_timer_wheel_remove(wheel, m->set[index]);
        model_remove(m, index);
    } else if (kind == 14) {
        m->now_ns += draw_duration(random) / (1 + draw_below(random, 1000));
        expire_all(m, wheel);
    } else if (m->set_count > 0 && m->set[0]->deadline_ns < YEAR * 400) {
        m->now_ns = m->set[0]->deadline_ns > m->now_ns ? m->set[0]->deadline_ns : m->now_ns;
        expire_all(m, wheel);
    }
}

static void run_model(uint64_t seed, uint32_t steps)
{
    static model m;
    memset(&m, 0, sizeof(m));
    uint64_t random = seed;
    const uint32_t capacity = 1 + draw_below(&random, seed % 2 == 0 ? 40 : MODEL_TIMERS);
    for (uint32_t i = 0; i < capacity; i++) {
        m.unset[i] = &m.timers[i];
    }
    m.unset_count = capacity;
    m.now_ns = draw(&random) % (20 * YEAR);
    fol_timer_wheel *wheel = new_wheel(m.now_ns);
    const uint32_t adds_of_16 = 8 + draw_below(&random, 5);
    const uint32_t asks_every = 1 + draw_below(&random, 20);
    for (uint32_t step = 0; step < steps && check_failures == 0; step++) {
        do_step(&m, wheel, &random, adds_of_16);
        if (step % asks_every == 0) {
            const uint64_t next = m.set_count == 0 ? UINT64_MAX : m.set[0]->deadline_ns;
            CHECK(fol_timer_wheel_next(wheel) == next);
        }
        CHECK_EQ(fol_timer_wheel_count(wheel), m.set_count);
        if (capacity < 50 || step % 500 == 0) {
            fol_timer_wheel_invariants(wheel);
        }
    }
    m.now_ns = UINT64_MAX;
    expire_all(&m, wheel);
    CHECK_EQ(fol_timer_wheel_count(wheel), 0);
    fol_timer_wheel_destroy(wheel);
    if (check_failures != 0) {
        fprintf(stderr, "FOLIOT_FUZZ_SEED=%" PRIu64 "\n", seed);
    }
}

static void test_drawn_operations_agree_with_a_sorted_array(void)
{
    const uint64_t first = setting("FOLIOT_FUZZ_SEED", 1);
    const uint64_t cases = setting("FOLIOT_FUZZ_CASES", 40);
    for (uint64_t seed = first; seed < first + cases && check_failures == 0; seed++) {
        run_model(seed, 10000);
    }
}

int main(void)
{
    RUN(test_an_empty_wheel_has_nothing_due);
    RUN(test_refused_memory_is_reported);
    RUN(test_a_timer_is_due_at_its_deadline_and_not_before);
    RUN(test_a_deadline_that_has_passed_is_due_at_once);
    RUN(test_equal_deadlines_come_in_order_of_insertion);
    RUN(test_a_removed_timer_never_comes_and_may_be_set_again);
    RUN(test_the_last_representable_deadline_is_kept);
    RUN(test_the_next_deadline_is_exact_while_the_nearest_are_removed);
    RUN(test_drawn_operations_agree_with_a_sorted_array);
    CHECK_MAIN_END();
}
