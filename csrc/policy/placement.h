/* Where a phase runs: on the caller alone, or on all workers.
 *
 * Going parallel costs something (waking workers, moving cache lines, counting down), so it is
 * worth it only when the work that others can take over is worth more. What it costs depends on how
 * often frames come, because helpers stay awake only for a while; so it is not guessed but measured
 * as it is used: the choice rests on what serial and parallel runs took in fact.
 *
 * Rule. The first run is parallel: it can lose little and may save much. Where its nodes' costs
 * show that it saved a good part, the phase stays parallel; else serial runs are measured. Then a
 * trial is a few parallel runs in a row, of which those before the helpers are awake do not count,
 * nor, of a short phase, the first six, while its data goes where it will be worked on; it wins
 * when its median is below the serial mean by FOL_PLACEMENT_MARGIN. A phase on several
 * workers is checked by serial runs in the same way. A trial is not made while even a perfect cut
 * along the span could not save least_gain.
 *
 * Cost of looking. After a trial or a check that lost time the next one waits until that loss is at
 * most one part in FOL_PLACEMENT_EXPLORE of the time since, and twice as long after each that said
 * the same again, up to FOL_PLACEMENT_MAX_BACKOFF times. So looking costs less than 1 % of the
 * time, and vanishing on a steady load. A change of the measured time by more than a half brings a
 * new look at once.
 *
 * Never oscillates on steady input: serial becomes parallel only below (1 - margin) of serial, and
 * parallel becomes serial only above (1 + margin) of it. A sample far from the mean is held to a
 * factor of two of it, so that one interrupted run does not decide; a third one in a row is a
 * change, and is followed at once.
 *
 * Pure: no thread, no clock, no allocation. Time is an argument; its unit is cycles.
 */
#ifndef FOL_POLICY_PLACEMENT_H
#define FOL_POLICY_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOL_PLACEMENT_MARGIN      0.05
#define FOL_PLACEMENT_EXPLORE     128.0
#define FOL_PLACEMENT_MAX_BACKOFF 64u
#define FOL_PLACEMENT_MAX_RETRY   (1u << 20)

typedef enum fol_placement_reason {
    FOL_PLACEMENT_ONE_WORKER = 0, /* there is nobody else */
    FOL_PLACEMENT_NOTHING_BESIDE, /* no two nodes may run at once, and none can be cut */
    FOL_PLACEMENT_UNKNOWN,        /* not measured yet */
    FOL_PLACEMENT_TOO_SMALL,      /* could save less than it costs */
    FOL_PLACEMENT_WORTH_IT,       /* its nodes' costs say that it saves more than it costs */
    FOL_PLACEMENT_MEASURED_SLOWER,
    FOL_PLACEMENT_MEASURED_FASTER,
    FOL_PLACEMENT_TRIED_AGAIN, /* a trial of parallel runs, or a check by serial ones */
} fol_placement_reason;

typedef enum fol_placement_state {
    FOL_PLACEMENT_FIRST = 0, /* never ran */
    FOL_PLACEMENT_SERIAL,
    FOL_PLACEMENT_TRIAL, /* parallel runs, from serial */
    FOL_PLACEMENT_PARALLEL,
    FOL_PLACEMENT_CHECK, /* serial runs, from parallel */
} fol_placement_state;

/* Runs of a trial or a check so far. */
typedef struct fol_placement_look {
    uint32_t runs;
    uint32_t counted;
    double low; /* of those counted */
    double high;
    double sum;
    double loss; /* cycles over what the other kind of run would have taken */
} fol_placement_look;

typedef struct fol_placement {
    uint32_t workers;
    bool has_parallelism;
    bool is_parallel;           /* the last choice */
    bool was_hot;               /* helpers were awake at the last choice */
    bool is_estimate;           /* serial_wall is a sum of costs: no serial run was measured */
    bool skips_next;            /* the run after a check finds helpers asleep: not learnt from */
    uint8_t serial_times_off;   /* samples in a row that were far from the mean */
    uint8_t parallel_times_off; /* the same */
    fol_placement_state state;
    fol_placement_reason reason;
    double least_gain;      /* cycles */
    double work;            /* cycles, the sum of the nodes when last summed; 0: unknown */
    double span;            /* cycles, of the same nodes */
    double serial_wall;     /* cycles, running mean; 0: never */
    double parallel_wall;   /* the same */
    double serial_chosen;   /* serial_wall when that was last compared, or less */
    double parallel_chosen; /* parallel_wall when that was last compared */
    double parallel_loss;   /* cycles lost since the phase went parallel */
    fol_placement_look look;
    uint32_t backoff;     /* times the wait is longer than the loss asks for */
    uint32_t retry_after; /* runs until the next trial or check */
    uint64_t serial_runs;
    uint64_t parallel_runs;
} fol_placement;

/* least_gain_cycles: what going parallel has to be able to save to be tried at all; about what one
 * exchange with an awake helper costs. */
void fol_placement_init(fol_placement *placement, uint32_t workers, bool has_parallelism,
                        double least_gain_cycles);
/* Whether this run goes parallel; is_hot: helpers are awake. */
bool fol_placement_choose(fol_placement *placement, bool is_hot);
/* What the run that was chosen last took; and the sum of the nodes' costs and their span, both 0
 * when they were not summed this time. */
void fol_placement_learn(fol_placement *placement, double wall_cycles, double work_cycles,
                         double span_cycles);
/* The last choice as a sentence with its numbers; like snprintf. */
size_t fol_placement_explain(const fol_placement *placement, double ns_per_cycle, char *out,
                             size_t room);

#endif
