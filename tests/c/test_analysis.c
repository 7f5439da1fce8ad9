/* Schedulability tests: known sets, random ones against a count of every job, bounds, refusals. */
#include "check.h"

#include <errno.h>
#include <stdlib.h>

#include "draw.h"
#include "foliot/memory.h"
#include "foliot/status.h"
#include "policy/analysis.h"

enum { TASKS = 6, LONGEST = 400 };

static fol_analysis *new_analysis(uint32_t capacity)
{
    fol_analysis *analysis = NULL;
    CHECK_EQ(fol_analysis_create(capacity, &analysis), FOL_OK);
    return analysis;
}

static const fol_analysis_task control_and_plan[] = {{2, 5, 5, 0, 0}, {4, 7, 7, 0, 0}};

static void test_known_responses_under_fixed_priorities(void)
{
    static const fol_analysis_task tasks[] = {
        {1, 2, 2, 0, 0}, {5, 20, 20, 0, 0}, {1, 20, 20, 0, 0}};
    fol_analysis *analysis = new_analysis(3);
    int64_t responses[3];
    CHECK_EQ(fol_analysis_fixed_responses(analysis, tasks, 3, responses), FOL_OK);
    CHECK_EQ(responses[0], 1);
    CHECK_EQ(responses[1], 10);
    CHECK_EQ(responses[2], 12);
    fol_analysis_destroy(analysis);
}

static void test_known_set_that_priorities_miss_and_deadlines_meet(void)
{
    fol_analysis *analysis = new_analysis(2);
    int64_t responses[2];
    fol_demand_verdict verdict;
    CHECK_EQ(fol_analysis_fixed_responses(analysis, control_and_plan, 2, responses), FOL_OK);
    CHECK_EQ(responses[1], 8);
    CHECK_EQ(fol_analysis_edf_responses(analysis, control_and_plan, 2, responses), FOL_OK);
    CHECK_EQ(responses[0], 4);
    CHECK_EQ(responses[1], 6);
    CHECK_EQ(fol_analysis_edf(analysis, control_and_plan, 2, &verdict), FOL_OK);
    CHECK_EQ(verdict.reason, FOL_DEMAND_FITS);
    fol_analysis_destroy(analysis);
}

static void test_priorities_below_an_overload_have_no_bound(void)
{
    static const fol_analysis_task tasks[] = {{2, 4, 4, 0, 0}, {3, 4, 4, 0, 0}, {1, 99, 99, 0, 0}};
    fol_analysis *analysis = new_analysis(3);
    int64_t responses[3];
    CHECK_EQ(fol_analysis_fixed_responses(analysis, tasks, 3, responses), FOL_OK);
    CHECK_EQ(responses[0], 2);
    CHECK_EQ(responses[1], FOL_ANALYSIS_UNBOUNDED);
    CHECK_EQ(responses[2], FOL_ANALYSIS_UNBOUNDED);
    fol_analysis_destroy(analysis);
}

/* The first t up to the end whose jobs, counted one by one, ask for more than it; or -1. */
static int64_t count_first_excess(const fol_analysis_task *tasks, uint32_t count, int64_t end,
                                  int64_t *demand)
{
    static int64_t due[LONGEST + 1];
    int64_t last = 0;
    memset(due, 0, sizeof(due));
    for (uint32_t i = 0; i < count; i++) {
        last = tasks[i].deadline > last ? tasks[i].deadline : last;
        for (int64_t t = tasks[i].deadline - tasks[i].jitter; t <= end; t += tasks[i].period) {
            due[t < 0 ? 0 : t] += tasks[i].wcet;
        }
    }
    *demand = 0;
    for (int64_t t = 0; t <= end; t++) {
        int64_t blocking = 0;
        for (uint32_t i = 0; i < count && t < last; i++) {
            bool can_be_held = tasks[i].deadline - tasks[i].jitter <= t;
            blocking = can_be_held && tasks[i].blocking > blocking ? tasks[i].blocking : blocking;
        }
        *demand += due[t];
        if (*demand > 0 && *demand + blocking > t) {
            return t;
        }
    }
    return -1;
}

static uint32_t draw_tasks(uint64_t *state, fol_analysis_task *tasks, bool has_blocking)
{
    static const int64_t periods[] = {2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30};
    uint32_t count = 1 + draw_below(state, TASKS);
    for (uint32_t i = 0; i < count; i++) {
        int64_t period = periods[draw_below(state, 12)];
        int64_t deadline = 1 + draw_below(state, (uint32_t)(2 * period));
        int64_t most = deadline < (period + 2) / 3 ? deadline : (period + 2) / 3;
        tasks[i] = (fol_analysis_task){
            .wcet = 1 + draw_below(state, (uint32_t)most),
            .period = period,
            .deadline = deadline,
            .jitter = draw_below(state, 3) == 0 ? draw_below(state, 5) : 0,
            .blocking = has_blocking ? draw_below(state, 4) : 0,
        };
    }
    return count;
}

