/* The indexed heap: by hand, and against an array that is searched. */

#include "check.h"
#include "draw.h"
#include "structures/heap.h"

#define IDS    200
#define STEPS  20000
#define ROUNDS 20

typedef struct fixture {
    fol_heap heap;
    fol_heap_node nodes[IDS];
    uint32_t places[IDS];
} fixture;

static void start(fixture *self)
{
    for (uint32_t id = 0; id < IDS; id++) {
        self->places[id] = FOL_HEAP_NOWHERE;
    }
    fol_heap_init(&self->heap, self->nodes, IDS, self->places);
}

static void test_an_empty_heap_has_no_first(void)
{
    fixture self;
    start(&self);
    CHECK(fol_heap_first(&self.heap) == NULL);
    CHECK(!fol_heap_holds(&self.heap, 0));
    CHECK(fol_heap_invariants(&self.heap));
}

static void test_equal_ranks_leave_in_the_order_of_ids(void)
{
    fixture self;
    start(&self);
    for (uint32_t id = IDS; id-- > 0;) {
        fol_heap_push(&self.heap, 7, id);
    }
    for (uint32_t id = 0; id < IDS; id++) {
        CHECK_EQ(fol_heap_pop(&self.heap).id, id);
    }
}

static void test_extreme_ranks_are_ordered(void)
{
    fixture self;
    start(&self);
    fol_heap_push(&self.heap, INT64_MAX, 0);
    fol_heap_push(&self.heap, INT64_MIN, 1);
    fol_heap_push(&self.heap, 0, 2);
    CHECK_EQ(fol_heap_pop(&self.heap).id, 1);
    CHECK_EQ(fol_heap_pop(&self.heap).id, 2);
    CHECK_EQ(fol_heap_pop(&self.heap).id, 0);
}

static void test_heaps_that_share_places_hold_each_id_in_one(void)
{
    fixture self;
    fol_heap other;
    fol_heap_node nodes[IDS];
    start(&self);
    fol_heap_init(&other, nodes, IDS, self.places);
    fol_heap_push(&self.heap, 1, 4);
    fol_heap_push(&other, 1, 5);
    CHECK(fol_heap_holds(&self.heap, 4) && !fol_heap_holds(&other, 4));
    CHECK(fol_heap_holds(&other, 5) && !fol_heap_holds(&self.heap, 5));
}

static void test_invariants_see_a_wrong_order(void)
{
    fixture self;
    start(&self);
    fol_heap_push(&self.heap, 1, 0);
    fol_heap_push(&self.heap, 2, 1);
    self.nodes[1].rank = 0;
    CHECK(!fol_heap_invariants(&self.heap));
}

static uint32_t least_of(const int64_t *ranks, const uint8_t *is_in)
{
    uint32_t least = IDS;
    for (uint32_t id = 0; id < IDS; id++) {
        if (is_in[id] && (least == IDS || ranks[id] < ranks[least])) {
            least = id;
        }
    }
    return least;
}

/* One random call on both; false: they differ. */
static int step(fixture *self, int64_t *ranks, uint8_t *is_in, uint64_t *seed)
{
    uint32_t id = draw_below(seed, IDS);
    int64_t rank = (int64_t)draw_below(seed, 50) - 25;
    uint32_t kind = draw_below(seed, 4);
    if (!is_in[id]) {
        fol_heap_push(&self->heap, rank, id);
        is_in[id] = 1;
        ranks[id] = rank;
    } else if (kind == 0) {
        fol_heap_remove(&self->heap, id);
        is_in[id] = 0;
    } else if (kind == 1) {
        fol_heap_update(&self->heap, rank, id);
        ranks[id] = rank;
    } else {
        id = fol_heap_pop(&self->heap).id;
        if (!CHECK_EQ(id, least_of(ranks, is_in))) {
            return 0;
        }
        is_in[id] = 0;
    }
    const fol_heap_node *first = fol_heap_first(&self->heap);
    uint32_t least = least_of(ranks, is_in);
    return CHECK_EQ(first == NULL ? IDS : first->id, least) &&
           CHECK(fol_heap_invariants(&self->heap));
}

static void test_random_calls_agree_with_a_searched_array(void)
{
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        static fixture self;
        int64_t ranks[IDS] = {0};
        uint8_t is_in[IDS] = {0};
        uint64_t seed = round;
        start(&self);
        uint32_t steps = setting("FOLIOT_STRESS", 0) != 0 ? STEPS * 10 : STEPS / 10;
        for (uint32_t i = 0; i < steps; i++) {
            if (!step(&self, ranks, is_in, &seed)) {
                fprintf(stderr, "seed %llu, step %u\n", (unsigned long long)round, i);
                return;
            }
        }
    }
}

int main(void)
{
    RUN(test_an_empty_heap_has_no_first);
    RUN(test_equal_ranks_leave_in_the_order_of_ids);
    RUN(test_extreme_ranks_are_ordered);
    RUN(test_heaps_that_share_places_hold_each_id_in_one);
    RUN(test_invariants_see_a_wrong_order);
    RUN(test_random_calls_agree_with_a_searched_array);
    CHECK_MAIN_END();
}
