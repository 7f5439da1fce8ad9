/* The pool engine when things go wrong: refused memory, an end with work in flight, forks, leaks of
 * threads, descriptors and memory. */
#include <signal.h>

#include "io_pool_fixture.h"

#define FAULTS_MAX 200

static struct statx status_of[TOKENS];
static fol_io_request requests[TOKENS];

static void start_stats(fixture *f, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++) {
        requests[i] = stat_of("/", &status_of[i]);
        CHECK_EQ(start(f, &requests[i], i), FOL_OK);
    }
}

static void test_a_refused_allocation_at_the_creation_leaves_nothing(void)
{
    uint64_t blocks = live_blocks();
    uint32_t files = count_files();
    uint32_t failures = 0;
    for (uint64_t n = 1; n < FAULTS_MAX; n++) {
        fol_io_engine *engine = NULL;
        fol_memory_fail_nth(n);
        int status = fol_io_pool_create(&(fol_io_pool_config){0}, &engine);
        bool is_past = fol_memory_failure_is_armed() != 0;
        fol_memory_fail_nth(0);
        if (status == FOL_OK) {
            CHECK(engine->ops->destroy(engine));
        } else {
            CHECK_EQ(status, -ENOMEM);
            failures += 1;
        }
        CHECK_EQ(live_blocks(), blocks);
        CHECK_EQ(count_files(), files);
        if (is_past) {
            CHECK(failures >= 2);
            return;
        }
    }
    CHECK(false);
}

/* A file, a recv that stands, and a recv with buffers. */
static uint32_t start_some(fixture *f, const int pair[2], const int other[2], char *byte)
{
    static fol_io_request some[3];
    uint32_t started = 0;
    some[0] = stat_of("/", &status_of[0]);
    some[1] = recv_of(pair[0], byte, 1);
    some[2] = (fol_io_request){.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = other[0]};
    for (uint32_t i = 0; i < 3; i++) {
        int status = start(f, &some[i], i);
        CHECK(status == FOL_OK || status == -ENOMEM);
        started += status == FOL_OK;
    }
    return started;
}

static void test_a_refused_allocation_ends_one_request_with_enomem(void)
{
    uint64_t blocks = live_blocks();
    bool is_past = false;
    for (uint64_t n = 1; n < FAULTS_MAX && !is_past; n++) {
        fixture f;
        int pair[2];
        int other[2];
        char byte = 0;
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other), 0);
        if (!fixture_open(&f)) {
            return;
        }
        fol_memory_fail_nth(n);
        uint32_t started = start_some(&f, pair, other, &byte);
        flush(&f);
        is_past = fol_memory_failure_is_armed() != 0;
        fol_memory_fail_nth(0);
        CHECK_EQ(write(pair[1], "x", 1), 1);
        CHECK_EQ(write(other[1], "x", 1), 1);
        close(other[1]);
        wait_ended(&f, started);
        CHECK(!is_past || started == 3);
        CHECK(!is_past || f.values[1] == 1);
        CHECK(!is_past || f.bytes[2] == 1);
        CHECK_EQ(f.engine->in_flight, 0);
        close(pair[0]);
        close(pair[1]);
        close(other[0]);
        fixture_close(&f);
        CHECK_EQ(live_blocks(), blocks);
    }
    CHECK(is_past);
}

static void test_the_end_drops_what_waits_and_joins_all_threads(void)
{
    uint64_t blocks = live_blocks();
    uint32_t files = count_files();
    uint32_t tasks = count_tasks();
    for (uint32_t i = 0; i < 50; i++) {
        fixture f;
        char byte = 0;
        int pair[2];
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        if (!fixture_open(&f)) {
            return;
        }
        fol_io_request receiving = recv_of(pair[0], &byte, 1);
        CHECK_EQ(start(&f, &receiving, 0), FOL_OK);
        start_stats(&f, 1, 500);
        if (i % 2 == 0) {
            flush(&f);
        }
        fixture_close(&f);
        close(pair[0]);
        close(pair[1]);
        CHECK_EQ(count_tasks(), tasks);
    }
    CHECK_EQ(count_files(), files);
    CHECK_EQ(live_blocks(), blocks);
}

static void test_descriptors_in_results_that_nobody_reaped_are_closed(void)
{
    uint32_t files = count_files();
    for (int in_place = 0; in_place < 2; in_place++) {
        fixture f;
        struct sockaddr_in address;
        if (!fixture_open_with(&f, &(fol_io_pool_config){.runs_in_place = in_place == 1})) {
            return;
        }
        int listener = listen_on_loopback(&address, 0, 8);
        int client = connect_to(&address);
        fol_io_request accepting = {.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY, .fd = listener};
        fol_io_request making = {.kind = FOL_IO_SOCKET, .options = AF_UNIX, .mode = SOCK_STREAM};
        CHECK_EQ(start(&f, &accepting, 0), FOL_OK);
        CHECK_EQ(start(&f, &making, 1), FOL_OK);
        for (uint32_t i = 2; i < 200; i++) {
            requests[i] = open_of("/", O_RDONLY, 0);
            CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
        }
        flush(&f);
        fixture_close(&f);
        close(client);
        close(listener);
        CHECK_EQ(count_files(), files);
    }
}

static void test_a_thousand_cancelled_opens_leave_no_descriptor(void)
{
    uint32_t files = count_files();
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    for (uint32_t i = 0; i < 1000; i++) {
        requests[i] = open_of("/", O_RDONLY, 0);
        CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
        flush(&f);
        cancel(&f, i);
        reap_all(&f);
        if (i % 10 == 0) {
            wait_ended(&f, i + 1);
        }
    }
    wait_ended(&f, 1000);
    uint32_t opened = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        CHECK_EQ(f.finals[i], 1);
        CHECK(f.values[i] >= 0 || f.values[i] == -ECANCELED);
        if (f.values[i] >= 0) {
            opened += 1;
            close((int)f.values[i]);
        }
    }
    CHECK(opened <= 1000);
    fixture_close(&f);
    CHECK_EQ(count_files(), files);
}