static void test_demand_is_that_of_jobs_counted_one_by_one(void)
{
    uint64_t seed = setting("SEED", 11);
    uint64_t rounds = setting("FOLIOT_STRESS", 0) ? 2000000 : 40000;
    uint64_t state = seed;
    fol_analysis *analysis = new_analysis(TASKS);
    for (uint64_t round = 0; round < rounds; round++) {
        fol_analysis_task tasks[TASKS];
        uint32_t count = draw_tasks(&state, tasks, round % 2 == 0);
        fol_demand_verdict verdict;
        int64_t demand;
        int status = fol_analysis_edf(analysis, tasks, count, &verdict);
        /* All that can exceed its length up to a hyperperiod of 120 does so by then. */
        int64_t t = count_first_excess(tasks, count, LONGEST, &demand);
        bool is_found = verdict.reason == FOL_DEMAND_EXCEEDS && verdict.t <= LONGEST;
        if (!CHECK_EQ(status, FOL_OK) || !CHECK_EQ(is_found, t >= 0) ||
            (is_found && (!CHECK_EQ(verdict.t, t) || !CHECK_EQ(verdict.demand, demand)))) {
            fprintf(stderr, "seed %" PRIu64 ", round %" PRIu64 "\n", seed, round);
            break;
        }
    }
    fol_analysis_destroy(analysis);
}

static void test_every_width_of_registers_gives_the_same_verdicts(void)
{
    const fol_dense_code *codes;
    size_t count_of_codes = fol_dense_codes(&codes);
    uint64_t seed = setting("SEED", 12);
    uint64_t state = seed;
    fol_analysis *analysis = new_analysis(50);
    for (int round = 0; round < 3000; round++) {
        fol_analysis_task tasks[50];
        uint32_t count = 1 + draw_below(&state, 50);
        for (uint32_t i = 0; i < count; i++) {
            int64_t period = 1 + (int64_t)(draw(&state) >> (15 + draw_below(&state, 45)));
            int64_t deadline = period - (int64_t)(draw(&state) % (uint64_t)period) / 2;
            int64_t wcet = 1 + deadline / (int64_t)(count + 1 + draw_below(&state, 4));
            tasks[i] = (fol_analysis_task){wcet < deadline ? wcet : deadline, period, deadline,
                                           (int64_t)(draw(&state) % 8), 0};
        }
        fol_demand_verdict expected;
        for (size_t code = 0; code <= count_of_codes; code++) {
            fol_demand_verdict verdict;
            analysis->code = &codes[code < count_of_codes ? code : 0];
            CHECK_EQ(fol_analysis_load(analysis, tasks, count), FOL_OK);
            CHECK(analysis->is_dense);
            /* And, last, without registers: in whole numbers. */
            analysis->is_dense = code < count_of_codes;
            fol_analysis_demand(analysis, &verdict);
            expected = code == 0 ? verdict : expected;
            bool is_same = verdict.status == expected.status && verdict.reason == expected.reason &&
                           verdict.t == expected.t && verdict.demand == expected.demand;
            if (!CHECK(is_same)) {
                fprintf(stderr, "seed %" PRIu64 ", round %d, code %zu\n", seed, round, code);
                round = 3000;
                break;
            }
        }
    }
    fol_analysis_destroy(analysis);
}

static void test_a_large_set_of_unlike_periods_adds_up_to_one_exactly(void)
{
    /* 1/(1*2) + 1/(2*3) + ... + 1/(n(n+1)) + 1/(n+1) = 1. */
    enum { COUNT = 1000 };
    static fol_analysis_task tasks[COUNT];
    for (int64_t i = 1; i < COUNT; i++) {
        tasks[i - 1] = (fol_analysis_task){1, i * (i + 1), i * (i + 1), 0, 0};
    }
    tasks[COUNT - 1] = (fol_analysis_task){1, COUNT, COUNT, 0, 0};
    fol_analysis *analysis = new_analysis(COUNT);
    int compared = 7;
    CHECK_EQ(fol_analysis_utilisation(analysis, tasks, COUNT, &compared), FOL_OK);
    CHECK_EQ(compared, 0);
    int64_t large = FOL_ANALYSIS_TIME_MAX / COUNT;
    tasks[COUNT - 1] = (fol_analysis_task){large, large * COUNT - 1, large * COUNT, 0, 0};
    CHECK_EQ(fol_analysis_utilisation(analysis, tasks, COUNT, &compared), FOL_OK);
    CHECK_EQ(compared, 1);
    tasks[COUNT - 1] = (fol_analysis_task){large - 1, large * COUNT, large * COUNT, 0, 0};
    CHECK_EQ(fol_analysis_utilisation(analysis, tasks, COUNT, &compared), FOL_OK);
    CHECK_EQ(compared, -1);
    fol_analysis_destroy(analysis);
}

