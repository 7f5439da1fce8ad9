/* Where a phase runs; placement.h has the rule. */

#include "policy/placement.h"

#include <stdio.h>

#include "base/assert.h"

/* A new sample counts this much in a running mean, and is held to within this factor of it. */
#define MEAN_WEIGHT    0.125
#define MEAN_HOLD      2.0
#define CHANGE_SAMPLES 3u

/* Serial runs before a trial: the first of a phase finds everything cold. */
#define SERIAL_FIRST 3u

/* Runs of a trial that count, and the most that do not because helpers were asleep. Of a short
 * phase the first do not count either: its data is still on its way to whoever works on it now. */
#define TRIAL_RUNS   3u
#define TRIAL_WARM   8u
#define TRIAL_SETTLE 6u
#define SHORT_GAINS  64.0 /* of so many least gains */
#define CHECK_RUNS   2u
#define RETRY_LEAST  8u
#define CHANGE       1.5  /* of a measured time, which brings a new look */
#define CLEARLY      1.25 /* less than the work: parallel without a serial measurement */
#define CLEAR_GAINS  16.0 /* work of so many least gains may be judged by its costs alone */
#define MARGIN_ABOVE (1.0 + FOL_PLACEMENT_MARGIN)
#define MARGIN_BELOW (1.0 - FOL_PLACEMENT_MARGIN)

/* Takes a sample into a mean. One that is far off is held to within MEAN_HOLD of the mean, for
 * something may have interrupted the run, and the next found helpers asleep; the third in a row is
 * a change, and is the new mean. */
static void average(double *mean, uint8_t *times_off, double sample)
{
    bool is_above = sample > *mean * MEAN_HOLD;
    bool is_below = sample < *mean / MEAN_HOLD;
    *times_off = is_above || is_below ? *times_off + 1 : 0;
    if (*mean == 0.0 || *times_off == CHANGE_SAMPLES) {
        *mean = sample;
        *times_off = 0;
        return;
    }
    double held = is_above ? *mean * MEAN_HOLD : is_below ? *mean / MEAN_HOLD : sample;
    *mean += MEAN_WEIGHT * (held - *mean);
}

void fol_placement_init(fol_placement *placement, uint32_t workers, bool has_parallelism,
                        double least_gain_cycles)
{
    FOL_ASSERT(workers > 0);
    FOL_ASSERT(least_gain_cycles >= 0.0);
    *placement = (fol_placement){.workers = workers,
                                 .has_parallelism = has_parallelism,
                                 .least_gain = least_gain_cycles,
                                 .backoff = 1};
    placement->reason = FOL_PLACEMENT_UNKNOWN;
}

/* What a perfect cut would save of a serial run: its nodes' part of it, but for the span. */
static double best_gain(const fol_placement *placement)
{
    double least_share = 1.0 / (double)placement->workers;
    double work = placement->work;
    if (work <= 0.0) {
        return placement->serial_wall * (1.0 - least_share);
    }
    double share = placement->span / work;
    share = share < least_share ? least_share : share > 1.0 ? 1.0 : share;
    double nodes = work < placement->serial_wall ? work : placement->serial_wall;
    return nodes * (1.0 - share);
}

static void begin_look(fol_placement *placement, fol_placement_state state)
{
    placement->look = (fol_placement_look){0};
    placement->state = state;
    placement->reason = FOL_PLACEMENT_TRIED_AGAIN;
}

/* The wait until a loss is one part in FOL_PLACEMENT_EXPLORE of the time, and longer each time. */
static void wait_before_next_look(fol_placement *placement, double loss, double wall)
{
    double runs = loss > 0.0 && wall > 0.0 ? loss * FOL_PLACEMENT_EXPLORE / wall : 0.0;
    runs = (runs < RETRY_LEAST ? RETRY_LEAST : runs) * placement->backoff;
    placement->retry_after =
        runs < FOL_PLACEMENT_MAX_RETRY ? (uint32_t)runs : FOL_PLACEMENT_MAX_RETRY;
    if (placement->backoff < FOL_PLACEMENT_MAX_BACKOFF) {
        placement->backoff *= 2;
    }
}

static bool choose_from_serial(fol_placement *placement)
{
    if (placement->retry_after > 0) {
        placement->retry_after--;
    }
    if (placement->serial_runs < SERIAL_FIRST) {
        placement->reason = FOL_PLACEMENT_UNKNOWN;
        return false;
    }
    if (best_gain(placement) < placement->least_gain) {
        placement->reason = FOL_PLACEMENT_TOO_SMALL;
        return false;
    }
    if (placement->serial_wall < placement->serial_chosen) {
        placement->serial_chosen = placement->serial_wall;
    }
    bool has_grown = placement->serial_wall > placement->serial_chosen * CHANGE;
    if (has_grown) {
        placement->backoff = 1;
    }
    if (placement->retry_after > 0 && !has_grown) {
        placement->reason = FOL_PLACEMENT_MEASURED_SLOWER;
        return false;
    }
    begin_look(placement, FOL_PLACEMENT_TRIAL);
    return true;
}

