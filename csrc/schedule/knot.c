/* The search for the system that opens a cycle.
 *
 * A first search finds the source components in O(systems * words) and grows the forest. From one
 * knot to the next only a few systems go; what hung under them is hung elsewhere, which costs a
 * few words each, and the forest answers again. What cannot be hung waits for nothing else: only
 * its components are searched anew.
 */

#include "schedule/knot.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/catalog.h"

/* Rounds of hanging loose systems elsewhere before growing the whole forest anew is cheaper. */
#define REPAIR_ROUNDS 8

int fol_knot_init(fol_knot *knot, const fol_precedence *precedence)
{
    size_t size = precedence->after.size;
    size_t words = precedence->after.words;
    *knot = (fol_knot){.precedence = precedence};
    int status = fol_reach_init(&knot->reach, precedence);
    knot->attached = fol_alloc_array(5 * words, sizeof(*knot->attached));
    knot->blockers = fol_alloc_zeroed(7 * size, sizeof(*knot->blockers));
    if (status != FOL_OK || knot->attached == NULL || knot->blockers == NULL) {
        fol_knot_deinit(knot);
        return -ENOMEM;
    }
    knot->loose = knot->attached + words;
    knot->members = knot->attached + 2 * words;
    knot->scratch = knot->attached + 3 * words;
    knot->untaken = knot->attached + 4 * words;
    knot->hubs = knot->blockers + size;
    knot->children = knot->blockers + 2 * size;
    knot->siblings = knot->blockers + 3 * size;
    knot->gone = knot->blockers + 4 * size;
    knot->queue = knot->blockers + 5 * size;
    knot->hints = knot->blockers + 6 * size;
    for (uint32_t i = 0; i < size; i++) {
        knot->hints[i] = i;
    }
    return FOL_OK;
}

void fol_knot_deinit(fol_knot *knot)
{
    fol_reach_deinit(&knot->reach);
    fol_free(knot->attached);
    fol_free(knot->blockers);
    *knot = (fol_knot){0};
}

