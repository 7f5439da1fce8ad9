/* The pool engine: what it is made of.
 *
 * A request goes one of three ways.
 *
 * - What waits for nothing (NOP, SOCKET, SHUTDOWN) is called at the flush, by the driving thread.
 * - What may wait for others (sockets, pipes) is tried at the flush without waiting, and then
 *   stands in an epoll set (readiness.h), tried again after each event. No thread is held by it.
 *   Requests for the same direction of one descriptor are done in the order in which they came.
 * - What waits for a device only (files) goes to the crew (pool_crew.h); or is called by the
 *   driving thread itself when it runs in place, or when no thread can be had. Reads and writes of
 *   what is in memory already end at the try, which is the quick way; for large ones of files that
 *   try is left out, so that threads share the copying. Files that are named by their path are
 *   opened, read or written, and closed as one job (operation_path.h).
 *
 * A driving thread that waits takes batches from the crew's queue and does them beside the threads,
 * and looks at completions, wakes, events and the time between them. It leaves alone what is slow:
 * what was tried in vain and so waits for a device, fsync, what waits for others, and everything
 * while jobs take long. With quick work on two processors it and one thread are the whole team. A
 * lone quick job that it would wait for it does without any thread.
 *
 * The driving thread alone has everything but the crew's share. Completions stand in a ring in the
 * order in which they ended; it always has room for the last one of every request in flight, and
 * for PIECES others, so that a request with many results pauses when nobody reaps.
 *
 * A cancel ends at once what no thread has begun. A call that a thread is inside of ends as it
 * ends: nothing interrupts it (no signal is sent), and its own completion tells. Opening a named
 * pipe is the only call there that waits for others, and holds its thread until the other end
 * comes; with FOL_IO_PROMPT, as the driver asks for it, it does not. A call of the driving thread
 * itself ends when a signal interrupts it and `interruption` says that it is to stop.
 *
 * In a forked child only destroy is allowed, which closes the child's copies of descriptors and
 * frees the child's copies of memory.
 */
#ifndef FOL_IO_POOL_H
#define FOL_IO_POOL_H

#include "io/pool_crew.h"
#include "io/readiness.h"

#define FOL_IO_POOL_PIECES       1024u
#define FOL_IO_POOL_BUFFER_COUNT 256u
#define FOL_IO_POOL_BUFFER_SIZE  4096u
#define FOL_IO_POOL_CHAINS       4096u

typedef struct fol_io_outcome {
    fol_io_event event;
    int32_t opened; /* to be closed when nobody reaps it, or -1 */
} fol_io_outcome;

typedef struct fol_io_job_block fol_io_job_block;

typedef struct fol_io_pool fol_io_pool;
struct fol_io_pool {
    fol_io_engine engine;   /* first */
    fol_io_pool *abandoned; /* the next one */
    uint64_t generation;    /* of forks */
    bool runs_in_place;
    fol_io_interruption interruption;
    bool is_woken;
    bool is_waiting;   /* the driving thread is about to take batches of the crew's */
    bool has_gathered; /* since the last reap */
    fol_io_crew crew;
    fol_io_readiness readiness;
    fol_io_jobs fresh;
    fol_io_jobs own; /* to be run by the driving thread */
    fol_io_jobs starved;
    fol_io_jobs leaving; /* for the crew, until the end of the flush */
    uint32_t handed;     /* with the crew */
    bool looks;          /* by itself: nothing that threads end puts the notice up */
    fol_io_job *free_jobs;
    fol_io_job_block *blocks;
    fol_io_job *chains[FOL_IO_POOL_CHAINS]; /* by token */
    fol_io_outcome *outcomes;               /* a ring; a power of two */
    uint32_t outcome_room;
    uint32_t outcome_first; /* count up for ever */
    uint32_t outcome_end;
    uint32_t pieces; /* outcomes that are not final */
    unsigned char *buffers;
    int32_t free_buffers[FOL_IO_POOL_BUFFER_COUNT];
    uint32_t free_buffer_count;
};

/* Of pool_try.c: the driving thread's part of doing requests. */

/* The first try of a job that is in no list. */
void fol_io_pool_begin(fol_io_pool *pool, fol_io_job *job);
/* Calls a job for a file in place, or puts it among the pool's own when that is to stop. */
void fol_io_pool_run(fol_io_pool *pool, fol_io_job *job);
/* Goes on with those who stand where an event came. */
void fol_io_pool_go_on(fol_io_pool *pool, const struct epoll_event *event);

/* Of pool_mend.c: when descriptors of the pool's own have been closed by somebody else. */

/* Whether a wait or a registration that failed so did because the set is not there any more. */
bool fol_io_pool_has_lost_its_set(const fol_io_pool *pool, int status);
/* Puts the crew's descriptors into the set, new ones in place of those that are gone. A negative
 * errno: the system has none to give; then the crew is lost. */
int fol_io_pool_join_set(fol_io_pool *pool);
/* Has a new set; what stood is tried again, then the job, which is in no list, if it is not NULL,
 * and then what is fresh. The crew is lost until it is mended. A negative errno: the system has
 * none to give, and nothing has changed. */
int fol_io_pool_renew_set(fol_io_pool *pool, fol_io_job *job);
/* As fol_io_readiness_wait, after mending what has to be; a negative errno also when the system has
 * no descriptors to give. */
int fol_io_pool_wait(fol_io_pool *pool, struct epoll_event *out, int room, uint64_t timeout_ns);

/* Of pool.c. */

/* The job, which is in no list or stands, is over. */
void fol_io_pool_end(fol_io_pool *pool, fol_io_job *job, int64_t value);
/* A result of a job that goes on. There is room. */
void fol_io_pool_give_piece(fol_io_pool *pool, const fol_io_job *job, int64_t value,
                            int32_t buffer);
/* A system call of the driving thread. */
void fol_io_pool_count_call(fol_io_pool *pool);

/* What a test can look at. Any thread. */
typedef struct fol_io_pool_census {
    uint32_t threads;
    uint32_t idle;
    uint32_t waiting; /* for a thread */
} fol_io_pool_census;
void fol_io_pool_count(fol_io_engine *engine, fol_io_pool_census *out);

#endif
