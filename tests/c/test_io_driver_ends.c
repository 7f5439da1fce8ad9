/* How operations end early, on engines that a test scripts: cancelled, overdue, closed, dropped;
 * and the pieces of those that have many results.
 */

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/memory.h"
#include "io_fake_engine.h"

/* A descriptor that is really open, so that it can be seen to be closed. */
static int open_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_cancel_ends_what_is_in_flight(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_submit(io, &op, on(FOL_IO_RECV, 3, NULL, 10));
    CHECK(fol_io_cancel(io, &op));
    CHECK(fol_io_cancel(io, &op));
    CHECK_EQ(fake_ring.cancels, 1);
    CHECK(fake_ring.flying[0].is_cancelled);
    fake_step(io, &fake_ring, FOL_IO_RECV, -ECANCELED);
    fake_take_one(io, -ECANCELED);
    CHECK(!fol_io_cancel(io, &op));
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_success_that_beats_the_cancel_stays(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_submit(io, &op, on(FOL_IO_RECV, 3, NULL, 10));
    memcpy(flying(&fake_ring)->buffer, "abc", 3);
    CHECK(fol_io_cancel(io, &op));
    fake_step(io, &fake_ring, FOL_IO_RECV, 3);
    fake_take_one(io, 3);
    CHECK(memcmp(op.data, "abc", 3) == 0);
    fol_io_release(io, &op);
    CHECK_EQ(fake_close(io), 0);
}

static void test_what_had_come_before_a_cancel_can_be_seen(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_RECV, 3, NULL, 100);
    request.flags = FOL_IO_WHOLE;
    fake_submit(io, &op, request);
    memcpy(flying(&fake_ring)->buffer, "abc", 3);
    fake_step(io, &fake_ring, FOL_IO_RECV, 3);
    CHECK(fol_io_cancel(io, &op));
    fake_step(io, &fake_ring, FOL_IO_RECV, -ECANCELED);
    fake_take_one(io, -ECANCELED);
    CHECK_EQ(op.size, 3);
    CHECK(op.data != NULL && memcmp(op.data, "abc", 3) == 0);
    fol_io_release(io, &op);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_descriptor_that_comes_after_the_cancel_is_closed(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_submit(io, &op, on(FOL_IO_ACCEPT, 3, NULL, 0));
    CHECK(fol_io_cancel(io, &op));
    fake_step(io, &fake_ring, FOL_IO_ACCEPT, 77);
    CHECK_EQ(flying(&fake_ring)->fd, 77);
    fake_step(io, &fake_ring, FOL_IO_CLOSE, 0);
    fake_take_one(io, -ECANCELED);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_cancelled_file_is_closed(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_submit(io, &op, read_path);
    CHECK(fol_io_cancel(io, &op));
    fake_step(io, &fake_ring, FOL_IO_OPEN, 9);
    CHECK_EQ(fake_ring.cancels, 1);
    fake_step(io, &fake_ring, FOL_IO_CLOSE, 0);
    fake_take_one(io, -ECANCELED);
    fake_submit(io, &op, read_path);
    fake_step(io, &fake_ring, FOL_IO_OPEN, 9);
    fake_step(io, &fake_ring, FOL_IO_READ, 4096);
    CHECK(fol_io_cancel(io, &op));
    CHECK_EQ(fake_ring.cancels, 1);
    fake_step(io, &fake_ring, FOL_IO_CLOSE, 0);
    fol_io_release(io, fake_take_one(io, 4096));
    CHECK_EQ(fake_close(io), 0);
}

static void test_what_was_not_sent_is_cancelled_at_once(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op = {.request = on(FOL_IO_RECV, 3, NULL, 10)};
    fol_io_submit(io, (fol_io_op *[]){&op}, 1);
    CHECK(fol_io_cancel(io, &op));
    fake_take_one(io, -ECANCELED);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.starts, 0);
    CHECK_EQ(fake_close(io), 0);
}

static fol_io_op *found;

static fol_io_op *find(void *argument, uint64_t handle)
{
    (void)argument;
    return handle == 5 ? found : NULL;
}

static void test_a_cancel_request_names_its_target(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op target;
    fol_io_op cancel;
    fake_submit(io, &cancel, (fol_io_request){.kind = FOL_IO_CANCEL, .handle = 5});
    fake_take_one(io, -ENOENT);
    io->config.find = find;
    found = &target;
    fake_submit(io, &target, on(FOL_IO_RECV, 3, NULL, 10));
    fake_submit(io, &cancel, (fol_io_request){.kind = FOL_IO_CANCEL, .handle = 5});
    fake_take_one(io, 0);
    fake_step(io, &fake_ring, FOL_IO_RECV, -ECANCELED);
    fake_take_one(io, -ECANCELED);
    fake_submit(io, &cancel, (fol_io_request){.kind = FOL_IO_CANCEL, .handle = 6});
    fake_take_one(io, -ENOENT);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_close_ends_what_is_pending_on_its_descriptor_first(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[4];
    fake_submit(io, &ops[0], on(FOL_IO_RECV, 7, NULL, 10));
    fake_submit(io, &ops[1], on(FOL_IO_RECV, 8, NULL, 10));
    fol_io_request poll = on(FOL_IO_POLL, 7, NULL, 0);
    poll.options = POLLIN;
    fake_submit(io, &ops[2], poll);
    fake_submit(io, &ops[3], on(FOL_IO_CLOSE, 7, NULL, 0));
    CHECK_EQ(fake_ring.count, 3);
    CHECK_EQ(fake_ring.cancels, 2);
    CHECK(!fake_ring.flying[1].is_cancelled);
    fake_end(&fake_ring, 2, -ECANCELED);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 2);
    fake_step(io, &fake_ring, FOL_IO_RECV, -ECANCELED);
    CHECK_EQ(fake_ring.flying[1].request->kind, FOL_IO_CLOSE);
    fake_end(&fake_ring, 1, 0);
    fol_io_poll(io);
    CHECK(fol_io_take(io) == &ops[2]);
    CHECK(ops[2].next == &ops[0] && ops[0].next == &ops[3]);
    CHECK_EQ(fake_close(io), 1);
}

static void test_a_close_that_waits_can_be_cancelled(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[2];
    fake_submit(io, &ops[0], on(FOL_IO_RECV, 7, NULL, 10));
    fake_submit(io, &ops[1], on(FOL_IO_CLOSE, 7, NULL, 0));
    CHECK(fol_io_cancel(io, &ops[1]));
    CHECK(fake_take_one(io, -ECANCELED) == &ops[1]);
    fake_step(io, &fake_ring, FOL_IO_RECV, -ECANCELED);
    CHECK(fake_take_one(io, -ECANCELED) == &ops[0]);
    CHECK_EQ(fake_ring.count, 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_deadline_ends_what_is_in_flight_and_loses_nothing(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_RECV, 3, NULL, 10);
    request.timeout_ns = 500;
    fake_submit(io, &op, request);
    CHECK_EQ(fol_io_next_deadline(io), 1500);
    fol_virtual_clock_advance(&fake_clock, 499);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.cancels, 0);
    fol_virtual_clock_advance(&fake_clock, 1);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.cancels, 1);
    fake_step(io, &fake_ring, FOL_IO_RECV, -ECANCELED);
    fake_take_one(io, -ETIMEDOUT);
    fake_submit(io, &op, request);
    fol_virtual_clock_advance(&fake_clock, 500);
    fol_io_poll(io);
    fake_step(io, &fake_ring, FOL_IO_RECV, 6);
    fol_io_release(io, fake_take_one(io, 6));
    CHECK_EQ(fol_io_next_deadline(io), UINT64_MAX);
    CHECK_EQ(fake_close(io), 0);
}

