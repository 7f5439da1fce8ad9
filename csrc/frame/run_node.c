/* Running one node: whether it runs, its task, its kernel or function, and what it cost.
 *
 * Stamps are taken once a node: the end of one is the start of the next, so that a frame of a
 * thousand small systems spends its time in the systems.
 */

#include <errno.h>

#include "base/assert.h"
#include "base/cycles.h"
#include "base/memory.h"
#include "foliot/status.h"
#include "frame/frame.h"

/* The most rows a kernel gets in one call when the system does not say. */
#define MAX_PACED_ROWS 131072u

/* Runs of one system between two looks at the time; as many rows as one may have bring one too. */
#define RUNS_A_POLL 64u

/* A new cost counts this much in the running mean. */
#define MEAN_WEIGHT 0.125

void fol_host_set_attached(fol_scheduler *scheduler, bool attached)
{
    const fol_host *host = &scheduler->config.host;
    if (scheduler->is_attached == attached) {
        return;
    }
    scheduler->is_attached = attached;
    if (host->attach == NULL) {
        return;
    }
    if (attached) {
        host->attach(host->state);
        scheduler->stats.host_switches++;
    } else {
        host->detach(host->state);
    }
}

void fol_host_poll(fol_scheduler *scheduler, uint64_t now_cycles)
{
    const fol_host *host = &scheduler->config.host;
    if (FOL_LIKELY(now_cycles - scheduler->last_poll < scheduler->poll_cycles)) {
        return;
    }
    scheduler->last_poll = now_cycles;
    if (host->pending == NULL || scheduler->is_interrupted) {
        return;
    }
    bool was_attached = scheduler->is_attached;
    fol_host_set_attached(scheduler, true);
    if (host->pending(host->state) != 0) {
        scheduler->is_interrupted = true;
    }
    fol_host_set_attached(scheduler, was_attached);
}

static bool make_error_room(fol_scheduler *scheduler)
{
    if (scheduler->result.error_count < scheduler->error_room) {
        return true;
    }
    uint32_t room = scheduler->error_room * 2 + 16;
    fol_frame_error *grown = fol_realloc_array(scheduler->errors, room, sizeof(*scheduler->errors));
    if (grown == NULL) {
        return false;
    }
    scheduler->errors = grown;
    scheduler->error_room = room;
    return true;
}

void fol_record_error(fol_scheduler *scheduler, uint32_t system, int status, int code,
                      bool is_merge)
{
    FOL_ASSERT(status < 0);
    FOL_ASSERT(system == UINT32_MAX || system < scheduler->program->node_count);
    if (!make_error_room(scheduler)) {
        scheduler->lost_errors = true;
        return;
    }
    scheduler->errors[scheduler->result.error_count] =
        (fol_frame_error){.system = system,
                          .status = status,
                          .code = code,
                          .is_merge = is_merge,
                          .sequence = scheduler->result.error_count};
    scheduler->result.error_count++;
}

static void count_failure(fol_scheduler *scheduler, fol_node *node)
{
    FOL_ASSERT(!node->is_quarantined);
    FOL_ASSERT(scheduler->result.quarantined_count < scheduler->program->node_count);
    node->failures++;
    scheduler->stats.systems_failed++;
    if (scheduler->config.errors == FOL_ERRORS_QUARANTINE &&
        node->failures >= scheduler->config.quarantine_after) {
        node->is_quarantined = true;
        scheduler->program->quarantined[scheduler->result.quarantined_count] = node->system;
        scheduler->result.quarantined_count++;
    }
}

static void fail_node(fol_scheduler *scheduler, fol_node *node, fol_node_frame *frame, int status,
                      int code)
{
    if (node->records_commands) {
        if (fol_commands_need_host(scheduler->commands)) {
            fol_host_set_attached(scheduler, true);
        }
        fol_commands_rollback(scheduler->commands);
    }
    if (status == FOL_E_INTERRUPTED) {
        scheduler->is_interrupted = true;
        frame->state = FOL_RUN_INTERRUPTED;
        return;
    }
    frame->state = FOL_RUN_FAILED;
    fol_record_error(scheduler, node->system, status, code, false);
    count_failure(scheduler, node);
}

