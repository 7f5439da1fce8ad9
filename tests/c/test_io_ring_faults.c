/* The ring engine when each of its system calls, and each allocation, fails in turn.
 *
 * Whatever fails, every request that was started ends exactly once, no descriptor and no memory is
 * left, and nothing hangs.
 */

#include "ring_support.h"

#define TOKENS 16

static uint8_t memory[8192] __attribute__((aligned(4096)));
static uint32_t finals[TOKENS];
static bool started[TOKENS];
static int pipe_ends[2];
static int pair[2];
static fol_io_engine *engine;

static void take_events(size_t count)
{
    for (size_t index = 0; index < count; index++) {
        const fol_io_event *event = &events[index];
        CHECK(event->token < TOKENS);
        CHECK(started[event->token]);
        finals[event->token] += event->has_more ? 0 : 1;
        if (event->buffer >= 0) {
            engine->ops->give_buffer(engine, event->buffer);
        }
        if (event->token == 7 && event->value >= 0) {
            close((int)event->value);
        }
    }
}

static void start(fol_io_request request, uint64_t token)
{
    started[token] = ring_start(engine, request, token) == FOL_OK;
}

static void start_all(void)
{
    static char byte;
    start((fol_io_request){.kind = FOL_IO_NOP}, 0);
    start((fol_io_request){.kind = FOL_IO_READ,
                           .fd = pipe_ends[0],
                           .buffer = &byte,
                           .size = 1,
                           .offset = FOL_IO_CURRENT},
          1);
    start((fol_io_request){.kind = FOL_IO_POLL, .fd = pipe_ends[0], .options = POLLIN}, 2);
    start((fol_io_request){.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = pair[0]}, 3);
    if (engine->has_direct_files) {
        start(
            (fol_io_request){
                .kind = FOL_IO_OPEN, .flags = FOL_IO_DIRECT, .fd = AT_FDCWD, .path = "/dev/null"},
            4);
    }
    start((fol_io_request){.kind = FOL_IO_WRITE,
                           .fd = pair[1],
                           .buffer = memory,
                           .size = 3,
                           .offset = FOL_IO_CURRENT},
          5);
    start((fol_io_request){.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY, .fd = pair[0]}, 6);
    start((fol_io_request){.kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = "/dev/null"}, 7);
}

/* Until nothing is in flight, or the engine is of no use and has given everything back. */
static void take_all(void)
{
    for (int turn = 0; turn < 100 && engine->in_flight > 0; turn++) {
        engine->ops->wait(engine, 1, 100000000);
        take_events(engine->ops->reap(engine, events, EVENTS_MAX));
    }
    CHECK_EQ(engine->in_flight, 0);
    for (int token = 0; token < TOKENS; token++) {
        CHECK_EQ(finals[token], started[token] ? 1 : 0);
    }
}

static void *use_elsewhere(void *unused)
{
    (void)unused;
    memset(finals, 0, sizeof finals);
    memset(started, 0, sizeof started);
    if (engine->ops->adopt(engine) == FOL_OK) {
        start((fol_io_request){.kind = FOL_IO_NOP}, 9);
        take_all();
    }
    return NULL;
}

static void run_all(const fol_io_ring_config *config)
{
    fol_io_report report;
    memset(finals, 0, sizeof finals);
    memset(started, 0, sizeof started);
    if (fol_io_ring_create(config, &report, &engine) != FOL_OK) {
        return;
    }
    if (engine->ops->adopt(engine) == FOL_OK || engine->ops->adopt(engine) == FOL_OK) {
        engine->ops->use_memory(engine, memory, sizeof memory);
        start_all();
        engine->ops->flush(engine);
        engine->ops->wake(engine);
        engine->ops->wait(engine, 1, 100000000);
        take_events(engine->ops->reap(engine, events, EVENTS_MAX));
        engine->ops->cancel(engine, 1);
        engine->ops->cancel(engine, 2);
        engine->ops->cancel(engine, 3);
        take_all();
        ring_in_thread(use_elsewhere, NULL);
    }
    CHECK(engine->ops->destroy(engine));
}

