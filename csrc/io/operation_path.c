/* Files opened, read or written, and closed in one go; see operation_path.h.
 *
 * The descriptor is opened with O_NONBLOCK, which files take no notice of, so that a named pipe or
 * a terminal holds nobody: reading one at an offset fails, or says that there is nothing, and then
 * it gets the flags that were asked for and goes back.
 */
#include "io/operation_path.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/operation_calls.h"

static bool is_cut_short(const FOL_ATOMIC(uint32_t) * is_cut)
{
    /* A hint: whoever sets it hands nothing over with it. */
    return fol_atomic_load(is_cut, memory_order_relaxed) != 0;
}

static int64_t open_once(const fol_io_request *request, int options)
{
    int64_t value = -EINTR;
    for (int i = 0; fol_io_calls_again(value, i); i++) {
        value = openat(request->fd, request->path, options, (mode_t)request->mode);
        value = value < 0 ? -(int64_t)errno : value;
    }
    return value;
}

static int64_t transfer_once(const fol_io_request *request, int fd, size_t done)
{
    char *at = request->buffer == NULL ? NULL : (char *)request->buffer + done;
    size_t size = request->size - done;
    off_t offset = (off_t)(request->offset + done);
    int64_t value = -EINTR;
    for (int i = 0; fol_io_calls_again(value, i); i++) {
        value = request->kind == FOL_IO_WRITE ? pwrite(fd, at, size, offset)
                                              : pread(fd, at, size, offset);
        value = value < 0 ? -(int64_t)errno : value;
    }
    return value;
}

int64_t fol_io_call_path(const fol_io_request *request, const FOL_ATOMIC(uint32_t) * is_cut,
                         bool is_patient)
{
    fol_io_whole *whole = fol_io_whole_of(request);
    int options = (int)request->options;
    FOL_ASSERT(whole != NULL && request->offset <= INT64_MAX);
    FOL_ASSERT((request->flags & FOL_IO_VECTORS) == 0);
    *whole = (fol_io_whole){.opened = -1};
    if (is_cut_short(is_cut)) {
        return -ECANCELED;
    }
    int64_t value = open_once(request, options | O_NONBLOCK);
    /* All writes have the flag, for named pipes that nobody reads, which say something else. */
    bool may_wait = request->kind == FOL_IO_WRITE || (options & O_NONBLOCK) == 0;
    if (value == -EAGAIN && may_wait && is_patient) {
        /* Somebody has a lease on the file, and gives it up in a bounded time. */
        value = open_once(request, options & ~O_NONBLOCK);
    }
    if (value < 0) {
        return value;
    }
    whole->opened = (int32_t)value;
    value = is_cut_short(is_cut) ? -ECANCELED : transfer_once(request, whole->opened, 0);
    bool reads_to_end = (request->flags & FOL_IO_TO_END) != 0;
    /* Bounded: each turn moves a byte at least. */
    while (value > 0) {
        size_t done = whole->done + (size_t)value;
        if (done == request->size) {
            break;
        }
        whole->done = done;
        value = is_cut_short(is_cut) ? -ECANCELED : transfer_once(request, whole->opened, done);
    }
    bool is_full = value > 0 && !reads_to_end;
    if (value == 0 || is_full) {
        whole->is_closed = true;
        whole->closed = close(whole->opened) == 0 || errno == EINTR ? 0 : -errno;
    } else if ((options & O_NONBLOCK) == 0) {
        (void)fcntl(whole->opened, F_SETFL, options);
    }
    return value;
}
