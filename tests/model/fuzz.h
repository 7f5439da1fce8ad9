/* A seeded scheduler for the threads of a test: only one runs at a time, and at each operation on
 * shared memory (FOL_FUZZ puts fol_fuzz_point there) the seed decides who runs on. So a history is
 * a function of its seed, and what one seed breaks it breaks again.
 *
 * Half of the seeds switch at random, more or less often. The other half give each thread a
 * priority, always run the highest, and lower it at a few random moments: Burckhardt, Kothari,
 * Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs"
 * (ASPLOS 2010). Operations are in one order for all: weak memory is the other model's business.
 */
#ifndef FOL_MODEL_FUZZ_H
#define FOL_MODEL_FUZZ_H

#include <stdbool.h>
#include <stdint.h>

#define FUZZ_THREADS_MAX 8

/* Runs run(0) ... run(count - 1) to their ends. Ends the program with status 1 and the seed when
 * every thread that is left sleeps, or when they take too many steps. */
void fuzz_run(uint64_t seed, uint32_t count, void (*run)(uint32_t index));

/* A choice of the running thread: 0 ... count - 1, from the seed. */
uint32_t fuzz_below(uint32_t count);

/* Ends the program with status 1, the seed and the message unless the condition holds. */
void fuzz_check(bool condition, const char *message);

#endif
