/* The driver on engines that a test scripts: choosing, starting, waiting, ending. What becomes of
 * one operation is in test_io_driver_steps.c.
 */

#include "base/memory.h"
#include "io_fake_engine.h"

static const fol_io_request nop = {.kind = FOL_IO_NOP};

static fol_io_request recv_on(int fd)
{
    return (fol_io_request){.kind = FOL_IO_RECV, .fd = fd, .size = 64};
}

static void test_every_operation_comes_back_once_in_the_order_of_completion(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[3] = {{.request = nop}, {.request = nop}, {.request = nop}};
    fol_io_submit(io, (fol_io_op *[]){&ops[0], &ops[1], &ops[2]}, 3);
    CHECK_EQ(fake_ring.count, 0);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 3);
    fake_end(&fake_ring, 2, 0);
    fake_end(&fake_ring, 0, 0);
    fol_io_poll(io);
    CHECK(fol_io_take(io) == &ops[2]);
    CHECK(ops[2].next == &ops[0]);
    CHECK(ops[0].next == NULL);
    CHECK(fol_io_take(io) == NULL);
    CHECK_EQ(fol_io_pending(io), 1);
    fake_step(io, &fake_ring, FOL_IO_NOP, 0);
    fake_take_one(io, 0);
    CHECK_EQ(fol_io_pending(io), 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_no_engine_is_made_before_it_is_needed(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_poll(io);
    CHECK_EQ(fake_ring.made + fake_pool.made, 0);
    fol_io_op op = {.request = nop};
    fake_submit(io, &op, nop);
    CHECK_EQ(fake_ring.made, 1);
    CHECK_EQ(fake_ring.adopts, 1);
    CHECK_EQ(fake_pool.made, 0);
    CHECK_EQ(fake_close(io), 1);
    CHECK_EQ(fake_ring.destroyed, 1);
}

static void test_what_the_ring_cannot_do_goes_to_the_pool(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_ring.start_error = -EOPNOTSUPP;
    fake_ring.start_errors = 1;
    fake_submit(io, &op, nop);
    fake_step(io, &fake_pool, FOL_IO_NOP, 0);
    fake_take_one(io, 0);
    CHECK_STR(fol_io_engine_name(io), "uring");
    CHECK_EQ(fake_close(io), 0);
}

static void test_route_decides_for_operations_from_then_on(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_AUTO);
    fol_io_op ops[2];
    CHECK_STR(fol_io_engine_name(io), "pool");
    fake_submit(io, &ops[0], nop);
    fol_io_route(io, true);
    CHECK_STR(fol_io_engine_name(io), "uring");
    fake_submit(io, &ops[1], nop);
    CHECK_EQ(fake_pool.count, 1);
    CHECK_EQ(fake_ring.count, 1);
    CHECK_EQ(fake_close(io), 2);
}

