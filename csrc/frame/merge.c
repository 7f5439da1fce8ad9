/* The merge behind a segment: recorded commands become changes of the world, in one order.
 *
 * All workers' buffers are merged as one, by the stamps in them. A merge that runs out of memory
 * keeps what it could not apply; the next merge, of this frame or a later one, tries again. A frame
 * that was interrupted still merges what its finished systems recorded, so that nothing they did is
 * lost.
 */

#include "base/assert.h"
#include "base/cycles.h"
#include "foliot/status.h"
#include "frame/frame.h"

/* The system of a stamp, which may have waited since another phase or an earlier program. */
static uint32_t system_of_order(const fol_scheduler *scheduler, uint32_t system_order)
{
    if (system_order < scheduler->first_order) {
        return UINT32_MAX;
    }
    uint32_t node = system_order - scheduler->first_order;
    FOL_ASSERT(node < scheduler->program->node_count);
    return scheduler->program->nodes[node].system;
}

static uint32_t end_of_segment(const fol_scheduler *scheduler, uint32_t segment)
{
    return scheduler->phase->segment_ends[segment];
}

static void keep_error(fol_scheduler *scheduler, uint32_t system, int status)
{
    fol_frame_error error = {.system = system, .status = status, .is_merge = true};
    if (status == FOL_E_CAPACITY) {
        error.full_setting = fol_world_full_setting(scheduler->world);
        error.full_limit = fol_world_full_limit(scheduler->world);
    }
    fol_record_error(scheduler, scheduler->merge_place, &error);
}

static void record_command_error(void *argument, uint32_t system_order, int status)
{
    fol_scheduler *scheduler = argument;
    FOL_ASSERT(status < 0);
    if (status == FOL_E_INTERRUPTED) {
        fol_interrupt(scheduler);
        return;
    }
    keep_error(scheduler, system_of_order(scheduler, system_order), status);
}

static uint64_t count_waiting(const fol_scheduler *scheduler)
{
    uint64_t waiting = 0;
    for (uint32_t i = 0; i < scheduler->worker_count; i++) {
        waiting += fol_commands_count(scheduler->buffers[i]);
    }
    return waiting;
}

static bool needs_host(const fol_scheduler *scheduler)
{
    bool needs = false;
    for (uint32_t i = 0; i < scheduler->worker_count; i++) {
        needs = needs || fol_commands_need_host(scheduler->buffers[i]);
    }
    return needs;
}

void fol_discard_later(fol_scheduler *scheduler, fol_node *node)
{
    if (node->records_commands) {
        node->must_discard = true;
        /* The merge looks when all nodes have ended, which orders it behind this. */
        atomic_fetch_add_explicit(&scheduler->discards, 1, memory_order_relaxed);
    }
}

static void discard_failed(fol_scheduler *scheduler, uint32_t segment)
{
    uint32_t first = segment == 0 ? 0 : end_of_segment(scheduler, segment - 1);
    uint32_t end = end_of_segment(scheduler, segment);
    atomic_store_explicit(&scheduler->discards, 0, memory_order_relaxed);
    if (needs_host(scheduler)) {
        fol_host_set_attached(scheduler, &scheduler->runners[0], true);
    }
    for (uint32_t index = first; index < end; index++) {
        fol_node *node = &scheduler->phase_nodes[index];
        for (uint32_t i = 0; node->must_discard && i < scheduler->worker_count; i++) {
            fol_commands_discard(scheduler->buffers[i], fol_node_order(scheduler, index));
        }
        node->must_discard = false;
    }
}

/* Counts what came to this merge for the first time. */
static void count_recorded(fol_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->worker_count; i++) {
        fol_runner *runner = &scheduler->runners[i];
        uint32_t waiting = fol_commands_count(runner->commands);
        fol_count(&runner->recorded, waiting - runner->waiting);
    }
}

static uint64_t count_applied(const fol_merge_report *report)
{
    uint64_t applied = 0;
    for (uint32_t kind = 0; kind < FOL_COMMAND_KINDS; kind++) {
        applied += report->applied[kind];
    }
    return applied;
}

typedef struct shared_part {
    void (*run)(void *argument, uint32_t index);
    void *argument;
} shared_part;

static int run_parts(fol_parallel *self, size_t first, size_t end, void *argument)
{
    const shared_part *part = argument;
    (void)self;
    for (size_t i = first; i < end; i++) {
        part->run(part->argument, (uint32_t)i);
    }
    return 0;
}

/* The parts of a large merge go to everybody; they never need the host, so the caller may hold it
 * while it waits for them. */
static void share_parts(void *state, uint32_t count, void (*run)(void *argument, uint32_t index),
                        void *argument)
{
    fol_scheduler *scheduler = state;
    const fol_chunk *caller = &scheduler->runners[0].chunk_seen;
    shared_part part = {run, argument};
    (void)caller->parallel->for_range(caller->self, count, 1, run_parts, &part);
}

