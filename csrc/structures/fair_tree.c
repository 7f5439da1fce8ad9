/* The tree of a fair queue; fair_tree.h has the contract.
 *
 * On the way down an insertion lowers the aggregates of the nodes it passes, so that only heights
 * are left for the way up. A removal takes aggregates again from below, up to the first node that
 * stays as it was.
 */

#include "structures/fair_tree.h"

#include <stddef.h>

#include "base/assert.h"

#define NONE FOL_FAIR_TREE_NONE
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

static int32_t height_of(const fol_fair_node *nodes, uint32_t index)
{
    return index == NONE ? 0 : nodes[index].height;
}

static void take_aggregates(fol_fair_node *node, const fol_fair_node *child)
{
    node->least = is_earlier(child->least, node->least) ? child->least : node->least;
    node->shortest = child->shortest < node->shortest ? child->shortest : node->shortest;
}

/* Height and aggregates from the children. */
static void refresh(fol_fair_node *nodes, uint32_t index)
{
    fol_fair_node *node = &nodes[index];
    const int32_t left = height_of(nodes, node->left);
    const int32_t right = height_of(nodes, node->right);
    node->height = (uint8_t)((left > right ? left : right) + 1);
    node->least = node->start;
    node->shortest = node->request;
    if (node->left != NONE) {
        take_aggregates(node, &nodes[node->left]);
    }
    if (node->right != NONE) {
        take_aggregates(node, &nodes[node->right]);
    }
}

/* `with` (or nothing) stands where `index` stood below `parent`. */
static void replace_child(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t parent,
                          uint32_t index, uint32_t with)
{
    if (parent == NONE) {
        tree->root = with;
    } else if (nodes[parent].left == index) {
        nodes[parent].left = with;
    } else {
        FOL_ASSERT_HOT(nodes[parent].right == index);
        nodes[parent].right = with;
    }
    if (with != NONE) {
        nodes[with].parent = parent;
    }
}

/* The right child rises; the top of the subtree now. */
static uint32_t rotate_left(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    const uint32_t top = nodes[index].right;
    const uint32_t middle = nodes[top].left;
    replace_child(tree, nodes, nodes[index].parent, index, top);
    nodes[index].right = middle;
    if (middle != NONE) {
        nodes[middle].parent = index;
    }
    nodes[top].left = index;
    nodes[index].parent = top;
    refresh(nodes, index);
    refresh(nodes, top);
    return top;
}

static uint32_t rotate_right(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    const uint32_t top = nodes[index].left;
    const uint32_t middle = nodes[top].right;
    replace_child(tree, nodes, nodes[index].parent, index, top);
    nodes[index].left = middle;
    if (middle != NONE) {
        nodes[middle].parent = index;
    }
    nodes[top].right = index;
    nodes[index].parent = top;
    refresh(nodes, index);
    refresh(nodes, top);
    return top;
}

/* Rotates where the sides differ by two; the top of the subtree now. */
static uint32_t balance(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    const fol_fair_node *node = &nodes[index];
    const int32_t lean = height_of(nodes, node->left) - height_of(nodes, node->right);
    FOL_ASSERT_HOT(lean >= -2 && lean <= 2);
    if (lean > 1) {
        const fol_fair_node *left = &nodes[node->left];
        if (height_of(nodes, left->left) < height_of(nodes, left->right)) {
            rotate_left(tree, nodes, node->left);
        }
        return rotate_right(tree, nodes, index);
    }
    if (lean < -1) {
        const fol_fair_node *right = &nodes[node->right];
        if (height_of(nodes, right->right) < height_of(nodes, right->left)) {
            rotate_right(tree, nodes, node->right);
        }
        return rotate_left(tree, nodes, index);
    }
    return index;
}

/* Up from the parent of a new leaf, as long as subtrees have grown. */
static void grow(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    while (index != NONE) {
        fol_fair_node *node = &nodes[index];
        const int32_t left = height_of(nodes, node->left);
        const int32_t right = height_of(nodes, node->right);
        if (left - right > 1 || right - left > 1) {
            /* After an insertion one rotation gives the subtree its old height. */
            balance(tree, nodes, index);
            return;
        }
        const uint8_t height = (uint8_t)((left > right ? left : right) + 1);
        if (height == node->height) {
            return;
        }
        node->height = height;
        index = node->parent;
    }
}

void fol_fair_tree_insert(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    FOL_ASSERT_HOT(index != NONE && tree->count < NONE);
    fol_fair_node *node = &nodes[index];
    uint32_t parent = NONE;
    uint32_t below = tree->root;
    bool goes_left = false;
    while (below != NONE) {
        fol_fair_node *passed = &nodes[below];
        parent = below;
        passed->least = is_earlier(node->start, passed->least) ? node->start : passed->least;
        passed->shortest = node->request < passed->shortest ? node->request : passed->shortest;
        goes_left = fol_fair_tree_is_before(tree, nodes, index, below);
        below = goes_left ? passed->left : passed->right;
    }
    node->left = NONE;
    node->right = NONE;
    node->parent = parent;
    node->height = 1;
    node->least = node->start;
    node->shortest = node->request;
    tree->count++;
    if (parent == NONE) {
        tree->root = index;
    } else if (goes_left) {
        nodes[parent].left = index;
    } else {
        nodes[parent].right = index;
    }
    grow(tree, nodes, parent);
}

