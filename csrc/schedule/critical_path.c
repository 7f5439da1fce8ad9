/* The longest chain of a plan by measured costs.
 *
 * Merges and phases are barriers: everything before one ends before anything after it starts. So
 * the longest chain is, stretch by stretch, the longest chain of the graph within the stretch.
 */

#include "foliot/schedule.h"

#include <errno.h>
#include <math.h>

#include "base/memory.h"
#include "foliot/status.h"
#include "schedule/plan_state.h"

/* Scratch, an item a system. */
typedef struct chain_search {
    const double *costs;
    double *finishes; /* when it ends after the start of its stretch; before its turn: starts */
    uint32_t *causes; /* the predecessor it starts after, or FOL_NONE */
    uint32_t *sorted; /* systems of a phase by (segment, place) */
    uint32_t *cursors;
} chain_search;

static bool costs_are_valid(const fol_plan *plan, const double *costs)
{
    for (uint32_t i = 0; i < plan->system_count; i++) {
        if (!isfinite(costs[i]) || costs[i] < 0) {
            return false;
        }
    }
    return true;
}

static void sort_by_segment(const fol_plan *plan, const fol_phase_plan *phase, chain_search *s)
{
    for (uint32_t i = 0; i <= phase->segment_count; i++) {
        s->cursors[i] = 0;
    }
    for (uint32_t place = 0; place < phase->count; place++) {
        s->cursors[plan->segments[fol_plan_system_at(plan, phase, place)] + 1]++;
    }
    for (uint32_t i = 0; i < phase->segment_count; i++) {
        s->cursors[i + 1] += s->cursors[i];
    }
    for (uint32_t place = 0; place < phase->count; place++) {
        uint32_t system = fol_plan_system_at(plan, phase, place);
        s->sorted[s->cursors[plan->segments[system]]++] = system;
    }
}

/* Ends a system and lets its successors of the same stretch start no earlier. */
static void finish(const fol_plan *plan, chain_search *s, uint32_t system)
{
    s->finishes[system] += s->costs[system];
    const uint32_t *successors = plan->successors + plan->successor_firsts[system];
    for (uint32_t k = 0; k < plan->successor_counts[system]; k++) {
        uint32_t after = successors[k];
        if (plan->segments[after] == plan->segments[system] &&
            (s->causes[after] == FOL_NONE || s->finishes[after] < s->finishes[system])) {
            s->finishes[after] = s->finishes[system];
            s->causes[after] = system;
        }
    }
}

/* Appends the chain that ends in `last`. */
static void append_chain(const chain_search *s, uint32_t last, uint32_t *path, size_t *path_count)
{
    size_t length = 0;
    for (uint32_t i = last; i != FOL_NONE; i = s->causes[i]) {
        length++;
    }
    *path_count += length;
    size_t end = *path_count;
    for (uint32_t i = last; i != FOL_NONE; i = s->causes[i]) {
        path[--end] = i;
    }
}

/* Seconds of the phase's longest chain, which is appended to the path unless that is NULL. */
static double search_phase(const fol_plan *plan, const fol_phase_plan *phase, chain_search *s,
                           uint32_t *path, size_t *path_count)
{
    double seconds = 0;
    sort_by_segment(plan, phase, s);
    uint32_t last = FOL_NONE; /* of the stretch so far: the system that ends last */
    for (uint32_t i = 0; i < phase->count; i++) {
        uint32_t system = s->sorted[i];
        finish(plan, s, system);
        if (last == FOL_NONE || s->finishes[system] > s->finishes[last]) {
            last = system;
        }
        bool ends_stretch =
            i + 1 == phase->count || plan->segments[s->sorted[i + 1]] != plan->segments[system];
        if (ends_stretch) {
            seconds += s->finishes[last];
            if (path != NULL) {
                append_chain(s, last, path, path_count);
            }
            last = FOL_NONE;
        }
    }
    return seconds;
}

/* The path may be NULL. */
static int search_plan(const fol_plan *plan, const double *costs, double *seconds, uint32_t *path,
                       size_t *path_count)
{
    if (!costs_are_valid(plan, costs)) {
        return -EINVAL;
    }
    int status = -ENOMEM;
    size_t systems = plan->system_count;
    chain_search s = {.costs = costs};
    s.finishes = fol_alloc_zeroed(systems, sizeof(*s.finishes));
    if (s.finishes == NULL) {
        goto fail_finishes;
    }
    s.causes = fol_alloc_array(3 * systems + 1, sizeof(*s.causes));
    if (s.causes == NULL) {
        goto fail_causes;
    }
    s.sorted = s.causes + systems;
    s.cursors = s.causes + 2 * systems;
    for (size_t i = 0; i < systems; i++) {
        s.causes[i] = FOL_NONE;
    }
    double total = 0;
    size_t count = 0;
    for (uint32_t i = 0; i < plan->phase_count; i++) {
        total += search_phase(plan, &plan->phases[i], &s, path, &count);
    }
    *seconds = total;
    *path_count = count;
    status = FOL_OK;
    fol_free(s.causes);

fail_causes:
    fol_free(s.finishes);
fail_finishes:
    return status;
}

int fol_plan_critical_path(const fol_plan *plan, const double *costs, double *seconds,
                           uint32_t *path, size_t *path_count)
{
    return search_plan(plan, costs, seconds, path, path_count);
}

int fol_plan_speedup_bound(const fol_plan *plan, const double *costs, double *bound,
                           bool *lock_bound)
{
    double longest;
    size_t unused;
    int status = search_plan(plan, costs, &longest, NULL, &unused);
    if (status != FOL_OK) {
        return status;
    }
    double total = 0;
    double locked = 0;
    for (uint32_t i = 0; i < plan->system_count; i++) {
        total += costs[i];
        locked += plan->catalog.systems[i].holds_interpreter ? costs[i] : 0;
    }
    double least = locked > longest ? locked : longest;
    *lock_bound = locked > longest;
    *bound = least > 0 ? total / least : 1;
    return FOL_OK;
}
