/* How long a worker that finds nothing goes on looking before it parks. */

#include "team_support.h"

/* Rounds that no limit of time cuts short. */
#define ROUNDS 8

static bool is_under_way;

static fol_job *take_nothing(void *state, fol_worker *worker)
{
    (void)state, (void)worker;
    return NULL;
}

static bool is_never_ready(void *state, fol_worker *worker)
{
    (void)state, (void)worker;
    return false;
}

static bool say_whether_under_way(void *state)
{
    (void)state;
    return is_under_way;
}

static void setup_source(crowd *c)
{
    const fol_team_config config = {
        .workers = 2, .source = {NULL, take_nothing, is_never_ready, say_whether_under_way}};
    setup_with(c, 0, &config);
    is_under_way = true;
}

/* A search that has spun for as long as was worth it lately, and has yielded its times. */
static void begin_search_at_its_end(fol_worker *worker, uint64_t spun_ns)
{
    fol_worker_begin_search(worker);
    worker->may_spin = true;
    worker->yields_left = 0;
    worker->spin_limit_ns = 0;
    worker->look_limit_ns = UINT64_MAX;
    worker->spin_start_ns -= spun_ns;
}

/* Rounds until it would park, ROUNDS at most. */
static uint32_t count_rounds(fol_worker *worker, uint64_t spun_ns)
{
    uint32_t rounds = 0;
    begin_search_at_its_end(worker, spun_ns);
    while (rounds < ROUNDS && fol_worker_search_on(worker)) {
        rounds++;
    }
    fol_worker_end_search(worker);
    return rounds;
}

static void test_a_searcher_looks_on_while_the_source_is_under_way(void)
{
    crowd c;
    setup_source(&c);
    /* Others may take the processor away, and then it stops: but not each time. */
    SPIN_UNTIL(count_rounds(c.caller, 0) == ROUNDS);
    is_under_way = false;
    CHECK_EQ(count_rounds(c.caller, 0), 0);
    teardown(&c);
}

static void test_a_searcher_that_looks_on_for_long_yields(void)
{
    crowd c;
    fol_worker_counters counters;
    setup_source(&c);
    /* As above. */
    SPIN_UNTIL(count_rounds(c.caller, 100000) == ROUNDS);
    fol_team_read_worker(c.team, 0, &counters);
    CHECK(counters.yields >= ROUNDS);
    teardown(&c);
}

static void test_a_searcher_does_not_look_on_for_a_source_that_cannot_tell(void)
{
    crowd c;
    setup(&c, 1);
    CHECK_EQ(count_rounds(c.caller, 0), 0);
    teardown(&c);
}

static void test_a_searcher_looks_on_no_longer_than_was_worth_it_lately(void)
{
    crowd c;
    setup_source(&c);
    begin_search_at_its_end(c.caller, 2000);
    c.caller->look_limit_ns = 1000;
    CHECK(!fol_worker_search_on(c.caller));
    fol_worker_end_search(c.caller);
    teardown(&c);
}

static void test_a_searcher_does_not_look_on_where_a_policy_chose_its_rounds(void)
{
    crowd c;
    setup_source(&c);
    fol_team_choose_spins(c.team, 0, 3);
    CHECK_EQ(count_rounds(c.caller, 0), 3);
    teardown(&c);
}

static uint64_t look_limit_after(fol_worker *worker, uint64_t limit_ns, uint64_t idle_ns)
{
    fol_worker_begin_search(worker);
    worker->look_limit_ns = limit_ns;
    worker->idle_start_ns -= idle_ns;
    fol_worker_end_search(worker);
    return worker->look_limit_ns;
}

static void test_a_gap_of_a_run_lengthens_the_look_and_one_that_is_too_long_shortens_it(void)
{
    crowd c;
    setup_source(&c);
    /* The clock goes on meanwhile, now and then past what counts as short. */
    SPIN_UNTIL(look_limit_after(c.caller, 4000, 300000) >= 600000);
    CHECK(c.caller->look_limit_ns <= 1000000);
    CHECK_EQ(look_limit_after(c.caller, 800000, 10000000), 600000);
    teardown(&c);
}

static void test_a_searcher_leaves_at_once_when_another_team_finds_no_thread(void)
{
    crowd c;
    fol_team *other;
    setup_source(&c);
    const fol_team_config config = {.workers = 2, .seed = 1};
    CHECK_EQ(fol_team_create(c.pool, &config, &other), 0);
    counted_job *jobs = make_jobs(&c, 1, NULL);
    CHECK_EQ(fol_worker_push(fol_team_worker(other, 0), &jobs[0].job), 0);
    CHECK_EQ(count_rounds(c.caller, 0), 0);
    CHECK(fol_worker_run_one(fol_team_worker(other, 0)));
    fol_team_destroy(other);
    teardown(&c);
    free(jobs);
}

/* Both teams share the only thread. The first is under way for ever, and has nothing. */
static void test_a_thread_that_looks_on_goes_to_another_team_that_has_work(void)
{
    crowd c;
    fol_team *other;
    int refused;
    setup_source(&c);
    CHECK_EQ(fol_pool_grow(c.pool, 1, &refused), 1);
    const fol_team_config config = {.workers = 2, .seed = 1};
    CHECK_EQ(fol_team_create(c.pool, &config, &other), 0);
    for (uint32_t round = 0; round < 200; round++) {
        counted_job *jobs = make_jobs(&c, 2, NULL);
        CHECK(fol_team_inject(c.team, &jobs[0].job));
        SPIN_UNTIL(atomic_load(&jobs[0].runs) == 1);
        CHECK(fol_team_inject(other, &jobs[1].job));
        SPIN_UNTIL(atomic_load(&jobs[1].runs) == 1);
        SPIN_UNTIL(sum_jobs(other) == round + 1 && sum_jobs(c.team) == round + 1);
        free(jobs);
    }
    fol_team_destroy(other);
    teardown(&c);
}

int main(void)
{
    RUN(test_a_searcher_looks_on_while_the_source_is_under_way);
    RUN(test_a_searcher_that_looks_on_for_long_yields);
    RUN(test_a_searcher_does_not_look_on_for_a_source_that_cannot_tell);
    RUN(test_a_searcher_looks_on_no_longer_than_was_worth_it_lately);
    RUN(test_a_searcher_does_not_look_on_where_a_policy_chose_its_rounds);
    RUN(test_a_gap_of_a_run_lengthens_the_look_and_one_that_is_too_long_shortens_it);
    RUN(test_a_searcher_leaves_at_once_when_another_team_finds_no_thread);
    RUN(test_a_thread_that_looks_on_goes_to_another_team_that_has_work);
    CHECK_MAIN_END();
}
