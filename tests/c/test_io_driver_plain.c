/* Plain operations: straight into the ring's queue when nothing stands before them, taken back from
 * there while they are not sent, and ended where their completions lie. On an engine that does
 * nothing by itself, and on this machine's. */

#include <signal.h>
#include <sys/wait.h>

#include "io_driver_support.h"
#include "io_fake_engine.h"

enum { OPS = 200 };

static fol_io_op ops[OPS];
static fol_io_op *pointers[OPS];
static char buffers[OPS][8];

static void make_ops(uint32_t count, fol_io_request request)
{
    for (uint32_t i = 0; i < count; i++) {
        ops[i].request = request;
        if (request.kind != FOL_IO_NOP) {
            ops[i].request.buffer = buffers[i];
            ops[i].request.size = sizeof buffers[i];
        }
        pointers[i] = &ops[i];
    }
}

static const fol_io_request nop = {.kind = FOL_IO_NOP};
static const fol_io_request read_of_7 = {.kind = FOL_IO_READ, .fd = 7};

/* Both ways to submit what is plain do the same; the running one. */
static void (*const ways[])(fol_io *io, fol_io_op *const *ops,
                            size_t count) = {fol_io_submit, fol_io_submit_plain};
static void (*submit)(fol_io *io, fol_io_op *const *ops, size_t count);

/* With a ring that has plain requests, and that this thread has used already. */
static fol_io *open_used(uint32_t max_operations)
{
    fol_io_op *first = &ops[OPS - 1];
    fol_io *io = NULL;
    fol_io_config config = fake_config(FOL_IO_CHOICE_RING);
    config.max_operations = max_operations;
    fake_probe_error = 0;
    fake_reset(&fake_ring, -1);
    fake_reset(&fake_pool, 1);
    fake_ring.base.ops = &fake_plain_ops;
    if (!CHECK_EQ(fol_io_create_from(&config, &fake_makers, &io), FOL_OK)) {
        exit(1);
    }
    fake_submit(io, first, nop);
    fake_end(&fake_ring, 0, 0);
    fol_io_poll(io);
    CHECK(fake_take_one(io, 0) == first);
    fake_ring.starts = 0;
    fake_ring.flushes = 0;
    fake_ring.landed = 0;
    return io;
}

/* How many came back; each has this value. */
static uint32_t take_all(fol_io *io, int64_t value)
{
    uint32_t count = 0;
    for (fol_io_op *op = fol_io_take(io); op != NULL; op = op->next) {
        CHECK(op->is_finished);
        CHECK_EQ(op->value, value);
        CHECK(op->data == NULL && op->size == 0);
        count += 1;
    }
    return count;
}

static void end_all(fake_engine *fake, int64_t value)
{
    while (fake->count > 0) {
        fake_end(fake, 0, value);
    }
}