static void test_the_deadline_holds_for_all_steps_together(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fol_io_request request = read_path;
    request.timeout_ns = 500;
    fake_submit(io, &op, request);
    fol_virtual_clock_advance(&fake_clock, 300);
    fake_step(io, &fake_ring, FOL_IO_OPEN, 9);
    fol_virtual_clock_advance(&fake_clock, 300);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.cancels, 1);
    fake_step(io, &fake_ring, FOL_IO_READ, 10);
    fake_step(io, &fake_ring, FOL_IO_CLOSE, 0);
    fake_take_one(io, -ETIMEDOUT);
    CHECK_EQ(op.size, 10);
    fol_io_release(io, &op);
    CHECK_EQ(fake_close(io), 0);
}

static void test_timers_alone_let_a_virtual_clock_jump(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[2];
    fake_submit(io, &ops[0], (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = 1000000000});
    fake_submit(io, &ops[1], (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = 5});
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), FOL_OK);
    CHECK(fake_take_one(io, 0) == &ops[1]);
    CHECK_EQ(fake_clock.now_ns, 1005);
    CHECK_EQ(fol_io_wait(io, 1, 2000), -ETIME);
    CHECK_EQ(fake_clock.now_ns, 2000);
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), FOL_OK);
    CHECK(fake_take_one(io, 0) == &ops[0]);
    CHECK_EQ(fake_ring.made + fake_pool.made, 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_silent_engines_let_a_virtual_clock_jump(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[2];
    fake_submit(io, &ops[0], on(FOL_IO_RECV, 3, NULL, 10));
    fake_submit(io, &ops[1], (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = 70});
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), FOL_OK);
    CHECK_EQ(fake_ring.last_timeout, 70);
    CHECK_EQ(fake_clock.now_ns, 1070);
    CHECK(fake_take_one(io, 0) == &ops[1]);
    CHECK_EQ(fake_close(io), 1);
}

