/* Task graphs: bounds, what is refused, and runs of every order, checked from outside. */

#include <errno.h>

#include "foliot/memory.h"
#include "graph_support.h"
#include "sim/graph.h"
#include "stress.h"

static const fol_sim_graph_options two_cpus = {.order = FOL_GRAPH_FIFO, .cpus = 2};

/* a(3) before b(2) and c(4), both before d(1). */
static const int64_t diamond_costs[] = {3, 2, 4, 1};
static const uint64_t diamond_first[] = {0, 0, 1, 2, 4};
static const uint32_t diamond_before[] = {0, 0, 1, 2};

static fol_sim_graph_spec diamond(void)
{
    return (fol_sim_graph_spec){
        .count = 4, .costs = diamond_costs, .first = diamond_first, .predecessors = diamond_before};
}

static fol_sim_graph *make(const fol_sim_graph_spec *spec)
{
    fol_sim_graph *graph = NULL;
    fol_sim_graph_fault fault;
    CHECK_EQ(fol_sim_graph_create(spec, &graph, &fault), FOL_OK);
    return graph;
}

static void test_bounds_are_those_of_the_graph(void)
{
    fol_sim_graph_spec spec = diamond();
    fol_sim_graph *graph = make(&spec);
    uint32_t path[4];
    CHECK_EQ(fol_sim_graph_count(graph), 4);
    CHECK_EQ(fol_sim_graph_edges(graph), 4);
    CHECK_EQ(fol_sim_graph_work(graph), 10);
    CHECK_EQ(fol_sim_graph_critical_path(graph), 8);
    CHECK_EQ(fol_sim_graph_critical_tasks(graph, path), 3);
    CHECK(path[0] == 0 && path[1] == 2 && path[2] == 3);
    CHECK_EQ(fol_sim_graph_lower_bound(graph, 1), 10);
    CHECK_EQ(fol_sim_graph_lower_bound(graph, 2), 8);
    fol_sim_graph_destroy(graph);
}

static void test_work_over_cpus_is_rounded_up(void)
{
    const int64_t costs[] = {1, 1, 1};
    const uint64_t first[] = {0, 0, 0, 0};
    fol_sim_graph_spec spec = {.count = 3, .costs = costs, .first = first, .predecessors = NULL};
    fol_sim_graph *graph = make(&spec);
    CHECK_EQ(fol_sim_graph_lower_bound(graph, 2), 2);
    fol_sim_graph_destroy(graph);
}

static void test_lane_bounds_the_makespan(void)
{
    const int64_t costs[] = {2, 3, 4};
    const uint64_t first[] = {0, 0, 0, 0};
    const uint32_t lanes[] = {0, 0, FOL_NO_LANE};
    fol_sim_graph_spec spec = {
        .count = 3, .lane_count = 1, .costs = costs, .first = first, .lanes = lanes};
    fol_sim_graph *graph = make(&spec);
    graph_result run;
    CHECK_EQ(fol_sim_graph_lower_bound(graph, 8), 5);
    CHECK_EQ(run_graph(graph, &two_cpus, &run), FOL_OK);
    CHECK_EQ(run.start[1], 2);
    CHECK_EQ(run.start[2], 0);
    fol_sim_graph_destroy(graph);
}

static void test_graph_of_no_tasks_takes_no_time(void)
{
    const uint64_t first[] = {0};
    fol_sim_graph_spec spec = {.count = 0, .first = first};
    fol_sim_graph *graph = make(&spec);
    graph_result run;
    for (int order = 0; order < FOL_GRAPH_ORDERS; order++) {
        fol_sim_graph_options options = {.order = (fol_sim_graph_order)order, .cpus = 3};
        CHECK_EQ(run_graph(graph, &options, &run), FOL_OK);
        CHECK_EQ(run.summary.makespan, 0);
    }
    CHECK_EQ(fol_sim_graph_critical_tasks(graph, run.cpu), 0);
    fol_sim_graph_destroy(graph);
}

static void check_refused(const fol_sim_graph_spec *spec, int status, fol_sim_graph_fault_kind kind,
                          uint32_t task, uint32_t other)
{
    fol_sim_graph *graph = NULL;
    fol_sim_graph_fault fault;
    CHECK_EQ(fol_sim_graph_create(spec, &graph, &fault), status);
    CHECK(graph == NULL);
    CHECK_EQ(fault.kind, kind);
    CHECK_EQ(fault.task, task);
    CHECK_EQ(fault.other, other);
}