static void test_they_are_queued_when_they_are_submitted_and_sent_at_the_next_poll(void)
{
    fol_io *io = open_used(0);
    make_ops(100, read_of_7);
    submit(io, pointers, 100);
    CHECK_EQ(fake_ring.starts, 100);
    CHECK_EQ(fake_ring.flushes, 0);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.flushes, 1);
    for (uint32_t i = 0; i < 100; i++) {
        CHECK(fake_ring.flying[i].request == &ops[i].request);
    }
    end_all(&fake_ring, sizeof buffers[0]);
    fol_io_poll(io);
    CHECK_EQ(take_all(io, sizeof buffers[0]), 100);
    CHECK_EQ(fake_ring.landed, 100);
    CHECK_EQ(fol_io_pending(io), 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_they_come_back_in_the_order_in_which_they_completed(void)
{
    static const uint32_t order[] = {2, 0, 3, 0, 0, 0};
    fol_io *io = open_used(0);
    make_ops(6, nop);
    submit(io, pointers, 6);
    fol_io_poll(io);
    fol_io_op *expected[6];
    for (uint32_t i = 0; i < 6; i++) {
        expected[i] = fol_io_op_of(fake_ring.flying[order[i]].token);
        fake_end(&fake_ring, order[i], 0);
    }
    fol_io_poll(io);
    fol_io_op *op = fol_io_take(io);
    for (uint32_t i = 0; i < 6 && CHECK(op != NULL); i++) {
        CHECK(op == expected[i]);
        op = op->next;
    }
    CHECK(op == NULL);
    CHECK_EQ(fake_close(io), 0);
}

static void test_one_that_is_cancelled_before_it_was_sent_never_is(void)
{
    fol_io *io = open_used(0);
    make_ops(3, read_of_7);
    submit(io, pointers, 3);
    CHECK(fol_io_cancel(io, &ops[1]));
    CHECK(fake_take_one(io, -ECANCELED) == &ops[1]);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 2);
    CHECK(fake_ring.flying[0].request == &ops[0].request);
    CHECK(fake_ring.flying[1].request == &ops[2].request);
    end_all(&fake_ring, sizeof buffers[0]);
    fol_io_poll(io);
    CHECK_EQ(take_all(io, sizeof buffers[0]), 2);
    CHECK_EQ(fake_ring.cancels, 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_one_that_is_cancelled_after_it_was_sent_ends_with_its_completion(void)
{
    fol_io *io = open_used(0);
    make_ops(3, read_of_7);
    submit(io, pointers, 3);
    fol_io_poll(io);
    CHECK(fol_io_cancel(io, &ops[1]));
    CHECK_EQ(fake_ring.cancels, 1);
    CHECK(!fake_ring.flying[0].is_cancelled && fake_ring.flying[1].is_cancelled);
    CHECK(fol_io_take(io) == NULL);
    fake_end(&fake_ring, 1, -ECANCELED);
    fol_io_poll(io);
    CHECK(fake_take_one(io, -ECANCELED) == &ops[1]);
    end_all(&fake_ring, sizeof buffers[0]);
    fol_io_poll(io);
    CHECK_EQ(take_all(io, sizeof buffers[0]), 2);
    CHECK_EQ(fake_close(io), 0);
}

static void test_one_that_succeeds_though_it_was_cancelled_says_so(void)
{
    fol_io *io = open_used(0);
    make_ops(1, read_of_7);
    submit(io, pointers, 1);
    fol_io_poll(io);
    CHECK(fol_io_cancel(io, &ops[0]));
    fake_end(&fake_ring, 0, sizeof buffers[0]);
    fol_io_poll(io);
    CHECK(fake_take_one(io, sizeof buffers[0]) == &ops[0]);
    CHECK_EQ(fake_ring.landed, 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_short_result_goes_on_with_the_rest(void)
{
    fol_io *io = open_used(0);
    make_ops(1, read_of_7);
    submit(io, pointers, 1);
    fol_io_poll(io);
    fake_end(&fake_ring, 0, 3);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 1);
    CHECK(flying(&fake_ring)->buffer == buffers[0] + 3);
    CHECK_EQ(flying(&fake_ring)->size, sizeof buffers[0] - 3);
    CHECK_EQ(flying(&fake_ring)->offset, 3);
    fake_end(&fake_ring, 0, (int64_t)sizeof buffers[0] - 3);
    fol_io_poll(io);
    CHECK(fake_take_one(io, sizeof buffers[0]) == &ops[0]);
    CHECK_EQ(fake_close(io), 0);
}

static void test_to_close_a_descriptor_takes_back_what_is_on_it_and_leaves_the_rest(void)
{
    fol_io *io = open_used(0);
    make_ops(4, read_of_7);
    ops[1].request.fd = 8;
    ops[3].request = (fol_io_request){.kind = FOL_IO_CLOSE, .fd = 7};
    fol_io_submit(io, pointers, 4);
    fol_io_op *op = fol_io_take(io);
    CHECK(op == &ops[2] || op == &ops[0]);
    CHECK_EQ(op->value, -ECANCELED);
    CHECK_EQ(op->next->value, -ECANCELED);
    CHECK(op->next->next == NULL);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 2);
    CHECK(flying(&fake_ring) == &ops[1].request);
    CHECK_EQ(fake_ring.flying[1].request->kind, FOL_IO_CLOSE);
    fake_end(&fake_ring, 1, 0);
    fol_io_poll(io);
    CHECK(fake_take_one(io, 0) == &ops[3]);
    fake_end(&fake_ring, 0, sizeof buffers[0]);
    fol_io_poll(io);
    CHECK(fake_take_one(io, sizeof buffers[0]) == &ops[1]);
    CHECK_EQ(fake_close(io), 0);
}

static void test_descriptors_that_take_turns_are_counted_each_for_itself(void)
{
    fol_io *io = open_used(0);
    make_ops(90, read_of_7);
    for (uint32_t i = 0; i < 90; i++) {
        ops[i].request = i % 4 == 3 ? nop : ops[i].request;
        ops[i].request.fd += i % 4 == 2;
    }
    submit(io, pointers, 90);
    CHECK_EQ(io->plain_on[7], 46);
    CHECK_EQ(io->plain_on[8], 22);
    fol_io_poll(io);
    while (fake_ring.count > 0) {
        bool is_nop = flying(&fake_ring)->kind == FOL_IO_NOP;
        fake_end(&fake_ring, 0, is_nop ? 0 : (int64_t)sizeof buffers[0]);
    }
    fol_io_poll(io);
    CHECK_EQ(io->plain_on[7], 0);
    CHECK_EQ(io->plain_on[8], 0);
    CHECK_EQ(fake_ring.landed, 90);
    CHECK(fol_io_take(io) == &ops[0]);
    CHECK_EQ(fake_close(io), 0);
}

static void test_to_close_a_descriptor_waits_for_what_was_sent(void)
{
    fol_io *io = open_used(0);
    make_ops(2, read_of_7);
    submit(io, pointers, 1);
    fol_io_poll(io);
    fake_submit(io, &ops[1], (fol_io_request){.kind = FOL_IO_CLOSE, .fd = 7});
    CHECK_EQ(fake_ring.count, 1);
    CHECK_EQ(fake_ring.cancels, 1);
    fake_step(io, &fake_ring, FOL_IO_READ, -ECANCELED);
    CHECK(fake_take_one(io, -ECANCELED) == &ops[0]);
    fake_step(io, &fake_ring, FOL_IO_CLOSE, 0);
    CHECK(fake_take_one(io, 0) == &ops[1]);
    CHECK_EQ(fake_close(io), 0);
}

static void test_what_finds_the_ring_full_waits_in_line_and_follows_in_order(void)
{
    fol_io *io = open_used(0);
    /* Some of it is kept for the driver itself. */
    fake_ring.base.in_flight_bound = 70 + FOL_IO_ROOM_FOR_LOOKS;
    make_ops(100, nop);
    submit(io, pointers, 100);
    CHECK_EQ(fake_ring.count, 70);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 70);
    for (uint32_t i = 0; i < 100; i++) {
        CHECK(flying(&fake_ring) == &ops[i].request);
        fake_end(&fake_ring, 0, 0);
        fol_io_poll(io);
    }
    CHECK_EQ(take_all(io, 0), 100);
    CHECK_EQ(fake_close(io), 0);
}

static void test_what_the_engine_does_not_take_goes_the_other_way(void)
{
    fol_io *io = open_used(0);
    make_ops(3, nop);
    fake_ring.start_error = -EOPNOTSUPP;
    fake_ring.start_errors = 1;
    submit(io, pointers, 3);
    CHECK_EQ(fake_ring.starts, 0);
    fol_io_poll(io);
    CHECK_EQ(fake_pool.count, 1);
    CHECK(flying(&fake_pool) == &ops[0].request);
    CHECK_EQ(fake_ring.count, 2);
    end_all(&fake_ring, 0);
    end_all(&fake_pool, 0);
    fol_io_poll(io);
    CHECK_EQ(take_all(io, 0), 3);
    CHECK_EQ(fake_close(io), 0);
}

static void test_none_passes_what_stands_in_line(void)
{
    fol_io *io = open_used(0);
    make_ops(3, nop);
    ops[0].request = on(FOL_IO_SEND, 5, buffers[0], 4);
    fol_io_submit(io, pointers, 3);
    CHECK_EQ(fake_ring.starts, 0);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 3);
    CHECK_EQ(fake_kind(&fake_ring), FOL_IO_SEND);
    fake_end(&fake_ring, 0, 4);
    end_all(&fake_ring, 0);
    fol_io_poll(io);
    uint32_t count = 0;
    for (fol_io_op *op = fol_io_take(io); op != NULL; op = op->next) {
        count += 1;
    }
    CHECK_EQ(count, 3);
    CHECK_EQ(fake_close(io), 0);
}