static void test_a_timer_can_be_cancelled(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_submit(io, &op, (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = 70});
    CHECK(fol_io_cancel(io, &op));
    fake_take_one(io, -ECANCELED);
    CHECK_EQ(fol_io_next_deadline(io), UINT64_MAX);
    CHECK_EQ(fake_close(io), 0);
}

static void test_pieces_come_in_order_and_are_released(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_RECV, 3, NULL, 0);
    request.flags = FOL_IO_MANY;
    char data[2] = {'a', 'b'};
    fake_submit(io, &op, request);
    fake_give(&fake_ring, 0, 1, 4, &data[0]);
    fake_give(&fake_ring, 0, 1, 9, &data[1]);
    fol_io_poll(io);
    CHECK(fol_io_take(io) == &op);
    CHECK(!op.is_finished);
    CHECK(op.pieces->data == &data[0] && op.pieces->next->data == &data[1]);
    CHECK(op.pieces->next->next == NULL);
    fake_give(&fake_ring, 0, 1, 7, &data[1]);
    fol_io_poll(io);
    fol_io_release(io, &op);
    CHECK_EQ(fake_ring.given_back, 2);
    CHECK(fol_io_take(io) == &op);
    CHECK(op.pieces != NULL && op.pieces->next == NULL);
    fake_step(io, &fake_ring, FOL_IO_RECV, 0);
    fol_io_release(io, fake_take_one(io, 0));
    CHECK_EQ(fake_ring.given_back, 3);
    CHECK_EQ(fake_close(io), 0);
}

static void test_many_goes_on_when_its_request_ends_with_a_piece(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_ACCEPT, 3, NULL, 0);
    request.flags = FOL_IO_MANY;
    fake_submit(io, &op, request);
    fake_step(io, &fake_ring, FOL_IO_ACCEPT, 50);
    CHECK(fol_io_take(io) == &op);
    CHECK_EQ(op.pieces->value, 50);
    fol_io_release(io, &op);
    fake_step(io, &fake_ring, FOL_IO_ACCEPT, -EMFILE);
    fake_take_one(io, -EMFILE);
    CHECK_EQ(fake_close(io), 0);
}

