/* I/O of frames that ends early, comes in many pieces, or has no memory. */

#include <pthread.h>
#include <sys/socket.h>

#include "frame_io_model.h"
#include "host_side.h"
#include "stuck_file.h"

static const fol_io_request nop = {.kind = FOL_IO_NOP};

/* Nobody will write to it. */
static int silent_pipe[2];

static fol_io_request read_silent_pipe(void)
{
    return (fol_io_request){.kind = FOL_IO_POLL, .fd = silent_pipe[0], .options = 1};
}

/* A host that knows who holds it, and asks to stop when told so. */
typedef struct test_host {
    host_side side; /* first */
    uint32_t asked;
    uint32_t stop_at; /* 0: never */
} test_host;

static int pending(void *state)
{
    test_host *host = state;
    host_side_check(&host->side);
    host->asked++;
    return host->stop_at != 0 && host->asked >= host->stop_at;
}

static void use_host(io_fixture *f, test_host *host)
{
    *host = (test_host){.side = {.is_attached = true}};
    f->config.host = (fol_host){
        .state = host, .attach = host_side_attach, .detach = host_side_detach, .pending = pending};
}

/* Waits for the silent pipe in the first frame, in all ways, and records a spawn. */
static int hosted_wait_for_ever(void *user, fol_task *task)
{
    (void)user;
    if (task->frame == 0) {
        fol_entity entity;
        io_queue(task, read_silent_pipe(), FOL_IO_STAGE, 1);
        io_queue(task, read_silent_pipe(), FOL_IO_PHASE, 2);
        io_queue(task, read_silent_pipe(), FOL_IO_LATER, 3);
        CHECK_EQ(fol_commands_spawn(task->commands, NULL, 0, &entity), 0);
    }
    return 0;
}

static void test_an_interrupt_ends_what_the_frame_waits_for_and_nothing_else(void)
{
    for (fol_io_choice io = FOL_IO_CHOICE_RING; io <= FOL_IO_CHOICE_POOL; io++) {
        io_fixture f;
        test_host host;
        io_setup(&f);
        use_host(&f, &host);
        f.config.io = io;
        io_add(&f, (io_brief){.name = "wait",
                              .does_io = true,
                              .records = true,
                              .hosted = hosted_wait_for_ever});
        io_start(&f);
        host.stop_at = 3;
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_E_INTERRUPTED);
        CHECK_EQ(f.logged, 2);
        CHECK_EQ(f.values[0], -ECANCELED);
        CHECK_EQ(f.values[1], -ECANCELED);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 0);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_INTERRUPTED);
        CHECK_EQ(fol_world_entity_count(f.world), 0);
        CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_E_INTERRUPTED);
        host.stop_at = 0;
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(f.dropped, 0);
        io_teardown(&f);
        CHECK_EQ(f.dropped, 1);
        CHECK_EQ(f.logged, 2);
        CHECK_EQ(host.side.bad, 0);
        CHECK(host.side.is_attached);
    }
}

static bool deliver_attached(void *user, const fol_io_result *result)
{
    test_host *host = user;
    host_side_check(&host->side);
    return log_result(NULL, result);
}

static const fol_io_receiver attached_receiver = {.needs_host = true, .deliver = deliver_attached};

static int hosted_ask_attached(void *user, fol_task *task)
{
    const fol_io_intent intent = {
        .request = nop, .receiver = &attached_receiver, .user = user, .until = FOL_IO_PHASE};
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    return 0;
}

static uint64_t attached_clock(void *state)
{
    test_host *host = state;
    host_side_check(&host->side);
    return 5;
}

static void attached_clock_wait(void *state, uint64_t deadline_ns, uint64_t max_wait_ns)
{
    (void)deadline_ns;
    (void)max_wait_ns;
    attached_clock(state);
}

static void test_receivers_and_clocks_of_the_host_find_it_attached(void)
{
    io_fixture f;
    test_host host;
    io_setup(&f);
    use_host(&f, &host);
    f.config.clock = (fol_clock){&host, attached_clock, attached_clock_wait};
    io_add(&f, (io_brief){
                   .name = "ask", .does_io = true, .hosted = hosted_ask_attached, .user = &host});
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(f.logged, 1);
    io_teardown(&f);
    CHECK_EQ(host.side.bad, 0);
}

/* In the first frame asks for a file that is not there, which nobody will see. */
static int hosted_fail_later(void *user, fol_task *task)
{
    fol_io_intent intent = io_read_of(0, FOL_IO_LATER);
    (void)user;
    intent.request.path = "/nowhere/at all";
    if (task->frame == 0) {
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    }
    return 0;
}

static int hosted_nothing(void *user, fol_task *task)
{
    (void)user;
    (void)task;
    return 0;
}

