/* The simulator of task sets: what happens when, on sets small enough to be worked out by hand. */
#include <errno.h>

#include "foliot/status.h"
#include "sim_support.h"

static const fol_sim_job *job_at(const fol_sim *sim, uint64_t place)
{
    uint64_t count;
    const fol_sim_job *jobs = fol_sim_jobs(sim, &count);
    return place < count ? &jobs[place] : NULL;
}

static void check_job(const fol_sim *sim, uint64_t place, int64_t release, int64_t start,
                      int64_t finish)
{
    const fol_sim_job *job = job_at(sim, place);
    if (CHECK(job != NULL)) {
        CHECK_EQ(job->release, release);
        CHECK_EQ(job->start, start);
        CHECK_EQ(job->finish, finish);
    }
}

static fol_sim_cpu_use use_of(const fol_sim *sim, uint32_t cpu)
{
    fol_sim_cpu_use use;
    fol_sim_cpu(sim, cpu, &use);
    return use;
}

/* A task that says it takes 2 in each 10 and takes 5, on a context of 2 in each 10. */
static fol_sim *run_overrunning(task_set *set, fol_policy_kind policy, int64_t until,
                                fol_context_kind kind, fol_overrun overrun)
{
    const fol_context_options context = {
        .kind = kind, .overrun = overrun, .refills = 8, .budget = 2, .period = 10};
    set_init(set, policy, 1, until);
    set_add(set, 2, 10)->context = 1;
    set->costs[0] = 5;
    set_give_context(set, &context);
    return set_run(set);
}

/* A long task of chunks of 3, and a short one before it that comes at 4. */
static fol_sim *run_chunks(task_set *set, fol_sim_preemption preemption)
{
    set_init(set, FOL_POLICY_FP, 1, 20);
    set_add(set, 1, 20)->offset = 4;
    set_add(set, 9, 20)->chunk = 3;
    set->config.preemption = preemption;
    return set_run(set);
}

static void test_fixed_priorities_give_the_responses_of_the_textbook(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_FP, 1, 20);
    set_add(&set, 1, 2);
    set_add(&set, 5, 20);
    set_add(&set, 1, 20);
    fol_sim *sim = set_run(&set);
    CHECK_EQ(longest_response(sim, 0), 1);
    CHECK_EQ(longest_response(sim, 1), 10);
    CHECK_EQ(longest_response(sim, 2), 12);
    check_sums(sim, &set.config);
    fol_sim_destroy(sim);
}

static void test_rate_monotonic_misses_at_7_what_edf_meets(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_RM, 1, 70);
    set_add(&set, 2, 5);
    set_add(&set, 4, 7);
    fol_sim *sim = set_run(&set);
    const fol_sim_job *miss = first_miss(sim, 70);
    CHECK(miss != NULL && miss->deadline == 7 && miss->task == 1 && miss->finish == 8);
    fol_sim_destroy(sim);

    set.config.policy = FOL_POLICY_EDF;
    sim = set_run(&set);
    CHECK(first_miss(sim, 70) == NULL);
    CHECK_EQ(longest_response(sim, 0), 4);
    CHECK_EQ(longest_response(sim, 1), 6);
    fol_sim_destroy(sim);
}

static void test_job_that_ends_at_its_deadline_meets_it(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_EDF, 1, 8);
    set_add(&set, 4, 4);
    fol_sim *sim = set_run(&set);
    CHECK(first_miss(sim, 8) == NULL);
    check_job(sim, 1, 4, 4, 8);
    fol_sim_destroy(sim);
}

static void test_next_job_waits_for_an_unfinished_one_and_keeps_its_own_deadline(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_FIFO, 1, 20);
    set_add(&set, 5, 4);
    fol_sim *sim = set_run(&set);
    check_job(sim, 0, 0, 0, 5);
    check_job(sim, 1, 4, 5, 10);
    check_job(sim, 2, 8, 10, 15);
    check_job(sim, 3, 12, 15, 20);
    check_job(sim, 4, 16, -1, -1);
    CHECK_EQ(job_at(sim, 3)->deadline, 16);
    CHECK_EQ(job_at(sim, 4)->outcome, FOL_SIM_UNFINISHED);
    check_sums(sim, &set.config);
    fol_sim_destroy(sim);
}

static void test_section_holds_up_what_is_more_urgent(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_FP, 1, 10);
    set_add(&set, 1, 10)->offset = 2;
    set_add(&set, 6, 10)->section = 4;
    fol_sim *sim = set_run(&set);
    check_job(sim, 0, 0, 0, 7);
    check_job(sim, 1, 2, 4, 5);
    fol_sim_destroy(sim);
}

static void test_chunks_end_where_jobs_can_be_preempted(void)
{
    task_set set;
    fol_sim *sim = run_chunks(&set, FOL_SIM_PREEMPT_CHUNK);
    check_job(sim, 0, 0, 0, 10);
    check_job(sim, 1, 4, 6, 7);
    check_sums(sim, &set.config);
    fol_sim_destroy(sim);
}

