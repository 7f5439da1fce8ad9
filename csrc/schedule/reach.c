/* Breadth first in both directions of travel, and depth first without recursion.
 *
 * Reaching out goes whichever way is cheaper at each step, from the frontier outwards or from the
 * unreached inwards (Beamer, Asanovic, Patterson, Direction-Optimizing Breadth-First Search, 2012).
 */

#include "schedule/reach.h"

#include <errno.h>

#include "base/memory.h"
#include "foliot/status.h"

int fol_reach_init(fol_reach *reach, const fol_precedence *precedence)
{
    size_t size = precedence->after.size;
    size_t words = precedence->after.words;
    *reach = (fol_reach){.precedence = precedence};
    reach->rows = fol_alloc_array(3 * words, sizeof(*reach->rows));
    reach->stack = fol_alloc_array(3 * size, sizeof(*reach->stack));
    if (reach->rows == NULL || reach->stack == NULL) {
        fol_reach_deinit(reach);
        return -ENOMEM;
    }
    reach->frontier = reach->rows;
    reach->fresh = reach->rows + words;
    reach->unseen = reach->rows + 2 * words;
    reach->cursors = reach->stack + size;
    reach->finished = reach->stack + 2 * size;
    return FOL_OK;
}

void fol_reach_deinit(fol_reach *reach)
{
    fol_free(reach->rows);
    fol_free(reach->stack);
    *reach = (fol_reach){0};
}

/* fresh = everything of `unseen` one step from the frontier, by way of the frontier's rows. */
static void push_step(fol_reach *reach, fol_direction direction)
{
    const fol_precedence *p = reach->precedence;
    size_t words = p->after.words;
    fol_bits_clear(reach->fresh, words);
    for (size_t i = fol_bits_next(reach->frontier, words, 0); i < p->after.size;
         i = fol_bits_next(reach->frontier, words, i + 1)) {
        for (size_t word = 0; word < words; word++) {
            reach->fresh[word] |= fol_precedence_word(p, direction, i, word);
        }
    }
    for (size_t word = 0; word < words; word++) {
        reach->fresh[word] &= reach->unseen[word];
    }
}

/* The same by way of the rows of the unseen. */
static void pull_step(fol_reach *reach, fol_direction direction)
{
    const fol_precedence *p = reach->precedence;
    size_t words = p->after.words;
    fol_direction back = direction == FOL_FORWARD ? FOL_BACKWARD : FOL_FORWARD;
    fol_bits_clear(reach->fresh, words);
    for (size_t i = fol_bits_next(reach->unseen, words, 0); i < p->after.size;
         i = fol_bits_next(reach->unseen, words, i + 1)) {
        if (fol_precedence_next(p, back, i, reach->frontier, 0) != SIZE_MAX) {
            fol_bits_set(reach->fresh, i);
        }
    }
}

void fol_reach_out(fol_reach *reach, fol_direction direction, uint32_t rank, const uint64_t *within,
                   uint64_t *reached)
{
    size_t words = reach->precedence->after.words;
    FOL_ASSERT(fol_bits_test(within, rank));
    fol_bits_clear(reached, words);
    fol_bits_clear(reach->frontier, words);
    fol_bits_copy(reach->unseen, within, words);
    fol_bits_set(reach->frontier, rank);
    size_t frontier_count = 1;
    /* Bounded: each round takes at least one system from `unseen`, or is the last. */
    while (frontier_count > 0) {
        fol_bits_or(reached, reach->frontier, words);
        fol_bits_and_not(reach->unseen, reach->frontier, words);
        if (frontier_count <= fol_bits_count(reach->unseen, words)) {
            push_step(reach, direction);
        } else {
            pull_step(reach, direction);
        }
        uint64_t *swapped = reach->frontier;
        reach->frontier = reach->fresh;
        reach->fresh = swapped;
        frontier_count = fol_bits_count(reach->frontier, words);
    }
}

uint32_t fol_reach_finish(fol_reach *reach, const uint64_t *within)
{
    const fol_precedence *p = reach->precedence;
    size_t words = p->after.words;
    uint32_t count = 0;
    fol_bits_copy(reach->unseen, within, words);
    for (size_t root = fol_bits_next(within, words, 0); root < p->after.size;
         root = fol_bits_next(reach->unseen, words, root)) {
        uint32_t depth = 0;
        size_t entered = root;
        /* Bounded: each round enters a system or leaves one. */
        do {
            if (entered != SIZE_MAX) {
                fol_bits_reset(reach->unseen, entered);
                reach->cursors[entered] = 0;
                reach->stack[depth++] = (uint32_t)entered;
            } else {
                reach->finished[count++] = reach->stack[--depth];
            }
            if (depth > 0) {
                uint32_t top = reach->stack[depth - 1];
                entered =
                    fol_precedence_next(p, FOL_FORWARD, top, reach->unseen, reach->cursors[top]);
                reach->cursors[top] = entered == SIZE_MAX ? 0 : (uint32_t)entered;
            }
        } while (depth > 0);
    }
    return count;
}
