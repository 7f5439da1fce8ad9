/* Machines of simulations: who is near whom, what is charged for it, and whom thieves turn to. */
#include <errno.h>

#include "foliot/sim_graph.h"
#include "foliot/status.h"
#include "sim_support.h"

#include "policy/dispatcher.h"
#include "sim/machine.h"

enum { CPUS = 8, OTHERS = CPUS - 1 };

/* Two nodes of two caches of two CPUs; CPUs 2 and 3 are threads of one core. */
static const uint32_t cores[CPUS] = {0, 1, 2, 2, 4, 5, 6, 7};
static const uint32_t caches[CPUS] = {0, 0, 1, 1, 2, 2, 3, 3};
static const uint32_t nodes[CPUS] = {0, 0, 0, 0, 1, 1, 1, 1};
static const fol_sim_machine machine = {cores, caches, nodes};

static const int64_t costs_by_distance[FOL_SIM_DISTANCES] = {1, 10, 100, 1000};

static void check_order(const uint32_t *row, const uint32_t *expected)
{
    for (uint32_t step = 0; step < OTHERS; step++) {
        CHECK_EQ(row[step], expected[step]);
    }
}

/* As many tasks as CPUs, all at home on one, which the others take from at once. */
static void set_init_crowded(task_set *set, uint32_t home)
{
    set_init(set, FOL_POLICY_FIFO, CPUS, 5000);
    for (uint32_t task = 0; task < CPUS; task++) {
        set_add(set, 9, 4000)->cpu = home;
    }
    set->config.queues = FOL_SIM_PER_CPU;
    set->config.machine = &machine;
}

static void test_distance_is_the_nearest_thing_that_is_shared(void)
{
    CHECK_EQ(fol_sim_distance_of(&machine, 2, 3), FOL_SIM_SAME_CORE);
    CHECK_EQ(fol_sim_distance_of(&machine, 0, 1), FOL_SIM_SAME_CACHE);
    CHECK_EQ(fol_sim_distance_of(&machine, 3, 0), FOL_SIM_SAME_NODE);
    CHECK_EQ(fol_sim_distance_of(&machine, 3, 4), FOL_SIM_OTHER_NODE);
    CHECK_EQ(fol_sim_distance_of(NULL, 3, 4), FOL_SIM_SAME_CACHE);
}

static void test_victims_are_ordered_by_distance_then_round_the_circle(void)
{
    uint32_t order[CPUS * OTHERS];
    fol_sim_machine_order(&machine, CPUS, order);
    check_order(&order[1 * OTHERS], (uint32_t[OTHERS]){0, 2, 3, 4, 5, 6, 7});
    check_order(&order[2 * OTHERS], (uint32_t[OTHERS]){3, 0, 1, 4, 5, 6, 7});
    check_order(&order[5 * OTHERS], (uint32_t[OTHERS]){4, 6, 7, 0, 1, 2, 3});
    fol_sim_machine_order(NULL, CPUS, order);
    check_order(&order[5 * OTHERS], (uint32_t[OTHERS]){6, 7, 0, 1, 2, 3, 4});
}

static void test_steal_costs_what_its_distance_does(void)
{
    task_set set;
    set_init_crowded(&set, 3);
    memcpy(set.config.steal_costs, costs_by_distance, sizeof(costs_by_distance));
    fol_sim *sim = set_run(&set);
    const int64_t expected[CPUS] = {100, 100, 1, 0, 1000, 1000, 1000, 1000};
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
        fol_sim_cpu_use use;
        fol_sim_cpu(sim, cpu, &use);
        CHECK_EQ(use.costs, expected[cpu]);
    }
    const fol_sim_moves *moves = fol_sim_moves_of(sim);
    CHECK_EQ(moves->steals[FOL_SIM_SAME_CORE], 1);
    CHECK_EQ(moves->steals[FOL_SIM_SAME_CACHE], 0);
    CHECK_EQ(moves->steals[FOL_SIM_SAME_NODE], 2);
    CHECK_EQ(moves->steals[FOL_SIM_OTHER_NODE], 4);
    check_sums(sim, &set.config);
    fol_sim_destroy(sim);
}

static void test_migration_costs_what_its_distance_does(void)
{
    /* Others begin on CPUs 0 to 3, so that the task of period 50 runs on CPU 4 first and later on
     * CPU 0, where all else is over by then. */
    task_set set;
    set_init(&set, FOL_POLICY_FIFO, CPUS, 70);
    for (uint32_t task = 0; task < 4; task++) {
        set_add(&set, 20, 4000);
    }
    set_add(&set, 5, 50);
    set.config.machine = &machine;
    memcpy(set.config.migration_costs, costs_by_distance, sizeof(costs_by_distance));
    set.config.migration_costs[FOL_SIM_OTHER_NODE] = 7;
    fol_sim *sim = set_run(&set);
    uint64_t count;
    const fol_sim_job *jobs = fol_sim_jobs(sim, &count);
    if (CHECK_EQ(count, 6)) {
        CHECK(jobs[4].cpu == 4 && jobs[4].finish == 5);
        CHECK(jobs[5].cpu == 0 && jobs[5].start == 57 && jobs[5].finish == 62);
    }
    CHECK_EQ(fol_sim_moves_of(sim)->migrations[FOL_SIM_OTHER_NODE], 1);
    check_sums(sim, &set.config);
    fol_sim_destroy(sim);
}

static void test_negative_cost_of_any_distance_is_refused(void)
{
    for (uint32_t distance = 0; distance < FOL_SIM_DISTANCES; distance++) {
        task_set set;
        fol_sim *sim = NULL;
        set_init_crowded(&set, 0);
        set.config.migration_costs[distance] = -1;
        CHECK_EQ(fol_sim_create(&set.config, &sim), FOL_E_VALUE);
        set.config.migration_costs[distance] = 0;
        set.config.steal_costs[distance] = FOL_SIM_MAX_TIME + 1;
        CHECK_EQ(fol_sim_create(&set.config, &sim), FOL_E_VALUE);
    }
}

