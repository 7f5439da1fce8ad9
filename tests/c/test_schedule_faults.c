/* Every allocation of the schedule refused in turn, and threads that ask for one list at once. */

#include <errno.h>
#include <pthread.h>

#include "check.h"
#include "foliot/memory.h"
#include "foliot/schedule.h"
#include "foliot/status.h"

enum { SYSTEMS = 70, SETS = 3, RESOURCES = 4 };

static int add_names(fol_schedule *schedule)
{
    uint32_t id;
    int status = fol_schedule_add_phase(schedule, "update", &id);
    for (int i = 0; i < RESOURCES && status == FOL_OK; i++) {
        status = fol_schedule_add_resource(schedule, "resource", &id);
    }
    for (int i = 0; i < SETS && status == FOL_OK; i++) {
        status = fol_schedule_add_set(schedule, "set", &id);
    }
    return status;
}

static int add_systems(fol_schedule *schedule)
{
    int status = FOL_OK;
    for (uint32_t i = 0; i < SYSTEMS && status == FOL_OK; i++) {
        uint32_t touched = i % RESOURCES;
        uint32_t filter = (i + 1) % RESOURCES;
        uint32_t set = i % SETS;
        fol_query_access query = {.writes = {&touched, 1}};
        *(i % 2 ? &query.required : &query.excluded) = (fol_id_list){&filter, 1};
        fol_system_spec spec = {
            .name = "system",
            .records_commands = i % 9 == 0,
            .queries = &query,
            .query_count = 1,
            .resource_reads = {&filter, 1},
            .sets = {&set, 1},
        };
        uint32_t id;
        status = fol_schedule_add_system(schedule, &spec, &id);
    }
    return status;
}

/* Explicit order against registration, so that cycles are opened too. */
static int add_orders(fol_schedule *schedule)
{
    int status = FOL_OK;
    for (uint32_t i = 0; i < 5 && status == FOL_OK; i++) {
        fol_node_ref first = {FOL_NODE_SYSTEM, SYSTEMS - 1 - i};
        fol_node_ref second = {FOL_NODE_SYSTEM, i};
        status = fol_schedule_add_order(schedule, first, second);
    }
    fol_node_ref system = {FOL_NODE_SYSTEM, 10};
    fol_node_ref set = {FOL_NODE_SET, 2};
    return status == FOL_OK ? fol_schedule_add_order(schedule, system, set) : status;
}

static int fill(fol_schedule *schedule)
{
    int status = add_names(schedule);
    status = status == FOL_OK ? add_systems(schedule) : status;
    return status == FOL_OK ? add_orders(schedule) : status;
}

static uint64_t live_blocks(void)
{
    fol_memory_stats stats;
    fol_memory_read_stats(&stats);
    return stats.live_blocks;
}

static int build_and_drop(void)
{
    fol_schedule *schedule;
    int status = fol_schedule_create(NULL, &schedule);
    if (status == FOL_OK) {
        status = fill(schedule);
        fol_schedule_destroy(schedule);
    }
    return status;
}

static void test_building_a_schedule_survives_every_refused_allocation(void)
{
    uint64_t before = live_blocks();
    int status = -ENOMEM;
    for (uint64_t n = 1; status == -ENOMEM; n++) {
        fol_memory_fail_nth(n);
        status = build_and_drop();
        CHECK_EQ(live_blocks(), before);
    }
    fol_memory_fail_nth(0);
    CHECK_EQ(status, FOL_OK);
}

static void test_a_refused_addition_leaves_the_schedule_as_it_was(void)
{
    fol_schedule *schedule;
    uint32_t id;
    CHECK_EQ(fol_schedule_create(NULL, &schedule), FOL_OK);
    CHECK_EQ(fol_schedule_add_phase(schedule, "update", &id), FOL_OK);
    CHECK_EQ(fol_schedule_add_resource(schedule, "resource", &id), FOL_OK);
    uint32_t ids[1] = {0};
    fol_query_access query = {.writes = {ids, 1}};
    fol_system_spec spec = {.name = "a", .queries = &query, .query_count = 1};
    uint32_t refusals = 0;
    for (uint32_t added = 0; added < 100; added++) {
        int status = -ENOMEM;
        for (uint64_t n = 1; status == -ENOMEM; n++) {
            fol_memory_fail_nth(n);
            status = fol_schedule_add_system(schedule, &spec, &id);
            refusals += status == -ENOMEM;
        }
        CHECK_EQ(id, added);
    }
    fol_memory_fail_nth(0);
    CHECK(refusals > 10);
    fol_plan *plan;
    CHECK_EQ(fol_plan_create(schedule, &plan, NULL), FOL_OK);
    CHECK_EQ(fol_plan_stage_count(plan, 0), 100);
    fol_plan_destroy(plan);
    fol_schedule_destroy(schedule);
}

