/* Operations that the kernel, or a thread inside of a call, does not let go of while the driver
 * ends: they are reported as held, once, and what completes later touches nothing that has gone. */

#include <pthread.h>
#include <sys/wait.h>

#include "guarded_file.h"
#include "io/ring.h"
#include "io_driver_support.h"
#include "stress.h"
#include "stuck_file.h"

enum { OPERATIONS = 3 };

typedef struct fates {
    fol_io_op *ops; /* OPERATIONS of them */
    uint32_t told[OPERATIONS];
    bool is_held[OPERATIONS];
} fates;

static void note_fate(void *argument, fol_io_op *op, bool is_held)
{
    fates *all = argument;
    size_t index = (size_t)(op - all->ops);
    all->told[index] += 1;
    all->is_held[index] = is_held;
}

/* Their memory is the kernel's in the end, so it is nobody's here. */
static fol_io_op ops[5][OPERATIONS];
static char buffers[2][16];
/* Only kept: those that were not freed have to be found. */
static fol_io *volatile drivers[5];

/* The pool: one that a thread is inside of, a pipe that stands, and a timer. */
static void test_a_thread_that_is_stuck_holds_its_operation_and_no_other(void)
{
    uint32_t files = open_descriptors();
    stuck_file stuck = stuck_file_make();
    int ends[2];
    char byte;
    fates all = {.ops = ops[0]};
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    choice = FOL_IO_CHOICE_POOL;
    fol_io *io = open_driver();
    drivers[0] = io;
    ops[0][0].request = (fol_io_request){.kind = FOL_IO_READ,
                                         .flags = FOL_IO_PATH,
                                         .fd = AT_FDCWD,
                                         .path = stuck.path,
                                         .buffer = buffers[0],
                                         .size = sizeof buffers[0]};
    ops[0][1].request = (fol_io_request){
        .kind = FOL_IO_READ, .fd = ends[0], .buffer = &byte, .size = 1, .offset = FOL_IO_CURRENT};
    ops[0][2].request = (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = UINT64_MAX};
    for (int i = 0; i < OPERATIONS; i++) {
        fol_io_op *op = &ops[0][i];
        fol_io_submit(io, &op, 1);
    }
    fol_io_poll(io);
    while (fcntl(stuck.fd, F_GETLEASE) == F_WRLCK) {
        /* Nobody waits for the lease yet. */
        sched_yield();
    }
    CHECK(!fol_io_destroy(io, note_fate, &all));
    for (int i = 0; i < OPERATIONS; i++) {
        CHECK_EQ(all.told[i], 1);
        CHECK_EQ(all.is_held[i], i == 0);
    }
    stuck_file_release(&stuck);
    await_end_of_pool_threads();
    /* It was told to stop while it was in the call, so it read nothing and closed the file. */
    CHECK_EQ(buffers[0][0], 0);
    CHECK_EQ(all.told[0], 1);
    close(ends[0]);
    close(ends[1]);
    CHECK_EQ(open_descriptors(), files);
}

/* The ring: no system call of it works, so nothing can be cancelled, and nobody hears that the
 * kernel let go of it when it was closed. */
static void test_a_ring_that_does_not_let_go_holds_what_it_has_in_flight(void)
{
    uint32_t files = open_descriptors();
    int ends[2];
    char path[64];
    fates all = {.ops = ops[1]};
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    choice = FOL_IO_CHOICE_RING;
    fol_io *io = open_driver();
    drivers[1] = io;
    for (int i = 0; i < OPERATIONS - 1; i++) {
        ops[1][i].request = (fol_io_request){.kind = FOL_IO_READ,
                                             .fd = ends[0],
                                             .buffer = &buffers[1][i],
                                             .size = 1,
                                             .offset = FOL_IO_CURRENT};
    }
    ops[1][2].request = (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = UINT64_MAX};
    for (int i = 0; i < OPERATIONS; i++) {
        fol_io_op *op = &ops[1][i];
        fol_io_submit(io, &op, 1);
    }
    fol_io_poll(io);
    fol_io_ring *ring = fol_ring_of(fol_io_lane_engine(&io->lanes[FOL_IO_LANE_RING]));
    snprintf(path, sizeof path, "/proc/self/fd/%d", ring->release_fd);
    int holder = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(holder >= 0);
    fol_ring_call_fail_from(1, EPERM);
    CHECK(!fol_io_destroy(io, note_fate, &all));
    fol_io_ring_fail_nth(0, 0);
    for (int i = 0; i < OPERATIONS; i++) {
        CHECK_EQ(all.told[i], 1);
        CHECK_EQ(all.is_held[i], i < 2);
    }
    /* Whatever is left there may end now. */
    CHECK_EQ(write(ends[1], "ab", 2), 2);
    close(holder);
    close(ends[0]);
    close(ends[1]);
    CHECK_EQ(open_descriptors(), files);
}

