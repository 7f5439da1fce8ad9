/* From one request of an operation to the next; see io/steps.h. */

#include "io/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "foliot/status.h"

/* How often a file is tried again that finds no descriptor while no other file is open. */
#define FULL_ATTEMPTS 2

/* Which of the owner's vectors go next. */
typedef struct cursor {
    size_t index;
    size_t offset; /* in that one */
    struct iovec parts[];
} cursor;

int64_t fol_io_ended_value(const fol_io_op *op)
{
    FOL_ASSERT_HOT(fol_io_is_ended(op));
    return op->is_cancelled ? -ECANCELED : -ETIMEDOUT;
}

bool fol_io_is_closing(const fol_io_op *op)
{
    return op->stage == FOL_IO_STAGE_CLOSE || op->request.kind == FOL_IO_CLOSE;
}

static bool has_vectors(const fol_io_op *op)
{
    return (op->request.flags & FOL_IO_VECTORS) != 0;
}

static bool reads_to_end(const fol_io_op *op)
{
    return (op->request.flags & FOL_IO_TO_END) != 0;
}

static size_t bytes_asked_for(const fol_io_request *request)
{
    if ((request->flags & FOL_IO_VECTORS) == 0) {
        return request->size;
    }
    const struct iovec *vectors = request->buffer;
    size_t total = 0;
    for (size_t index = 0; index < request->size; index++) {
        if (__builtin_add_overflow(total, vectors[index].iov_len, &total)) {
            return SIZE_MAX;
        }
    }
    return total;
}

static bool has_own_buffer(const fol_io_op *op)
{
    const fol_io_request *request = &op->request;
    if (request->buffer != NULL || (request->flags & (FOL_IO_VECTORS | FOL_IO_MANY)) != 0) {
        return false;
    }
    return request->kind == FOL_IO_READ || request->kind == FOL_IO_RECV ||
           request->kind == FOL_IO_STAT;
}

void fol_io_step_begin(fol_io_op *op)
{
    op->own = NULL;
    op->own_size = 0;
    op->done = 0;
    op->total = bytes_asked_for(&op->request);
    op->opened = -1;
    op->attempts = 0;
    op->failure = 0;
    op->stage = fol_io_names_file(op) ? FOL_IO_STAGE_OPEN : FOL_IO_STAGE_WORK;
    op->is_direct = false;
    op->needs_descriptor = false;
    op->at_current = false;
    op->is_whole = false;
}

static uint32_t opening_options(const fol_io_op *op)
{
    const fol_io_request *request = &op->request;
    /* The engine's own table is not inherited by anything that is executed. */
    uint32_t options = request->options & ~(uint32_t)O_CLOEXEC;
    options |= op->is_direct ? 0 : O_CLOEXEC;
    if (request->kind == FOL_IO_WRITE) {
        bool cuts = request->offset == 0 && op->done == 0;
        if (op->done != 0) {
            /* It is opened again to go on. */
            options &= ~(uint32_t)(O_TRUNC | O_EXCL);
        }
        /* Without waiting for somebody who reads a named pipe: a ring would leave that to a thread
         * of its own. Writes that then find the pipe full are polled for like any other. */
        options |= O_WRONLY | O_CREAT | O_NONBLOCK | (cuts ? (uint32_t)O_TRUNC : 0);
    }
    return options;
}

static void prepare_open(fol_io_op *op, bool has_direct_files)
{
    const fol_io_request *request = &op->request;
    op->is_direct = has_direct_files && !op->needs_descriptor;
    op->step = (fol_io_request){.kind = FOL_IO_OPEN,
                                .flags = op->is_direct ? FOL_IO_DIRECT : FOL_IO_PROMPT,
                                .fd = request->fd,
                                .options = opening_options(op),
                                .mode = request->mode,
                                .path = request->path};
}

static int32_t descriptor(const fol_io_op *op)
{
    return fol_io_names_file(op) ? op->opened : op->request.fd;
}

