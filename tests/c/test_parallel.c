/* Fork, join and the parallel loop: on teams of every size, nested, asleep, short of memory,
 * failing, and in place. */

#include "exec/parallel.h"
#include "team_support.h"

typedef struct fib_argument {
    const fol_parallel_api *api;
    uint32_t n;
    uint64_t result;
    atomic_uint *deepest; /* jobs on one stack; may be NULL */
} fib_argument;

static uint64_t fib(fol_parallel *self, const fib_argument *up, uint32_t n);

static void fib_branch(fol_parallel *self, void *argument)
{
    fib_argument *a = argument;
    if (a->deepest != NULL) {
        unsigned depth = ((const fol_worker *)self)->depth;
        unsigned deepest = atomic_load(a->deepest);
        while (deepest < depth && !atomic_compare_exchange_weak(a->deepest, &deepest, depth)) {
        }
    }
    a->result = fib(self, a, a->n);
}

static uint64_t fib(fol_parallel *self, const fib_argument *up, uint32_t n)
{
    if (n < 2) {
        return n;
    }
    fol_branch branch;
    fib_argument other = {up->api, n - 1, 0, up->deepest};
    up->api->fork(self, &branch, fib_branch, &other);
    uint64_t own = fib(self, up, n - 2);
    up->api->join(self, &branch);
    return own + other.result;
}

static void test_a_tree_of_forks_gives_its_sum_on_any_number_of_workers(void)
{
    for (uint32_t workers = 1; workers <= 8; workers *= 2) {
        crowd c;
        fib_argument root = {.api = &fol_parallel_on_team};
        setup(&c, workers);
        for (uint32_t round = 0; round < 5; round++) {
            CHECK_EQ(fib(fol_worker_parallel(c.caller), &root, 20), 6765);
        }
        CHECK_EQ(fol_deque_count_owner(&c.caller->deque), 0);
        teardown(&c);
    }
}

static void test_stacks_get_no_deeper_than_forks_are_nested(void)
{
    enum { N = 18 };
    crowd c;
    atomic_uint deepest = 0;
    fib_argument root = {.api = &fol_parallel_on_team, .deepest = &deepest};
    setup(&c, 8);
    for (uint32_t round = 0; round < 20; round++) {
        CHECK_EQ(fib(fol_worker_parallel(c.caller), &root, N), 2584);
    }
    /* Who takes a branch from a worker that just turned to another adds the depth of that. */
    CHECK(atomic_load(&deepest) <= 4 * N);
    teardown(&c);
}

/* Forks that are each inside of the one before, all joined from the innermost out. */
typedef struct ladder {
    uint32_t left;
    uint64_t sum;
} ladder;

static void climb(fol_parallel *self, void *argument)
{
    ladder *l = argument;
    fol_branch branch;
    ladder below = {.left = l->left - 1};
    if (l->left == 0) {
        l->sum = 1;
        return;
    }
    fol_parallel_on_team.fork(self, &branch, climb, &below);
    fol_parallel_on_team.join(self, &branch);
    l->sum = below.sum + 1;
}

static void test_forks_may_nest_a_thousand_deep(void)
{
    crowd c;
    setup(&c, 3);
    for (uint32_t round = 0; round < 20; round++) {
        ladder l = {.left = 1000};
        climb(fol_worker_parallel(c.caller), &l);
        CHECK_EQ(l.sum, 1001);
    }
    teardown(&c);
}

static void add_one(fol_parallel *self, void *argument)
{
    (void)self;
    atomic_fetch_add((atomic_uint *)argument, 1);
}

static void test_many_forks_of_one_function_all_run(void)
{
    enum { FORKS = 500 };
    for (uint32_t workers = 1; workers <= 4; workers++) {
        crowd c;
        atomic_uint sum = 0;
        fol_branch branches[FORKS];
        setup(&c, workers);
        fol_parallel *self = fol_worker_parallel(c.caller);
        for (uint32_t i = 0; i < FORKS; i++) {
            fol_parallel_on_team.fork(self, &branches[i], add_one, &sum);
        }
        for (uint32_t i = FORKS; i-- > 0;) {
            fol_parallel_on_team.join(self, &branches[i]);
        }
        CHECK_EQ(atomic_load(&sum), FORKS);
        teardown(&c);
    }
}

