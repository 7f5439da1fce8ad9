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

/* What the kernel says about a thread of this process; "" when it has gone. */
static inline void read_of_thread(const char *thread, const char *what, char line[32])
{
    char path[300];
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", thread, what);
    FILE *file = fopen(path, "re");
    line[0] = '\0';
    if (file != NULL) {
        if (fgets(line, 32, file) == NULL) {
            line[0] = '\0';
        }
        fclose(file);
    }
}

/* Threads of I/O pools in this process that are inside of a system call; -1: of any, or of none. */
static inline uint32_t count_pool_threads_in(long call)
{
    uint32_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        char name[32];
        char inside[32];
        read_of_thread(task->d_name, "comm", name);
        read_of_thread(task->d_name, "syscall", inside);
        bool is_inside = call < 0 || (inside[0] != 'r' && strtol(inside, NULL, 10) == call);
        count += strncmp(name, "foliot-io", 9) == 0 && is_inside;
    }
    closedir(tasks);
    return count;
}

static inline uint32_t count_pool_threads(void)
{
    return count_pool_threads_in(-1);
}

static inline void await_end_of_pool_threads(void)
{
    while (count_pool_threads() != 0) {
        sched_yield();
    }
}

#endif