static void prepare_poll(fol_io_op *op)
{
    uint32_t kind = op->request.kind;
    bool is_out = kind == FOL_IO_WRITE || kind == FOL_IO_SEND || kind == FOL_IO_CONNECT;
    op->step = (fol_io_request){
        .kind = FOL_IO_POLL, .fd = descriptor(op), .options = is_out ? POLLOUT : POLLIN};
}

static void prepare_close(fol_io_op *op)
{
    FOL_ASSERT(op->opened >= 0);
    op->step = (fol_io_request){
        .kind = FOL_IO_CLOSE, .flags = op->is_direct ? FOL_IO_DIRECT : 0, .fd = op->opened};
}

/* The parts that go next, at most FOL_IO_SPLIT bytes of them. */
static int prepare_vectors(fol_io_op *op, fol_slab *slab)
{
    size_t room = op->request.size < FOL_IO_PARTS ? op->request.size : FOL_IO_PARTS;
    room = room == 0 ? 1 : room;
    if (op->own == NULL) {
        size_t size = sizeof(cursor) + room * sizeof(struct iovec);
        cursor *made = fol_slab_take(slab, size);
        if (made == NULL) {
            return -ENOMEM;
        }
        made->index = 0;
        made->offset = 0;
        op->own = made;
        op->own_size = size;
    }
    cursor *at = op->own;
    const struct iovec *vectors = op->request.buffer;
    size_t count = 0;
    size_t bytes = 0;
    size_t offset = at->offset;
    at->parts[0] = (struct iovec){NULL, 0};
    for (size_t index = at->index; index < op->request.size && count < room && bytes < FOL_IO_SPLIT;
         index++) {
        size_t length = vectors[index].iov_len - offset;
        length = length < FOL_IO_SPLIT - bytes ? length : FOL_IO_SPLIT - bytes;
        if (length > 0) {
            at->parts[count++] = (struct iovec){(char *)vectors[index].iov_base + offset, length};
            bytes += length;
        }
        offset = 0;
    }
    op->step.buffer = at->parts;
    op->step.size = count == 0 ? 1 : count;
    return FOL_OK;
}

/* Moves over the first `bytes` of what is left. */
static void advance_vectors(fol_io_op *op, size_t bytes)
{
    cursor *at = op->own;
    const struct iovec *vectors = op->request.buffer;
    while (bytes > 0 && at->index < op->request.size) {
        size_t left = vectors[at->index].iov_len - at->offset;
        if (bytes < left) {
            at->offset += bytes;
            return;
        }
        bytes -= left;
        at->index += 1;
        at->offset = 0;
    }
    FOL_ASSERT(bytes == 0);
}

/* Room for at least another byte. */
static int make_room(fol_io_op *op, fol_slab *slab)
{
    size_t size = op->total;
    if (op->request.kind == FOL_IO_STAT) {
        size = sizeof(struct statx);
    } else if (reads_to_end(op)) {
        /* A byte more than a size that was told, so that the end shows in the buffer that is
         * there. */
        size = op->total == 0 ? FOL_IO_FIRST_GUESS : op->total + 1;
    }
    if (op->own == NULL) {
        size_t room = fol_slab_room(size == 0 ? 1 : size);
        op->own = fol_slab_take(slab, room);
        op->own_size = op->own == NULL ? 0 : room;
        return op->own == NULL ? -ENOMEM : FOL_OK;
    }
    if (reads_to_end(op) && op->done == op->own_size) {
        size_t grown_size = fol_slab_room(op->own_size * 2);
        void *grown = fol_slab_grow(slab, op->own, op->own_size, op->done, grown_size);
        if (grown == NULL) {
            return -ENOMEM;
        }
        op->own = grown;
        op->own_size = grown_size;
    }
    return FOL_OK;
}

