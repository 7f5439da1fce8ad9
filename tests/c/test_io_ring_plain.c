/* Plain requests on the ring: started by the batch, taken back, cancelled, taken from where the
 * kernel put their completions, and ended by whatever ends the ring. */

#include "ring_pipe.h"

#define MANY 2048

static fol_io_plain plains[MANY];
static fol_io_plain *pointers[MANY];
static char bytes[MANY];
static fol_io_engine *shared;
static int result;

/* NOPs, and where they are. */
static void make_nops(uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        plains[index].request = (fol_io_request){.kind = FOL_IO_NOP};
        pointers[index] = &plains[index];
    }
}

/* Reads of a byte each, which wait for it. */
static void make_reads(uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        plains[index].request = (fol_io_request){
            .kind = FOL_IO_READ, .fd = pipe_ends[0], .buffer = &bytes[index], .size = 1};
        pointers[index] = &plains[index];
    }
}

static uint32_t list_length(const fol_io_link *list)
{
    uint32_t count = 0;
    for (const fol_io_link *link = list->next; link != list; link = link->next) {
        CHECK(link->next->previous == link);
        count += 1;
    }
    return count;
}

/* Each of the first `count` has one event with this value. */
static void check_events(uint32_t count, int64_t value)
{
    for (uint32_t index = 0; index < count; index++) {
        const fol_io_event *event = ring_event(count, (uintptr_t)&plains[index]);
        if (CHECK(event != NULL)) {
            CHECK_EQ(event->value, value);
            CHECK(!event->has_more);
        }
    }
}

static void test_plain_requests_start_by_the_batch_and_are_their_own_tokens(void)
{
    fol_io_engine *engine = ring_make();
    const uint32_t bound = engine->in_flight_bound;
    CHECK(bound < MANY);
    make_nops(bound + 1);
    uint64_t started = atomic_load(&engine->counters.started);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 3), 3);
    CHECK_EQ(engine->in_flight, 3);
    CHECK_EQ(engine->ops->start_plain(engine, pointers + 3, bound - 2), bound - 3);
    CHECK_EQ(engine->ops->start_plain(engine, pointers + bound, 1), 0);
    CHECK_EQ(atomic_load(&engine->counters.started) - started, bound);
    CHECK_EQ(list_length(&engine->plains), bound);
    CHECK_EQ(ring_collect(engine, bound), bound);
    check_events(bound, 0);
    CHECK_EQ(engine->in_flight, 0);
    CHECK_EQ(list_length(&engine->plains), 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_a_batch_of_plain_requests_ends_before_what_the_kernel_lacks(void)
{
    fol_io_engine *engine = ring_make();
    make_nops(3);
    plains[1].request = (fol_io_request){.kind = FOL_IO_READ, .buffer = bytes, .size = 1};
    fol_ring_of(engine)->operations[FOL_IO_READ] = NULL;
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 3), 1);
    CHECK_EQ(engine->ops->start(engine, &plains[1].request, 1), -EOPNOTSUPP);
    CHECK_EQ(ring_collect(engine, 1), 1);
    check_events(1, 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_plain_requests_move_the_bytes_of_a_file(void)
{
    static const char text[] = "bytes";
    char path[] = "/tmp/foliot-ring-XXXXXX";
    fol_io_engine *engine = ring_make();
    int fd = mkstemp(path);
    unlink(path);
    make_nops(1);
    plains[0].request = (fol_io_request){
        .kind = FOL_IO_WRITE, .fd = fd, .buffer = (void *)text, .size = 5, .offset = 3};
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 1), 1);
    CHECK_EQ(ring_collect(engine, 1), 1);
    check_events(1, 5);
    plains[0].request = (fol_io_request){
        .kind = FOL_IO_READ, .fd = fd, .buffer = bytes, .size = sizeof bytes, .offset = 4};
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 1), 1);
    CHECK_EQ(ring_collect(engine, 1), 1);
    check_events(1, 4);
    CHECK(memcmp(bytes, text + 1, 4) == 0);
    close(fd);
    CHECK(engine->ops->destroy(engine));
}