static void test_a_forced_choice_is_not_routed(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_route(io, true);
    CHECK_STR(fol_io_engine_name(io), "pool");
    CHECK_STR(fol_io_reason(io), "");
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_machine_without_rings_says_why_and_what_to_do(void)
{
    fol_io *io = NULL;
    fol_io_config config = fake_config(FOL_IO_CHOICE_RING);
    fake_reset(&fake_ring, -1);
    fake_reset(&fake_pool, 1);
    fake_probe_error = -EPERM;
    CHECK_EQ(fol_io_create_from(&config, &fake_makers, &io), FOL_OK);
    CHECK_STR(fol_io_engine_name(io), "pool");
    CHECK(strstr(fol_io_reason(io), "Operation not permitted") != NULL);
    CHECK(strstr(fol_io_reason(io), fol_io_cure_text(FOL_IO_CURE_FILTER)) != NULL);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_ring_that_cannot_be_made_leaves_all_to_the_pool(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fake_ring.make_error = -ENOMEM;
    fol_io_op op;
    fake_submit(io, &op, nop);
    fol_io_op other;
    fake_submit(io, &other, nop);
    CHECK_EQ(fake_ring.made, 1);
    CHECK_EQ(fake_pool.count, 2);
    CHECK_STR(fol_io_engine_name(io), "pool");
    CHECK(strstr(fol_io_reason(io), fol_io_cure_text(FOL_IO_CURE_MEMORY)) != NULL);
    fake_end(&fake_pool, 1, 0);
    fake_end(&fake_pool, 0, 0);
    fol_io_poll(io);
    CHECK(fol_io_take(io) != NULL);
    CHECK_EQ(fake_close(io), 0);
}

/* The last words of a ring: one request was not done, the other was. */
static void end_two(fake_engine *fake)
{
    fake_end(fake, 0, -ECANCELED);
    fake_end(fake, 0, 17);
}

static void test_what_a_dying_ring_did_not_do_is_done_by_the_pool(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[3];
    fake_submit(io, &ops[0], (fol_io_request){.kind = FOL_IO_FSYNC, .fd = 5});
    fake_ring.base.in_flight_bound = 2 + FOL_IO_ROOM_FOR_LOOKS;
    fake_submit(io, &ops[1], (fol_io_request){.kind = FOL_IO_FSYNC, .fd = 6});
    fake_submit(io, &ops[2], nop);
    CHECK_EQ(fake_ring.count, 2);
    fake_ring.wait_error = -EBADF;
    fake_ring.wait_errors = 1;
    fake_ring.on_wait = end_two;
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), FOL_OK);
    CHECK(fol_io_take(io) == &ops[1]);
    CHECK_EQ(ops[1].value, 17);
    fol_io_release(io, &ops[1]);
    fake_pool.wakes = 1;
    (void)fol_io_wait(io, 1, UINT64_MAX);
    CHECK_EQ(fake_pool.count, 2);
    CHECK(strstr(fol_io_reason(io), "Bad file descriptor") != NULL);
    fake_end(&fake_pool, 0, 0);
    fake_end(&fake_pool, 0, 0);
    fol_io_poll(io);
    CHECK(fol_io_take(io) != NULL);
    fol_io_release(io, &ops[0]);
    CHECK_EQ(fake_close(io), 0);
}

static void test_one_enter_sends_and_waits(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[4] = {{.request = nop}, {.request = nop}, {.request = nop}, {.request = nop}};
    fol_io_submit(io, (fol_io_op *[]){&ops[0], &ops[1], &ops[2], &ops[3]}, 4);
    fake_ring.wakes = 1;
    CHECK_EQ(fol_io_wait(io, 3, UINT64_MAX), -EINTR);
    CHECK_EQ(fake_ring.flushes, 0);
    CHECK_EQ(fake_ring.waits, 1);
    CHECK_EQ(fake_ring.last_least, 3);
    CHECK_EQ(fake_close(io), 4);
}

static void test_a_wait_for_several_takes_one_when_one_may_never_come(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[2] = {{.request = nop}, {.request = recv_on(4)}};
    fol_io_submit(io, (fol_io_op *[]){&ops[0], &ops[1]}, 2);
    fake_ring.wakes = 1;
    CHECK_EQ(fol_io_wait(io, 2, UINT64_MAX), -EINTR);
    CHECK_EQ(fake_ring.last_least, 1);
    CHECK_EQ(fake_close(io), 2);
}

static void test_with_both_engines_busy_the_ring_looks_at_the_pool(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_AUTO);
    fol_io_op ops[2];
    fake_submit(io, &ops[0], nop);
    fol_io_route(io, true);
    fake_submit(io, &ops[1], recv_on(3));
    fake_ring.wakes = 1;
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), -EINTR);
    CHECK_EQ(fake_ring.waits, 1);
    CHECK_EQ(fake_pool.waits, 0);
    CHECK_EQ(fake_ring.count, 2);
    CHECK_EQ(fake_ring.flying[1].request->kind, FOL_IO_POLL);
    CHECK_EQ(fake_ring.flying[1].request->fd, fake_pool.base.notice_fd);
    fake_end(&fake_pool, 0, 0);
    fake_end(&fake_ring, 1, 1);
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), FOL_OK);
    CHECK(fake_take_one(io, 0) == &ops[0]);
    CHECK_EQ(fake_ring.count, 1);
    CHECK_EQ(fake_close(io), 1);
}