/* READ, WRITE, RECV and SEND: what is left of the bytes. */
static int prepare_bytes(fol_io_op *op, fol_slab *slab)
{
    op->step = op->request;
    op->step.flags &= ~(uint32_t)(FOL_IO_PATH | FOL_IO_TO_END | FOL_IO_WHOLE);
    op->step.fd = descriptor(op);
    if (op->is_direct && op->opened >= 0) {
        op->step.flags |= FOL_IO_DIRECT;
    }
    if (op->at_current) {
        op->step.offset = FOL_IO_CURRENT;
    } else if (op->request.offset != FOL_IO_CURRENT) {
        op->step.offset = op->request.offset + op->done;
    }
    if (has_vectors(op)) {
        return prepare_vectors(op, slab);
    }
    char *base = op->request.buffer;
    size_t end = op->total;
    if (has_own_buffer(op)) {
        int status = make_room(op, slab);
        if (status != FOL_OK) {
            return status;
        }
        base = op->own;
        end = reads_to_end(op) ? op->own_size : op->total;
    }
    FOL_ASSERT_HOT(op->done <= end);
    size_t left = end - op->done;
    op->step.buffer = base == NULL ? NULL : base + op->done;
    op->step.size = left < FOL_IO_SPLIT ? left : FOL_IO_SPLIT;
    return FOL_OK;
}

static bool moves_bytes(const fol_io_op *op)
{
    uint32_t kind = op->request.kind;
    return kind == FOL_IO_READ || kind == FOL_IO_WRITE || kind == FOL_IO_RECV ||
           kind == FOL_IO_SEND;
}

bool fol_io_step_can_be_whole(const fol_io_op *op)
{
    const fol_io_request *request = &op->request;
    return op->stage == FOL_IO_STAGE_OPEN && fol_io_names_file(op) && op->done == 0 &&
           !has_vectors(op) && request->offset != FOL_IO_CURRENT && op->total <= FOL_IO_SPLIT;
}

int fol_io_step_prepare_whole(fol_io_op *op, fol_slab *slab, const fol_io_request **out)
{
    FOL_ASSERT_HOT(fol_io_step_can_be_whole(op));
    op->step = op->request;
    op->is_direct = false;
    if (has_own_buffer(op)) {
        int status = make_room(op, slab);
        if (status != FOL_OK) {
            return status;
        }
        op->step.buffer = op->own;
        op->step.size = reads_to_end(op) ? op->own_size : op->total;
    }
    op->step.options = opening_options(op);
    op->step.handle = (uintptr_t)&op->whole;
    op->is_whole = true;
    *out = &op->step;
    return FOL_OK;
}

int fol_io_step_prepare(fol_io_op *op, fol_slab *slab, bool has_direct_files,
                        const fol_io_request **out)
{
    int status = FOL_OK;
    op->is_whole = false;
    *out = &op->step;
    if (op->stage == FOL_IO_STAGE_OPEN) {
        prepare_open(op, has_direct_files);
    } else if (op->stage == FOL_IO_STAGE_POLL) {
        prepare_poll(op);
    } else if (op->stage == FOL_IO_STAGE_CLOSE) {
        prepare_close(op);
    } else if (moves_bytes(op) && (op->request.flags & FOL_IO_MANY) == 0) {
        status = prepare_bytes(op, slab);
    } else if (has_own_buffer(op)) {
        op->step = op->request;
        status = make_room(op, slab);
        op->step.buffer = op->own;
    } else if (op->request.kind == FOL_IO_OPEN) {
        op->step = op->request;
        op->step.flags |= FOL_IO_PROMPT;
    } else {
        *out = &op->request;
    }
    return status;
}

/* The value is known; what was opened is closed first. */
static fol_io_next end_with(fol_io_op *op, int64_t value)
{
    op->value = value;
    op->size = value < 0 ? op->done : 0;
    if (value >= 0 && has_own_buffer(op)) {
        op->size = op->request.kind == FOL_IO_STAT ? sizeof(struct statx) : op->done;
    }
    if (op->opened >= 0) {
        op->stage = FOL_IO_STAGE_CLOSE;
        op->attempts = 0;
        return FOL_IO_NEXT_STEP;
    }
    return FOL_IO_NEXT_END;
}

/* The request did not do anything, and may now. Closing is not done again after a signal: the
 * descriptor is gone, and may be somebody else's. */