static void test_an_entry_says_nothing_of_what_was_in_it_before(void)
{
    static uint8_t memory[8192] __attribute__((aligned(4096)));
    fol_io_engine *engine = ring_make();
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    /* A path, options and a mode leave something in every part of an entry. */
    fol_io_request opening = {.kind = FOL_IO_OPEN,
                              .fd = AT_FDCWD,
                              .path = "/nowhere/at/all",
                              .options = O_CREAT | O_WRONLY,
                              .mode = 0600};
    CHECK_EQ(ring_start(engine, opening, 1), 0);
    CHECK_EQ(ring_start(engine, opening, 2), 0);
    CHECK_EQ(ring_collect(engine, 2), 2);
    memset(memory, 1, sizeof memory);
    make_nops(2);
    plains[1].request = (fol_io_request){
        .kind = FOL_IO_READ, .fd = fd, .buffer = memory, .size = 4096, .offset = 1};
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 2), 2);
    CHECK_EQ(ring_collect(engine, 2), 2);
    CHECK_EQ(ring_event(2, (uintptr_t)&plains[0])->value, 0);
    CHECK_EQ(ring_event(2, (uintptr_t)&plains[1])->value, 4096);
    CHECK(memory[0] == 0 && memory[4095] == 0 && memory[4096] == 1);
    close(fd);
    CHECK(engine->ops->destroy(engine));
}

static void test_what_was_not_sent_is_taken_back_from_the_last_on(void)
{
    fol_io_engine *engine = ring_make();
    make_nops(5);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 2), 2);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(engine->ops->start_plain(engine, pointers + 2, 3), 3);
    CHECK(engine->ops->take_back(engine) == &plains[4]);
    CHECK(engine->ops->take_back(engine) == &plains[3]);
    CHECK(engine->ops->take_back(engine) == &plains[2]);
    CHECK(engine->ops->take_back(engine) == NULL);
    CHECK_EQ(engine->in_flight, 2);
    CHECK_EQ(list_length(&engine->plains), 2);
    CHECK_EQ(ring_collect(engine, 2), 2);
    check_events(2, 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_nothing_behind_another_request_is_taken_back(void)
{
    fol_io_engine *engine = ring_make();
    make_nops(2);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 1), 1);
    CHECK_EQ(ring_nop(engine, 7), 0);
    CHECK(engine->ops->take_back(engine) == NULL);
    CHECK_EQ(engine->ops->start_plain(engine, pointers + 1, 1), 1);
    CHECK(engine->ops->take_back(engine) == &plains[1]);
    CHECK(engine->ops->take_back(engine) == NULL);
    CHECK_EQ(ring_collect(engine, 2), 2);
    CHECK(ring_event(2, 7) != NULL);
    CHECK(ring_event(2, (uintptr_t)&plains[0]) != NULL);
    CHECK(engine->ops->destroy(engine));
}

static void test_a_plain_request_is_cancelled_by_its_address(void)
{
    fol_io_engine *engine = ring_make();
    open_pipe();
    make_reads(2);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 2), 2);
    CHECK_EQ(engine->ops->flush(engine), 0);
    engine->ops->cancel_plain(engine, &plains[1]);
    engine->ops->cancel_plain(engine, &plains[1]);
    CHECK_EQ(fol_ring_of(engine)->cancel_count, 1);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK(events[0].token == (uintptr_t)&plains[1]);
    CHECK_EQ(events[0].value, -ECANCELED);
    CHECK_EQ(engine->in_flight, 1);
    CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
    CHECK_EQ(ring_collect(engine, 1), 1);
    check_events(1, 1);
    close_pipe();
    CHECK(engine->ops->destroy(engine));
}

static void test_a_cancel_that_comes_too_late_is_not_the_next_ones(void)
{
    fol_io_engine *engine = ring_make();
    open_pipe();
    make_reads(1);
    CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 1), 1);
    CHECK_EQ(engine->ops->flush(engine), 0);
    engine->ops->cancel_plain(engine, &plains[0]);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 1);
    check_events(1, 1);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 1), 1);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 0);
    CHECK_EQ(write(pipe_ends[1], "y", 1), 1);
    CHECK_EQ(ring_collect(engine, 1), 1);
    check_events(1, 1);
    CHECK_EQ(bytes[0], 'y');
    close_pipe();
    CHECK(engine->ops->destroy(engine));
}

