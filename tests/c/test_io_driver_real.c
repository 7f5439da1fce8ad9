/* The driver on this machine, each test on the ring and on the pool: files of every awkward size,
 * streams that trickle, sockets, deadlines, a hundred thousand timers, a million operations.
 *
 * A machine without io_uring fails here, in test_this_machine_has_rings, and says why.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "foliot/memory.h"
#include "foliot/status.h"
#include "io/driver_state.h"

static fol_io_choice choice;
static char directory[64];
static const size_t sizes[] = {0, 1, 4095, 4096, 4097, (1 << 20) + 1};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static fol_io *open_driver(void)
{
    fol_io *io = NULL;
    fol_io_config config = {.choice = choice, .clock = fol_clock_monotonic};
    config.max_operations = 200000;
    if (fol_io_create(&config, &io) != FOL_OK) {
        fprintf(stderr, "cannot create a driver\n");
        exit(1);
    }
    return io;
}

static void count_dropped(void *argument, fol_io_op *op)
{
    (void)op;
    *(uint32_t *)argument += 1;
}

static void close_driver(fol_io *io, uint32_t expected)
{
    uint32_t dropped = 0;
    CHECK_EQ(fol_io_pending(io), expected);
    CHECK(fol_io_destroy(io, count_dropped, &dropped));
    CHECK_EQ(dropped, expected);
}

/* Until `count` operations are finished; those that took part are left to be released. */
static void run(fol_io *io, uint32_t count)
{
    uint32_t finished = 0;
    while (finished < count) {
        int status = fol_io_wait(io, count - finished, UINT64_MAX);
        if (!CHECK(status == FOL_OK || status == -EINTR)) {
            exit(1);
        }
        for (fol_io_op *op = fol_io_take(io); op != NULL; op = op->next) {
            finished += op->is_finished;
        }
    }
}

static int64_t do_one(fol_io *io, fol_io_op *op, fol_io_request request)
{
    op->request = request;
    fol_io_submit(io, &op, 1);
    run(io, 1);
    return op->value;
}

static uint8_t byte_at(size_t offset)
{
    return (uint8_t)(offset * 31 + offset / 251);
}

static size_t wrong_bytes(const void *memory, size_t size, size_t from)
{
    const uint8_t *bytes = memory;
    size_t wrong = 0;
    for (size_t i = 0; i < size; i++) {
        wrong += bytes[i] != byte_at(from + i);
    }
    return wrong;
}

static uint8_t *make_bytes(size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = byte_at(i);
    }
    return bytes;
}

static void file_path(char *out, size_t index)
{
    snprintf(out, 96, "%s/file%zu", directory, index);
}