static bool may_try_again(fol_io_op *op, int64_t value)
{
    bool did_nothing =
        value == -EAGAIN || value == -ECANCELED || (value == -EINTR && !fol_io_is_closing(op));
    if (!did_nothing || op->attempts >= FOL_IO_ATTEMPTS) {
        return false;
    }
    op->attempts += 1;
    return true;
}

static fol_io_next open_result(fol_io_op *op, int64_t value, bool others_are_open)
{
    if (value >= 0) {
        op->opened = (int32_t)value;
        op->attempts = 0;
        op->stage = FOL_IO_STAGE_WORK;
        return fol_io_is_ended(op) ? end_with(op, fol_io_ended_value(op)) : FOL_IO_NEXT_STEP;
    }
    bool is_full = value == -EMFILE || value == -ENFILE;
    if (fol_io_is_ended(op)) {
        bool goes_on = is_full || value == -EAGAIN || value == -EINTR || value == -ECANCELED;
        return end_with(op, goes_on ? fol_io_ended_value(op) : value);
    }
    if (is_full && others_are_open) {
        return FOL_IO_NEXT_LATER;
    }
    if (value == -ENFILE && op->is_direct) {
        op->needs_descriptor = true;
        return FOL_IO_NEXT_STEP;
    }
    if (is_full && op->holds_file && op->attempts < FULL_ATTEMPTS) {
        /* Files that were open when it failed may have been closed before this was known. */
        op->attempts += 1;
        return FOL_IO_NEXT_LATER;
    }
    return may_try_again(op, value) ? FOL_IO_NEXT_STEP : end_with(op, value);
}

/* Connecting goes on by itself when it cannot be done at once. */
static bool is_under_way(const fol_io_op *op, int64_t value)
{
    return op->request.kind == FOL_IO_CONNECT && (value == -EINPROGRESS || value == -EALREADY);
}

static fol_io_next work_failed(fol_io_op *op, int64_t value)
{
    if (value == -EISCONN && op->request.kind == FOL_IO_CONNECT && op->attempts > 0) {
        return end_with(op, 0);
    }
    bool must_wait = value == -EAGAIN || is_under_way(op, value);
    if (fol_io_is_ended(op)) {
        bool goes_on = must_wait || value == -EINTR || value == -ECANCELED;
        return end_with(op, goes_on ? fol_io_ended_value(op) : value);
    }
    bool is_first_at_0 = fol_io_names_file(op) && op->request.offset == 0 && op->done == 0;
    if (value == -ESPIPE && is_first_at_0 && !op->at_current) {
        op->at_current = true;
        return FOL_IO_NEXT_STEP;
    }
    if (!may_try_again(op, is_under_way(op, value) ? -EAGAIN : value)) {
        return end_with(op, value);
    }
    const fol_io_operation *row = fol_io_operation_of(op->request.kind);
    bool can_poll = row->may_wait && descriptor(op) >= 0 && !op->is_direct &&
                    op->request.kind != FOL_IO_POLL && op->request.kind != FOL_IO_OPEN;
    if (must_wait && can_poll) {
        op->stage = FOL_IO_STAGE_POLL;
    }
    return FOL_IO_NEXT_STEP;
}

static fol_io_short_rule short_rule(const fol_io_op *op)
{
    if (op->request.kind == FOL_IO_RECV) {
        bool is_whole = (op->request.flags & FOL_IO_WHOLE) != 0;
        return is_whole ? FOL_IO_SHORT_READS : FOL_IO_SHORT_ENDS;
    }
    return fol_io_operation_of(op->request.kind)->short_rule;
}

static fol_io_next bytes_result(fol_io_op *op, size_t bytes)
{
    if (has_vectors(op)) {
        advance_vectors(op, bytes);
    }
    op->done += bytes;
    bool is_full = !reads_to_end(op) && op->done >= op->total;
    fol_io_short_rule rule = short_rule(op);
    if (is_full || rule == FOL_IO_SHORT_ENDS) {
        return end_with(op, (int64_t)op->done);
    }
    if (bytes == 0) {
        return end_with(op, rule == FOL_IO_SHORT_READS ? (int64_t)op->done : -EIO);
    }
    op->attempts = 0;
    return fol_io_is_ended(op) ? end_with(op, fol_io_ended_value(op)) : FOL_IO_NEXT_STEP;
}

