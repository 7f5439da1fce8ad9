/* A watched descriptor ends waits of the driver: on the ring, on the pool, on both, and with
 * nothing in flight; so a signal that a handler writes to it is never missed, whenever and wherever
 * it comes.
 */

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/poll.h"
#include "io_driver_support.h"
#include "io_fake_engine.h"

#define SIGNALS   4000u
#define LOST_NS   UINT64_C(10000000000)
#define MOMENT_NS UINT64_C(5000000)

enum { IN_FLIGHT_NOWHERE, IN_FLIGHT_IN_RING, IN_FLIGHT_IN_POOL, IN_FLIGHT_IN_BOTH, PLACES };

/* A driver with something in flight that nobody will end. */
typedef struct waiting_driver {
    fol_io *io;
    fol_io_op ops[2];
    uint32_t count;
    int silent[2];
    int watched[2];
} waiting_driver;

static waiting_driver driver;
static _Atomic uint32_t handled;

static void setup(uint32_t place)
{
    fol_io_config config = {.choice = place == IN_FLIGHT_IN_POOL ? FOL_IO_CHOICE_POOL
                                                                 : FOL_IO_CHOICE_RING,
                            .clock = fol_clock_monotonic};
    const bool is_ring = place == IN_FLIGHT_IN_RING || place == IN_FLIGHT_IN_BOTH;
    const bool is_pool = place == IN_FLIGHT_IN_POOL || place == IN_FLIGHT_IN_BOTH;
    driver = (waiting_driver){0};
    CHECK_EQ(pipe(driver.silent), 0);
    CHECK_EQ(pipe2(driver.watched, O_NONBLOCK), 0);
    CHECK_EQ(fol_io_create(&config, &driver.io), FOL_OK);
    const fol_io_request poll = {.kind = FOL_IO_POLL, .fd = driver.silent[0], .options = POLLIN};
    if (is_ring) {
        driver.ops[driver.count++].request = poll;
    }
    for (uint32_t i = 0; i < driver.count; i++) {
        fol_io_submit(driver.io, (fol_io_op *[]){&driver.ops[i]}, 1);
    }
    fol_io_poll(driver.io);
    if (is_pool) {
        /* Beside the ring by changing what is chosen. */
        driver.io->routes_to_ring = false;
        driver.ops[driver.count].request = poll;
        fol_io_submit(driver.io, (fol_io_op *[]){&driver.ops[driver.count]}, 1);
        driver.count += 1;
    }
    fol_io_poll(driver.io);
    CHECK_EQ(driver.io->lanes[FOL_IO_LANE_RING].flying, is_ring);
    CHECK_EQ(driver.io->lanes[FOL_IO_LANE_POOL].flying, is_pool);
}

static void teardown(void)
{
    close_driver(driver.io, driver.count);
    for (int i = 0; i < 2; i++) {
        close(driver.silent[i]);
        close(driver.watched[i]);
    }
}

static uint64_t now_ns(void)
{
    return fol_clock_monotonic.now_ns(NULL);
}

static void say(void)
{
    CHECK_EQ(write(driver.watched[1], "x", 1), 1);
}

static void hear(void)
{
    char bytes[256];
    while (read(driver.watched[0], bytes, sizeof bytes) > 0) {
    }
}

static bool is_said(void)
{
    struct pollfd watched = {.fd = driver.watched[0], .events = POLLIN};
    return poll(&watched, 1, 0) == 1;
}

/* A ring that was closed a moment ago may interrupt a wait, as a signal does. */
static int wait_until(uint64_t until_ns)
{
    int status = -EINTR;
    while (status == -EINTR) {
        status = fol_io_wait(driver.io, 1, until_ns);
        if (is_said()) {
            break;
        }
    }
    return status;
}

static void test_what_is_readable_ends_a_wait_at_once(void)
{
    for (uint32_t place = 0; place < PLACES; place++) {
        setup(place);
        say();
        fol_io_watch(driver.io, driver.watched[0]);
        CHECK_EQ(fol_io_wait(driver.io, 1, UINT64_MAX), -EINTR);
        CHECK_EQ(fol_io_wait(driver.io, 1, UINT64_MAX), -EINTR);
        hear();
        CHECK_EQ(wait_until(now_ns() + MOMENT_NS), -ETIME);
        teardown();
    }
}

static void test_what_is_not_watched_any_more_ends_nothing(void)
{
    for (uint32_t place = 0; place < PLACES; place++) {
        setup(place);
        fol_io_watch(driver.io, driver.watched[0]);
        CHECK_EQ(wait_until(now_ns() + MOMENT_NS), -ETIME);
        fol_io_watch(driver.io, -1);
        CHECK_EQ(wait_until(now_ns() + MOMENT_NS), -ETIME);
        teardown();
    }
}

