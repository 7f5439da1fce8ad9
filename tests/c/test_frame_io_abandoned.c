/* Interrupted frames beside operations that nothing ends: each is told once that it is abandoned,
 * the frames that follow run, and what comes back late is let go of. */

#include <sys/syscall.h>

#include "frame_io_model.h"
#include "host_side.h"
#include "stuck_file.h"

enum { ASKED = 5 };

static stuck_file stuck;
static char stuck_buffers[ASKED][16];
static fol_io_result stuck_result;
static fol_entity stuck_entity;
static uint32_t released;

/* A host that asks to stop when threads wait for the stuck file for all of them. */
typedef struct stopping_host {
    host_side side; /* first */
} stopping_host;

static int pending(void *state)
{
    stopping_host *host = state;
    host_side_check(&host->side);
    return count_pool_threads_in(SYS_openat) == ASKED;
}

static void use_host(io_fixture *f, stopping_host *host)
{
    *host = (stopping_host){.side = {.is_attached = true}};
    f->config.host = (fol_host){
        .state = host, .attach = host_side_attach, .detach = host_side_detach, .pending = pending};
}

static void *note_abandoned(void *user, uint64_t waited_ns)
{
    CHECK(waited_ns > 0);
    F->log[F->logged] = (uint64_t)(uintptr_t)user;
    F->values[F->logged] = FOL_E_ABANDONED;
    F->logged++;
    return &released;
}

static void note_release(void *kept)
{
    CHECK(kept == &released);
    released++;
}

static const fol_io_receiver full_receiver = {
    .deliver = log_result, .drop = log_drop, .abandon = note_abandoned, .release = note_release};

/* In the first frame the stuck file, for a receiver, for one that does not know of abandoning, for
 * a place, for nobody, and into the world; all are read by threads. */
static int hosted_ask_the_stuck(void *user, fol_task *task)
{
    (void)user;
    for (uint64_t i = 0; i < ASKED && task->frame == 0; i++) {
        fol_io_intent intent = {.request = {.kind = FOL_IO_READ,
                                            .flags = FOL_IO_PATH,
                                            .fd = AT_FDCWD,
                                            .path = stuck.path,
                                            .buffer = i == 4 ? NULL : stuck_buffers[i],
                                            .size = sizeof(stuck_buffers[i])},
                                .until = i % 2 == 0 ? FOL_IO_STAGE : FOL_IO_PHASE,
                                .receiver = i == 0 || i == 4 ? &full_receiver
                                            : i == 1         ? &log_receiver
                                                             : NULL,
                                .result = i == 2 ? &stuck_result : NULL,
                                .component = i == 4 ? F->data : NULL,
                                .entity = i == 4 ? stuck_entity : 0,
                                .user = (void *)(uintptr_t)i};
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    }
    return 0;
}

static void start(io_fixture *f, stopping_host *host, bool is_own_clock)
{
    stuck = stuck_file_make();
    stuck_result = (fol_io_result){0};
    released = 0;
    io_setup(f);
    use_host(f, host);
    f->config.backend = "stealing";
    f->config.workers = 2;
    f->config.io = FOL_IO_CHOICE_POOL;
    if (is_own_clock) {
        f->config.clock = fol_virtual_clock_face(&f->clock);
    }
    const fol_value value = {f->data, NULL};
    CHECK_EQ(fol_world_spawn(f->world, &value, 1, &stuck_entity), 0);
    io_add(f, (io_brief){.name = "ask",
                         .does_io = true,
                         .writes_data = true,
                         .hosted = hosted_ask_the_stuck});
    io_start(f);
}

static void check_told_once(io_fixture *f)
{
    const fol_frame *frame = fol_scheduler_frame(f->scheduler);
    CHECK_EQ(f->logged, 3);
    CHECK_EQ(f->log[0], 0);
    CHECK_EQ(f->log[1], 1);
    CHECK_EQ(f->log[2], 4);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(f->values[i], FOL_E_ABANDONED);
    }
    CHECK_EQ(stuck_result.value, FOL_E_ABANDONED);
    CHECK_EQ(frame->error_count, 1);
    CHECK_EQ(io_error(f, 0).status, FOL_E_ABANDONED);
}

static void test_each_is_told_once_and_let_go_of_when_it_comes_back(void)
{
    for (int is_own_clock = 0; is_own_clock < 2; is_own_clock++) {
        io_fixture f;
        stopping_host host;
        start(&f, &host, is_own_clock != 0);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_E_INTERRUPTED);
        check_told_once(&f);
        CHECK_EQ(released, 0);
        stuck_file_release(&stuck);
        while (released < 2) {
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        }
        CHECK_EQ(f.logged, 3);
        io_teardown(&f);
        CHECK_EQ(f.logged, 3);
        CHECK_EQ(f.dropped, 0);
        CHECK_EQ(released, 2);
        CHECK_EQ(stuck_buffers[0][0], 0);
        CHECK_EQ(host.side.bad, 0);
        CHECK(host.side.is_attached);
        await_end_of_pool_threads();
    }
}

static void test_what_comes_back_while_the_scheduler_closes_is_let_go_of(void)
{
    io_fixture f;
    stopping_host host;
    start(&f, &host, false);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_E_INTERRUPTED);
    stuck_file_release(&stuck);
    io_teardown(&f);
    CHECK_EQ(released, 2);
    CHECK_EQ(f.logged, 3);
    CHECK_EQ(f.dropped, 0);
    await_end_of_pool_threads();
}

static void test_what_does_not_come_back_before_the_end_is_never_let_go_of(void)
{
    io_fixture f;
    stopping_host host;
    start(&f, &host, false);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_E_INTERRUPTED);
    io_teardown(&f);
    CHECK_EQ(released, 0);
    CHECK_EQ(f.logged, 3);
    CHECK_EQ(f.dropped, 0);
    CHECK(host.side.is_attached);
    stuck_file_release(&stuck);
    await_end_of_pool_threads();
    CHECK_EQ(released, 0);
}

int main(void)
{
    RUN(test_each_is_told_once_and_let_go_of_when_it_comes_back);
    RUN(test_what_comes_back_while_the_scheduler_closes_is_let_go_of);
    RUN(test_what_does_not_come_back_before_the_end_is_never_let_go_of);
    CHECK_MAIN_END();
}
