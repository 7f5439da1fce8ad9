/* Notices that the process is a forked child.
 *
 * A child of fork has one thread and copies of locks and queues that other threads may have held,
 * so whatever runs on threads refuses to work there. An object keeps the generation it was made in
 * and compares.
 */
#ifndef FOL_BASE_FORK_H
#define FOL_BASE_FORK_H

#include <stdint.h>

/* Start watching; 0, or a negative errno. Safe to call any number of times. */
int fol_fork_watch(void);

/* 0 in the process that started watching, one more in each child down the line. Any thread. */
uint64_t fol_fork_generation(void);

#endif
