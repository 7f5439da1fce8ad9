/* The lane: the most urgent first, one drainer, and nothing forgotten. */
#include "check.h"

#include <errno.h>
#include <pthread.h>

#include "exec/lane.h"
#include "foliot/memory.h"

#define RANKS   300u
#define THREADS 4u
#define ROUNDS  200u

static void test_the_lowest_rank_comes_first(void)
{
    fol_lane lane;
    fol_lane_init(&lane);
    CHECK_EQ(fol_lane_reserve(&lane, RANKS), 0);
    fol_lane_set_count(&lane, RANKS);
    fol_lane_put(&lane, 70);
    fol_lane_put(&lane, 299);
    fol_lane_put(&lane, 3);
    CHECK(fol_lane_try_enter(&lane));
    uint32_t rank;
    CHECK(fol_lane_next(&lane, &rank) && rank == 3);
    fol_lane_put(&lane, 0);
    CHECK(fol_lane_next(&lane, &rank) && rank == 0);
    CHECK(fol_lane_next(&lane, &rank) && rank == 70);
    CHECK(fol_lane_next(&lane, &rank) && rank == 299);
    CHECK(!fol_lane_next(&lane, &rank));
    fol_lane_deinit(&lane);
}

static void test_an_empty_lane_is_not_entered(void)
{
    fol_lane lane;
    fol_lane_init(&lane);
    CHECK(!fol_lane_is_waiting(&lane));
    CHECK(!fol_lane_try_enter(&lane));
    fol_lane_deinit(&lane);
}

static void test_only_one_drains(void)
{
    fol_lane lane;
    fol_lane_init(&lane);
    CHECK_EQ(fol_lane_reserve(&lane, 2), 0);
    fol_lane_set_count(&lane, 2);
    CHECK(fol_lane_put(&lane, 0));
    CHECK(fol_lane_try_enter(&lane));
    CHECK(!fol_lane_put(&lane, 1));
    CHECK(!fol_lane_is_waiting(&lane));
    CHECK(!fol_lane_try_enter(&lane));
    uint32_t rank;
    CHECK(fol_lane_next(&lane, &rank));
    CHECK(fol_lane_next(&lane, &rank));
    CHECK(!fol_lane_next(&lane, &rank));
    CHECK(fol_lane_put(&lane, 0));
    CHECK(fol_lane_try_enter(&lane));
    CHECK(fol_lane_next(&lane, &rank));
    CHECK(!fol_lane_next(&lane, &rank));
    fol_lane_deinit(&lane);
}

static void test_no_memory_for_more_ranks_changes_nothing(void)
{
    fol_lane lane;
    fol_lane_init(&lane);
    CHECK_EQ(fol_lane_reserve(&lane, 10), 0);
    fol_memory_fail_nth(1);
    CHECK_EQ(fol_lane_reserve(&lane, 100000), -ENOMEM);
    fol_memory_fail_nth(0);
    CHECK_EQ(fol_lane_reserve(&lane, 10), 0);
    fol_lane_set_count(&lane, 10);
    fol_lane_put(&lane, 9);
    CHECK(fol_lane_is_waiting(&lane));
    fol_lane_deinit(&lane);
}

/* Threads that put ranks of their own, and drain whenever they are answerable. */
typedef struct crowd {
    fol_lane lane;
    pthread_barrier_t barrier;
    uint32_t runs[RANKS]; /* plain: the lane alone orders them */
    uint32_t total;
} crowd;

typedef struct member {
    crowd *crowd;
    uint32_t number;
} member;

static void *put_and_drain(void *argument)
{
    const member *self = argument;
    crowd *crowd = self->crowd;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&crowd->barrier);
        for (uint32_t rank = self->number; rank < RANKS; rank += THREADS) {
            if (!fol_lane_put(&crowd->lane, rank) || !fol_lane_try_enter(&crowd->lane)) {
                continue;
            }
            uint32_t next;
            while (fol_lane_next(&crowd->lane, &next)) {
                crowd->runs[next]++;
                crowd->total++;
            }
        }
    }
    return NULL;
}

static void test_whoever_puts_what_nobody_drains_sees_that_it_runs(void)
{
    static crowd crowd;
    member members[THREADS];
    pthread_t threads[THREADS];
    fol_lane_init(&crowd.lane);
    CHECK_EQ(fol_lane_reserve(&crowd.lane, RANKS), 0);
    fol_lane_set_count(&crowd.lane, RANKS);
    pthread_barrier_init(&crowd.barrier, NULL, THREADS);
    for (uint32_t i = 0; i < THREADS; i++) {
        members[i] = (member){&crowd, i};
        CHECK_EQ(pthread_create(&threads[i], NULL, put_and_drain, &members[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&crowd.barrier);
    CHECK_EQ(crowd.total, RANKS * ROUNDS);
    for (uint32_t i = 0; i < RANKS; i++) {
        CHECK_EQ(crowd.runs[i], ROUNDS);
    }
    CHECK(!fol_lane_is_waiting(&crowd.lane));
    fol_lane_deinit(&crowd.lane);
}

int main(void)
{
    RUN(test_the_lowest_rank_comes_first);
    RUN(test_an_empty_lane_is_not_entered);
    RUN(test_only_one_drains);
    RUN(test_no_memory_for_more_ranks_changes_nothing);
    RUN(test_whoever_puts_what_nobody_drains_sees_that_it_runs);
    CHECK_MAIN_END();
}