static void test_negative_cost_is_refused(void)
{
    const int64_t costs[] = {3, 2, -1, 1};
    fol_sim_graph_spec spec = diamond();
    spec.costs = costs;
    check_refused(&spec, FOL_E_VALUE, FOL_GRAPH_FAULT_COST, 2, FOL_NO_TASK);
}

static void test_sum_of_costs_beyond_64_bits_is_refused(void)
{
    const int64_t costs[] = {INT64_MAX - 3, 2, 1, 1};
    fol_sim_graph_spec spec = diamond();
    spec.costs = costs;
    check_refused(&spec, FOL_E_VALUE, FOL_GRAPH_FAULT_SUM, 2, FOL_NO_TASK);
}

static void test_unknown_predecessor_is_refused(void)
{
    const uint32_t before[] = {0, 0, 1, 4};
    fol_sim_graph_spec spec = diamond();
    spec.predecessors = before;
    check_refused(&spec, FOL_E_VALUE, FOL_GRAPH_FAULT_UNKNOWN, 3, 4);
}

static void test_predecessor_named_twice_is_refused(void)
{
    const uint32_t before[] = {0, 0, 1, 1};
    fol_sim_graph_spec spec = diamond();
    spec.predecessors = before;
    check_refused(&spec, FOL_E_VALUE, FOL_GRAPH_FAULT_TWICE, 3, 1);
}

static void test_lane_out_of_bounds_is_refused(void)
{
    const uint32_t lanes[] = {0, FOL_NO_LANE, 1, 0};
    fol_sim_graph_spec spec = diamond();
    spec.lanes = lanes;
    spec.lane_count = 1;
    check_refused(&spec, FOL_E_VALUE, FOL_GRAPH_FAULT_LANE, 2, FOL_NO_TASK);
}

static void test_rows_that_go_backwards_are_refused(void)
{
    const uint64_t first[] = {0, 2, 1, 2, 4};
    fol_sim_graph_spec spec = diamond();
    spec.first = first;
    check_refused(&spec, FOL_E_VALUE, FOL_GRAPH_FAULT_SHAPE, 1, FOL_NO_TASK);
}

static void test_cycle_is_told_in_its_order(void)
{
    /* 0 -> 1 -> 2 -> 1, and 3 behind it. */
    const uint64_t first[] = {0, 0, 2, 3, 4};
    const uint32_t before[] = {0, 2, 1, 2};
    fol_sim_graph_spec spec = diamond();
    spec.first = first;
    spec.predecessors = before;
    fol_sim_graph *graph = NULL;
    fol_sim_graph_fault fault;
    CHECK_EQ(fol_sim_graph_create(&spec, &graph, &fault), FOL_E_CYCLE);
    CHECK_EQ(fault.kind, FOL_GRAPH_FAULT_CYCLE);
    CHECK_EQ(fault.cycle_length, 2);
    CHECK(fault.cycle[0] != fault.cycle[1] && fault.cycle[0] + fault.cycle[1] == 3);
}

static void test_long_cycle_is_told_by_its_beginning(void)
{
    enum { LENGTH = 40 };
    int64_t costs[LENGTH];
    uint64_t first[LENGTH + 1];
    uint32_t before[LENGTH];
    for (uint32_t i = 0; i < LENGTH; i++) {
        costs[i] = 1;
        first[i] = i;
        before[i] = (i + LENGTH - 1) % LENGTH;
    }
    first[LENGTH] = LENGTH;
    fol_sim_graph_spec spec = {
        .count = LENGTH, .costs = costs, .first = first, .predecessors = before};
    fol_sim_graph *graph = NULL;
    fol_sim_graph_fault fault;
    CHECK_EQ(fol_sim_graph_create(&spec, &graph, &fault), FOL_E_CYCLE);
    CHECK_EQ(fault.cycle_length, LENGTH);
    for (uint32_t i = 1; i < FOL_GRAPH_CYCLE_SHOWN; i++) {
        CHECK_EQ(fault.cycle[i], (fault.cycle[i - 1] + 1) % LENGTH);
    }
}

static void check_options_refused(fol_sim_graph_options options, int status)
{
    fol_sim_graph_spec spec = diamond();
    fol_sim_graph *graph = make(&spec);
    graph_result run;
    CHECK_EQ(run_graph(graph, &options, &run), status);
    fol_sim_graph_destroy(graph);
}

