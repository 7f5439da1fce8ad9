/* Jobs that stand until their descriptors are ready, in one epoll set.
 *
 * Descriptors are watched for edges: whoever stands has tried before and found nothing, and after
 * an event is tried until there is nothing again. Each job that comes to stand registers its
 * descriptor anew, which costs one system call and makes two things right: what became ready since
 * the try is an event, and a number that was closed and given to another file meanwhile, about
 * which nobody tells, is watched again. An event on a descriptor where nobody stands takes it out
 * of the set.
 *
 * Invariant: the jobs of a watch are in the order in which they came; a watch without jobs may be
 * registered still. A registration can outlive its number, when the file is also open under
 * another one; its events have an older generation and mean nothing.
 *
 * A job stands for a number, not for the file behind it: who closes a descriptor by other means
 * than the engine, while requests stand for it, must cancel them first, or they go on with whatever
 * gets the number. (The driver does so for FOL_IO_CLOSE.)
 *
 * Of the driving thread alone. Source: epoll(7).
 */
#ifndef FOL_IO_READINESS_H
#define FOL_IO_READINESS_H

#include <sys/epoll.h>

#include "io/pool_job.h"

/* What the data of an event says of descriptors that are watched for themselves. */
#define FOL_IO_READINESS_NOTICE (UINT64_MAX - 1)
#define FOL_IO_READINESS_TIMER  UINT64_MAX

typedef struct fol_io_watch {
    fol_io_jobs jobs;
    uint32_t generation; /* of the registration */
    uint32_t events;     /* that all its jobs stand for; 0: not known to be registered */
} fol_io_watch;

typedef struct fol_io_watch_chunk fol_io_watch_chunk;

typedef struct fol_io_readiness {
    int epoll_fd;
    fol_io_watch_chunk **chunks; /* by descriptor; a chunk is made when one of it is used */
    uint32_t chunk_count;
    bool was_used; /* the set may have events, also of registrations that outlived their number */
    uint64_t system_calls;
} fol_io_readiness;

/* A negative errno when the system has no epoll set to give. */
int fol_io_readiness_init(fol_io_readiness *readiness);
/* Somebody else has closed the set: a new one, with nothing registered. Jobs stand as before, for
 * what will tell nobody. A negative errno: nothing has changed. */
int fol_io_readiness_reopen(fol_io_readiness *readiness);
/* Takes out a job that stands; NULL: none does. *cursor is 0 at first, and jobs that stand for one
 * descriptor come in their order. */
fol_io_job *fol_io_readiness_take(fol_io_readiness *readiness, uint64_t *cursor);
/* Jobs that stand are their owner's. In a forked child too: it only closes its own descriptor. */
void fol_io_readiness_deinit(fol_io_readiness *readiness);

/* The job is in no list; its events say for what it stands. -EPERM: this file is always ready, so
 * nobody can stand for it; -ENOMEM, or what epoll_ctl refused: then it is in no list either. */
int fol_io_readiness_stand(fol_io_readiness *readiness, fol_io_job *job);
void fol_io_readiness_leave(fol_io_readiness *readiness, fol_io_job *job);
/* A job of before stands on this descriptor in this lane, so a new one must not be tried first. */
bool fol_io_readiness_has_earlier(const fol_io_readiness *readiness, int fd, uint32_t lane);
/* The descriptor is going to be closed. If nobody stands for it, what is left in the set goes. */
void fol_io_readiness_forget(fol_io_readiness *readiness, int fd);

/* Events, up to `room`; 0 after timeout_ns (UINT64_MAX: no limit), of a long one a little before,
 * so callers look at their clock; a negative errno. */
int fol_io_readiness_wait(fol_io_readiness *readiness, struct epoll_event *out, int room,
                          uint64_t timeout_ns);
/* The watch an event means; NULL: nobody stands there. */
fol_io_watch *fol_io_readiness_find(fol_io_readiness *readiness, const struct epoll_event *event);

#endif
