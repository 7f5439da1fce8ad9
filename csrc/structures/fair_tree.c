/* The tree of a fair queue; fair_tree.h has the contract.
 *
 * On the way down an insertion lowers the aggregates of the nodes it passes, so that only heights
 * are left for the way up. A removal takes aggregates again from below, up to the first node that
 * stays as it was.
 */

#include "structures/fair_tree.h"

#include <stddef.h>

#include "base/assert.h"

#define NONE  FOL_FAIR_TREE_NONE
#define LEFT  FOL_FAIR_TREE_LEFT
#define RIGHT FOL_FAIR_TREE_RIGHT
/* An AVL tree of 2^32 nodes is less than 1.45 times 32 high. */
#define HEIGHT_MAX 47

static bool is_earlier(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

void fol_fair_tree_init(fol_fair_tree *tree, bool prefers_later_start)
{
    *tree = (fol_fair_tree){.root = NONE, .prefers_later_start = prefers_later_start};
}

bool fol_fair_tree_is_before(const fol_fair_tree *tree, const fol_fair_node *nodes, uint32_t a,
                             uint32_t b)
{
    const fol_fair_node *one = &nodes[a];
    const fol_fair_node *other = &nodes[b];
    if (one->deadline != other->deadline) {
        return is_earlier(one->deadline, other->deadline);
    }
    if (tree->prefers_later_start && one->start != other->start) {
        return is_earlier(other->start, one->start);
    }
    if (tree->ranks != NULL && tree->ranks[a] != tree->ranks[b]) {
        return tree->ranks[a] < tree->ranks[b];
    }
    return a < b;
}

/* The first in order of a subtree. */
static uint32_t first_below(const fol_fair_node *nodes, uint32_t index)
{
    while (index != NONE && nodes[index].child[LEFT] != NONE) {
        index = nodes[index].child[LEFT];
    }
    return index;
}

static int32_t height_of(const fol_fair_node *nodes, uint32_t index)
{
    return index == NONE ? 0 : nodes[index].height;
}

/* What a node says of its subtree. */
typedef struct summary {
    uint64_t least;
    int64_t shortest;
    int32_t height;
    int32_t lean; /* how much higher the left side is */
} summary;

static inline void take_child(summary *all, const fol_fair_node *child)
{
    all->least = is_earlier(child->least, all->least) ? child->least : all->least;
    all->shortest = child->shortest < all->shortest ? child->shortest : all->shortest;
}

/* From the children. */
static inline summary summarise(const fol_fair_node *nodes, uint32_t index)
{
    const fol_fair_node *node = &nodes[index];
    const uint32_t left = node->child[LEFT];
    const uint32_t right = node->child[RIGHT];
    summary all = {.least = node->start, .shortest = node->request};
    int32_t left_height = 0;
    int32_t right_height = 0;
    if (left != NONE) {
        left_height = nodes[left].height;
        take_child(&all, &nodes[left]);
    }
    if (right != NONE) {
        right_height = nodes[right].height;
        take_child(&all, &nodes[right]);
    }
    all.height = (left_height > right_height ? left_height : right_height) + 1;
    all.lean = left_height - right_height;
    return all;
}

static inline summary summary_of(const fol_fair_node *node)
{
    return (summary){.least = node->least, .shortest = node->shortest, .height = node->height};
}

/* From the children, one of which (or nothing) is `below` and says `known` of itself. */
static inline summary summarise_from(const fol_fair_node *nodes, uint32_t index, uint32_t below,
                                     const summary *known)
{
    const fol_fair_node *node = &nodes[index];
    const bool is_left = node->child[LEFT] == below;
    const uint32_t other = is_left ? node->child[RIGHT] : node->child[LEFT];
    summary all = {.least = node->start, .shortest = node->request};
    int32_t height = 0;
    int32_t other_height = 0;
    if (below != NONE) {
        height = known->height;
        all.least = is_earlier(known->least, all.least) ? known->least : all.least;
        all.shortest = known->shortest < all.shortest ? known->shortest : all.shortest;
    }
    if (other != NONE) {
        other_height = nodes[other].height;
        take_child(&all, &nodes[other]);
    }
    all.height = (height > other_height ? height : other_height) + 1;
    all.lean = is_left ? height - other_height : other_height - height;
    return all;
}

static inline bool is_as_noted(const fol_fair_node *node, const summary *all)
{
    return node->height == all->height && node->least == all->least &&
           node->shortest == all->shortest;
}

static inline void note(fol_fair_node *node, const summary *all)
{
    node->height = (uint8_t)all->height;
    node->least = all->least;
    node->shortest = all->shortest;
}

static void refresh(fol_fair_node *nodes, uint32_t index)
{
    const summary all = summarise(nodes, index);
    note(&nodes[index], &all);
}

/* `with` (or nothing) stands where `index` stood below `parent`. */
static void replace_child(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t parent,
                          uint32_t index, uint32_t with)
{
    if (parent == NONE) {
        tree->root = with;
    } else {
        const uint32_t side = nodes[parent].child[LEFT] == index ? LEFT : RIGHT;
        FOL_ASSERT_HOT(nodes[parent].child[side] == index);
        nodes[parent].child[side] = with;
    }
    if (with != NONE) {
        nodes[with].parent = parent;
    }
}

/* The child on the other side rises, the node sinks to this side; the top of the subtree now. */
static uint32_t rotate(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index, uint32_t side)
{
    const uint32_t other = RIGHT - side;
    const uint32_t top = nodes[index].child[other];
    const uint32_t middle = nodes[top].child[side];
    replace_child(tree, nodes, nodes[index].parent, index, top);
    nodes[index].child[other] = middle;
    if (middle != NONE) {
        nodes[middle].parent = index;
    }
    nodes[top].child[side] = index;
    nodes[index].parent = top;
    refresh(nodes, index);
    refresh(nodes, top);
    return top;
}

/* Where one side is higher by two; the top of the subtree now. */
static uint32_t balance(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index, uint32_t higher)
{
    const uint32_t child = nodes[index].child[higher];
    const uint32_t inner = nodes[child].child[RIGHT - higher];
    const uint32_t outer = nodes[child].child[higher];
    if (height_of(nodes, outer) < height_of(nodes, inner)) {
        rotate(tree, nodes, child, higher);
    }
    return rotate(tree, nodes, index, RIGHT - higher);
}

/* Up from the parent of a new leaf, which hangs on `below`, as long as subtrees have grown. */
static void grow(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index, uint32_t below)
{
    int32_t height = 1;
    while (index != NONE) {
        fol_fair_node *node = &nodes[index];
        /* The other side is as high already, so nothing grows. */
        if (node->height > height) {
            return;
        }
        const uint32_t side = node->child[LEFT] == below ? LEFT : RIGHT;
        if (height - height_of(nodes, node->child[RIGHT - side]) > 1) {
            /* After an insertion one rotation gives the subtree its old height. */
            balance(tree, nodes, index, side);
            return;
        }
        height++;
        node->height = (uint8_t)height;
        below = index;
        index = node->parent;
    }
}

void fol_fair_tree_insert(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    FOL_ASSERT_HOT(index != NONE && tree->count < NONE);
    fol_fair_node *node = &nodes[index];
    const uint64_t deadline = node->deadline;
    const uint64_t start = node->start;
    const int64_t request = node->request;
    uint32_t parent = NONE;
    uint32_t below = tree->root;
    uint32_t side = LEFT;
    while (below != NONE) {
        fol_fair_node *passed = &nodes[below];
        const int64_t after = (int64_t)(deadline - passed->deadline);
        parent = below;
        if (FOL_UNLIKELY(after == 0)) {
            side = !fol_fair_tree_is_before(tree, nodes, index, below);
            below = passed->child[side];
        } else if (after > 0) {
            side = RIGHT;
            below = passed->child[RIGHT];
        } else {
            side = LEFT;
            below = passed->child[LEFT];
        }
        passed->least = is_earlier(start, passed->least) ? start : passed->least;
        passed->shortest = request < passed->shortest ? request : passed->shortest;
    }
    node->child[LEFT] = NONE;
    node->child[RIGHT] = NONE;
    node->parent = parent;
    node->height = 1;
    node->least = start;
    node->shortest = request;
    tree->count++;
    if (parent == NONE) {
        tree->root = index;
    } else {
        nodes[parent].child[side] = index;
    }
    grow(tree, nodes, parent, index);
}

/* Up from where a node was taken, as long as something changes, and at least past `through`.
 * `below` is the child that has changed, or nothing: what it says of itself goes up in registers.
 */
static void shrink(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index, uint32_t below,
                   uint32_t through)
{
    bool must_go_on = through != NONE;
    summary all = {0};
    if (below != NONE) {
        all = summary_of(&nodes[below]);
    }
    while (index != NONE) {
        fol_fair_node *node = &nodes[index];
        all = summarise_from(nodes, index, below, &all);
        must_go_on = must_go_on && index != through;
        FOL_ASSERT_HOT(all.lean >= -2 && all.lean <= 2);
        if (FOL_LIKELY(all.lean >= -1 && all.lean <= 1)) {
            if (!must_go_on && is_as_noted(node, &all)) {
                return;
            }
            note(node, &all);
        } else {
            const summary was = summary_of(node);
            index = balance(tree, nodes, index, all.lean > 0 ? LEFT : RIGHT);
            node = &nodes[index];
            if (!must_go_on && is_as_noted(node, &was)) {
                return;
            }
            all = summary_of(node);
        }
        below = index;
        index = node->parent;
    }
}

/* The next in order stands in for a node with two children. */
static void remove_inner(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    const fol_fair_node *node = &nodes[index];
    const uint32_t left = node->child[LEFT];
    const uint32_t right = node->child[RIGHT];
    const uint32_t next = first_below(nodes, right);
    const uint32_t below = nodes[next].child[RIGHT];
    uint32_t from = nodes[next].parent;
    if (from == index) {
        from = next;
    } else {
        replace_child(tree, nodes, from, next, below);
        nodes[next].child[RIGHT] = right;
        nodes[right].parent = next;
    }
    nodes[next].child[LEFT] = left;
    nodes[left].parent = next;
    replace_child(tree, nodes, node->parent, index, next);
    /* What the subtree was, so that a change is noticed. */
    nodes[next].height = node->height;
    nodes[next].least = node->least;
    nodes[next].shortest = node->shortest;
    shrink(tree, nodes, from, below, next);
}

void fol_fair_tree_remove(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    FOL_ASSERT_HOT(tree->count > 0);
    const uint32_t left = nodes[index].child[LEFT];
    const uint32_t right = nodes[index].child[RIGHT];
    tree->count--;
    if (left != NONE && right != NONE) {
        remove_inner(tree, nodes, index);
    } else {
        const uint32_t parent = nodes[index].parent;
        const uint32_t below = left != NONE ? left : right;
        replace_child(tree, nodes, parent, index, below);
        shrink(tree, nodes, parent, below, NONE);
    }
}

void fol_fair_tree_restart(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index,
                           uint64_t start)
{
    FOL_ASSERT(!tree->prefers_later_start);
    nodes[index].start = start;
    while (index != NONE) {
        const summary all = summarise(nodes, index);
        if (nodes[index].least == all.least) {
            return;
        }
        nodes[index].least = all.least;
        index = nodes[index].parent;
    }
}

uint32_t fol_fair_tree_find(const fol_fair_tree *tree, const fol_fair_node *nodes,
                            const fol_fair_average *average)
{
    uint32_t index = tree->root;
    while (index != NONE) {
        const fol_fair_node *node = &nodes[index];
        if (node->child[LEFT] != NONE &&
            fol_fair_average_reaches(average, nodes[node->child[LEFT]].least)) {
            index = node->child[LEFT];
        } else if (fol_fair_average_reaches(average, node->start)) {
            return index;
        } else {
            index = node->child[RIGHT];
        }
    }
    return NONE;
}

uint32_t fol_fair_tree_find_least(const fol_fair_tree *tree, const fol_fair_node *nodes)
{
    FOL_ASSERT(tree->root != NONE);
    uint32_t index = tree->root;
    const uint64_t least = nodes[index].least;
    /* Ends: the subtree has the least start. */
    while (true) {
        const fol_fair_node *node = &nodes[index];
        if (node->child[LEFT] != NONE && nodes[node->child[LEFT]].least == least) {
            index = node->child[LEFT];
        } else if (node->start == least) {
            return index;
        } else {
            index = node->child[RIGHT];
        }
    }
}

uint32_t fol_fair_tree_first(const fol_fair_tree *tree, const fol_fair_node *nodes)
{
    return first_below(nodes, tree->root);
}

uint32_t fol_fair_tree_next(const fol_fair_node *nodes, uint32_t index)
{
    if (nodes[index].child[RIGHT] != NONE) {
        return first_below(nodes, nodes[index].child[RIGHT]);
    }
    uint32_t parent = nodes[index].parent;
    while (parent != NONE && nodes[parent].child[RIGHT] == index) {
        index = parent;
        parent = nodes[index].parent;
    }
    return parent;
}

static void check_node(const fol_fair_node *nodes, uint32_t index)
{
    const fol_fair_node *node = &nodes[index];
    const summary all = summarise(nodes, index);
    for (uint32_t side = LEFT; side <= RIGHT; side++) {
        FOL_ASSERT(node->child[side] == NONE || nodes[node->child[side]].parent == index);
    }
    FOL_ASSERT(all.lean >= -1 && all.lean <= 1);
    FOL_ASSERT(is_as_noted(node, &all));
    FOL_ASSERT(node->height <= HEIGHT_MAX);
}

void fol_fair_tree_invariants(const fol_fair_tree *tree, const fol_fair_node *nodes)
{
    uint32_t count = 0;
    uint32_t previous = NONE;
    uint32_t index = fol_fair_tree_first(tree, nodes);
    FOL_ASSERT(tree->root == NONE || nodes[tree->root].parent == NONE);
    while (index != NONE && count <= tree->count) {
        check_node(nodes, index);
        FOL_ASSERT(previous == NONE || fol_fair_tree_is_before(tree, nodes, previous, index));
        count++;
        previous = index;
        index = fol_fair_tree_next(nodes, index);
    }
    FOL_ASSERT(index == NONE && count == tree->count);
}