static void test_a_time_ends_a_watched_wait_and_not_before(void)
{
    for (uint32_t place = 0; place < PLACES; place++) {
        setup(place);
        fol_io_op timer = {.request = {.kind = FOL_IO_TIMEOUT, .timeout_ns = 30 * MOMENT_NS}};
        uint64_t start = now_ns();
        fol_io_submit(driver.io, (fol_io_op *[]){&timer}, 1);
        fol_io_watch(driver.io, driver.watched[0]);
        CHECK_EQ(wait_until(UINT64_MAX), FOL_OK);
        CHECK(fol_io_take(driver.io) == &timer);
        CHECK(now_ns() - start >= 30 * MOMENT_NS);
        teardown();
    }
}

static void test_what_comes_ends_a_watched_wait(void)
{
    for (uint32_t place = 1; place < PLACES; place++) {
        setup(place);
        fol_io_watch(driver.io, driver.watched[0]);
        CHECK_EQ(wait_until(now_ns() + MOMENT_NS), -ETIME);
        CHECK_EQ(write(driver.silent[1], "x", 1), 1);
        while (driver.count > 0) {
            CHECK_EQ(wait_until(UINT64_MAX), FOL_OK);
            for (fol_io_op *op = fol_io_take(driver.io); op != NULL; op = op->next) {
                driver.count -= 1;
            }
        }
        /* With nothing else in flight another thread could take the engines over. */
        for (uint32_t i = 0; i < FOL_IO_LANES; i++) {
            const fol_io_engine *engine = fol_io_lane_engine(&driver.io->lanes[i]);
            CHECK(engine == NULL || engine->in_flight == 0);
        }
        teardown();
    }
}

static void *wake_driver(void *unused)
{
    (void)unused;
    fol_io_wake(driver.io);
    return NULL;
}

static void test_a_wake_ends_a_watched_wait(void)
{
    for (uint32_t place = 0; place < PLACES; place++) {
        setup(place);
        fol_io_watch(driver.io, driver.watched[0]);
        for (int i = 0; i < 500; i++) {
            pthread_t thread;
            CHECK_EQ(pthread_create(&thread, NULL, wake_driver, NULL), 0);
            CHECK_EQ(wait_until(UINT64_MAX), FOL_OK);
            pthread_join(thread, NULL);
        }
        teardown();
    }
}

static void test_what_cannot_be_watched_ends_waits_at_once(void)
{
    for (uint32_t place = 0; place < PLACES; place++) {
        setup(place);
        int closed = fcntl(driver.watched[0], F_DUPFD, 500);
        close(closed);
        fol_io_watch(driver.io, closed);
        CHECK_EQ(fol_io_wait(driver.io, 1, UINT64_MAX), -EINTR);
        teardown();
    }
}

static void test_another_descriptor_is_not_taken_for_the_first(void)
{
    setup(IN_FLIGHT_IN_RING);
    fol_io_watch(driver.io, driver.watched[0]);
    CHECK_EQ(wait_until(now_ns() + MOMENT_NS), -ETIME);
    fol_io_watch(driver.io, driver.silent[0]);
    CHECK_EQ(fol_io_wait(driver.io, 1, UINT64_MAX), -EINTR);
    teardown();
}

static void test_without_room_for_a_descriptor_waits_for_nothing_end_at_once(void)
{
    struct rlimit before;
    setup(IN_FLIGHT_NOWHERE);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    fol_io_watch(driver.io, driver.watched[0]);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_EQ(fol_io_wait(driver.io, 1, UINT64_MAX), -EINTR);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    say();
    CHECK_EQ(fol_io_wait(driver.io, 1, UINT64_MAX), -EINTR);
    teardown();
}

static void test_a_look_that_an_engine_refuses_ends_waits_at_once(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op = {.request = {.kind = FOL_IO_POLL, .fd = 3, .options = POLLIN}};
    fol_io_submit(io, (fol_io_op *[]){&op}, 1);
    fol_io_poll(io);
    fol_io_watch(io, 0);
    fake_ring.start_error = -EBUSY;
    fake_ring.start_errors = 1;
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), -EINTR);
    CHECK_EQ(fake_ring.waits, 0);
    CHECK_EQ(fake_close(io), 1);
}

static void test_a_full_ring_has_room_for_the_look(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op ops[20] = {0};
    fake_ring.base.in_flight_bound = 16;
    for (int i = 0; i < 20; i++) {
        ops[i].request = (fol_io_request){.kind = FOL_IO_NOP};
        fol_io_submit(io, (fol_io_op *[]){&ops[i]}, 1);
    }
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 16 - FOL_IO_ROOM_FOR_LOOKS);
    fol_io_watch(io, 0);
    fake_ring.wakes = 1;
    CHECK_EQ(fol_io_wait(io, 1, UINT64_MAX), -EINTR);
    CHECK_EQ(fake_ring.count, 16 - FOL_IO_ROOM_FOR_LOOKS + 1);
    CHECK_EQ(fake_ring.waits, 1);
    CHECK_EQ(fake_close(io), 20);
}

