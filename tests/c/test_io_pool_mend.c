/* The pool engine when somebody else closes descriptors that are its own. */
#include <sys/eventfd.h>

#include "io_pool_fixture.h"

#define STATS 64u

enum { SET = 1, NOTICE = 2, ALARM = 4, ALL = SET | NOTICE | ALARM };

static struct statx status_of[STATS];
static fol_io_request requests[STATS];

static fol_io_pool *pool_of(const fixture *f)
{
    return (fol_io_pool *)(void *)f->engine;
}

static void close_some(const fixture *f, unsigned which)
{
    const fol_io_pool *pool = pool_of(f);
    if ((which & SET) != 0) {
        CHECK_EQ(close(pool->readiness.epoll_fd), 0);
    }
    if ((which & NOTICE) != 0) {
        CHECK_EQ(close(pool->crew.notice_fd), 0);
    }
    if ((which & ALARM) != 0) {
        CHECK_EQ(close(pool->crew.alarm_fd), 0);
    }
}

/* Enough of them that threads take some. */
static void start_stats(fixture *f, uint32_t first_token)
{
    for (uint32_t i = 0; i < STATS; i++) {
        memset(&status_of[i], 0, sizeof(status_of[i]));
        requests[i] = stat_of("/", &status_of[i]);
        CHECK_EQ(start(f, &requests[i], first_token + i), FOL_OK);
    }
}

static void check_stats(const fixture *f, uint32_t first_token)
{
    for (uint32_t i = 0; i < STATS; i++) {
        CHECK_EQ(f->finals[first_token + i], 1);
        CHECK_EQ(f->values[first_token + i], 0);
        CHECK(S_ISDIR(status_of[i].stx_mode));
    }
}

static void test_what_comes_after_its_descriptors_were_closed_is_done(void)
{
    for (unsigned which = 1; which <= ALL; which++) {
        uint32_t files = count_files();
        fixture f;
        if (!fixture_open(&f)) {
            return;
        }
        start_stats(&f, 0);
        wait_ended(&f, STATS);
        close_some(&f, which);
        for (uint32_t round = 1; round <= 3; round++) {
            start_stats(&f, round * STATS);
            wait_ended(&f, (round + 1) * STATS);
            check_stats(&f, round * STATS);
        }
        fixture_close(&f);
        CHECK_EQ(count_files(), files);
    }
}

static void test_what_stood_in_a_set_that_was_closed_goes_on_in_its_order(void)
{
    for (unsigned which = 1; which <= ALL; which++) {
        fixture f;
        int pair[2];
        char bytes[3] = {0};
        fol_io_request receives[3];
        if (!fixture_open(&f)) {
            return;
        }
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        for (uint32_t i = 0; i < 3; i++) {
            receives[i] = recv_of(pair[0], &bytes[i], 1);
            CHECK_EQ(start(&f, &receives[i], i), FOL_OK);
            flush(&f);
            if (i == 1) {
                close_some(&f, which);
            }
        }
        CHECK_EQ(wait_ns(&f, 0), -ETIME);
        CHECK_EQ(write(pair[1], "abc", 3), 3);
        wait_ended(&f, 3);
        CHECK_EQ(memcmp(bytes, "abc", 3), 0);
        fixture_close(&f);
        close(pair[0]);
        close(pair[1]);
    }
}

static void test_what_lost_its_own_descriptor_as_well_ends_with_ebadf(void)
{
    fixture f;
    int pair[2];
    char byte = 0;
    if (!fixture_open(&f)) {
        return;
    }
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    fol_io_request receive = recv_of(pair[0], &byte, 1);
    CHECK_EQ(start(&f, &receive, 0), FOL_OK);
    flush(&f);
    close(pair[0]);
    close_some(&f, ALL);
    wait_ended(&f, 1);
    CHECK_EQ(f.values[0], -EBADF);
    fixture_close(&f);
    close(pair[1]);
}

static void test_a_number_of_the_set_that_is_another_file_by_now_is_left_to_it(void)
{
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    int number = pool_of(&f)->readiness.epoll_fd;
    int other = eventfd(0, EFD_CLOEXEC);
    CHECK_EQ(dup3(other, number, O_CLOEXEC), number);
    start_stats(&f, 0);
    wait_ended(&f, STATS);
    check_stats(&f, 0);
    fixture_close(&f);
    CHECK(fcntl(number, F_GETFD) >= 0);
    close(number);
    close(other);
}

static void *wake(void *engine)
{
    fol_io_engine *woken = engine;
    woken->ops->wake(woken);
    return NULL;
}

static void test_a_wake_without_a_notice_ends_a_wait_that_has_begun(void)
{
    fixture f;
    pthread_t thread;
    if (!fixture_open(&f)) {
        return;
    }
    close_some(&f, NOTICE | ALARM);
    CHECK_EQ(pthread_create(&thread, NULL, wake, f.engine), 0);
    CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
    pthread_join(thread, NULL);
    CHECK_EQ(wait_ns(&f, 0), -ETIME);
    fixture_close(&f);
}

static void test_a_wake_whose_notice_was_closed_is_seen_once(void)
{
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    f.engine->ops->wake(f.engine);
    close_some(&f, NOTICE);
    reap_all(&f);
    CHECK_EQ(wait_ns(&f, 0), FOL_OK);
    CHECK_EQ(wait_ns(&f, 0), -ETIME);
    f.engine->ops->wake(f.engine);
    CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
    fixture_close(&f);
}

static void test_a_wait_says_that_there_are_no_descriptors_and_the_next_one_mends(void)
{
    for (unsigned which = 1; which <= ALL; which++) {
        fixture f;
        struct rlimit before;
        if (!fixture_open(&f)) {
            return;
        }
        CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
        start_stats(&f, 0);
        wait_ended(&f, STATS);
        close_some(&f, which);
        struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
        f.engine->ops->wake(f.engine);
        int status = wait_ns(&f, 0);
        CHECK(status == -EMFILE || (status == FOL_OK && (which & NOTICE) == 0));
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
        start_stats(&f, STATS);
        wait_ended(&f, 2 * STATS);
        check_stats(&f, STATS);
        fixture_close(&f);
    }
}

int main(void)
{
    RUN(test_what_comes_after_its_descriptors_were_closed_is_done);
    RUN(test_what_stood_in_a_set_that_was_closed_goes_on_in_its_order);
    RUN(test_what_lost_its_own_descriptor_as_well_ends_with_ebadf);
    RUN(test_a_number_of_the_set_that_is_another_file_by_now_is_left_to_it);
    RUN(test_a_wake_without_a_notice_ends_a_wait_that_has_begun);
    RUN(test_a_wake_whose_notice_was_closed_is_seen_once);
    RUN(test_a_wait_says_that_there_are_no_descriptors_and_the_next_one_mends);
    CHECK_MAIN_END();
}
