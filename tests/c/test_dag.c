/* Dags: the order of urgency, what is handed over and what is not, spans, and bad graphs. */
#include "check.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fork.h"
#include "exec/dag.h"
#include "foliot/memory.h"

#define NODES_MAX 200u

/* A dag on a team of its own, and the order in which nodes began. */
typedef struct stand {
    fol_pool *pool;
    fol_dag_hub *hub;
    fol_team *team;
    fol_dag *dag;
    _Atomic uint32_t count;
    uint32_t order[NODES_MAX];
    uint32_t worker_of[NODES_MAX];
    uint32_t pieces[NODES_MAX]; /* 0: whole */
    _Atomic uint32_t pieces_done;
    _Atomic uint32_t ends;
    _Atomic uint32_t pauses;
    /* A node that does not return before another has begun; UINT32_MAX: none. */
    uint32_t waiting_node;
    uint32_t awaited_node;
    _Atomic uint32_t has_begun[NODES_MAX];
} stand;

static uint32_t begin(void *state, uint32_t node, uint32_t worker)
{
    stand *s = state;
    uint32_t at = atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed);
    s->order[at] = node;
    s->worker_of[node] = worker;
    atomic_store_explicit(&s->has_begun[node], 1, memory_order_release);
    while (node == s->waiting_node &&
           atomic_load_explicit(&s->has_begun[s->awaited_node], memory_order_acquire) == 0) {
    }
    return s->pieces[node];
}

static void run_piece(void *state, uint32_t node, uint32_t piece, uint32_t worker)
{
    (void)node, (void)piece, (void)worker;
    atomic_fetch_add_explicit(&((stand *)state)->pieces_done, 1, memory_order_relaxed);
}

static void end(void *state, uint32_t node, uint32_t worker)
{
    (void)node, (void)worker;
    atomic_fetch_add_explicit(&((stand *)state)->ends, 1, memory_order_relaxed);
}

static void count_pause(void *state, uint32_t worker)
{
    (void)worker;
    atomic_fetch_add_explicit(&((stand *)state)->pauses, 1, memory_order_relaxed);
}

static void close_stand(stand *s)
{
    if (s != NULL) {
        fol_dag_destroy(s->dag);
        if (s->team != NULL) {
            fol_team_destroy(s->team);
        }
        fol_dag_hub_destroy(s->hub);
        if (s->pool != NULL) {
            fol_pool_destroy(s->pool);
        }
        free(s);
    }
}

static int open_dag(stand *s, uint32_t workers, const fol_dag_graph *graph)
{
    const fol_dag_calls calls = {s, begin, run_piece, end, count_pause};
    int status = fol_pool_create(&s->pool);
    if (status == 0) {
        status = fol_dag_hub_create(workers, &s->hub);
    }
    if (status == 0) {
        const fol_team_config config = {.workers = workers, .source = fol_dag_hub_source(s->hub)};
        status = fol_team_create(s->pool, &config, &s->team);
    }
    return status != 0 ? status : fol_dag_create(s->team, s->hub, graph, &calls, &s->dag);
}

static stand *open_stand(uint32_t workers, const fol_dag_graph *graph)
{
    stand *s = calloc(1, sizeof(*s));
    if (!CHECK(s != NULL)) {
        exit(1);
    }
    s->waiting_node = UINT32_MAX;
    if (!CHECK_EQ(open_dag(s, workers, graph), 0)) {
        exit(1);
    }
    int refused;
    fol_pool_grow(s->pool, workers - 1, &refused);
    return s;
}

static void run(stand *s, uint32_t segment)
{
    atomic_store_explicit(&s->count, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        atomic_store_explicit(&s->has_begun[i], 0, memory_order_relaxed);
    }
    fol_dag_run(s->dag, segment);
}

static void check_order(const stand *s, const uint32_t *wanted, uint32_t count)
{
    CHECK_EQ(atomic_load_explicit(&s->count, memory_order_relaxed), count);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQ(s->order[i], wanted[i]);
    }
}

