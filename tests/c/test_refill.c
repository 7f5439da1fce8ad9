/* Sporadic refills: the rules by example, bounds of arguments, and long random runs against the
 * plain model and the bound of every window. */
#include "budget_support.h"

#include "foliot/status.h"
#include "policy/refill.h"

static fol_refill slots[FOL_REFILLS_MAX];

static fol_refill_ring make(uint32_t capacity, int64_t budget, int64_t period, int64_t minimum)
{
    fol_refill_ring ring;
    CHECK_EQ(fol_refill_init(&ring, slots, capacity, budget, period, minimum, 0), 0);
    return ring;
}

/* The ring is what the list of pairs says. */
static bool holds(const fol_refill_ring *ring, const fol_refill *expected, uint32_t count)
{
    fol_refill_invariants(ring);
    bool is_same = CHECK_EQ(ring->count, count);
    for (uint32_t i = 0; is_same && i < count; i++) {
        const fol_refill *refill = fol_refill_at(ring, i);
        is_same = CHECK_EQ(refill->time, expected[i].time) &&
                  CHECK_EQ(refill->amount, expected[i].amount);
    }
    return is_same;
}

#define HOLDS(ring, ...)                                                                           \
    holds((ring), (const fol_refill[]){__VA_ARGS__},                                               \
          sizeof((fol_refill[]){__VA_ARGS__}) / sizeof(fol_refill))

static void test_new_ring_has_all_of_its_budget(void)
{
    fol_refill_ring ring;
    CHECK_EQ(fol_refill_init(&ring, slots, 8, 4, 10, 0, 7), 0);
    HOLDS(&ring, {7, 4});
    CHECK(!fol_refill_ready(&ring, 6));
    CHECK(fol_refill_ready(&ring, 7));
    CHECK_EQ(fol_refill_ready_at(&ring), 7);
    CHECK_EQ(fol_refill_available(&ring, 6), 0);
    CHECK_EQ(fol_refill_available(&ring, 9), 4);
}

static void test_use_comes_back_one_period_after_it(void)
{
    fol_refill_ring ring = make(8, 4, 10, 0);
    fol_refill_charge(&ring, 1);
    HOLDS(&ring, {1, 3}, {10, 1});
    fol_refill_unblock(&ring, 5);
    fol_refill_charge(&ring, 2);
    HOLDS(&ring, {7, 1}, {10, 1}, {15, 2});
}

static void test_budget_used_up_in_one_run_comes_back_at_once(void)
{
    fol_refill_ring ring = make(8, 4, 10, 0);
    fol_refill_charge(&ring, 4);
    HOLDS(&ring, {10, 4});
    CHECK_EQ(fol_refill_ready_at(&ring), 10);
}

static void test_charge_of_nothing_changes_nothing(void)
{
    fol_refill_ring ring = make(8, 4, 10, 0);
    fol_refill_charge(&ring, 1);
    fol_refill_charge(&ring, 0);
    HOLDS(&ring, {1, 3}, {10, 1});
}

static void test_pieces_of_a_run_come_back_together(void)
{
    fol_refill_ring ring = make(8, 4, 10, 0);
    fol_refill_charge(&ring, 1);
    fol_refill_charge(&ring, 1);
    fol_refill_charge(&ring, 1);
    HOLDS(&ring, {3, 1}, {10, 3});
}

static void test_debt_moves_what_follows_away(void)
{
    fol_refill_ring ring = make(8, 4, 10, 0);
    fol_refill_charge(&ring, 6);
    HOLDS(&ring, {12, 2}, {20, 2});
    fol_refill_charge(&ring, 2);
    HOLDS(&ring, {20, 4});
}

static void test_budget_of_the_whole_period_is_one_refill(void)
{
    fol_refill_ring ring = make(2, 10, 10, 0);
    fol_refill_charge(&ring, 3);
    HOLDS(&ring, {3, 10});
    fol_refill_charge(&ring, 12);
    HOLDS(&ring, {15, 10});
}

static void test_full_ring_joins_at_the_later_time(void)
{
    fol_refill_ring ring = make(2, 6, 20, 0);
    fol_refill_charge(&ring, 1);
    fol_refill_unblock(&ring, 5);
    fol_refill_charge(&ring, 1);
    /* (20, 1) and (25, 1) take one place, so that the second begins where it should. */
    HOLDS(&ring, {6, 4}, {24, 2});
}

static void test_head_below_the_minimum_waits_for_the_next(void)
{
    fol_refill_ring ring = make(8, 6, 20, 3);
    fol_refill_charge(&ring, 4);
    HOLDS(&ring, {18, 6});
}

