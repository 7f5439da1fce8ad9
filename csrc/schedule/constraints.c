/* The constraint graph in compressed rows, and its topological order (Kahn). */

#include "schedule/constraints.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "foliot/status.h"

#define UNUSED (FOL_NONE - 1) /* in `entries` while nodes are dealt out: in no constraint */

static void mark_used(const fol_schedule *schedule, fol_constraints *graph)
{
    size_t sets = schedule->catalog.sets.count;
    for (size_t i = 0; i < sets; i++) {
        graph->entries[i] = UNUSED;
        graph->exits[i] = 0;
    }
    for (size_t i = 0; i < schedule->order_count; i++) {
        fol_order_pair pair = schedule->orders[i];
        if (fol_ref_is_set(pair.first)) {
            graph->entries[fol_ref_id(pair.first)] = FOL_NONE;
        }
        if (fol_ref_is_set(pair.second)) {
            graph->entries[fol_ref_id(pair.second)] = FOL_NONE;
        }
    }
}

/* Until nodes are dealt out, entries[set] is its last member and exits[set] their number. */
static void count_members(const fol_catalog *catalog, fol_constraints *graph)
{
    for (uint32_t i = 0; i < catalog->system_count; i++) {
        fol_span sets = catalog->systems[i].sets;
        const uint32_t *ids = fol_catalog_ids(catalog, sets);
        for (uint32_t k = 0; k < sets.count; k++) {
            if (graph->entries[ids[k]] != UNUSED) {
                graph->entries[ids[k]] = i;
                graph->exits[ids[k]]++;
            }
        }
    }
}

static void deal_nodes(const fol_schedule *schedule, fol_constraints *graph, bool fold_sets)
{
    graph->system_count = (uint32_t)schedule->catalog.system_count;
    graph->node_count = graph->system_count;
    for (size_t i = 0; i < schedule->catalog.sets.count; i++) {
        if (graph->entries[i] == UNUSED) {
            graph->entries[i] = FOL_NONE;
            graph->exits[i] = FOL_NONE;
        } else if (fold_sets && graph->exits[i] == 1) {
            graph->exits[i] = graph->entries[i];
        } else {
            graph->entries[i] = graph->node_count++;
            graph->exits[i] = graph->node_count++;
        }
    }
}

/* Counts the edge at first[from + 1], or, once the rows have their places, writes it. */
static inline void put_edge(fol_constraints *graph, uint32_t from, uint32_t to, bool is_counting)
{
    if (is_counting) {
        graph->first[from + 1]++;
    } else {
        graph->next[graph->first[from]++] = to;
    }
}

static void put_members(const fol_catalog *catalog, fol_constraints *graph, bool is_counting)
{
    for (uint32_t i = 0; i < catalog->system_count; i++) {
        fol_span sets = catalog->systems[i].sets;
        const uint32_t *ids = fol_catalog_ids(catalog, sets);
        for (uint32_t k = 0; k < sets.count; k++) {
            uint32_t entry = graph->entries[ids[k]];
            if (entry != FOL_NONE && entry >= graph->system_count) {
                put_edge(graph, entry, i, is_counting);
                put_edge(graph, i, graph->exits[ids[k]], is_counting);
            }
        }
    }
    /* A set without members passes order on; with members the edge is redundant, and harmless. */
    for (size_t i = 0; i < catalog->sets.count; i++) {
        uint32_t entry = graph->entries[i];
        if (entry != FOL_NONE && entry >= graph->system_count) {
            put_edge(graph, entry, graph->exits[i], is_counting);
        }
    }
}

static void put_edges(const fol_schedule *schedule, fol_constraints *graph, bool is_counting)
{
    put_members(&schedule->catalog, graph, is_counting);
    for (size_t i = 0; i < schedule->order_count; i++) {
        fol_order_pair pair = schedule->orders[i];
        uint32_t from = fol_ref_id(pair.first);
        uint32_t to = fol_ref_id(pair.second);
        from = fol_ref_is_set(pair.first) ? graph->exits[from] : from;
        to = fol_ref_is_set(pair.second) ? graph->entries[to] : to;
        FOL_ASSERT_HOT(from < graph->node_count);
        FOL_ASSERT_HOT(to < graph->node_count);
        put_edge(graph, from, to, is_counting);
    }
}