static void test_a_million_operations_need_no_more_memory_than_the_first(void)
{
    enum { BATCH = 1000, BATCHES = 1000 };
    fixture f;
    uint64_t blocks = 0;
    if (!fixture_open(&f)) {
        return;
    }
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            requests[i] = (fol_io_request){.kind = FOL_IO_NOP};
            CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
        }
        wait_ended(&f, (batch + 1) * BATCH);
        if (batch == 9) {
            blocks = live_blocks();
        }
    }
    CHECK_EQ(live_blocks(), blocks);
    fixture_close(&f);
}

static void test_a_forked_child_gives_back_its_own_and_leaves_the_parent_alone(void)
{
    fixture f;
    int pair[2];
    char byte = 0;
    int status = -1;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    if (!fixture_open(&f)) {
        return;
    }
    fol_io_request receiving = recv_of(pair[0], &byte, 1);
    CHECK_EQ(start(&f, &receiving, 0), FOL_OK);
    start_stats(&f, 1, 300);
    flush(&f);
    pid_t child = fork();
    if (child == 0) {
        _exit(f.engine->ops->destroy(f.engine) ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_EQ(write(pair[1], "x", 1), 1);
    wait_ended(&f, 301);
    CHECK_EQ(f.values[0], 1);
    close(pair[0]);
    close(pair[1]);
    fixture_close(&f);
}

static void test_the_end_waits_for_a_call_that_never_ends_for_a_bounded_time_only(void)
{
    uint32_t files = count_files();
    uint32_t tasks = count_tasks();
    fixture f;
    char folder[64];
    char path[96];
    if (!fixture_open(&f)) {
        return;
    }
    make_folder(folder, sizeof(folder));
    snprintf(path, sizeof(path), "%s/pipe", folder);
    CHECK_EQ(mkfifo(path, 0600), 0);
    static fol_io_request request;
    request = open_of(path, O_RDONLY, 0);
    CHECK_EQ(start(&f, &request, 0), FOL_OK);
    flush(&f);
    /* It has taken the request when nothing waits any more. */
    fol_io_pool_census census = {.waiting = 1};
    while (census.waiting != 0) {
        fol_io_pool_count(f.engine, &census);
    }
    CHECK(!f.engine->ops->destroy(f.engine));
    CHECK_EQ(count_files(), files);
    /* The thread goes when its call does, and takes its descriptor with it. */
    int other = -1;
    do {
        other = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    } while (other < 0 && errno == ENXIO);
    while (count_tasks() != tasks) {
        sched_yield();
    }
    close(other);
    CHECK_EQ(count_files(), files);
    unlink(path);
    rmdir(folder);
}

static void test_a_crowd_of_descriptors_stands_and_leaves(void)
{
    enum { PAIRS = 1500 };
    static int pairs[PAIRS][2];
    static char bytes[PAIRS];
    const struct rlimit many = {.rlim_cur = 4096, .rlim_max = 4096};
    uint32_t files = count_files();
    fixture f;
    if (!fixture_open(&f) || !CHECK_EQ(setrlimit(RLIMIT_NOFILE, &many), 0)) {
        return;
    }
    for (uint32_t i = 0; i < PAIRS; i++) {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);
        requests[i] = recv_of(pairs[i][0], &bytes[i], 1);
        CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
    }
    flush(&f);
    for (uint32_t i = 0; i < PAIRS; i++) {
        if (i % 2 == 0) {
            cancel(&f, i);
        } else {
            CHECK_EQ(write(pairs[i][1], "x", 1), 1);
        }
    }
    wait_ended(&f, PAIRS);
    for (uint32_t i = 0; i < PAIRS; i++) {
        CHECK_EQ(f.values[i], i % 2 == 0 ? -ECANCELED : 1);
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    fixture_close(&f);
    CHECK_EQ(count_files(), files);
}

static void test_a_pool_that_is_refused_a_descriptor_is_not_made(void)
{
    struct rlimit before;
    fol_io_engine *engine = NULL;
    uint64_t blocks = live_blocks();
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    /* The three that a pool needs are refused one after the other. */
    int next = dup(STDERR_FILENO);
    close(next);
    for (int room = 0; room < 3; room++) {
        struct rlimit few = {.rlim_cur = (rlim_t)(next + room), .rlim_max = before.rlim_max};
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
        CHECK_EQ(fol_io_pool_create(&(fol_io_pool_config){0}, &engine), -EMFILE);
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
        CHECK_EQ(live_blocks(), blocks);
        int again = dup(STDERR_FILENO);
        CHECK_EQ(again, next);
        close(again);
    }
}

int main(void)
{
    RUN(test_a_refused_allocation_at_the_creation_leaves_nothing);
    RUN(test_a_refused_allocation_ends_one_request_with_enomem);
    RUN(test_the_end_drops_what_waits_and_joins_all_threads);
    RUN(test_descriptors_in_results_that_nobody_reaped_are_closed);
    RUN(test_a_thousand_cancelled_opens_leave_no_descriptor);
    RUN(test_a_million_operations_need_no_more_memory_than_the_first);
    RUN(test_a_forked_child_gives_back_its_own_and_leaves_the_parent_alone);
    RUN(test_a_crowd_of_descriptors_stands_and_leaves);
    RUN(test_a_pool_that_is_refused_a_descriptor_is_not_made);
    RUN(test_the_end_waits_for_a_call_that_never_ends_for_a_bounded_time_only);
    CHECK_MAIN_END();
}
