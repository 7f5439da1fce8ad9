/* Which way to run frames; adaptive.h has the rule. */

#include "policy/adaptive.h"

#include <string.h>

#include "base/assert.h"

/* Frames of a load that make its first mean, at most; after a switch the first find helpers asleep
 * and data elsewhere. */
#define MEAN_LEAST 8u
#define WARMING    2u
/* Frames that a known load has to last before it is believed: time and work may have been
 * disturbed, counts of nodes and operations may not. */
#define FAMILIAR       2u
#define FAMILIAR_COUNT 1u
/* Work of a load in another mode that is off by this is no longer the mode's: a factor of 4. */
#define MULTIPLE 512
/* Times what is enough, after which a load whose phases still look for their places now and then is
 * judged as it is. */
#define LONG 8u
/* No feature of the same load is farther off: a factor of 1.5. Work in another mode may be, because
 * workers share caches and memory: 1.7. */
#define SAME_LOAD       150
#define SAME_OTHER_MODE 196

const fol_adaptive_config fol_adaptive_default = {
    .window = 32, .cooldown = 64, .least_gain = 0.05, .least_operations = 8.0};

bool fol_adaptive_config_is_valid(const fol_adaptive_config *config)
{
    if (config->window == 0) {
        return true;
    }
    return config->window >= FOL_ADAPTIVE_LEAST_WINDOW &&
           config->window <= FOL_ADAPTIVE_MAX_WINDOW && config->least_gain >= 0.0 &&
           config->least_gain < 1.0 && config->least_operations >= 0.0 &&
           config->least_operations <= (double)FOL_FIGURE_MAX;
}

uint32_t fol_adaptive_window_size(const fol_adaptive_config *config)
{
    return config->window == 0 ? fol_adaptive_default.window : config->window;
}

void fol_adaptive_init(fol_adaptive *adaptive, const fol_adaptive_config *config, uint32_t workers,
                       double overhead_cycles, fol_adaptive_sample *samples)
{
    FOL_ASSERT(fol_adaptive_config_is_valid(config));
    FOL_ASSERT(workers > 0);
    memset(adaptive, 0, sizeof(*adaptive));
    adaptive->config = config->window == 0 ? fol_adaptive_default : *config;
    adaptive->workers = workers;
    adaptive->enough = adaptive->config.window / 2;
    adaptive->overhead = overhead_cycles;
    adaptive->mode = workers > 1 ? FOL_MODE_STEALING : FOL_MODE_BLOCKING;
    adaptive->fresh.slack = FOL_LOAD_SLACK;
    adaptive->load = &adaptive->fresh;
    adaptive->decision.from = adaptive->mode;
    adaptive->decision.to = adaptive->mode;
    fol_adaptive_window_init(&adaptive->window, samples, adaptive->config.window);
}

double fol_adaptive_parallelism(const fol_adaptive *adaptive)
{
    uint64_t cycles = adaptive->window.sum[FOL_FIGURE_CYCLES];
    uint64_t io = adaptive->window.sum[FOL_FIGURE_IO];
    return cycles > io ? (double)adaptive->window.sum[FOL_FIGURE_BUSY] / (double)(cycles - io)
                       : 0.0;
}

double fol_adaptive_plan_parallelism(const fol_adaptive *adaptive)
{
    return fol_adaptive_window_ratio(&adaptive->window, FOL_FIGURE_WORK, FOL_FIGURE_SPAN);
}

static uint32_t mean_least(const fol_adaptive *adaptive)
{
    return adaptive->enough < MEAN_LEAST ? adaptive->enough : MEAN_LEAST;
}

static void restart(fol_adaptive *adaptive)
{
    fol_adaptive_window_clear(&adaptive->window);
    memset(&adaptive->watch, 0, sizeof(adaptive->watch));
    adaptive->since = 0;
    adaptive->quiet = 0;
}

static void record(fol_adaptive *adaptive, fol_adaptive_reason reason, fol_mode to,
                   double other_cycles)
{
    adaptive->decision = (fol_adaptive_decision){
        .frame = adaptive->frames,
        .from = adaptive->mode,
        .to = to,
        .reason = reason,
        .feature = FOL_FEATURE_COUNT,
        .frames = adaptive->window.count,
        .cycles = fol_adaptive_window_trimmed(&adaptive->window, FOL_FIGURE_CYCLES),
        .other_cycles = other_cycles,
        .plan = fol_adaptive_plan_parallelism(adaptive),
        .operations = fol_adaptive_window_mean(&adaptive->window, FOL_FIGURE_OPERATIONS)};
}