static void finish_look(fake_engine *fake)
{
    for (uint32_t i = 0; i < fake->count; i++) {
        if (fake->flying[i].is_cancelled) {
            fake_end(fake, i, -ECANCELED);
            return;
        }
    }
}

static void test_a_ring_with_nothing_in_flight_keeps_no_look_at_the_pool(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_AUTO);
    fol_io_op ops[2];
    fake_submit(io, &ops[0], nop);
    fol_io_route(io, true);
    fake_submit(io, &ops[1], recv_on(3));
    fake_ring.wakes = 1;
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), -EINTR);
    fake_ring.on_wait = finish_look;
    fake_step(io, &fake_ring, FOL_IO_RECV, 3);
    CHECK_EQ(fake_ring.base.in_flight, 0);
    fol_io_release(io, fake_take_one(io, 3));
    CHECK_EQ(fake_close(io), 1);
}

static void test_patient_operations_leave_room_in_the_ring(void)
{
    enum { COUNT = 32 };
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[COUNT];
    fake_ring.base.in_flight_bound = 16;
    for (int i = 0; i < COUNT; i++) {
        fake_submit(io, &ops[i], recv_on(i));
    }
    CHECK_EQ(fake_ring.count, 12);
    CHECK_EQ(fake_pool.count, COUNT - 12);
    fol_io_op op;
    fake_submit(io, &op, nop);
    CHECK_EQ(fake_ring.count, 13);
    CHECK_EQ(fake_close(io), COUNT + 1);
}

