/* Between frames: I/O that goes on until the next one's time, and clocks that stand still. */

#include "frame_io_model.h"
#include "host_side.h"

#define MOMENT_NS UINT64_C(5000000)

static const fol_io_request nop = {.kind = FOL_IO_NOP};

/* Nobody will write to it. */
static int silent_pipe[2];

static const fol_io_choice choices[] = {FOL_IO_CHOICE_RING, FOL_IO_CHOICE_POOL};

static uint64_t machine_now(void)
{
    return fol_clock_monotonic.now_ns(NULL);
}

/* Asks for what `user` points at, once, to come later. */
static int hosted_ask(void *user, fol_task *task)
{
    const fol_io_request *request = user;
    if (task->frame == 0) {
        io_queue(task, *request, FOL_IO_LATER, 1);
    }
    return 0;
}

/* One frame has asked for up to two things. */
static void start_asking(io_fixture *f, fol_io_request *first, fol_io_request *second)
{
    io_add(f, (io_brief){.name = "ask", .does_io = true, .hosted = hosted_ask, .user = first});
    if (second != NULL) {
        io_add(f,
               (io_brief){.name = "more", .does_io = true, .hosted = hosted_ask, .user = second});
    }
    io_start(f);
    CHECK_EQ(fol_scheduler_tick(f->scheduler, 0.1), FOL_OK);
}

static fol_io_request poll_silent_pipe(void)
{
    return (fol_io_request){.kind = FOL_IO_POLL, .fd = silent_pipe[0], .options = 1};
}

static void test_nothing_in_flight_is_nothing_to_rest_for(void)
{
    io_fixture f;
    io_setup(&f);
    io_add(&f, (io_brief){.name = "idle", .hosted = hosted_ask});
    f.systems[0].user = (void *)(uintptr_t)&nop;
    io_start(&f);
    CHECK_EQ(fol_scheduler_rest(f.scheduler, UINT64_MAX), -ENOENT);
    io_teardown(&f);
}

static void test_rest_ends_with_the_last_operation_and_delivers_nothing(void)
{
    for (size_t i = 0; i < 2; i++) {
        io_fixture f;
        fol_io_request request = nop;
        io_setup(&f);
        f.config.io = choices[i];
        start_asking(&f, &request, NULL);
        CHECK_EQ(fol_scheduler_rest(f.scheduler, UINT64_MAX), -ENOENT);
        CHECK_EQ(f.logged, 0);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(f.logged, 1);
        io_teardown(&f);
    }
}

static void test_rest_takes_an_operation_of_several_steps_to_its_end(void)
{
    for (size_t i = 0; i < 2; i++) {
        io_fixture f;
        fol_io_request request = {.kind = FOL_IO_READ,
                                  .flags = FOL_IO_PATH | FOL_IO_TO_END,
                                  .fd = AT_FDCWD,
                                  .path = file_paths[9]};
        io_setup(&f);
        f.config.io = choices[i];
        start_asking(&f, &request, NULL);
        CHECK_EQ(fol_scheduler_rest(f.scheduler, UINT64_MAX), -ENOENT);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(f.logged, 1);
        CHECK_EQ(f.values[0], file_size(9));
        io_teardown(&f);
    }
}

static void test_what_comes_ends_no_rest_before_its_time(void)
{
    for (size_t i = 0; i < 2; i++) {
        io_fixture f;
        fol_io_request first = nop;
        fol_io_request second = poll_silent_pipe();
        io_setup(&f);
        f.config.io = choices[i];
        start_asking(&f, &first, &second);
        uint64_t until = machine_now() + MOMENT_NS;
        CHECK_EQ(fol_scheduler_rest(f.scheduler, until), FOL_OK);
        CHECK(machine_now() >= until);
        CHECK_EQ(f.logged, 0);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(f.logged, 1);
        io_teardown(&f);
    }
}

static void test_rest_until_a_time_that_has_passed_goes_on_once(void)
{
    io_fixture f;
    fol_io_request first = nop;
    fol_io_request second = poll_silent_pipe();
    io_setup(&f);
    start_asking(&f, &first, &second);
    CHECK_EQ(fol_scheduler_rest(f.scheduler, 0), FOL_OK);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, 0), FOL_OK);
    io_teardown(&f);
}

typedef struct stopping_host {
    host_side side; /* first */
    bool wants_stop;
} stopping_host;

static int pending(void *state)
{
    stopping_host *host = state;
    host_side_check(&host->side);
    return host->wants_stop;
}

static uint64_t standing_now(void *state)
{
    (void)state;
    return 0;
}

static void standing_wait(void *state, uint64_t deadline_ns, uint64_t max_wait_ns)
{
    (void)state;
    (void)deadline_ns;
    (void)max_wait_ns;
}

/* Each kind of wait for the silent pipe ends because the host wants to. */
static void check_stops(fol_io_choice io, const fol_clock *clock)
{
    io_fixture f;
    fol_io_request request = poll_silent_pipe();
    stopping_host host = {.side = {.is_attached = true}};
    io_setup(&f);
    f.config.io = io;
    f.config.clock = *clock;
    f.config.host = (fol_host){
        .state = &host, .attach = host_side_attach, .detach = host_side_detach, .pending = pending};
    io_add(&f, (io_brief){.name = "ask", .does_io = true, .hosted = hosted_ask, .user = &request});
    io_start(&f);
    /* A frame that was stopped before its cut would have sent nothing. */
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    host.wants_stop = true;
    CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_E_INTERRUPTED);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_C(1) << 40), FOL_E_INTERRUPTED);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, 1000000), FOL_E_INTERRUPTED);
    CHECK_EQ(fol_scheduler_rest(f.scheduler, UINT64_MAX), FOL_E_INTERRUPTED);
    CHECK_EQ(host.side.bad, 0);
    CHECK(host.side.is_attached);
    io_teardown(&f);
}

static void test_the_host_stops_waits_on_a_clock_that_stands_still(void)
{
    const fol_clock standing = {.now_ns = standing_now, .wait_until_ns = standing_wait};
    for (size_t i = 0; i < 2; i++) {
        check_stops(choices[i], &standing);
    }
}

static void test_a_timer_beside_a_silent_descriptor_moves_a_virtual_clock(void)
{
    for (size_t i = 0; i < 2; i++) {
        io_fixture f;
        fol_io_request first = poll_silent_pipe();
        fol_io_request second = {.kind = FOL_IO_TIMEOUT, .timeout_ns = 200000000};
        io_setup(&f);
        f.config.io = choices[i];
        f.config.clock = fol_virtual_clock_face(&f.clock);
        start_asking(&f, &first, &second);
        CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
        CHECK_EQ(f.config.clock.now_ns(f.config.clock.state), 200000000);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(f.logged, 1);
        io_teardown(&f);
    }
}

int main(void)
{
    make_files();
    CHECK_EQ(pipe(silent_pipe), 0);
    RUN(test_nothing_in_flight_is_nothing_to_rest_for);
    RUN(test_rest_ends_with_the_last_operation_and_delivers_nothing);
    RUN(test_rest_takes_an_operation_of_several_steps_to_its_end);
    RUN(test_what_comes_ends_no_rest_before_its_time);
    RUN(test_rest_until_a_time_that_has_passed_goes_on_once);
    RUN(test_the_host_stops_waits_on_a_clock_that_stands_still);
    RUN(test_a_timer_beside_a_silent_descriptor_moves_a_virtual_clock);
    remove_files();
    CHECK_MAIN_END();
}