static void test_more_than_there_may_be_come_back_at_once(void)
{
    fol_io *io = open_used(10);
    make_ops(12, nop);
    submit(io, pointers, 12);
    CHECK_EQ(fake_ring.count, 10);
    CHECK_EQ(take_all(io, FOL_E_CAPACITY), 2);
    CHECK(fol_io_cancel(io, &ops[4]));
    CHECK_EQ(take_all(io, -ECANCELED), 1);
    submit(io, &pointers[4], 1);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 10);
    end_all(&fake_ring, 0);
    fol_io_poll(io);
    CHECK_EQ(take_all(io, 0), 10);
    CHECK_EQ(fake_close(io), 0);
}

static void test_the_pool_does_them_when_the_ring_dies_with_them_in_its_queue(void)
{
    fol_io *io = open_used(0);
    make_ops(5, read_of_7);
    submit(io, pointers, 3);
    CHECK_EQ(fake_ring.count, 3);
    fake_ring.flush_error = -EBADF;
    fol_io_flush(io);
    end_all(&fake_ring, -ECANCELED);
    submit(io, pointers + 3, 2);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 0);
    CHECK_EQ(fake_pool.count, 5);
    end_all(&fake_pool, sizeof buffers[0]);
    fol_io_poll(io);
    CHECK_EQ(take_all(io, sizeof buffers[0]), 5);
    CHECK_EQ(fake_close(io), 0);
}