/* Takes plain completions where they lie, in whatever order; how many. */
static size_t take_landings(fol_io_engine *engine)
{
    const fol_io_landing *landings = NULL;
    size_t count = engine->ops->peek(engine, &landings);
    size_t taken = 0;
    for (; taken < count && (landings[taken].token & FOL_IO_LANDING_IS_OTHER) == 0; taken++) {
        fol_io_plain *plain = (fol_io_plain *)(uintptr_t)landings[taken].token;
        CHECK(plain >= plains && plain < plains + MANY);
        CHECK_EQ(landings[taken].value, 0);
        fol_io_link_remove(&plain->link);
    }
    engine->ops->drop(engine, taken);
    return taken;
}

static void test_completions_are_taken_where_they_lie_round_after_round(void)
{
    fol_io_engine *engine = ring_make();
    const uint32_t rounds = 3 * (fol_ring_of(engine)->cq_mask + 1) / 10 + 1;
    make_nops(10);
    for (uint32_t round = 0; round < rounds; round++) {
        size_t taken = 0;
        CHECK_EQ(engine->ops->start_plain(engine, pointers, 10), 10);
        while (taken < 10) {
            size_t now = take_landings(engine);
            taken += now;
            if (now == 0) {
                CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), 0);
            }
        }
        CHECK_EQ(taken, 10);
    }
    CHECK_EQ(engine->in_flight, 0);
    CHECK_EQ(list_length(&engine->plains), 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_other_completions_are_left_for_reap(void)
{
    fol_io_engine *engine = ring_make();
    make_nops(2);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 1), 1);
    CHECK_EQ(ring_nop(engine, 7), 0);
    CHECK_EQ(engine->ops->start_plain(engine, pointers + 1, 1), 1);
    CHECK_EQ(engine->ops->wait(engine, 3, UINT64_MAX), 0);
    CHECK_EQ(take_landings(engine), 1);
    CHECK_EQ(take_landings(engine), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 2);
    CHECK(events[0].token == 7);
    CHECK(events[1].token == (uintptr_t)&plains[1]);
    CHECK_EQ(engine->in_flight, 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_requests_that_are_queued_or_wait_end_when_the_ring_breaks(void)
{
    fol_io_engine *engine = ring_make();
    open_pipe();
    make_reads(4);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 2), 2);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(engine->ops->start_plain(engine, pointers + 2, 2), 2);
    fol_io_ring_fail_nth(1, EBADF);
    CHECK_EQ(engine->ops->flush(engine), -EBADF);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), 4);
    check_events(4, -ECANCELED);
    CHECK_EQ(engine->in_flight, 0);
    CHECK_EQ(list_length(&engine->plains) + list_length(&engine->kept_plains), 0);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 1), 0);
    CHECK(engine->ops->take_back(engine) == NULL);
    close_pipe();
    CHECK(engine->ops->destroy(engine));
}

static void test_they_end_one_by_one_where_all_cannot_be_cancelled_at_once(void)
{
    fol_io_engine *engine = ring_make();
    open_pipe();
    make_reads(3);
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 3), 3);
    CHECK_EQ(engine->ops->flush(engine), 0);
    fol_io_ring_fail_nth(1, EINVAL);
    CHECK(engine->ops->destroy(engine));
    CHECK(!fol_io_ring_failure_is_armed());
    close_pipe();
}

static void *adopt_it(void *unused)
{
    (void)unused;
    result = shared->ops->adopt(shared);
    return NULL;
}

static void *start_and_leave(void *unused)
{
    (void)unused;
    CHECK_EQ(shared->ops->adopt(shared), 0);
    CHECK_EQ(shared->ops->start_plain(shared, pointers, 2), 2);
    CHECK_EQ(shared->ops->flush(shared), 0);
    return NULL;
}

