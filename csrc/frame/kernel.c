/* Calling the kernel of a native system: once with its resources, or once for each run of rows.
 *
 * How many rows a call gets follows what calls took: as many as take about as long as the host may
 * wait to be asked, so that an interrupt is seen in time however slow the kernel is, and a fast one
 * gets whole tables. Pieces of one node learn this together, each from its own calls.
 */

#include "base/assert.h"
#include "base/cycles.h"
#include "foliot/status.h"
#include "frame/frame.h"

/* The most rows a kernel gets in one call when the system does not say. */
#define MAX_PACED_ROWS 131072u

/* Runs of one system between two looks at the time; as many rows as one may have bring one too. */
#define RUNS_A_POLL 64u

/* Calls the kernel of a node that has no table to go over: once, with its resources. */
static int run_without_components(fol_scheduler *scheduler, fol_runner *runner,
                                  const fol_node *node, int *code)
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
        runner->chunk_seen.columns = columns;
        runner->chunk_seen.rows = 1;
        runner->chunk_seen.entities = NULL;
        *code = node->function.chunk_kernel(&runner->chunk_seen, node->user);
    }
    for (uint32_t i = 0; i < node->column_count; i++) {
        if (node->resource_columns[i].is_written) {
            fol_world_mark_resource(scheduler->world, node->resource_columns[i].component);
        }
    }
    runner->task.rows++;
    return *code == 0 ? FOL_OK : FOL_E_KERNEL;
}

static int call_kernel(fol_runner *runner, const fol_node *node, const fol_run *run)
{
    if (node->kind == FOL_SYSTEM_COLUMNS) {
        return node->function.columns_kernel((void **)run->columns, (ptrdiff_t)run->rows,
                                             node->user);
    }
    runner->chunk_seen.columns = run->columns;
    runner->chunk_seen.rows = (ptrdiff_t)run->rows;
    runner->chunk_seen.entities = run->entities;
    return node->function.chunk_kernel(&runner->chunk_seen, node->user);
}

/* How many rows a call should get after `rows` of them took so many cycles. */
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

/* Looks at the time, and the caller at the host, after a stretch of max_rows rows or of many runs.
 */
static void look_up(fol_scheduler *scheduler, const fol_runner *runner, fol_node *node,
                    fol_query_iterator *iterator, uint64_t *looked, bool is_full)
{
    uint64_t now = fol_cycles_now();
    if (is_full && node->max_rows == 0) {
        uint64_t cycles = now > *looked ? now - *looked : 0;
        uint32_t paced = pace_rows(scheduler, (uint32_t)iterator->max_rows, cycles);
        atomic_store_explicit(&node->paced_rows, paced, memory_order_relaxed);
        iterator->max_rows = paced;
    }
    *looked = now;
    if (runner->worker == 0) {
        fol_host_poll(scheduler, now);
    }
}

/* Calls the kernel for each run of rows that the iterator gives. */
static int run_over_tables(fol_scheduler *scheduler, fol_runner *runner, fol_node *node,
                           fol_query_iterator *iterator, uint32_t *tasks, int *code)
{
    fol_query *query = iterator->query;
    fol_run run;
    int status = FOL_OK;
    bool is_marked = fol_query_needs_marks(query);
    uint64_t looked = runner->stamp;
    uint32_t runs = 0;
    uint64_t rows = 0;
    uint32_t look_at_runs = RUNS_A_POLL;
    uint64_t look_at_rows = iterator->max_rows;
    while (fol_query_next(iterator, &run)) {
        *code = call_kernel(runner, node, &run);
        if (FOL_UNLIKELY(is_marked)) {
            fol_query_mark(query, &run, NULL, runner->task.tick);
        }
        rows += run.rows;
        runs++;
        if (FOL_UNLIKELY(*code != 0)) {
            status = FOL_E_KERNEL;
            break;
        }
        if (FOL_UNLIKELY(runs == look_at_runs || rows >= look_at_rows)) {
            look_up(scheduler, runner, node, iterator, &looked, rows >= look_at_rows);
            look_at_runs = runs + RUNS_A_POLL;
            look_at_rows = rows + iterator->max_rows;
            if (fol_is_interrupted(scheduler)) {
                status = FOL_E_INTERRUPTED;
                break;
            }
        }
    }
    runner->task.rows += rows;
    *tasks = runs;
    return status;
}

static void fill_chunk(fol_runner *runner, const fol_node *node)
{
    fol_chunk *chunk = &runner->chunk_seen;
    chunk->dt = runner->task.dt;
    chunk->time = runner->task.time;
    chunk->frame = runner->task.frame;
    chunk->column_count = node->column_count;
    chunk->component_count = node->component_count;
    chunk->components = node->components;
    chunk->api = node->records_commands ? &fol_command_api_table : NULL;
    chunk->commands = runner->task.commands;
    chunk->user = node->user;
    chunk->io_api = node->does_io ? &fol_io_api_table : NULL;
    chunk->io = runner->task.io;
}

/* Whole, or the rows of one piece. */
static int begin_rows(const fol_node *node, uint32_t piece, fol_query_iterator *out)
{
    fol_query *query = node->queries[0];
    uint32_t paced = atomic_load_explicit(&node->paced_rows, memory_order_relaxed);
    uint32_t max_rows = node->max_rows == 0 ? paced : node->max_rows;
    if (FOL_LIKELY(piece == FOL_NO_PIECE)) {
        return fol_query_begin(query, node->last_tick, max_rows, out);
    }
    const fol_pieces *pieces = &node->pieces;
    uint64_t first = pieces->row_count * piece / pieces->count;
    uint64_t end = pieces->row_count * (piece + 1) / pieces->count;
    return fol_query_begin_range(query, node->last_tick, max_rows, first, end, out);
}

int fol_run_kernel(fol_scheduler *scheduler, fol_runner *runner, fol_node *node, uint32_t piece,
                   uint32_t *tasks, int *code)
{
    if (node->kind == FOL_SYSTEM_CHUNK) {
        fill_chunk(runner, node);
    }
    if (!node->has_components) {
        *tasks = 1;
        return run_without_components(scheduler, runner, node, code);
    }
    fol_query_iterator iterator;
    *tasks = 0;
    int status = begin_rows(node, piece, &iterator);
    return status != FOL_OK ? status
                            : run_over_tables(scheduler, runner, node, &iterator, tasks, code);
}