/* Calls the kernel of a node that has no table to go over: once, with its resources. */
static int run_without_components(fol_scheduler *scheduler, fol_node *node, int *code)
{
    void *columns[FOL_MAX_COLUMNS];
    FOL_ASSERT(node->column_count <= FOL_MAX_COLUMNS);
    for (uint32_t i = 0; i < node->column_count; i++) {
        const fol_resource_column *column = &node->resource_columns[i];
        uint8_t *value = fol_world_resource(scheduler->world, column->component);
        if (value == NULL) {
            return FOL_E_MISSING;
        }
        columns[i] = value + column->offset;
    }
    if (node->kind == FOL_SYSTEM_COLUMNS) {
        *code = node->function.columns_kernel(columns, 1, node->user);
    } else {
        scheduler->chunk.columns = columns;
        scheduler->chunk.rows = 1;
        scheduler->chunk.entities = NULL;
        *code = node->function.chunk_kernel(&scheduler->chunk, node->user);
    }
    for (uint32_t i = 0; i < node->column_count; i++) {
        if (node->resource_columns[i].is_written) {
            fol_world_mark_resource(scheduler->world, node->resource_columns[i].component);
        }
    }
    scheduler->task.rows++;
    return *code == 0 ? FOL_OK : FOL_E_KERNEL;
}

static int call_kernel(fol_scheduler *scheduler, const fol_node *node, const fol_run *run)
{
    if (node->kind == FOL_SYSTEM_COLUMNS) {
        return node->function.columns_kernel((void **)run->columns, (ptrdiff_t)run->rows,
                                             node->user);
    }
    scheduler->chunk.columns = run->columns;
    scheduler->chunk.rows = (ptrdiff_t)run->rows;
    scheduler->chunk.entities = run->entities;
    return node->function.chunk_kernel(&scheduler->chunk, node->user);
}

/* How many rows a call should get after `rows` of them took so many cycles: as many as take about
 * as long as the host may wait to be asked, so that an interrupt is seen in time however slow the
 * kernel is, and a fast one gets whole tables. */
static uint32_t pace_rows(const fol_scheduler *scheduler, uint32_t rows, uint64_t cycles)
{
    if (cycles < scheduler->poll_cycles / 4) {
        return rows < MAX_PACED_ROWS / 2 ? rows * 2 : MAX_PACED_ROWS;
    }
    if (cycles > scheduler->poll_cycles * 2) {
        double fitting = (double)rows * (double)scheduler->poll_cycles / (double)cycles;
        return fitting < 1.0 ? 1 : (uint32_t)fitting;
    }
    return rows;
}

/* Looks at the time and the host after a stretch of max_rows rows or of many runs. */
static void look_up(fol_scheduler *scheduler, fol_node *node, fol_query_iterator *iterator,
                    uint64_t *looked, bool is_full)
{
    uint64_t now = fol_cycles_now();
    if (is_full && node->max_rows == 0) {
        uint64_t cycles = now > *looked ? now - *looked : 0;
        node->paced_rows = pace_rows(scheduler, node->paced_rows, cycles);
        iterator->max_rows = node->paced_rows;
    }
    *looked = now;
    fol_host_poll(scheduler, now);
}

/* Calls the kernel for each run of rows of the default query. */
static int run_over_tables(fol_scheduler *scheduler, fol_node *node, fol_node_frame *frame,
                           int *code)
{
    fol_query *query = node->queries[0];
    uint32_t max_rows = node->max_rows == 0 ? node->paced_rows : node->max_rows;
    fol_query_iterator iterator;
    fol_run run;
    int status = fol_query_begin(query, node->last_tick, max_rows, &iterator);
    if (status != FOL_OK) {
        return status;
    }
    bool is_marked = fol_query_needs_marks(query);
    uint64_t looked = scheduler->stamp;
    uint32_t runs = 0;
    uint64_t rows = 0;
    uint32_t look_at_runs = RUNS_A_POLL;
    uint64_t look_at_rows = max_rows;
    while (fol_query_next(&iterator, &run)) {
        *code = call_kernel(scheduler, node, &run);
        if (FOL_UNLIKELY(is_marked)) {
            fol_query_mark(query, &run, NULL, scheduler->task.tick);
        }
        rows += run.rows;
        runs++;
        if (FOL_UNLIKELY(*code != 0)) {
            status = FOL_E_KERNEL;
            break;
        }
        if (FOL_UNLIKELY(runs == look_at_runs || rows >= look_at_rows)) {
            look_up(scheduler, node, &iterator, &looked, rows >= look_at_rows);
            look_at_runs = runs + RUNS_A_POLL;
            look_at_rows = rows + iterator.max_rows;
            if (scheduler->is_interrupted) {
                status = FOL_E_INTERRUPTED;
                break;
            }
        }
    }
    scheduler->task.rows += rows;
    frame->tasks += runs;
    return status;
}