static void test_independent_nodes_start_costliest_first(void)
{
    const uint32_t starts[5] = {0};
    const uint32_t ends[1] = {4};
    stand *s = open_stand(1, &(fol_dag_graph){4, 1, ends, starts, NULL, NULL});
    fol_dag_set_costs(s->dag, (const double[]){3.0, 9.0, 1.0, 9.0}, 0.0);
    run(s, 0);
    check_order(s, (const uint32_t[]){1, 3, 0, 2}, 4);
    close_stand(s);
}

static void test_the_longest_way_counts_not_the_node_alone(void)
{
    /* 0 -> 3, 1 alone, 2 alone. */
    const uint32_t starts[5] = {0, 1, 1, 1, 1};
    const uint32_t successors[1] = {3};
    const uint32_t ends[1] = {4};
    stand *s = open_stand(1, &(fol_dag_graph){4, 1, ends, starts, successors, NULL});
    fol_dag_set_costs(s->dag, (const double[]){1.0, 4.0, 6.0, 8.0}, 0.0);
    run(s, 0);
    check_order(s, (const uint32_t[]){0, 3, 2, 1}, 4);
    close_stand(s);
}

static void test_the_most_urgent_of_the_released_runs_next(void)
{
    /* 0 -> 1, 2, 3. */
    const uint32_t starts[5] = {0, 3, 3, 3, 3};
    const uint32_t successors[3] = {1, 2, 3};
    const uint32_t ends[1] = {4};
    stand *s = open_stand(1, &(fol_dag_graph){4, 1, ends, starts, successors, NULL});
    fol_dag_set_costs(s->dag, (const double[]){1.0, 2.0, 3.0, 5.0}, 0.0);
    run(s, 0);
    check_order(s, (const uint32_t[]){0, 3, 2, 1}, 4);
    close_stand(s);
}

static void test_the_lane_starts_its_most_urgent_first(void)
{
    const uint32_t starts[4] = {0};
    const uint32_t ends[1] = {3};
    const uint8_t in_lane[3] = {1, 1, 1};
    stand *s = open_stand(1, &(fol_dag_graph){3, 1, ends, starts, NULL, in_lane});
    fol_dag_set_costs(s->dag, (const double[]){1.0, 3.0, 2.0}, 0.0);
    run(s, 0);
    check_order(s, (const uint32_t[]){1, 2, 0}, 3);
    close_stand(s);
}

static void test_the_span_is_the_longest_way_or_the_lane(void)
{
    /* 0 -> 1; 2; and a segment of two nodes in the lane beside one that is not. */
    const uint32_t starts[7] = {0, 1, 1, 1, 1, 1, 1};
    const uint32_t successors[1] = {1};
    const uint32_t ends[2] = {3, 6};
    const uint8_t in_lane[6] = {0, 0, 0, 1, 0, 1};
    stand *s = open_stand(1, &(fol_dag_graph){6, 2, ends, starts, successors, in_lane});
    fol_dag_set_costs(s->dag, (const double[]){1.0, 2.0, 2.5, 4.0, 5.0, 3.0}, 0.0);
    CHECK(fol_dag_span(s->dag, 0) == 3.0);
    CHECK(fol_dag_span(s->dag, 1) == 7.0);
    close_stand(s);
}

static void test_segments_run_alone(void)
{
    const uint32_t starts[4] = {0};
    const uint32_t ends[3] = {1, 1, 3};
    stand *s = open_stand(1, &(fol_dag_graph){3, 3, ends, starts, NULL, NULL});
    run(s, 1);
    CHECK_EQ(s->count, 0);
    run(s, 2);
    check_order(s, (const uint32_t[]){1, 2}, 2);
    run(s, 0);
    check_order(s, (const uint32_t[]){0}, 1);
    close_stand(s);
}