static void test_options_out_of_bounds_are_refused(void)
{
    check_options_refused((fol_sim_graph_options){.cpus = 0}, -EINVAL);
    check_options_refused((fol_sim_graph_options){.cpus = FOL_GRAPH_MAX_CPUS + 1}, -EINVAL);
    check_options_refused((fol_sim_graph_options){.cpus = 1, .order = FOL_GRAPH_ORDERS}, -EINVAL);
    check_options_refused((fol_sim_graph_options){.cpus = 1, .switch_cost = -1}, -EINVAL);
    check_options_refused((fol_sim_graph_options){.cpus = 1, .migration_costs = {[3] = -1}},
                          -EINVAL);
    check_options_refused((fol_sim_graph_options){.cpus = 1, .steal_costs = {[3] = -1}}, -EINVAL);
    fol_policy_slots slots = {0};
    check_options_refused((fol_sim_graph_options){.cpus = 1, .slots = &slots}, -EINVAL);
    check_options_refused(
        (fol_sim_graph_options){
            .cpus = 1, .slots = &slots, .max_faults = 1, .order = FOL_GRAPH_LIST},
        -EINVAL);
}

static void test_overheads_beyond_64_bits_are_refused(void)
{
    fol_sim_graph_options options = {.cpus = 1, .switch_cost = INT64_MAX / 4};
    check_options_refused(options, -EOVERFLOW);
    options = (fol_sim_graph_options){
        .cpus = 1, .switch_cost = INT64_MAX - 1, .migration_costs = {[2] = INT64_MAX - 1}};
    check_options_refused(options, -EOVERFLOW);
}

/* The random graph of a seed; the generator goes on to draw what else a test needs. */
static fol_sim_graph *make_drawn(int seed, bool may_have_lanes, fol_rng *rng)
{
    graph_parts parts;
    fol_rng_init(rng, (uint64_t)seed);
    draw_graph(&parts, rng);
    parts.has_lanes = parts.has_lanes && may_have_lanes;
    fol_sim_graph_spec spec = spec_of(&parts);
    return make(&spec);
}

/* Says of what a run was made that failed a check. */
static void tell_unless(bool holds, int seed, int order)
{
    if (!holds) {
        fprintf(stderr, "seed %d, order %s\n", seed, fol_sim_graph_order_names[order]);
    }
}

/* What Graham (1969) proves of every order that lets no CPU idle in vain: the makespan is at most
 * (work + path * (cpus - 1)) / cpus, hence (2 - 1 / cpus) times the lower bound. */
static bool keeps_greedy_bound(const fol_sim_graph *graph, const graph_result *run, uint32_t cpus)
{
    int64_t work = fol_sim_graph_work(graph);
    int64_t path = fol_sim_graph_critical_path(graph);
    return run->summary.makespan * cpus <= work + path * (cpus - 1);
}

static fol_sim_graph_options draw_options(fol_rng *rng, fol_sim_graph_order order, bool has_costs)
{
    return (fol_sim_graph_options){
        .order = order,
        .cpus = 1 + fol_rng_below(rng, 6),
        .seed = fol_rng_next(rng),
        .switch_cost = has_costs ? fol_rng_below(rng, 3) : 0,
        .migration_costs = {[FOL_SIM_SAME_CACHE] = has_costs ? fol_rng_below(rng, 3) : 0},
        .steal_costs = {[FOL_SIM_SAME_CACHE] = has_costs ? fol_rng_below(rng, 3) : 0},
    };
}

static void test_every_run_of_random_graphs_is_valid(void)
{
    int rounds = stress_rounds(3000);
    for (int seed = 0; seed < rounds; seed++) {
        fol_rng rng;
        fol_sim_graph *graph = make_drawn(seed, true, &rng);
        fol_sim_graph_invariants(graph);
        for (int order = 0; order < FOL_GRAPH_ORDERS; order++) {
            fol_sim_graph_options options =
                draw_options(&rng, (fol_sim_graph_order)order, seed % 2 == 0);
            graph_result run;
            CHECK_EQ(run_graph(graph, &options, &run), FOL_OK);
            tell_unless(CHECK(run_is_valid(graph, &options, &run)), seed, order);
        }
        fol_sim_graph_destroy(graph);
    }
}

