/* The pool engine on files: threads that come and go with the work, cancel, wake, limits. */
#include <poll.h>
#include <signal.h>

#include "io_pool_fixture.h"

static struct statx status_of[TOKENS];
static fol_io_request requests[TOKENS];

static void start_stats(fixture *f, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++) {
        requests[i] = stat_of(i % 2 == 0 ? "/" : "/no_such_file", &status_of[i]);
        CHECK_EQ(start(f, &requests[i], i), FOL_OK);
    }
}

static void check_stats(const fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQ(f->finals[i], 1);
        CHECK_EQ(f->values[i], i % 2 == 0 ? 0 : -ENOENT);
    }
}

static fol_io_pool_census count(fixture *f)
{
    fol_io_pool_census census;
    fol_io_pool_count(f->engine, &census);
    return census;
}

/* Named pipes: to open one waits for its other end, so it holds a thread for as long as a test
 * likes. */
typedef struct holders {
    char folder[64];
    char *paths[32];
    fol_io_request requests[32];
    uint32_t count;
} holders;

static void make_holders(holders *h, uint32_t wanted)
{
    make_folder(h->folder, sizeof(h->folder));
    for (h->count = 0; h->count < wanted; h->count++) {
        uint32_t i = h->count;
        CHECK(asprintf(&h->paths[i], "%s/%u", h->folder, i) > 0);
        CHECK_EQ(mkfifo(h->paths[i], 0600), 0);
        h->requests[i] = open_of(h->paths[i], O_RDONLY, 0);
    }
}

/* Waits until a thread is inside of the open: only then can the other end be opened without
 * waiting. The descriptor lets it go when it is closed. */
static int let_go(const holders *h, uint32_t i)
{
    int fd = -1;
    do {
        fd = open(h->paths[i], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        sched_yield();
    } while (fd < 0 && errno == ENXIO);
    CHECK(fd >= 0);
    return fd;
}

static void remove_holders(const holders *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        unlink(h->paths[i]);
        free(h->paths[i]);
    }
    rmdir(h->folder);
}

static void test_every_request_ends_once_with_its_own_value(void)
{
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    start_stats(&f, 0, 1000);
    CHECK_EQ(f.engine->in_flight, 1000);
    wait_ended(&f, 1000);
    check_stats(&f, 1000);
    CHECK_EQ(f.engine->in_flight, 0);
    fixture_close(&f);
}

static void test_in_place_no_thread_is_made(void)
{
    fixture f;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.runs_in_place = true})) {
        return;
    }
    start_stats(&f, 0, 1000);
    wait_ended(&f, 1000);
    check_stats(&f, 1000);
    CHECK_EQ(count(&f).threads, 0);
    CHECK(f.engine->counters.system_calls >= 1000);
    fixture_close(&f);
}

static void test_in_place_an_open_that_waits_for_others_is_left_to_a_thread(void)
{
    fixture f;
    holders h;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.runs_in_place = true})) {
        return;
    }
    make_holders(&h, 1);
    CHECK_EQ(start(&f, &h.requests[0], 0), FOL_OK);
    flush(&f);
    int other = let_go(&h, 0);
    wait_ended(&f, 1);
    CHECK(f.values[0] >= 0);
    close((int)f.values[0]);
    close(other);
    remove_holders(&h);
    fixture_close(&f);
}

static void test_files_are_opened_written_read_and_closed(void)
{
    for (int in_place = 0; in_place < 2; in_place++) {
        fixture f;
        char folder[64];
        char path[96];
        static char big[1 << 20];
        static char got[1 << 20];
        memset(big, 'x', sizeof(big));
        memset(got, 0, sizeof(got));
        if (!fixture_open_with(&f, &(fol_io_pool_config){.runs_in_place = in_place == 1})) {
            return;
        }
        make_folder(folder, sizeof(folder));
        snprintf(path, sizeof(path), "%s/file", folder);
        fol_io_request request = open_of(path, O_RDWR | O_CREAT, 0600);
        int fd = (int)run_one(&f, &request);
        CHECK(fd >= 0);
        request = read_of(fd, big, sizeof(big), 0);
        request.kind = FOL_IO_WRITE;
        CHECK_EQ(run_one(&f, &request), (int64_t)sizeof(big));
        request = read_of(fd, got, sizeof(got), 0);
        CHECK_EQ(run_one(&f, &request), (int64_t)sizeof(got));
        CHECK(memcmp(big, got, sizeof(big)) == 0);
        request = read_of(fd, got, 16, sizeof(big));
        CHECK_EQ(run_one(&f, &request), 0);
        request = (fol_io_request){.kind = FOL_IO_CLOSE, .fd = fd};
        CHECK_EQ(run_one(&f, &request), 0);
        CHECK_EQ(run_one(&f, &request), -EBADF);
        unlink(path);
        rmdir(folder);
        fixture_close(&f);
    }
}

