/* A request that a pool does, and lists of such.
 *
 * A job is in one list at most; `place` says in which. The driving thread owns it everywhere but in
 * the crew's queue, with a thread, and among the crew's ended: there the crew's mutex guards it
 * (pool_crew.h), and only the token, the chain, the request and is_handed are still the driving
 * thread's to look at, and is_cut to set. Of a job that it has begun a thread writes the value, and
 * nobody looks at that before the thread gave it back under the mutex.
 */
#ifndef FOL_IO_POOL_JOB_H
#define FOL_IO_POOL_JOB_H

#include "base/assert.h"
#include "io/operation_path.h"

typedef enum fol_io_place {
    FOL_IO_PLACE_NONE = 0,
    FOL_IO_PLACE_FRESH,    /* to be tried at the next flush */
    FOL_IO_PLACE_OWN,      /* to be run by the driving thread */
    FOL_IO_PLACE_STANDING, /* until its descriptor is ready */
    FOL_IO_PLACE_STARVED,  /* until a buffer comes back */
    FOL_IO_PLACE_QUEUED,   /* for a thread */
    FOL_IO_PLACE_RUNNING,  /* in the batch of a thread */
    FOL_IO_PLACE_ENDED,    /* by a thread, and not seen by the driving thread */
} fol_io_place;

typedef struct fol_io_job fol_io_job;
struct fol_io_job {
    fol_io_job *next;
    fol_io_job *previous;
    fol_io_job *chain;       /* of tokens with the same hash */
    fol_io_job **chain_link; /* what points here in the chain */
    const fol_io_request *request;
    uint64_t token;
    int64_t value;
    uint32_t events; /* of epoll, that it stands for */
    uint32_t lane;   /* EPOLLIN, EPOLLOUT: done in the order of coming with others of it; or 0 */
    uint8_t place;
    bool needs_thread; /* the driving thread would wait for others */
    bool is_slow;      /* waits for a device or for others: in a batch of its own, on a thread */
    bool is_dropped;   /* what it opened is closed again: nobody will hear of it */
    bool is_handed;    /* to the crew: the driving thread's own note */
    uint32_t hand;     /* whose batch it is in, while RUNNING */
    /* Nobody has a use for the rest of it. Relaxed: nothing is handed over with it. */
    FOL_ATOMIC(uint32_t) is_cut;
};

static inline int64_t fol_io_job_call(fol_io_job *job, bool is_patient)
{
    if (fol_io_is_path_request(job->request)) {
        return fol_io_call_path(job->request, &job->is_cut, is_patient);
    }
    return fol_io_operation_of(job->request->kind)->call(job->request, is_patient);
}

/* A descriptor that the result of a job left open, for whoever gets it; -1: none. */
static inline int32_t fol_io_job_opened(const fol_io_job *job, int64_t value)
{
    if (job->is_dropped) {
        return -1;
    }
    if (fol_io_is_path_request(job->request)) {
        const fol_io_whole *whole = fol_io_whole_of(job->request);
        return whole->is_closed ? -1 : whole->opened;
    }
    return fol_io_operation_of(job->request->kind)->gives_fd && value >= 0 ? (int32_t)value : -1;
}

typedef struct fol_io_jobs {
    fol_io_job *first;
    fol_io_job *last;
    uint32_t count;
} fol_io_jobs;

static inline void fol_io_jobs_append(fol_io_jobs *jobs, fol_io_job *job, fol_io_place place)
{
    FOL_ASSERT_HOT(job->place == FOL_IO_PLACE_NONE);
    job->place = (uint8_t)place;
    job->next = NULL;
    job->previous = jobs->last;
    if (jobs->last != NULL) {
        jobs->last->next = job;
    } else {
        jobs->first = job;
    }
    jobs->last = job;
    jobs->count += 1;
}

static inline void fol_io_jobs_push_front(fol_io_jobs *jobs, fol_io_job *job, fol_io_place place)
{
    FOL_ASSERT_HOT(job->place == FOL_IO_PLACE_NONE);
    job->place = (uint8_t)place;
    job->previous = NULL;
    job->next = jobs->first;
    if (jobs->first != NULL) {
        jobs->first->previous = job;
    } else {
        jobs->last = job;
    }
    jobs->first = job;
    jobs->count += 1;
}

static inline void fol_io_jobs_remove(fol_io_jobs *jobs, fol_io_job *job)
{
    FOL_ASSERT_HOT(jobs->count != 0);
    if (job->previous != NULL) {
        job->previous->next = job->next;
    } else {
        jobs->first = job->next;
    }
    if (job->next != NULL) {
        job->next->previous = job->previous;
    } else {
        jobs->last = job->previous;
    }
    jobs->count -= 1;
    job->place = FOL_IO_PLACE_NONE;
}

/* The first one, taken out; NULL when there is none. */
static inline fol_io_job *fol_io_jobs_pop(fol_io_jobs *jobs)
{
    fol_io_job *job = jobs->first;
    if (job != NULL) {
        fol_io_jobs_remove(jobs, job);
    }
    return job;
}

#endif