static void switch_mode(fol_adaptive *adaptive, fol_adaptive_reason reason, fol_mode to,
                        double other_cycles)
{
    FOL_ASSERT(to != adaptive->mode);
    FOL_ASSERT(adaptive->cooldown_left == 0);
    record(adaptive, reason, to, other_cycles);
    if (adaptive->since >= adaptive->enough) {
        adaptive->load->cost[adaptive->mode] = adaptive->decision.cycles;
    }
    adaptive->mode = to;
    adaptive->switches++;
    adaptive->cooldown_left = adaptive->config.cooldown;
    adaptive->warming = WARMING;
    restart(adaptive);
}

/* How far two features are from each other. */
static int32_t distance(int32_t a, int32_t b)
{
    return a > b ? a - b : b - a;
}

/* The mode in which the load is known best: this one, or any other. */
static fol_mode known_mode(const fol_adaptive *adaptive, const fol_adaptive_known *load)
{
    fol_mode mode = adaptive->mode;
    for (uint32_t i = 0; i < FOL_MODE_COUNT && load->mean[mode].count < mean_least(adaptive); i++) {
        mode = (fol_mode)i;
    }
    return mode;
}

/* How far a load is from these features, at most; or INT32_MAX when it is another. */
static int32_t load_distance(const fol_adaptive *adaptive, const fol_adaptive_known *load,
                             const fol_features *features, uint32_t compared)
{
    fol_mode mode = adaptive->mode;
    fol_mode seen = known_mode(adaptive, load);
    if (load->mean[seen].count < mean_least(adaptive)) {
        return INT32_MAX;
    }
    fol_features mean = fol_load_mean_get(&load->mean[seen]);
    int32_t farthest = 0;
    for (uint32_t i = 0; i < FOL_FEATURE_COUNT; i++) {
        bool is_left_out = (compared >> i & 1) == 0 || (i == FOL_FEATURE_CYCLES && seen != mode);
        int32_t off = is_left_out ? 0 : distance(mean.value[i], features->value[i]);
        bool is_other = i == FOL_FEATURE_BUSY && seen != mode;
        if (off > (is_other ? SAME_OTHER_MODE : SAME_LOAD) && off > load->slack) {
            return INT32_MAX;
        }
        farthest = off > farthest ? off : farthest;
    }
    return farthest;
}

/* The load that is like those of these features that are compared, a set of bits; NULL when none
 * is. */
static fol_adaptive_known *find_load(fol_adaptive *adaptive, const fol_features *features,
                                     uint32_t compared)
{
    fol_adaptive_known *found = NULL;
    int32_t least = INT32_MAX;
    for (uint32_t i = 0; i < FOL_ADAPTIVE_LOADS; i++) {
        fol_adaptive_known *load = &adaptive->known[i];
        int32_t off = load->is_used ? load_distance(adaptive, load, features, compared) : INT32_MAX;
        if (off < least) {
            least = off;
            found = load;
        }
    }
    return found;
}

/* A slot for one more load: the one that was not met for the longest time. */
static fol_adaptive_known *oldest_load(fol_adaptive *adaptive)
{
    fol_adaptive_known *oldest = &adaptive->known[0];
    for (uint32_t i = 1; i < FOL_ADAPTIVE_LOADS; i++) {
        fol_adaptive_known *load = &adaptive->known[i];
        bool is_older =
            load->is_used == oldest->is_used ? load->last_seen < oldest->last_seen : !load->is_used;
        oldest = is_older ? load : oldest;
    }
    return oldest;
}

static void enter_load(fol_adaptive *adaptive, fol_adaptive_known *load)
{
    adaptive->load = load;
    if (load->is_trial && load->trial_mode != adaptive->mode) {
        load->is_trial = false;
    }
}

/* The load has changed, as the features of the last frames show. */
static void change_load(fol_adaptive *adaptive, fol_feature feature, const fol_features *features,
                        uint32_t compared)
{
    fol_adaptive_known *before = adaptive->load;
    fol_adaptive_known *load = find_load(adaptive, features, compared);
    bool is_noise = adaptive->load == &adaptive->fresh;
    int32_t slack = is_noise ? adaptive->fresh.slack + adaptive->fresh.slack / 2 : FOL_LOAD_SLACK;
    if (before->mean[adaptive->mode].count < mean_least(adaptive)) {
        /* These frames may have been of the other load. */
        before->mean[adaptive->mode].count = 0;
    }
    adaptive->changes++;
    if (!adaptive->is_held) {
        record(adaptive, FOL_ADAPTIVE_CHANGED, adaptive->mode, 0.0);
        adaptive->decision.feature = feature;
    }
    restart(adaptive);
    if (load == NULL) {
        adaptive->fresh =
            (fol_adaptive_known){.slack = slack < FOL_LOAD_MAX_SLACK ? slack : FOL_LOAD_MAX_SLACK};
        load = &adaptive->fresh;
    }
    enter_load(adaptive, load);
}