static void test_jobs_run_to_their_ends_without_preemption(void)
{
    task_set set;
    fol_sim *sim = run_chunks(&set, FOL_SIM_PREEMPT_NONE);
    check_job(sim, 0, 0, 0, 9);
    check_job(sim, 1, 4, 9, 10);
    fol_sim_destroy(sim);
}

static void test_switches_cost_time_that_is_on_nobodys_account(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_FP, 1, 20);
    set_add(&set, 2, 20)->offset = 3;
    set_add(&set, 5, 20);
    set.config.switch_cost = 1;
    fol_sim *sim = set_run(&set);
    /* 0: switch, 1..3 work, 3: switch, 4..6 the other, 6: switch, 7..10 the rest. */
    check_job(sim, 0, 0, 1, 10);
    check_job(sim, 1, 3, 4, 6);
    CHECK_EQ(use_of(sim, 0).busy, 7);
    CHECK_EQ(use_of(sim, 0).costs, 3);
    CHECK_EQ(fol_sim_task_account(sim, 1)->runtime, 5);
    check_sums(sim, &set.config);
    fol_sim_destroy(sim);
}

static void test_partitioned_tasks_stay_on_their_cpu(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_EDF, 2, 40);
    set_add(&set, 2, 10)->cpu = 1;
    set_add(&set, 2, 10)->cpu = 1;
    set.config.queues = FOL_SIM_PARTITIONED;
    fol_sim *sim = set_run(&set);
    CHECK_EQ(use_of(sim, 0).busy, 0);
    CHECK_EQ(use_of(sim, 1).busy, 16);
    CHECK_EQ(job_at(sim, 1)->cpu, 1);
    fol_sim_destroy(sim);
}

static void test_what_an_idle_cpu_takes_from_another_queue_stays_there(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_EDF, 2, 40);
    set_add(&set, 2, 10);
    set_add(&set, 2, 10);
    set.config.queues = FOL_SIM_PER_CPU;
    set_costs(&set, 0, 3);
    fol_sim *sim = set_run(&set);
    CHECK_EQ(use_of(sim, 1).busy, 8);
    CHECK_EQ(use_of(sim, 1).costs, 3);
    CHECK_EQ(fol_sim_task_account(sim, 1)->steals, 1);
    fol_sim_destroy(sim);
}

static void test_hard_server_holds_an_overrun_to_its_bandwidth(void)
{
    task_set set;
    fol_sim *sim =
        run_overrunning(&set, FOL_POLICY_CBS, 100, FOL_CONTEXT_CBS_HARD, FOL_OVERRUN_THROTTLE);
    CHECK_EQ(fol_sim_task_account(sim, 0)->runtime, 20);
    fol_context_stats stats;
    CHECK_EQ(fol_sim_context_stats(sim, 1, &stats), 0);
    CHECK_EQ(stats.used, 20);
    CHECK_EQ(stats.debt, 0);
    check_sums(sim, &set.config);
    fol_sim_destroy(sim);
}

static void test_job_dropped_for_its_budget_says_so(void)
{
    task_set set;
    fol_sim *sim =
        run_overrunning(&set, FOL_POLICY_EDF, 30, FOL_CONTEXT_SPORADIC, FOL_OVERRUN_SKIP);
    for (uint64_t place = 0; place < 3; place++) {
        CHECK_EQ(job_at(sim, place)->outcome, FOL_SIM_DROPPED);
        CHECK_EQ(job_at(sim, place)->finish, -1);
        CHECK_EQ(job_at(sim, place)->start, (int64_t)place * 10);
    }
    fol_sim_destroy(sim);
}

static void test_killed_task_gets_no_more_jobs(void)
{
    task_set set;
    fol_sim *sim =
        run_overrunning(&set, FOL_POLICY_EDF, 30, FOL_CONTEXT_SPORADIC, FOL_OVERRUN_KILL);
    CHECK_EQ(job_at(sim, 0)->outcome, FOL_SIM_DROPPED);
    CHECK_EQ(job_at(sim, 1)->outcome, FOL_SIM_DENIED);
    CHECK_EQ(job_at(sim, 2)->outcome, FOL_SIM_DENIED);
    fol_context_stats stats;
    CHECK_EQ(fol_sim_context_stats(sim, 1, &stats), FOL_E_STALE);
    fol_sim_destroy(sim);
}

static void test_run_that_is_cut_into_steps_is_the_same(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_EEVDF, 2, 300);
    set_add(&set, 3, 7)->jitter = 5;
    set_add(&set, 4, 9)->gap = 6;
    set_add(&set, 5, 11);
    fol_sim *whole = set_run(&set);
    fol_sim *steps = NULL;
    CHECK_EQ(fol_sim_create(&set.config, &steps), 0);
    int status;
    do {
        status = fol_sim_step(steps, 1);
    } while (status == 0);
    uint64_t count;
    uint64_t other_count;
    const fol_sim_job *jobs = fol_sim_jobs(whole, &count);
    const fol_sim_job *others = fol_sim_jobs(steps, &other_count);
    CHECK_EQ(count, other_count);
    CHECK(memcmp(jobs, others, count * sizeof(*jobs)) == 0);
    fol_sim_destroy(steps);
    fol_sim_destroy(whole);
}