/* Puts a plan in place whose second system is the one that asked; `carries`: as the same one. */
static void replan_behind_another(io_fixture *f, bool carries)
{
    fol_schedule *schedule;
    fol_plan *plan;
    fol_plan_error error;
    uint32_t id;
    fol_system systems[2] = {f->systems[0], f->systems[0]};
    const fol_system_spec specs[2] = {{.name = "first"}, {.name = "ask", .does_io = true}};
    systems[0].hosted = hosted_nothing;
    systems[1].carries_state = carries ? 0 : -1;
    CHECK_EQ(fol_schedule_create(NULL, &schedule), 0);
    CHECK_EQ(fol_schedule_add_phase(schedule, "update", &id), 0);
    CHECK_EQ(fol_schedule_add_system(schedule, &specs[0], &id), 0);
    CHECK_EQ(fol_schedule_add_system(schedule, &specs[1], &id), 0);
    CHECK_EQ(fol_plan_create(schedule, &plan, &error), 0);
    CHECK_EQ(fol_scheduler_replan(f->scheduler, plan, systems, NULL), FOL_OK);
    fol_schedule_destroy(schedule);
    fol_plan_destroy(f->plan);
    f->plan = plan;
}

static void test_a_failure_after_a_replan_is_the_systems_that_carries_on_or_nobodys(void)
{
    for (int carries = 0; carries < 2; carries++) {
        io_fixture f;
        io_setup(&f);
        f.config.errors = FOL_ERRORS_CONTINUE;
        io_add(&f, (io_brief){.name = "ask", .does_io = true, .hosted = hosted_fail_later});
        io_start(&f);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 0);
        replan_behind_another(&f, carries != 0);
        CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
        CHECK_EQ(io_error(&f, 0).status, -ENOENT);
        CHECK_EQ(io_error(&f, 0).system, carries != 0 ? 1 : UINT32_MAX);
        if (carries != 0) {
            /* The failure is of the frame before: this run of it went well. */
            CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[1].state, FOL_RUN_DONE);
        }
        io_teardown(&f);
    }
}

