/* The parallel loop: every row once, no range above the grain, the lowest failure, nesting. */

#include "exec/parallel.h"
#include "team_support.h"

#define ROWS 3000

typedef struct rows {
    atomic_uchar seen[ROWS];
    atomic_size_t largest;
    size_t fails_from; /* ranges that begin at a multiple of this, beyond the first, fail */
    const fol_parallel_api *api;
} rows;

static int see_rows(fol_parallel *self, size_t first, size_t end, void *argument)
{
    rows *r = argument;
    size_t largest = atomic_load(&r->largest);
    (void)self;
    while (largest < end - first &&
           !atomic_compare_exchange_weak(&r->largest, &largest, end - first)) {
    }
    for (size_t row = first; row < end; row++) {
        atomic_fetch_add(&r->seen[row], 1);
    }
    return 0;
}

static void check_seen(const rows *r, size_t count)
{
    size_t wrong = 0;
    for (size_t row = 0; row < ROWS; row++) {
        wrong += atomic_load(&r->seen[row]) != (row < count);
    }
    CHECK_EQ(wrong, 0);
}

static void test_every_row_is_done_once(void)
{
    static const size_t counts[] = {0, 1, 2, 3, 63, 64, 65, 1000, ROWS};
    static const size_t grains[] = {0, 1, 2, 7, 64, ROWS, SIZE_MAX};
    static rows r;
    for (uint32_t workers = 1; workers <= 4; workers++) {
        crowd c;
        setup(&c, workers);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            for (size_t j = 0; j < sizeof grains / sizeof *grains; j++) {
                memset(&r, 0, sizeof(r));
                CHECK_EQ(fol_parallel_on_team.for_range(fol_worker_parallel(c.caller), counts[i],
                                                        grains[j], see_rows, &r),
                         0);
                check_seen(&r, counts[i]);
                CHECK(grains[j] == 0 || atomic_load(&r.largest) <= grains[j]);
            }
        }
        CHECK_EQ(fol_deque_count_owner(&c.caller->deque), 0);
        teardown(&c);
    }
}

static void test_in_place_every_row_is_done_once(void)
{
    static const size_t grains[] = {0, 1, 7, ROWS, SIZE_MAX};
    static rows r;
    for (size_t j = 0; j < sizeof grains / sizeof *grains; j++) {
        memset(&r, 0, sizeof(r));
        CHECK_EQ(fol_parallel_in_place.for_range(NULL, ROWS, grains[j], see_rows, &r), 0);
        check_seen(&r, ROWS);
        CHECK(grains[j] == 0 || atomic_load(&r.largest) <= grains[j]);
    }
}

/* Ranges of one row, of which some fail with a status that tells the row. */
static int fail_some(fol_parallel *self, size_t first, size_t end, void *argument)
{
    rows *r = argument;
    see_rows(self, first, end, argument);
    for (size_t row = first; row < end; row++) {
        if (row != 0 && row % r->fails_from == 0) {
            return (int)row;
        }
    }
    return 0;
}

static void check_failure(fol_parallel *self, rows *r, size_t grain)
{
    size_t lowest = r->fails_from;
    int status = r->api->for_range(self, ROWS, grain, fail_some, r);
    CHECK_EQ(status, lowest < ROWS ? lowest : 0);
    size_t missing = 0;
    size_t again = 0;
    for (size_t row = 0; row < ROWS; row++) {
        missing += row <= lowest && atomic_load(&r->seen[row]) == 0;
        again += atomic_load(&r->seen[row]) > 1;
    }
    CHECK_EQ(missing, 0);
    CHECK_EQ(again, 0);
}

static void test_the_lowest_failure_wins_and_all_below_it_has_run(void)
{
    static const size_t grains[] = {0, 1, 3, 100};
    static rows r;
    for (uint32_t workers = 1; workers <= 4; workers++) {
        crowd c;
        setup(&c, workers);
        for (size_t from = 1; from < ROWS + 500; from += 1 + from / 3) {
            for (size_t j = 0; j < sizeof grains / sizeof *grains; j++) {
                memset(&r, 0, sizeof(r));
                r.fails_from = from;
                r.api = &fol_parallel_on_team;
                check_failure(fol_worker_parallel(c.caller), &r, grains[j]);
            }
        }
        teardown(&c);
    }
}

static void test_in_place_the_lowest_failure_wins(void)
{
    static rows r;
    for (size_t from = 1; from < ROWS + 500; from += 1 + from / 3) {
        memset(&r, 0, sizeof(r));
        r.fails_from = from;
        r.api = &fol_parallel_in_place;
        check_failure(NULL, &r, 1);
    }
}