static void test_each_is_dropped_once_when_the_driver_ends(void)
{
    fol_io *io = open_used(0);
    make_ops(6, read_of_7);
    fake_ring.base.in_flight_bound = 4 + FOL_IO_ROOM_FOR_LOOKS;
    submit(io, pointers, 2);
    fol_io_poll(io);
    /* Two more in the ring's queue, and two in line. */
    submit(io, pointers + 2, 4);
    CHECK_EQ(fake_ring.count, 4);
    fake_ring.lets_go = true;
    CHECK_EQ(fake_close(io), 6);
}

static fol_io *shared;

static void *wait_here(void *argument)
{
    run(shared, *(uint32_t *)argument);
    return NULL;
}

static void test_another_thread_sends_what_was_not_sent(void)
{
    uint32_t count = 20;
    pthread_t thread;
    choice = FOL_IO_CHOICE_RING;
    shared = open_driver();
    CHECK_EQ(do_one(shared, &ops[OPS - 1], nop), 0);
    make_ops(count, nop);
    submit(shared, pointers, count);
    fol_io_engine *engine = fol_io_lane_engine(&shared->lanes[FOL_IO_LANE_RING]);
    CHECK_EQ(engine->in_flight, count);
    CHECK_EQ(pthread_create(&thread, NULL, wait_here, &count), 0);
    pthread_join(thread, NULL);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(ops[i].is_finished);
        CHECK_EQ(ops[i].value, 0);
    }
    close_driver(shared, 0);
}

static void *submit_and_leave(void *argument)
{
    uint32_t count = *(uint32_t *)argument;
    CHECK_EQ(do_one(shared, &ops[OPS - 1], nop), 0);
    submit(shared, pointers, count);
    return NULL;
}

static void test_what_a_thread_left_unsent_when_it_ended_is_sent_by_the_next(void)
{
    uint32_t count = 20;
    pthread_t thread;
    choice = FOL_IO_CHOICE_RING;
    shared = open_driver();
    make_ops(count, nop);
    CHECK_EQ(pthread_create(&thread, NULL, submit_and_leave, &count), 0);
    pthread_join(thread, NULL);
    fol_io_stats stats;
    run(shared, count);
    fol_io_read_stats(shared, &stats);
    CHECK_EQ(stats.retries, 0);
    CHECK_EQ(stats.completed, count + 1);
    close_driver(shared, 0);
}