static uint32_t open_descriptors(void)
{
    uint32_t count = 0;
    for (int fd = 0; fd < 4096; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
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

static void test_this_machine_has_rings(void)
{
    fol_io_report report;
    CHECK_EQ(fol_io_probe(&report), 0);
    if (!CHECK_EQ(report.available, 1)) {
        fprintf(stderr, "io_uring is needed here: %s\n", fol_io_cure_text(report.cure));
    }
}

static void test_files_are_written_and_read_by_path(void)
{
    fol_io *io = open_driver();
    uint32_t before = open_descriptors();
    for (size_t i = 0; i < SIZES; i++) {
        char path[96];
        fol_io_op op;
        file_path(path, i);
        uint8_t *bytes = make_bytes(sizes[i]);
        CHECK_EQ(do_one(io, &op, by_path(FOL_IO_WRITE, path, bytes, sizes[i])), sizes[i]);
        free(bytes);
        for (size_t asked = sizes[i]; asked <= sizes[i] + 10; asked += 10) {
            if (asked == 0) {
                continue;
            }
            CHECK_EQ(do_one(io, &op, by_path(FOL_IO_READ, path, NULL, asked)), sizes[i]);
            CHECK_EQ(op.size, sizes[i]);
            CHECK_EQ(wrong_bytes(op.data, op.size, 0), 0);
            fol_io_release(io, &op);
        }
        fol_io_request request = by_path(FOL_IO_READ, path, NULL, 0);
        request.flags |= FOL_IO_TO_END;
        CHECK_EQ(do_one(io, &op, request), sizes[i]);
        CHECK_EQ(wrong_bytes(op.data, op.size, 0), 0);
        fol_io_release(io, &op);
    }
    uint32_t engines = choice == FOL_IO_CHOICE_RING ? 8 : 4;
    CHECK(open_descriptors() <= before + engines);
    close_driver(io, 0);
    CHECK_EQ(open_descriptors(), before);
}

static void test_files_are_read_by_descriptor_and_into_vectors(void)
{
    fol_io *io = open_driver();
    for (size_t i = 0; i < SIZES; i++) {
        char path[96];
        fol_io_op op;
        file_path(path, i);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        fol_io_request request = {.kind = FOL_IO_READ, .fd = fd, .size = sizes[i] + 1, .offset = 1};
        size_t expected = sizes[i] > 0 ? sizes[i] - 1 : 0;
        CHECK_EQ(do_one(io, &op, request), expected);
        CHECK_EQ(wrong_bytes(op.data, op.size, 1), 0);
        fol_io_release(io, &op);
        uint8_t *memory = malloc(sizes[i] + 8);
        struct iovec vectors[3] = {{memory, sizes[i] / 3},
                                   {memory, 0},
                                   {memory + sizes[i] / 3, sizes[i] + 8 - sizes[i] / 3}};
        request = (fol_io_request){
            .kind = FOL_IO_READ, .flags = FOL_IO_VECTORS, .fd = fd, .buffer = vectors, .size = 3};
        CHECK_EQ(do_one(io, &op, request), sizes[i]);
        CHECK_EQ(wrong_bytes(memory, sizes[i], 0), 0);
        fol_io_release(io, &op);
        free(memory);
        CHECK_EQ(do_one(io, &op, (fol_io_request){.kind = FOL_IO_CLOSE, .fd = fd}), 0);
        CHECK(fcntl(fd, F_GETFD) < 0);
    }
    close_driver(io, 0);
}

static void test_failures_are_the_kernels_own(void)
{
    fol_io *io = open_driver();
    fol_io_op op;
    CHECK_EQ(do_one(io, &op, by_path(FOL_IO_READ, "/nowhere/at/all", NULL, 10)), -ENOENT);
    CHECK_EQ(do_one(io, &op, by_path(FOL_IO_READ, directory, NULL, 10)), -EISDIR);
    fol_io_request request = {.kind = FOL_IO_READ, .fd = 4000, .size = 10};
    CHECK_EQ(do_one(io, &op, request), -EBADF);
    CHECK(op.data == NULL);
    CHECK_EQ(do_one(io, &op, by_path(FOL_IO_STAT, directory, NULL, 0)), 0);
    CHECK(S_ISDIR(((struct statx *)op.data)->stx_mode));
    fol_io_release(io, &op);
    close_driver(io, 0);
}

enum { MANY_FILES = 3000 };

static void test_thousands_of_files_need_few_descriptors(void)
{
    static fol_io_op ops[MANY_FILES];
    static fol_io_op *pointers[MANY_FILES];
    fol_io *io = open_driver();
    char path[96];
    file_path(path, 3);
    for (int i = 0; i < MANY_FILES; i++) {
        ops[i].request = by_path(FOL_IO_READ, path, NULL, 4096);
        pointers[i] = &ops[i];
    }
    fol_io_submit(io, pointers, MANY_FILES);
    run(io, MANY_FILES);
    size_t wrong = 0;
    for (int i = 0; i < MANY_FILES; i++) {
        wrong += ops[i].value != 4096;
        wrong += ops[i].value == 4096 ? wrong_bytes(ops[i].data, 4096, 0) : 0;
        fol_io_release(io, &ops[i]);
    }
    CHECK_EQ(wrong, 0);
    close_driver(io, 0);
}

typedef struct trickle {
    int fd;
    size_t size;
} trickle;

/* A byte at a time, each after the one before it can have been seen, then the end. */
static void *write_slowly(void *argument)
{
    trickle *work = argument;
    for (size_t i = 0; i < work->size; i++) {
        uint8_t byte = byte_at(i);
        CHECK_EQ(write(work->fd, &byte, 1), 1);
        sched_yield();
    }
    close(work->fd);
    return NULL;
}

static void read_trickle(int flags, size_t asked, size_t written)
{
    fol_io *io = open_driver();
    fol_io_op op;
    int ends[2];
    pthread_t thread;
    CHECK_EQ(pipe2(ends, O_CLOEXEC | flags), 0);
    trickle work = {.fd = ends[1], .size = written};
    CHECK_EQ(pthread_create(&thread, NULL, write_slowly, &work), 0);
    fol_io_request request = {
        .kind = FOL_IO_READ, .fd = ends[0], .size = asked, .offset = FOL_IO_CURRENT};
    size_t expected = asked < written ? asked : written;
    CHECK_EQ(do_one(io, &op, request), expected);
    CHECK_EQ(wrong_bytes(op.data, op.size, 0), 0);
    fol_io_release(io, &op);
    pthread_join(thread, NULL);
    close(ends[0]);
    close_driver(io, 0);
}

static void test_a_pipe_that_trickles_is_read_whole(void)
{
    read_trickle(0, 1000, 1000);
}

static void test_the_end_in_the_middle_of_a_record_is_seen(void)
{
    read_trickle(0, 1000, 333);
}

static void test_a_nonblocking_pipe_gives_the_same(void)
{
    read_trickle(O_NONBLOCK, 500, 500);
}

static void test_sockets_send_and_receive_everything(void)
{
    enum { SIZE = 3000000 };
    fol_io *io = open_driver();
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    uint8_t *bytes = make_bytes(SIZE);
    fol_io_op send = {
        .request = {.kind = FOL_IO_SEND, .fd = pair[0], .buffer = bytes, .size = SIZE}};
    fol_io_op receive = {
        .request = {.kind = FOL_IO_RECV, .flags = FOL_IO_WHOLE, .fd = pair[1], .size = SIZE}};
    fol_io_submit(io, (fol_io_op *[]){&send, &receive}, 2);
    run(io, 2);
    CHECK_EQ(send.value, SIZE);
    CHECK_EQ(receive.value, SIZE);
    CHECK_EQ(wrong_bytes(receive.data, receive.size, 0), 0);
    fol_io_release(io, &receive);
    close(pair[1]);
    fol_io_op op;
    fol_io_request request = {.kind = FOL_IO_SEND, .fd = pair[0], .buffer = bytes, .size = 1};
    CHECK_EQ(do_one(io, &op, request), -EPIPE);
    close(pair[0]);
    free(bytes);
    close_driver(io, 0);
}

static void test_closing_ends_what_is_pending(void)
{
    fol_io *io = open_driver();
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fol_io_op receive = {.request = {.kind = FOL_IO_RECV, .fd = pair[0], .size = 10}};
    fol_io_submit(io, (fol_io_op *[]){&receive}, 1);
    fol_io_poll(io);
    fol_io_op end = {.request = {.kind = FOL_IO_CLOSE, .fd = pair[0]}};
    fol_io_submit(io, (fol_io_op *[]){&end}, 1);
    run(io, 2);
    CHECK_EQ(receive.value, -ECANCELED);
    CHECK_EQ(end.value, 0);
    CHECK(fcntl(pair[0], F_GETFD) < 0);
    close(pair[1]);
    close_driver(io, 0);
}

static void test_a_deadline_ends_a_receive(void)
{
    fol_io *io = open_driver();
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fol_io_op op;
    fol_io_request request = {
        .kind = FOL_IO_RECV, .fd = pair[0], .size = 10, .timeout_ns = 2000000};
    CHECK_EQ(do_one(io, &op, request), -ETIMEDOUT);
    CHECK_EQ(write(pair[1], "late", 4), 4);
    CHECK_EQ(do_one(io, &op, request), 4);
    fol_io_release(io, &op);
    close(pair[0]);
    close(pair[1]);
    close_driver(io, 0);
}

/* Takes until `bytes` came in pieces, checks them, and releases them. */
static size_t take_pieces(fol_io *io, fol_io_op *op, size_t from, size_t bytes)
{
    size_t came = 0;
    while (came < bytes && !op->is_finished) {
        (void)fol_io_wait(io, 1, UINT64_MAX);
        if (fol_io_take(io) == NULL) {
            continue;
        }
        for (fol_io_piece *piece = op->pieces; piece != NULL; piece = piece->next) {
            CHECK_EQ(wrong_bytes(piece->data, (size_t)piece->value, from + came), 0);
            came += (size_t)piece->value;
        }
        fol_io_release(io, op);
    }
    return came;
}

static void test_many_pieces_are_the_whole_stream(void)
{
    enum { ROUND = 50000, ROUNDS = 100 };
    fol_io *io = open_driver();
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fol_io_op op = {.request = {.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = pair[0]}};
    fol_io_submit(io, (fol_io_op *[]){&op}, 1);
    uint8_t *bytes = make_bytes((size_t)ROUND * ROUNDS);
    for (size_t round = 0; round < ROUNDS; round++) {
        CHECK_EQ(write(pair[1], bytes + round * ROUND, ROUND), ROUND);
        CHECK_EQ(take_pieces(io, &op, round * ROUND, ROUND), ROUND);
    }
    close(pair[1]);
    CHECK_EQ(take_pieces(io, &op, 0, 1), 0);
    CHECK_EQ(op.value, 0);
    close(pair[0]);
    free(bytes);
    close_driver(io, 0);
}

static void test_timers_come_in_order_and_not_early(void)
{
    fol_io *io = open_driver();
    fol_io_op ops[3];
    fol_io_op *pointers[3];
    uint64_t start = fol_clock_monotonic.now_ns(NULL);
    for (uint32_t i = 0; i < 3; i++) {
        ops[i].request =
            (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = (3 - i) * UINT64_C(1000000)};
        pointers[i] = &ops[i];
    }
    fol_io_submit(io, pointers, 3);
    fol_io_op *expected = &ops[2];
    for (uint32_t finished = 0; finished < 3;) {
        (void)fol_io_wait(io, 1, UINT64_MAX);
        for (fol_io_op *op = fol_io_take(io); op != NULL; op = op->next) {
            CHECK(op == expected--);
            CHECK(fol_clock_monotonic.now_ns(NULL) - start >= op->request.timeout_ns);
            finished += 1;
        }
    }
    close_driver(io, 0);
}

enum { TIMERS = 100000 };

static void test_a_hundred_thousand_timers_fire_each_once(void)
{
    fol_io *io = open_driver();
    fol_io_op *ops = malloc(TIMERS * sizeof *ops);
    fol_io_op **pointers = malloc(TIMERS * sizeof *pointers);
    for (uint32_t i = 0; i < TIMERS; i++) {
        ops[i].request =
            (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = (i * UINT64_C(7919)) % 50000000};
        pointers[i] = &ops[i];
    }
    fol_io_submit(io, pointers, TIMERS);
    run(io, TIMERS);
    size_t wrong = 0;
    for (uint32_t i = 0; i < TIMERS; i++) {
        wrong += ops[i].value != 0;
    }
    CHECK_EQ(wrong, 0);
    free(pointers);
    free(ops);
    close_driver(io, 0);
}

static void test_a_million_operations_ask_for_no_memory(void)
{
    enum { BATCH = 128, WARM = 10000, ALL = 1000000 };
    static fol_io_op ops[BATCH];
    fol_io_op *pointers[BATCH];
    fol_memory_stats warm = {0};
    fol_memory_stats end;
    fol_io *io = open_driver();
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    for (uint32_t done = 0; done < ALL; done += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            ops[i].request = (fol_io_request){.kind = FOL_IO_NOP};
            if (i % 16 == 0) {
                ops[i].request = (fol_io_request){.kind = FOL_IO_READ, .fd = fd, .size = 4096};
            }
            pointers[i] = &ops[i];
        }
        fol_io_submit(io, pointers, BATCH);
        run(io, BATCH);
        for (uint32_t i = 0; i < BATCH; i++) {
            fol_io_release(io, &ops[i]);
        }
        if (done <= WARM) {
            fol_memory_read_stats(&warm);
        }
    }
    fol_memory_read_stats(&end);
    CHECK_EQ(end.allocations, warm.allocations);
    CHECK_EQ(io->slab.live, 0);
    close(fd);
    close_driver(io, 0);
}

static fol_io *to_wake;

static void *wake_it(void *argument)
{
    (void)argument;
    fol_io_wake(to_wake);
    return NULL;
}

static void wake_a_wait(bool has_request)
{
    fol_io *io = open_driver();
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fol_io_op op = {.request = {.kind = FOL_IO_RECV, .fd = pair[0], .size = 10}};
    if (has_request) {
        fol_io_submit(io, (fol_io_op *[]){&op}, 1);
    }
    to_wake = io;
    for (int i = 0; i < 1000; i++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, wake_it, NULL), 0);
        CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), FOL_OK);
        pthread_join(thread, NULL);
    }
    close_driver(io, has_request ? 1 : 0);
    close(pair[0]);
    close(pair[1]);
}

