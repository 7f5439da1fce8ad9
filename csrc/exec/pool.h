/* The pool: the process's worker threads, which serve teams.
 *
 * A thread has no work of its own. It looks for a team that wants help, takes one of its free
 * places, works there until nothing is found for a while, gives the place back, and looks for
 * another team; when none wants help it parks. So any number of schedulers share the threads, a
 * team never gets more helpers than it has places, and an idle pool uses no processor at all.
 *
 * Idle protocol. A team publishes work, passes a full fence, and looks at how many of its workers
 * search and how many threads of the pool are parked; it wakes one when nobody searches. A thread
 * that gives up leaves the team's searchers, prepares to park, passes a full fence, and looks at
 * every team's queues once more before it commits. A searcher that finds work and was the last one
 * wakes another. tests/model has the same protocol for spin.
 *
 * Threads block every signal but those of crashes (a crash belongs to who makes it), are
 * named "foliot-N", and start only when first wanted.
 */
#ifndef FOL_EXEC_POOL_H
#define FOL_EXEC_POOL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct fol_pool fol_pool;

#define FOL_POOL_MAX_THREADS 255u

/* A pool without threads; grow starts them. -ENOMEM, or what the system refused. */
int fol_pool_create(fol_pool **out);
/* Stops and joins the threads, whatever they are at. No team is left. */
void fol_pool_destroy(fol_pool *pool);

/* Makes the pool at least `threads` large. Returns how many there are, which is fewer when the
 * system refuses more (*refused gets the negative errno, else 0). Any thread. */
uint32_t fol_pool_grow(fol_pool *pool, uint32_t threads, int *refused);
uint32_t fol_pool_thread_count(const fol_pool *pool);
/* Threads that are parked at this moment. */
uint32_t fol_pool_parked_count(const fol_pool *pool);

/* The process's own pool, made when first asked for. -ENOMEM. Users hold it from acquire to
 * release; it stays, parked, when nobody does. A forked child gets a new one; there the parent's
 * may be released and destroyed, which leaves the parent's threads alone, and used for nothing
 * else. */
int fol_pool_acquire(fol_pool **out);
void fol_pool_release(fol_pool *pool);
/* Ends the process's own pool if nobody holds it; else its last release does, and until then
 * acquire gives the same one. Later acquires make a new one. Waits for the threads, and so for
 * their function at_thread_end. For the interpreter's exit. */
void fol_pool_shutdown(void);

/* Called on every thread of any pool just before it ends (a host frees its state there). Set once,
 * before threads start. */
void fol_pool_at_thread_end(void (*function)(void));

/* For fault tests: the n-th thread from now does not start, with EAGAIN; 0 switches it off. */
void fol_pool_fail_nth_thread(uint64_t n);

#endif