static void test_forks_without_memory_run_when_they_are_joined(void)
{
    enum { FORKS = 200 };
    crowd c;
    atomic_uint sum = 0;
    fol_branch branches[FORKS];
    fol_team_config config = {.workers = 1, .deque_capacity = 64};
    setup_with(&c, 0, &config);
    fol_parallel *self = fol_worker_parallel(c.caller);
    for (uint32_t i = 0; i < FORKS; i++) {
        /* Each of those beyond the capacity asks for a larger array. */
        fol_memory_fail_nth(1);
        fol_parallel_on_team.fork(self, &branches[i], add_one, &sum);
    }
    fol_memory_fail_nth(0);
    CHECK_EQ(fol_deque_count_owner(&c.caller->deque), 64);
    for (uint32_t i = FORKS; i-- > 0;) {
        fol_parallel_on_team.join(self, &branches[i]);
        CHECK_EQ(atomic_load(&sum), FORKS - i);
    }
    teardown(&c);
}

/* A branch on another worker that goes on until the joiner sleeps. */
typedef struct sleeper {
    fol_worker *joiner;
    atomic_bool has_begun;
    atomic_uint pieces;
} sleeper;

static void outlast_joiner(fol_parallel *self, void *argument)
{
    sleeper *s = argument;
    (void)self;
    atomic_store(&s->has_begun, true);
    SPIN_UNTIL(fol_event_count_waiters(&s->joiner->joined) == 1);
}

static void test_a_sleeping_join_is_woken_by_the_end_of_its_branch(void)
{
    crowd c;
    setup(&c, 2);
    for (uint32_t round = 0; round < 100; round++) {
        fol_branch branch;
        sleeper s = {.joiner = c.caller};
        fol_parallel_on_team.fork(fol_worker_parallel(c.caller), &branch, outlast_joiner, &s);
        SPIN_UNTIL(atomic_load(&s.has_begun));
        fol_parallel_on_team.join(fol_worker_parallel(c.caller), &branch);
    }
    teardown(&c);
}

/* Two branches of which each waits for the other one to begin. */
static void meet(fol_parallel *self, void *argument)
{
    (void)self;
    atomic_fetch_add((atomic_uint *)argument, 1);
    SPIN_UNTIL(atomic_load((atomic_uint *)argument) >= 2);
}

static void fork_for_sleeper(fol_parallel *self, void *argument)
{
    sleeper *s = argument;
    fol_branch branch;
    atomic_store(&s->has_begun, true);
    SPIN_UNTIL(fol_event_count_waiters(&s->joiner->joined) == 1);
    fol_parallel_on_team.fork(self, &branch, meet, &s->pieces);
    meet(self, &s->pieces);
    fol_parallel_on_team.join(self, &branch);
}

static void test_a_sleeping_join_is_woken_to_help_with_its_branch(void)
{
    crowd c;
    setup(&c, 2);
    for (uint32_t round = 0; round < 100; round++) {
        fol_branch branch;
        sleeper s = {.joiner = c.caller};
        fol_parallel_on_team.fork(fol_worker_parallel(c.caller), &branch, fork_for_sleeper, &s);
        SPIN_UNTIL(atomic_load(&s.has_begun));
        fol_parallel_on_team.join(fol_worker_parallel(c.caller), &branch);
        CHECK_EQ(atomic_load(&s.pieces), 2);
    }
    teardown(&c);
}

/* A kernel: no other job may start on its worker before it is over. */
typedef struct kernels {
    atomic_uint nested;
    atomic_uint rows;
    bool is_inside[8];
} kernels;