static fol_io_next work_result(fol_io_op *op, int64_t value)
{
    if (value < 0) {
        return work_failed(op, value);
    }
    if (moves_bytes(op)) {
        return bytes_result(op, (size_t)value);
    }
    if (fol_io_operation_of(op->request.kind)->gives_fd && fol_io_is_ended(op)) {
        op->opened = (int32_t)value;
        return end_with(op, fol_io_ended_value(op));
    }
    return end_with(op, value);
}

static fol_io_next poll_result(fol_io_op *op, int64_t value)
{
    if (fol_io_is_ended(op)) {
        return end_with(op, fol_io_ended_value(op));
    }
    if (value < 0 && !may_try_again(op, value)) {
        return end_with(op, value);
    }
    op->stage = value < 0 ? FOL_IO_STAGE_POLL : FOL_IO_STAGE_WORK;
    return FOL_IO_NEXT_STEP;
}

static fol_io_next close_result(fol_io_op *op, int64_t value)
{
    if ((value == -ECANCELED || value == -EAGAIN) && may_try_again(op, value)) {
        return FOL_IO_NEXT_STEP;
    }
    op->opened = -1;
    if (value < 0 && value != -EINTR && op->value >= 0 && op->request.kind == FOL_IO_WRITE) {
        op->value = value;
        op->size = op->done;
    }
    return FOL_IO_NEXT_END;
}

/* All steps were made at once: takes their results one by one. */
static fol_io_next whole_result(fol_io_op *op, int64_t value, bool others_are_open)
{
    const fol_io_whole *whole = &op->whole;
    FOL_ASSERT_HOT(op->stage == FOL_IO_STAGE_OPEN);
    op->is_whole = false;
    if (whole->opened < 0) {
        return open_result(op, value, others_are_open);
    }
    op->opened = whole->opened;
    op->attempts = 0;
    op->done = whole->done;
    op->stage = FOL_IO_STAGE_WORK;
    fol_io_next next = work_result(op, value);
    if (!whole->is_closed) {
        return next;
    }
    FOL_ASSERT(next == FOL_IO_NEXT_STEP && op->stage == FOL_IO_STAGE_CLOSE);
    return close_result(op, whole->closed);
}

fol_io_next fol_io_step_result(fol_io_op *op, int64_t value, bool others_are_open)
{
    FOL_ASSERT_HOT(op->stage <= FOL_IO_STAGE_CLOSE);
    if (op->is_whole) {
        return whole_result(op, value, others_are_open);
    }
    switch (op->stage) {
    case FOL_IO_STAGE_OPEN:
        return open_result(op, value, others_are_open);
    case FOL_IO_STAGE_WORK:
        return work_result(op, value);
    case FOL_IO_STAGE_POLL:
        return poll_result(op, value);
    default:
        return close_result(op, value);
    }
}

fol_io_next fol_io_step_end(fol_io_op *op)
{
    FOL_ASSERT(op->stage != FOL_IO_STAGE_CLOSE);
    return end_with(op, fol_io_ended_value(op));
}

fol_io_next fol_io_step_move(fol_io_op *op)
{
    if (op->opened < 0 || !op->is_direct) {
        return FOL_IO_NEXT_STEP;
    }
    op->opened = -1;
    op->is_direct = false;
    if (op->stage == FOL_IO_STAGE_CLOSE) {
        return FOL_IO_NEXT_END;
    }
    if (op->at_current && op->done > 0) {
        /* What has no positions cannot be taken up where it was left. */
        return end_with(op, -EIO);
    }
    op->stage = FOL_IO_STAGE_OPEN;
    return FOL_IO_NEXT_STEP;
}

void fol_io_step_clear(fol_io_op *op, fol_slab *slab)
{
    op->data = NULL;
    if (op->own != NULL && (has_vectors(op) || (op->value < 0 && op->size == 0))) {
        fol_slab_give(slab, op->own, op->own_size);
        op->own = NULL;
    }
    if (op->own != NULL) {
        op->data = op->own;
    }
}
