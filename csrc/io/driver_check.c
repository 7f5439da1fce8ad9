/* The invariants of the driver, walked: every operation is in one place, and what is counted is
 * there.
 */

#include "base/assert.h"
#include "io/driver_state.h"

static void check_line(const fol_io_lane *lane, const fol_io *io, const fol_io_line *line,
                       uint8_t state)
{
    uint32_t count = 0;
    const fol_io_op *previous = NULL;
    for (const fol_io_op *op = line->first; op != NULL; op = op->wait_next) {
        FOL_ASSERT(op->state == state);
        FOL_ASSERT(op->wait_previous == previous);
        FOL_ASSERT(&io->lanes[op->lane] == lane);
        bool is_light = op->is_plain && op->slot == FOL_IO_NO_SLOT;
        FOL_ASSERT(is_light || io->slots[op->slot].op == op);
        previous = op;
        count += 1;
        FOL_ASSERT(count <= line->count);
    }
    FOL_ASSERT(line->last == previous && line->count == count);
}

static void check_lane(const fol_io *io, const fol_io_lane *lane)
{
    check_line(lane, io, &lane->begun, FOL_IO_LINED);
    check_line(lane, io, &lane->files, FOL_IO_LINED);
    check_line(lane, io, &lane->fresh, FOL_IO_LINED);
    check_line(lane, io, &lane->starved, FOL_IO_STARVED);
    FOL_ASSERT(lane->patient <= lane->flying && lane->open_ended <= lane->flying);
    FOL_ASSERT(lane->open_files <= fol_io_most_files(lane));
    FOL_ASSERT(lane->open_files_bound >= 1 && lane->open_files_bound <= fol_io_most_files(lane));
}

static void check_op(const fol_io_op *op)
{
    FOL_ASSERT(op->state != FOL_IO_AWAY && op->state != FOL_IO_ENDED && !op->is_finished);
    FOL_ASSERT(op->state != FOL_IO_BLOCKED || op->blockers > 0);
    FOL_ASSERT(op->is_plain || op->state == FOL_IO_BLOCKED || op->blockers == 0);
    FOL_ASSERT(!op->is_plain || (!fol_io_is_ended(op) && op->counted == 0));
    FOL_ASSERT(op->is_plain || op->closer == NULL || op->closer->state == FOL_IO_BLOCKED);
    FOL_ASSERT(op->is_plain || !op->has_news || op->first_piece != NULL || op->pieces != NULL);
    if (op->state == FOL_IO_TIMING || (op->request.timeout_ns != 0 && !fol_io_is_ended(op))) {
        FOL_ASSERT(fol_timer_is_set(&op->timer));
    }
}

/* Plain operations without slots that stand in line. */
static uint32_t count_lined(const fol_io_lane *lane)
{
    uint32_t count = 0;
    for (const fol_io_op *op = lane->fresh.first; op != NULL; op = op->wait_next) {
        count += op->is_plain && op->slot == FOL_IO_NO_SLOT;
    }
    return count;
}

/* Those that an engine has in a list. */
static uint32_t count_listed(const fol_io *io, const fol_io_lane *lane, const fol_io_link *list)
{
    uint32_t count = 0;
    for (fol_io_link *link = list->next; link != list; link = link->next) {
        const fol_io_op *op = fol_io_op_of_plain(fol_io_plain_of(link));
        FOL_ASSERT(link->next->previous == link);
        FOL_ASSERT(op->state == FOL_IO_FLYING && op->is_own_token && &io->lanes[op->lane] == lane);
        FOL_ASSERT(op->is_plain ? op->slot == FOL_IO_NO_SLOT : io->slots[op->slot].op == op);
        count += op->is_plain;
        FOL_ASSERT(count <= lane->flying);
    }
    return count;
}

static uint32_t count_own(const fol_io *io, const fol_io_lane *lane)
{
    const fol_io_engine *engine = fol_io_lane_engine(lane);
    if (engine == NULL || engine->ops->start_plain == NULL) {
        return 0;
    }
    return count_listed(io, lane, &engine->plains) + count_listed(io, lane, &engine->kept_plains);
}

void fol_io_invariants(const fol_io *io)
{
    uint32_t flying[FOL_IO_LANES] = {0};
    uint32_t light = 0;
    uint32_t files[FOL_IO_LANES] = {0};
    uint32_t held = 0;
    for (uint32_t index = 0; index < io->slots_touched; index++) {
        const fol_io_op *op = io->slots[index].op;
        if (op == NULL) {
            continue;
        }
        FOL_ASSERT(op->slot == index);
        check_op(op);
        held += 1;
        flying[op->lane] += op->state == FOL_IO_FLYING;
        files[op->file_lane] += op->holds_file;
    }
    for (uint32_t index = 0; index < FOL_IO_LANES; index++) {
        uint32_t own = count_own(io, &io->lanes[index]);
        flying[index] += own;
        light += own + count_lined(&io->lanes[index]);
        check_lane(io, &io->lanes[index]);
        FOL_ASSERT(flying[index] == io->lanes[index].flying);
        FOL_ASSERT(files[index] == io->lanes[index].open_files);
    }
    FOL_ASSERT(held + light <= io->held && io->held <= io->slot_count);
    uint32_t ended = 0;
    for (const fol_io_op *op = io->first_news; op != NULL; op = op->next) {
        FOL_ASSERT(op->has_news && (op->is_finished || op->first_piece != NULL));
        ended += op->is_finished;
        FOL_ASSERT(ended <= io->pending);
    }
    FOL_ASSERT(ended == io->finished_news);
    FOL_ASSERT(io->held + ended == io->pending);
    FOL_ASSERT(io->held - held - light <= fol_timer_wheel_count(io->wheel));
    fol_slab_invariants(&io->slab);
    fol_timer_wheel_invariants(io->wheel);
}