void fol_knot_forget(fol_knot *knot, uint32_t rank)
{
    if (knot->has_forest) {
        FOL_ASSERT(knot->gone_count < knot->precedence->after.size);
        knot->gone[knot->gone_count++] = rank;
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

static void attach(fol_knot *knot, uint32_t parent, uint32_t rank)
{
    fol_bits_set(knot->attached, rank);
    knot->siblings[rank] = knot->children[parent];
    knot->children[parent] = rank;
}

/* Something of the component waits for a remaining system outside it, or its hub: the member that
 * most systems still stand before, for it will stay longest. */
static bool find_hub(const fol_knot *knot, const uint64_t *component, const uint64_t *remaining,
                     uint32_t *hub)
{
    const fol_precedence *p = knot->precedence;
    size_t words = p->after.words;
    size_t most = 0;
    for (size_t i = fol_bits_next(component, words, 0); i < p->after.size;
         i = fol_bits_next(component, words, i + 1)) {
        size_t waits = 0;
        for (size_t word = 0; word < words; word++) {
            uint64_t row = fol_precedence_word(p, FOL_BACKWARD, i, word) & remaining[word];
            if (row & ~component[word]) {
                return false;
            }
            waits += (size_t)__builtin_popcountll(row);
        }
        if (waits > most) {
            most = waits;
            *hub = (uint32_t)i;
        }
    }
    FOL_ASSERT(most > 0);
    return true;
}

/* Points every member of a component along a shortest way to its hub, breadth first against the
 * direction of the precedence; the row is used up. */
static void point_to_hub(fol_knot *knot, uint64_t *component, uint32_t hub)
{
    const fol_precedence *p = knot->precedence;
    uint32_t *queue = knot->reach.stack;
    uint32_t queued = 1;
    queue[0] = hub;
    fol_bits_reset(component, hub);
    for (uint32_t i = 0; i < queued; i++) {
        for (size_t word = 0; word < p->after.words; word++) {
            uint64_t rest = fol_precedence_word(p, FOL_BACKWARD, queue[i], word) & component[word];
            component[word] &= ~rest;
            /* At most 64 rounds: each takes one bit. */
            for (; rest != 0; rest &= rest - 1) {
                uint32_t rank = (uint32_t)(word * FOL_WORD_BITS);
                rank += (uint32_t)__builtin_ctzll(rest);
                knot->hints[rank] = queue[i];
                knot->hubs[rank] = hub;
                queue[queued++] = rank;
            }
        }
    }
    knot->hubs[hub] = hub;
}

/* Finds the source components of `within`, which waits for nothing outside itself: their members,
 * and their hubs, which start the queue. */
static uint32_t find_sources(fol_knot *knot, const uint64_t *within)
{
    size_t words = knot->precedence->after.words;
    uint32_t queued = 0;
    uint32_t count = fol_reach_finish(&knot->reach, within);
    fol_bits_and_not(knot->members, within, words);
    fol_bits_copy(knot->untaken, within, words);
    for (uint32_t i = count; i-- > 0;) {
        uint32_t root = knot->reach.finished[i];
        uint32_t hub;
        if (!fol_bits_test(knot->untaken, root)) {
            continue;
        }
        uint64_t *component = knot->scratch;
        fol_reach_out(&knot->reach, FOL_BACKWARD, root, knot->untaken, component);
        fol_bits_and_not(knot->untaken, component, words);
        if (!find_hub(knot, component, within, &hub)) {
            continue;
        }
        fol_bits_or(knot->members, component, words);
        point_to_hub(knot, component, hub);
        knot->queue[queued++] = hub;
    }
    FOL_ASSERT(queued > 0);
    return queued;
}

/* Grows a tree from every new hub, breadth first, until all of `within` hangs in one. */
static void grow(fol_knot *knot, const uint64_t *within)
{
    const fol_precedence *p = knot->precedence;
    size_t words = p->after.words;
    uint32_t queued = find_sources(knot, within);
    for (uint32_t i = 0; i < queued; i++) {
        fol_bits_set(knot->attached, knot->queue[i]);
    }
    for (uint32_t i = 0; i < queued; i++) {
        uint32_t parent = knot->queue[i];
        for (size_t word = 0; word < words; word++) {
            uint64_t rest = fol_precedence_word(p, FOL_FORWARD, parent, word) & within[word];
            rest &= ~knot->attached[word];
            /* At most 64 rounds: each takes one bit. */
            for (; rest != 0; rest &= rest - 1) {
                uint32_t rank = (uint32_t)(word * FOL_WORD_BITS);
                rank += (uint32_t)__builtin_ctzll(rest);
                attach(knot, parent, rank);
                knot->queue[queued++] = rank;
            }
        }
    }
    FOL_ASSERT(queued == fol_bits_count(within, words));
}

static void grow_all(fol_knot *knot, const uint64_t *remaining)
{
    size_t words = knot->precedence->after.words;
    memset(knot->children, 0xff, knot->precedence->after.size * sizeof(*knot->children));
    fol_bits_clear(knot->attached, words);
    fol_bits_clear(knot->members, words);
    grow(knot, remaining);
    knot->has_forest = true;
    knot->gone_count = 0;
}

/* Takes down all that hangs under the first `queued` of the queue, which do not hang themselves. */
static void take_down(fol_knot *knot, uint32_t queued, const uint64_t *remaining)
{
    for (uint32_t i = 0; i < queued; i++) {
        uint32_t parent = knot->queue[i];
        for (uint32_t child = knot->children[parent]; child != FOL_NONE;
             child = knot->siblings[child]) {
            /* One that has gone stays in the list it was in. */
            if (fol_bits_test(remaining, child)) {
                fol_bits_set(knot->loose, child);
                fol_bits_reset(knot->attached, child);
                knot->queue[queued++] = child;
            }
        }
        knot->children[parent] = FOL_NONE;
    }
}

/* Hangs loose systems under others they wait for, until no other one can be. False when that takes
 * too many rounds. */
static bool hang_loose(fol_knot *knot)
{
    const fol_precedence *p = knot->precedence;
    size_t words = p->after.words;
    for (int round = 0; round < REPAIR_ROUNDS; round++) {
        bool is_done = true;
        for (size_t i = fol_bits_next(knot->loose, words, 0); i < p->after.size;
             i = fol_bits_next(knot->loose, words, i + 1)) {
            size_t parent = fol_precedence_next(p, FOL_BACKWARD, i, knot->attached, 0);
            if (parent != SIZE_MAX) {
                fol_bits_reset(knot->loose, i);
                attach(knot, (uint32_t)parent, (uint32_t)i);
                is_done = false;
            }
        }
        if (is_done) {
            return true;
        }
    }
    return false;
}

/* A hub that no longer reaches all members of its component: it may be a source no more. */
static uint32_t find_broken_hub(const fol_knot *knot)
{
    size_t words = knot->precedence->after.words;
    for (size_t i = 0; i < words; i++) {
        /* At most 64 rounds: each takes one bit. */
        for (uint64_t rest = knot->loose[i] & knot->members[i]; rest != 0; rest &= rest - 1) {
            uint32_t hub = knot->hubs[i * FOL_WORD_BITS + (size_t)__builtin_ctzll(rest)];
            if (fol_bits_test(knot->attached, hub)) {
                return hub;
            }
        }
    }
    return FOL_NONE;
}

/* Restores the invariant after systems have gone. False when growing all anew is cheaper. */
static bool repair(fol_knot *knot, const uint64_t *remaining)
{
    size_t words = knot->precedence->after.words;
    memcpy(knot->queue, knot->gone, knot->gone_count * sizeof(*knot->gone));
    fol_bits_clear(knot->loose, words);
    for (size_t i = 0; i < words; i++) {
        knot->attached[i] &= remaining[i];
        knot->members[i] &= remaining[i];
    }
    take_down(knot, knot->gone_count, remaining);
    knot->gone_count = 0;
    /* Bounded: each round takes down a hub, and none becomes one here. */
    for (;;) {
        if (!hang_loose(knot)) {
            return false;
        }
        uint32_t hub = find_broken_hub(knot);
        if (hub == FOL_NONE) {
            break;
        }
        fol_bits_reset(knot->attached, hub);
        fol_bits_set(knot->loose, hub);
        knot->queue[0] = hub;
        take_down(knot, 1, remaining);
    }
    /* What is loose still waits for loose systems only. */
    if (fol_bits_next(knot->loose, words, 0) < knot->precedence->after.size) {
        grow(knot, knot->loose);
    }
    return true;
}

/* The successor to try next on the way to the hub: the hub, the one that led there, any other not
 * yet tried; SIZE_MAX when there is none. */
static size_t next_step(const fol_knot *knot, uint32_t rank, uint32_t hub, const uint64_t *untried)
{
    const fol_precedence *p = knot->precedence;
    uint64_t word = fol_precedence_word(p, FOL_FORWARD, rank, hub / FOL_WORD_BITS);
    if ((word >> (hub % FOL_WORD_BITS)) & 1u) {
        return hub;
    }
    uint32_t hint = knot->hints[rank];
    return fol_bits_test(untried, hint) ? hint
                                        : fol_precedence_next(p, FOL_FORWARD, rank, untried, 0);
}

/* Walks depth first along what led to the hub before. Members that turn out not to reach it are
 * members no more: paths only go, so they never will. */
static bool reaches_hub(fol_knot *knot, uint32_t rank)
{
    size_t words = knot->precedence->after.words;
    uint64_t *untried = knot->scratch;
    uint32_t *stack = knot->queue;
    uint32_t hub = knot->hubs[rank];
    uint32_t depth = 1;
    fol_bits_copy(untried, knot->members, words);
    fol_bits_reset(untried, rank);
    stack[0] = rank;
    /* Bounded: each round tries a member or leaves one. */
    while (depth > 0 && stack[depth - 1] != hub) {
        size_t step = next_step(knot, stack[depth - 1], hub, untried);
        if (step == SIZE_MAX) {
            depth--;
        } else {
            knot->hints[stack[depth - 1]] = (uint32_t)step;
            fol_bits_reset(untried, step);
            stack[depth++] = (uint32_t)step;
        }
    }
    if (depth == 0) {
        fol_bits_copy(knot->members, untried, words);
    }
    return depth > 0;
}

/* The earliest candidate that still is in its component, or FOL_NONE. */
static uint32_t find_earliest(fol_knot *knot, const uint64_t *remaining)
{
    size_t words = knot->precedence->after.words;
    size_t size = knot->precedence->after.size;
    for (size_t i = fol_bits_next(knot->members, words, 0); i < size;
         i = fol_bits_next(knot->members, words, i + 1)) {
        if (!is_candidate(knot, remaining, i)) {
            continue;
        }
        if (reaches_hub(knot, (uint32_t)i)) {
            return (uint32_t)i;
        }
    }
    return FOL_NONE;
}

uint32_t fol_knot_open(fol_knot *knot, const uint64_t *remaining)
{
    if (!knot->has_forest || !repair(knot, remaining)) {
        grow_all(knot, remaining);
    }
    uint32_t opened = find_earliest(knot, remaining);
    FOL_ASSERT(opened != FOL_NONE);
    return opened;
}
