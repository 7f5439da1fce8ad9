/* What tests of operations share: a request is performed by its call or on a ring, and both must
 * give the same. There must be a ring here, or nothing can be compared.
 */
#ifndef FOL_TESTS_IO_OPERATION_FIXTURE_H
#define FOL_TESTS_IO_OPERATION_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "foliot/status.h"
#include "io/operation.h"

typedef enum way {
    BY_CALL,
    BY_RING,
    WAY_COUNT,
} way;

static struct io_uring ring;
static char folder[64];

#define FOR_EACH_WAY(name) for (way name = BY_CALL; name < WAY_COUNT; name++)

static inline int64_t perform(const fol_io_request *request, way how)
{
    const fol_io_operation *row = fol_io_operation_of(request->kind);
    if (how == BY_CALL) {
        return row->call(request, true);
    }
    struct io_uring_cqe *cqe = NULL;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    row->prepare(sqe, request);
    CHECK_EQ(io_uring_submit_and_wait(&ring, 1), 1);
    CHECK_EQ(io_uring_peek_cqe(&ring, &cqe), 0);
    int64_t value = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    return value;
}

static inline int64_t perform_now(const fol_io_request *request)
{
    return fol_io_operation_of(request->kind)->call(request, false);
}

static inline const char *path_of(const char *name)
{
    static char paths[4][128];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", folder, name);
    return paths[turn];
}

static inline int make_file(const char *name, const char *text)
{
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static inline void make_pair(int pair[2])
{
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static inline void close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

static inline int open_fixture(void)
{
    snprintf(folder, sizeof(folder), "/tmp/foliot_io_XXXXXX");
    if (mkdtemp(folder) == NULL || io_uring_queue_init(8, &ring, 0) != 0) {
        fprintf(stderr, "no folder or no io_uring here: the two ways cannot be compared\n");
        return -1;
    }
    return 0;
}

static inline void close_fixture(void)
{
    struct dirent *entry = NULL;
    DIR *entries = opendir(folder);
    io_uring_queue_exit(&ring);
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
    rmdir(folder);
}

#endif
