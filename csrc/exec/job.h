/* A job: the unit of work that queues hold, a pointer to something that starts with this.
 *
 * Whoever makes a job owns its memory and keeps it until it has run; queues never copy one. Jobs
 * that belong to a plan are made with it, a cache line each, so running a frame allocates nothing.
 */
#ifndef FOL_EXEC_JOB_H
#define FOL_EXEC_JOB_H

typedef struct fol_worker fol_worker;
typedef struct fol_job fol_job;

struct fol_job {
    /* Runs on the worker's thread. The job may be gone, or queued again, when it returns. */
    void (*run)(fol_job *job, fol_worker *worker);
};

#endif
