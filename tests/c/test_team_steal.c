/* Stealing, one look at a time on one thread: whom a thief looks at, how much it takes, and what it
 * leaves. */

#include "team_support.h"

/* A team without threads, whose workers the test moves by hand. */
static void setup_still(crowd *c, uint32_t workers, uint32_t batch)
{
    fol_team_config config = {.workers = workers, .steal_batch = batch, .seed = 7};
    setup_with(c, 0, &config);
    for (uint32_t place = 0; place < workers; place++) {
        fol_worker_order_victims(fol_team_worker(c->team, place));
    }
}

static counted_job *fill(crowd *c, uint32_t place, uint32_t count)
{
    counted_job *jobs = make_jobs(c, count, NULL);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQ(fol_worker_push(fol_team_worker(c->team, place), &jobs[i].job), 0);
    }
    return jobs;
}

static uint32_t number_of(const fol_job *job)
{
    return ((const counted_job *)job)->number;
}

static void test_a_thief_looks_at_every_other_place_once(void)
{
    crowd c;
    setup_still(&c, 9, 0);
    for (uint32_t place = 0; place < 9; place++) {
        const fol_worker *worker = fol_team_worker(c.team, place);
        uint32_t seen = 0;
        CHECK_EQ(worker->order_ends[FOL_DISTANCES - 1], 8);
        for (uint32_t i = 0; i < 8; i++) {
            seen |= UINT32_C(1) << worker->order[i];
        }
        CHECK_EQ(seen, 0x1ff & ~(UINT32_C(1) << place));
        for (uint32_t distance = 1; distance < FOL_DISTANCES; distance++) {
            CHECK(worker->order_ends[distance - 1] <= worker->order_ends[distance]);
        }
        fol_worker_counters before;
        fol_worker_counters after;
        fol_team_read_worker(c.team, place, &before);
        CHECK(fol_worker_steal(fol_team_worker(c.team, place)) == NULL);
        fol_team_read_worker(c.team, place, &after);
        CHECK_EQ(after.steal_attempts - before.steal_attempts, 8);
        CHECK_EQ(after.steal_misses - before.steal_misses, 8);
    }
    teardown(&c);
}

static void test_nearer_victims_come_first(void)
{
    crowd c;
    setup_still(&c, 4, 1);
    fol_worker *thief = fol_team_worker(c.team, 0);
    /* As on a machine where place 3 is near and the others are far. */
    thief->order_ends[0] = 0;
    thief->order_ends[1] = 1;
    thief->order_ends[2] = 1;
    thief->order_ends[3] = 3;
    thief->order[0] = 3;
    thief->order[1] = 1;
    thief->order[2] = 2;
    counted_job *far = fill(&c, 1, 10);
    counted_job *near = fill(&c, 3, 10);
    for (uint32_t i = 0; i < 9; i++) {
        CHECK(fol_worker_steal(thief) == &near[i].job);
    }
    /* The last one is left to its owner for a look, and the far ones are next. */
    CHECK(fol_worker_steal(thief) == &far[0].job);
    teardown(&c);
    free(far);
    free(near);
}

static void test_starts_are_random_among_equals(void)
{
    crowd c;
    uint32_t firsts[4] = {0};
    setup_still(&c, 4, 1);
    fol_worker *thief = fol_team_worker(c.team, 0);
    counted_job *jobs[4] = {NULL};
    for (uint32_t place = 1; place < 4; place++) {
        jobs[place] = fill(&c, place, 200);
    }
    for (uint32_t i = 0; i < 300; i++) {
        const fol_job *job = fol_worker_steal(thief);
        for (uint32_t place = 1; place < 4; place++) {
            uintptr_t offset = (uintptr_t)job - (uintptr_t)jobs[place];
            firsts[place] += offset < 200 * sizeof(counted_job);
        }
    }
    for (uint32_t place = 1; place < 4; place++) {
        CHECK(firsts[place] > 60);
        free(jobs[place]);
    }
    teardown(&c);
}

static void test_a_batch_is_at_most_half_and_at_most_what_is_configured(void)
{
    for (uint32_t batch = 1; batch <= 16; batch *= 2) {
        for (uint32_t count = 2; count < 50; count += 3) {
            crowd c;
            setup_still(&c, 2, batch);
            fol_worker *thief = fol_team_worker(c.team, 1);
            counted_job *jobs = fill(&c, 0, count);
            uint32_t half = (count + 1) / 2;
            uint32_t expected = half < batch ? half : batch;
            const fol_job *first = fol_worker_steal(thief);
            /* Oldest first, and the first of them is not queued again. */
            CHECK(first == &jobs[0].job);
            CHECK_EQ(fol_deque_count_owner(&thief->deque), expected - 1);
            CHECK_EQ(fol_deque_count_owner(&c.caller->deque), count - expected);
            for (uint32_t i = 1; i < expected; i++) {
                CHECK_EQ(number_of(fol_deque_take_owner(&thief->deque)), i);
            }
            fol_worker_counters counters;
            fol_team_read_worker(c.team, 1, &counters);
            CHECK_EQ(counters.stolen, expected);
            CHECK_EQ(counters.batches, expected > 1);
            CHECK_EQ(counters.largest_batch, expected > 1 ? expected : 0);
            teardown(&c);
            free(jobs);
        }
    }
}