static void test_unblock_takes_in_what_is_due(void)
{
    fol_refill_ring ring = make(8, 4, 10, 0);
    fol_refill_charge(&ring, 1);
    fol_refill_unblock(&ring, 5);
    fol_refill_charge(&ring, 1);
    HOLDS(&ring, {6, 2}, {10, 1}, {15, 1});
    /* The second is due by the end of the first, the third by the end of both no more. */
    CHECK_EQ(fol_refill_available(&ring, 8), 3);
    CHECK_EQ(fol_refill_burst(&ring), 2);
    fol_refill_unblock(&ring, 8);
    HOLDS(&ring, {8, 3}, {15, 1});
    CHECK_EQ(fol_refill_burst(&ring), 3);
    fol_refill_unblock(&ring, 100);
    HOLDS(&ring, {100, 4});
}

static void test_unblock_before_the_refill_changes_nothing(void)
{
    fol_refill_ring ring = make(8, 4, 10, 0);
    fol_refill_charge(&ring, 4);
    fol_refill_unblock(&ring, 9);
    HOLDS(&ring, {10, 4});
}

static void test_debt_beyond_the_end_of_time_shuts_out_for_good(void)
{
    fol_refill_ring ring = make(8, 1, FOL_BUDGET_MAX_PERIOD, 0);
    fol_refill_charge(&ring, FOL_BUDGET_MAX_TIME);
    CHECK_EQ(fol_refill_ready_at(&ring), FOL_TIME_NEVER);
    CHECK(!fol_refill_ready(&ring, FOL_BUDGET_MAX_TIME));
    for (int i = 0; i < 100; i++) {
        fol_refill_charge(&ring, FOL_BUDGET_MAX_TIME);
    }
    fol_refill_unblock(&ring, FOL_BUDGET_MAX_TIME);
    fol_refill_invariants(&ring);
    CHECK(!fol_refill_ready(&ring, FOL_BUDGET_MAX_TIME));
}

static void test_charges_one_by_one_reach_the_end_of_time(void)
{
    fol_refill_ring ring = make(4, 3, FOL_BUDGET_MAX_PERIOD, 0);
    for (int i = 0; i < 1000; i++) {
        fol_refill_charge(&ring, 1 + i % 4);
        fol_refill_invariants(&ring);
    }
    CHECK_EQ(fol_refill_ready_at(&ring), FOL_TIME_NEVER);
}

