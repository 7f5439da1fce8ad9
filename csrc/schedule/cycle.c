/* The search for a short cycle, and its sentence.
 *
 * In the graph of systems and both ends of every constrained set, a cycle without a system is one
 * of sets; one with a single system, which it leaves or enters by its own set, is a crossing; any
 * other is one of systems. The cycle with the fewest systems is told, so that the plainest cause
 * wins: breadth first from every node that may stand on one, by number of systems.
 */

#include "schedule/cycle.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/constraints.h"
#include "schedule/text.h"

/* Edges looked at before the best cycle so far is good enough: a fraction of a second. */
#define SEARCH_BUDGET ((size_t)1 << 26)

#define NAMES_HEAD 8
#define NAMES_TAIL 4
#define NAME_BYTES 64

typedef struct cycle_search {
    const fol_schedule *schedule;
    fol_constraints graph;
    uint32_t *degrees; /* edges from nodes that sorting could not place; one block with the rest */
    uint32_t *parents;
    uint32_t *now;   /* nodes of one number of systems */
    uint32_t *later; /* systems of the next */
    uint32_t *best;  /* the nodes of the cycle, in order */
    uint32_t best_count;
    uint32_t best_systems;
    size_t edges_seen;
} cycle_search;

static bool is_system(const cycle_search *s, uint32_t node)
{
    return node < s->graph.system_count;
}

/* Walks back from any node that could not be sorted: each has such a node before it, so the walk
 * ends on a cycle. */
static uint32_t find_node_on_cycle(cycle_search *s)
{
    const fol_constraints *graph = &s->graph;
    uint32_t node = FOL_NONE;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (s->degrees[i] == 0) {
            continue;
        }
        node = i;
        for (size_t k = graph->first[i]; k < graph->first[i + 1]; k++) {
            s->parents[graph->next[k]] = i;
        }
    }
    FOL_ASSERT(node != FOL_NONE);
    for (uint32_t i = 0; i < graph->node_count; i++) {
        node = s->parents[node];
    }
    return node;
}

/* Keeps the path by parents from `start` to `last`, which has an edge back to `start`. */
static void keep_cycle(cycle_search *s, uint32_t start, uint32_t last)
{
    uint32_t count = 1;
    uint32_t systems = is_system(s, start);
    for (uint32_t node = last; node != start; node = s->parents[node]) {
        count++;
        systems += is_system(s, node);
    }
    FOL_ASSERT(count <= s->graph.node_count);
    if (s->best_count != 0 &&
        (systems > s->best_systems || (systems == s->best_systems && count >= s->best_count))) {
        return;
    }
    s->best_count = count;
    s->best_systems = systems;
    for (uint32_t node = last; count > 0; node = s->parents[node]) {
        s->best[--count] = node;
    }
    FOL_ASSERT(s->best[0] == start);
}

/* Follows the edges of a node; true when one leads back to `start`. */
static bool expand(cycle_search *s, uint32_t start, uint32_t node, uint32_t *now_count,
                   uint32_t *later_count)
{
    const fol_constraints *graph = &s->graph;
    for (size_t k = graph->first[node]; k < graph->first[node + 1]; k++) {
        uint32_t to = graph->next[k];
        s->edges_seen++;
        if (to == start) {
            keep_cycle(s, start, node);
            return true;
        }
        if (s->degrees[to] != 0 && s->parents[to] == FOL_NONE) {
            s->parents[to] = node;
            if (is_system(s, to)) {
                s->later[(*later_count)++] = to;
            } else {
                s->now[(*now_count)++] = to;
            }
        }
    }
    return false;
}

static void search_from(cycle_search *s, uint32_t start)
{
    memset(s->parents, 0xff, s->graph.node_count * sizeof(*s->parents));
    s->edges_seen += s->graph.node_count;
    uint32_t now_count = 1;
    s->now[0] = start;
    /* Bounded: every node enters once. */
    while (now_count > 0) {
        uint32_t later_count = 0;
        for (uint32_t i = 0; i < now_count; i++) {
            if (expand(s, start, s->now[i], &now_count, &later_count)) {
                return;
            }
        }
        uint32_t *swapped = s->now;
        s->now = s->later;
        s->later = swapped;
        now_count = later_count;
    }
}

/* The cycle starts with its earliest registered node. */
static uint32_t earliest_place(const cycle_search *s)
{
    uint32_t place = 0;
    for (uint32_t i = 1; i < s->best_count; i++) {
        place = s->best[i] < s->best[place] ? i : place;
    }
    return place;
}

/* The set a node is an end of; nodes of sets are dealt out in pairs, entry first. */
static uint32_t set_of(const cycle_search *s, uint32_t node)
{
    for (uint32_t i = 0; i < s->schedule->catalog.sets.count; i++) {
        if (s->graph.entries[i] == node || s->graph.exits[i] == node) {
            return i;
        }
    }
    FOL_ASSERT(false);
    return FOL_NONE;
}

static bool is_entry(const cycle_search *s, uint32_t node)
{
    return !is_system(s, node) && (node - s->graph.system_count) % 2 == 0;
}

static const char *set_name(const cycle_search *s, uint32_t node)
{
    return fol_catalog_name(&s->schedule->catalog, &s->schedule->catalog.sets, set_of(s, node));
}

static const char *system_name(const cycle_search *s, uint32_t node)
{
    return fol_catalog_system_name(&s->schedule->catalog, node);
}

/* A cycle that passes through a whole set passes through each of its systems: one of them speaks
 * for the set, and the set itself only when it is empty. */
