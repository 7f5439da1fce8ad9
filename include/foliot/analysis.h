/* Schedulability analysis: what a set of periodic tasks can be proved to meet, by exact tests.
 *
 * Times are whole numbers of any one unit. A task releases a job at most each `period`; the job
 * becomes ready up to `jitter` after its release, needs at most `wcet`, and is due `deadline` after
 * its release. `blocking` is the longest that less urgent work may hold the task back, once for
 * each stretch of time in which more urgent work is pending. Releases may come at any offset:
 * verdicts hold for all of them, and the worst one is that of all tasks at once.
 *
 * All arithmetic is exact. What cannot be decided within bounds is an error, never a guess:
 * -EOVERFLOW when the stretch of time to look at ends after FOL_ANALYSIS_HORIZON_MAX, -E2BIG when
 * the answer takes more than FOL_ANALYSIS_STEPS_MAX looks at a task.
 *
 * An analysis is the room that the tests work in: one owner, no thread, no clock; it allocates when
 * it is made and never again. Functions give FOL_OK, or FOL_E_VALUE for a task out of bounds or for
 * more tasks than the analysis has room for, or one of the two errors above; *out is written only
 * on success unless a function says otherwise.
 */
#ifndef FOLIOT_ANALYSIS_H
#define FOLIOT_ANALYSIS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FOL_ANALYSIS_TASKS_MAX   16384u
#define FOL_ANALYSIS_TIME_MAX    (INT64_C(1) << 60)
#define FOL_ANALYSIS_HORIZON_MAX (INT64_C(1) << 62)
#define FOL_ANALYSIS_STEPS_MAX   (UINT64_C(1) << 30)
#define FOL_ANALYSIS_UNBOUNDED   INT64_C(-1)

typedef struct fol_analysis fol_analysis;

typedef struct fol_analysis_task {
    int64_t wcet;     /* 1 .. the deadline */
    int64_t period;   /* 1 .. FOL_ANALYSIS_TIME_MAX */
    int64_t deadline; /* relative; 1 .. FOL_ANALYSIS_TIME_MAX */
    int64_t jitter;   /* 0 .. FOL_ANALYSIS_TIME_MAX */
    int64_t blocking; /* 0 .. FOL_ANALYSIS_TIME_MAX */
} fol_analysis_task;

typedef enum fol_demand_reason {
    FOL_DEMAND_FITS = 0, /* no interval asks for more than its length */
    FOL_DEMAND_EXCEEDS,  /* t is the first length that cannot hold its demand and blocking */
    FOL_DEMAND_OVERLOAD, /* utilisation above 1, but no such t was found within the bounds */
} fol_demand_reason;

typedef struct fol_demand_verdict {
    int32_t status;    /* FOL_OK, or why there is no verdict */
    int32_t reason;    /* fol_demand_reason */
    int64_t t;         /* with EXCEEDS; else 0 */
    int64_t demand;    /* of t: work released and due within it; at most INT64_MAX is reported */
    int64_t blocking;  /* of t, which comes on top */
    int64_t looked_to; /* deadlines up to here were looked at; 0: none had to be */
} fol_demand_verdict;

/* -ENOMEM; FOL_E_VALUE for a capacity of 0 or above FOL_ANALYSIS_TASKS_MAX. */
int fol_analysis_create(uint32_t capacity, fol_analysis **out);
/* NULL is fine. */
void fol_analysis_destroy(fol_analysis *analysis);

/* *out is -1, 0 or 1: the utilisation is below, at or above 1. */
int fol_analysis_utilisation(fol_analysis *analysis, const fol_analysis_task *tasks, uint32_t count,
                             int *out);

/* One CPU, earliest deadline first: the processor demand of every interval, by QPA. Exact without
 * blocking; with it a refused set may be schedulable. out->status is what is returned. */
int fol_analysis_edf(fol_analysis *analysis, const fol_analysis_task *tasks, uint32_t count,
                     fol_demand_verdict *out);
/* The same for many sets, one after another in `tasks`; each verdict has its own status. */
void fol_analysis_edf_many(fol_analysis *analysis, const fol_analysis_task *tasks,
                           const uint32_t *counts, size_t sets, fol_demand_verdict *out);

/* One CPU, fixed priorities, the most urgent task first: the worst response of each, from release
 * to completion; FOL_ANALYSIS_UNBOUNDED where there is no bound. Exact without blocking. */
int fol_analysis_fixed_responses(fol_analysis *analysis, const fol_analysis_task *tasks,
                                 uint32_t count, int64_t *out);

/* One CPU, earliest deadline first: the same, equal deadlines decided against the task. */
int fol_analysis_edf_responses(fol_analysis *analysis, const fol_analysis_task *tasks,
                               uint32_t count, int64_t *out);

/* Partitioned EDF: first fit by decreasing utilisation, each CPU by the exact test. Tasks whose
 * entry in `pinned` is not negative go first, to that CPU only; pinned may be NULL. cpu_of[i] is
 * the CPU of task i, or -1 where none was given. *misfit is the task that fits nowhere, with
 * why[cpu] the verdict of each CPU it was tried on (status FOL_E_VALUE: not tried), or -1 when all
 * tasks have a CPU; `why` has room for `cpus` verdicts. */
int fol_analysis_partition(fol_analysis *analysis, const fol_analysis_task *tasks, uint32_t count,
                           uint32_t cpus, const int32_t *pinned, int32_t *cpu_of, int64_t *misfit,
                           fol_demand_verdict *why);

#ifdef __cplusplus
}
#endif

#endif
