/* The host language's lock: which worker holds it, and when the host is asked to stop the frame.
 *
 * Each runner knows whether its thread is attached. Workers attach for what needs the host and
 * detach before they run anything else, search or park. Only the caller asks the host whether the
 * frame should stop: signals belong to its thread. Beside a thread that keeps the host busy each
 * look costs the milliseconds until that one gives way, so the more a look cost, the later the
 * next one is due.
 */

#include <errno.h>

#include "base/cycles.h"
#include "foliot/status.h"
#include "frame/frame.h"

/* While another worker holds the host the caller, which runs native systems meanwhile, would wait
 * for its lock; so it asks this many times less often. */
#define PATIENCE 16u

/* So many times as long as a look at the host took none is due; in periods of looking, at most. */
#define REST        16u
#define MAX_PERIODS 40u

static void attach(fol_scheduler *scheduler, fol_runner *runner)
{
    const fol_host *host = &scheduler->config.host;
    if (scheduler->trace == NULL) {
        host->attach(host->state);
        return;
    }
    uint64_t start = fol_cycles_now();
    host->attach(host->state);
    uint64_t end = fol_cycles_now();
    fol_count(&runner->host_wait_cycles, end > start ? end - start : 0);
    fol_trace_write(scheduler->trace, runner->worker, FOL_TRACE_HOST, 0, 0, start, end);
}

void fol_host_switch(fol_scheduler *scheduler, fol_runner *runner, bool attached)
{
    const fol_host *host = &scheduler->config.host;
    runner->is_attached = attached;
    if (host->attach == NULL) {
        return;
    }
    if (!attached) {
        host->detach(host->state);
    }
    if (runner->worker != 0) {
        /* A hint for the caller: it orders nothing. */
        atomic_fetch_add_explicit(&scheduler->attached_helpers, attached ? 1u : UINT32_MAX,
                                  memory_order_relaxed);
    }
    if (attached) {
        attach(scheduler, runner);
        fol_count(&runner->host_switches, 1);
    }
}

void fol_host_ask(fol_scheduler *scheduler, uint64_t now_cycles)
{
    const fol_host *host = &scheduler->config.host;
    fol_runner *runner = &scheduler->runners[0];
    bool was_attached = runner->is_attached;
    if (scheduler->is_merging) {
        return;
    }
    if (host->pending != NULL && !was_attached &&
        atomic_load_explicit(&scheduler->attached_helpers, memory_order_relaxed) != 0 &&
        now_cycles - scheduler->last_poll < PATIENCE * scheduler->poll_cycles) {
        return;
    }
    scheduler->last_poll = now_cycles;
    if (host->pending == NULL) {
        return;
    }
    /* Also when the frame is to stop already: a second signal is for what took no notice of the
     * first. */
    fol_host_set_attached(scheduler, runner, true);
    if (host->pending(host->state) != 0) {
        fol_interrupt(scheduler);
    }
    fol_host_set_attached(scheduler, runner, was_attached);
    uint64_t end = fol_cycles_now();
    uint64_t cost = !was_attached && end > now_cycles ? end - now_cycles : 0;
    uint64_t most = MAX_PERIODS * scheduler->poll_cycles;
    scheduler->poll_pause = cost < most / REST ? REST * cost : most;
}

int fol_host_watch(fol_scheduler *scheduler)
{
    const fol_host *host = &scheduler->config.host;
    fol_runner *runner = &scheduler->runners[0];
    bool was_attached = runner->is_attached;
    if (host->watch == NULL || scheduler->is_merging) {
        return -EOPNOTSUPP;
    }
    FOL_ASSERT(host->unwatch != NULL);
    fol_host_set_attached(scheduler, runner, true);
    int descriptor = host->watch(host->state);
    if (descriptor == FOL_E_INTERRUPTED) {
        fol_interrupt(scheduler);
    }
    fol_host_set_attached(scheduler, runner, was_attached);
    return descriptor;
}

void fol_host_unwatch(fol_scheduler *scheduler)
{
    const fol_host *host = &scheduler->config.host;
    fol_runner *runner = &scheduler->runners[0];
    bool was_attached = runner->is_attached;
    fol_host_set_attached(scheduler, runner, true);
    host->unwatch(host->state);
    fol_host_ask(scheduler, fol_cycles_now());
    fol_host_set_attached(scheduler, runner, was_attached);
}

void fol_host_ask_rested(fol_scheduler *scheduler, uint64_t now_cycles)
{
    if (FOL_UNLIKELY(scheduler->trace != NULL)) {
        /* Who reads sees what ran so far. */
        fol_trace_end_chain(scheduler->trace);
    }
    if (now_cycles - scheduler->last_poll >= scheduler->poll_pause) {
        fol_host_ask(scheduler, now_cycles);
    }
}

void fol_release_host(void *state, uint32_t worker)
{
    fol_scheduler *scheduler = state;
    fol_host_set_attached(scheduler, &scheduler->runners[worker], false);
}

void fol_poll(void *state)
{
    fol_host_poll(state, fol_cycles_now());
}