static void test_a_device_that_nobody_can_stand_for_is_read_by_a_thread(void)
{
    fixture f;
    char text[64];
    if (!fixture_open(&f)) {
        return;
    }
    /* A file of the kernel's: no position that RWF_NOWAIT serves, and no epoll. */
    int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    fol_io_request request = read_of(fd, text, sizeof(text), 0);
    CHECK(run_one(&f, &request) > 0);
    close(fd);
    fixture_close(&f);
}

static void test_work_that_waits_adds_a_thread_for_each_eight(void)
{
    fixture f;
    holders h;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_threads = 16})) {
        return;
    }
    make_holders(&h, 20);
    for (uint32_t i = 0; i < h.count; i++) {
        CHECK_EQ(start(&f, &h.requests[i], i), FOL_OK);
    }
    CHECK_EQ(count(&f).threads, 0);
    flush(&f);
    CHECK_EQ(count(&f).threads, 3);
    for (uint32_t i = 0; i < h.count; i++) {
        cancel(&f, i);
    }
    for (uint32_t i = 0; i < h.count; i++) {
        if (f.finals[i] == 0) {
            reap_all(&f);
        }
        if (f.finals[i] == 0) {
            close(let_go(&h, i));
        }
    }
    wait_ended(&f, h.count);
    for (uint32_t i = 0; i < h.count; i++) {
        CHECK_EQ(f.finals[i], 1);
        if (f.values[i] >= 0) {
            close((int)f.values[i]);
        }
    }
    remove_holders(&h);
    fixture_close(&f);
}

static void test_threads_that_are_all_held_up_get_company_up_to_the_limit(void)
{
    fixture f;
    holders h;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_threads = 6})) {
        return;
    }
    make_holders(&h, 7);
    for (uint32_t i = 0; i < h.count; i++) {
        CHECK_EQ(start(&f, &h.requests[i], i), FOL_OK);
    }
    /* One thread is begun with; each silent millisecond adds one. */
    while (count(&f).threads < 6) {
        CHECK_EQ(wait_ns(&f, 2000000), -ETIME);
    }
    while (count(&f).waiting != 1) {
        CHECK_EQ(wait_ns(&f, 1000), -ETIME);
    }
    CHECK_EQ(count(&f).threads, 6);
    for (uint32_t i = 0; i < h.count; i++) {
        close(let_go(&h, i));
    }
    wait_ended(&f, h.count);
    for (uint32_t i = 0; i < h.count; i++) {
        close((int)f.values[i]);
    }
    remove_holders(&h);
    fixture_close(&f);
}

static void test_idle_threads_end_down_to_the_least(void)
{
    fixture f;
    if (!fixture_open_with(
            &f, &(fol_io_pool_config){.min_threads = 1, .max_threads = 4, .idle_ns = 1})) {
        return;
    }
    start_stats(&f, 0, 200);
    flush(&f);
    wait_ended(&f, 200);
    while (count(&f).threads != 1) {
        sched_yield();
    }
    /* And work after that finds threads. */
    start_stats(&f, 200, 200);
    wait_ended(&f, 400);
    check_stats(&f, 400);
    fixture_close(&f);
}

static void test_without_any_thread_the_driving_thread_does_the_work(void)
{
    fixture f;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_threads = 1})) {
        return;
    }
    fol_io_pool_fail_nth_thread(1);
    start_stats(&f, 0, 300);
    flush(&f);
    CHECK_EQ(count(&f).threads, 0);
    wait_ended(&f, 300);
    fol_io_pool_fail_nth_thread(0);
    check_stats(&f, 300);
    fixture_close(&f);
}

static void test_fewer_threads_than_wished_do_all_the_work(void)
{
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    /* What is slow by its nature wants more than one. */
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    requests[300] = (fol_io_request){.kind = FOL_IO_FSYNC, .fd = fd};
    fol_io_pool_fail_nth_thread(2);
    start_stats(&f, 0, 300);
    CHECK_EQ(start(&f, &requests[300], 300), FOL_OK);
    flush(&f);
    CHECK_EQ(count(&f).threads, 1);
    wait_ended(&f, 301);
    check_stats(&f, 300);
    close(fd);
    fixture_close(&f);
}