/* Two frames make a change, so two show what the load is now. */
static void look_up_change(fol_adaptive *adaptive, fol_feature changed,
                           const fol_features *features, const fol_features *usual, bool is_looking)
{
    int32_t slack = adaptive->load->slack;
    fol_features seen;
    uint32_t compared = (1u << FOL_FEATURE_COUNT) - 1;
    bool is_counted = false;
    for (uint32_t i = FOL_FEATURE_OPERATIONS; i <= FOL_FEATURE_NODES; i++) {
        is_counted = is_counted || distance(features->value[i], usual->value[i]) > slack;
    }
    adaptive->familiar = is_counted ? FAMILIAR_COUNT : FAMILIAR;
    /* The plan's parallelism comes late, with costs. */
    compared &= changed == FOL_FEATURE_PLAN ? ~0u : ~(1u << FOL_FEATURE_PLAN);
    compared &= is_looking || adaptive->was_looking ? ~(1u << FOL_FEATURE_CYCLES) : ~0u;
    for (uint32_t i = 0; i < FOL_FEATURE_COUNT; i++) {
        seen.value[i] = (features->value[i] + adaptive->previous.value[i]) / 2;
    }
    change_load(adaptive, changed, &seen, compared);
}

/* Whether the load has changed with this frame. What shows something else in the frame is left out:
 * its time, while a phase looks for its place; and with work as well, where the load is known from
 * another mode only, unless it is a multiple. */
static void watch_load(fol_adaptive *adaptive, const fol_features *features, bool is_looking)
{
    const fol_adaptive_known *load = adaptive->load;
    fol_mode mode = known_mode(adaptive, load);
    if (load->mean[mode].count < mean_least(adaptive)) {
        return;
    }
    fol_features seen = *features;
    fol_features usual = fol_load_mean_get(&load->mean[mode]);
    bool is_other = mode != adaptive->mode;
    if (is_looking || is_other) {
        seen.value[FOL_FEATURE_CYCLES] = usual.value[FOL_FEATURE_CYCLES];
    }
    if (is_other &&
        distance(seen.value[FOL_FEATURE_BUSY], usual.value[FOL_FEATURE_BUSY]) < MULTIPLE) {
        seen.value[FOL_FEATURE_BUSY] = usual.value[FOL_FEATURE_BUSY];
    }
    if (is_other) {
        seen.value[FOL_FEATURE_PLAN] = usual.value[FOL_FEATURE_PLAN];
    }
    fol_feature changed = fol_load_watch_add(&adaptive->watch, &usual, load->slack, &seen);
    if (changed != FOL_FEATURE_COUNT) {
        look_up_change(adaptive, changed, features, &usual, is_looking);
    }
}

static void judge_frame(fol_adaptive *adaptive, const fol_adaptive_sample *sample)
{
    if (adaptive->warming > 0) {
        adaptive->warming--;
        return;
    }
    bool is_looking = sample->value[FOL_FIGURE_LOOKING_RUNS] > 0;
    fol_features features = fol_load_features(sample);
    watch_load(adaptive, &features, is_looking);
    if (!is_looking && adaptive->was_looking && adaptive->since < LONG * adaptive->enough) {
        /* What the search took is not what the mode takes. */
        fol_adaptive_window_clear(&adaptive->window);
    }
    if (!is_looking) {
        fol_load_mean_add(&adaptive->load->mean[adaptive->mode], &features);
    }
    adaptive->previous = features;
    adaptive->was_looking = is_looking;
}

/* Keeps a load that has lasted: as one that was met before, if it is like that; else as new. */
static void keep_load(fol_adaptive *adaptive)
{
    const fol_load_mean *mean = &adaptive->fresh.mean[adaptive->mode];
    fol_features features = fol_load_mean_get(mean);
    fol_adaptive_known *load = find_load(adaptive, &features, UINT32_MAX);
    if (load == NULL) {
        load = oldest_load(adaptive);
        *load = adaptive->fresh;
        load->is_used = true;
        load->id = ++adaptive->ids;
    } else {
        load->slack = load->slack > adaptive->fresh.slack ? load->slack : adaptive->fresh.slack;
        if (load->mean[adaptive->mode].count < mean_least(adaptive)) {
            load->mean[adaptive->mode] = *mean;
        }
    }
    enter_load(adaptive, load);
}