/* From counts to places: first[node] is where its row starts, and after writing where it ends. */
static int place_rows(const fol_schedule *schedule, fol_constraints *graph)
{
    graph->first = fol_alloc_zeroed((size_t)graph->node_count + 1, sizeof(*graph->first));
    if (graph->first == NULL) {
        return -ENOMEM;
    }
    put_edges(schedule, graph, true);
    for (uint32_t i = 0; i < graph->node_count; i++) {
        graph->first[i + 1] += graph->first[i];
    }
    graph->next = fol_alloc_array(graph->first[graph->node_count], sizeof(*graph->next));
    if (graph->next == NULL) {
        return -ENOMEM;
    }
    put_edges(schedule, graph, false);
    for (uint32_t i = graph->node_count; i > 0; i--) {
        graph->first[i] = graph->first[i - 1];
    }
    graph->first[0] = 0;
    return FOL_OK;
}

int fol_constraints_init(fol_constraints *graph, const fol_schedule *schedule, bool fold_sets)
{
    memset(graph, 0, sizeof(*graph));
    size_t sets = schedule->catalog.sets.count;
    graph->entries = fol_alloc_array(sets, sizeof(*graph->entries));
    graph->exits = fol_alloc_array(sets, sizeof(*graph->exits));
    if (graph->entries == NULL || graph->exits == NULL) {
        goto fail;
    }
    mark_used(schedule, graph);
    count_members(&schedule->catalog, graph);
    deal_nodes(schedule, graph, fold_sets);
    graph->sorted = fol_alloc_array(graph->node_count, sizeof(*graph->sorted));
    graph->positions = fol_alloc_array(graph->node_count, sizeof(*graph->positions));
    if (graph->sorted == NULL || graph->positions == NULL ||
        place_rows(schedule, graph) != FOL_OK) {
        goto fail;
    }
    return FOL_OK;

fail:
    fol_constraints_deinit(graph);
    return -ENOMEM;
}

void fol_constraints_deinit(fol_constraints *graph)
{
    fol_free(graph->entries);
    fol_free(graph->exits);
    fol_free(graph->first);
    fol_free(graph->next);
    fol_free(graph->sorted);
    fol_free(graph->positions);
    memset(graph, 0, sizeof(*graph));
}

uint32_t fol_constraints_sort(fol_constraints *graph, uint32_t *degrees)
{
    memset(degrees, 0, graph->node_count * sizeof(*degrees));
    size_t edges = graph->first[graph->node_count];
    for (size_t i = 0; i < edges; i++) {
        degrees[graph->next[i]]++;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (degrees[i] == 0) {
            graph->sorted[count++] = i;
        }
    }
    for (uint32_t done = 0; done < count; done++) {
        uint32_t node = graph->sorted[done];
        graph->positions[node] = done;
        for (size_t k = graph->first[node]; k < graph->first[node + 1]; k++) {
            if (--degrees[graph->next[k]] == 0) {
                graph->sorted[count++] = graph->next[k];
            }
        }
    }
    FOL_ASSERT(count <= graph->node_count);
    return count;
}

bool fol_constraints_cross_phases(const fol_constraints *graph, const fol_catalog *catalog,
                                  uint32_t *latest, uint32_t *before, uint32_t *after)
{
    const fol_system_record *systems = catalog->systems;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        latest[i] = FOL_NONE;
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        uint32_t node = graph->sorted[i];
        uint32_t carried = latest[node];
        if (node < graph->system_count) {
            if (carried != FOL_NONE && systems[carried].phase > systems[node].phase) {
                *before = carried;
                *after = node;
                return true;
            }
            carried = node;
        }
        if (carried == FOL_NONE) {
            continue;
        }
        for (size_t k = graph->first[node]; k < graph->first[node + 1]; k++) {
            uint32_t to = graph->next[k];
            if (latest[to] == FOL_NONE || systems[latest[to]].phase < systems[carried].phase) {
                latest[to] = carried;
            }
        }
    }
    return false;
}