static void merge_buffers(fol_scheduler *scheduler)
{
    fol_merge_report *report = &scheduler->result.merged;
    report->on_error = record_command_error;
    report->on_error_argument = scheduler;
    if (scheduler->backend.team != NULL) {
        report->run_parallel = share_parts;
        report->parallel_state = scheduler;
    }
    scheduler->is_merging = true;
    int status =
        fol_world_merge(scheduler->world, scheduler->buffers, scheduler->worker_count, report);
    scheduler->is_merging = false;
    if (status != FOL_OK) {
        keep_error(scheduler, UINT32_MAX, status);
    }
    for (uint32_t i = 0; i < scheduler->worker_count; i++) {
        scheduler->runners[i].waiting = fol_commands_count(scheduler->buffers[i]);
    }
    fol_count(&scheduler->counters.merges, 1);
}

static uint32_t phase_number(const fol_scheduler *scheduler)
{
    return (uint32_t)(scheduler->phase - scheduler->program->phases);
}

static void merge_segment(fol_scheduler *scheduler, uint32_t segment, uint64_t start)
{
    fol_runner *runner = &scheduler->runners[0];
    uint32_t end = end_of_segment(scheduler, segment);
    fol_host_set_attached(scheduler, runner, needs_host(scheduler));
    if (end > 0) {
        fol_world_set_tick(scheduler->world, fol_merge_tick(scheduler, end));
    }
    uint64_t applied = count_applied(&scheduler->result.merged);
    scheduler->merge_place = (fol_place){scheduler->run_number, 2 * end};
    count_recorded(scheduler);
    merge_buffers(scheduler);
    uint64_t now = fol_cycles_now();
    scheduler->merge_cycles += now > start ? now - start : 0;
    runner->stamp = now;
    scheduler->segment_from = now;
    if (FOL_UNLIKELY(scheduler->trace != NULL)) {
        applied = count_applied(&scheduler->result.merged) - applied;
        fol_trace_write(scheduler->trace, 0, FOL_TRACE_MERGE, phase_number(scheduler),
                        applied < UINT32_MAX ? (uint32_t)applied : UINT32_MAX, start, now);
    }
}

void fol_begin_chain(fol_scheduler *scheduler, uint32_t segment)
{
    uint32_t first = segment == 0 ? 0 : end_of_segment(scheduler, segment - 1);
    fol_trace_begin_chain(scheduler->trace, end_of_segment(scheduler, segment) - first,
                          &scheduler->runners[0].stamp);
}

void fol_run_merge(void *state, uint32_t segment)
{
    fol_scheduler *scheduler = state;
    fol_runner *runner = &scheduler->runners[0];
    FOL_ASSERT(segment < scheduler->phase->work.segment_count);
    if (scheduler->is_parallel) {
        runner->stamp = fol_cycles_now();
    } else {
        /* One after another, the nodes filled all the time since. */
        fol_count(&runner->busy_cycles, runner->stamp - scheduler->segment_from);
    }
    uint64_t start = runner->stamp;
    if (FOL_UNLIKELY(scheduler->trace != NULL)) {
        fol_trace_write(scheduler->trace, 0, FOL_TRACE_SEGMENT, phase_number(scheduler), segment,
                        scheduler->segment_from, start);
    }
    scheduler->segment_from = start;
    fol_frame_io *io = fol_io_of(scheduler);
    bool delivers = io != NULL && fol_io_begin_cut(io, segment);
    if (FOL_UNLIKELY(atomic_load_explicit(&scheduler->discards, memory_order_relaxed) != 0)) {
        discard_failed(scheduler, segment);
    }
    if (count_waiting(scheduler) != 0) {
        merge_segment(scheduler, segment, runner->stamp);
    }
    if (delivers) {
        fol_io_end_cut(io, segment);
    }
    if (scheduler->is_parallel) {
        fol_host_set_attached(scheduler, runner, false);
    } else if (FOL_UNLIKELY(scheduler->trace != NULL) &&
               segment + 1 < scheduler->phase->work.segment_count) {
        fol_begin_chain(scheduler, segment + 1);
    }
}

void fol_begin_parallel(void *state)
{
    fol_scheduler *scheduler = state;
    FOL_ASSERT(!scheduler->is_parallel);
    /* Here, and behind each merge: others may begin before the caller has a node to run. */
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    scheduler->is_parallel = true;
    /* A governed run is one of these on one worker too. */
    scheduler->was_parallel = scheduler->worker_count > 1;
}

void fol_end_parallel(void *state)
{
    fol_scheduler *scheduler = state;
    FOL_ASSERT(scheduler->is_parallel);
    scheduler->is_parallel = false;
    scheduler->runners[0].stamp = fol_cycles_now();
}