static void test_a_wake_ends_a_wait_for_a_request(void)
{
    wake_a_wait(true);
}

static void test_a_wake_ends_a_wait_for_nothing(void)
{
    wake_a_wait(false);
}

static void test_pending_operations_are_dropped_at_the_end(void)
{
    enum { COUNT = 50 };
    uint32_t before = open_descriptors();
    fol_io *io = open_driver();
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fol_io_op ops[COUNT];
    for (int i = 0; i < COUNT; i++) {
        ops[i].request = (fol_io_request){.kind = FOL_IO_RECV, .fd = pair[0], .size = 10};
        fol_io_submit(io, (fol_io_op *[]){&ops[i]}, 1);
    }
    fol_io_poll(io);
    close_driver(io, COUNT);
    close(pair[0]);
    close(pair[1]);
    CHECK_EQ(open_descriptors(), before);
}

static void test_both_engines_at_once_miss_nothing(void)
{
    fol_io *io = NULL;
    fol_io_config config = {.clock = fol_clock_monotonic};
    CHECK_EQ(fol_io_create(&config, &io), FOL_OK);
    int pairs[2][2];
    fol_io_op ops[2];
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);
    }
    for (uint32_t round = 0; round < 2000; round++) {
        for (int i = 0; i < 2; i++) {
            fol_io_route(io, i == 1);
            ops[i].request = (fol_io_request){.kind = FOL_IO_RECV, .fd = pairs[i][0], .size = 10};
            fol_io_submit(io, (fol_io_op *[]){&ops[i]}, 1);
        }
        fol_io_poll(io);
        uint32_t first = round % 2;
        CHECK_EQ(write(pairs[first][1], "x", 1), 1);
        run(io, 1);
        CHECK_EQ(ops[first].value, 1);
        fol_io_release(io, &ops[first]);
        CHECK_EQ(write(pairs[1 - first][1], "x", 1), 1);
        run(io, 1);
        fol_io_release(io, &ops[1 - first]);
    }
    close_driver(io, 0);
    for (int i = 0; i < 2; i++) {
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
}

