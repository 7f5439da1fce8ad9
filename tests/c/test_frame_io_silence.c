/* Waits in which nothing happens: the host is asked once to watch by a descriptor, and then left
 * alone until that says something.
 */

#include "frame_io_model.h"
#include "host_side.h"

/* Longer than a slice, and far longer than it takes to see that one was not the last. */
#define LONG_NS UINT64_C(20000000000)

/* Nobody writes to it before the host does. */
static int awaited[2];

/* A host whose descriptor is a pipe. Times are counted; what it says is set. */
typedef struct watching_host {
    host_side side; /* first */
    int ends[2];
    bool wants_stop;
    int answer; /* of watch, unless it is 0 */
    bool comes; /* what is waited for comes as soon as it watches */
    bool speaks;
    uint32_t looks;
    uint32_t watches;
    uint32_t unwatches;
    uint32_t stops_at; /* so many looks, or 0 */
} watching_host;

static int pending(void *state)
{
    watching_host *host = state;
    host_side_check(&host->side);
    host->looks += 1;
    return host->wants_stop || (host->stops_at != 0 && host->looks >= host->stops_at);
}

static int watch(void *state)
{
    watching_host *host = state;
    host_side_check(&host->side);
    host->watches += 1;
    if (host->comes) {
        CHECK_EQ(write(awaited[1], "x", 1), 1);
    }
    if (host->speaks) {
        CHECK_EQ(write(host->ends[1], "x", 1), 1);
    }
    return host->answer != 0 ? host->answer : host->ends[0];
}

static void unwatch(void *state)
{
    watching_host *host = state;
    char byte;
    host_side_check(&host->side);
    host->unwatches += 1;
    host->wants_stop = host->speaks && read(host->ends[0], &byte, 1) == 1;
}

static int ask_once(void *user, fol_task *task)
{
    const fol_io_request poll = {.kind = FOL_IO_POLL, .fd = awaited[0], .options = 1};
    if (task->frame == 0) {
        io_queue(task, poll, *(const fol_io_until *)user, 1);
    }
    return 0;
}

static void setup_waiting(io_fixture *f, watching_host *host, fol_io_choice io, fol_io_until until)
{
    static fol_io_until asked;
    asked = until;
    io_setup(f);
    CHECK_EQ(pipe(awaited), 0);
    CHECK_EQ(pipe(host->ends), 0);
    host->side.is_attached = true;
    f->config.io = io;
    f->config.clock = fol_clock_monotonic;
    f->config.host = (fol_host){.state = host,
                                .attach = host_side_attach,
                                .detach = host_side_detach,
                                .pending = pending,
                                .watch = watch,
                                .unwatch = unwatch};
    io_add(f, (io_brief){.name = "ask", .does_io = true, .hosted = ask_once, .user = &asked});
    io_start(f);
}

static void teardown_waiting(io_fixture *f, watching_host *host)
{
    CHECK_EQ(host->side.bad, 0);
    CHECK(host->side.is_attached);
    io_teardown(f);
    for (int i = 0; i < 2; i++) {
        close(awaited[i]);
        close(host->ends[i]);
    }
}

static const fol_io_choice choices[] = {FOL_IO_CHOICE_RING, FOL_IO_CHOICE_POOL};

static void test_a_silent_wait_is_watched_once_and_ends_with_what_comes(void)
{
    for (size_t i = 0; i < 2; i++) {
        io_fixture f;
        watching_host host = {.comes = true};
        setup_waiting(&f, &host, choices[i], FOL_IO_LATER);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
        CHECK_EQ(host.watches, 1);
        CHECK_EQ(host.unwatches, 1);
        teardown_waiting(&f, &host);
    }
}

static void test_what_the_watched_descriptor_says_ends_a_wait(void)
{
    for (size_t i = 0; i < 2; i++) {
        io_fixture f;
        watching_host host = {.speaks = true};
        setup_waiting(&f, &host, choices[i], FOL_IO_LATER);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_E_INTERRUPTED);
        CHECK_EQ(host.watches, 1);
        CHECK_EQ(host.unwatches, 1);
        teardown_waiting(&f, &host);
    }
}

static void test_a_frame_that_waits_in_silence_is_stopped_by_the_watched_descriptor(void)
{
    for (size_t i = 0; i < 2; i++) {
        io_fixture f;
        watching_host host = {.speaks = true};
        setup_waiting(&f, &host, choices[i], FOL_IO_STAGE);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_E_INTERRUPTED);
        CHECK_EQ(host.watches, 1);
        teardown_waiting(&f, &host);
    }
}