/* Up from where a node was taken, as long as something changes, and at least past `through`. */
static void shrink(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index, uint32_t through)
{
    bool must_go_on = through != NONE;
    while (index != NONE) {
        const fol_fair_node was = nodes[index];
        must_go_on = must_go_on && index != through;
        refresh(nodes, index);
        const uint32_t top = balance(tree, nodes, index);
        const fol_fair_node *is = &nodes[top];
        if (!must_go_on && is->height == was.height && is->least == was.least &&
            is->shortest == was.shortest) {
            return;
        }
        index = is->parent;
    }
}

/* The next in order stands in for a node with two children. */
static void remove_inner(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    fol_fair_node *node = &nodes[index];
    uint32_t next = node->right;
    while (nodes[next].left != NONE) {
        next = nodes[next].left;
    }
    uint32_t from = nodes[next].parent;
    if (from == index) {
        from = next;
    } else {
        replace_child(tree, nodes, from, next, nodes[next].right);
        nodes[next].right = node->right;
        nodes[node->right].parent = next;
    }
    nodes[next].left = node->left;
    nodes[node->left].parent = next;
    replace_child(tree, nodes, node->parent, index, next);
    /* What the subtree was, so that a change is noticed. */
    nodes[next].height = node->height;
    nodes[next].least = node->least;
    nodes[next].shortest = node->shortest;
    shrink(tree, nodes, from, next);
}

void fol_fair_tree_remove(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index)
{
    FOL_ASSERT_HOT(tree->count > 0);
    const fol_fair_node *node = &nodes[index];
    tree->count--;
    if (node->left != NONE && node->right != NONE) {
        remove_inner(tree, nodes, index);
    } else {
        const uint32_t parent = node->parent;
        replace_child(tree, nodes, parent, index, node->left != NONE ? node->left : node->right);
        shrink(tree, nodes, parent, NONE);
    }
}

void fol_fair_tree_restart(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index,
                           uint64_t start)
{
    FOL_ASSERT(!tree->prefers_later_start);
    nodes[index].start = start;
    while (index != NONE) {
        const uint64_t was = nodes[index].least;
        refresh(nodes, index);
        if (nodes[index].least == was) {
            return;
        }
        index = nodes[index].parent;
    }
}

uint32_t fol_fair_tree_find(const fol_fair_tree *tree, const fol_fair_node *nodes,
                            const fol_fair_average *average)
{
    uint32_t index = tree->root;
    while (index != NONE) {
        const fol_fair_node *node = &nodes[index];
        if (node->left != NONE && fol_fair_average_reaches(average, nodes[node->left].least)) {
            index = node->left;
        } else if (fol_fair_average_reaches(average, node->start)) {
            return index;
        } else {
            index = node->right;
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
        if (node->left != NONE && nodes[node->left].least == least) {
            index = node->left;
        } else if (node->start == least) {
            return index;
        } else {
            index = node->right;
        }
    }
}

static uint32_t first_below(const fol_fair_node *nodes, uint32_t index)
{
    while (index != NONE && nodes[index].left != NONE) {
        index = nodes[index].left;
    }
    return index;
}

uint32_t fol_fair_tree_first(const fol_fair_tree *tree, const fol_fair_node *nodes)
{
    return first_below(nodes, tree->root);
}

uint32_t fol_fair_tree_next(const fol_fair_node *nodes, uint32_t index)
{
    if (nodes[index].right != NONE) {
        return first_below(nodes, nodes[index].right);
    }
    uint32_t parent = nodes[index].parent;
    while (parent != NONE && nodes[parent].right == index) {
        index = parent;
        parent = nodes[index].parent;
    }
    return parent;
}

static void check_node(const fol_fair_node *nodes, uint32_t index)
{
    const fol_fair_node *node = &nodes[index];
    fol_fair_node again[1] = {*node};
    int32_t heights[2] = {height_of(nodes, node->left), height_of(nodes, node->right)};
    again->least = node->start;
    again->shortest = node->request;
    if (node->left != NONE) {
        FOL_ASSERT(nodes[node->left].parent == index);
        take_aggregates(again, &nodes[node->left]);
    }
    if (node->right != NONE) {
        FOL_ASSERT(nodes[node->right].parent == index);
        take_aggregates(again, &nodes[node->right]);
    }
    FOL_ASSERT(heights[0] - heights[1] <= 1 && heights[1] - heights[0] <= 1);
    FOL_ASSERT(node->height == (heights[0] > heights[1] ? heights[0] : heights[1]) + 1);
    FOL_ASSERT(node->height <= HEIGHT_MAX);
    FOL_ASSERT(again->least == node->least && again->shortest == node->shortest);
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