static bool choose_from_parallel(fol_placement *placement)
{
    if (placement->retry_after > 0) {
        placement->retry_after--;
    }
    double wall = placement->parallel_wall;
    bool has_changed =
        wall > placement->parallel_chosen * CHANGE || wall * CHANGE < placement->parallel_chosen;
    bool is_slower = wall > placement->serial_wall * MARGIN_ABOVE;
    if (has_changed) {
        placement->backoff = 1;
    }
    if (placement->retry_after > 0 && !has_changed && !is_slower) {
        return true;
    }
    begin_look(placement, FOL_PLACEMENT_CHECK);
    return false;
}

bool fol_placement_choose(fol_placement *placement, bool is_hot)
{
    placement->was_hot = is_hot;
    bool is_parallel = false;
    if (placement->workers < 2) {
        placement->reason = FOL_PLACEMENT_ONE_WORKER;
    } else if (!placement->has_parallelism) {
        placement->reason = FOL_PLACEMENT_NOTHING_BESIDE;
    } else {
        switch (placement->state) {
        case FOL_PLACEMENT_FIRST:
        case FOL_PLACEMENT_TRIAL:
            is_parallel = true;
            break;
        case FOL_PLACEMENT_SERIAL:
            is_parallel = choose_from_serial(placement);
            break;
        case FOL_PLACEMENT_PARALLEL:
            is_parallel = choose_from_parallel(placement);
            break;
        case FOL_PLACEMENT_CHECK:
            break;
        }
    }
    placement->is_parallel = is_parallel;
    return is_parallel;
}

static void go_serial(fol_placement *placement, fol_placement_reason reason, double loss)
{
    placement->state = FOL_PLACEMENT_SERIAL;
    placement->reason = reason;
    placement->serial_chosen = placement->serial_wall;
    wait_before_next_look(placement, loss, placement->serial_wall);
}

static void go_parallel(fol_placement *placement, fol_placement_reason reason, double wall)
{
    placement->state = FOL_PLACEMENT_PARALLEL;
    placement->reason = reason;
    placement->parallel_wall = wall;
    placement->parallel_chosen = wall;
    placement->parallel_loss = 0.0;
    placement->backoff = 1;
    double saved = placement->serial_wall - wall;
    wait_before_next_look(placement, CHECK_RUNS * saved, wall);
}

static void learn_first(fol_placement *placement, double wall)
{
    placement->parallel_wall = wall;
    bool is_clear =
        placement->work > CLEAR_GAINS * placement->least_gain && placement->work > wall * CLEARLY;
    if (is_clear) {
        placement->serial_wall = placement->work;
        placement->is_estimate = true;
        go_parallel(placement, FOL_PLACEMENT_WORTH_IT, wall);
    } else {
        placement->state = FOL_PLACEMENT_SERIAL;
        placement->reason = FOL_PLACEMENT_UNKNOWN;
    }
}

static void count_run(fol_placement_look *look, double wall)
{
    look->low = look->counted == 0 || wall < look->low ? wall : look->low;
    look->high = wall > look->high ? wall : look->high;
    look->sum += wall;
    look->counted++;
}

static void learn_trial(fol_placement *placement, double wall)
{
    fol_placement_look *look = &placement->look;
    look->runs++;
    look->loss += wall - placement->serial_wall;
    bool is_short = placement->serial_wall < SHORT_GAINS * placement->least_gain;
    if ((!placement->was_hot && look->runs <= TRIAL_WARM) ||
        (is_short && look->runs <= TRIAL_SETTLE)) {
        return;
    }
    count_run(look, wall);
    if (look->counted < TRIAL_RUNS) {
        return;
    }
    double median = look->sum - look->low - look->high;
    placement->parallel_wall = median;
    if (median < placement->serial_wall * MARGIN_BELOW) {
        go_parallel(placement, FOL_PLACEMENT_MEASURED_FASTER, median);
    } else {
        go_serial(placement, FOL_PLACEMENT_MEASURED_SLOWER, look->loss);
    }
}

static void learn_serial(fol_placement *placement, double wall)
{
    bool is_first = placement->serial_runs <= SERIAL_FIRST && placement->serial_wall > 0.0;
    if (is_first && wall < placement->serial_wall) {
        placement->serial_wall = wall;
    } else if (!is_first) {
        average(&placement->serial_wall, &placement->serial_times_off, wall);
    }
}