static void test_work_that_ends_beyond_the_largest_horizon_is_an_error(void)
{
    fol_analysis_task tasks[8];
    for (int64_t i = 0; i < 8; i++) {
        int64_t period = FOL_ANALYSIS_TIME_MAX - i;
        tasks[i] = (fol_analysis_task){FOL_ANALYSIS_TIME_MAX / 8 - 1, period, period,
                                       FOL_ANALYSIS_TIME_MAX, 0};
    }
    fol_analysis *analysis = new_analysis(8);
    int64_t responses[8];
    CHECK_EQ(fol_analysis_fixed_responses(analysis, tasks, 8, responses), -EOVERFLOW);
    CHECK_EQ(fol_analysis_edf_responses(analysis, tasks, 8, responses), -EOVERFLOW);
    int64_t repeat;
    CHECK_EQ(fol_analysis_hyperperiod(analysis, 8, &repeat), -EOVERFLOW);
    fol_analysis_destroy(analysis);
}

static void test_too_many_looks_are_an_error(void)
{
    static const fol_analysis_task tasks[] = {{1, 4, 2, 0, 0}, {3, 5, 5, 0, 0}};
    fol_analysis *analysis = new_analysis(2);
    fol_demand_verdict verdict;
    int64_t end;
    CHECK_EQ(fol_analysis_load(analysis, tasks, 2), FOL_OK);
    analysis->steps = FOL_ANALYSIS_STEPS_MAX;
    CHECK_EQ(fol_analysis_demand(analysis, &verdict), -E2BIG);
    CHECK_EQ(verdict.status, -E2BIG);
    CHECK_EQ(fol_analysis_busy_period(analysis, 2, 100, &end), -E2BIG);
    fol_analysis_destroy(analysis);
}

static void test_an_overload_too_small_to_show_is_one_without_a_witness(void)
{
    const int64_t large = FOL_ANALYSIS_TIME_MAX - 1;
    const fol_analysis_task tasks[] = {{1, 2, 2, 0, 0}, {large / 2 + 1, large, large, 0, 0}};
    fol_analysis *analysis = new_analysis(2);
    fol_demand_verdict verdict;
    CHECK_EQ(fol_analysis_edf(analysis, tasks, 2, &verdict), FOL_OK);
    CHECK(verdict.reason != FOL_DEMAND_FITS);
    fol_analysis_destroy(analysis);
}

static void test_each_field_out_of_bounds_is_refused(void)
{
    const int64_t more = FOL_ANALYSIS_TIME_MAX + 1;
    const fol_analysis_task wrong[] = {
        {0, 9, 9, 0, 0},
        {10, 9, 9, 0, 0},
        {-1, 9, 9, 0, 0},
        {1, 0, 9, 0, 0},
        {1, -1, 9, 0, 0},
        {1, more, 9, 0, 0},
        {1, 9, 0, 0, 0},
        {1, 9, -1, 0, 0},
        {1, 9, more, 0, 0},
        {1, 9, 9, -1, 0},
        {1, 9, 9, more, 0},
        {1, 9, 9, 0, -1},
        {1, 9, 9, 0, more},
        {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN},
        {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
    };
    const fol_dense_code *codes;
    size_t count_of_codes = fol_dense_codes(&codes);
    fol_analysis *analysis = new_analysis(20);
    for (size_t code = 0; code < count_of_codes; code++) {
        analysis->code = &codes[code];
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            for (uint32_t place = 0; place < 20; place += 6) {
                fol_analysis_task tasks[20];
                for (uint32_t other = 0; other < 20; other++) {
                    tasks[other] = (fol_analysis_task){1, 99, 99, 0, 0};
                }
                CHECK_EQ(fol_analysis_load(analysis, tasks, 20), FOL_OK);
                tasks[place] = wrong[i];
                CHECK_EQ(fol_analysis_load(analysis, tasks, 20), FOL_E_VALUE);
            }
        }
    }
    fol_analysis_destroy(analysis);
}

static void test_more_tasks_than_there_is_room_for_are_refused(void)
{
    fol_analysis *analysis = new_analysis(1);
    fol_demand_verdict verdict;
    int64_t responses[2];
    int compared;
    CHECK_EQ(fol_analysis_edf(analysis, control_and_plan, 2, &verdict), FOL_E_VALUE);
    CHECK_EQ(verdict.status, FOL_E_VALUE);
    CHECK_EQ(fol_analysis_utilisation(analysis, control_and_plan, 2, &compared), FOL_E_VALUE);
    CHECK_EQ(fol_analysis_fixed_responses(analysis, control_and_plan, 2, responses), FOL_E_VALUE);
    CHECK_EQ(fol_analysis_edf_responses(analysis, control_and_plan, 2, responses), FOL_E_VALUE);
    fol_analysis_destroy(analysis);
    CHECK_EQ(fol_analysis_create(0, &analysis), FOL_E_VALUE);
    CHECK_EQ(fol_analysis_create(FOL_ANALYSIS_TASKS_MAX + 1, &analysis), FOL_E_VALUE);
    fol_analysis_destroy(NULL);
}

