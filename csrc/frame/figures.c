/* What a frame tells of each of its systems.
 *
 * Without a trace nodes add up what their runs took. With one the entries of chains say it, and are
 * added up here: when somebody looks at the frame, and before entries that it still needs are
 * written again.
 */
#include "frame/budget.h"
#include "frame/frame.h"

static void settle(const fol_scheduler *scheduler, fol_trace_cursor *cursor)
{
    const fol_program *program = scheduler->program;
    uint32_t system = fol_trace_next_system(cursor);
    while (system != UINT32_MAX) {
        fol_node_frame *frame = &program->nodes[program->node_of_system[system]].frame;
        fol_trace_take_entry(scheduler->trace, cursor, &frame->cycles, &frame->rows);
        system = fol_trace_next_system(cursor);
    }
}

void fol_settle_trace(void *state)
{
    const fol_scheduler *scheduler = state;
    fol_trace_cursor cursor = fol_trace_begin_settling(scheduler->trace);
    settle(scheduler, &cursor);
}

/* One stretch of code with the loops below, which go over every node. `cycles` and `rows` are what
 * the node does not have yet. */
static inline __attribute__((always_inline)) void publish_node(const fol_scheduler *scheduler,
                                                               const fol_program *program,
                                                               uint32_t index, double scale,
                                                               uint64_t cycles, uint64_t rows)
{
    const fol_node_frame nothing = {0};
    const fol_node *node = &program->nodes[index];
    const fol_node_frame *frame =
        node->frame.number == scheduler->frame_mark ? &node->frame : &nothing;
    fol_system_timing *timing = &program->timings[node->system];
    *timing = (fol_system_timing){.wall_ns = fol_cycles_scale(0, frame->cycles + cycles, scale),
                                  .rows = frame->rows + rows,
                                  .tasks = frame->tasks,
                                  .worker = frame->worker,
                                  .state = (fol_run_state)frame->state};
    if (FOL_UNLIKELY(program->budget != NULL)) {
        timing->misses = program->budget->marks[index].new_misses;
        timing->overruns = program->budget->marks[index].new_overruns;
    }
}

static void publish_nodes(const fol_scheduler *scheduler, double scale)
{
    const fol_program *program = scheduler->program;
    for (uint32_t i = 0; i < program->node_count; i++) {
        publish_node(scheduler, program, i, scale, 0, 0);
    }
}

/* Takes entries on the way, as far as they lie in the order of the nodes; true when all do. */
static bool publish_with_entries(const fol_scheduler *scheduler, double scale,
                                 fol_trace_cursor cursor)
{
    const fol_program *program = scheduler->program;
    uint32_t system = fol_trace_next_system(&cursor);
    for (uint32_t i = 0; i < program->node_count; i++) {
        uint64_t cycles = 0;
        uint64_t rows = 0;
        if (program->nodes[i].system == system) {
            fol_trace_take_entry(scheduler->trace, &cursor, &cycles, &rows);
            system = fol_trace_next_system(&cursor);
        }
        publish_node(scheduler, program, i, scale, cycles, rows);
    }
    return system == UINT32_MAX;
}

void fol_publish_systems(fol_scheduler *scheduler, double ns_per_cycle)
{
    if (FOL_LIKELY(scheduler->trace == NULL)) {
        publish_nodes(scheduler, ns_per_cycle);
        return;
    }
    fol_trace_cursor cursor = fol_trace_begin_settling(scheduler->trace);
    if (!publish_with_entries(scheduler, ns_per_cycle, cursor)) {
        /* A phase ran more than once. */
        settle(scheduler, &cursor);
        publish_nodes(scheduler, ns_per_cycle);
    }
}