static void fail_calls(int error)
{
    const fol_io_ring_config config = {.entries = 4, .buffer_count = 4, .buffer_size = 64};
    uint64_t n = 0;
    bool was_reached = true;
    for (; was_reached && n < 500; n++) {
        CHECK_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        uint32_t files = ring_open_files();
        uint64_t blocks = ring_live_blocks();
        fol_io_ring_fail_nth(n + 1, error);
        run_all(&config);
        was_reached = !fol_io_ring_failure_is_armed();
        fol_io_ring_fail_nth(0, 0);
        if (!CHECK_EQ(ring_open_files(), files) || !CHECK_EQ(ring_live_blocks(), blocks) ||
            check_failures > 0) {
            fprintf(stderr, "the call that failed: %" PRIu64 " with errno %d\n", n + 1, error);
            was_reached = false;
        }
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        close(pair[0]);
        close(pair[1]);
    }
    CHECK(n > 10 && n < 500);
}

static void test_any_call_may_be_forbidden(void)
{
    fail_calls(EPERM);
}

static void test_any_call_may_be_missing(void)
{
    fail_calls(ENOSYS);
}

static void test_any_call_may_find_no_memory(void)
{
    fail_calls(ENOMEM);
}

static void test_any_call_may_be_put_off(void)
{
    fail_calls(EAGAIN);
    fail_calls(EBUSY);
}

static void test_any_call_may_be_interrupted(void)
{
    fail_calls(EINTR);
}

static void test_any_call_may_be_refused_for_its_arguments(void)
{
    fail_calls(EINVAL);
}

static void test_any_call_may_find_no_descriptor(void)
{
    fail_calls(EMFILE);
}

static void test_any_allocation_may_fail(void)
{
    const fol_io_ring_config config = {.entries = 4, .buffer_count = 4, .buffer_size = 64};
    uint64_t n = 0;
    bool was_reached = true;
    for (; was_reached && n < 100; n++) {
        CHECK_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        uint64_t blocks = ring_live_blocks();
        fol_memory_fail_nth(n + 1);
        run_all(&config);
        was_reached = fol_memory_failure_is_armed() == 0;
        fol_memory_fail_nth(0);
        CHECK_EQ(ring_live_blocks(), blocks);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        close(pair[0]);
        close(pair[1]);
    }
    CHECK(n > 5 && n < 100);
}