static void test_a_ring_with_plain_requests_is_no_other_threads(void)
{
    shared = ring_make();
    open_pipe();
    make_reads(1);
    CHECK_EQ(shared->ops->start_plain(shared, pointers, 1), 1);
    CHECK_EQ(shared->ops->flush(shared), 0);
    ring_in_thread(adopt_it, NULL);
    CHECK_EQ(result, -EBUSY);
    CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
    CHECK_EQ(ring_collect(shared, 1), 1);
    check_events(1, 1);
    ring_in_thread(adopt_it, NULL);
    CHECK_EQ(result, 0);
    close_pipe();
    CHECK(shared->ops->destroy(shared));
}

static void test_what_came_before_another_thread_took_the_ring_is_kept(void)
{
    shared = ring_make();
    make_nops(3);
    CHECK_EQ(shared->ops->start_plain(shared, pointers, 3), 3);
    CHECK_EQ(shared->ops->flush(shared), 0);
    ring_in_thread(adopt_it, NULL);
    CHECK_EQ(result, 0);
    const fol_io_landing *landings = NULL;
    CHECK_EQ(shared->ops->peek(shared, &landings), 0);
    CHECK_EQ(list_length(&shared->kept_plains), 3);
    shared->ops->cancel_plain(shared, &plains[1]);
    CHECK_EQ(fol_ring_of(shared)->cancel_count, 0);
    CHECK_EQ(shared->ops->reap(shared, events, EVENTS_MAX), 3);
    check_events(3, 0);
    CHECK_EQ(list_length(&shared->kept_plains), 0);
    CHECK_EQ(shared->in_flight, 0);
    CHECK(shared->ops->destroy(shared));
}

static void test_requests_of_a_thread_that_has_ended_end_as_cancelled(void)
{
    const fol_io_ring_config config = {.entries = 16};
    shared = ring_make_with(&config);
    open_pipe();
    make_reads(2);
    ring_in_thread(start_and_leave, NULL);
    CHECK_EQ(shared->ops->adopt(shared), 0);
    CHECK_EQ(shared->ops->reap(shared, events, EVENTS_MAX), 2);
    check_events(2, -ECANCELED);
    CHECK_EQ(shared->in_flight, 0);
    close_pipe();
    CHECK(shared->ops->destroy(shared));
}

static void test_a_polling_thread_gets_none(void)
{
    fol_io_engine *engine = ring_make();
    make_nops(1);
    fol_ring_of(engine)->is_polled = true;
    CHECK_EQ(engine->ops->start_plain(engine, pointers, 1), 0);
    CHECK(engine->ops->take_back(engine) == NULL);
    fol_ring_of(engine)->is_polled = false;
    CHECK(engine->ops->destroy(engine));
}

int main(void)
{
    stress_watch(60);
    if (!ring_begin()) {
        return 0;
    }
    RUN(test_plain_requests_start_by_the_batch_and_are_their_own_tokens);
    RUN(test_a_batch_of_plain_requests_ends_before_what_the_kernel_lacks);
    RUN(test_plain_requests_move_the_bytes_of_a_file);
    RUN(test_an_entry_says_nothing_of_what_was_in_it_before);
    RUN(test_what_was_not_sent_is_taken_back_from_the_last_on);
    RUN(test_nothing_behind_another_request_is_taken_back);
    RUN(test_a_plain_request_is_cancelled_by_its_address);
    RUN(test_a_cancel_that_comes_too_late_is_not_the_next_ones);
    RUN(test_completions_are_taken_where_they_lie_round_after_round);
    RUN(test_other_completions_are_left_for_reap);
    RUN(test_requests_that_are_queued_or_wait_end_when_the_ring_breaks);
    RUN(test_they_end_one_by_one_where_all_cannot_be_cancelled_at_once);
    RUN(test_a_ring_with_plain_requests_is_no_other_threads);
    RUN(test_what_came_before_another_thread_took_the_ring_is_kept);
    RUN(test_requests_of_a_thread_that_has_ended_end_as_cancelled);
    RUN(test_a_polling_thread_gets_none);
    CHECK_MAIN_END();
}