static void test_lags_are_sampled_once_in_each_stretch(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_EEVDF, 1, 100);
    set_add(&set, 20, 100);
    set_add(&set, 20, 100);
    set.config.sample_every = 10;
    fol_sim *sim = set_run(&set);
    uint64_t rows;
    const int64_t *samples = fol_sim_samples(sim, &rows);
    CHECK(rows >= 4 && rows <= 10);
    for (uint64_t row = 1; row < rows; row++) {
        CHECK(samples[row * 3] / 10 > samples[(row - 1) * 3] / 10);
    }
    fol_sim_destroy(sim);
}

static void test_bound_of_jobs_counts_every_release(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_EDF, 1, 10);
    set_add(&set, 1, 4);
    set_add(&set, 1, 5)->offset = 10;
    CHECK_EQ(fol_sim_jobs_bound(set.tasks, 2, 10), 3);
    CHECK_EQ(fol_sim_jobs_bound(set.tasks, 2, 11), 4);
    set.tasks[0].period = 1;
    set.tasks[1] = set.tasks[0];
    CHECK_EQ(fol_sim_jobs_bound(set.tasks, 2, FOL_SIM_MAX_TIME), FOL_SIM_MAX_TIME * 2);
}

static void test_largest_times_stay_in_64_bits(void)
{
    task_set set;
    set_init(&set, FOL_POLICY_EDF, 1, FOL_SIM_MAX_TIME);
    fol_sim_task *task = set_add(&set, FOL_SIM_MAX_TIME, FOL_SIM_MAX_TIME);
    task->jitter = FOL_SIM_MAX_TIME;
    task->gap = FOL_SIM_MAX_TIME;
    task->section = FOL_SIM_MAX_TIME;
    set_add(&set, 1, FOL_SIM_MAX_TIME)->offset = FOL_SIM_MAX_TIME - 1;
    set.config.switch_cost = FOL_SIM_MAX_TIME;
    set_costs(&set, FOL_SIM_MAX_TIME, FOL_SIM_MAX_TIME);
    fol_sim *sim = set_run(&set);
    check_sums(sim, &set.config);
    fol_sim_destroy(sim);
}

static void test_configuration_out_of_bounds_is_refused(void)
{
    task_set wrong[9];
    for (uint32_t i = 0; i < 9; i++) {
        set_init(&wrong[i], FOL_POLICY_EDF, 1, 10);
        set_add(&wrong[i], 1, 4);
    }
    wrong[0].config.task_count = 0;
    wrong[1].config.until = 0;
    wrong[2].config.until = FOL_SIM_MAX_TIME + 1;
    wrong[3].config.cpus = FOL_SIM_MAX_CPUS + 1;
    wrong[4].tasks[0].period = 0;
    wrong[5].costs[0] = 0;
    wrong[6].tasks[0].cpu = 1;
    wrong[7].tasks[0].context = 1;
    wrong[8].config.slices[0] = 0;
    for (uint32_t i = 0; i < 9; i++) {
        fol_sim *sim = NULL;
        if (!CHECK_EQ(fol_sim_create(&wrong[i].config, &sim), FOL_E_VALUE)) {
            fprintf(stderr, "setting %u\n", i);
        }
        CHECK(sim == NULL);
    }
}

static void test_refused_memory_gives_all_back(void)
{
    task_set set;
    const fol_context_options context = {
        .kind = FOL_CONTEXT_SPORADIC, .refills = 8, .budget = 2, .period = 10};
    set_init(&set, FOL_POLICY_EDF, 2, 2000);
    set_add(&set, 3, 10)->context = 1;
    set_add(&set, 3, 10);
    set_give_context(&set, &context);
    set.config.sample_every = 1;
    check_refused_memory(&set);
}

int main(void)
{
    RUN(test_fixed_priorities_give_the_responses_of_the_textbook);
    RUN(test_rate_monotonic_misses_at_7_what_edf_meets);
    RUN(test_job_that_ends_at_its_deadline_meets_it);
    RUN(test_next_job_waits_for_an_unfinished_one_and_keeps_its_own_deadline);
    RUN(test_section_holds_up_what_is_more_urgent);
    RUN(test_chunks_end_where_jobs_can_be_preempted);
    RUN(test_jobs_run_to_their_ends_without_preemption);
    RUN(test_switches_cost_time_that_is_on_nobodys_account);
    RUN(test_partitioned_tasks_stay_on_their_cpu);
    RUN(test_what_an_idle_cpu_takes_from_another_queue_stays_there);
    RUN(test_hard_server_holds_an_overrun_to_its_bandwidth);
    RUN(test_job_dropped_for_its_budget_says_so);
    RUN(test_killed_task_gets_no_more_jobs);
    RUN(test_run_that_is_cut_into_steps_is_the_same);
    RUN(test_lags_are_sampled_once_in_each_stretch);
    RUN(test_bound_of_jobs_counts_every_release);
    RUN(test_largest_times_stay_in_64_bits);
    RUN(test_configuration_out_of_bounds_is_refused);
    RUN(test_refused_memory_gives_all_back);
    CHECK_MAIN_END();
}