static void run_all(void)
{
    RUN(test_files_are_written_and_read_by_path);
    RUN(test_files_are_read_by_descriptor_and_into_vectors);
    RUN(test_failures_are_the_kernels_own);
    RUN(test_thousands_of_files_need_few_descriptors);
    RUN(test_a_pipe_that_trickles_is_read_whole);
    RUN(test_the_end_in_the_middle_of_a_record_is_seen);
    RUN(test_a_nonblocking_pipe_gives_the_same);
    RUN(test_sockets_send_and_receive_everything);
    RUN(test_closing_ends_what_is_pending);
    RUN(test_a_deadline_ends_a_receive);
    RUN(test_many_pieces_are_the_whole_stream);
    RUN(test_timers_come_in_order_and_not_early);
    RUN(test_a_hundred_thousand_timers_fire_each_once);
    RUN(test_a_million_operations_ask_for_no_memory);
    RUN(test_a_wake_ends_a_wait_for_a_request);
    RUN(test_a_wake_ends_a_wait_for_nothing);
    RUN(test_pending_operations_are_dropped_at_the_end);
}

int main(void)
{
    snprintf(directory, sizeof directory, "/tmp/foliot-driver-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        perror("mkdtemp");
        return 1;
    }
    RUN(test_this_machine_has_rings);
    choice = FOL_IO_CHOICE_RING;
    run_all();
    choice = FOL_IO_CHOICE_POOL;
    run_all();
    RUN(test_both_engines_at_once_miss_nothing);
    for (size_t i = 0; i < SIZES; i++) {
        char path[96];
        file_path(path, i);
        unlink(path);
    }
    rmdir(directory);
    CHECK_MAIN_END();
}
