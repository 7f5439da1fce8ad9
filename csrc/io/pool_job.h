/* A request that a pool does, and lists of such.
 *
 * A job is in one list at most; `place` says in which. The driving thread owns it everywhere but in
 * the crew's queue, with a thread, and among the crew's ended: there the crew's mutex guards it
 * (pool_crew.h), and only the token, the chain, the request and is_handed are still the driving
 * thread's to look at.
 */
#ifndef FOL_IO_POOL_JOB_H
#define FOL_IO_POOL_JOB_H

#include "base/assert.h"
#include "io/engine.h"

typedef enum fol_io_place {
    FOL_IO_PLACE_NONE = 0,
    FOL_IO_PLACE_FRESH,    /* to be tried at the next flush */
    FOL_IO_PLACE_OWN,      /* to be run by the driving thread */
    FOL_IO_PLACE_STANDING, /* until its descriptor is ready */
    FOL_IO_PLACE_STARVED,  /* until a buffer comes back */
    FOL_IO_PLACE_QUEUED,   /* for a thread */
    FOL_IO_PLACE_RUNNING,  /* by a thread */
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
    bool is_handed;    /* to the crew: the driving thread's own note */
};

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