static void test_many_without_buffers_waits_until_one_comes_back(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_RECV, 3, NULL, 0);
    request.flags = FOL_IO_MANY;
    char byte = 0;
    fake_submit(io, &op, request);
    fake_give(&fake_ring, 0, 1, 0, &byte);
    fake_step(io, &fake_ring, FOL_IO_RECV, -ENOBUFS);
    CHECK_EQ(fake_ring.count, 0);
    CHECK(fol_io_take(io) == &op);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 0);
    fol_io_release(io, &op);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 1);
    for (int i = 0; i < FOL_IO_ATTEMPTS; i++) {
        fake_step(io, &fake_ring, FOL_IO_RECV, -ENOBUFS);
    }
    fake_step(io, &fake_ring, FOL_IO_RECV, -ENOBUFS);
    fake_take_one(io, -ENOBUFS);
    CHECK_EQ(fake_close(io), 0);
}

static void test_connections_that_nobody_gets_are_closed(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_ACCEPT, 3, NULL, 0);
    request.flags = FOL_IO_MANY;
    int before = open_descriptor();
    int after = open_descriptor();
    fake_submit(io, &op, request);
    fake_give(&fake_ring, 0, before, -1, NULL);
    fol_io_poll(io);
    CHECK(fol_io_cancel(io, &op));
    fake_give(&fake_ring, 0, after, -1, NULL);
    fake_step(io, &fake_ring, FOL_IO_ACCEPT, -ECANCELED);
    CHECK(!is_open(after));
    CHECK(is_open(before));
    CHECK_EQ(fake_close(io), 1);
    CHECK(!is_open(before));
}

static void test_a_piece_without_memory_ends_the_operation(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_ACCEPT, 3, NULL, 0);
    request.flags = FOL_IO_MANY;
    int fd = open_descriptor();
    fake_submit(io, &op, request);
    fol_memory_fail_nth(1);
    fake_give(&fake_ring, 0, fd, -1, NULL);
    fol_io_poll(io);
    fol_memory_fail_nth(0);
    CHECK(!is_open(fd));
    CHECK_EQ(fake_ring.cancels, 1);
    fake_step(io, &fake_ring, FOL_IO_ACCEPT, -ECANCELED);
    fake_take_one(io, -ENOMEM);
    CHECK_EQ(fake_close(io), 0);
}

static void test_destroy_closes_what_nobody_got(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[2];
    int got = open_descriptor();
    int halfway = open_descriptor();
    fake_submit(io, &ops[0], (fol_io_request){.kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = "x"});
    fake_step(io, &fake_ring, FOL_IO_OPEN, got);
    fake_submit(io, &ops[1], read_path);
    fake_step(io, &fake_ring, FOL_IO_OPEN, halfway);
    CHECK_EQ(fake_close(io), 2);
    CHECK(!is_open(got));
    CHECK(!is_open(halfway));
}

int main(void)
{
    RUN(test_cancel_ends_what_is_in_flight);
    RUN(test_a_success_that_beats_the_cancel_stays);
    RUN(test_what_had_come_before_a_cancel_can_be_seen);
    RUN(test_a_descriptor_that_comes_after_the_cancel_is_closed);
    RUN(test_a_cancelled_file_is_closed);
    RUN(test_what_was_not_sent_is_cancelled_at_once);
    RUN(test_a_cancel_request_names_its_target);
    RUN(test_a_close_ends_what_is_pending_on_its_descriptor_first);
    RUN(test_a_close_that_waits_can_be_cancelled);
    RUN(test_a_deadline_ends_what_is_in_flight_and_loses_nothing);
    RUN(test_the_deadline_holds_for_all_steps_together);
    RUN(test_timers_alone_let_a_virtual_clock_jump);
    RUN(test_silent_engines_let_a_virtual_clock_jump);
    RUN(test_a_timer_can_be_cancelled);
    RUN(test_pieces_come_in_order_and_are_released);
    RUN(test_many_goes_on_when_its_request_ends_with_a_piece);
    RUN(test_many_without_buffers_waits_until_one_comes_back);
    RUN(test_connections_that_nobody_gets_are_closed);
    RUN(test_a_piece_without_memory_ends_the_operation);
    RUN(test_destroy_closes_what_nobody_got);
    CHECK_MAIN_END();
}
