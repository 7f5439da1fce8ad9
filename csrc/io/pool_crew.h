/* The threads of a pool, and what they share with the driving thread.
 *
 * Everything shared is under one mutex: the queue, the ended jobs, the counts, and whether the
 * notice is up. It is held for a few instructions and at most one write to the notice; calls are
 * made without it. So there is no atomic here whose order would need an argument.
 *
 * The notice is an eventfd that is readable exactly while `is_signalled`, both changed under the
 * mutex. It goes up when a job ends and none ended since the driving thread last looked, when
 * somebody wakes the driving thread, and when that left work for its next turn: one write for a
 * batch. Looking takes the ended jobs and takes the notice down in one step, so nothing that came
 * before the look stays unseen, and nothing that comes after it goes without a notice.
 *
 * Growth. When jobs are handed over and more wait than threads are idle, a thread is added for
 * every FOL_IO_CREW_SHARE begun of those that wait beyond. When a millisecond passes in which jobs
 * waited and no thread took one, all threads are held up, and another is added. Up to `max`.
 * Shrinking. A thread that had nothing to do for idle_ns ends while there are more than `min`.
 */
#ifndef FOL_IO_POOL_CREW_H
#define FOL_IO_POOL_CREW_H

#include <pthread.h>

#include "io/pool_job.h"

#define FOL_IO_CREW_SHARE 8u

typedef struct fol_io_crew fol_io_crew;

typedef enum fol_io_hand_state {
    FOL_IO_HAND_FREE = 0,
    FOL_IO_HAND_LIVES,
    FOL_IO_HAND_ENDED, /* to be joined */
} fol_io_hand_state;

typedef struct fol_io_hand {
    fol_io_crew *crew;
    pthread_t thread;
    uint32_t number;
    uint32_t state;
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
    uint64_t taken; /* jobs, ever */
    uint64_t taken_at_alarm;
    int notice_fd;
    int alarm_fd; /* a timerfd: work has waited for long */
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

/* Takes all jobs of the list. False, and takes none: there is no thread and none can be had. */
bool fol_io_crew_hand_over(fol_io_crew *crew, fol_io_jobs *jobs);
/* Takes a job back that no thread has taken: then it is in no list. False: too late. */
bool fol_io_crew_take_back(fol_io_crew *crew, fol_io_job *job);
/* Moves the ended jobs to the end of `out`, takes the notice down, and stops an alarm about work
 * that has been taken. *was_woken: somebody called wake since the last look. */
void fol_io_crew_look(fol_io_crew *crew, fol_io_jobs *out, bool *was_woken);
/* Puts the notice up; with a wake or for what the driving thread left to itself. Any thread. */
void fol_io_crew_signal(fol_io_crew *crew, bool is_wake);
/* The alarm went off. */
void fol_io_crew_answer_alarm(fol_io_crew *crew);

#endif