static void test_a_single_job_is_taken_at_the_second_look(void)
{
    crowd c;
    setup_still(&c, 2, 0);
    fol_worker *thief = fol_team_worker(c.team, 1);
    counted_job *job = fill(&c, 0, 1);
    CHECK(fol_worker_steal(thief) == NULL);
    CHECK(fol_team_has_work(c.team, thief));
    CHECK(fol_worker_steal(thief) == &job->job);
    CHECK(fol_worker_steal(thief) == NULL);
    teardown(&c);
    free(job);
}

/* One look for each round of an owner that takes its own jobs, `went` of them a round. */
static uint32_t looks_in_rounds(crowd *c, fol_worker *thief, uint32_t rounds, uint32_t went)
{
    fol_worker_counters before;
    fol_worker_counters after;
    fol_team_read_worker(c->team, thief->place, &before);
    for (uint32_t round = 0; round < rounds; round++) {
        counted_job *job = fill(c, 0, 1);
        CHECK(fol_worker_steal(thief) == NULL);
        for (uint32_t i = 0; i < went; i++) {
            CHECK(fol_deque_take_owner(&c->caller->deque) == &job->job);
            CHECK_EQ(fol_worker_push(c->caller, &job->job), 0);
        }
        CHECK(fol_deque_take_owner(&c->caller->deque) == &job->job);
        free(job);
    }
    fol_team_read_worker(c->team, thief->place, &after);
    return (uint32_t)(after.steal_attempts - before.steal_attempts);
}

static void test_a_searcher_rests_from_an_owner_whose_jobs_go_quickly(void)
{
    crowd c;
    setup_still(&c, 2, 0);
    fol_worker *thief = fol_team_worker(c.team, 1);
    fol_worker_begin_search(thief);
    /* Looks at rounds 0, 1, then after rests of 1, 2, 4, and 8 from then on. */
    CHECK_EQ(looks_in_rounds(&c, thief, 1 + 1 + 2 + 3 + 5 + 9 + 9 + 9, 10), 8);
    fol_worker_end_search(thief);
    teardown(&c);
}

static void test_a_searcher_does_not_rest_from_an_owner_whose_jobs_stay_for_a_round(void)
{
    crowd c;
    setup_still(&c, 2, 0);
    fol_worker *thief = fol_team_worker(c.team, 1);
    fol_worker_begin_search(thief);
    CHECK_EQ(looks_in_rounds(&c, thief, 40, 1), 40);
    fol_worker_end_search(thief);
    teardown(&c);
}

static void test_the_next_search_rests_as_long_as_the_last_one_did(void)
{
    crowd c;
    setup_still(&c, 2, 0);
    fol_worker *thief = fol_team_worker(c.team, 1);
    for (uint32_t search = 0; search < 4; search++) {
        fol_worker_begin_search(thief);
        looks_in_rounds(&c, thief, 1 + 1 + 2 + 3 + 5 + 9, 10);
        fol_worker_end_search(thief);
        /* What it finds first is not of its time. */
        fol_worker_begin_search(thief);
        CHECK_EQ(looks_in_rounds(&c, thief, 1 + 1 + 9, 10), 3);
        fol_worker_end_search(thief);
    }
    teardown(&c);
}

static void test_who_does_not_search_does_not_rest(void)
{
    crowd c;
    setup_still(&c, 2, 0);
    CHECK_EQ(looks_in_rounds(&c, fol_team_worker(c.team, 1), 40, 10), 40);
    teardown(&c);
}

static void test_a_job_that_stays_is_taken_after_two_rests(void)
{
    crowd c;
    setup_still(&c, 2, 0);
    fol_worker *thief = fol_team_worker(c.team, 1);
    fol_worker_begin_search(thief);
    for (uint32_t rounds = 0; rounds < 50; rounds++) {
        looks_in_rounds(&c, thief, rounds, 10);
        counted_job *job = fill(&c, 0, 1);
        fol_job *taken = NULL;
        for (uint32_t i = 0; i < 8 + 1 + 8 + 1 && taken == NULL; i++) {
            taken = fol_worker_steal(thief);
        }
        CHECK(taken == &job->job);
        free(job);
    }
    fol_worker_end_search(thief);
    teardown(&c);
}

static void test_many_jobs_end_a_rest_at_the_next_look(void)
{
    crowd c;
    setup_still(&c, 2, 1);
    fol_worker *thief = fol_team_worker(c.team, 1);
    fol_worker_begin_search(thief);
    looks_in_rounds(&c, thief, 100, 10);
    counted_job *jobs = fill(&c, 0, 20);
    fol_job *taken = NULL;
    for (uint32_t i = 0; i < 8 + 1 && taken == NULL; i++) {
        taken = fol_worker_steal(thief);
    }
    CHECK(taken == &jobs[0].job);
    for (uint32_t i = 1; i < 19; i++) {
        CHECK(fol_worker_steal(thief) == &jobs[i].job);
    }
    fol_worker_end_search(thief);
    teardown(&c);
    free(jobs);
}

