/* The adaptive backend: each frame runs as on the blocking, the stealing or the uring backend,
 * whichever suits the load; policy/adaptive.h has the rule.
 *
 * It has the threads, the team and the prepared phases of the stealing backend all the time, and
 * changes between frames only. Where a phase is better off is kept for each load that the policy
 * knows, so that one that comes back is not measured again. While it blocks no phase asks where to
 * run, and the helpers, who find no work, park. Only the caller touches its state; `switches` is in
 * the backend.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/stealing.h"
#include "base/assert.h"
#include "base/cycles.h"
#include "base/memory.h"
#include "foliot/status.h"
#include "policy/adaptive.h"
#include "trace/trace.h"

/* What a phase on several workers costs at least: about an exchange with an awake helper. */
#define OVERHEAD_US 1.0
/* Of frames shorter than this one in so many is learnt from: to learn from each would cost a tenth
 * of what there is to gain. A longer one always is, so no change to a heavier load is missed. */
#define SHORT_US    4.0
#define SHORT_EVERY 32u
/* Workers whose counters are read after each frame; of more, a share of them in turn. */
#define READ_WORKERS 8u

typedef struct adaptive {
    fol_stealing stealing; /* first: backend->state points at it */
    fol_adaptive policy;
    fol_adaptive_sample *samples;
    fol_adaptive_sample frame; /* what this frame's phases have added so far */
    fol_trace *trace;
    uint64_t parallel_runs; /* of the backend, when the frame before ended */
    uint64_t steals;        /* of all workers, when last read */
    uint64_t attempts;
    uint32_t frames_to_read; /* until they are read again */
    uint32_t frames_to_ask;  /* until the policy is asked again */
} adaptive;

static adaptive *state_of(const fol_backend *backend)
{
    return backend->state;
}

static int adaptive_init(fol_backend *backend, const fol_backend_config *config)
{
    if (!fol_adaptive_config_is_valid(&config->adaptive)) {
        snprintf(backend->reason, sizeof(backend->reason),
                 "the adaptive backend needs a window of %u to %u frames, a least gain from 0 to "
                 "below 1, and a number of operations of at least 0",
                 FOL_ADAPTIVE_LEAST_WINDOW, FOL_ADAPTIVE_MAX_WINDOW);
        return FOL_E_VALUE;
    }
    int status = -ENOMEM;
    adaptive *state = fol_alloc_zeroed(1, sizeof(*state));
    if (state == NULL) {
        return -ENOMEM;
    }
    uint32_t size = fol_adaptive_window_size(&config->adaptive);
    state->samples = fol_alloc_zeroed(size, sizeof(*state->samples));
    if (state->samples == NULL) {
        goto fail_samples;
    }
    status = fol_stealing_init(&state->stealing, backend, config);
    if (status != FOL_OK) {
        goto fail_stealing;
    }
    fol_adaptive_init(&state->policy, &config->adaptive, backend->workers,
                      OVERHEAD_US * state->stealing.crew.cycles_a_microsecond, state->samples);
    state->trace = config->trace;
    backend->skip_cycles = (uint64_t)(SHORT_US * state->stealing.crew.cycles_a_microsecond);
    return FOL_OK;

fail_stealing:
    fol_free(state->samples);
fail_samples:
    fol_free(state);
    return status;
}

static void adaptive_deinit(fol_backend *backend)
{
    adaptive *state = state_of(backend);
    fol_stealing_deinit(&state->stealing);
    fol_free(state->samples);
    fol_free(state);
}

static int adaptive_prepare(fol_backend *backend, fol_work *work)
{
    int status = fol_stealing_prepare(backend, work);
    if (status != FOL_OK || work->prepared == NULL) {
        return status;
    }
    status = fol_placed_keep(work->prepared, FOL_ADAPTIVE_LOADS);
    if (status != FOL_OK) {
        fol_stealing_unprepare(backend, work);
    }
    return status;
}

/* Costs are worth asking for anew when the load has changed, and when it has lasted for a while. */
static uint64_t costs_epoch(const fol_adaptive *policy)
{
    return policy->changes * 2 + (policy->since >= policy->enough / 2);
}

