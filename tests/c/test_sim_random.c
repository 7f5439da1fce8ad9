/* Random task sets under every policy, queue and preemption, with budgets and groups: whatever
 * happens, the sums are right, the log is complete and sound at each instant, and a second run is
 * the same. FOLIOT_SIM_SEED and FOLIOT_SIM_ROUNDS choose; the seed is printed when a check fails.
 */
#include "sim_support.h"

#include "sim/tournament.h"

#define CONTEXTS_MAX 3u
#define GROUPS_MAX   2u
#define CPUS_MAX     6u

typedef struct scenario {
    task_set set;
    fol_context_options contexts[CONTEXTS_MAX];
    fol_sim_group groups[GROUPS_MAX];
    uint32_t places[3][CPUS_MAX];
    fol_sim_machine machine;
} scenario;

static void draw_contexts(scenario *one, uint64_t *draws)
{
    one->set.config.context_count = draw_below(draws, CONTEXTS_MAX + 1);
    if (one->set.config.context_count > one->set.config.task_count) {
        one->set.config.context_count = one->set.config.task_count;
    }
    for (uint32_t index = 0; index < one->set.config.context_count; index++) {
        int64_t period = 2 + draw_below(draws, 30);
        one->contexts[index] = (fol_context_options){
            .kind = (fol_context_kind)draw_below(draws, FOL_CONTEXT_KINDS),
            .overrun = (fol_overrun)draw_below(draws, FOL_OVERRUN_POLICIES),
            .refills = 2 + draw_below(draws, 6),
            .budget = 1 + draw_below(draws, (uint32_t)period),
            .period = period,
            .minimum = 1,
        };
        /* What is pinned must be allowed at home, so only others have CPU sets here. */
        if (one->set.config.queues != FOL_SIM_PARTITIONED && draw_below(draws, 3) == 0) {
            one->contexts[index].cpus[0] = 1 + draw_below(draws, (1u << one->set.config.cpus) - 1);
        }
    }
    one->set.config.contexts = one->contexts;
}

/* Costs by distance, and CPUs that share cores, caches and nodes in any way. */
static void draw_machine(scenario *one, uint64_t *draws)
{
    fol_sim_config *config = &one->set.config;
    for (uint32_t distance = 0; distance < FOL_SIM_DISTANCES; distance++) {
        config->migration_costs[distance] = draw_below(draws, 3) == 0 ? draw_below(draws, 4) : 0;
        config->steal_costs[distance] = draw_below(draws, 3) == 0 ? draw_below(draws, 4) : 0;
    }
    for (uint32_t cpu = 0; cpu < config->cpus; cpu++) {
        for (uint32_t kind = 0; kind < 3; kind++) {
            one->places[kind][cpu] = draw_below(draws, 3);
        }
    }
    one->machine = (fol_sim_machine){one->places[0], one->places[1], one->places[2]};
    config->machine = draw_below(draws, 3) == 0 ? NULL : &one->machine;
}

static void draw_scenario(scenario *one, uint64_t *draws)
{
    memset(one, 0, sizeof(*one));
    set_init(&one->set, (fol_policy_kind)draw_below(draws, FOL_POLICY_KINDS),
             1 + draw_below(draws, CPUS_MAX), 200 + draw_below(draws, 200));
    fol_sim_config *config = &one->set.config;
    config->queues = (fol_sim_queues)draw_below(draws, FOL_SIM_QUEUE_SHAPES);
    config->preemption = (fol_sim_preemption)draw_below(draws, FOL_SIM_PREEMPTIONS);
    config->seed = draw(draws);
    uint32_t tasks = 1 + draw_below(draws, 8);
    for (uint32_t index = 0; index < tasks; index++) {
        fol_sim_task *task =
            set_add(&one->set, 1 + draw_below(draws, 9), 3 + draw_below(draws, 40));
        task->deadline = 1 + draw_below(draws, 40);
        task->offset = draw_below(draws, 20);
        task->jitter = draw_below(draws, 3) == 0 ? draw_below(draws, 50) : 0;
        task->gap = draw_below(draws, 3) == 0 ? draw_below(draws, 20) : 0;
        task->section = draw_below(draws, 3) == 0 ? draw_below(draws, 6) : 0;
        task->chunk = draw_below(draws, 5);
        task->weight = 1 + draw_below(draws, 4096);
        task->latency = draw_below(draws, 3);
        task->cpu = draw_below(draws, config->cpus);
        task->priority = (int32_t)draw_below(draws, 4);
    }
    draw_contexts(one, draws);
    config->group_count = draw_below(draws, 2) * (tasks >= 2 ? 2 : 1);
    for (uint32_t group = 0; group < config->group_count; group++) {
        one->groups[group] = (fol_sim_group){1 + draw_below(draws, 4096), draw_below(draws, 3)};
    }
    config->groups = one->groups;
    for (uint32_t index = 0; index < tasks; index++) {
        one->set.tasks[index].context = draw_below(draws, config->context_count + 1);
        one->set.tasks[index].group = draw_below(draws, config->group_count + 1);
    }
    config->switch_cost = draw_below(draws, 3) == 0 ? draw_below(draws, 4) : 0;
    draw_machine(one, draws);
    config->sample_every = draw_below(draws, 2) * 7;
}

