/* The pool engine on files that it does whole, and on batches of quick work: who takes what, what
 * is taken back, and what nobody is left behind for.
 */
#include <sched.h>
#include <signal.h>

#include "io_pool_fixture.h"

enum { FILES = 64 };

static char folder[64];

typedef struct folder_of_files {
    char paths[FILES][96];
    char bytes[FILES][16];
    fol_io_whole wholes[FILES];
    fol_io_request requests[FILES];
} folder_of_files;

static folder_of_files files;

/* Files with their own numbers in them, and requests to read them. */
static void make_files(void)
{
    make_folder(folder, sizeof(folder));
    for (uint32_t i = 0; i < FILES; i++) {
        snprintf(files.paths[i], sizeof(files.paths[i]), "%s/%u", folder, i);
        int fd = open(files.paths[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK_EQ(write(fd, &i, sizeof(i)), sizeof(i));
        close(fd);
        files.requests[i] = (fol_io_request){.kind = FOL_IO_READ,
                                             .flags = FOL_IO_PATH,
                                             .fd = AT_FDCWD,
                                             .options = O_CLOEXEC,
                                             .path = files.paths[i],
                                             .buffer = files.bytes[i],
                                             .size = sizeof(files.bytes[i]),
                                             .handle = (uintptr_t)&files.wholes[i]};
    }
}

static void remove_files(void)
{
    for (uint32_t i = 0; i < FILES; i++) {
        unlink(files.paths[i]);
    }
    rmdir(folder);
}

static void start_files(fixture *f, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        memset(files.bytes[i], 0, sizeof(files.bytes[i]));
        CHECK_EQ(start(f, &files.requests[i], i), FOL_OK);
    }
}

/* All of it was read in one go. */
static void check_file(const fixture *f, uint32_t i)
{
    CHECK_EQ(f->finals[i], 1);
    CHECK_EQ(f->values[i], 0); /* the end, in the second call */
    CHECK(memcmp(files.bytes[i], &i, sizeof(i)) == 0);
    CHECK_EQ(files.wholes[i].done, sizeof(i));
    CHECK(files.wholes[i].is_closed && files.wholes[i].closed == 0);
}

static fol_io_pool_census census_of(fixture *f)
{
    fol_io_pool_census census;
    fol_io_pool_count(f->engine, &census);
    return census;
}

static void test_files_are_read_whole_with_and_without_threads(void)
{
    for (int in_place = 0; in_place < 2; in_place++) {
        fixture f;
        if (!fixture_open_with(&f, &(fol_io_pool_config){.runs_in_place = in_place == 1})) {
            return;
        }
        make_files();
        start_files(&f, 0, FILES);
        wait_ended(&f, FILES);
        for (uint32_t i = 0; i < FILES; i++) {
            check_file(&f, i);
        }
        remove_files();
        fixture_close(&f);
    }
}

static void test_a_lone_file_that_is_waited_for_needs_no_thread(void)
{
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    make_files();
    start_files(&f, 5, 6);
    CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
    wait_ended(&f, 1);
    check_file(&f, 5);
    CHECK_EQ(census_of(&f).threads, 0);
    remove_files();
    fixture_close(&f);
}

static void test_quick_work_has_no_more_threads_than_processors(void)
{
    fixture f;
    cpu_set_t set;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_threads = 16})) {
        return;
    }
    CHECK_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
    uint32_t processors = (uint32_t)CPU_COUNT(&set);
    uint32_t wanted = FILES / FOL_IO_CREW_SHARE;
    uint32_t team = processors > 1 ? processors - 1 : 1;
    make_files();
    start_files(&f, 0, FILES);
    flush(&f);
    CHECK_EQ(census_of(&f).threads, team < wanted ? team : wanted);
    wait_ended(&f, FILES);
    remove_files();
    fixture_close(&f);
}

/* To open a file that is leased waits until the lease is given up, so it holds a thread for as long
 * as the test likes, though nobody can know beforehand. */
static int lease_first(void)
{
    CHECK(signal(SIGIO, SIG_IGN) != SIG_ERR);
    int holder = open(files.paths[0], O_RDWR | O_CLOEXEC);
    CHECK_EQ(fcntl(holder, F_SETLEASE, F_WRLCK), 0);
    return holder;
}

static void test_what_is_behind_a_thread_that_is_held_up_is_taken_back(void)
{
    fixture f;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_threads = 2})) {
        return;
    }
    make_files();
    int holder = lease_first();
    start_files(&f, 0, FILES);
    flush(&f);
    wait_ended(&f, FILES - 1);
    CHECK_EQ(f.finals[0], 0);
    CHECK_EQ(fcntl(holder, F_SETLEASE, F_UNLCK), 0);
    wait_ended(&f, FILES);
    for (uint32_t i = 0; i < FILES; i++) {
        check_file(&f, i);
    }
    close(holder);
    remove_files();
    fixture_close(&f);
}

