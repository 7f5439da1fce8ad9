/* The tree of a fair queue, against a look at every node. */

#include "base/assert.h"
#include "check.h"
#include "draw.h"
#include "structures/fair_tree.h"

#define NODES 300u
#define NONE  FOL_FAIR_TREE_NONE

static fol_fair_node nodes[NODES];
static bool is_in[NODES];
static int64_t ranks[NODES];

static uint32_t look_for_eligible(const fol_fair_tree *tree, const fol_fair_average *average)
{
    uint32_t best = NONE;
    for (uint32_t i = 0; i < NODES; i++) {
        if (is_in[i] && fol_fair_average_reaches(average, nodes[i].start) &&
            (best == NONE || fol_fair_tree_is_before(tree, nodes, i, best))) {
            best = i;
        }
    }
    return best;
}

static uint32_t look_for_least(const fol_fair_tree *tree)
{
    uint32_t best = NONE;
    for (uint32_t i = 0; i < NODES; i++) {
        if (!is_in[i]) {
            continue;
        }
        const int64_t by = best == NONE ? -1 : (int64_t)(nodes[i].start - nodes[best].start);
        if (by < 0 || (by == 0 && fol_fair_tree_is_before(tree, nodes, i, best))) {
            best = i;
        }
    }
    return best;
}

static void compare(const fol_fair_tree *tree, uint64_t *random, uint64_t base)
{
    const fol_fair_average average = {
        .sum = (fol_int128)draw_below(random, 130) * 3, .zero = base, .weight = 3};
    CHECK_EQ(fol_fair_tree_find(tree, nodes, &average), look_for_eligible(tree, &average));
    if (tree->count > 0) {
        CHECK_EQ(fol_fair_tree_find_least(tree, nodes), look_for_least(tree));
    }
}

static void run_steps(uint64_t seed, bool prefers_later_start, bool has_ranks)
{
    uint64_t random = seed;
    /* Some bases wrap. */
    const uint64_t base = seed % 3 == 0 ? UINT64_MAX - 60 : draw(&random);
    const uint32_t kinds = prefers_later_start ? 2 : 3;
    fol_fair_tree tree;
    fol_fair_tree_init(&tree, prefers_later_start);
    tree.ranks = has_ranks ? ranks : NULL;
    memset(is_in, 0, sizeof(is_in));
    for (uint32_t i = 0; i < NODES; i++) {
        ranks[i] = draw_below(&random, 10);
    }
    const uint32_t width = 1 + draw_below(&random, NODES);
    for (uint32_t step = 0; step < 4000 && check_failures == 0; step++) {
        const uint32_t i = draw_below(&random, width);
        if (!is_in[i]) {
            nodes[i] = (fol_fair_node){.deadline = base + draw_below(&random, 60),
                                       .start = base + draw_below(&random, 120),
                                       .request = 1 + draw_below(&random, 9)};
            fol_fair_tree_insert(&tree, nodes, i);
            is_in[i] = true;
        } else if (draw_below(&random, kinds) < 2) {
            fol_fair_tree_remove(&tree, nodes, i);
            is_in[i] = false;
        } else {
            fol_fair_tree_restart(&tree, nodes, i, base + draw_below(&random, 120));
        }
        FOL_CHECK_INVARIANTS(fol_fair_tree_invariants(&tree, nodes));
        compare(&tree, &random, base);
    }
    if (check_failures != 0) {
        fprintf(stderr, "seed %" PRIu64 "\n", seed);
    }
}

static void test_what_is_found_is_what_a_look_at_all_finds(void)
{
    const uint64_t rounds = setting("FOLIOT_STRESS", 0) != 0 ? 1000 : 12;
    for (uint64_t seed = 1; seed <= rounds; seed++) {
        run_steps(seed, seed % 2 == 0, seed % 4 < 2);
    }
}

static void test_an_empty_tree_finds_nothing(void)
{
    const fol_fair_average average = {.weight = 1};
    fol_fair_tree tree;
    fol_fair_tree_init(&tree, false);
    CHECK_EQ(fol_fair_tree_find(&tree, nodes, &average), NONE);
    CHECK_EQ(fol_fair_tree_first(&tree, nodes), NONE);
    fol_fair_tree_invariants(&tree, nodes);
}

static void test_the_order_is_deadline_then_rank_then_index(void)
{
    static const int64_t by_hand[] = {5, 4, 4, 9};
    fol_fair_tree tree;
    fol_fair_tree_init(&tree, false);
    tree.ranks = by_hand;
    for (uint32_t i = 0; i < 4; i++) {
        nodes[i] = (fol_fair_node){.deadline = i == 3 ? 1 : 2, .request = 1};
        fol_fair_tree_insert(&tree, nodes, i);
    }
    static const uint32_t order[] = {3, 1, 2, 0};
    uint32_t index = fol_fair_tree_first(&tree, nodes);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(index, order[i]);
        index = fol_fair_tree_next(nodes, index);
    }
    CHECK_EQ(index, NONE);
}

static void test_a_later_start_goes_first_where_it_is_preferred(void)
{
    fol_fair_tree tree;
    fol_fair_tree_init(&tree, true);
    nodes[0] = (fol_fair_node){.deadline = 4, .start = 0, .request = 1};
    nodes[1] = (fol_fair_node){.deadline = 4, .start = 2, .request = 1};
    fol_fair_tree_insert(&tree, nodes, 0);
    fol_fair_tree_insert(&tree, nodes, 1);
    CHECK_EQ(fol_fair_tree_first(&tree, nodes), 1);
}

int main(void)
{
    RUN(test_an_empty_tree_finds_nothing);
    RUN(test_the_order_is_deadline_then_rank_then_index);
    RUN(test_a_later_start_goes_first_where_it_is_preferred);
    RUN(test_what_is_found_is_what_a_look_at_all_finds);
    CHECK_MAIN_END();
}