static void test_no_idle_cpu_order_keeps_grahams_bound(void)
{
    int rounds = stress_rounds(2000);
    for (int seed = 0; seed < rounds; seed++) {
        fol_rng rng;
        fol_sim_graph *graph = make_drawn(seed, false, &rng);
        for (int order = 0; order < FOL_GRAPH_ORDERS; order++) {
            fol_sim_graph_options options = draw_options(&rng, (fol_sim_graph_order)order, false);
            graph_result run;
            CHECK_EQ(run_graph(graph, &options, &run), FOL_OK);
            tell_unless(CHECK(keeps_greedy_bound(graph, &run, options.cpus)), seed, order);
        }
        fol_sim_graph_destroy(graph);
    }
}

static void test_list_is_never_longer_than_any_of_its_rules(void)
{
    int rounds = stress_rounds(4000);
    for (int seed = 0; seed < rounds; seed++) {
        fol_rng rng;
        fol_sim_graph *graph = make_drawn(seed, true, &rng);
        fol_sim_graph_options options = draw_options(&rng, FOL_GRAPH_LIST, seed % 2 == 0);
        graph_result list;
        CHECK_EQ(run_graph(graph, &options, &list), FOL_OK);
        for (int order = FOL_GRAPH_FIFO; order < FOL_GRAPH_LIST; order++) {
            graph_result run;
            options.order = (fol_sim_graph_order)order;
            CHECK_EQ(run_graph(graph, &options, &run), FOL_OK);
            tell_unless(CHECK(list.summary.makespan <= run.summary.makespan), seed, order);
        }
        fol_sim_graph_destroy(graph);
    }
}

static void test_same_seed_gives_the_same_run(void)
{
    for (int seed = 0; seed < 200; seed++) {
        fol_rng rng;
        fol_sim_graph *graph = make_drawn(seed, true, &rng);
        fol_sim_graph_options options = draw_options(&rng, FOL_GRAPH_STEAL, true);
        graph_result one;
        graph_result two;
        memset(&one, 0, sizeof(one));
        memset(&two, 0, sizeof(two));
        CHECK_EQ(run_graph(graph, &options, &one), FOL_OK);
        CHECK_EQ(run_graph(graph, &options, &two), FOL_OK);
        CHECK(memcmp(one.start, two.start, sizeof(one.start)) == 0);
        CHECK(memcmp(one.cpu, two.cpu, sizeof(one.cpu)) == 0);
        fol_sim_graph_destroy(graph);
    }
}

static void test_thief_pays_for_its_steal(void)
{
    const int64_t costs[] = {4, 4};
    const uint64_t first[] = {0, 0, 0};
    fol_sim_graph_spec spec = {.count = 2, .costs = costs, .first = first};
    fol_sim_graph *graph = make(&spec);
    fol_sim_graph_options options = {
        .order = FOL_GRAPH_STEAL, .cpus = 2, .steal_costs = {[FOL_SIM_SAME_CACHE] = 1}};
    graph_result run;
    CHECK_EQ(run_graph(graph, &options, &run), FOL_OK);
    CHECK_EQ(run.summary.moves.steals[FOL_SIM_SAME_CACHE], 1);
    /* The owner has its newest, the thief the oldest. */
    CHECK(run.cpu[1] == 0 && run.start[1] == 0);
    CHECK(run.cpu[0] == 1 && run.start[0] == 1);
    CHECK_EQ(run.summary.overhead, 1);
    fol_sim_graph_destroy(graph);
}

static void test_task_away_from_home_pays_for_its_migration(void)
{
    fol_sim_graph_spec spec = diamond();
    fol_sim_graph *graph = make(&spec);
    fol_sim_graph_options options = two_cpus;
    options.migration_costs[FOL_SIM_SAME_CACHE] = 5;
    options.switch_cost = 1;
    graph_result run;
    CHECK_EQ(run_graph(graph, &options, &run), FOL_OK);
    CHECK(run.cpu[1] == 0 && run.start[1] == 5);
    CHECK(run.cpu[2] == 1 && run.start[2] == 10);
    CHECK_EQ(run.summary.moves.migrations[FOL_SIM_SAME_CACHE], 1);
    fol_sim_graph_destroy(graph);
}

static int stop_at_once(void *state, uint32_t done)
{
    *(uint32_t *)state = done;
    return -EINTR;
}