static bool job_is_sound(const fol_sim_job *job, int64_t until)
{
    bool is_done = job->outcome == FOL_SIM_DONE;
    bool has_run = job->start != FOL_SIM_NEVER;
    return job->outcome < FOL_SIM_OUTCOMES && is_done == (job->finish != FOL_SIM_NEVER) &&
           has_run == (job->cpu != FOL_SIM_NO_CPU) && job->release >= 0 && job->release < until &&
           (!has_run || (job->start >= job->release && job->start < until)) &&
           (!is_done || (has_run && job->finish > job->start && job->finish <= until)) &&
           (job->outcome != FOL_SIM_DENIED || !has_run);
}

/* Each job that is done got what it needed, and no other more. */
static void check_work(const fol_sim *sim, const task_set *set)
{
    uint64_t count;
    uint64_t segment_count;
    static int64_t got[4096];
    const fol_sim_job *jobs = fol_sim_jobs(sim, &count);
    const fol_sim_segment *segments = fol_sim_segments(sim, &segment_count);
    if (!CHECK(count <= sizeof(got) / sizeof(got[0]))) {
        return;
    }
    memset(got, 0, sizeof(got));
    for (uint64_t place = 0; place < segment_count; place++) {
        if (segments[place].is_cost == 0) {
            got[segments[place].job] += segments[place].end - segments[place].start;
        }
    }
    for (uint64_t place = 0; place < count; place++) {
        int64_t need = set->costs[jobs[place].task];
        CHECK(job_is_sound(&jobs[place], set->config.until));
        CHECK(jobs[place].outcome == FOL_SIM_DONE ? got[place] == need : got[place] < need);
    }
}

static void check_scenario(const scenario *one)
{
    fol_sim *sim = set_run(&one->set);
    fol_sim *again = set_run(&one->set);
    if (sim != NULL && again != NULL) {
        check_sums(sim, &one->set.config);
        check_work(sim, &one->set);
        CHECK(fol_sim_invariants(sim));
        uint64_t count;
        uint64_t other;
        const fol_sim_job *jobs = fol_sim_jobs(sim, &count);
        const fol_sim_job *others = fol_sim_jobs(again, &other);
        CHECK(count == other && memcmp(jobs, others, count * sizeof(*jobs)) == 0);
    }
    fol_sim_destroy(again);
    fol_sim_destroy(sim);
}

static void test_random_sets_keep_their_sums_and_their_logs(void)
{
    uint64_t first = setting("FOLIOT_SIM_SEED", 1);
    uint64_t rounds = setting("FOLIOT_SIM_ROUNDS", setting("FOLIOT_STRESS", 0) ? 20000 : 600);
    for (uint64_t round = 0; round < rounds && check_failures == 0; round++) {
        uint64_t draws = first + round;
        static scenario one;
        draw_scenario(&one, &draws);
        check_scenario(&one);
        if (check_failures != 0) {
            fprintf(stderr, "FOLIOT_SIM_SEED=%" PRIu64 " FOLIOT_SIM_ROUNDS=1\n", first + round);
        }
    }
}

static void test_tournament_knows_the_least_of_random_times(void)
{
    uint64_t draws = setting("FOLIOT_SIM_SEED", 1);
    for (uint32_t players = 1; players <= 40; players++) {
        fol_tournament tournament;
        int64_t times[40];
        CHECK_EQ(fol_tournament_init(&tournament, players), 0);
        for (uint32_t player = 0; player < players; player++) {
            times[player] = FOL_TIME_NEVER;
        }
        for (uint32_t step = 0; step < 400; step++) {
            uint32_t player = draw_below(&draws, players);
            times[player] = draw_below(&draws, 10) == 0 ? FOL_TIME_NEVER : draw_below(&draws, 30);
            fol_tournament_set(&tournament, player, times[player]);
            uint32_t first = 0;
            for (uint32_t other = 1; other < players; other++) {
                first = times[other] < times[first] ? other : first;
            }
            CHECK_EQ(fol_tournament_time(&tournament), times[first]);
            CHECK_EQ(fol_tournament_first(&tournament), first);
            CHECK_EQ(fol_tournament_get(&tournament, player), times[player]);
        }
        CHECK(fol_tournament_invariants(&tournament));
        fol_tournament_deinit(&tournament);
    }
}

int main(void)
{
    RUN(test_random_sets_keep_their_sums_and_their_logs);
    RUN(test_tournament_knows_the_least_of_random_times);
    CHECK_MAIN_END();
}
