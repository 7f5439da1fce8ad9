/* Where a phase runs: on the caller alone, or on all workers.
 *
 * Going parallel costs something (waking workers, moving cache lines, counting down), so it is
 * worth it only when the work that others can take over is worth more. The choice is made before
 * each run of a phase from three learnt numbers, all in cycles: the work (the sum of its nodes),
 * the span (the longest chain through them, with nodes that can be cut counted as cut, and no less
 * than what must stay in the lane), and what runs of either kind took in fact.
 *
 * Rule. expected = max(span, work / workers) + overhead, where overhead is the learnt difference
 * between parallel runs and that bound, and depends on whether helpers are awake. Parallel when
 * expected * (1 + margin) < work. What has been measured wins over what is expected: when parallel
 * runs took longer than serial ones, the phase stays serial, and is tried again after 2, 4, 8 … up
 * to FOL_PLACEMENT_MAX_RETRY runs, or when its work has doubled.
 *
 * Pure: no thread, no clock, no allocation. Time is an argument.
 */
#ifndef FOL_POLICY_PLACEMENT_H
#define FOL_POLICY_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOL_PLACEMENT_MAX_RETRY 1024u

typedef enum fol_placement_reason {
    FOL_PLACEMENT_ONE_WORKER = 0, /* there is nobody else */
    FOL_PLACEMENT_NOTHING_BESIDE, /* no two nodes may run at once, and none can be cut */
    FOL_PLACEMENT_UNKNOWN,        /* never measured: tried in parallel */
    FOL_PLACEMENT_TOO_SMALL,      /* expected to cost more than it saves */
    FOL_PLACEMENT_WORTH_IT,       /* expected to save more than it costs */
    FOL_PLACEMENT_MEASURED_SLOWER,
    FOL_PLACEMENT_MEASURED_FASTER,
    FOL_PLACEMENT_TRIED_AGAIN,
} fol_placement_reason;

typedef struct fol_placement {
    uint32_t workers;
    bool has_parallelism;
    double work;          /* cycles; 0: unknown */
    double span;          /* cycles */
    double serial_wall;   /* cycles, running mean; 0: never */
    double parallel_wall; /* the same */
    double overhead;      /* cycles beyond the bound, running mean */
    double work_at_retry; /* when the last trial was made */
    uint32_t retry_after; /* runs until the next trial */
    uint32_t retry_step;
    uint64_t serial_runs;
    uint64_t parallel_runs;
    bool is_parallel; /* the last choice */
    fol_placement_reason reason;
} fol_placement;

void fol_placement_init(fol_placement *placement, uint32_t workers, bool has_parallelism);
/* Whether this run goes parallel; is_hot: helpers are awake. */
bool fol_placement_choose(fol_placement *placement, bool is_hot);
/* What the run that was chosen last took: its wall time, the sum of its nodes, the span now. */
void fol_placement_learn(fol_placement *placement, double wall_cycles, double work_cycles,
                         double span_cycles);
/* The last choice as a sentence with its numbers; like snprintf. */
size_t fol_placement_explain(const fol_placement *placement, double ns_per_cycle, char *out,
                             size_t room);

#endif