/* Adds what is known of a phase that ran to the frame's figures. */
static void note_run(adaptive *state, const fol_placed *placed)
{
    uint64_t *value = state->frame.value;
    value[FOL_FIGURE_RUNS]++;
    if (placed == NULL) {
        return;
    }
    const fol_placement *placement = &placed->placement;
    double least = placement->work / (double)placement->workers;
    value[FOL_FIGURE_WORK] += (uint64_t)placement->work;
    value[FOL_FIGURE_SPAN] += (uint64_t)(placement->span > least ? placement->span : least);
    if (state->policy.mode == FOL_MODE_BLOCKING || !placement->has_parallelism) {
        return;
    }
    value[FOL_FIGURE_PARALLEL_RUNS] +=
        placement->state == FOL_PLACEMENT_PARALLEL || placement->state == FOL_PLACEMENT_CHECK;
    value[FOL_FIGURE_LOOKING_RUNS] += placement->reason == FOL_PLACEMENT_UNKNOWN ||
                                      placement->reason == FOL_PLACEMENT_TRIED_AGAIN;
}

static void tell_load(const fol_adaptive *policy, fol_placed *placed)
{
    const fol_adaptive_known *load = policy->load;
    if (placed != NULL) {
        fol_placed_set_load(placed, load->id, load->id == 0 ? 0 : (uint32_t)(load - policy->known));
    }
}

static void adaptive_run(fol_backend *backend, const fol_work *work)
{
    adaptive *state = state_of(backend);
    fol_placed *placed = work->prepared;
    if (backend->frames_to_skip > 0 && state->policy.mode == FOL_MODE_BLOCKING) {
        fol_backend_run_in_order(backend, work);
        backend->serial_runs++;
        return;
    }
    if (state->policy.mode != FOL_MODE_BLOCKING) {
        tell_load(&state->policy, placed);
        fol_stealing_run(backend, work);
    } else if (placed != NULL) {
        fol_placed_run_in_order(placed, backend, work, costs_epoch(&state->policy),
                                fol_stealing_use_costs);
    } else {
        fol_backend_run_in_order(backend, work);
        backend->serial_runs++;
    }
    note_run(state, placed);
}

/* How often workers stole and tried to since it was last asked. */
static void read_steals(adaptive *state, const fol_backend *backend)
{
    bool was_parallel = backend->parallel_runs != state->parallel_runs;
    state->parallel_runs = backend->parallel_runs;
    if (!was_parallel || state->frames_to_read > 0) {
        state->frames_to_read -= was_parallel && state->frames_to_read > 0;
        return;
    }
    uint64_t steals = 0;
    uint64_t attempts = 0;
    for (uint32_t i = 0; i < backend->workers; i++) {
        fol_worker_counters counters;
        fol_team_read_worker(backend->team, i, &counters);
        steals += counters.steal_attempts - counters.steal_misses - counters.contended;
        attempts += counters.steal_attempts;
    }
    state->frame.value[FOL_FIGURE_STEALS] = steals - state->steals;
    state->frame.value[FOL_FIGURE_STEAL_ATTEMPTS] = attempts - state->attempts;
    state->steals = steals;
    state->attempts = attempts;
    state->frames_to_read = backend->workers / READ_WORKERS;
}

/* The number of a mode's name among those of the backends. */
static uint32_t mode_number(fol_mode mode)
{
    uint32_t i = 0;
    while (strcmp(fol_backend_names[i], fol_mode_name(mode)) != 0) {
        i++;
        FOL_ASSERT(fol_backend_names[i] != NULL);
    }
    return i;
}

/* The mode of a backend's place, or FOL_MODE_COUNT. */
static fol_mode mode_of_number(uint32_t number)
{
    uint32_t mode = 0;
    while (mode < FOL_MODE_COUNT && mode_number((fol_mode)mode) != number) {
        mode++;
    }
    return (fol_mode)mode;
}