static void test_a_failure_stops_a_long_loop(void)
{
    static rows r;
    crowd c;
    setup(&c, 1);
    memset(&r, 0, sizeof(r));
    r.fails_from = 1;
    CHECK_EQ(fol_parallel_on_team.for_range(fol_worker_parallel(c.caller), ROWS, 1, fail_some, &r),
             1);
    CHECK_EQ(atomic_load(&r.seen[2]), 0);
    CHECK_EQ(atomic_load(&r.seen[ROWS - 1]), 0);
    teardown(&c);
}

/* Loops in loops in loops. */
static int nest_thrice(fol_parallel *self, size_t first, size_t end, void *argument)
{
    rows *r = argument;
    for (size_t row = first; row < end; row++) {
        CHECK_EQ(fol_parallel_on_team.for_range(self, 10, 1, see_rows, r), 0);
    }
    return 0;
}

static int nest_twice(fol_parallel *self, size_t first, size_t end, void *argument)
{
    for (size_t row = first; row < end; row++) {
        CHECK_EQ(fol_parallel_on_team.for_range(self, 5, 1, nest_thrice, argument), 0);
    }
    return 0;
}

static void test_loops_nest(void)
{
    static rows r;
    for (uint32_t workers = 1; workers <= 8; workers *= 2) {
        crowd c;
        setup(&c, workers);
        memset(&r, 0, sizeof(r));
        CHECK_EQ(
            fol_parallel_on_team.for_range(fol_worker_parallel(c.caller), 50, 1, nest_twice, &r),
            0);
        for (size_t row = 0; row < 10; row++) {
            CHECK_EQ(atomic_load(&r.seen[row]), 250);
        }
        teardown(&c);
    }
}

/* A loop that can only end when several workers are in it at once. */
static int meet_in_loop(fol_parallel *self, size_t first, size_t end, void *argument)
{
    atomic_uint *arrived = argument;
    (void)self;
    (void)first;
    (void)end;
    atomic_fetch_add(arrived, 1);
    SPIN_UNTIL(atomic_load(arrived) >= 3);
    return 0;
}

static void test_a_loop_is_shared_with_sleeping_workers(void)
{
    crowd c;
    setup(&c, 3);
    for (uint32_t round = 0; round < 50; round++) {
        atomic_uint arrived = 0;
        SPIN_UNTIL(all_are_parked(c.pool));
        CHECK_EQ(fol_parallel_on_team.for_range(fol_worker_parallel(c.caller), 8, 1, meet_in_loop,
                                                &arrived),
                 0);
        CHECK_EQ(atomic_load(&arrived), 8);
    }
    teardown(&c);
}

typedef struct forked_loop {
    rows *rows;
    int status;
} forked_loop;

static void loop_in_branch(fol_parallel *self, void *argument)
{
    forked_loop *f = argument;
    f->status = fol_parallel_on_team.for_range(self, ROWS, 1, see_rows, f->rows);
}

static void test_a_loop_beside_an_unjoined_fork(void)
{
    static rows here;
    static rows there;
    crowd c;
    setup(&c, 3);
    for (uint32_t round = 0; round < 20; round++) {
        fol_branch branch;
        forked_loop f = {.rows = &there, .status = 1};
        memset(&here, 0, sizeof(here));
        memset(&there, 0, sizeof(there));
        fol_parallel *self = fol_worker_parallel(c.caller);
        fol_parallel_on_team.fork(self, &branch, loop_in_branch, &f);
        CHECK_EQ(fol_parallel_on_team.for_range(self, ROWS, 1, see_rows, &here), 0);
        fol_parallel_on_team.join(self, &branch);
        CHECK_EQ(f.status, 0);
        check_seen(&here, ROWS);
        check_seen(&there, ROWS);
    }
    teardown(&c);
}

int main(void)
{
    RUN(test_every_row_is_done_once);
    RUN(test_in_place_every_row_is_done_once);
    RUN(test_the_lowest_failure_wins_and_all_below_it_has_run);
    RUN(test_in_place_the_lowest_failure_wins);
    RUN(test_a_failure_stops_a_long_loop);
    RUN(test_loops_nest);
    RUN(test_a_loop_is_shared_with_sleeping_workers);
    RUN(test_a_loop_beside_an_unjoined_fork);
    CHECK_MAIN_END();
}