/* A driver that ends while a thread of the kernel is inside of opening the guarded file, which
 * takes no signal there: O_CREAT keeps the calling thread out of it. */
static void end_while_opening(guarded_file *guarded, fates *all, uint32_t place)
{
    choice = FOL_IO_CHOICE_RING;
    fol_io *io = open_driver();
    drivers[place] = io;
    fol_io_op *op = &all->ops[0];
    op->request = (fol_io_request){
        .kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = guarded->path, .options = O_CREAT | O_RDWR};
    fol_io_submit(io, &op, 1);
    fol_io_poll(io);
    guarded_file_await_visitor(guarded);
    CHECK(!fol_io_destroy(io, note_fate, all));
    CHECK_EQ(all->told[0], 1);
    CHECK(all->is_held[0]);
}

static void test_a_file_that_a_ring_opens_after_its_end_is_closed(void)
{
    uint32_t files = open_descriptors();
    fates all = {.ops = ops[2]};
    guarded_file guarded = guarded_file_make();
    end_while_opening(&guarded, &all, 2);
    guarded_file_release(&guarded);
    while (open_descriptors() != files) {
        /* Whoever makes a driver looks; the completion comes when the kernel's thread runs. */
        close_driver(open_driver(), 0);
    }
    CHECK_EQ(all.told[0], 1);
}

typedef struct visit {
    guarded_file guarded;
    fates all;
} visit;

static void *end_on_a_thread(void *argument)
{
    visit *visited = argument;
    end_while_opening(&visited->guarded, &visited->all, 4);
    guarded_file_release(&visited->guarded);
    return NULL;
}

static void
test_a_ring_of_a_thread_that_has_ended_is_closed_and_what_it_did_not_tell_stays_open(void)
{
    uint32_t files = open_descriptors();
    visit visited = {.guarded = guarded_file_make(), .all = {.ops = ops[4]}};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, end_on_a_thread, &visited), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    close_driver(open_driver(), 0);
    /* The completion was for the thread, which did not come for it. */
    CHECK_EQ(open_descriptors(), files + 1);
}

static void test_a_child_of_fork_closes_its_copies_of_a_ring_that_is_kept_open(void)
{
    uint32_t files = open_descriptors();
    fates all = {.ops = ops[3]};
    guarded_file guarded = guarded_file_make();
    end_while_opening(&guarded, &all, 3);
    pid_t child = fork();
    if (child == 0) {
        uint32_t before = open_descriptors();
        choice = FOL_IO_CHOICE_POOL;
        close_driver(open_driver(), 0);
        _exit(open_descriptors() < before ? 0 : 1);
    }
    int status = 1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    guarded_file_release(&guarded);
    while (open_descriptors() != files) {
        close_driver(open_driver(), 0);
    }
}

int main(void)
{
    fol_io_report report;
    stress_watch(60);
    RUN(test_a_thread_that_is_stuck_holds_its_operation_and_no_other);
    if (fol_io_probe(&report) == 0 && report.available != 0) {
        RUN(test_a_ring_that_does_not_let_go_holds_what_it_has_in_flight);
        RUN(test_a_file_that_a_ring_opens_after_its_end_is_closed);
        RUN(test_a_ring_of_a_thread_that_has_ended_is_closed_and_what_it_did_not_tell_stays_open);
        RUN(test_a_child_of_fork_closes_its_copies_of_a_ring_that_is_kept_open);
    }
    CHECK_MAIN_END();
}
