/* A descriptor that ends waits, beside what they are for.
 *
 * In an engine it is one more request of the driver's own, a poll, that is there before the wait
 * begins: a descriptor that is readable already ends the wait at once. It stays there while the
 * engine has other things in flight, and goes with the last of them, as the look at the pool does.
 * Where nothing is in flight the wait is in poll, on this descriptor and one of the driver's own,
 * by which a wake ends it.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/poll.h"
#include "foliot/status.h"
#include "io/driver_state.h"

void fol_io_watch(fol_io *io, int descriptor)
{
    io->watched = descriptor;
    io->has_spoken = false;
}

bool fol_io_watch_arm(fol_io *io, fol_io_lane *lane)
{
    FOL_ASSERT(io->watched >= 0);
    fol_io_request *request = &io->watches[lane - io->lanes];
    if (lane->is_watching) {
        return request->fd == io->watched;
    }
    fol_io_engine *engine = fol_io_lane_engine(lane);
    *request = (fol_io_request){.kind = FOL_IO_POLL, .fd = io->watched, .options = POLLIN};
    lane->is_watching = engine->ops->start(engine, request, FOL_IO_WATCH) == FOL_OK;
    return lane->is_watching;
}

int fol_io_watch_sleep(fol_io *io, uint64_t timeout_ns)
{
    struct pollfd both[] = {{.fd = io->word_fd, .events = POLLIN},
                            {.fd = io->watched, .events = POLLIN}};
    FOL_ASSERT(io->word_fd >= 0 && io->watched >= 0);
    int ready = fol_poll_wait(both, 2, timeout_ns);
    if (ready > 0 && both[0].revents != 0) {
        uint64_t count = 0;
        /* Only this thread reads, so what was ready is there; but for a descriptor that somebody
         * else has closed, which is replaced before the next sleep. */
        ssize_t got = read(io->word_fd, &count, sizeof(count));
        FOL_ASSERT(got == sizeof(count) || got < 0);
    }
    /* What poll refuses is for whoever asked to find out. */
    return ready < 0 || both[1].revents != 0 ? -EINTR : FOL_OK;
}

bool fol_io_watch_word(fol_io *io)
{
    /* Somebody may have closed it who closes all numbers he does not know. */
    if (io->word_fd < 0 || fcntl(io->word_fd, F_GETFD) < 0) {
        io->word_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    return io->word_fd >= 0;
}

void fol_io_watch_wake(fol_io *io)
{
    const uint64_t one = 1;
    ssize_t written = write(io->word_fd, &one, sizeof(one));
    FOL_ASSERT(written == sizeof(one) || errno == EBADF);
}

void fol_io_watch_deinit(fol_io *io)
{
    if (io->word_fd >= 0) {
        close(io->word_fd);
    }
}
