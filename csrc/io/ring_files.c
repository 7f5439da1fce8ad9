/* Files in the ring's own table: opened files without descriptors, and one end of a pipe.
 *
 * The table goes when the ring has gone and the last request with it, and not before. So the
 * writing end of a pipe is put in its first place and closed outside: the reading end hangs up when
 * the kernel has let go of everything, which it says nowhere else to a thread that may not enter
 * the ring. A forked child that holds the ring's descriptor holds the ring.
 *
 * The other places take files that are opened for one read or write. They are counted rather than
 * known: the kernel chooses among those that are free.
 */

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "io/ring.h"

#define SIZE_TRIES 16

/* A table with room for direct files, with as many places as the limit of descriptors allows;
 * the count, or 0. */
static uint32_t register_table(fol_io_ring *ring, int first_fd)
{
    uint32_t count = ring->slot_count + 1;
    int status = -EMFILE;
    for (int attempt = 0; attempt < SIZE_TRIES && status == -EMFILE && count > 1; attempt++) {
        const struct io_uring_rsrc_register table = {.nr = count,
                                                     .flags = IORING_RSRC_REGISTER_SPARSE};
        status = fol_ring_register(ring, IORING_REGISTER_FILES2, &table, sizeof table);
        count = status == -EMFILE ? count / 2 : count;
    }
    if (status < 0) {
        return 0;
    }
    const struct io_uring_files_update update = {.offset = 0, .fds = (uintptr_t)&first_fd};
    if (fol_ring_register(ring, IORING_REGISTER_FILES_UPDATE, &update, 1) == 1) {
        return count;
    }
    /* Nothing says that an unregister works where an update did not: direct files are lost. */
    fol_ring_register(ring, IORING_UNREGISTER_FILES, NULL, 0);
    return 0;
}

void fol_ring_files_attach(fol_io_ring *ring)
{
    int ends[2];
    FOL_ASSERT(ring->release_fd < 0);
    ring->direct_used = 0;
    ring->direct_count = 0;
    if (fol_ring_call_pipe(ends) == 0) {
        uint32_t count = register_table(ring, ends[1]);
        if (count == 0 && fol_ring_register(ring, IORING_REGISTER_FILES, &ends[1], 1) == 0) {
            count = 1;
        }
        close(ends[1]);
        if (count > 0) {
            ring->release_fd = ends[0];
            ring->direct_count = count - 1;
        } else {
            close(ends[0]);
        }
    }
    fol_ring_files_count(ring, 0);
}

void fol_ring_files_count(fol_io_ring *ring, int change)
{
    if (!ring->is_open) {
        return;
    }
    ring->direct_used += (uint32_t)change;
    ring->base.has_direct_files = ring->direct_used < ring->direct_count;
}

bool fol_ring_files_released(fol_io_ring *ring, int timeout_ms)
{
    FOL_ASSERT(!ring->is_open);
    if (ring->release_fd < 0) {
        return false;
    }
    struct pollfd end = {.fd = ring->release_fd, .events = 0};
    if (poll(&end, 1, timeout_ms) != 1 || (end.revents & POLLHUP) == 0) {
        return false;
    }
    close(ring->release_fd);
    ring->release_fd = -1;
    return true;
}