static uint32_t count_descriptors(void)
{
    uint32_t count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static int hosted_open_later(void *user, fol_task *task)
{
    const fol_io_until *until = user;
    fol_io_intent intent = io_read_of(1, *until);
    intent.request.kind = FOL_IO_OPEN;
    intent.request.flags = 0;
    intent.receiver = *until == FOL_IO_LATER ? &log_receiver : NULL;
    if (task->frame == 0) {
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    }
    return 0;
}

static void test_descriptors_that_nobody_gets_are_closed(void)
{
    uint32_t before = count_descriptors();
    for (fol_io_until until = FOL_IO_STAGE; until <= FOL_IO_LATER; until++) {
        io_fixture f;
        io_setup(&f);
        io_add(&f,
               (io_brief){
                   .name = "open", .does_io = true, .hosted = hosted_open_later, .user = &until});
        io_start(&f);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        if (until == FOL_IO_LATER) {
            CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
        }
        io_teardown(&f);
        CHECK_EQ(f.dropped, until == FOL_IO_LATER);
        CHECK_EQ(count_descriptors(), before);
    }
}

static int hosted_receive_many(void *user, fol_task *task)
{
    const int *descriptor = user;
    const fol_io_request request = {
        .kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = *descriptor, .size = 64};
    if (task->frame == 0) {
        io_queue(task, request, FOL_IO_LATER, 1);
    }
    return 0;
}

/* Runs frames until so many results were delivered. */
static void run_until(io_fixture *f, uint32_t count)
{
    while (f->logged < count && CHECK_EQ(fol_scheduler_wait(f->scheduler, UINT64_MAX), FOL_OK)) {
        CHECK_EQ(fol_scheduler_tick(f->scheduler, 0.1), FOL_OK);
    }
}

static void test_many_results_of_one_operation_come_one_by_one_until_the_last(void)
{
    for (fol_io_choice io = FOL_IO_CHOICE_RING; io <= FOL_IO_CHOICE_POOL; io++) {
        io_fixture f;
        int ends[2];
        io_setup(&f);
        f.config.io = io;
        CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        io_add(&f, (io_brief){.name = "ask",
                              .does_io = true,
                              .hosted = hosted_receive_many,
                              .user = &ends[0]});
        io_start(&f);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(write(ends[1], "a", 1), 1);
        CHECK_EQ(write(ends[1], "bc", 2), 2);
        run_until(&f, 2);
        CHECK_EQ(write(ends[1], "def", 3), 3);
        close(ends[1]);
        run_until(&f, 4);
        CHECK_EQ(f.values[0], 1);
        CHECK_EQ(f.values[1], 2);
        CHECK_EQ(f.values[2], 3);
        CHECK_EQ(f.values[3], 0);
        CHECK_EQ(fol_scheduler_wait(f.scheduler, 0), -ENOENT);
        io_teardown(&f);
        CHECK_EQ(f.dropped, 0);
        close(ends[0]);
    }
}

static void *tick_elsewhere(void *argument)
{
    fol_scheduler *scheduler = argument;
    return (void *)(intptr_t)fol_scheduler_tick(scheduler, 0.1);
}

static int tick_on_another_thread(io_fixture *f)
{
    pthread_t thread;
    void *status = NULL;
    CHECK_EQ(pthread_create(&thread, NULL, tick_elsewhere, f->scheduler), 0);
    CHECK_EQ(pthread_join(thread, &status), 0);
    return (int)(intptr_t)status;
}

static int hosted_poll_later(void *user, fol_task *task)
{
    uint32_t *asked = user;
    if (*asked == 0) {
        io_queue(task, read_silent_pipe(), FOL_IO_LATER, ++*asked);
    }
    return 0;
}

static void test_another_thread_cannot_drive_while_the_ring_is_busy(void)
{
    io_fixture f;
    uint32_t asked = 0;
    io_setup(&f);
    f.config.io = FOL_IO_CHOICE_RING;
    io_add(&f,
           (io_brief){.name = "ask", .does_io = true, .hosted = hosted_poll_later, .user = &asked});
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_STR(fol_scheduler_io(f.scheduler).engine, "uring");
    CHECK_EQ(tick_on_another_thread(&f), -EBUSY);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    io_teardown(&f);
    CHECK_EQ(f.dropped, 1);
}

static int hosted_ask_once(void *user, fol_task *task)
{
    (void)user;
    io_queue(task, nop, FOL_IO_STAGE, 1);
    return 0;
}

static void test_threads_take_turns_while_nothing_is_in_flight(void)
{
    for (fol_io_choice io = FOL_IO_CHOICE_RING; io <= FOL_IO_CHOICE_POOL; io++) {
        io_fixture f;
        io_setup(&f);
        f.config.io = io;
        io_add(&f, (io_brief){.name = "ask", .does_io = true, .hosted = hosted_ask_once});
        io_start(&f);
        CHECK_EQ(tick_on_another_thread(&f), FOL_OK);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(tick_on_another_thread(&f), FOL_OK);
        CHECK_EQ(f.logged, 3);
        io_teardown(&f);
    }
}

static fol_io_result warm_results[64];
static uint8_t warm_buffers[64][64];

static int hosted_warm(void *user, fol_task *task)
{
    (void)user;
    for (uint32_t i = 0; i < 64; i++) {
        fol_io_intent intent = io_read_of(i, i % 2 == 0 ? FOL_IO_STAGE : FOL_IO_PHASE);
        intent.request.buffer = warm_buffers[i];
        intent.request.size = sizeof(warm_buffers[i]);
        intent.result = &warm_results[i];
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    }
    return 0;
}

static void test_warm_frames_allocate_nothing(void)
{
    for (fol_io_choice io = FOL_IO_CHOICE_RING; io <= FOL_IO_CHOICE_POOL; io++) {
        io_fixture f;
        fol_memory_stats before;
        fol_memory_stats after;
        io_setup(&f);
        f.config.io = io;
        io_add(&f, (io_brief){.name = "read", .does_io = true, .hosted = hosted_warm});
        io_start(&f);
        for (int i = 0; i < 10; i++) {
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        }
        fol_memory_read_stats(&before);
        for (int i = 0; i < 20; i++) {
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        }
        fol_memory_read_stats(&after);
        CHECK_EQ(after.allocations, before.allocations);
        for (uint32_t i = 0; i < 64; i++) {
            CHECK_EQ(warm_results[i].value, file_size(i) < 64 ? file_size(i) : 64);
        }
        io_teardown(&f);
    }
}

/* A whole life: made, two frames, a later operation in flight, and gone. True: all went well. */
static bool live_once(uint64_t n, const char *backend)
{
    io_fixture f;
    int status;
    io_setup(&f);
    f.config.backend = backend;
    f.config.workers = 2;
    f.config.errors = FOL_ERRORS_CONTINUE;
    io_spawn(&f, 40);
    io_add(&f,
           (io_brief){
               .name = "load", .does_io = true, .writes_data = true, .chunk = kernel_read_files});
    io_add(&f,
           (io_brief){.name = "later", .does_io = true, .hosted = hosted_fail_later, .phase = 1});
    fol_plan_error error;
    CHECK_EQ(fol_plan_create(f.schedule, &f.plan, &error), 0);
    fol_memory_fail_nth(n);
    status = fol_scheduler_create(f.world, f.plan, f.systems, NULL, &f.config, &f.scheduler);
    CHECK(status == FOL_OK || status == -ENOMEM);
    bool is_good = status == FOL_OK;
    bool all_came = false;
    for (int frame = 0; status == FOL_OK && frame < 2; frame++) {
        int ended = fol_scheduler_tick(f.scheduler, 0.1);
        CHECK(ended == FOL_OK || ended == -ENOMEM);
        bool has_errors = fol_scheduler_frame(f.scheduler)->error_count != 0;
        is_good = is_good && ended == FOL_OK && (frame == 1 || !has_errors);
        all_came = ended == FOL_OK && !has_errors;
    }
    bool was_reached = fol_memory_failure_is_armed() == 0;
    fol_memory_fail_nth(0);
    CHECK(!all_came || count_filled(&f) == 40);
    io_teardown(&f);
    return is_good && !was_reached;
}

static void test_without_memory_a_frame_tells_and_the_next_one_goes_on(void)
{
    const char *const backends[2] = {"blocking", "stealing"};
    for (int i = 0; i < 2; i++) {
        uint64_t n = 1;
        while (!live_once(n, backends[i]) && n < 2000) {
            n++;
        }
        CHECK(n > 20 && n < 2000);
    }
}

static stuck_file stuck;
static char stuck_buffer[16];

static void *note_abandoned(void *user, uint64_t waited_ns)
{
    F->log[F->logged] = (uint64_t)(uintptr_t)user;
    F->values[F->logged] = waited_ns > 0 ? FOL_E_ABANDONED : 0;
    F->logged++;
    return user;
}

static const fol_io_receiver abandoned_receiver = {
    .deliver = log_result, .drop = log_drop, .abandon = note_abandoned};

/* One read that a thread is stuck in, one beside it that nobody asks after, and two that end. */
static int hosted_ask_the_stuck(void *user, fol_task *task)
{
    const fol_io_request requests[4] = {
        {.kind = FOL_IO_READ,
         .flags = FOL_IO_PATH,
         .fd = AT_FDCWD,
         .path = stuck.path,
         .buffer = stuck_buffer,
         .size = sizeof(stuck_buffer)},
        {.kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = stuck.path},
        read_silent_pipe(),
        {.kind = FOL_IO_TIMEOUT, .timeout_ns = UINT64_MAX},
    };
    (void)user;
    for (uint64_t i = 0; i < 4; i++) {
        const fol_io_intent intent = {.request = requests[i],
                                      .until = FOL_IO_LATER,
                                      .receiver = i == 1 ? &log_receiver : &abandoned_receiver,
                                      .user = (void *)(uintptr_t)i};
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    }
    return 0;
}

static void test_what_a_thread_is_stuck_in_is_abandoned_and_the_rest_dropped(void)
{
    uint32_t before = count_descriptors();
    io_fixture f;
    stuck = stuck_file_make();
    io_setup(&f);
    f.config.backend = "stealing";
    f.config.workers = 2;
    f.config.io = FOL_IO_CHOICE_POOL;
    io_add(&f, (io_brief){.name = "ask", .does_io = true, .hosted = hosted_ask_the_stuck});
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    while (fcntl(stuck.fd, F_GETLEASE) == F_WRLCK) {
        /* No thread waits for the lease yet. */
        fol_scheduler_wait(f.scheduler, 0);
    }
    io_teardown(&f);
    CHECK_EQ(f.logged, 1);
    CHECK_EQ(f.log[0], 0);
    CHECK_EQ(f.values[0], FOL_E_ABANDONED);
    stuck_file_release(&stuck);
    await_end_of_pool_threads();
    /* What completed since has told nobody, and left no descriptor. */
    CHECK_EQ(f.logged, 1);
    CHECK_EQ(stuck_buffer[0], 0);
    CHECK_EQ(count_descriptors(), before);
}

int main(void)
{
    make_files();
    CHECK_EQ(pipe2(silent_pipe, O_CLOEXEC), 0);
    RUN(test_an_interrupt_ends_what_the_frame_waits_for_and_nothing_else);
    RUN(test_receivers_and_clocks_of_the_host_find_it_attached);
    RUN(test_a_failure_after_a_replan_is_the_systems_that_carries_on_or_nobodys);
    RUN(test_descriptors_that_nobody_gets_are_closed);
    RUN(test_many_results_of_one_operation_come_one_by_one_until_the_last);
    RUN(test_threads_take_turns_while_nothing_is_in_flight);
    RUN(test_another_thread_cannot_drive_while_the_ring_is_busy);
    RUN(test_warm_frames_allocate_nothing);
    RUN(test_without_memory_a_frame_tells_and_the_next_one_goes_on);
    RUN(test_what_a_thread_is_stuck_in_is_abandoned_and_the_rest_dropped);
    remove_files();
    CHECK_MAIN_END();
}
