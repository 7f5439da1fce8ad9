/* Parallel work from inside a native system: fork and join, and a parallel loop.
 *
 * A kernel of the chunk signature finds both in its chunk:
 *
 *     static int body(fol_parallel *self, size_t first, size_t end, void *argument);
 *     ...
 *     return chunk->parallel->for_range(chunk->self, count, 64, body, argument);
 *
 * Branches run on the workers of the scheduler that runs the system; on a scheduler with one worker
 * the same calls run everything in place. Nesting may go to any depth: who waits runs other
 * branches meanwhile, and never parks while it has some of its own.
 *
 * A branch must not touch the chunk's command buffer, which belongs to the worker that runs the
 * kernel, and must not call into the host language. It gets its own handle, good on its thread
 * until it returns.
 *
 * The header stands alone: nothing has to be linked.
 *
 * Source: fork and join as in Cilk (Frigo, Leiserson, Randall, PLDI 1998); the loop splits lazily,
 * when nobody finds work (Tzannes, Caragea, Barua, Vishkin, PPoPP 2010).
 */
#ifndef FOLIOT_PARALLEL_H
#define FOLIOT_PARALLEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The worker that runs this code. */
typedef struct fol_parallel fol_parallel;

typedef void (*fol_branch_function)(fol_parallel *self, void *argument);
/* Does [first, end). Nonzero stops the loop. */
typedef int (*fol_range_function)(fol_parallel *self, size_t first, size_t end, void *argument);

/* One fork that is not joined yet; on the stack of who forks. Its content is foliot's. */
typedef struct fol_branch {
    void *reserved[8];
} fol_branch;

typedef struct fol_parallel_api {
    /* From here on function(handle, argument) may run on another worker. */
    void (*fork)(fol_parallel *self, fol_branch *branch, fol_branch_function function,
                 void *argument);
    /* Returns when it has run; runs it here when nobody else took it. Every fork is joined by the
     * same function that made it, the last one first. */
    void (*join)(fol_parallel *self, fol_branch *branch);
    /* body over [0, count) in ranges of at most `grain` (0: chosen from the measured cost), in any
     * order, at once on any number of workers. 0, or what the body returned for the lowest range
     * that was not 0: every range below that one has run, ranges above it may have. */
    int (*for_range)(fol_parallel *self, size_t count, size_t grain, fol_range_function body,
                     void *argument);
    /* 0 is the thread that drives the scheduler. */
    uint32_t (*worker)(const fol_parallel *self);
    uint32_t (*worker_count)(const fol_parallel *self);
} fol_parallel_api;

#ifdef __cplusplus
}
#endif

#endif