static void test_a_write_waits_for_the_end_of_a_lease(void)
{
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    make_files();
    int holder = lease_first();
    files.requests[0].kind = FOL_IO_WRITE;
    files.requests[0].options = O_WRONLY | O_NONBLOCK | O_CLOEXEC;
    start_files(&f, 0, 1);
    CHECK_EQ(wait_ns(&f, 1000000), -ETIME);
    CHECK_EQ(fcntl(holder, F_SETLEASE, F_UNLCK), 0);
    wait_ended(&f, 1);
    CHECK_EQ(f.values[0], sizeof(files.bytes[0]));
    CHECK(files.wholes[0].is_closed);
    close(holder);
    remove_files();
    fixture_close(&f);
}

static void test_what_stands_in_a_batch_and_is_not_begun_is_cancelled_at_once(void)
{
    fixture f;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_threads = 1})) {
        return;
    }
    make_files();
    int holder = lease_first();
    start_files(&f, 0, FILES);
    flush(&f);
    /* The thread has taken its batch, and goes no further. */
    while (census_of(&f).waiting == FILES) {
        sched_yield();
    }
    for (uint32_t i = 1; i < FILES; i++) {
        cancel(&f, i);
    }
    wait_ended(&f, FILES - 1);
    for (uint32_t i = 1; i < FILES; i++) {
        CHECK_EQ(f.values[i], -ECANCELED);
        CHECK_EQ(files.wholes[i].opened, -1);
    }
    CHECK_EQ(fcntl(holder, F_SETLEASE, F_UNLCK), 0);
    wait_ended(&f, FILES);
    CHECK_EQ(files.bytes[0][0], 0);
    close(holder);
    remove_files();
    fixture_close(&f);
}

static void test_a_cancel_is_seen_between_opening_and_reading(void)
{
    fixture f;
    if (!fixture_open_with(&f, &(fol_io_pool_config){.max_threads = 1})) {
        return;
    }
    make_files();
    CHECK(signal(SIGIO, SIG_IGN) != SIG_ERR);
    int holder = open(files.paths[1], O_RDWR | O_CLOEXEC);
    CHECK_EQ(fcntl(holder, F_SETLEASE, F_WRLCK), 0);
    start_files(&f, 1, 2);
    flush(&f);
    /* The lease is asked for back: the thread is in the opening. */
    while (fcntl(holder, F_GETLEASE) == F_WRLCK) {
        sched_yield();
    }
    cancel(&f, 1);
    CHECK_EQ(fcntl(holder, F_SETLEASE, F_UNLCK), 0);
    wait_ended(&f, 1);
    CHECK_EQ(f.values[1], -ECANCELED);
    CHECK(files.wholes[1].opened >= 0 && !files.wholes[1].is_closed);
    close(files.wholes[1].opened);
    close(holder);
    remove_files();
    fixture_close(&f);
}

static void test_a_pipe_that_was_handed_back_and_nobody_reaps_is_closed(void)
{
    fixture f;
    char path[96];
    if (!fixture_open(&f)) {
        return;
    }
    make_files();
    snprintf(path, sizeof(path), "%s/pipe", folder);
    CHECK_EQ(mkfifo(path, 0600), 0);
    files.requests[0].path = path;
    start_files(&f, 0, 1);
    CHECK_EQ(f.engine->ops->wait(f.engine, 1, FOREVER), FOL_OK);
    CHECK(files.wholes[0].opened >= 0 && !files.wholes[0].is_closed);
    CHECK_EQ(fcntl(files.wholes[0].opened, F_GETFL) & O_NONBLOCK, 0);
    unlink(path);
    remove_files();
    fixture_close(&f);
    CHECK(fcntl(files.wholes[0].opened, F_GETFD) < 0);
}

static void test_requests_that_cannot_be_whole_are_refused(void)
{
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    make_files();
    fol_io_request request = files.requests[0];
    request.handle = 0;
    CHECK_EQ(start(&f, &request, 0), -EOPNOTSUPP);
    request = files.requests[0];
    request.offset = FOL_IO_CURRENT;
    CHECK_EQ(start(&f, &request, 0), -EOPNOTSUPP);
    request = files.requests[0];
    request.flags |= FOL_IO_VECTORS;
    CHECK_EQ(start(&f, &request, 0), -EOPNOTSUPP);
    remove_files();
    fixture_close(&f);
}

int main(void)
{
    RUN(test_files_are_read_whole_with_and_without_threads);
    RUN(test_a_lone_file_that_is_waited_for_needs_no_thread);
    RUN(test_quick_work_has_no_more_threads_than_processors);
    RUN(test_what_is_behind_a_thread_that_is_held_up_is_taken_back);
    RUN(test_a_write_waits_for_the_end_of_a_lease);
    RUN(test_what_stands_in_a_batch_and_is_not_begun_is_cancelled_at_once);
    RUN(test_a_cancel_is_seen_between_opening_and_reading);
    RUN(test_a_pipe_that_was_handed_back_and_nobody_reaps_is_closed);
    RUN(test_requests_that_cannot_be_whole_are_refused);
    CHECK_MAIN_END();
}