static void test_a_node_that_waits_for_another_gets_it_run_elsewhere(void)
{
    const uint32_t starts[3] = {0};
    const uint32_t ends[1] = {2};
    stand *s = open_stand(2, &(fol_dag_graph){2, 1, ends, starts, NULL, NULL});
    s->waiting_node = 0;
    s->awaited_node = 1;
    for (int i = 0; i < 100; i++) {
        fol_dag_set_costs(s->dag, (const double[]){2.0, 1.0}, 0.0);
        run(s, 0);
        CHECK(s->worker_of[0] != s->worker_of[1]);
    }
    close_stand(s);
}

static void test_the_lane_is_drained_elsewhere_while_the_caller_is_busy(void)
{
    /* 0 waits for 2, which is in the lane and comes after 1: so whoever runs 1 drains, or tells. */
    const uint32_t starts[4] = {0, 0, 1, 1};
    const uint32_t successors[1] = {2};
    const uint32_t ends[1] = {3};
    const uint8_t in_lane[3] = {0, 0, 1};
    stand *s = open_stand(2, &(fol_dag_graph){3, 1, ends, starts, successors, in_lane});
    s->waiting_node = 0;
    s->awaited_node = 2;
    fol_dag_set_costs(s->dag, (const double[]){10.0, 1.0, 1.0}, 0.0);
    for (int i = 0; i < 200; i++) {
        run(s, 0);
        CHECK(s->worker_of[0] != s->worker_of[2]);
    }
    close_stand(s);
}

/* 0 and 1 run at once, and the one that a helper runs goes on until the caller has parked; then it
 * makes one of the lane ready, which is for the caller. */
static uint32_t begin_and_await_parking(void *state, uint32_t node, uint32_t worker)
{
    stand *s = state;
    fol_worker_counters before;
    fol_worker_counters now;
    fol_team_read_worker(s->team, 0, &before);
    uint32_t pieces = begin(state, node, worker);
    while (node < 2 && atomic_load_explicit(&s->has_begun[1 - node], memory_order_acquire) == 0) {
    }
    do {
        fol_team_read_worker(s->team, 0, &now);
    } while (worker != 0 && node < 2 && now.parks == before.parks);
    return pieces;
}

static void test_a_parked_caller_is_woken_for_the_lane(void)
{
    /* 0 -> 2 and 1 -> 3, both in the lane. */
    const uint32_t starts[5] = {0, 1, 2, 2, 2};
    const uint32_t successors[2] = {2, 3};
    const uint32_t ends[1] = {4};
    const uint8_t in_lane[4] = {0, 0, 1, 1};
    const fol_dag_graph graph = {4, 1, ends, starts, successors, in_lane};
    stand *s = open_stand(2, &graph);
    const fol_dag_calls calls = {s, begin_and_await_parking, run_piece, end, count_pause};
    fol_dag_destroy(s->dag);
    s->dag = NULL;
    CHECK_EQ(fol_dag_create(s->team, s->hub, &graph, &calls, &s->dag), 0);
    fol_dag_set_costs(s->dag, NULL, 0.0);
    for (int i = 0; i < 50; i++) {
        run(s, 0);
        CHECK_EQ(s->count, 4);
        CHECK_EQ(s->worker_of[2], 0);
        CHECK_EQ(s->worker_of[3], 0);
    }
    close_stand(s);
}

static uint32_t begin_and_ask_the_hub(void *state, uint32_t node, uint32_t worker)
{
    stand *s = state;
    CHECK(fol_dag_hub_source(s->hub).is_under_way(s->hub));
    return begin(state, node, worker);
}

static void test_the_hub_tells_workers_while_a_run_is_under_way(void)
{
    const uint32_t starts[3] = {0, 1, 1};
    const uint32_t successors[1] = {1};
    const uint32_t ends[1] = {2};
    const fol_dag_graph graph = {2, 1, ends, starts, successors, NULL};
    stand *s = open_stand(2, &graph);
    const fol_dag_calls calls = {s, begin_and_ask_the_hub, run_piece, end, count_pause};
    fol_dag_destroy(s->dag);
    s->dag = NULL;
    CHECK_EQ(fol_dag_create(s->team, s->hub, &graph, &calls, &s->dag), 0);
    fol_dag_set_costs(s->dag, NULL, 0.0);
    CHECK(!fol_dag_hub_source(s->hub).is_under_way(s->hub));
    run(s, 0);
    CHECK_EQ(s->count, 2);
    CHECK(!fol_dag_hub_source(s->hub).is_under_way(s->hub));
    close_stand(s);
}

