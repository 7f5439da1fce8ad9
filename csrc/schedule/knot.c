/* The search for the system that opens a cycle.
 *
 * Most knots are one component, or have the earliest candidate in a source component: reaching out
 * from it in both directions proves that in a few row operations. Otherwise Kosaraju's two passes
 * find all source components in O(systems * words). Reaching out goes whichever way is cheaper at
 * each step, from the frontier outwards or from the unreached inwards (Beamer, Asanovic, Patterson,
 * Direction-Optimizing Breadth-First Search, 2012).
 */

#include "schedule/knot.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/catalog.h"

int fol_knot_init(fol_knot *knot, const fol_precedence *precedence)
{
    size_t size = precedence->after.size;
    size_t words = precedence->after.words;
    *knot = (fol_knot){.precedence = precedence};
    knot->rows = fol_alloc_array(5 * words, sizeof(*knot->rows));
    knot->blockers = fol_alloc_zeroed(4 * size, sizeof(*knot->blockers));
    if (knot->rows == NULL || knot->blockers == NULL) {
        fol_knot_deinit(knot);
        return -ENOMEM;
    }
    knot->ancestors = knot->rows;
    knot->descendants = knot->rows + words;
    knot->frontier = knot->rows + 2 * words;
    knot->fresh = knot->rows + 3 * words;
    knot->unseen = knot->rows + 4 * words;
    knot->stack = knot->blockers + size;
    knot->cursors = knot->blockers + 2 * size;
    knot->finished = knot->blockers + 3 * size;
    return FOL_OK;
}

void fol_knot_deinit(fol_knot *knot)
{
    fol_free(knot->rows);
    fol_free(knot->blockers);
    *knot = (fol_knot){0};
}

/* fresh = everything of `unseen` one step from the frontier, by way of the frontier's rows. */
static void push_step(fol_knot *knot, fol_direction direction)
{
    const fol_precedence *p = knot->precedence;
    size_t words = p->after.words;
    fol_bits_clear(knot->fresh, words);
    for (size_t i = fol_bits_next(knot->frontier, words, 0); i < p->after.size;
         i = fol_bits_next(knot->frontier, words, i + 1)) {
        for (size_t word = 0; word < words; word++) {
            knot->fresh[word] |= fol_precedence_word(p, direction, i, word);
        }
    }
    for (size_t word = 0; word < words; word++) {
        knot->fresh[word] &= knot->unseen[word];
    }
}

/* The same by way of the rows of the unseen. */
static void pull_step(fol_knot *knot, fol_direction direction)
{
    const fol_precedence *p = knot->precedence;
    size_t words = p->after.words;
    fol_direction back = direction == FOL_FORWARD ? FOL_BACKWARD : FOL_FORWARD;
    fol_bits_clear(knot->fresh, words);
    for (size_t i = fol_bits_next(knot->unseen, words, 0); i < p->after.size;
         i = fol_bits_next(knot->unseen, words, i + 1)) {
        if (fol_precedence_next(p, back, i, knot->frontier, 0) != SIZE_MAX) {
            fol_bits_set(knot->fresh, i);
        }
    }
}

/* reached = `rank` and all it reaches within `within`. */
static void reach_out(fol_knot *knot, fol_direction direction, uint32_t rank,
                      const uint64_t *within, uint64_t *reached)
{
    size_t words = knot->precedence->after.words;
    FOL_ASSERT(fol_bits_test(within, rank));
    fol_bits_clear(reached, words);
    fol_bits_clear(knot->frontier, words);
    fol_bits_copy(knot->unseen, within, words);
    fol_bits_set(knot->frontier, rank);
    size_t frontier_count = 1;
    /* Bounded: each round takes at least one system from `unseen`, or is the last. */
    while (frontier_count > 0) {
        fol_bits_or(reached, knot->frontier, words);
        fol_bits_and_not(knot->unseen, knot->frontier, words);
        if (frontier_count <= fol_bits_count(knot->unseen, words)) {
            push_step(knot, direction);
        } else {
            pull_step(knot, direction);
        }
        uint64_t *swapped = knot->frontier;
        knot->frontier = knot->fresh;
        knot->fresh = swapped;
        frontier_count = fol_bits_count(knot->frontier, words);
    }
}

/* No explicit predecessor remains. The first one only ever moves up, so that the search goes on
 * where it ended last time. */