static void test_check_ends_a_long_run(void)
{
    enum { MANY = 100000 };
    int64_t *costs = calloc(MANY, sizeof(int64_t));
    uint64_t *first = calloc(MANY + 1, sizeof(uint64_t));
    int64_t *times = calloc(3 * (size_t)MANY, sizeof(int64_t));
    uint32_t *cpus = calloc(MANY, sizeof(uint32_t));
    fol_sim_graph_spec spec = {.count = MANY, .costs = costs, .first = first};
    fol_sim_graph *graph = make(&spec);
    uint32_t done = 0;
    fol_sim_graph_jobs jobs = {times, times + MANY, times + 2 * MANY, cpus};
    fol_sim_graph_summary summary;
    for (int order = 0; order < FOL_GRAPH_ORDERS; order++) {
        fol_sim_graph_options options = {.order = (fol_sim_graph_order)order,
                                         .cpus = 4,
                                         .check = stop_at_once,
                                         .check_state = &done};
        CHECK_EQ(fol_sim_graph_run(graph, &options, &jobs, &summary), -EINTR);
        CHECK(done > 0 && done < MANY);
    }
    fol_sim_graph_destroy(graph);
    free(costs);
    free(first);
    free(times);
    free(cpus);
}

static uint64_t live_blocks(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.live_blocks;
}

static int rank_nothing(void *state, const fol_runnable_view *runnable, int64_t now, int64_t *rank)
{
    (void)state;
    (void)runnable;
    (void)now;
    *rank = 0;
    return FOL_POLICY_DEFAULT;
}

static int make_and_run(const graph_parts *parts, fol_sim_graph_options *options)
{
    fol_sim_graph_spec spec = spec_of(parts);
    fol_sim_graph *graph;
    fol_sim_graph_fault fault;
    graph_result run;
    int status = fol_sim_graph_create(&spec, &graph, &fault);
    if (status == FOL_OK) {
        status = run_graph(graph, options, &run);
        fol_sim_graph_destroy(graph);
    }
    return status;
}

static void test_every_failed_allocation_leaves_nothing_behind(void)
{
    graph_parts parts;
    fol_rng rng;
    fol_rng_init(&rng, 11);
    do {
        draw_graph(&parts, &rng);
    } while (!parts.has_lanes || parts.count < 20);
    fol_policy_slots slots = {.enqueue = rank_nothing};
    for (int order = 0; order < FOL_GRAPH_ORDERS; order++) {
        fol_sim_graph_options options = {
            .order = (fol_sim_graph_order)order, .cpus = 3, .max_faults = 1};
        options.slots = order == FOL_GRAPH_LIST ? NULL : &slots;
        uint64_t before = live_blocks();
        int status = -ENOMEM;
        uint64_t n = 0;
        while (status == -ENOMEM && n < 100) {
            fol_memory_fail_nth(++n);
            status = make_and_run(&parts, &options);
            CHECK(status == FOL_OK || status == -ENOMEM);
            CHECK_EQ(live_blocks(), before);
        }
        CHECK(n > 10 && fol_memory_failure_is_armed());
        fol_memory_fail_nth(0);
    }
}

int main(void)
{
    RUN(test_bounds_are_those_of_the_graph);
    RUN(test_work_over_cpus_is_rounded_up);
    RUN(test_lane_bounds_the_makespan);
    RUN(test_graph_of_no_tasks_takes_no_time);
    RUN(test_negative_cost_is_refused);
    RUN(test_sum_of_costs_beyond_64_bits_is_refused);
    RUN(test_unknown_predecessor_is_refused);
    RUN(test_predecessor_named_twice_is_refused);
    RUN(test_lane_out_of_bounds_is_refused);
    RUN(test_rows_that_go_backwards_are_refused);
    RUN(test_cycle_is_told_in_its_order);
    RUN(test_long_cycle_is_told_by_its_beginning);
    RUN(test_options_out_of_bounds_are_refused);
    RUN(test_overheads_beyond_64_bits_are_refused);
    RUN(test_every_run_of_random_graphs_is_valid);
    RUN(test_no_idle_cpu_order_keeps_grahams_bound);
    RUN(test_list_is_never_longer_than_any_of_its_rules);
    RUN(test_same_seed_gives_the_same_run);
    RUN(test_thief_pays_for_its_steal);
    RUN(test_task_away_from_home_pays_for_its_migration);
    RUN(test_check_ends_a_long_run);
    RUN(test_every_failed_allocation_leaves_nothing_behind);
    CHECK_MAIN_END();
}