static void test_the_caller_drains_the_lane_while_others_do_the_rest(void)
{
    const uint32_t starts[4] = {0};
    const uint32_t ends[1] = {3};
    const uint8_t in_lane[3] = {1, 0, 1};
    stand *s = open_stand(2, &(fol_dag_graph){3, 1, ends, starts, NULL, in_lane});
    fol_dag_set_costs(s->dag, NULL, 0.0);
    s->waiting_node = 0;
    s->awaited_node = 1;
    for (int i = 0; i < 100; i++) {
        run(s, 0);
        CHECK_EQ(s->worker_of[0], 0);
        CHECK_EQ(s->worker_of[2], 0);
        CHECK_EQ(s->worker_of[1], 1);
    }
    close_stand(s);
}

static void test_small_nodes_are_not_handed_over(void)
{
    const uint32_t starts[5] = {0, 3, 3, 3, 3};
    const uint32_t successors[3] = {1, 2, 3};
    const uint32_t ends[1] = {4};
    stand *s = open_stand(2, &(fol_dag_graph){4, 1, ends, starts, successors, NULL});
    fol_dag_set_costs(s->dag, (const double[]){1.0, 1.0, 1.0, 1.0}, 2.0);
    for (int i = 0; i < 100; i++) {
        run(s, 0);
    }
    fol_worker_counters counters;
    fol_team_read_worker(s->team, 0, &counters);
    CHECK_EQ(counters.jobs, 0);
    CHECK_EQ(counters.wakes_sent, 0);
    close_stand(s);
}

static void test_small_nodes_do_not_wait_behind_a_large_one(void)
{
    /* 0 -> 1, which is small, then 3, which is large; and 0 -> 2, small. 3 waits for 2. */
    const uint32_t starts[5] = {0, 2, 3, 3, 3};
    const uint32_t successors[3] = {1, 2, 3};
    const uint32_t ends[1] = {4};
    stand *s = open_stand(2, &(fol_dag_graph){4, 1, ends, starts, successors, NULL});
    fol_dag_set_costs(s->dag, (const double[]){1.0, 1.0, 1.0, 9.0}, 2.0);
    s->waiting_node = 3;
    s->awaited_node = 2;
    for (int i = 0; i < 100; i++) {
        run(s, 0);
        CHECK_EQ(s->count, 4);
    }
    close_stand(s);
}

static void test_a_dag_measures_nodes_that_nobody_gave_costs_for(void)
{
    const uint32_t starts[3] = {0};
    const uint32_t ends[1] = {2};
    stand *s = open_stand(1, &(fol_dag_graph){2, 1, ends, starts, NULL, NULL});
    CHECK(fol_dag_span(s->dag, 0) == 1.0);
    for (int i = 0; i < 3; i++) {
        run(s, 0);
    }
    CHECK(fol_dag_span(s->dag, 0) > 1.0);
    close_stand(s);
}

static void test_every_piece_runs_and_the_node_ends_once(void)
{
    const uint32_t starts[3] = {0, 1, 1};
    const uint32_t successors[1] = {1};
    const uint32_t ends[1] = {2};
    const uint8_t in_lane[2] = {0, 1};
    stand *s = open_stand(3, &(fol_dag_graph){2, 1, ends, starts, successors, in_lane});
    s->pieces[0] = 100;
    s->pieces[1] = 1;
    for (uint32_t i = 1; i <= 200; i++) {
        run(s, 0);
        CHECK_EQ(s->pieces_done, 101 * i);
        CHECK_EQ(s->ends, 2 * i);
    }
    CHECK(s->pauses > 0);
    close_stand(s);
}

