/* Memory of the core: counters anyone may read, and a switch that makes allocations fail for tests.
 *
 * Every block the core owns comes from one allocator. Counting costs one relaxed atomic addition
 * an allocation. Thread-safe.
 */
#ifndef FOLIOT_MEMORY_H
#define FOLIOT_MEMORY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fol_memory_stats {
    uint64_t allocations; /* calls that asked for memory since the process started */
    uint64_t frees;       /* blocks given back */
    uint64_t live_blocks; /* allocations that succeeded minus frees */
} fol_memory_stats;

void fol_memory_read_stats(fol_memory_stats *out);

/* Make the n-th allocation from now fail with -ENOMEM (1 is the next one), once; 0 switches it off.
 * Process-wide: for fault tests only. */
void fol_memory_fail_nth(uint64_t n);

/* True when an armed failure has not happened yet; a fault test ends when n passes the last one. */
int fol_memory_failure_is_armed(void);

#ifdef __cplusplus
}
#endif

#endif