static void test_single_jobs_of_several_workers_are_all_taken_at_the_second_look(void)
{
    crowd c;
    counted_job *jobs[4] = {NULL};
    setup_still(&c, 5, 0);
    fol_worker *thief = fol_team_worker(c.team, 4);
    for (uint32_t place = 0; place < 4; place++) {
        jobs[place] = fill(&c, place, 1);
    }
    CHECK(fol_worker_steal(thief) == NULL);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(fol_worker_steal(thief) != NULL);
    }
    CHECK(fol_worker_steal(thief) == NULL);
    CHECK(!fol_team_has_work(c.team, thief));
    teardown(&c);
    for (uint32_t place = 0; place < 4; place++) {
        free(jobs[place]);
    }
}

static void test_a_thief_with_jobs_of_its_own_skips_those_that_have_little(void)
{
    crowd c;
    setup_still(&c, 2, 4);
    fol_worker *thief = fol_team_worker(c.team, 1);
    counted_job *jobs = fill(&c, 0, 15);
    CHECK(fol_worker_steal_plenty(thief) == NULL);
    counted_job *more = fill(&c, 0, 1);
    CHECK(fol_worker_steal_plenty(thief) == &jobs[0].job);
    CHECK_EQ(fol_deque_count_owner(&thief->deque), 3);
    CHECK(fol_worker_steal_plenty(thief) == NULL);
    teardown(&c);
    free(jobs);
    free(more);
}

static void test_a_busy_worker_takes_from_one_that_is_stuck(void)
{
    enum { JOBS = 100 };
    crowd c;
    setup_still(&c, 2, 4);
    fol_worker *busy = fol_team_worker(c.team, 1);
    counted_job *stuck = fill(&c, 0, JOBS);
    counted_job *own = fill(&c, 1, 200);
    /* The caller never comes; the other has work for long, and still takes some of the caller's. */
    for (uint32_t i = 0; i < 150; i++) {
        CHECK(fol_worker_run_one(busy));
    }
    CHECK(atomic_load(&stuck[0].runs) == 1);
    CHECK(fol_deque_count_owner(&busy->deque) > 40);
    teardown(&c);
    free(stuck);
    free(own);
}

static void test_distance_grows_with_what_is_not_shared(void)
{
    const fol_processor_place here = {.core = 1, .cache = 2, .node = 3};
    const fol_processor_place core = {.core = 9, .cache = 2, .node = 3};
    const fol_processor_place cache = {.core = 9, .cache = 9, .node = 3};
    const fol_processor_place node = {.core = 9, .cache = 9, .node = 9};
    CHECK_EQ(fol_processor_distance(here, here), 0);
    CHECK_EQ(fol_processor_distance(here, core), 1);
    CHECK_EQ(fol_processor_distance(here, cache), 2);
    CHECK_EQ(fol_processor_distance(here, node), 3);
    CHECK_EQ(fol_processor_distance(node, here), 3);
}

static void test_processors_that_nobody_knows_have_a_distance_too(void)
{
    fol_processor_place places[4];
    CHECK(fol_topology_read_places(places, 4) <= 0);
    CHECK_EQ(fol_topology_distance(-1, -1), 0);
    CHECK_EQ(fol_topology_distance(0, 0), 0);
    CHECK_EQ(fol_topology_distance(1 << 20, -1), 0);
    CHECK_EQ(fol_topology_distance(0, 1), fol_processor_distance(places[0], places[1]));
    CHECK(fol_topology_distance(0, 1) < FOL_DISTANCES);
    CHECK_EQ(fol_topology_distance(0, 1), fol_topology_distance(1, 0));
}

int main(void)
{
    RUN(test_a_thief_looks_at_every_other_place_once);
    RUN(test_nearer_victims_come_first);
    RUN(test_starts_are_random_among_equals);
    RUN(test_a_batch_is_at_most_half_and_at_most_what_is_configured);
    RUN(test_a_single_job_is_taken_at_the_second_look);
    RUN(test_a_searcher_rests_from_an_owner_whose_jobs_go_quickly);
    RUN(test_a_searcher_does_not_rest_from_an_owner_whose_jobs_stay_for_a_round);
    RUN(test_the_next_search_rests_as_long_as_the_last_one_did);
    RUN(test_who_does_not_search_does_not_rest);
    RUN(test_a_job_that_stays_is_taken_after_two_rests);
    RUN(test_many_jobs_end_a_rest_at_the_next_look);
    RUN(test_single_jobs_of_several_workers_are_all_taken_at_the_second_look);
    RUN(test_a_thief_with_jobs_of_its_own_skips_those_that_have_little);
    RUN(test_a_busy_worker_takes_from_one_that_is_stuck);
    RUN(test_distance_grows_with_what_is_not_shared);
    RUN(test_processors_that_nobody_knows_have_a_distance_too);
    CHECK_MAIN_END();
}
