/* The futex system call; see futex.h for the contract. */

#include "base/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

int fol_futex_wait(FOL_ATOMIC(uint32_t) * word, uint32_t expected, uint64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                               .tv_nsec = (long)(timeout_ns % NS_PER_S)};
    const struct timespec *limit = timeout_ns != 0 ? &timeout : NULL;
    long status = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, limit, NULL, 0);
    return status == 0 ? 0 : -errno;
}

uint32_t fol_futex_wake(FOL_ATOMIC(uint32_t) * word, uint32_t count)
{
    int limit = count > INT_MAX ? INT_MAX : (int)count;
    long woken = syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, limit, NULL, NULL, 0);
    return woken > 0 ? (uint32_t)woken : 0;
}
