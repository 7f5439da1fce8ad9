/* The tree of a fair queue: runnables in order of their virtual deadlines, each subtree with its
 * least start, so that the first one in order that may start by a given point is found in one walk
 * down.
 *
 * An AVL tree (Adelson-Velsky and Landis, 1962), augmented, in an array of nodes that are named by
 * their index: nothing is allocated, several trees may share an array, and the array may move.
 * Order: deadline, then (only in trees made so) the later start, then the rank if nodes have ranks,
 * then the index.
 *
 * Points in virtual time are numbers that wrap; those of one tree lie less than 2^63 apart, so that
 * the sign of a difference orders them. The same holds for the zero of the average given to find.
 *
 * A node is one cache line. Not thread-safe.
 */
#ifndef FOL_STRUCTURES_FAIR_TREE_H
#define FOL_STRUCTURES_FAIR_TREE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define FOL_FAIR_TREE_NONE  UINT32_MAX
#define FOL_FAIR_TREE_LEFT  0
#define FOL_FAIR_TREE_RIGHT 1

__extension__ typedef __int128 fol_int128;

typedef struct fol_fair_node {
    uint64_t deadline;
    uint64_t start;    /* eligible from here on */
    uint64_t least;    /* start of the subtree */
    int64_t request;   /* time that it asks for */
    int64_t shortest;  /* request of the subtree */
    uint32_t child[2]; /* FOL_FAIR_TREE_LEFT, FOL_FAIR_TREE_RIGHT */
    uint32_t parent;
    uint32_t weight;    /* the owner's */
    uint32_t remainder; /* the owner's */
    uint8_t height;     /* a leaf has 1 */
    uint8_t state;      /* the owner's */
    uint16_t flags;     /* the owner's */
} fol_fair_node;

static_assert(sizeof(fol_fair_node) == 64, "a node is one cache line");

typedef struct fol_fair_tree {
    const int64_t *ranks; /* by index; NULL: all the same. The owner's, who may set it any time */
    uint32_t root;
    uint32_t count;
    bool prefers_later_start; /* of equal deadlines */
} fol_fair_tree;

/* A weighted average: zero + sum / weight. */
typedef struct fol_fair_average {
    fol_int128 sum;  /* of weight * (point - zero) */
    uint64_t zero;   /* a point */
    uint64_t weight; /* less than 2^63 */
} fol_fair_average;

/* Whether a point is not after the average: by multiplying, so that nothing is rounded. */
static inline bool fol_fair_average_reaches(const fol_fair_average *average, uint64_t point)
{
    const int64_t ahead = (int64_t)(point - average->zero);
    return (fol_int128)ahead * (int64_t)average->weight <= average->sum;
}

void fol_fair_tree_init(fol_fair_tree *tree, bool prefers_later_start);

/* The node has its deadline, start and request, which stay as they are while it is in. */
void fol_fair_tree_insert(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index);
void fol_fair_tree_remove(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index);
/* Another start for a node that is in; not in a tree that prefers later starts. */
void fol_fair_tree_restart(fol_fair_tree *tree, fol_fair_node *nodes, uint32_t index,
                           uint64_t start);

/* The first in order whose start the average reaches, or FOL_FAIR_TREE_NONE. */
uint32_t fol_fair_tree_find(const fol_fair_tree *tree, const fol_fair_node *nodes,
                            const fol_fair_average *average);
/* The one with the least start, the first in order of those; the tree is not empty. */
uint32_t fol_fair_tree_find_least(const fol_fair_tree *tree, const fol_fair_node *nodes);
/* In the order of the tree; the nodes need not be in. */
bool fol_fair_tree_is_before(const fol_fair_tree *tree, const fol_fair_node *nodes, uint32_t a,
                             uint32_t b);

/* In order; FOL_FAIR_TREE_NONE for none. */
uint32_t fol_fair_tree_first(const fol_fair_tree *tree, const fol_fair_node *nodes);
uint32_t fol_fair_tree_next(const fol_fair_node *nodes, uint32_t index);

/* Under FOL_VERIFY. */
void fol_fair_tree_invariants(const fol_fair_tree *tree, const fol_fair_node *nodes);

#endif