/* Plans the schedule with each allocation refused in turn until none is; the last status. */
static int plan_under_refusals(const fol_schedule *schedule, uint64_t *refusals)
{
    int status = -ENOMEM;
    uint64_t before = live_blocks();
    for (uint64_t n = 1; status == -ENOMEM; n++) {
        fol_plan *plan = NULL;
        fol_plan_error error;
        fol_memory_fail_nth(n);
        status = fol_plan_create(schedule, &plan, &error);
        CHECK((status == FOL_OK) == (plan != NULL));
        CHECK((status == FOL_E_CYCLE) == (error.kind != FOL_PLAN_NO_ERROR));
        fol_plan_destroy(plan);
        CHECK_EQ(live_blocks(), before);
        *refusals = n - 1;
    }
    fol_memory_fail_nth(0);
    return status;
}

static void test_planning_survives_every_refused_allocation(void)
{
    fol_schedule *schedule;
    uint64_t refusals;
    CHECK_EQ(fol_schedule_create(NULL, &schedule), FOL_OK);
    CHECK_EQ(fill(schedule), FOL_OK);
    CHECK_EQ(plan_under_refusals(schedule, &refusals), FOL_OK);
    CHECK(refusals > 40);
    fol_node_ref a = {FOL_NODE_SYSTEM, 0};
    fol_node_ref b = {FOL_NODE_SYSTEM, SYSTEMS - 1};
    CHECK_EQ(fol_schedule_add_order(schedule, a, b), FOL_OK);
    CHECK_EQ(plan_under_refusals(schedule, &refusals), FOL_E_CYCLE);
    CHECK(refusals > 30);
    fol_schedule_destroy(schedule);
}

static fol_plan *make_plan(void)
{
    fol_schedule *schedule;
    fol_plan *plan = NULL;
    CHECK_EQ(fol_schedule_create(NULL, &schedule), FOL_OK);
    CHECK_EQ(fill(schedule), FOL_OK);
    CHECK_EQ(fol_plan_create(schedule, &plan, NULL), FOL_OK);
    fol_schedule_destroy(schedule);
    return plan;
}

static void test_a_refused_list_can_be_asked_for_again(void)
{
    fol_plan *plan = make_plan();
    const fol_edge *edges = NULL;
    const fol_ambiguity *list = NULL;
    size_t count = 77;
    double costs[SYSTEMS] = {1};
    double seconds;
    uint32_t path[SYSTEMS];
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_plan_edges(plan, 0, &edges, &count), -ENOMEM);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_plan_ambiguities(plan, &list, &count), -ENOMEM);
    for (uint64_t n = 1; n <= 2; n++) {
        fol_memory_fail_nth(n);
        CHECK_EQ(fol_plan_critical_path(plan, costs, &seconds, path, &count), -ENOMEM);
    }
    CHECK(edges == NULL && list == NULL && count == 77);
    CHECK_EQ(fol_plan_edges(plan, 0, &edges, &count), FOL_OK);
    CHECK(count > 0 && edges != NULL);
    CHECK_EQ(fol_plan_ambiguities(plan, &list, &count), FOL_OK);
    CHECK(count > 0 && list != NULL);
    fol_plan_destroy(plan);
}

typedef struct answer {
    const fol_plan *plan;
    const fol_edge *edges;
    const fol_ambiguity *list;
} answer;

static void *ask(void *argument)
{
    answer *mine = argument;
    size_t count;
    if (fol_plan_edges(mine->plan, 0, &mine->edges, &count) != FOL_OK ||
        fol_plan_ambiguities(mine->plan, &mine->list, &count) != FOL_OK) {
        return NULL;
    }
    /* Reads what another thread may have written. */
    return mine->edges[0].before == mine->edges[0].after ? NULL : argument;
}

static void test_threads_that_ask_at_once_get_the_same_list(void)
{
    enum { THREADS = 4, ROUNDS = 50 };
    uint64_t before = live_blocks();
    for (int round = 0; round < ROUNDS; round++) {
        fol_plan *plan = make_plan();
        pthread_t threads[THREADS];
        answer answers[THREADS];
        for (int i = 0; i < THREADS; i++) {
            answers[i] = (answer){.plan = plan};
            CHECK_EQ(pthread_create(&threads[i], NULL, ask, &answers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            void *result = NULL;
            pthread_join(threads[i], &result);
            CHECK(result == &answers[i]);
            CHECK(answers[i].edges == answers[0].edges && answers[i].list == answers[0].list);
        }
        fol_plan_destroy(plan);
    }
    CHECK_EQ(live_blocks(), before);
}

int main(void)
{
    RUN(test_building_a_schedule_survives_every_refused_allocation);
    RUN(test_a_refused_addition_leaves_the_schedule_as_it_was);
    RUN(test_planning_survives_every_refused_allocation);
    RUN(test_a_refused_list_can_be_asked_for_again);
    RUN(test_threads_that_ask_at_once_get_the_same_list);
    CHECK_MAIN_END();
}