static void test_a_full_engine_takes_the_rest_later(void)
{
    enum { COUNT = 100 };
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op ops[COUNT];
    fake_pool.base.in_flight_bound = 8;
    for (int i = 0; i < COUNT; i++) {
        fake_submit(io, &ops[i], nop);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(fake_pool.count, COUNT - i < 8 ? COUNT - i : 8);
        fake_step(io, &fake_pool, FOL_IO_NOP, 0);
        CHECK(fol_io_take(io) == &ops[i]);
    }
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_storm_of_busy_passes(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_ring.start_error = -EBUSY;
    fake_ring.start_errors = 100;
    fake_submit(io, &op, nop);
    for (int i = 0; i < 100; i++) {
        fol_io_poll(io);
    }
    fake_step(io, &fake_ring, FOL_IO_NOP, 0);
    fake_take_one(io, 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_more_than_the_driver_holds_come_back_refused(void)
{
    fol_io *io = NULL;
    fol_io_config config = fake_config(FOL_IO_CHOICE_POOL);
    fake_reset(&fake_pool, 1);
    config.max_operations = 1;
    CHECK_EQ(fol_io_create_from(&config, &fake_makers, &io), FOL_OK);
    fol_io_op ops[2];
    fake_submit(io, &ops[0], nop);
    fake_submit(io, &ops[1], nop);
    CHECK(fake_take_one(io, FOL_E_CAPACITY) == &ops[1]);
    fake_step(io, &fake_pool, FOL_IO_NOP, 0);
    fake_take_one(io, 0);
    fake_submit(io, &ops[1], nop);
    CHECK_EQ(fake_pool.count, 1);
    CHECK_EQ(fake_close(io), 1);
}

static void test_a_request_that_makes_no_sense_comes_back_refused(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fake_submit(io, &op, (fol_io_request){.kind = FOL_IO_KIND_COUNT});
    fake_take_one(io, FOL_E_VALUE);
    fake_submit(io, &op, (fol_io_request){.kind = FOL_IO_READ, .fd = -3, .size = 1});
    fake_take_one(io, FOL_E_VALUE);
    CHECK_EQ(fake_pool.made, 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_an_engine_of_another_thread_is_left_alone(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_ring.adopt_error = -EBUSY;
    fake_submit(io, &op, nop);
    CHECK_EQ(fake_ring.starts, 0);
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), -EBUSY);
    fake_ring.adopt_error = 0;
    fol_io_poll(io);
    fake_step(io, &fake_ring, FOL_IO_NOP, 0);
    fake_take_one(io, 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_adopting_takes_over_what_is_in_flight_without_waiting(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    CHECK_EQ(fol_io_adopt(io), FOL_OK);
    fake_submit(io, &op, nop);
    CHECK_EQ(fake_ring.starts, 1);
    CHECK_EQ(fol_io_adopt(io), FOL_OK);
    CHECK_EQ(fake_ring.adopts, 1);
    CHECK_EQ(fake_ring.waits, 0);
    fake_step(io, &fake_ring, FOL_IO_NOP, 0);
    fake_take_one(io, 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_wake_before_the_wait_ends_it(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_submit(io, &op, recv_on(3));
    fol_io_wake(io);
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), FOL_OK);
    CHECK_EQ(fake_ring.waits, 0);
    fake_ring.wakes = 1;
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), -EINTR);
    CHECK_EQ(fake_ring.waits, 1);
    CHECK_EQ(fake_close(io), 1);
}

static void test_without_a_pool_no_memory_is_a_result(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fake_pool.make_error = -ENOMEM;
    fake_submit(io, &op, nop);
    fake_take_one(io, -ENOMEM);
    CHECK_EQ(fake_pool.made, 1);
    fake_pool.make_error = 0;
    fake_submit(io, &op, nop);
    CHECK_EQ(fake_pool.count, 1);
    CHECK_EQ(fake_close(io), 1);
}

static void test_no_memory_to_start_waits_for_what_completes(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[2];
    fake_submit(io, &ops[0], nop);
    fake_ring.start_error = -ENOMEM;
    fake_ring.start_errors = 1;
    ops[1].request = nop;
    fol_io_submit(io, (fol_io_op *[]){&ops[1]}, 1);
    fol_io_poll(io);
    fake_step(io, &fake_ring, FOL_IO_NOP, 0);
    fake_take_one(io, 0);
    CHECK_EQ(fake_ring.count, 1);
    CHECK_EQ(fake_close(io), 1);
}

static void test_no_memory_to_start_the_only_one_is_its_result(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_ring.start_error = -ENOMEM;
    fake_ring.start_errors = 1;
    fake_submit(io, &op, nop);
    fake_take_one(io, -ENOMEM);
    CHECK_EQ(fake_close(io), 0);
}

static void test_memory_refused_at_every_step_of_creation_leaves_nothing(void)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    uint64_t n = 1;
    for (bool goes_on = true; goes_on && n < 100; n++) {
        fol_io *io = NULL;
        fol_io_config config = fake_config(FOL_IO_CHOICE_RING);
        fol_memory_fail_nth(n);
        int status = fol_io_create_from(&config, &fake_makers, &io);
        goes_on = !fol_memory_failure_is_armed();
        fol_memory_fail_nth(0);
        CHECK_EQ(status, goes_on ? -ENOMEM : FOL_OK);
        if (status == FOL_OK) {
            CHECK_EQ(fake_close(io), 0);
        }
    }
    CHECK(n > 3);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

typedef struct fate {
    const fol_io_op *held; /* the one that is */
    uint32_t held_count;
    uint32_t free_count;
} fate;

static void note_fate(void *argument, fol_io_op *op, bool is_held)
{
    fate *fates = argument;
    fates->held = is_held ? op : fates->held;
    fates->held_count += is_held;
    fates->free_count += !is_held;
}

static void test_destroy_says_what_an_engine_did_not_let_go_of(void)
{
    for (int lane = FOL_IO_LANE_RING; lane <= FOL_IO_LANE_POOL; lane++) {
        fol_io *io = fake_open(FOL_IO_CHOICE_RING);
        fol_io_op ops[4];
        fate fates = {0};
        fake_engine *stuck = lane == FOL_IO_LANE_RING ? &fake_ring : &fake_pool;
        fake_submit(io, &ops[0], nop);
        fake_submit(io, &ops[1], (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = 100});
        /* What the ring lacks goes to the pool. */
        fake_ring.start_error = -EOPNOTSUPP;
        fake_ring.start_errors = 1;
        fake_submit(io, &ops[2], recv_on(3));
        CHECK_EQ(fake_pool.count, 1);
        /* Waits until the other on its descriptor has ended. */
        fake_submit(io, &ops[3], (fol_io_request){.kind = FOL_IO_CLOSE, .fd = 3});
        stuck->lets_go = false;
        CHECK(!fol_io_destroy(io, note_fate, &fates));
        CHECK_EQ(fates.held_count, 1);
        CHECK_EQ(fates.free_count, 3);
        CHECK(fates.held == &ops[lane == FOL_IO_LANE_RING ? 0 : 2]);
        CHECK_EQ(stuck->destroyed, 1);
        /* What is kept for the kernel is kept on purpose; here nobody uses it. */
        fol_io_free(io);
    }
}

static void test_counters_say_what_happened(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[3];
    fol_io_stats stats;
    for (int i = 0; i < 3; i++) {
        fake_submit(io, &ops[i], recv_on(i));
    }
    fol_io_read_stats(io, &stats);
    CHECK_EQ(stats.submitted, 3);
    CHECK_EQ(stats.in_flight, 3);
    CHECK(fol_io_cancel(io, &ops[0]));
    fake_step(io, &fake_ring, FOL_IO_RECV, -ECANCELED);
    fake_step(io, &fake_ring, FOL_IO_RECV, -ECONNRESET);
    fake_step(io, &fake_ring, FOL_IO_RECV, 4);
    fol_io_read_stats(io, &stats);
    CHECK_EQ(stats.completed, 3);
    CHECK_EQ(stats.cancelled, 1);
    CHECK_EQ(stats.failed, 1);
    CHECK_EQ(stats.in_flight, 0);
    CHECK(fol_io_take(io) == &ops[0]);
    fol_io_release(io, &ops[2]);
    CHECK_EQ(fake_close(io), 0);
}

int main(void)
{
    RUN(test_every_operation_comes_back_once_in_the_order_of_completion);
    RUN(test_no_engine_is_made_before_it_is_needed);
    RUN(test_what_the_ring_cannot_do_goes_to_the_pool);
    RUN(test_route_decides_for_operations_from_then_on);
    RUN(test_a_forced_choice_is_not_routed);
    RUN(test_a_machine_without_rings_says_why_and_what_to_do);
    RUN(test_a_ring_that_cannot_be_made_leaves_all_to_the_pool);
    RUN(test_what_a_dying_ring_did_not_do_is_done_by_the_pool);
    RUN(test_one_enter_sends_and_waits);
    RUN(test_a_wait_for_several_takes_one_when_one_may_never_come);
    RUN(test_with_both_engines_busy_the_ring_looks_at_the_pool);
    RUN(test_a_ring_with_nothing_in_flight_keeps_no_look_at_the_pool);
    RUN(test_patient_operations_leave_room_in_the_ring);
    RUN(test_a_full_engine_takes_the_rest_later);
    RUN(test_a_storm_of_busy_passes);
    RUN(test_more_than_the_driver_holds_come_back_refused);
    RUN(test_a_request_that_makes_no_sense_comes_back_refused);
    RUN(test_an_engine_of_another_thread_is_left_alone);
    RUN(test_adopting_takes_over_what_is_in_flight_without_waiting);
    RUN(test_a_wake_before_the_wait_ends_it);
    RUN(test_without_a_pool_no_memory_is_a_result);
    RUN(test_no_memory_to_start_waits_for_what_completes);
    RUN(test_no_memory_to_start_the_only_one_is_its_result);
    RUN(test_memory_refused_at_every_step_of_creation_leaves_nothing);
    RUN(test_destroy_says_what_an_engine_did_not_let_go_of);
    RUN(test_counters_say_what_happened);
    CHECK_MAIN_END();
}
