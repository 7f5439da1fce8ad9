/* A device that does not answer: a file under a lease, which whoever opens it waits for.
 *
 * No privilege is needed for it, and the wait ends when the test says so; the kernel ends it after
 * its lease-break-time (45 s) at the latest.
 */
#ifndef FOL_TESTS_STUCK_FILE_H
#define FOL_TESTS_STUCK_FILE_H

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

typedef struct stuck_file {
    char path[64];
    int fd;
} stuck_file;

static inline stuck_file stuck_file_make(void)
{
    stuck_file file = {.path = "/tmp/foliot-stuck-XXXXXX"};
    /* What tells the holder of a lease that somebody waits. */
    signal(SIGIO, SIG_IGN);
    file.fd = mkostemp(file.path, O_CLOEXEC);
    if (file.fd < 0 || !CHECK_EQ(write(file.fd, "stuck", 5), 5) ||
        !CHECK_EQ(fcntl(file.fd, F_SETLEASE, F_WRLCK), 0)) {
        perror("a file with a lease");
        exit(1);
    }
    return file;
}

/* Those who wait for it go on. */
static inline void stuck_file_release(stuck_file *file)
{
    CHECK_EQ(fcntl(file->fd, F_SETLEASE, F_UNLCK), 0);
    unlink(file->path);
    close(file->fd);
}

/* Threads of I/O pools in this process. */
static inline uint32_t count_pool_threads(void)
{
    uint32_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        char path[300];
        char name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *comm = fopen(path, "re");
        if (comm != NULL) {
            count += fgets(name, sizeof name, comm) != NULL && strncmp(name, "foliot-io", 9) == 0;
            fclose(comm);
        }
    }
    closedir(tasks);
    return count;
}

static inline void await_end_of_pool_threads(void)
{
    while (count_pool_threads() != 0) {
        sched_yield();
    }
}

#endif