static void test_a_host_that_stops_as_it_begins_to_watch_is_not_waited_with(void)
{
    io_fixture f;
    watching_host host = {.answer = FOL_E_INTERRUPTED};
    setup_waiting(&f, &host, FOL_IO_CHOICE_RING, FOL_IO_LATER);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_E_INTERRUPTED);
    CHECK_EQ(fol_scheduler_rest(f.scheduler, UINT64_MAX), FOL_E_INTERRUPTED);
    CHECK_EQ(host.watches, 2);
    CHECK_EQ(host.unwatches, 0);
    teardown_waiting(&f, &host);
}

static void test_a_host_with_nothing_to_say_is_not_watched(void)
{
    for (size_t i = 0; i < 2; i++) {
        io_fixture f;
        watching_host host = {.comes = true, .answer = FOL_HOST_IS_SILENT};
        setup_waiting(&f, &host, choices[i], FOL_IO_LATER);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
        CHECK_EQ(host.watches, 1);
        CHECK_EQ(host.unwatches, 0);
        teardown_waiting(&f, &host);
    }
}

static void test_a_host_that_cannot_watch_is_looked_at_in_turns(void)
{
    io_fixture f;
    watching_host host = {.answer = -EMFILE};
    setup_waiting(&f, &host, FOL_IO_CHOICE_POOL, FOL_IO_LATER);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    host.stops_at = host.looks + 3;
    CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_E_INTERRUPTED);
    CHECK_EQ(host.unwatches, 0);
    host.stops_at = host.looks + 3;
    CHECK_EQ(fol_scheduler_rest(f.scheduler, fol_clock_monotonic.now_ns(NULL) + LONG_NS),
             FOL_E_INTERRUPTED);
    teardown_waiting(&f, &host);
}

static void test_a_rest_with_nothing_in_flight_ends_at_its_time(void)
{
    io_fixture f;
    watching_host host = {0};
    setup_waiting(&f, &host, FOL_IO_CHOICE_POOL, FOL_IO_LATER);
    uint64_t until = fol_clock_monotonic.now_ns(NULL) + UINT64_C(200000000);
    CHECK_EQ(fol_scheduler_rest(f.scheduler, until), FOL_OK);
    CHECK(fol_clock_monotonic.now_ns(NULL) >= until);
    CHECK_EQ(host.watches, 1);
    CHECK_EQ(host.unwatches, 1);
    CHECK_EQ(fol_scheduler_rest(f.scheduler, UINT64_MAX), -ENOENT);
    teardown_waiting(&f, &host);
}

static void test_a_rest_with_nothing_in_flight_is_stopped_by_the_host(void)
{
    const int answers[] = {0, FOL_E_INTERRUPTED};
    for (size_t i = 0; i < 2; i++) {
        io_fixture f;
        watching_host host = {.speaks = true, .answer = answers[i]};
        setup_waiting(&f, &host, FOL_IO_CHOICE_POOL, FOL_IO_LATER);
        uint64_t until = fol_clock_monotonic.now_ns(NULL) + LONG_NS;
        CHECK_EQ(fol_scheduler_rest(f.scheduler, until), FOL_E_INTERRUPTED);
        CHECK(fol_clock_monotonic.now_ns(NULL) < until);
        CHECK_EQ(host.watches, 1);
        teardown_waiting(&f, &host);
    }
}

static void test_a_schedule_without_io_rests_all_the_same(void)
{
    io_fixture f;
    watching_host host = {.answer = FOL_HOST_IS_SILENT};
    io_setup(&f);
    f.config.clock = fol_clock_monotonic;
    f.config.host = (fol_host){.state = &host,
                               .attach = host_side_attach,
                               .detach = host_side_detach,
                               .pending = pending,
                               .watch = watch,
                               .unwatch = unwatch};
    host.side.is_attached = true;
    io_add(&f, (io_brief){.name = "idle"});
    io_start(&f);
    uint64_t until = fol_clock_monotonic.now_ns(NULL) + UINT64_C(200000000);
    CHECK_EQ(fol_scheduler_rest(f.scheduler, until), FOL_OK);
    CHECK(fol_clock_monotonic.now_ns(NULL) >= until);
    CHECK_EQ(host.watches, 1);
    CHECK_EQ(host.side.bad, 0);
    io_teardown(&f);
}

int main(void)
{
    RUN(test_a_silent_wait_is_watched_once_and_ends_with_what_comes);
    RUN(test_what_the_watched_descriptor_says_ends_a_wait);
    RUN(test_a_frame_that_waits_in_silence_is_stopped_by_the_watched_descriptor);
    RUN(test_a_host_that_stops_as_it_begins_to_watch_is_not_waited_with);
    RUN(test_a_host_with_nothing_to_say_is_not_watched);
    RUN(test_a_host_that_cannot_watch_is_looked_at_in_turns);
    RUN(test_a_rest_with_nothing_in_flight_ends_at_its_time);
    RUN(test_a_rest_with_nothing_in_flight_is_stopped_by_the_host);
    RUN(test_a_schedule_without_io_rests_all_the_same);
    CHECK_MAIN_END();
}
