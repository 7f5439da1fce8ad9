/* Files that are read and written by their path, each test on the ring and on the pool: what their
 * opening is told, and what becomes of what is no plain file.
 */

#include "io_driver_support.h"

static char folder[64];

static char *path_of(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static fol_io_request by_path(uint32_t kind, const char *path, void *buffer, size_t size)
{
    return (fol_io_request){.kind = kind,
                            .flags = FOL_IO_PATH,
                            .fd = AT_FDCWD,
                            .path = path,
                            .mode = 0600,
                            .buffer = buffer,
                            .size = size};
}

static void test_options_of_a_read_are_of_its_opening(void)
{
    fol_io *io = open_driver();
    fol_io_op op;
    char text[8] = "target";
    char target[96];
    snprintf(target, sizeof target, "%s", path_of("target"));
    CHECK_EQ(do_one(io, &op, by_path(FOL_IO_WRITE, target, text, 6)), 6);
    CHECK_EQ(symlink(target, path_of("link")), 0);
    fol_io_request request = by_path(FOL_IO_READ, path_of("link"), text, sizeof text);
    CHECK_EQ(do_one(io, &op, request), 6);
    request.options = O_NOFOLLOW;
    CHECK_EQ(do_one(io, &op, request), -ELOOP);
    request.options = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    CHECK_EQ(do_one(io, &op, request), 6);
    request.options = O_DIRECTORY;
    CHECK_EQ(do_one(io, &op, request), -ENOTDIR);
    CHECK_EQ(unlink(path_of("link")), 0);
    CHECK_EQ(unlink(target), 0);
    close_driver(io, 0);
}

static void test_options_of_a_write_are_of_its_opening(void)
{
    fol_io *io = open_driver();
    fol_io_op op;
    char text[8] = "abc";
    fol_io_request request = by_path(FOL_IO_WRITE, path_of("made"), text, 3);
    request.options = O_EXCL;
    CHECK_EQ(do_one(io, &op, request), 3);
    CHECK_EQ(do_one(io, &op, request), -EEXIST);
    request.options = O_APPEND;
    request.offset = FOL_IO_CURRENT;
    CHECK_EQ(do_one(io, &op, request), 3);
    CHECK_EQ(do_one(io, &op, by_path(FOL_IO_READ, request.path, text, 8)), 6);
    CHECK(memcmp(text, "abcabc", 6) == 0);
    CHECK_EQ(unlink(request.path), 0);
    close_driver(io, 0);
}

/* A pipe with a writer, which is the descriptor. */
static int make_pipe(const char *path)
{
    CHECK_EQ(mkfifo(path, 0600), 0);
    return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

static void test_a_named_pipe_holds_up_nobody(void)
{
    static fol_io_op ops[33];
    fol_io *io = open_driver();
    char text[4] = {0};
    struct statx status[32];
    fol_io_request request = by_path(FOL_IO_READ, path_of("pipe"), text, 3);
    int writer = make_pipe(request.path);
    fol_io_op *first = &ops[32];
    first->request = request;
    fol_io_submit(io, &first, 1);
    for (int i = 0; i < 32; i++) {
        CHECK_EQ(do_one(io, &ops[i], by_path(FOL_IO_STAT, folder, &status[i], 0)), 0);
        fol_io_release(io, &ops[i]);
    }
    CHECK(!first->is_finished);
    CHECK_EQ(write(writer, "abc", 3), 3);
    run(io, 1);
    CHECK_EQ(first->value, 3);
    CHECK(memcmp(text, "abc", 3) == 0);
    close(writer);
    CHECK_EQ(unlink(request.path), 0);
    close_driver(io, 0);
}

static void test_a_cancelled_read_of_a_named_pipe_is_closed(void)
{
    fol_io *io = open_driver();
    fol_io_op op;
    fol_io_op *pointer = &op;
    char text[4];
    op.request = by_path(FOL_IO_READ, path_of("pipe"), text, 3);
    int writer = make_pipe(op.request.path);
    fol_io_op other;
    CHECK_EQ(do_one(io, &other, by_path(FOL_IO_READ, "/nowhere", text, 1)), -ENOENT);
    uint32_t before = open_descriptors();
    fol_io_submit(io, &pointer, 1);
    uint64_t until_ns = fol_clock_monotonic.now_ns(NULL) + 1000000;
    int status = FOL_OK;
    /* A wait may end early, with nothing. */
    while (status == FOL_OK || status == -EINTR) {
        status = fol_io_wait(io, 1, until_ns);
    }
    CHECK_EQ(status, -ETIME);
    CHECK(fol_io_cancel(io, &op));
    run(io, 1);
    CHECK_EQ(op.value, -ECANCELED);
    CHECK_EQ(open_descriptors(), before);
    close(writer);
    CHECK_EQ(unlink(op.request.path), 0);
    close_driver(io, 0);
}

static void run_all(void)
{
    RUN(test_a_named_pipe_holds_up_nobody);
    RUN(test_a_cancelled_read_of_a_named_pipe_is_closed);
    RUN(test_options_of_a_read_are_of_its_opening);
    RUN(test_options_of_a_write_are_of_its_opening);
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/foliot-paths-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        perror("mkdtemp");
        return 1;
    }
    choice = FOL_IO_CHOICE_RING;
    run_all();
    choice = FOL_IO_CHOICE_POOL;
    run_all();
    rmdir(folder);
    CHECK_MAIN_END();
}
