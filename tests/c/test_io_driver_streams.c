/* The driver on this machine, each test on the ring and on the pool: pipes that trickle, sockets,
 * deadlines, wakes, ends. A machine without io_uring fails in test_io_driver_real.c.
 */

#include "io_driver_support.h"

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

/* Waits until pieces of `count` bytes together are held. */
static void hold_pieces(fol_io *io, const fol_io_op *op, size_t count)
{
    size_t held = 0;
    while (held < count && !op->is_finished) {
        (void)fol_io_wait(io, 1, UINT64_MAX);
        (void)fol_io_take(io);
        held = 0;
        for (const fol_io_piece *piece = op->pieces; piece != NULL; piece = piece->next) {
            held += (size_t)piece->value;
        }
    }
    CHECK_EQ(held, count);
}

static void test_a_piece_is_held_while_others_come_and_go(void)
{
    enum { ROUNDS = 2000 };
    fol_io *io = open_driver();
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fol_io_op op = {.request = {.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = pair[0]}};
    fol_io_submit(io, (fol_io_op *[]){&op}, 1);
    CHECK_EQ(write(pair[1], "held", 4), 4);
    hold_pieces(io, &op, 4);
    fol_io_piece *held = op.pieces;
    for (int round = 0; round < ROUNDS; round++) {
        CHECK_EQ(write(pair[1], "x", 1), 1);
        hold_pieces(io, &op, 5);
        CHECK(op.pieces == held);
        fol_io_piece *other = held->next;
        CHECK_EQ(memcmp(other->data, "x", 1), 0);
        fol_io_release_piece(io, &op, other);
        CHECK(held->next == NULL);
    }
    CHECK_EQ(memcmp(held->data, "held", 4), 0);
    fol_io_release_piece(io, &op, held);
    CHECK(op.pieces == NULL);
    close_driver(io, 1);
    close(pair[0]);
    close(pair[1]);
}

static uint64_t system_calls(const fol_io *io)
{
    fol_io_stats stats;
    fol_io_read_stats(io, &stats);
    return stats.system_calls;
}

static void test_a_ring_sends_and_takes_what_came_in_one_system_call(void)
{
    enum { ROUNDS = 100 };
    fol_io *io = open_driver();
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fol_io_op op = {.request = {.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = pair[0]}};
    fol_io_submit(io, (fol_io_op *[]){&op}, 1);
    fol_io_poll(io);
    for (int round = 0; round < ROUNDS; round++) {
        fol_io_op send = {
            .request = {.kind = FOL_IO_SEND, .fd = pair[0], .buffer = "y", .size = 1}};
        char byte = 0;
        CHECK_EQ(write(pair[1], "x", 1), 1);
        uint64_t before = system_calls(io);
        fol_io_submit(io, (fol_io_op *[]){&send}, 1);
        CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), FOL_OK);
        (void)fol_io_take(io);
        CHECK_EQ(system_calls(io) - before, 1);
        CHECK(send.is_finished && op.pieces != NULL);
        fol_io_release(io, &op);
        CHECK_EQ(read(pair[1], &byte, 1), 1);
    }
    close_driver(io, 1);
    close(pair[0]);
    close(pair[1]);
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
    RUN(test_a_pipe_that_trickles_is_read_whole);
    RUN(test_the_end_in_the_middle_of_a_record_is_seen);
    RUN(test_a_nonblocking_pipe_gives_the_same);
    RUN(test_sockets_send_and_receive_everything);
    RUN(test_closing_ends_what_is_pending);
    RUN(test_a_deadline_ends_a_receive);
    RUN(test_many_pieces_are_the_whole_stream);
    RUN(test_a_piece_is_held_while_others_come_and_go);
    RUN(test_a_wake_ends_a_wait_for_a_request);
    RUN(test_a_wake_ends_a_wait_for_nothing);
    RUN(test_pending_operations_are_dropped_at_the_end);
}

int main(void)
{
    choice = FOL_IO_CHOICE_RING;
    run_all();
    RUN(test_a_ring_sends_and_takes_what_came_in_one_system_call);
    choice = FOL_IO_CHOICE_POOL;
    run_all();
    RUN(test_both_engines_at_once_miss_nothing);
    CHECK_MAIN_END();
}