static bool may_try(const fol_adaptive *adaptive, fol_mode mode)
{
    const fol_adaptive_known *load = adaptive->load;
    return mode != adaptive->mode && !load->is_refused[mode];
}

static void start_trial(fol_adaptive *adaptive, fol_adaptive_reason reason, fol_mode mode,
                        double other_cycles)
{
    fol_adaptive_known *load = adaptive->load;
    /* One that a change cut short may have seen frames of another load. */
    load->mean[mode].count = 0;
    load->is_trial = true;
    load->trial_mode = mode;
    load->trial_from = adaptive->mode;
    switch_mode(adaptive, reason, mode, other_cycles);
}

/* Compares a trial that has lasted for the cool-down with what was before it. */
static void end_trial(fol_adaptive *adaptive)
{
    fol_adaptive_known *load = adaptive->load;
    fol_mode from = load->trial_from;
    double cost = fol_adaptive_window_trimmed(&adaptive->window, FOL_FIGURE_CYCLES);
    double before = load->cost[from];
    bool is_slower = cost > before * (1.0 + adaptive->config.least_gain / 2.0);
    load->is_trial = false;
    load->cost[adaptive->mode] = cost;
    if (adaptive->mode == FOL_MODE_URING) {
        adaptive->prefers_ring = !is_slower;
    }
    if (is_slower) {
        load->is_refused[adaptive->mode] = true;
        switch_mode(adaptive, FOL_ADAPTIVE_SLOWER, from, before);
    } else {
        load->is_refused[from] = true;
        record(adaptive, FOL_ADAPTIVE_KEPT, adaptive->mode, before);
    }
}

/* Cycles a frame that several workers could save, by what the plan lets them take over. */
static double best_saving(const fol_adaptive *adaptive)
{
    double plan = fol_adaptive_plan_parallelism(adaptive);
    double most = (double)adaptive->workers;
    plan = plan < most ? plan : most;
    if (plan <= 1.0) {
        return 0.0;
    }
    double busy = fol_adaptive_window_mean(&adaptive->window, FOL_FIGURE_BUSY);
    double runs = fol_adaptive_window_mean(&adaptive->window, FOL_FIGURE_RUNS);
    return busy * (1.0 - 1.0 / plan) - runs * adaptive->overhead;
}

/* Where to go from uring; there, while it is not yet known whether several workers gain anything.
 */
static fol_mode mode_without_ring(const fol_adaptive *adaptive)
{
    const fol_adaptive_window *window = &adaptive->window;
    if (adaptive->quiet >= adaptive->enough) {
        return FOL_MODE_BLOCKING;
    }
    bool is_parallel =
        window->count == window->capacity && window->sum[FOL_FIGURE_PARALLEL_RUNS] > 0;
    return is_parallel ? FOL_MODE_STEALING : FOL_MODE_URING;
}

static void leave_ring(fol_adaptive *adaptive)
{
    fol_mode mode = mode_without_ring(adaptive);
    if (mode != FOL_MODE_URING) {
        adaptive->load->is_refused[FOL_MODE_URING] = true;
        switch_mode(adaptive, FOL_ADAPTIVE_NO_OPERATIONS, mode, 0.0);
    }
}