static void test_arguments_out_of_bounds_are_refused(void)
{
    fol_refill_ring ring;
    const int64_t most = FOL_BUDGET_MAX_PERIOD;
    CHECK_EQ(fol_refill_init(&ring, slots, 1, 4, 10, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_refill_init(&ring, slots, 65, 4, 10, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_refill_init(&ring, slots, 8, 0, 10, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_refill_init(&ring, slots, 8, 11, 10, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_refill_init(&ring, slots, 8, 4, most + 1, 0, 0), FOL_E_VALUE);
    CHECK_EQ(fol_refill_init(&ring, slots, 8, 4, 10, -1, 0), FOL_E_VALUE);
    CHECK_EQ(fol_refill_init(&ring, slots, 8, 4, 10, 5, 0), FOL_E_VALUE);
    CHECK_EQ(fol_refill_init(&ring, slots, 8, 4, 10, 0, -1), FOL_E_VALUE);
    CHECK_EQ(fol_refill_init(&ring, slots, 8, 4, 10, 0, FOL_BUDGET_MAX_TIME + 1), FOL_E_VALUE);
    CHECK_EQ(fol_refill_init(&ring, slots, 64, most, most, most, FOL_BUDGET_MAX_TIME), 0);
}

/* Everything that random runs keep. */
typedef struct scene {
    uint64_t seed;
    fol_refill_ring ring;
    refill_model model;
    use_log log;
    int64_t now;
} scene;

static void open_scene(scene *scene, uint64_t seed, int64_t excess)
{
    *scene = (struct scene){.seed = seed};
    int64_t period = 1 + draw_below(&scene->seed, 60);
    int64_t budget = 1 + draw_below(&scene->seed, (uint32_t)period);
    int64_t minimum = draw_below(&scene->seed, (uint32_t)budget + 1) / 2;
    uint32_t capacity = 2 + draw_below(&scene->seed, 7);
    scene->now = draw_below(&scene->seed, 10);
    CHECK_EQ(fol_refill_init(&scene->ring, slots, capacity, budget, period, minimum, scene->now),
             0);
    model_init(&scene->model, capacity, budget, period, minimum, scene->now);
    scene->log = (use_log){.budget = budget, .period = period, .excess = excess};
}

static bool agrees(const scene *scene)
{
    fol_refill_invariants(&scene->ring);
    bool is_same = scene->ring.count == scene->model.count;
    for (uint32_t i = 0; is_same && i < scene->model.count; i++) {
        const fol_refill *refill = fol_refill_at(&scene->ring, i);
        is_same = refill->time == scene->model.list[i].time &&
                  refill->amount == scene->model.list[i].amount;
    }
    return is_same;
}

/* A run of what is available and at most the excess more, charged in pieces. */
static bool run_once(scene *scene)
{
    int64_t now = scene->now;
    int64_t available = fol_refill_available(&scene->ring, now);
    fol_refill_unblock(&scene->ring, now);
    model_unblock(&scene->model, now);
    if (!agrees(scene) || available != fol_refill_burst(&scene->ring)) {
        return false;
    }
    int64_t left = draw_below(&scene->seed, 4) == 0 ? draw_below(&scene->seed, (uint32_t)available)
                                                    : available;
    left += draw_below(&scene->seed, (uint32_t)scene->log.excess + 1);
    while (left > 0) {
        int64_t piece = 1 + draw_below(&scene->seed, (uint32_t)left);
        fol_refill_charge(&scene->ring, piece);
        model_charge(&scene->model, piece);
        if (!agrees(scene) || !log_use(&scene->log, scene->now, piece)) {
            return false;
        }
        scene->now += piece;
        left -= piece;
    }
    return true;
}

static void check_random_runs(int64_t excess, uint32_t scenes)
{
    const uint64_t seed = setting("FOLIOT_SEED", 1);
    for (uint32_t number = 0; number < budget_rounds(scenes); number++) {
        scene scene;
        open_scene(&scene, mix(seed, number), excess);
        bool is_fine = true;
        for (int step = 0; step < 1000 && is_fine; step++) {
            is_fine = run_once(&scene);
            /* Now and then from the very moment of the refill. */
            int64_t due = fol_refill_ready_at(&scene.ring);
            int64_t pause = draw_below(&scene.seed, (uint32_t)scene.ring.period + 5);
            bool is_hasty = draw_below(&scene.seed, 3) != 0;
            scene.now = is_hasty && due > scene.now ? due : scene.now + (is_hasty ? 0 : pause);
            while (fol_refill_ready_at(&scene.ring) > scene.now) {
                scene.now += 1;
            }
        }
        if (!CHECK(is_fine)) {
            fprintf(stderr, "FOLIOT_SEED=%" PRIu64 ", scene %u\n", seed, number);
            return;
        }
    }
}

static void test_random_runs_keep_the_rules_and_every_window(void)
{
    check_random_runs(0, 800);
}

static void test_random_overruns_cost_a_window_no_more_than_themselves(void)
{
    check_random_runs(7, 800);
    check_random_runs(100, 400);
}

static void test_debts_of_many_periods_are_what_single_steps_make_of_them(void)
{
    const uint64_t seed = setting("FOLIOT_SEED", 1);
    for (uint32_t number = 0; number < budget_rounds(3000); number++) {
        scene scene;
        open_scene(&scene, mix(seed, number), 0);
        bool is_fine = true;
        for (int step = 0; step < 20 && is_fine; step++) {
            uint32_t most = draw_below(&scene.seed, 2) == 0 ? 20 : 2000;
            int64_t used = draw_below(&scene.seed, most);
            fol_refill_charge(&scene.ring, used);
            model_charge(&scene.model, used);
            scene.now += draw_below(&scene.seed, 100);
            fol_refill_unblock(&scene.ring, scene.now);
            model_unblock(&scene.model, scene.now);
            is_fine = agrees(&scene);
        }
        if (!CHECK(is_fine)) {
            fprintf(stderr, "FOLIOT_SEED=%" PRIu64 ", scene %u\n", seed, number);
            return;
        }
    }
}

int main(void)
{
    RUN(test_new_ring_has_all_of_its_budget);
    RUN(test_use_comes_back_one_period_after_it);
    RUN(test_budget_used_up_in_one_run_comes_back_at_once);
    RUN(test_charge_of_nothing_changes_nothing);
    RUN(test_pieces_of_a_run_come_back_together);
    RUN(test_debt_moves_what_follows_away);
    RUN(test_budget_of_the_whole_period_is_one_refill);
    RUN(test_full_ring_joins_at_the_later_time);
    RUN(test_head_below_the_minimum_waits_for_the_next);
    RUN(test_unblock_takes_in_what_is_due);
    RUN(test_unblock_before_the_refill_changes_nothing);
    RUN(test_debt_beyond_the_end_of_time_shuts_out_for_good);
    RUN(test_charges_one_by_one_reach_the_end_of_time);
    RUN(test_arguments_out_of_bounds_are_refused);
    RUN(test_random_runs_keep_the_rules_and_every_window);
    RUN(test_random_overruns_cost_a_window_no_more_than_themselves);
    RUN(test_debts_of_many_periods_are_what_single_steps_make_of_them);
    CHECK_MAIN_END();
}