/* As wait_until, whatever is said. */
static int wait_unwatched(uint64_t until_ns)
{
    int status = -EINTR;
    while (status == -EINTR) {
        status = fol_io_wait(driver.io, 1, until_ns);
    }
    return status;
}

static void handle(int number)
{
    (void)number;
    atomic_fetch_add(&handled, 1);
    (void)!write(driver.watched[1], "x", 1);
}

static void test_a_signal_before_the_wait_ends_it(void)
{
    for (uint32_t place = 0; place < PLACES; place++) {
        setup(place);
        /* Without the watch nobody would hear of it. */
        raise(SIGUSR1);
        CHECK_EQ(wait_unwatched(now_ns() + MOMENT_NS), -ETIME);
        fol_io_watch(driver.io, driver.watched[0]);
        CHECK_EQ(fol_io_wait(driver.io, 1, UINT64_MAX), -EINTR);
        teardown();
    }
}

typedef struct sender {
    pthread_t target;
    _Atomic uint32_t asked;
} sender;

/* Sends each signal a moment after it is asked for; every third comes on this thread. */
static void *send_signals(void *argument)
{
    sender *own = argument;
    uint32_t noise = 12345;
    for (uint32_t i = 1; i <= SIGNALS; i++) {
        while (atomic_load(&own->asked) < i) {
            sched_yield();
        }
        noise = noise * 1664525u + 1013904223u;
        for (volatile uint32_t left = (noise >> 8) % 8192; left > 0; left--) {
        }
        pthread_kill(i % 3 == 0 ? pthread_self() : own->target, SIGUSR1);
    }
    return NULL;
}

static void test_no_signal_is_lost_whenever_it_comes(void)
{
    for (uint32_t place = 0; place < PLACES; place++) {
        sender sends = {.target = pthread_self()};
        pthread_t thread;
        uint32_t lost = 0;
        setup(place);
        atomic_store(&handled, 0);
        CHECK_EQ(pthread_create(&thread, NULL, send_signals, &sends), 0);
        for (uint32_t i = 1; i <= SIGNALS; i++) {
            atomic_store(&sends.asked, i);
            fol_io_watch(driver.io, driver.watched[0]);
            /* The look, and the wait if it was in vain; a wait may end with nothing new. */
            while (atomic_load(&handled) < i && lost == 0) {
                lost += fol_io_wait(driver.io, 1, now_ns() + LOST_NS) == -ETIME;
            }
            fol_io_watch(driver.io, -1);
            hear();
        }
        pthread_join(thread, NULL);
        CHECK_EQ(lost, 0);
        CHECK_EQ(atomic_load(&handled), SIGNALS);
        teardown();
    }
}

static void test_long_polls_are_asked_to_end_early_enough(void)
{
    const uint64_t second = UINT64_C(1000000000);
    CHECK_EQ(fol_poll_ask_ns(UINT64_MAX), UINT64_MAX);
    CHECK_EQ(fol_poll_ask_ns(0), 0);
    CHECK_EQ(fol_poll_ask_ns(second / 10), second / 10);
    for (uint64_t left = second / 5; left < 100000 * second; left = left * 3 / 2) {
        uint64_t ask = fol_poll_ask_ns(left);
        uint64_t late = ask / 200 < second / 10 ? ask / 200 : second / 10;
        CHECK(ask + late <= left);
        CHECK(fol_poll_ask_ns(left - ask) == left - ask || left - ask < left / 100);
    }
}

int main(void)
{
    const struct sigaction action = {.sa_handler = handle};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    RUN(test_what_is_readable_ends_a_wait_at_once);
    RUN(test_what_is_not_watched_any_more_ends_nothing);
    RUN(test_a_time_ends_a_watched_wait_and_not_before);
    RUN(test_what_comes_ends_a_watched_wait);
    RUN(test_a_wake_ends_a_watched_wait);
    RUN(test_what_cannot_be_watched_ends_waits_at_once);
    RUN(test_another_descriptor_is_not_taken_for_the_first);
    RUN(test_without_room_for_a_descriptor_waits_for_nothing_end_at_once);
    RUN(test_a_look_that_an_engine_refuses_ends_waits_at_once);
    RUN(test_a_full_ring_has_room_for_the_look);
    RUN(test_a_signal_before_the_wait_ends_it);
    RUN(test_no_signal_is_lost_whenever_it_comes);
    RUN(test_long_polls_are_asked_to_end_early_enough);
    CHECK_MAIN_END();
}