static void test_many_sets_have_a_verdict_each(void)
{
    const fol_analysis_task tasks[] = {
        {2, 5, 5, 0, 0}, {4, 7, 7, 0, 0}, {0, 1, 1, 0, 0}, {2, 3, 3, 0, 0}, {2, 3, 3, 0, 0}};
    const uint32_t counts[] = {2, 0, 1, 2};
    fol_demand_verdict verdicts[4];
    fol_analysis *analysis = new_analysis(2);
    fol_analysis_edf_many(analysis, tasks, counts, 4, verdicts);
    CHECK_EQ(verdicts[0].reason, FOL_DEMAND_FITS);
    CHECK_EQ(verdicts[1].status, FOL_OK);
    CHECK_EQ(verdicts[2].status, FOL_E_VALUE);
    CHECK_EQ(verdicts[3].t, 3);
    CHECK_EQ(verdicts[3].demand, 4);
    fol_analysis_destroy(analysis);
}

static void test_pinned_tasks_go_first_and_the_rest_by_utilisation(void)
{
    const fol_analysis_task tasks[] = {
        {1, 4, 4, 0, 0}, {3, 4, 4, 0, 0}, {1, 2, 2, 0, 0}, {2, 4, 4, 0, 0}};
    const int32_t pinned[] = {1, -1, -1, -1};
    const int32_t beyond[] = {2, -1, -1, -1};
    int32_t cpu_of[4];
    int64_t misfit;
    fol_demand_verdict why[2];
    fol_analysis *analysis = new_analysis(4);
    CHECK_EQ(fol_analysis_partition(analysis, tasks, 4, 2, pinned, cpu_of, &misfit, why), FOL_OK);
    CHECK_EQ(misfit, 3);
    CHECK_EQ(cpu_of[0], 1);
    CHECK_EQ(cpu_of[1], 0);
    CHECK_EQ(cpu_of[2], 1);
    CHECK_EQ(cpu_of[3], -1);
    CHECK_EQ(why[0].t, 4);
    CHECK_EQ(why[0].demand, 5);
    CHECK_EQ(fol_analysis_partition(analysis, tasks, 4, 2, NULL, cpu_of, &misfit, why), FOL_OK);
    CHECK_EQ(misfit, -1);
    CHECK_EQ(fol_analysis_partition(analysis, tasks, 4, 2, beyond, cpu_of, &misfit, why),
             FOL_E_VALUE);
    CHECK_EQ(fol_analysis_partition(analysis, tasks, 4, 0, NULL, cpu_of, &misfit, why),
             FOL_E_VALUE);
    fol_analysis_destroy(analysis);
}

static void test_each_refused_allocation_leaves_nothing_behind(void)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    for (uint64_t n = 1;; n++) {
        fol_analysis *analysis;
        fol_memory_fail_nth(n);
        int status = fol_analysis_create(5, &analysis);
        if (fol_memory_failure_is_armed()) {
            fol_memory_fail_nth(0);
            CHECK(n > 2);
            CHECK_EQ(status, FOL_OK);
            fol_analysis_destroy(analysis);
            break;
        }
        CHECK_EQ(status, -ENOMEM);
    }
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

int main(void)
{
    RUN(test_known_responses_under_fixed_priorities);
    RUN(test_known_set_that_priorities_miss_and_deadlines_meet);
    RUN(test_priorities_below_an_overload_have_no_bound);
    RUN(test_demand_is_that_of_jobs_counted_one_by_one);
    RUN(test_every_width_of_registers_gives_the_same_verdicts);
    RUN(test_a_large_set_of_unlike_periods_adds_up_to_one_exactly);
    RUN(test_work_that_ends_beyond_the_largest_horizon_is_an_error);
    RUN(test_too_many_looks_are_an_error);
    RUN(test_an_overload_too_small_to_show_is_one_without_a_witness);
    RUN(test_each_field_out_of_bounds_is_refused);
    RUN(test_more_tasks_than_there_is_room_for_are_refused);
    RUN(test_many_sets_have_a_verdict_each);
    RUN(test_pinned_tasks_go_first_and_the_rest_by_utilisation);
    RUN(test_each_refused_allocation_leaves_nothing_behind);
    CHECK_MAIN_END();
}