static int run_native(fol_scheduler *scheduler, fol_node *node, fol_node_frame *frame, int *code)
{
    if (node->kind == FOL_SYSTEM_CHUNK) {
        fol_chunk *chunk = &scheduler->chunk;
        chunk->dt = scheduler->task.dt;
        chunk->time = scheduler->task.time;
        chunk->frame = scheduler->task.frame;
        chunk->column_count = node->column_count;
        chunk->component_count = node->component_count;
        chunk->components = node->components;
        chunk->api = node->records_commands ? &fol_command_api_table : NULL;
        chunk->commands = scheduler->task.commands;
        chunk->user = node->user;
    }
    if (!node->has_components) {
        frame->tasks++;
        return run_without_components(scheduler, node, code);
    }
    return run_over_tables(scheduler, node, frame, code);
}

/* Whether the node may run now; if not, why is in frame->state. */
static bool node_is_due(fol_scheduler *scheduler, const fol_node *node, fol_node_frame *frame)
{
    if (FOL_UNLIKELY(scheduler->is_interrupted)) {
        /* What failed before in this frame stays reported as failed. */
        if (frame->state != FOL_RUN_FAILED) {
            frame->state = FOL_RUN_INTERRUPTED;
        }
        return false;
    }
    if (FOL_UNLIKELY(node->is_disabled || node->is_quarantined)) {
        /* What failed for good in this very frame stays reported as failed. */
        if (frame->state == FOL_RUN_NOT_DUE) {
            frame->state = node->is_disabled ? FOL_RUN_DISABLED : FOL_RUN_QUARANTINED;
        }
        return false;
    }
    /* A fixed-rate phase may come several times: what failed waits for the next frame. */
    return frame->state != FOL_RUN_FAILED;
}

/* 1 when the node's condition lets it run, 0 when it does not, or a failure. */
static int ask_condition(fol_scheduler *scheduler, const fol_node *node, fol_node_frame *frame)
{
    if (node->condition == NULL) {
        return 1;
    }
    fol_host_set_attached(scheduler, node->condition_needs_host);
    int answer = node->condition(node->condition_user, &scheduler->task);
    if (answer == 0 && frame->state == FOL_RUN_NOT_DUE) {
        frame->state = FOL_RUN_SKIPPED;
        scheduler->stats.systems_skipped++;
    }
    return answer;
}

/* Runs the condition and the function; the task is ready. */
static int run_due_node(fol_scheduler *scheduler, fol_node *node, fol_node_frame *frame,
                        uint32_t index, int *code)
{
    if (node->records_commands) {
        uint32_t node_number = scheduler->phase->first + index;
        fol_commands_begin(scheduler->commands, scheduler->first_order + node_number, 0);
    }
    if (node->is_exclusive) {
        fol_world_set_tick(scheduler->world, scheduler->task.tick);
    }
    int answer = ask_condition(scheduler, node, frame);
    if (answer <= 0) {
        return answer;
    }
    fol_host_set_attached(scheduler, node->needs_host);
    frame->state = FOL_RUN_DONE;
    scheduler->stats.systems_run++;
    int status;
    if (node->kind == FOL_SYSTEM_HOSTED) {
        frame->tasks++;
        status = node->function.hosted(node->user, &scheduler->task);
    } else {
        status = run_native(scheduler, node, frame, code);
    }
    /* Whoever fails or is stopped finds the same changes again: they may not have been dealt with.
     */
    if (status == FOL_OK) {
        node->last_tick = scheduler->task.tick;
    }
    return status;
}

void fol_run_node(void *state, uint32_t index, uint32_t worker)
{
    fol_scheduler *scheduler = state;
    fol_node *node = &scheduler->phase_nodes[index];
    fol_node_frame *frame = &scheduler->phase_frames[index];
    if (!node_is_due(scheduler, node, frame)) {
        return;
    }
    fol_task *task = &scheduler->task;
    task->queries = node->queries;
    task->query_count = node->query_count;
    task->system = node->system;
    task->worker = worker;
    task->commands = node->records_commands ? scheduler->commands : NULL;
    task->since = node->last_tick;
    task->tick = fol_node_tick(scheduler, index);
    task->rows = 0;

    int code = 0;
    int status = run_due_node(scheduler, node, frame, index, &code);
    if (FOL_UNLIKELY(status < 0)) {
        fail_node(scheduler, node, frame, status, code);
    }
    uint64_t now = fol_cycles_now();
    uint64_t cycles = now > scheduler->stamp ? now - scheduler->stamp : 0;
    scheduler->stamp = now;
    frame->cycles += cycles;
    frame->rows += task->rows;
    if (frame->state == FOL_RUN_DONE) {
        node->mean_cycles =
            node->mean_cycles == 0.0
                ? (double)cycles
                : node->mean_cycles + MEAN_WEIGHT * ((double)cycles - node->mean_cycles);
    }
    fol_host_poll(scheduler, now);
}