static void test_no_more_than_the_bound_is_in_flight(void)
{
    fixture f;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_in_flight = 4})) {
        return;
    }
    start_stats(&f, 0, 4);
    requests[4] = stat_of("/", &status_of[4]);
    CHECK_EQ(start(&f, &requests[4], 4), -EBUSY);
    wait_ended(&f, 4);
    CHECK_EQ(start(&f, &requests[4], 4), FOL_OK);
    wait_ended(&f, 5);
    fixture_close(&f);
}

static void test_what_is_the_drivers_business_is_refused(void)
{
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    CHECK_EQ(start(&f, &(fol_io_request){.kind = FOL_IO_TIMEOUT}, 0), -EOPNOTSUPP);
    CHECK_EQ(start(&f, &(fol_io_request){.kind = FOL_IO_CANCEL}, 0), -EOPNOTSUPP);
    CHECK_EQ(start(&f, &(fol_io_request){.kind = FOL_IO_READ, .flags = FOL_IO_DIRECT}, 0),
             -EOPNOTSUPP);
    CHECK_EQ(f.engine->in_flight, 0);
    fixture_close(&f);
}

static void test_a_cancelled_request_that_nobody_has_begun_ends_at_once(void)
{
    fixture f;
    holders h;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_threads = 1})) {
        return;
    }
    make_holders(&h, 2);
    CHECK_EQ(start(&f, &h.requests[0], 0), FOL_OK);
    flush(&f);
    CHECK_EQ(start(&f, &h.requests[1], 1), FOL_OK);
    flush(&f);
    start_stats(&f, 2, 1); /* not flushed */
    int other = let_go(&h, 0);
    /* Either is behind the first one, or still with the driving thread. */
    cancel(&f, 2);
    cancel(&f, 77); /* nobody */
    wait_ended(&f, 2);
    CHECK(f.values[0] >= 0);
    CHECK_EQ(f.values[2], -ECANCELED);
    close((int)f.values[0]);
    close(other);
    close(let_go(&h, 1));
    wait_ended(&f, 3);
    close((int)f.values[1]);
    remove_holders(&h);
    fixture_close(&f);
}

static void test_a_cancelled_call_that_a_thread_is_inside_of_ends_as_it_ends(void)
{
    fixture f;
    holders h;
    if (!fixture_open(&f)) {
        return;
    }
    make_holders(&h, 1);
    CHECK_EQ(start(&f, &h.requests[0], 0), FOL_OK);
    flush(&f);
    int other = let_go(&h, 0);
    /* The thread has been let go, and is in the open or has ended it. */
    cancel(&f, 0);
    wait_ended(&f, 1);
    CHECK(f.values[0] >= 0);
    close((int)f.values[0]);
    close(other);
    remove_holders(&h);
    fixture_close(&f);
}

static void test_a_cancel_that_races_with_the_end_gives_one_completion(void)
{
    enum { ROUNDS = 10000 };
    fixture f;
    uint32_t cancelled = 0;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_threads = 2, .min_threads = 2})) {
        return;
    }
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t token = i % TOKENS;
        requests[token] = stat_of("/", &status_of[token]);
        CHECK_EQ(start(&f, &requests[token], token), FOL_OK);
        flush(&f);
        for (uint32_t spin = 0; spin < i % 64; spin++) {
            sched_yield();
        }
        cancel(&f, token);
        wait_ended(&f, i + 1);
        CHECK(f.values[token] == 0 || f.values[token] == -ECANCELED);
        cancelled += f.values[token] == -ECANCELED;
        CHECK_EQ(f.finals[token], i / TOKENS + 1);
    }
    CHECK_EQ(f.ended, ROUNDS);
    CHECK_EQ(f.engine->in_flight, 0);
    CHECK(cancelled < ROUNDS);
    fixture_close(&f);
}

static void *wake_it(void *argument)
{
    fol_io_engine *engine = argument;
    engine->ops->wake(engine);
    return NULL;
}

static void test_a_wake_ends_a_wait_or_the_next_one_and_no_more(void)
{
    fixture f;
    pthread_t thread;
    if (!fixture_open(&f)) {
        return;
    }
    CHECK_EQ(pthread_create(&thread, NULL, wake_it, f.engine), 0);
    CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
    pthread_join(thread, NULL);
    CHECK_EQ(wait_ns(&f, 0), -ETIME);
    wake_it(f.engine);
    wake_it(f.engine);
    reap_all(&f);
    CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
    CHECK_EQ(wait_ns(&f, 1000), -ETIME);
    fixture_close(&f);
}

static void no_handler(int number)
{
    (void)number;
}