static void learn_parallel(fol_placement *placement, double wall)
{
    if (placement->is_estimate && placement->work > 0.0) {
        placement->serial_wall = placement->work;
    }
    if (placement->skips_next) {
        placement->skips_next = false;
        return;
    }
    average(&placement->parallel_wall, &placement->parallel_times_off, wall);
    double held = placement->parallel_wall * MEAN_HOLD;
    placement->parallel_loss += (wall < held ? wall : held) - placement->serial_wall;
}

static void learn_check(fol_placement *placement, double wall)
{
    fol_placement_look *look = &placement->look;
    look->loss += wall - placement->parallel_wall;
    count_run(look, wall);
    if (look->counted < CHECK_RUNS) {
        return;
    }
    placement->serial_wall = look->low;
    placement->is_estimate = false;
    placement->skips_next = true;
    if (placement->parallel_wall > placement->serial_wall * MARGIN_ABOVE) {
        /* That it was faster for long says nothing about how long it is slower. */
        placement->backoff = 1;
        go_serial(placement, FOL_PLACEMENT_MEASURED_SLOWER, placement->parallel_loss);
    } else {
        placement->state = FOL_PLACEMENT_PARALLEL;
        placement->reason = FOL_PLACEMENT_MEASURED_FASTER;
        placement->parallel_chosen = placement->parallel_wall;
        placement->parallel_loss = 0.0;
        wait_before_next_look(placement, look->loss, placement->parallel_wall);
    }
}

void fol_placement_learn(fol_placement *placement, double wall_cycles, double work_cycles,
                         double span_cycles)
{
    double wall = wall_cycles > 1.0 ? wall_cycles : 1.0;
    if (work_cycles > 0.0) {
        placement->work = work_cycles;
        placement->span = span_cycles;
    }
    if (placement->is_parallel) {
        placement->parallel_runs++;
    } else {
        placement->serial_runs++;
    }
    switch (placement->state) {
    case FOL_PLACEMENT_FIRST:
        if (placement->is_parallel) {
            learn_first(placement, wall);
        } else {
            learn_serial(placement, wall);
        }
        break;
    case FOL_PLACEMENT_SERIAL:
        learn_serial(placement, wall);
        break;
    case FOL_PLACEMENT_TRIAL:
        learn_trial(placement, wall);
        break;
    case FOL_PLACEMENT_PARALLEL:
        learn_parallel(placement, wall);
        break;
    case FOL_PLACEMENT_CHECK:
        learn_check(placement, wall);
        break;
    }
}

size_t fol_placement_explain(const fol_placement *placement, double ns_per_cycle, char *out,
                             size_t room)
{
    double us = ns_per_cycle * 1e-3;
    double serial = placement->serial_wall * us;
    double parallel = placement->parallel_wall * us;
    int length = 0;
    switch (placement->reason) {
    case FOL_PLACEMENT_ONE_WORKER:
        length = snprintf(out, room, "on the caller: there is no other worker");
        break;
    case FOL_PLACEMENT_NOTHING_BESIDE:
        length = snprintf(out, room,
                          "on the caller: no two of its systems may run at the same time, and none "
                          "can be cut");
        break;
    case FOL_PLACEMENT_UNKNOWN:
        length = snprintf(out, room, "on %s: too few runs are measured to choose",
                          placement->is_parallel ? "all workers" : "the caller");
        break;
    case FOL_PLACEMENT_TOO_SMALL:
        length = snprintf(out, room,
                          "on the caller: %u workers could save at most %.2f of %.2f us, and would "
                          "cost about %.2f us",
                          placement->workers, best_gain(placement) * us, serial,
                          placement->least_gain * us);
        break;
    case FOL_PLACEMENT_WORTH_IT:
        length = snprintf(out, room, "on %u workers: %.2f us for %.2f us of work",
                          placement->workers, parallel, placement->work * us);
        break;
    case FOL_PLACEMENT_MEASURED_SLOWER:
        length = snprintf(out, room, "on the caller: %.2f us, on %u workers it took %.2f us",
                          serial, placement->workers, parallel);
        break;
    case FOL_PLACEMENT_MEASURED_FASTER:
        length = snprintf(out, room, "on %u workers: %.2f us, on the caller it took %.2f us",
                          placement->workers, parallel, serial);
        break;
    case FOL_PLACEMENT_TRIED_AGAIN:
        length = placement->is_parallel
                     ? snprintf(out, room,
                                "on %u workers to see what it takes now: %.2f us on the caller",
                                placement->workers, serial)
                     : snprintf(out, room,
                                "on the caller to see what it takes now: %.2f us on %u workers",
                                parallel, placement->workers);
        break;
    }
    return length < 0 ? 0 : (size_t)length;
}