static bool is_candidate(fol_knot *knot, const uint64_t *remaining, size_t rank)
{
    const fol_matrix *before = &knot->precedence->before;
    const uint64_t *row = fol_matrix_row(before, rank);
    uint32_t from = knot->blockers[rank];
    if (from < before->size && fol_bits_test(row, from) && fol_bits_test(remaining, from)) {
        return false;
    }
    for (size_t i = from / FOL_WORD_BITS; i < before->words; i++) {
        uint64_t word = row[i] & remaining[i];
        if (word != 0) {
            knot->blockers[rank] = (uint32_t)(i * FOL_WORD_BITS) + (uint32_t)__builtin_ctzll(word);
            return false;
        }
    }
    knot->blockers[rank] = (uint32_t)before->size;
    return true;
}

/* The earliest candidate of a row, or FOL_NONE. */
static uint32_t first_candidate(fol_knot *knot, const uint64_t *remaining, const uint64_t *row)
{
    size_t words = knot->precedence->after.words;
    size_t size = knot->precedence->after.size;
    for (size_t i = fol_bits_next(row, words, 0); i < size; i = fol_bits_next(row, words, i + 1)) {
        if (is_candidate(knot, remaining, i)) {
            return (uint32_t)i;
        }
    }
    return FOL_NONE;
}

/* Depth first from each root; `finished` gets the systems in the order of leaving them. */
static uint32_t finish_all(fol_knot *knot, const uint64_t *remaining)
{
    const fol_precedence *p = knot->precedence;
    size_t words = p->after.words;
    uint32_t count = 0;
    fol_bits_copy(knot->unseen, remaining, words);
    for (size_t root = fol_bits_next(remaining, words, 0); root < p->after.size;
         root = fol_bits_next(knot->unseen, words, root)) {
        uint32_t depth = 0;
        size_t entered = root;
        /* Bounded: each round enters a system or leaves one. */
        do {
            if (entered != SIZE_MAX) {
                fol_bits_reset(knot->unseen, entered);
                knot->cursors[entered] = 0;
                knot->stack[depth++] = (uint32_t)entered;
            } else {
                knot->finished[count++] = knot->stack[--depth];
            }
            if (depth > 0) {
                uint32_t top = knot->stack[depth - 1];
                entered =
                    fol_precedence_next(p, FOL_FORWARD, top, knot->unseen, knot->cursors[top]);
                knot->cursors[top] = entered == SIZE_MAX ? knot->cursors[top] : (uint32_t)entered;
            }
        } while (depth > 0);
    }
    return count;
}

/* Nothing of the component waits for a remaining system outside it. */
static bool is_source(const fol_knot *knot, const uint64_t *component, const uint64_t *remaining)
{
    const fol_precedence *p = knot->precedence;
    size_t words = p->after.words;
    for (size_t i = fol_bits_next(component, words, 0); i < p->after.size;
         i = fol_bits_next(component, words, i + 1)) {
        for (size_t word = 0; word < words; word++) {
            uint64_t waits = fol_precedence_word(p, FOL_BACKWARD, i, word);
            if (waits & remaining[word] & ~component[word]) {
                return false;
            }
        }
    }
    return true;
}

/* Kosaraju: in the order of leaving, backwards, what reaches a system and is not yet taken is its
 * component. */
static uint32_t open_any(fol_knot *knot, const uint64_t *remaining)
{
    size_t words = knot->precedence->after.words;
    uint32_t count = finish_all(knot, remaining);
    uint32_t best = FOL_NONE;
    uint64_t *untaken = knot->descendants;
    uint64_t *component = knot->ancestors;
    fol_bits_copy(untaken, remaining, words);
    for (uint32_t i = count; i-- > 0;) {
        uint32_t root = knot->finished[i];
        if (!fol_bits_test(untaken, root)) {
            continue;
        }
        reach_out(knot, FOL_BACKWARD, root, untaken, component);
        fol_bits_and_not(untaken, component, words);
        if (is_source(knot, component, remaining)) {
            uint32_t candidate = first_candidate(knot, remaining, component);
            best = candidate < best ? candidate : best;
        }
    }
    return best;
}

uint32_t fol_knot_open(fol_knot *knot, const uint64_t *remaining)
{
    size_t words = knot->precedence->after.words;
    uint32_t first = first_candidate(knot, remaining, remaining);
    FOL_ASSERT(first != FOL_NONE);
    reach_out(knot, FOL_BACKWARD, first, remaining, knot->ancestors);
    reach_out(knot, FOL_FORWARD, first, remaining, knot->descendants);
    uint32_t opened = first;
    if (!fol_bits_contain(knot->descendants, knot->ancestors, words)) {
        opened = open_any(knot, remaining);
    }
    FOL_ASSERT(opened != FOL_NONE);
    return opened;
}