static void test_a_signal_ends_a_wait_with_eintr(void)
{
    fixture f;
    struct itimerval timer = {.it_value = {.tv_usec = 1000}, .it_interval = {.tv_usec = 1000}};
    struct itimerval none = {0};
    struct sigaction action = {.sa_handler = no_handler};
    if (!fixture_open(&f)) {
        return;
    }
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
    CHECK_EQ(wait_ns(&f, FOREVER), -EINTR);
    CHECK_EQ(setitimer(ITIMER_REAL, &none, NULL), 0);
    fixture_close(&f);
}

static bool is_readable(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(EPOLL_CLOEXEC);
    CHECK_EQ(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    int count_ready = epoll_wait(set, &event, 1, 0);
    close(set);
    return count_ready == 1;
}

static void test_the_notice_is_readable_until_everything_is_reaped(void)
{
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    CHECK(!is_readable(f.engine->notice_fd));
    start_stats(&f, 0, 10);
    flush(&f);
    while (!is_readable(f.engine->notice_fd)) {
        sched_yield();
    }
    wait_ended(&f, 10);
    reap_all(&f);
    CHECK(!is_readable(f.engine->notice_fd));
    fixture_close(&f);
}

/* Work waits, is taken or cancelled, and all is reaped before the alarm goes off. */
static void outrun_an_alarm(void)
{
    fixture f;
    holders h;
    if (!fixture_open(&f)) {
        return;
    }
    make_holders(&h, 2);
    for (uint32_t i = 0; i < h.count; i++) {
        CHECK_EQ(start(&f, &h.requests[i], i), FOL_OK);
    }
    flush(&f);
    close(let_go(&h, 0));
    cancel(&f, 1);
    reap_all(&f);
    if (f.finals[1] == 0) {
        /* The thread was quicker. */
        close(let_go(&h, 1));
    }
    wait_ended(&f, 2);
    reap_all(&f);
    for (uint32_t i = 0; i < h.count; i++) {
        if (f.values[i] >= 0) {
            close((int)f.values[i]);
        }
    }
    struct pollfd notice = {.fd = f.engine->notice_fd, .events = POLLIN};
    CHECK_EQ(poll(&notice, 1, 5), 0);
    remove_holders(&h);
    fixture_close(&f);
}

static void test_an_alarm_about_work_that_was_taken_does_not_make_the_notice_readable(void)
{
    /* Which thread is quicker decides whether there is an alarm to outrun. */
    for (int i = 0; i < 20; i++) {
        outrun_an_alarm();
    }
}

static void *drive_it(void *argument)
{
    fixture *f = argument;
    CHECK_EQ(f->engine->ops->adopt(f->engine), FOL_OK);
    wait_ended(f, 100);
    return NULL;
}

static void test_another_thread_may_take_the_engine_over(void)
{
    fixture f;
    pthread_t thread;
    if (!fixture_open(&f)) {
        return;
    }
    start_stats(&f, 0, 100);
    flush(&f);
    CHECK_EQ(pthread_create(&thread, NULL, drive_it, &f), 0);
    pthread_join(thread, NULL);
    check_stats(&f, 100);
    fixture_close(&f);
}

int main(void)
{
    RUN(test_every_request_ends_once_with_its_own_value);
    RUN(test_in_place_no_thread_is_made);
    RUN(test_in_place_an_open_that_waits_for_others_is_left_to_a_thread);
    RUN(test_files_are_opened_written_read_and_closed);
    RUN(test_a_device_that_nobody_can_stand_for_is_read_by_a_thread);
    RUN(test_work_that_waits_adds_a_thread_for_each_eight);
    RUN(test_threads_that_are_all_held_up_get_company_up_to_the_limit);
    RUN(test_idle_threads_end_down_to_the_least);
    RUN(test_without_any_thread_the_driving_thread_does_the_work);
    RUN(test_fewer_threads_than_wished_do_all_the_work);
    RUN(test_no_more_than_the_bound_is_in_flight);
    RUN(test_what_is_the_drivers_business_is_refused);
    RUN(test_a_cancelled_request_that_nobody_has_begun_ends_at_once);
    RUN(test_a_cancelled_call_that_a_thread_is_inside_of_ends_as_it_ends);
    RUN(test_a_cancel_that_races_with_the_end_gives_one_completion);
    RUN(test_a_wake_ends_a_wait_or_the_next_one_and_no_more);
    RUN(test_a_signal_ends_a_wait_with_eintr);
    RUN(test_the_notice_is_readable_until_everything_is_reaped);
    RUN(test_an_alarm_about_work_that_was_taken_does_not_make_the_notice_readable);
    RUN(test_another_thread_may_take_the_engine_over);
    CHECK_MAIN_END();
}