static int count_rows(fol_parallel *self, size_t first, size_t end, void *argument)
{
    kernels *k = argument;
    (void)self;
    atomic_fetch_add(&k->rows, (unsigned)(end - first));
    return 0;
}

static void run_kernel(counted_job *self, fol_worker *worker)
{
    kernels *k = self->state;
    uint32_t place = fol_worker_place(worker);
    atomic_fetch_add(&k->nested, k->is_inside[place]);
    k->is_inside[place] = true;
    CHECK_EQ(fol_parallel_on_team.for_range(fol_worker_parallel(worker), 100, 1, count_rows, k), 0);
    k->is_inside[place] = false;
}

static void test_no_job_runs_inside_of_another_ones_join(void)
{
    enum { JOBS = 400 };
    crowd c;
    fol_latch latch;
    kernels k = {0};
    setup(&c, 4);
    fol_latch_init(&latch, JOBS);
    counted_job *jobs = make_jobs(&c, JOBS, &latch);
    for (uint32_t i = 0; i < JOBS; i++) {
        jobs[i].function = run_kernel;
        jobs[i].state = &k;
        CHECK_EQ(fol_worker_push(c.caller, &jobs[i].job), 0);
    }
    fol_worker_wait(c.caller, &latch);
    CHECK_EQ(atomic_load(&k.nested), 0);
    CHECK_EQ(atomic_load(&k.rows), 100 * JOBS);
    teardown(&c);
    free(jobs);
}

static void test_in_place_a_fork_runs_when_it_is_joined(void)
{
    fib_argument root = {.api = &fol_parallel_in_place};
    fol_branch branch;
    atomic_uint sum = 0;
    fol_parallel_in_place.fork(NULL, &branch, add_one, &sum);
    CHECK_EQ(atomic_load(&sum), 0);
    fol_parallel_in_place.join(NULL, &branch);
    CHECK_EQ(atomic_load(&sum), 1);
    CHECK_EQ(fib(NULL, &root, 15), 610);
    CHECK_EQ(fol_parallel_in_place.worker(NULL), 0);
    CHECK_EQ(fol_parallel_in_place.worker_count(NULL), 1);
}

static void note_worker(fol_parallel *self, void *argument)
{
    atomic_uint *wrong = argument;
    uint32_t place = fol_parallel_on_team.worker(self);
    uint32_t count = fol_parallel_on_team.worker_count(self);
    atomic_fetch_add(wrong, count != 3 || place >= count ||
                                place != fol_worker_place((const fol_worker *)self));
}

static void test_a_branch_knows_the_worker_that_runs_it(void)
{
    crowd c;
    atomic_uint wrong = 0;
    fol_branch branches[50];
    setup(&c, 3);
    fol_parallel *self = fol_worker_parallel(c.caller);
    for (uint32_t i = 0; i < 50; i++) {
        fol_parallel_on_team.fork(self, &branches[i], note_worker, &wrong);
    }
    for (uint32_t i = 50; i-- > 0;) {
        fol_parallel_on_team.join(self, &branches[i]);
    }
    CHECK_EQ(atomic_load(&wrong), 0);
    teardown(&c);
}

int main(void)
{
    RUN(test_a_tree_of_forks_gives_its_sum_on_any_number_of_workers);
    RUN(test_stacks_get_no_deeper_than_forks_are_nested);
    RUN(test_forks_may_nest_a_thousand_deep);
    RUN(test_many_forks_of_one_function_all_run);
    RUN(test_forks_without_memory_run_when_they_are_joined);
    RUN(test_a_sleeping_join_is_woken_by_the_end_of_its_branch);
    RUN(test_a_sleeping_join_is_woken_to_help_with_its_branch);
    RUN(test_no_job_runs_inside_of_another_ones_join);
    RUN(test_in_place_a_fork_runs_when_it_is_joined);
    RUN(test_a_branch_knows_the_worker_that_runs_it);
    CHECK_MAIN_END();
}
