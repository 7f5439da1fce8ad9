/* Where the driver's operations stand: lines and lists by descriptor. All in constant time, but for
 * the list of one descriptor, which is as long as there are operations on it.
 */

#include "base/assert.h"
#include "io/driver_state.h"

void fol_io_line_remove(fol_io_line *line, fol_io_op *op)
{
    FOL_ASSERT(line->count > 0);
    if (op->wait_previous == NULL) {
        FOL_ASSERT(line->first == op);
        line->first = op->wait_next;
    } else {
        op->wait_previous->wait_next = op->wait_next;
    }
    if (op->wait_next == NULL) {
        line->last = op->wait_previous;
    } else {
        op->wait_next->wait_previous = op->wait_previous;
    }
    line->count -= 1;
}

fol_io_line *fol_io_line_of(fol_io *io, fol_io_op *op)
{
    fol_io_lane *lane = fol_io_lane_of(io, op);
    if (op->state == FOL_IO_STARVED) {
        return &lane->starved;
    }
    FOL_ASSERT(op->state == FOL_IO_LINED);
    if (op->has_begun) {
        return &lane->begun;
    }
    return fol_io_names_file(op) ? &lane->files : &lane->fresh;
}

static bool is_on_descriptor(const fol_io_op *op)
{
    switch (op->request.kind) {
    case FOL_IO_READ:
    case FOL_IO_WRITE:
    case FOL_IO_STAT:
        return (op->request.flags & FOL_IO_PATH) == 0;
    case FOL_IO_FSYNC:
    case FOL_IO_CONNECT:
    case FOL_IO_ACCEPT:
    case FOL_IO_RECV:
    case FOL_IO_SEND:
    case FOL_IO_SHUTDOWN:
    case FOL_IO_POLL:
        return true;
    default:
        return false;
    }
}

fol_io_op *fol_io_same_first(fol_io *io, int32_t descriptor)
{
    return io->same[(uint32_t)descriptor & io->same_mask];
}

void fol_io_same_add(fol_io *io, fol_io_op *op)
{
    op->same_next = NULL;
    op->same_previous = NULL;
    op->is_in_same = is_on_descriptor(op);
    if (!op->is_in_same) {
        return;
    }
    fol_io_op **head = &io->same[(uint32_t)op->request.fd & io->same_mask];
    op->same_next = *head;
    if (*head != NULL) {
        (*head)->same_previous = op;
    }
    *head = op;
}

void fol_io_same_remove(fol_io *io, fol_io_op *op)
{
    if (!op->is_in_same) {
        return;
    }
    if (op->same_previous != NULL) {
        op->same_previous->same_next = op->same_next;
    } else {
        fol_io_op **head = &io->same[(uint32_t)op->request.fd & io->same_mask];
        FOL_ASSERT(*head == op);
        *head = op->same_next;
    }
    if (op->same_next != NULL) {
        op->same_next->same_previous = op->same_previous;
    }
    op->is_in_same = false;
}
