/* Whose a ring is: other threads, threads that have ended, the end of the engine, and fork. */

#include "ring_pipe.h"

static char sink[64];
static fol_io_engine *shared;
static int result;

/* Two requests that wait for ever, and one that is done. */
static void start_three(fol_io_engine *engine)
{
    CHECK_EQ(ring_read_byte(engine, pipe_ends[0], &sink[0], 1), 0);
    CHECK_EQ(
        ring_start(engine,
                   (fol_io_request){.kind = FOL_IO_POLL, .fd = pipe_ends[0], .options = POLLIN}, 2),
        0);
    CHECK_EQ(ring_nop(engine, 3), 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
}

static void *adopt_it(void *unused)
{
    (void)unused;
    result = shared->ops->adopt(shared);
    return NULL;
}

static void *adopt_and_use(void *unused)
{
    (void)unused;
    result = shared->ops->adopt(shared);
    CHECK_EQ(ring_nop(shared, 11), 0);
    CHECK_EQ(ring_collect(shared, 1), 1);
    CHECK(events[0].token == 11);
    return NULL;
}

static void *adopt_and_leave(void *unused)
{
    (void)unused;
    result = shared->ops->adopt(shared);
    start_three(shared);
    CHECK_EQ(ring_nop(shared, 4), 0);
    return NULL;
}

static void *destroy_it(void *unused)
{
    (void)unused;
    result = shared->ops->destroy(shared);
    return NULL;
}

static void test_idle_ring_goes_from_thread_to_thread(void)
{
    shared = ring_make();
    for (int round = 0; round < 5; round++) {
        ring_in_thread(adopt_and_use, NULL);
        CHECK_EQ(result, 0);
        CHECK_EQ(shared->ops->adopt(shared), 0);
        CHECK_EQ(ring_nop(shared, 12), 0);
        CHECK_EQ(ring_collect(shared, 1), 1);
        CHECK_EQ(shared->has_direct_files, ladder_has_direct_files());
    }
    CHECK(shared->ops->destroy(shared));
}

static void test_wakes_survive_a_change_of_threads(void)
{
    shared = ring_make();
    for (int round = 0; round < 5; round++) {
        ring_in_thread(adopt_and_use, NULL);
        shared->ops->wake(shared);
        CHECK_EQ(shared->ops->adopt(shared), 0);
        CHECK_EQ(shared->ops->wait(shared, 1, UINT64_MAX), 0);
    }
    CHECK(shared->ops->destroy(shared));
}

static void test_registered_memory_and_buffers_go_along(void)
{
    static uint8_t memory[4096] __attribute__((aligned(4096)));
    shared = ring_make();
    shared->ops->use_memory(shared, memory, sizeof memory);
    CHECK_EQ(fol_ring_buffers_need(fol_ring_of(shared)), 0);
    ring_in_thread(adopt_and_use, NULL);
    CHECK(fol_ring_of(shared)->memory_is_registered);
    CHECK_EQ(fol_ring_of(shared)->buffers.shared != NULL, ladder_has_multishot_recv());
    CHECK(shared->ops->destroy(shared));
}

static void test_ring_with_requests_stays_with_a_thread_that_lives(void)
{
    shared = ring_make();
    open_pipe();
    start_three(shared);
    ring_in_thread(adopt_it, NULL);
    CHECK_EQ(result, -EBUSY);
    CHECK_EQ(ring_collect(shared, 1), 1);
    CHECK(events[0].token == 3);
    shared->ops->cancel(shared, 1);
    shared->ops->cancel(shared, 2);
    CHECK_EQ(ring_collect(shared, 2), 2);
    CHECK(shared->ops->destroy(shared));
    close_pipe();
}

static void test_completions_that_are_there_do_not_hold_a_ring(void)
{
    shared = ring_make();
    CHECK_EQ(ring_nop(shared, 1), 0);
    CHECK_EQ(shared->ops->flush(shared), 0);
    ring_in_thread(adopt_it, NULL);
    CHECK_EQ(result, 0);
    CHECK_EQ(shared->ops->adopt(shared), 0);
    CHECK_EQ(shared->ops->reap(shared, events, EVENTS_MAX), 1);
    CHECK_EQ(shared->in_flight, 0);
    CHECK(shared->ops->destroy(shared));
}

static void test_requests_of_a_thread_that_ended_are_cancelled(void)
{
    const fol_io_ring_config config = {.entries = 4};
    shared = ring_make_with(&config);
    open_pipe();
    ring_in_thread(adopt_and_leave, NULL);
    CHECK_EQ(shared->in_flight, 4);
    CHECK_EQ(shared->ops->adopt(shared), 0);
    CHECK_EQ(shared->in_flight, 4);
    CHECK_EQ(ring_nop(shared, 5), 0);
    size_t count = ring_collect(shared, 5);
    CHECK_EQ(count, 5);
    CHECK_EQ(ring_event(count, 1)->value, -ECANCELED);
    CHECK_EQ(ring_event(count, 2)->value, -ECANCELED);
    CHECK_EQ(ring_event(count, 3)->value, 0);
    CHECK_EQ(ring_event(count, 4)->value, -ECANCELED);
    CHECK_EQ(ring_event(count, 5)->value, 0);
    CHECK_EQ(shared->in_flight, 0);
    CHECK(shared->ops->destroy(shared));
    close_pipe();
}

static void test_destroy_ends_what_is_in_flight(void)
{
    open_pipe();
    uint32_t files = ring_open_files();
    uint64_t blocks = ring_live_blocks();
    shared = ring_make();
    start_three(shared);
    CHECK_EQ(ring_nop(shared, 4), 0);
    CHECK(shared->ops->destroy(shared));
    CHECK_EQ(ring_open_files(), files);
    CHECK_EQ(ring_live_blocks(), blocks);
    /* Nobody reads the pipe any more: the byte is still there. */
    char byte = 0;
    CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
    CHECK_EQ(read(pipe_ends[0], &byte, 1), 1);
    CHECK_EQ(byte, 'x');
    close_pipe();
}

static void test_destroy_by_another_thread_ends_what_is_in_flight(void)
{
    open_pipe();
    uint32_t files = ring_open_files();
    shared = ring_make();
    start_three(shared);
    ring_in_thread(destroy_it, NULL);
    CHECK_EQ(result, true);
    CHECK_EQ(ring_open_files(), files);
    char byte = 0;
    CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
    CHECK_EQ(read(pipe_ends[0], &byte, 1), 1);
    CHECK_EQ(byte, 'x');
    close_pipe();
}

static void test_destroy_after_the_owner_ended_leaves_nothing(void)
{
    const fol_io_ring_config config = {.entries = 4};
    open_pipe();
    uint32_t files = ring_open_files();
    uint64_t blocks = ring_live_blocks();
    shared = ring_make_with(&config);
    ring_in_thread(adopt_and_leave, NULL);
    CHECK(shared->ops->destroy(shared));
    CHECK_EQ(ring_open_files(), files);
    CHECK_EQ(ring_live_blocks(), blocks);
    close_pipe();
}

static void test_destroy_of_a_ring_nobody_used_leaves_nothing(void)
{
    const fol_io_ring_config config = {.entries = 4};
    uint32_t files = ring_open_files();
    uint64_t blocks = ring_live_blocks();
    shared = ring_make_with(&config);
    shared->ops->wake(shared);
    CHECK_EQ(shared->ops->flush(shared), 0);
    CHECK_EQ(shared->ops->reap(shared, events, EVENTS_MAX), 0);
    CHECK(shared->ops->destroy(shared));
    CHECK_EQ(ring_open_files(), files);
    CHECK_EQ(ring_live_blocks(), blocks);
}

static void test_destroy_closes_descriptors_nobody_took(void)
{
    uint32_t files = ring_open_files();
    shared = ring_make();
    for (uint64_t token = 0; token < 5; token++) {
        fol_io_request request = {.kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = "/dev/null"};
        CHECK_EQ(ring_start(shared, request, token), 0);
    }
    CHECK_EQ(shared->ops->wait(shared, 5, UINT64_MAX), 0);
    CHECK_EQ(ring_open_files(), files + 5 + 3);
    fol_ring_take_early(fol_ring_of(shared));
    fol_io_request request = {.kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = "/dev/null"};
    CHECK_EQ(ring_start(shared, request, 6), 0);
    CHECK_EQ(shared->ops->flush(shared), 0);
    CHECK(shared->ops->destroy(shared));
    CHECK_EQ(ring_open_files(), files);
}

static void test_many_receives_end_with_the_engine(void)
{
    int ends[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    uint64_t blocks = ring_live_blocks();
    shared = ring_make();
    fol_io_request request = {.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = ends[0]};
    CHECK_EQ(ring_start(shared, request, 1), 0);
    CHECK_EQ(write(ends[1], "ab", 2), 2);
    CHECK_EQ(shared->ops->wait(shared, 1, UINT64_MAX), 0);
    CHECK(shared->ops->destroy(shared));
    CHECK_EQ(ring_live_blocks(), blocks);
    close(ends[0]);
    close(ends[1]);
}

static int child_status(void (*body)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        check_failures = 0;
        body();
        _exit(check_failures == 0 ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    return status;
}

static void refuse_and_destroy(void)
{
    uint32_t files = ring_open_files();
    CHECK_EQ(shared->ops->adopt(shared), FOL_E_FORKED);
    CHECK(shared->ops->destroy(shared));
    CHECK_EQ(ring_open_files() + 3, files);
}

static void test_child_of_fork_leaves_the_ring_to_the_parent(void)
{
    shared = ring_make();
    open_pipe();
    start_three(shared);
    CHECK_EQ(child_status(refuse_and_destroy), 0);
    CHECK_EQ(ring_collect(shared, 1), 1);
    CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
    CHECK_EQ(ring_collect(shared, 2), 2);
    CHECK_EQ(sink[0], 'x');
    CHECK(shared->ops->destroy(shared));
    close_pipe();
}

static void use_own_ring(void)
{
    fol_io_engine *own = ring_make();
    CHECK_EQ(ring_nop(own, 1), 0);
    CHECK_EQ(ring_collect(own, 1), 1);
    CHECK(own->ops->destroy(own));
}

static void test_child_of_fork_can_have_a_ring_of_its_own(void)
{
    shared = ring_make();
    CHECK_EQ(child_status(use_own_ring), 0);
    CHECK(shared->ops->destroy(shared));
}

static void run_all(void)
{
    RUN(test_idle_ring_goes_from_thread_to_thread);
    RUN(test_wakes_survive_a_change_of_threads);
    RUN(test_registered_memory_and_buffers_go_along);
    RUN(test_ring_with_requests_stays_with_a_thread_that_lives);
    RUN(test_completions_that_are_there_do_not_hold_a_ring);
    RUN(test_requests_of_a_thread_that_ended_are_cancelled);
    RUN(test_destroy_ends_what_is_in_flight);
    RUN(test_destroy_by_another_thread_ends_what_is_in_flight);
    RUN(test_destroy_after_the_owner_ended_leaves_nothing);
    RUN(test_destroy_of_a_ring_nobody_used_leaves_nothing);
    RUN(test_destroy_closes_descriptors_nobody_took);
    RUN(test_many_receives_end_with_the_engine);
    RUN(test_child_of_fork_leaves_the_ring_to_the_parent);
    RUN(test_child_of_fork_can_have_a_ring_of_its_own);
}

int main(void)
{
    stress_watch(60);
    if (!ring_begin()) {
        return 0;
    }
    ladder_climb(run_all);
    CHECK_MAIN_END();
}
