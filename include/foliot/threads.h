/* The process's worker threads, as their host sees them: what to do when one ends, and how to end
 * them all.
 *
 * Threads belong to the process, not to a scheduler: they are started when a scheduler first wants
 * them, serve any number of schedulers, and park when there is nothing to do. A host that keeps
 * something of its own for each thread (an interpreter's thread state) frees it in a hook.
 */
#ifndef FOLIOT_THREADS_H
#define FOLIOT_THREADS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* function is called on each worker thread just before it ends. Set once, before the first
 * scheduler is made; NULL for none. */
void fol_threads_at_end(void (*function)(void));

/* Ends the worker threads and waits for them, unless a scheduler still uses them: then the last
 * one to be destroyed ends them. A scheduler made later starts new ones. The caller holds nothing
 * that the hook waits for, such as the host's lock. */
void fol_threads_shutdown(void);

/* Make the n-th thread from now not start, as when the system refuses it (1 is the next one), once;
 * 0 switches it off. Process-wide: for fault tests only. */
void fol_threads_fail_nth(uint64_t n);

#ifdef __cplusplus
}
#endif

#endif