static void test_graphs_that_are_none_are_refused(void)
{
    const uint32_t none[3] = {0};
    const uint32_t one_edge[3] = {0, 1, 1};
    const uint32_t back_edge[3] = {0, 0, 1};
    const uint32_t to_first[1] = {0};
    const uint32_t to_second[1] = {1};
    const uint32_t one[1] = {2};
    const uint32_t two[2] = {1, 2};
    const uint32_t falling[2] = {2, 1};
    const uint32_t too_few[1] = {1};
    stand *s = open_stand(1, &(fol_dag_graph){2, 1, one, none, NULL, NULL});
    const fol_dag_graph bad[] = {
        {2, 1, one, back_edge, to_first, NULL}, {2, 1, one, one_edge, to_first, NULL},
        {2, 2, two, one_edge, to_second, NULL}, {2, 2, falling, none, NULL, NULL},
        {2, 1, too_few, none, NULL, NULL},
    };
    const fol_dag_calls calls = {s, begin, run_piece, end, NULL};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fol_dag *dag = NULL;
        CHECK_EQ(fol_dag_create(s->team, s->hub, &bad[i], &calls, &dag), -EINVAL);
        CHECK(dag == NULL);
    }
    close_stand(s);
}

static void test_a_failed_allocation_leaves_nothing_behind(void)
{
    const uint32_t starts[4] = {0, 1, 1, 1};
    const uint32_t successors[1] = {1};
    const uint32_t ends[1] = {3};
    const uint8_t in_lane[3] = {0, 1, 1};
    const fol_dag_graph graph = {3, 1, ends, starts, successors, in_lane};
    fol_memory_stats before;
    fol_memory_stats after;
    (void)fol_fork_watch();
    fol_memory_read_stats(&before);
    int status = -ENOMEM;
    for (uint64_t n = 1; n < 100 && status == -ENOMEM; n++) {
        stand *s = calloc(1, sizeof(*s));
        if (!CHECK(s != NULL)) {
            return;
        }
        fol_memory_fail_nth(n);
        status = open_dag(s, 2, &graph);
        fol_memory_fail_nth(0);
        CHECK(status == 0 || (status == -ENOMEM && s->dag == NULL));
        close_stand(s);
    }
    CHECK_EQ(status, 0);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

/* Every push that has to grow a deque is refused in turn. */
static void test_jobs_that_cannot_be_pushed_run_here(void)
{
    static const uint32_t starts[NODES_MAX + 1] = {0};
    const uint32_t ends[1] = {NODES_MAX};
    stand *s = open_stand(2, &(fol_dag_graph){NODES_MAX, 1, ends, starts, NULL, NULL});
    fol_dag_set_costs(s->dag, NULL, 0.0);
    fol_memory_fail_nth(1);
    run(s, 0);
    fol_memory_fail_nth(0);
    CHECK_EQ(s->count, NODES_MAX);
    close_stand(s);
}

int main(void)
{
    RUN(test_independent_nodes_start_costliest_first);
    RUN(test_the_longest_way_counts_not_the_node_alone);
    RUN(test_the_most_urgent_of_the_released_runs_next);
    RUN(test_the_lane_starts_its_most_urgent_first);
    RUN(test_the_span_is_the_longest_way_or_the_lane);
    RUN(test_segments_run_alone);
    RUN(test_a_node_that_waits_for_another_gets_it_run_elsewhere);
    RUN(test_the_lane_is_drained_elsewhere_while_the_caller_is_busy);
    RUN(test_a_parked_caller_is_woken_for_the_lane);
    RUN(test_the_hub_tells_workers_while_a_run_is_under_way);
    RUN(test_the_caller_drains_the_lane_while_others_do_the_rest);
    RUN(test_small_nodes_are_not_handed_over);
    RUN(test_small_nodes_do_not_wait_behind_a_large_one);
    RUN(test_a_dag_measures_nodes_that_nobody_gave_costs_for);
    RUN(test_every_piece_runs_and_the_node_ends_once);
    RUN(test_graphs_that_are_none_are_refused);
    RUN(test_a_failed_allocation_leaves_nothing_behind);
    RUN(test_jobs_that_cannot_be_pushed_run_here);
    CHECK_MAIN_END();
}