static void test_request_that_was_put_off_is_sent_later(void)
{
    engine = ring_make();
    CHECK_EQ(ring_nop(engine, 1), 0);
    fol_ring_call_fail_from(1, EAGAIN);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(engine->ops->wait(engine, 1, 1000), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    fol_io_ring_fail_nth(0, 0);
    CHECK(atomic_load(&engine->counters.retries) > 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_engine_of_no_use_says_so_and_gives_everything_back(void)
{
    static char byte;
    engine = ring_make();
    CHECK_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    CHECK_EQ(ring_read_byte(engine, pipe_ends[0], &byte, 1), 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(ring_nop(engine, 2), 0);
    fol_io_ring_fail_nth(1, EPERM);
    CHECK_EQ(engine->ops->flush(engine), -EPERM);
    CHECK_EQ(engine->ops->flush(engine), -EPERM);
    CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), -EPERM);
    CHECK_EQ(ring_nop(engine, 3), -EPERM);
    CHECK(!engine->has_direct_files);
    CHECK_EQ(engine->in_flight, 2);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 2);
    CHECK_EQ(events[0].value, -ECANCELED);
    CHECK_EQ(events[1].value, -ECANCELED);
    CHECK_EQ(engine->in_flight, 0);
    CHECK_EQ(engine->ops->adopt(engine), -EPERM);
    engine->ops->wake(engine);
    CHECK(engine->ops->destroy(engine));
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void test_full_queue_that_cannot_be_sent_is_busy(void)
{
    engine = ring_make();
    const uint32_t bound = engine->in_flight_bound;
    CHECK_EQ(engine->ops->flush(engine), 0);
    for (uint32_t token = 0; token + 1 < bound; token++) {
        CHECK_EQ(ring_nop(engine, token), 0);
    }
    engine->ops->cancel(engine, 0);
    engine->ops->cancel(engine, 1);
    fol_ring_call_fail_from(1, EBUSY);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(ring_nop(engine, bound), -EBUSY);
    fol_io_ring_fail_nth(0, 0);
    CHECK_EQ(ring_nop(engine, bound), 0);
    CHECK_EQ(ring_collect(engine, bound), bound);
    CHECK(engine->ops->destroy(engine));
}

/* A ring without the pipe that says when the kernel lets go. Which call makes that depends on the
 * rung: a ring that cannot be left disabled is made anew by its thread. */
static fol_io_engine *make_without_pipe(void)
{
    const fol_io_ring_config config = {.entries = 4};
    for (uint64_t n = 1; n < 10; n++) {
        fol_io_engine *made = ring_make_with(&config);
        fol_io_ring_fail_nth(n, EMFILE);
        int status = made->ops->adopt(made);
        fol_io_ring_fail_nth(0, 0);
        if (status == FOL_OK && fol_ring_of(made)->release_fd < 0) {
            return made;
        }
        CHECK(made->ops->destroy(made));
    }
    abort();
}

static void test_memory_stays_where_nobody_says_that_the_kernel_let_go(void)
{
    static char byte;
    engine = make_without_pipe();
    CHECK_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    CHECK(!engine->has_direct_files);
    CHECK_EQ(ring_read_byte(engine, pipe_ends[0], &byte, 1), 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
    fol_ring_call_fail_from(1, EPERM);
    CHECK(!engine->ops->destroy(engine));
    fol_io_ring_fail_nth(0, 0);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void test_kernel_says_that_it_let_go_when_nothing_else_works(void)
{
    static char byte;
    engine = ring_make();
    CHECK_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    CHECK_EQ(ring_read_byte(engine, pipe_ends[0], &byte, 1), 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
    fol_ring_call_fail_from(1, EPERM);
    CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), -EPERM);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 1);
    CHECK_EQ(events[0].value, -ECANCELED);
    CHECK(engine->ops->destroy(engine));
    fol_io_ring_fail_nth(0, 0);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void test_polling_on_few_processors_is_refused_unless_forced(void)
{
    fol_io_report report;
    const fol_io_ring_config config = {.use_sqpoll = true};
    cpu_set_t before;
    cpu_set_t one;
    CHECK_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int processor = 0; processor < CPU_SETSIZE && CPU_COUNT(&one) == 0; processor++) {
        if (CPU_ISSET(processor, &before)) {
            CPU_SET(processor, &one);
        }
    }
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_EQ(fol_io_ring_create(&config, &report, &engine), -EOPNOTSUPP);
    CHECK_EQ(report.error, -EOPNOTSUPP);
    CHECK_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

static void climb_all(void)
{
    RUN(test_any_call_may_be_forbidden);
    RUN(test_any_call_may_be_missing);
    RUN(test_any_call_may_find_no_memory);
    RUN(test_any_call_may_be_put_off);
    RUN(test_any_call_may_be_interrupted);
    RUN(test_any_call_may_be_refused_for_its_arguments);
    RUN(test_any_call_may_find_no_descriptor);
    RUN(test_any_allocation_may_fail);
    RUN(test_request_that_was_put_off_is_sent_later);
    RUN(test_engine_of_no_use_says_so_and_gives_everything_back);
    RUN(test_full_queue_that_cannot_be_sent_is_busy);
    RUN(test_memory_stays_where_nobody_says_that_the_kernel_let_go);
    RUN(test_kernel_says_that_it_let_go_when_nothing_else_works);
    RUN(test_polling_on_few_processors_is_refused_unless_forced);
}

int main(void)
{
    stress_watch(120);
    if (!ring_begin()) {
        return 0;
    }
    ladder_climb(climb_all);
    CHECK_MAIN_END();
}