/* The load has lasted and the cool-down is over: what the figures say. */
static void decide(fol_adaptive *adaptive)
{
    fol_adaptive_known *load = adaptive->load;
    const fol_adaptive_window *window = &adaptive->window;
    double operations = fol_adaptive_window_mean(window, FOL_FIGURE_OPERATIONS);
    double cycles = fol_adaptive_window_mean(window, FOL_FIGURE_CYCLES);
    double least = adaptive->config.least_operations;
    if (load->is_trial) {
        end_trial(adaptive);
    } else if (operations > 0.0 && operations >= least && may_try(adaptive, FOL_MODE_URING)) {
        start_trial(adaptive, FOL_ADAPTIVE_OPERATIONS, FOL_MODE_URING, 0.0);
    } else if (adaptive->mode == FOL_MODE_URING &&
               (operations == 0.0 || operations < least / 2.0)) {
        leave_ring(adaptive);
    } else if (adaptive->mode == FOL_MODE_STEALING && adaptive->quiet >= adaptive->enough) {
        load->is_refused[FOL_MODE_STEALING] = true;
        switch_mode(adaptive, FOL_ADAPTIVE_NOTHING_GAINED, FOL_MODE_BLOCKING, 0.0);
    } else if (adaptive->mode == FOL_MODE_BLOCKING && may_try(adaptive, FOL_MODE_STEALING) &&
               best_saving(adaptive) > 0.0 &&
               best_saving(adaptive) >= adaptive->config.least_gain * cycles) {
        start_trial(adaptive, FOL_ADAPTIVE_PARALLELISM, FOL_MODE_STEALING, best_saving(adaptive));
    } else if (window->count == window->capacity && window->sum[FOL_FIGURE_LOOKING_RUNS] == 0) {
        load->is_settled = true;
        load->best = adaptive->mode;
        load->cost[adaptive->mode] = fol_adaptive_window_trimmed(window, FOL_FIGURE_CYCLES);
        record(adaptive, FOL_ADAPTIVE_SETTLED, adaptive->mode, best_saving(adaptive));
    }
}

/* Takes what is known to suit the load, when it has come for sure. */
static void return_to_best(fol_adaptive *adaptive)
{
    const fol_adaptive_known *load = adaptive->load;
    if (adaptive->since < adaptive->familiar) {
        return;
    }
    if (load->best == adaptive->mode) {
        if (adaptive->decision.reason == FOL_ADAPTIVE_CHANGED) {
            record(adaptive, FOL_ADAPTIVE_RECOGNISED, load->best, load->cost[load->best]);
        }
        return;
    }
    double operations = fol_adaptive_window_mean(&adaptive->window, FOL_FIGURE_OPERATIONS);
    if (operations > 0.0) {
        adaptive->prefers_ring = load->best == FOL_MODE_URING;
    }
    switch_mode(adaptive, FOL_ADAPTIVE_FAMILIAR, load->best, load->cost[load->best]);
}

void fol_adaptive_hold(fol_adaptive *adaptive, fol_mode mode)
{
    adaptive->is_held = true;
    if (mode == adaptive->mode) {
        if (adaptive->decision.reason != FOL_ADAPTIVE_CHOSEN) {
            record(adaptive, FOL_ADAPTIVE_CHOSEN, mode, 0.0);
        }
    } else if (adaptive->cooldown_left == 0) {
        /* What the load was tried for is not found out. */
        adaptive->load->is_trial = false;
        switch_mode(adaptive, FOL_ADAPTIVE_CHOSEN, mode, 0.0);
    }
}

void fol_adaptive_let_go(fol_adaptive *adaptive)
{
    adaptive->is_held = false;
}

bool fol_adaptive_wants_ring(const fol_adaptive *adaptive)
{
    bool does_none = adaptive->window.sum[FOL_FIGURE_OPERATIONS] == 0;
    return adaptive->mode == FOL_MODE_URING ||
           (adaptive->prefers_ring && adaptive->load->is_settled && does_none);
}

fol_mode fol_adaptive_learn(fol_adaptive *adaptive, const fol_adaptive_sample *sample)
{
    bool is_quiet =
        sample->value[FOL_FIGURE_PARALLEL_RUNS] == 0 && sample->value[FOL_FIGURE_LOOKING_RUNS] == 0;
    adaptive->frames++;
    adaptive->cooldown_left -= adaptive->cooldown_left > 0;
    judge_frame(adaptive, sample);
    fol_adaptive_window_push(&adaptive->window, sample);
    adaptive->since += adaptive->since < UINT32_MAX;
    adaptive->quiet = is_quiet ? adaptive->quiet + (adaptive->quiet < UINT32_MAX) : 0;
    bool has_mean = adaptive->load->mean[adaptive->mode].count >= mean_least(adaptive);
    bool is_enough = adaptive->since >= adaptive->enough && has_mean;
    bool has_costs =
        adaptive->window.count >= adaptive->enough || adaptive->since >= LONG * adaptive->enough;
    if (is_enough && adaptive->load == &adaptive->fresh) {
        keep_load(adaptive);
    }
    adaptive->load->last_seen = adaptive->frames;
    if (adaptive->cooldown_left > 0 || adaptive->is_held) {
        return adaptive->mode;
    }
    if (adaptive->load->is_settled) {
        return_to_best(adaptive);
    } else if (is_enough && has_costs) {
        decide(adaptive);
    }
    return adaptive->mode;
}