static const char *passed_name(const cycle_search *s, uint32_t entry)
{
    const fol_constraints *graph = &s->graph;
    for (size_t k = graph->first[entry]; k < graph->first[entry + 1]; k++) {
        if (is_system(s, graph->next[k])) {
            return system_name(s, graph->next[k]);
        }
    }
    return set_name(s, entry);
}

/* The name a node of the cycle is told by, or NULL. */
static const char *told_name(const cycle_search *s, uint32_t index)
{
    uint32_t node = s->best[index];
    if (is_system(s, node)) {
        return system_name(s, node);
    }
    if (!is_entry(s, node)) {
        return NULL;
    }
    if (s->best_systems == 0) {
        return set_name(s, node);
    }
    /* Followed by its own exit, an entry is passed through. */
    uint32_t following = s->best[(index + 1) % s->best_count];
    return following == node + 1 ? passed_name(s, node) : NULL;
}

static void tell_cycle(const cycle_search *s, fol_text *text)
{
    uint32_t start = earliest_place(s);
    uint32_t total = 0;
    for (uint32_t i = 0; i < s->best_count; i++) {
        total += told_name(s, i) != NULL;
    }
    FOL_ASSERT(total > 0);
    const char *first = NULL;
    uint32_t told = 0;
    for (uint32_t i = 0; i < s->best_count; i++) {
        const char *name = told_name(s, (start + i) % s->best_count);
        if (name == NULL) {
            continue;
        }
        first = first == NULL ? name : first;
        uint32_t number = told++;
        if (total <= NAMES_HEAD + NAMES_TAIL || number < NAMES_HEAD ||
            number >= total - NAMES_TAIL) {
            fol_text_add_name(text, name, NAME_BYTES);
            fol_text_add(text, " -> ");
        } else if (number == NAMES_HEAD) {
            fol_text_add(text, "... (%u more) ... -> ", total - NAMES_HEAD - NAMES_TAIL);
        }
    }
    fol_text_add_name(text, first, NAME_BYTES);
}

/* The one system of the cycle leaves or enters by a set it is in. */
static bool tell_crossing(const cycle_search *s, fol_text *text)
{
    uint32_t place = earliest_place(s);
    uint32_t system = s->best[place];
    uint32_t following = s->best[(place + 1) % s->best_count];
    uint32_t previous = s->best[(place + s->best_count - 1) % s->best_count];
    if (s->best_count == 1) {
        return false;
    }
    bool leaves_by_set = !is_entry(s, following);
    bool enters_by_set = is_entry(s, previous);
    const char *name = system_name(s, system);
    const char *first = set_name(s, following);
    const char *second = set_name(s, previous);
    if (leaves_by_set && enters_by_set) {
        fol_text_add(text, "`%s` is in both `%s` and `%s`, but `%s` is ordered before `%s`", name,
                     first, second, first, second);
    } else if (leaves_by_set) {
        fol_text_add(text, "`%s` is in `%s`, but `%s` is ordered before `%s`", name, first, first,
                     name);
    } else if (enters_by_set) {
        fol_text_add(text, "`%s` is in `%s`, but `%s` is ordered before `%s`", name, second, name,
                     second);
    }
    return leaves_by_set || enters_by_set;
}

static void tell(const cycle_search *s, fol_plan_error *error)
{
    fol_text text;
    fol_text_init(&text, error->message, sizeof(error->message));
    if (s->best_systems == 0) {
        error->kind = FOL_PLAN_SET_CYCLE;
        fol_text_add(&text, "sets form a cycle: ");
        tell_cycle(s, &text);
    } else if (s->best_systems == 1 && tell_crossing(s, &text)) {
        error->kind = FOL_PLAN_CROSSING;
    } else {
        error->kind = FOL_PLAN_CYCLE;
        fol_text_add(&text, "systems form a cycle: ");
        tell_cycle(s, &text);
        fol_text_add(&text, " (each must run before the next)");
    }
    fol_text_end(&text);
}

static void search(cycle_search *s)
{
    search_from(s, find_node_on_cycle(s));
    FOL_ASSERT(s->best_count > 0);
    for (uint32_t i = 0; i < s->graph.node_count && s->best_systems > 0; i++) {
        if (s->degrees[i] != 0 && s->edges_seen < SEARCH_BUDGET) {
            search_from(s, i);
        }
    }
}

int fol_cycle_describe(const fol_schedule *schedule, fol_plan_error *error)
{
    if (error == NULL) {
        return FOL_E_CYCLE;
    }
    int status = -ENOMEM;
    cycle_search s = {.schedule = schedule};
    if (fol_constraints_init(&s.graph, schedule, false) != FOL_OK) {
        goto fail_graph;
    }
    size_t count = s.graph.node_count;
    s.degrees = fol_alloc_array(5 * count, sizeof(*s.degrees));
    if (s.degrees == NULL) {
        goto fail_block;
    }
    s.parents = s.degrees + count;
    s.now = s.degrees + 2 * count;
    s.later = s.degrees + 3 * count;
    s.best = s.degrees + 4 * count;
    uint32_t sorted = fol_constraints_sort(&s.graph, s.degrees);
    FOL_ASSERT(sorted < s.graph.node_count);
    search(&s);
    tell(&s, error);
    status = FOL_E_CYCLE;
    fol_free(s.degrees);

fail_block:
    fol_constraints_deinit(&s.graph);
fail_graph:
    return status;
}