/* Once in a window of frames a policy may say which mode it is to be. */
static void ask_policy(const fol_backend *backend, adaptive *state)
{
    const fol_work_calls *calls = &backend->calls;
    const fol_adaptive_window *window = &state->policy.window;
    if (calls->choose_backend == NULL || state->frames_to_ask > 0) {
        state->frames_to_ask -= state->frames_to_ask > 0;
        return;
    }
    state->frames_to_ask = fol_adaptive_window_size(&state->policy.config) - 1;
    fol_policy_load load = {.frame_ns = fol_adaptive_window_mean(window, FOL_FIGURE_CYCLES),
                            .busy_ns = fol_adaptive_window_mean(window, FOL_FIGURE_BUSY),
                            .parallelism = fol_adaptive_parallelism(&state->policy),
                            .operations = fol_adaptive_window_mean(window, FOL_FIGURE_OPERATIONS),
                            .in_flight = fol_adaptive_window_mean(window, FOL_FIGURE_IN_FLIGHT),
                            .current = mode_number(state->policy.mode)};
    uint32_t choice = load.current;
    if (!calls->choose_backend(calls->state, &load, &choice)) {
        fol_adaptive_let_go(&state->policy);
    } else if (mode_of_number(choice) != FOL_MODE_COUNT) {
        fol_adaptive_hold(&state->policy, mode_of_number(choice));
    }
}

/* A governed run takes what workers it finds something for, so there is nothing to place. */
static uint32_t adaptive_governed_workers(fol_backend *backend, const fol_work *work)
{
    adaptive *state = state_of(backend);
    bool is_parallel = state->policy.mode != FOL_MODE_BLOCKING;
    (void)work;
    state->frame.value[FOL_FIGURE_RUNS]++;
    state->frame.value[FOL_FIGURE_PARALLEL_RUNS] += is_parallel && backend->workers > 1;
    return is_parallel ? backend->workers : 1;
}

static void adaptive_end_frame(fol_backend *backend, const fol_backend_frame *frame)
{
    adaptive *state = state_of(backend);
    uint64_t *value = state->frame.value;
    fol_mode from = state->policy.mode;
    value[FOL_FIGURE_CYCLES] = frame->cycles;
    value[FOL_FIGURE_BUSY] = frame->busy_cycles;
    value[FOL_FIGURE_IO] = frame->io_cycles;
    value[FOL_FIGURE_OPERATIONS] = frame->operations;
    value[FOL_FIGURE_IN_FLIGHT] = frame->in_flight;
    value[FOL_FIGURE_NODES] = frame->nodes;
    read_steals(state, backend);
    (void)fol_adaptive_learn(&state->policy, &state->frame);
    ask_policy(backend, state);
    fol_mode to = state->policy.mode;
    memset(&state->frame, 0, sizeof(state->frame));
    backend->wants_ring = fol_adaptive_wants_ring(&state->policy);
    bool is_short = frame->cycles < backend->skip_cycles && frame->operations == 0;
    backend->frames_to_skip = is_short ? SHORT_EVERY - 1 : 0;
    if (from == to) {
        return;
    }
    backend->switches = state->policy.switches;
    if (backend->calls.note_switch != NULL) {
        backend->calls.note_switch(backend->calls.state, mode_number(from), mode_number(to));
    }
    if (state->trace != NULL) {
        uint64_t now = fol_cycles_now();
        fol_trace_write(state->trace, 0, FOL_TRACE_SWITCH, mode_number(from), mode_number(to), now,
                        now);
    }
}

static size_t adaptive_explain(const fol_backend *backend, const fol_work *work,
                               double ns_per_cycle, char *out, size_t room)
{
    const adaptive *state = state_of(backend);
    if (state->policy.mode != FOL_MODE_BLOCKING || work->prepared == NULL) {
        return fol_stealing_explain(backend, work, ns_per_cycle, out, room);
    }
    int length = snprintf(out, room,
                          "the %s backend ran it on the caller: frames run as on the blocking "
                          "backend now",
                          backend->ops->name);
    return length < 0 ? 0 : (size_t)length;
}

static size_t adaptive_explain_choice(const fol_backend *backend, double ns_per_cycle, char *out,
                                      size_t room)
{
    return fol_adaptive_explain(&state_of(backend)->policy, ns_per_cycle, out, room);
}

const fol_backend_ops fol_backend_adaptive = {.name = "adaptive",
                                              .init = adaptive_init,
                                              .deinit = adaptive_deinit,
                                              .prepare = adaptive_prepare,
                                              .unprepare = fol_stealing_unprepare,
                                              .run = adaptive_run,
                                              .explain = adaptive_explain,
                                              .governed_workers = adaptive_governed_workers,
                                              .end_frame = adaptive_end_frame,
                                              .explain_choice = adaptive_explain_choice};
