/* Random task graphs, and a check of a run that knows nothing of how it was made. */
#ifndef FOL_TESTS_GRAPH_SUPPORT_H
#define FOL_TESTS_GRAPH_SUPPORT_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "check.h"
#include "foliot/sim_graph.h"
#include "foliot/status.h"

enum { GRAPH_TASKS = 48, GRAPH_EDGES = GRAPH_TASKS * GRAPH_TASKS, GRAPH_LANES = 3 };

/* What a graph is made of, in fixed room. */
typedef struct graph_parts {
    uint32_t count;
    int64_t costs[GRAPH_TASKS];
    uint64_t first[GRAPH_TASKS + 1];
    uint32_t predecessors[GRAPH_EDGES];
    uint32_t lanes[GRAPH_TASKS];
    bool has_lanes;
} graph_parts;

/* Up to GRAPH_TASKS tasks under shuffled numbers, each with an edge to each earlier one by chance.
 */
static inline void draw_graph(graph_parts *parts, fol_rng *rng)
{
    uint32_t names[GRAPH_TASKS];
    uint32_t count = fol_rng_below(rng, GRAPH_TASKS + 1);
    uint32_t density = fol_rng_below(rng, 50);
    uint32_t largest = fol_rng_below(rng, 4) == 0 ? 1 : 20;
    bool edges[GRAPH_TASKS][GRAPH_TASKS] = {0};
    parts->count = count;
    parts->has_lanes = fol_rng_below(rng, 2) == 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t swapped = fol_rng_below(rng, i + 1);
        names[i] = names[swapped];
        names[swapped] = i;
    }
    for (uint32_t i = 0; i < count; i++) {
        parts->costs[i] = fol_rng_below(rng, largest + 1);
        uint32_t lane = fol_rng_below(rng, 2 * GRAPH_LANES);
        parts->lanes[i] = lane < GRAPH_LANES ? lane : FOL_NO_LANE;
        for (uint32_t j = 0; j < i; j++) {
            edges[names[i]][names[j]] = fol_rng_below(rng, 100) < density;
        }
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        parts->first[i] = total;
        for (uint32_t j = 0; j < count; j++) {
            if (edges[i][j]) {
                parts->predecessors[total++] = j;
            }
        }
    }
    parts->first[count] = total;
}

static inline fol_sim_graph_spec spec_of(const graph_parts *parts)
{
    return (fol_sim_graph_spec){
        .count = parts->count,
        .lane_count = parts->has_lanes && parts->count >= GRAPH_LANES ? GRAPH_LANES : 0,
        .costs = parts->costs,
        .first = parts->first,
        .predecessors = parts->predecessors,
        .lanes = parts->has_lanes && parts->count >= GRAPH_LANES ? parts->lanes : NULL,
    };
}

typedef struct graph_result {
    int64_t release[GRAPH_TASKS];
    int64_t start[GRAPH_TASKS];
    int64_t finish[GRAPH_TASKS];
    uint32_t cpu[GRAPH_TASKS];
    fol_sim_graph_summary summary;
} graph_result;

static inline int run_graph(const fol_sim_graph *graph, const fol_sim_graph_options *options,
                            graph_result *out)
{
    fol_sim_graph_jobs jobs = {out->release, out->start, out->finish, out->cpu};
    return fol_sim_graph_run(graph, options, &jobs, &out->summary);
}

static inline bool overlap(const graph_result *run, uint32_t a, uint32_t b)
{
    bool is_empty = run->start[a] == run->finish[a] || run->start[b] == run->finish[b];
    return !is_empty && run->start[a] < run->finish[b] && run->start[b] < run->finish[a];
}

/* Costs, precedence, CPUs, lanes, and the makespan with its bound; whether all hold. */
static inline bool run_is_valid(const fol_sim_graph *graph, const fol_sim_graph_options *options,
                                const graph_result *run)
{
    uint32_t count = fol_sim_graph_count(graph);
    int64_t last = 0;
    bool holds = run->summary.makespan >= fol_sim_graph_lower_bound(graph, options->cpus);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t edges;
        const uint32_t *before = fol_sim_graph_predecessors(graph, i, &edges);
        int64_t ready = 0;
        for (uint64_t k = 0; k < edges; k++) {
            ready = run->finish[before[k]] > ready ? run->finish[before[k]] : ready;
        }
        last = run->finish[i] > last ? run->finish[i] : last;
        holds = holds && run->release[i] == ready && run->cpu[i] < options->cpus &&
                run->start[i] >= ready + options->switch_cost &&
                run->finish[i] == run->start[i] + fol_sim_graph_cost(graph, i);
        for (uint32_t j = 0; j < i; j++) {
            bool shares_lane = fol_sim_graph_lane(graph, i) != FOL_NO_LANE &&
                               fol_sim_graph_lane(graph, i) == fol_sim_graph_lane(graph, j);
            holds = holds && !((run->cpu[i] == run->cpu[j] || shares_lane) && overlap(run, i, j));
        }
    }
    return holds && last == run->summary.makespan;
}

#endif