static void test_a_child_of_fork_leaves_what_is_in_the_rings_queue_to_its_parent(void)
{
    enum { COUNT = 10 };
    choice = FOL_IO_CHOICE_RING;
    fol_io *io = open_driver();
    CHECK_EQ(do_one(io, &ops[OPS - 1], nop), 0);
    make_ops(COUNT + 3, nop);
    submit(io, pointers, COUNT);
    pid_t child = fork();
    if (child == 0) {
        uint32_t dropped = 0;
        submit(io, pointers + COUNT, 3);
        bool was_there = fol_io_cancel(io, &ops[COUNT]);
        bool is_free = fol_io_destroy(io, count_dropped, &dropped);
        _exit(was_there && is_free && dropped == COUNT + 3 ? 0 : 1);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    run(io, COUNT);
    close_driver(io, 0);
}

static void test_reads_of_a_file_bring_its_bytes_in_any_mixture(void)
{
    enum { COUNT = 150, SIZE = 400 };
    char path[] = "/tmp/foliot-plain-XXXXXX";
    choice = FOL_IO_CHOICE_RING;
    fol_io *io = open_driver();
    int fd = mkstemp(path);
    uint8_t *bytes = make_bytes(SIZE);
    unlink(path);
    CHECK_EQ(write(fd, bytes, SIZE), SIZE);
    for (uint32_t round = 0; round < 20; round++) {
        make_ops(COUNT, (fol_io_request){.kind = FOL_IO_READ, .fd = fd});
        for (uint32_t i = 0; i < COUNT; i++) {
            ops[i].request.offset = (i * 37 + round) % SIZE;
            if (i % 11 == round) {
                ops[i].request = nop;
            } else if (i % 13 == round) {
                /* Into a buffer of the driver's own. */
                ops[i].request.buffer = NULL;
            }
        }
        fol_io_submit(io, pointers, COUNT);
        run(io, COUNT);
        size_t wrong = 0;
        for (uint32_t i = 0; i < COUNT; i++) {
            const fol_io_request *request = &ops[i].request;
            size_t left = SIZE - request->offset;
            size_t expected = left < request->size ? left : request->size;
            const void *got = request->buffer == NULL ? ops[i].data : request->buffer;
            if (request->kind == FOL_IO_READ) {
                wrong += ops[i].value != (int64_t)expected;
                wrong += wrong_bytes(got, expected, request->offset);
            }
            fol_io_release(io, &ops[i]);
        }
        CHECK_EQ(wrong, 0);
    }
    free(bytes);
    close(fd);
    close_driver(io, 0);
}

int main(void)
{
    for (size_t way = 0; way < 2; way++) {
        submit = ways[way];
        RUN(test_they_are_queued_when_they_are_submitted_and_sent_at_the_next_poll);
        RUN(test_they_come_back_in_the_order_in_which_they_completed);
        RUN(test_one_that_is_cancelled_before_it_was_sent_never_is);
        RUN(test_one_that_is_cancelled_after_it_was_sent_ends_with_its_completion);
        RUN(test_one_that_succeeds_though_it_was_cancelled_says_so);
        RUN(test_a_short_result_goes_on_with_the_rest);
        RUN(test_descriptors_that_take_turns_are_counted_each_for_itself);
        RUN(test_to_close_a_descriptor_waits_for_what_was_sent);
        RUN(test_what_finds_the_ring_full_waits_in_line_and_follows_in_order);
        RUN(test_what_the_engine_does_not_take_goes_the_other_way);
        RUN(test_more_than_there_may_be_come_back_at_once);
        RUN(test_the_pool_does_them_when_the_ring_dies_with_them_in_its_queue);
        RUN(test_each_is_dropped_once_when_the_driver_ends);
        RUN(test_another_thread_sends_what_was_not_sent);
        RUN(test_what_a_thread_left_unsent_when_it_ended_is_sent_by_the_next);
        RUN(test_a_child_of_fork_leaves_what_is_in_the_rings_queue_to_its_parent);
    }
    RUN(test_to_close_a_descriptor_takes_back_what_is_on_it_and_leaves_the_rest);
    RUN(test_none_passes_what_stands_in_line);
    RUN(test_reads_of_a_file_bring_its_bytes_in_any_mixture);
    CHECK_MAIN_END();
}
