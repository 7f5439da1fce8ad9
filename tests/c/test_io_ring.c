/* The ring engine: requests go and come back, waits end, bounds hold. */

#include "ring_support.h"

static void test_nop_comes_back_with_its_token(void)
{
    fol_io_engine *engine = ring_make();
    CHECK_EQ(ring_nop(engine, UINT64_MAX - 5), 0);
    CHECK_EQ(engine->in_flight, 1);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK(events[0].token == UINT64_MAX - 5);
    CHECK_EQ(events[0].value, 0);
    CHECK(!events[0].has_more);
    CHECK_EQ(events[0].buffer, -1);
    CHECK_EQ(engine->in_flight, 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_batch_takes_one_system_call(void)
{
    fol_io_engine *engine = ring_make();
    CHECK_EQ(ring_nop(engine, 0), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    uint64_t calls = atomic_load(&engine->counters.system_calls);
    for (uint32_t token = 0; token < engine->in_flight_bound; token++) {
        CHECK_EQ(ring_nop(engine, token), 0);
    }
    CHECK_EQ(engine->ops->wait(engine, engine->in_flight_bound, UINT64_MAX), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), engine->in_flight_bound);
    CHECK_EQ(atomic_load(&engine->counters.system_calls) - calls, 1);
    CHECK(engine->ops->destroy(engine));
}

static void test_bound_gives_busy_until_something_is_reaped(void)
{
    fol_io_engine *engine = ring_make();
    const uint32_t bound = engine->in_flight_bound;
    for (uint32_t token = 0; token < bound; token++) {
        CHECK_EQ(ring_nop(engine, token), 0);
    }
    CHECK_EQ(ring_nop(engine, bound), -EBUSY);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(ring_nop(engine, bound), -EBUSY);
    CHECK_EQ(engine->ops->reap(engine, events, 1), 1);
    CHECK_EQ(ring_nop(engine, bound), 0);
    CHECK_EQ(ring_collect(engine, bound), bound);
    CHECK(ring_event(bound, bound) != NULL);
    CHECK_EQ(engine->in_flight, 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_read_brings_the_bytes_of_a_file(void)
{
    fol_io_engine *engine = ring_make();
    char bytes[4] = {0};
    int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    fol_io_request request = {.kind = FOL_IO_READ, .fd = fd, .buffer = bytes, .size = 4};
    CHECK_EQ(ring_start(engine, request, 1), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, 4);
    CHECK(memcmp(bytes, "test", 4) == 0);
    close(fd);
    CHECK(engine->ops->destroy(engine));
}

static void test_failure_is_a_negative_errno(void)
{
    fol_io_engine *engine = ring_make();
    char byte;
    CHECK_EQ(ring_read_byte(engine, 1000000, &byte, 1), 0);
    CHECK_EQ(ring_nop(engine, 2), 0);
    size_t count = ring_collect(engine, 2);
    CHECK_EQ(count, 2);
    CHECK_EQ(ring_event(count, 1)->value, -EBADF);
    CHECK_EQ(ring_event(count, 2)->value, 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_what_is_not_the_rings_business_is_not_supported(void)
{
    fol_io_engine *engine = ring_make();
    CHECK_EQ(ring_start(engine, (fol_io_request){.kind = FOL_IO_TIMEOUT}, 1), -EOPNOTSUPP);
    CHECK_EQ(ring_start(engine, (fol_io_request){.kind = FOL_IO_CANCEL}, 1), -EOPNOTSUPP);
    CHECK_EQ(ring_start(engine, (fol_io_request){.kind = FOL_IO_KIND_COUNT}, 1), -EOPNOTSUPP);
    fol_io_request many = {.kind = FOL_IO_NOP, .flags = FOL_IO_MANY};
    CHECK_EQ(ring_start(engine, many, 1), -EINVAL);
    CHECK_EQ(engine->in_flight, 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_cancelled_read_ends_once_as_cancelled(void)
{
    fol_io_engine *engine = ring_make();
    int ends[2];
    char byte;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    CHECK_EQ(ring_read_byte(engine, ends[0], &byte, 7), 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    engine->ops->cancel(engine, 7);
    engine->ops->cancel(engine, 7);
    engine->ops->cancel(engine, 8);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK(events[0].token == 7);
    CHECK_EQ(events[0].value, -ECANCELED);
    CHECK_EQ(engine->ops->wait(engine, 1, 1000), -ETIME);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    close(ends[0]);
    close(ends[1]);
    CHECK(engine->ops->destroy(engine));
}

static void test_cancel_before_the_flush_ends_the_request(void)
{
    fol_io_engine *engine = ring_make();
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    fol_io_request request = {.kind = FOL_IO_POLL, .fd = ends[0], .options = POLLIN};
    CHECK_EQ(ring_start(engine, request, 1), 0);
    engine->ops->cancel(engine, 1);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, -ECANCELED);
    close(ends[0]);
    close(ends[1]);
    CHECK(engine->ops->destroy(engine));
}

static void test_all_that_is_in_flight_can_be_cancelled(void)
{
    fol_io_engine *engine = ring_make();
    const uint32_t bound = engine->in_flight_bound;
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    for (uint32_t token = 0; token < bound; token++) {
        fol_io_request request = {.kind = FOL_IO_POLL, .fd = ends[0], .options = POLLIN};
        /* Tokens that share their low bits, so that the hints are wrong. */
        CHECK_EQ(ring_start(engine, request, (uint64_t)token << 32), 0);
    }
    for (uint32_t token = 0; token < bound; token++) {
        engine->ops->cancel(engine, (uint64_t)token << 32);
    }
    CHECK_EQ(ring_collect(engine, bound), bound);
    for (uint32_t index = 0; index < bound; index++) {
        CHECK_EQ(events[index].value, -ECANCELED);
    }
    CHECK_EQ(atomic_load(&engine->counters.overflows), 0);
    close(ends[0]);
    close(ends[1]);
    CHECK(engine->ops->destroy(engine));
}

static void test_wait_ends_when_its_time_is_over(void)
{
    fol_io_engine *engine = ring_make();
    CHECK_EQ(engine->ops->wait(engine, 1, 0), -ETIME);
    CHECK_EQ(engine->ops->wait(engine, 1, 1000), -ETIME);
    int ends[2];
    char byte;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    CHECK_EQ(ring_read_byte(engine, ends[0], &byte, 1), 0);
    CHECK_EQ(engine->ops->wait(engine, 1, 1000), -ETIME);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    close(ends[0]);
    close(ends[1]);
    CHECK(engine->ops->destroy(engine));
}

static void test_wake_ends_one_wait_and_no_other(void)
{
    fol_io_engine *engine = ring_make();
    engine->ops->wake(engine);
    engine->ops->wake(engine);
    CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    CHECK_EQ(engine->ops->wait(engine, 1, 1000), -ETIME);
    engine->ops->wake(engine);
    CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    CHECK_EQ(engine->ops->wait(engine, 1, 1000), -ETIME);
    CHECK(engine->ops->destroy(engine));
}

static void test_wake_that_is_reaped_before_the_wait_still_ends_it(void)
{
    fol_io_engine *engine = ring_make();
    CHECK_EQ(engine->ops->flush(engine), 0);
    engine->ops->wake(engine);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    CHECK(!fol_ring_of(engine)->wake_armed);
    CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), 0);
    CHECK(engine->ops->destroy(engine));
}

static fol_io_engine *woken_engine;

static void *wake_it(void *unused)
{
    (void)unused;
    woken_engine->ops->wake(woken_engine);
    return NULL;
}

static void test_wake_comes_from_another_thread(void)
{
    pthread_t thread;
    woken_engine = ring_make();
    for (int round = 0; round < 200; round++) {
        CHECK_EQ(pthread_create(&thread, NULL, wake_it, NULL), 0);
        CHECK_EQ(woken_engine->ops->wait(woken_engine, 1, UINT64_MAX), 0);
        CHECK_EQ(woken_engine->ops->reap(woken_engine, events, EVENTS_MAX), 0);
        pthread_join(thread, NULL);
    }
    CHECK(woken_engine->ops->destroy(woken_engine));
}

static void test_wake_ends_a_wait_for_many(void)
{
    fol_io_engine *engine = ring_make();
    int ends[2];
    char bytes[4];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    for (uint32_t token = 0; token < 4; token++) {
        CHECK_EQ(ring_read_byte(engine, ends[0], &bytes[token], token), 0);
    }
    engine->ops->wake(engine);
    CHECK_EQ(engine->ops->wait(engine, 4, UINT64_MAX), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    close(ends[0]);
    close(ends[1]);
    CHECK(engine->ops->destroy(engine));
}

static void ignore_signal(int number)
{
    (void)number;
}

static void test_signal_ends_a_wait_as_interrupted(void)
{
    fol_io_engine *engine = ring_make();
    const struct sigaction action = {.sa_handler = ignore_signal};
    struct sigaction before;
    struct itimerspec soon = {.it_value = {.tv_nsec = 1000000},
                              .it_interval = {.tv_nsec = 1000000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    sigaction(SIGUSR1, &action, &before);
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_EQ(timer_settime(timer, 0, &soon, NULL), 0);
    /* The first one also sends the read for wakes, and so gets a count and no error. */
    CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), -EINTR);
    CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), -EINTR);
    timer_delete(timer);
    sigaction(SIGUSR1, &before, NULL);
    CHECK(engine->ops->destroy(engine));
}

static void test_file_of_the_table_is_opened_read_and_closed(void)
{
    fol_io_engine *engine = ring_make();
    char bytes[4] = {0};
    uint32_t files = ring_open_files();
    fol_io_request request = {
        .kind = FOL_IO_OPEN, .flags = FOL_IO_DIRECT, .fd = AT_FDCWD, .path = "/proc/self/comm"};
    CHECK_EQ(engine->has_direct_files, ladder_has_direct_files());
    if (!engine->has_direct_files) {
        CHECK_EQ(ring_start(engine, request, 1), -EOPNOTSUPP);
        CHECK(engine->ops->destroy(engine));
        return;
    }
    CHECK_EQ(ring_start(engine, request, 1), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    int file = (int)events[0].value;
    CHECK(file > 0);
    CHECK_EQ(ring_open_files(), files);
    request = (fol_io_request){
        .kind = FOL_IO_READ, .flags = FOL_IO_DIRECT, .fd = file, .buffer = bytes, .size = 4};
    CHECK_EQ(ring_start(engine, request, 2), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, 4);
    CHECK(memcmp(bytes, "test", 4) == 0);
    request = (fol_io_request){.kind = FOL_IO_CLOSE, .flags = FOL_IO_DIRECT, .fd = file};
    CHECK_EQ(ring_start(engine, request, 3), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, 0);
    request = (fol_io_request){
        .kind = FOL_IO_READ, .flags = FOL_IO_DIRECT, .fd = file, .buffer = bytes, .size = 4};
    CHECK_EQ(ring_start(engine, request, 4), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, -EBADF);
    CHECK(engine->ops->destroy(engine));
}

static void test_full_table_has_no_direct_files_until_one_is_closed(void)
{
    fol_io_engine *engine = ring_make();
    const uint32_t count = fol_ring_of(engine)->direct_count;
    fol_io_request opening = {
        .kind = FOL_IO_OPEN, .flags = FOL_IO_DIRECT, .fd = AT_FDCWD, .path = "/dev/null"};
    for (uint32_t token = 0; token < count; token++) {
        CHECK(engine->has_direct_files);
        CHECK_EQ(ring_start(engine, opening, token), 0);
        CHECK_EQ(ring_collect(engine, 1), 1);
        CHECK(events[0].value > 0);
    }
    CHECK_EQ(count != 0, ladder_has_direct_files());
    CHECK(!engine->has_direct_files);
    CHECK_EQ(ring_start(engine, opening, 1), -EOPNOTSUPP);
    if (count == 0) {
        CHECK(engine->ops->destroy(engine));
        return;
    }
    fol_io_request closing = {.kind = FOL_IO_CLOSE, .flags = FOL_IO_DIRECT, .fd = 1};
    CHECK_EQ(ring_start(engine, closing, 1), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK(engine->has_direct_files);
    opening.path = "/no such file";
    CHECK_EQ(ring_start(engine, opening, 2), 0);
    CHECK(!engine->has_direct_files);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, -ENOENT);
    CHECK(engine->has_direct_files);
    CHECK(engine->ops->destroy(engine));
}

static void test_registered_memory_is_read_into_and_written_from(void)
{
    static uint8_t room[3 * 4096] __attribute__((aligned(4096)));
    uint8_t *memory = room + 4096;
    fol_io_engine *engine = ring_make();
    fol_io_ring *ring = fol_ring_of(engine);
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    engine->ops->use_memory(engine, memory, 2 * 4096);
    CHECK(ring->memory_is_registered);
    CHECK_EQ(fol_ring_memory_piece(ring, memory + 8191, 1), 0);
    CHECK_EQ(fol_ring_memory_piece(ring, memory + 8191, 2), -1);
    CHECK_EQ(fol_ring_memory_piece(ring, memory, 0), -1);
    CHECK_EQ(fol_ring_memory_piece(ring, memory - 1, 1), -1);
    memory[5000] = 42;
    fol_io_request request = {.kind = FOL_IO_WRITE,
                              .fd = ends[1],
                              .buffer = memory + 5000,
                              .size = 1,
                              .offset = FOL_IO_CURRENT};
    CHECK_EQ(ring_start(engine, request, 1), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, 1);
    CHECK_EQ(ring_read_byte(engine, ends[0], (char *)memory + 100, 2), 0);
    CHECK_EQ(ring->ring.sq.sqes[0].opcode, IORING_OP_READ_FIXED);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, 1);
    CHECK_EQ(memory[100], 42);
    close(ends[0]);
    close(ends[1]);
    CHECK(engine->ops->destroy(engine));
}

static void *use_polling(void *argument)
{
    fol_io_engine *engine = argument;
    CHECK_EQ(engine->ops->adopt(engine), 0);
    CHECK_EQ(ring_nop(engine, 9), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    return NULL;
}

static void test_polling_thread_serves_its_owner(void)
{
    fol_io_ring_config config = {.entries = 8, .use_sqpoll = true, .force_sqpoll = true};
    fol_io_engine *engine = ring_make_with(&config);
    CHECK_EQ(engine->ops->adopt(engine), 0);
    for (uint64_t round = 0; round < 50; round++) {
        uint32_t count = 0;
        while (count < engine->in_flight_bound && CHECK_EQ(ring_nop(engine, count), 0)) {
            count += 1;
        }
        CHECK_EQ(ring_nop(engine, count), -EBUSY);
        CHECK_EQ(ring_collect(engine, count), count);
    }
    int ends[2];
    char byte;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    CHECK_EQ(ring_read_byte(engine, ends[0], &byte, 7), 0);
    engine->ops->cancel(engine, 7);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, -ECANCELED);
    CHECK_EQ(ring_read_byte(engine, ends[0], &byte, 8), 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK(engine->ops->destroy(engine));
    close(ends[0]);
    close(ends[1]);
}

/* The kernel's wait for room ends early at a signal, so it is waited for again. */
static void test_polling_thread_has_room_up_to_the_bound_among_signals(void)
{
    fol_io_ring_config config = {.entries = 8, .use_sqpoll = true, .force_sqpoll = true};
    fol_io_engine *engine = ring_make_with(&config);
    struct sigaction action = {.sa_handler = ignore_signal};
    struct sigaction before;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    const struct itimerspec often = {.it_interval.tv_nsec = 100000, .it_value.tv_nsec = 100000};
    timer_t timer;
    sigaction(SIGUSR1, &action, &before);
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_EQ(engine->ops->adopt(engine), 0);
    CHECK_EQ(timer_settime(timer, 0, &often, NULL), 0);
    for (uint64_t round = 0; round < 500; round++) {
        uint32_t count = 0;
        while (count < engine->in_flight_bound && CHECK_EQ(ring_nop(engine, count), 0)) {
            count += 1;
        }
        CHECK_EQ(ring_collect(engine, count), count);
    }
    timer_delete(timer);
    sigaction(SIGUSR1, &before, NULL);
    CHECK(engine->ops->destroy(engine));
}

static void test_polling_ring_goes_from_thread_to_thread_and_stays_the_parents(void)
{
    fol_io_ring_config config = {.entries = 8, .use_sqpoll = true, .force_sqpoll = true};
    fol_io_engine *engine = ring_make_with(&config);
    for (int round = 0; round < 3; round++) {
        ring_in_thread(use_polling, engine);
        CHECK_EQ(engine->ops->adopt(engine), 0);
        CHECK_EQ(ring_nop(engine, 1), 0);
        CHECK_EQ(ring_collect(engine, 1), 1);
    }
    int ends[2];
    char byte;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    CHECK_EQ(ring_read_byte(engine, ends[0], &byte, 2), 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
    pid_t child = fork();
    if (child == 0) {
        bool is_refused = engine->ops->adopt(engine) == FOL_E_FORKED;
        _exit(is_refused && engine->ops->destroy(engine) ? 0 : 1);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, 1);
    CHECK(engine->ops->destroy(engine));
    close(ends[0]);
    close(ends[1]);
}

/* As when the kernel's thread is gone: entering the ring says so. */
static void test_polling_thread_that_died_ends_all_that_is_in_flight(void)
{
    fol_io_ring_config config = {.entries = 8, .use_sqpoll = true, .force_sqpoll = true};
    fol_io_engine *engine = ring_make_with(&config);
    int ends[2];
    char byte;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    CHECK_EQ(engine->ops->adopt(engine), 0);
    CHECK_EQ(ring_read_byte(engine, ends[0], &byte, 1), 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
    fol_ring_call_fail_from(1, EOWNERDEAD);
    CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), -EOWNERDEAD);
    fol_io_ring_fail_nth(0, 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, -ECANCELED);
    CHECK_EQ(ring_nop(engine, 2), -EOWNERDEAD);
    CHECK(engine->ops->destroy(engine));
    close(ends[0]);
    close(ends[1]);
}

static void test_bad_configuration_is_refused(void)
{
    fol_io_report report;
    fol_io_engine *engine = NULL;
    fol_io_ring_config config = {.buffer_count = 3};
    CHECK_EQ(fol_io_ring_create(&config, &report, &engine), -EINVAL);
    config = (fol_io_ring_config){.entries = 8193};
    CHECK_EQ(fol_io_ring_create(&config, &report, &engine), -EINVAL);
    CHECK_EQ(report.error, -EINVAL);
    CHECK(engine == NULL);
}

static void run_all(void)
{
    RUN(test_nop_comes_back_with_its_token);
    RUN(test_batch_takes_one_system_call);
    RUN(test_bound_gives_busy_until_something_is_reaped);
    RUN(test_read_brings_the_bytes_of_a_file);
    RUN(test_failure_is_a_negative_errno);
    RUN(test_what_is_not_the_rings_business_is_not_supported);
    RUN(test_cancelled_read_ends_once_as_cancelled);
    RUN(test_cancel_before_the_flush_ends_the_request);
    RUN(test_all_that_is_in_flight_can_be_cancelled);
    RUN(test_wait_ends_when_its_time_is_over);
    RUN(test_wake_ends_one_wait_and_no_other);
    RUN(test_wake_that_is_reaped_before_the_wait_still_ends_it);
    RUN(test_wake_comes_from_another_thread);
    RUN(test_wake_ends_a_wait_for_many);
    RUN(test_signal_ends_a_wait_as_interrupted);
    RUN(test_file_of_the_table_is_opened_read_and_closed);
    RUN(test_full_table_has_no_direct_files_until_one_is_closed);
    RUN(test_registered_memory_is_read_into_and_written_from);
    RUN(test_polling_thread_serves_its_owner);
    RUN(test_polling_thread_has_room_up_to_the_bound_among_signals);
    RUN(test_polling_ring_goes_from_thread_to_thread_and_stays_the_parents);
    RUN(test_polling_thread_that_died_ends_all_that_is_in_flight);
}

static void test_kernel_without_what_the_engine_needs_is_told(void)
{
    fol_io_report report;
    fol_io_engine *engine = NULL;
    const fol_io_ring_config config = {0};
    uint32_t files = ring_open_files();
    fol_ring_call_lack(&ladder_too_old);
    CHECK_EQ(fol_io_ring_create(&config, &report, &engine), -EOPNOTSUPP);
    fol_ring_call_lack(NULL);
    CHECK_EQ(report.available, 0);
    CHECK_EQ(report.error, -EOPNOTSUPP);
    CHECK(engine == NULL);
    CHECK_EQ(ring_open_files(), files);
}

int main(void)
{
    stress_watch(60);
    if (!ring_begin()) {
        return 0;
    }
    ladder_climb(run_all);
    RUN(test_kernel_without_what_the_engine_needs_is_told);
    RUN(test_bad_configuration_is_refused);
    CHECK_MAIN_END();
}