static void test_machine_is_copied(void)
{
    uint32_t rows[3][CPUS];
    memcpy(rows[0], cores, sizeof(cores));
    memcpy(rows[1], caches, sizeof(caches));
    memcpy(rows[2], nodes, sizeof(nodes));
    fol_sim_machine given = {rows[0], rows[1], rows[2]};
    task_set set;
    set_init_crowded(&set, 3);
    set.config.machine = &given;
    fol_sim *sim = NULL;
    CHECK_EQ(fol_sim_create(&set.config, &sim), 0);
    memset(rows, 0, sizeof(rows));
    int status;
    do {
        status = fol_sim_step(sim, 100);
    } while (status == 0);
    CHECK_EQ(fol_sim_moves_of(sim)->steals[FOL_SIM_OTHER_NODE], 4);
    fol_sim_destroy(sim);
}

static void test_dispatcher_refuses_victims_that_are_no_other_cpus(void)
{
    const uint32_t wrong[][2] = {{0, 0}, {1, 1}, {2, 0}};
    for (size_t i = 0; i < 3; i++) {
        const fol_dispatcher_config config = {.queues = FOL_QUEUES_PER_CPU,
                                              .cpus = 2,
                                              .capacity = 1,
                                              .slices = {1, 1, 1},
                                              .max_faults = 1,
                                              .victims = wrong[i]};
        fol_dispatcher *dispatcher = NULL;
        CHECK_EQ(fol_dispatcher_create(&config, &dispatcher), -EINVAL);
        CHECK(dispatcher == NULL);
    }
}

static void test_refused_memory_gives_the_machine_back(void)
{
    task_set set;
    set_init_crowded(&set, 3);
    check_refused_memory(&set);
}

/* One task that takes no time, after which the others are ready on CPU 0. */
static fol_sim_graph *make_fan(uint32_t tasks)
{
    static const int64_t work[CPUS + 1] = {0, 5000, 5000, 5000, 5000, 5000, 5000, 5000, 5000};
    static const uint64_t first[CPUS + 2] = {0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint32_t root[CPUS] = {0};
    const fol_sim_graph_spec spec = {
        .count = tasks + 1, .costs = work, .first = first, .predecessors = root};
    fol_sim_graph *graph = NULL;
    fol_sim_graph_fault fault;
    CHECK_EQ(fol_sim_graph_create(&spec, &graph, &fault), 0);
    return graph;
}

static void test_thief_of_a_graph_pays_by_distance(void)
{
    fol_sim_graph *graph = make_fan(CPUS);
    int64_t times[3][CPUS + 1];
    uint32_t cpu[CPUS + 1];
    const fol_sim_graph_jobs jobs = {times[0], times[1], times[2], cpu};
    fol_sim_graph_options options = {
        .order = FOL_GRAPH_STEAL, .cpus = CPUS, .seed = 3, .machine = &machine};
    memcpy(options.steal_costs, costs_by_distance, sizeof(costs_by_distance));
    memcpy(options.migration_costs, costs_by_distance, sizeof(costs_by_distance));
    fol_sim_graph_summary summary;
    CHECK_EQ(fol_sim_graph_run(graph, &options, &jobs, &summary), 0);
    CHECK_EQ(summary.moves.steals[FOL_SIM_SAME_CACHE], 1);
    CHECK_EQ(summary.moves.steals[FOL_SIM_SAME_NODE], 2);
    CHECK_EQ(summary.moves.migrations[FOL_SIM_OTHER_NODE], 4);
    CHECK_EQ(summary.overhead, 2 * (10 + 2 * 100 + 4 * 1000));
    for (uint32_t task = 1; task <= CPUS; task++) {
        int64_t cost =
            cpu[task] == 0 ? 0 : 2 * costs_by_distance[fol_sim_distance_of(&machine, 0, cpu[task])];
        CHECK_EQ(times[1][task], cost);
    }
    fol_sim_graph_destroy(graph);
}

static void test_sum_of_the_largest_costs_by_distance_is_bounded(void)
{
    fol_sim_graph *graph = make_fan(2);
    int64_t times[3][CPUS + 1];
    uint32_t cpu[CPUS + 1];
    const fol_sim_graph_jobs jobs = {times[0], times[1], times[2], cpu};
    fol_sim_graph_options options = {.order = FOL_GRAPH_STEAL, .cpus = CPUS, .machine = &machine};
    options.migration_costs[FOL_SIM_SAME_CORE] = INT64_MAX / 4;
    options.steal_costs[FOL_SIM_OTHER_NODE] = INT64_MAX / 4;
    fol_sim_graph_summary summary;
    CHECK_EQ(fol_sim_graph_run(graph, &options, &jobs, &summary), -EOVERFLOW);
    fol_sim_graph_destroy(graph);
}

int main(void)
{
    RUN(test_distance_is_the_nearest_thing_that_is_shared);
    RUN(test_victims_are_ordered_by_distance_then_round_the_circle);
    RUN(test_steal_costs_what_its_distance_does);
    RUN(test_migration_costs_what_its_distance_does);
    RUN(test_negative_cost_of_any_distance_is_refused);
    RUN(test_machine_is_copied);
    RUN(test_dispatcher_refuses_victims_that_are_no_other_cpus);
    RUN(test_refused_memory_gives_the_machine_back);
    RUN(test_thief_of_a_graph_pays_by_distance);
    RUN(test_sum_of_the_largest_costs_by_distance_is_bounded);
    CHECK_MAIN_END();
}
