/* The threads of a pool, and what they share with the driving thread.
 *
 * Everything shared is under one mutex: the queue, the ended jobs, the counts, and whether the
 * notice is up. It is held for a few instructions and at most one write to the notice; calls are
 * made without it. A thread takes a batch of jobs from the queue and gives one back with the same
 * lock: up to FOL_IO_CREW_BATCH, no more than its share of what waits, and no more than it did in
 * FOL_IO_CREW_BATCH_NS of late. A job that is slow by its nature is a batch of its own.
 *
 * The batch. Who does a job of it is decided by `begun`, the one atomic here: the thread adds one
 * for each job before it begins it, and whoever has the mutex takes back what is not begun by
 * adding FOL_IO_CREW_TAKEN. Each gets the number that was there before, in one order for all, so
 * each job has one owner. No other order is needed: the thread had the jobs by the mutex, gives
 * them back by it, and does not touch those it did not get. `count` is the thread's under the mutex
 * when it takes a batch; taking back makes it smaller, and the thread looks at it under the mutex.
 *
 * The driving thread takes batches as well while it has to wait, of what is not slow.
 *
 * The notice is an eventfd that is readable exactly while `is_signalled`, both changed under the
 * mutex. It goes up when `wanted` jobs have ended that the driving thread has not seen: one, unless
 * it is asleep for more; when somebody wakes the driving thread; and when that left work for its
 * next turn. While the driving thread takes batches it looks by itself, and none goes up for ended
 * jobs. Looking takes the ended jobs and takes the notice down in one step, so nothing that came
 * before the look stays unseen; whoever ceases to look says what it wants under the mutex, where
 * what has ended meanwhile puts the notice up.
 *
 * Growth. When jobs are handed over and more wait than threads are idle, a thread is added for
 * every FOL_IO_CREW_SHARE begun of those that wait beyond; but while jobs are quick (of late,
 * FOL_IO_CREW_QUICK_NS at most) and none that waits is slow, no more than the processors beside the
 * driving thread's. When a millisecond passes in which jobs waited and nobody began one, all
 * threads are held up: what is not begun goes back to the queue, and another thread is added. Up to
 * `max`. Shrinking. A thread that had nothing to do for idle_ns ends while there are more than
 * `min`.
 */
#ifndef FOL_IO_POOL_CREW_H
#define FOL_IO_POOL_CREW_H

#include <pthread.h>
#include <time.h>

#include "io/pool_job.h"

#define FOL_IO_CREW_SHARE    8u
#define FOL_IO_CREW_BATCH    16u
#define FOL_IO_CREW_BATCH_NS UINT64_C(200000)
#define FOL_IO_CREW_QUICK_NS UINT64_C(100000)
#define FOL_IO_CREW_TAKEN    (1u << 16)

#define FOL_IO_NS_PER_S UINT64_C(1000000000)

static inline uint64_t fol_io_pool_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * FOL_IO_NS_PER_S + (uint64_t)now.tv_nsec;
}

typedef struct fol_io_crew fol_io_crew;

typedef enum fol_io_hand_state {
    FOL_IO_HAND_FREE = 0,
    FOL_IO_HAND_LIVES,
    FOL_IO_HAND_ENDED, /* to be joined */
} fol_io_hand_state;

typedef struct fol_io_hand {
    fol_io_crew *crew;
    pthread_t thread;
    uint32_t number; /* from 0 */
    uint32_t state;
    uint32_t count;             /* of jobs in the batch; under the mutex, as all here but begun */
    FOL_ATOMIC(uint32_t) begun; /* and beyond count when there is nothing left */
    fol_io_job *batch[FOL_IO_CREW_BATCH];
} fol_io_hand;

struct fol_io_crew {
    pthread_mutex_t mutex;
    pthread_cond_t has_work;
    pthread_cond_t has_ended; /* a thread has */
    fol_io_jobs queue;
    fol_io_jobs ended;
    fol_io_hand *hands; /* max */
    uint32_t min;
    uint32_t max;
    uint64_t idle_ns;
    uint32_t live;
    uint32_t idle;
    uint32_t team;   /* threads that quick work has a use for */
    uint32_t slow;   /* of those in the queue */
    uint32_t wanted; /* ended jobs that put the notice up */
    uint64_t job_ns; /* what a job took of late */
    uint64_t given;  /* jobs, ever, that ended or that the driving thread took */
    uint64_t begun_at_alarm;
    int notice_fd;
    int alarm_fd;             /* a timerfd: work has waited for long */
    int set_fd;               /* the epoll set in which both are */
    FOL_ATOMIC(bool) is_lost; /* one of the three is not there any more */
    bool is_signalled;
    bool is_woken;
    bool is_stopping;
    bool is_alarmed;
};

/* -ENOMEM, or what the system refused. The configuration has no zeros for defaults. */
int fol_io_crew_init(fol_io_crew *crew, uint32_t min, uint32_t max, uint64_t idle_ns);
/* Jobs that wait are dropped; those that run end first, for which a bounded time is given. True:
 * all threads are gone, and what jobs point at is free. False: the crew must stay where it is for
 * ever. Jobs that ended last are in `ended`. */
bool fol_io_crew_stop(fol_io_crew *crew);
/* After a stop that was true. */
void fol_io_crew_deinit(fol_io_crew *crew);
/* After one that was false: closes its descriptors, for which its threads have no more use. */
void fol_io_crew_close(fol_io_crew *crew);
/* In a forked child, instead: gives back what is the child's own. */
void fol_io_crew_forget(fol_io_crew *crew);

/* Takes all jobs of the list. False, and takes none: there is no thread and none can be had.
 * has_help: the driving thread is about to take some itself. */
bool fol_io_crew_hand_over(fol_io_crew *crew, fol_io_jobs *jobs, bool has_help);
/* A batch for the driving thread, which looks by itself from now on. False: there is none; then
 * nothing has changed. */
bool fol_io_crew_take(fol_io_crew *crew, fol_io_jobs *out);
/* The driving thread looks no more by itself, and leaves what waits to the threads: so many ended
 * jobs put the notice up. */
void fol_io_crew_expect(fol_io_crew *crew, uint32_t wanted);
/* Takes a job back that no thread has taken: then it is in no list. False: too late. */
bool fol_io_crew_take_back(fol_io_crew *crew, fol_io_job *job);
/* Moves the ended jobs to the end of `out`, takes the notice down, and stops an alarm about work
 * that has been taken. *was_woken: somebody called wake since the last look. */
void fol_io_crew_look(fol_io_crew *crew, fol_io_jobs *out, bool *was_woken);
/* Puts the notice up; with a wake or for what the driving thread left to itself. Any thread. */
void fol_io_crew_signal(fol_io_crew *crew, bool is_wake);
/* The alarm went off. */
void fol_io_crew_answer_alarm(fol_io_crew *crew);
/* With the mutex, of pool_mend.c: has new descriptors in place of those that somebody else has
 * closed, and sees that they are in the set. A negative errno: the system has none to give, or the
 * set is not there; then the crew is lost until the driving thread has mended it. */
int fol_io_crew_mend(fol_io_crew *crew);

#endif
