/* The errors of a frame: kept as they come from any worker, told in the order of a single one.
 *
 * Each error carries its place in the frame. A node has one error at most, and all errors of a
 * merge come from the caller, one after another; so place and arrival together are an order that
 * does not depend on who ran what, and it is the order in which one worker meets them. The same
 * holds for quarantines.
 */

#include <stdlib.h>

#include "base/assert.h"
#include "foliot/status.h"
#include "frame/frame.h"

/* Under the lock. */
static bool make_error_room(fol_scheduler *scheduler)
{
    if (scheduler->result.error_count < scheduler->error_room) {
        return true;
    }
    uint32_t room = scheduler->error_room * 2 + 16;
    fol_kept_error *kept = fol_realloc_array(scheduler->kept, room, sizeof(*kept));
    if (kept == NULL) {
        return false;
    }
    scheduler->kept = kept;
    fol_frame_error *errors = fol_realloc_array(scheduler->errors, room, sizeof(*errors));
    if (errors == NULL) {
        return false;
    }
    scheduler->errors = errors;
    scheduler->error_room = room;
    return true;
}

void fol_record_error(fol_scheduler *scheduler, fol_place at, const fol_frame_error *error)
{
    FOL_ASSERT(error->status < 0);
    FOL_ASSERT(error->system == UINT32_MAX || error->system < scheduler->program->node_count);
    pthread_mutex_lock(&scheduler->lock);
    if (make_error_room(scheduler)) {
        uint32_t number = scheduler->result.error_count++;
        scheduler->kept[number] = (fol_kept_error){at, number, *error};
    } else {
        scheduler->lost_errors = true;
    }
    pthread_mutex_unlock(&scheduler->lock);
}

static void quarantine(fol_scheduler *scheduler, fol_node *node, fol_place at)
{
    fol_program *program = scheduler->program;
    atomic_store_explicit(&node->is_quarantined, true, memory_order_relaxed);
    pthread_mutex_lock(&scheduler->lock);
    uint32_t number = scheduler->result.quarantined_count++;
    FOL_ASSERT(number < program->node_count);
    program->quarantines[number] = (fol_kept_quarantine){at, node->system};
    pthread_mutex_unlock(&scheduler->lock);
}

void fol_node_note_failure(fol_scheduler *scheduler, fol_runner *runner, fol_node *node,
                           fol_place at, const fol_frame_error *error)
{
    fol_record_error(scheduler, at, error);
    fol_count(&runner->failed, 1);
    node->failures++;
    if (scheduler->config.errors == FOL_ERRORS_QUARANTINE &&
        node->failures >= scheduler->config.quarantine_after &&
        !atomic_load_explicit(&node->is_quarantined, memory_order_relaxed)) {
        quarantine(scheduler, node, at);
    }
}

void fol_node_fail(fol_scheduler *scheduler, fol_runner *runner, uint32_t index, int status,
                   int code)
{
    fol_node *node = &scheduler->phase_nodes[index];
    fol_place at = fol_place_of_node(scheduler, index);
    FOL_ASSERT(!atomic_load_explicit(&node->is_quarantined, memory_order_relaxed));
    node->must_drop_io = node->does_io;
    if (status == FOL_E_INTERRUPTED) {
        fol_interrupt(scheduler);
        node->frame.state = FOL_RUN_INTERRUPTED;
        return;
    }
    const fol_frame_error error = {.system = node->system, .status = status, .code = code};
    node->frame.state = FOL_RUN_FAILED;
    fol_node_note_failure(scheduler, runner, node, at, &error);
}

static int compare_places(const fol_place *a, const fol_place *b)
{
    if (a->run != b->run) {
        return a->run < b->run ? -1 : 1;
    }
    return a->place < b->place ? -1 : a->place > b->place;
}

static int compare_kept(const void *a, const void *b)
{
    const fol_kept_error *first = a;
    const fol_kept_error *second = b;
    int order = compare_places(&first->at, &second->at);
    return order != 0 ? order : first->number < second->number ? -1 : 1;
}

static int compare_quarantines(const void *a, const void *b)
{
    const fol_kept_quarantine *first = a;
    const fol_kept_quarantine *second = b;
    return compare_places(&first->at, &second->at);
}

/* By system, then as they happened: the library's sort need not be stable. */
static int compare_errors(const void *a, const void *b)
{
    const fol_frame_error *first = a;
    const fol_frame_error *second = b;
    if (first->system != second->system) {
        return first->system < second->system ? -1 : 1;
    }
    return first->sequence < second->sequence ? -1 : 1;
}

void fol_publish_errors(fol_scheduler *scheduler)
{
    fol_program *program = scheduler->program;
    fol_frame *result = &scheduler->result;
    uint32_t count = result->error_count;
    FOL_ASSERT(count <= scheduler->error_room);
    FOL_ASSERT(result->quarantined_count <= program->node_count);
    if (count > 1) {
        qsort(scheduler->kept, count, sizeof(*scheduler->kept), compare_kept);
    }
    for (uint32_t i = 0; i < count; i++) {
        scheduler->errors[i] = scheduler->kept[i].error;
        scheduler->errors[i].sequence = i;
    }
    if (count > 1) {
        qsort(scheduler->errors, count, sizeof(*scheduler->errors), compare_errors);
    }
    if (result->quarantined_count > 1) {
        qsort(program->quarantines, result->quarantined_count, sizeof(*program->quarantines),
              compare_quarantines);
    }
    for (uint32_t i = 0; i < result->quarantined_count; i++) {
        program->quarantined[i] = program->quarantines[i].system;
    }
    result->errors = scheduler->errors;
    result->quarantined = program->quarantined;
}
