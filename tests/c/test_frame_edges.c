/* Frames at their edges: bad arguments, the host and its interrupts, memory, forks, pacing. */

#include <errno.h>
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "foliot/memory.h"
#include "frame_fixture.h"

static void test_bad_arguments_run_nothing(void)
{
    fixture f;
    setup(&f);
    int64_t rows = 0;
    fol_system *system = add_system(&f, "count", -1, -1, false);
    system->columns_kernel = kernel_count;
    system->user = &rows;
    f.config.backend = "sundial";
    CHECK_EQ(start_with_rates(&f, NULL), FOL_E_VALUE);
    fol_plan_destroy(f.plan);
    const fol_phase_rate never = {.kind = FOL_RATE_FRAMES, .every = 0};
    f.config.backend = "stealing";
    CHECK_EQ(start_with_rates(&f, &never), FOL_E_VALUE);
    fol_plan_destroy(f.plan);
    start(&f);
    fol_backend_info info = fol_scheduler_backend(f.scheduler);
    CHECK_STR(info.requested, "stealing");
    CHECK(info.reason[0] != 0 || strcmp(info.actual, "stealing") == 0);
    const double bad[] = {-1.0, NAN, INFINITY, 1e9};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, bad[i]), FOL_E_VALUE);
    }
    CHECK_EQ(fol_world_lock(f.world), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_BUSY);
    fol_world_unlock(f.world);
    CHECK_EQ(rows, 0);
    CHECK_EQ(fol_scheduler_frame_number(f.scheduler), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    teardown(&f);
}

typedef struct fake_host {
    int attached;
    int switches;
    int pending;
    int bad_calls;
} fake_host;

static void host_attach(void *state)
{
    fake_host *host = state;
    host->bad_calls += host->attached;
    host->attached = 1;
    host->switches++;
}

static void host_detach(void *state)
{
    fake_host *host = state;
    host->bad_calls += !host->attached;
    host->attached = 0;
}

static int host_pending(void *state)
{
    fake_host *host = state;
    host->bad_calls += !host->attached;
    return host->pending;
}

static int hosted_needs_attachment(void *user, fol_task *task)
{
    fake_host *host = user;
    host->bad_calls += !host->attached;
    task->rows += 4;
    return 0;
}

static int kernel_needs_detachment(void **columns, ptrdiff_t rows, void *user)
{
    fake_host *host = user;
    (void)columns;
    (void)rows;
    host->bad_calls += host->attached;
    return 0;
}

static int condition_needs_attachment(void *user, fol_task *task)
{
    fake_host *host = user;
    (void)task;
    host->bad_calls += !host->attached;
    return 1;
}

static void test_a_condition_of_the_host_does_not_bring_the_kernel_under_its_lock(void)
{
    fixture f;
    setup(&f);
    fake_host host = {.attached = 1};
    fol_system *system = add_system(&f, "native", -1, -1, false);
    system->columns_kernel = kernel_needs_detachment;
    system->user = &host;
    system->condition = condition_needs_attachment;
    system->condition_user = &host;
    system->condition_needs_host = true;
    f.config.host = (fol_host){
        .state = &host, .attach = host_attach, .detach = host_detach, .pending = host_pending};
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(host.bad_calls, 0);
    CHECK_EQ(host.attached, 1);
    teardown(&f);
}

static void test_only_systems_that_need_the_host_run_attached(void)
{
    fixture f;
    setup(&f);
    fake_host host = {.attached = 1};
    for (int i = 0; i < 3; i++) {
        const char *names[3] = {"native", "hosted", "other"};
        fol_system *system = add_system(&f, names[i], 2, -1, false);
        system->user = &host;
        system->columns_kernel = kernel_needs_detachment;
        if (i == 1) {
            system->kind = FOL_SYSTEM_HOSTED;
            system->hosted = hosted_needs_attachment;
            system->needs_host = true;
        }
    }
    f.config.host = (fol_host){
        .state = &host, .attach = host_attach, .detach = host_detach, .pending = host_pending};
    float g = 1.0f;
    CHECK_EQ(fol_world_insert(f.world, &(fol_value){f.gravity, &g}), 0);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(host.bad_calls, 0);
    CHECK_EQ(host.attached, 1);
    CHECK_EQ(host.switches, 2);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[1].rows, 4);
    teardown(&f);
}

static void test_a_batch_without_systems_of_the_host_stays_detached(void)
{
    fixture f;
    setup(&f);
    fake_host host = {.attached = 1};
    fol_system *system = add_system(&f, "native", -1, -1, false);
    system->columns_kernel = kernel_needs_detachment;
    system->user = &host;
    f.config.host = (fol_host){
        .state = &host, .attach = host_attach, .detach = host_detach, .pending = host_pending};
    start(&f);
    uint64_t done = 0;
    CHECK_EQ(fol_scheduler_tick_many(f.scheduler, 3, 0.0, &done), 0);
    CHECK_EQ(done, 3);
    CHECK_EQ(host.switches, 2); /* for the last frame's clock, and at the end */
    CHECK_EQ(host.attached, 1);
    CHECK_EQ(host.bad_calls, 0);
    teardown(&f);
}

static void test_an_interrupt_between_frames_of_nothing_is_seen(void)
{
    fixture f;
    setup(&f);
    fake_host host = {.attached = 1, .pending = 1};
    f.config.host = (fol_host){
        .state = &host, .attach = host_attach, .detach = host_detach, .pending = host_pending};
    start(&f);
    uint64_t done = 0;
    CHECK_EQ(fol_scheduler_tick_many(f.scheduler, UINT64_MAX, 0.0, &done), FOL_E_INTERRUPTED);
    CHECK_EQ(host.attached, 1);
    CHECK_EQ(host.bad_calls, 0);
    teardown(&f);
}

typedef struct slow_host {
    uint32_t looks;
    uint64_t first_ns;
    uint64_t last_ns;
} slow_host;

#define LOOKS   5u
#define LOOK_NS UINT64_C(1000000)

static void slow_host_switch(void *state)
{
    (void)state;
}

/* Takes its time, and the last look stops the frames. */
static int slow_host_pending(void *state)
{
    slow_host *host = state;
    uint64_t start = fol_clock_monotonic.now_ns(NULL);
    host->first_ns = host->looks == 0 ? start : host->first_ns;
    host->last_ns = start;
    while (fol_clock_monotonic.now_ns(NULL) - start < LOOK_NS) {
    }
    host->looks++;
    return host->looks == LOOKS;
}

static void test_a_host_that_takes_long_is_looked_at_less_often(void)
{
    fixture f;
    setup(&f);
    slow_host host = {0};
    int64_t rows = 0;
    fol_system *system = add_system(&f, "native", -1, -1, false);
    system->columns_kernel = kernel_count;
    system->user = &rows;
    f.config.host = (fol_host){.state = &host,
                               .attach = slow_host_switch,
                               .detach = slow_host_switch,
                               .pending = slow_host_pending};
    start(&f);
    uint64_t done = 0;
    CHECK_EQ(fol_scheduler_tick_many(f.scheduler, UINT64_MAX, 0.0, &done), FOL_E_INTERRUPTED);
    CHECK_EQ(host.looks, LOOKS);
    /* Sixteen times as long as each look took; cycles are measured to some percents. */
    CHECK(host.last_ns - host.first_ns >= 15 * (LOOKS - 1) * LOOK_NS);
    teardown(&f);
}

static void test_an_interrupt_ends_a_long_row_of_empty_steps(void)
{
    fixture f;
    setup(&f);
    fake_host host = {.attached = 1, .pending = 1};
    f.config.host = (fol_host){
        .state = &host, .attach = host_attach, .detach = host_detach, .pending = host_pending};
    const fol_phase_rate rate = {
        .kind = FOL_RATE_FIXED, .step_seconds = 1e-7, .max_steps = UINT32_MAX};
    CHECK_EQ(start_with_rates(&f, &rate), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 400.0), FOL_E_INTERRUPTED);
    CHECK(fol_scheduler_frame(f.scheduler)->phase_steps[0] < 2000000000u);
    teardown(&f);
}

static int kernel_spin(void **columns, ptrdiff_t rows, void *user)
{
    const fol_clock *clock = &fol_clock_monotonic;
    uint64_t end = clock->now_ns(NULL) + UINT64_C(20000000);
    (void)columns;
    (void)rows;
    (void)user;
    while (clock->now_ns(NULL) < end) {
    }
    return 0;
}

static void test_an_interrupt_stops_the_frame_and_keeps_finished_work(void)
{
    fixture f;
    setup(&f);
    fake_host host = {.attached = 1};
    int status = 0;
    int64_t rows = 0;
    fol_system *spawner = add_system(&f, "spawner", -1, -1, true);
    spawner->kind = FOL_SYSTEM_HOSTED;
    spawner->hosted = hosted_record_then_fail;
    spawner->user = &status;
    add_system(&f, "slow", -1, -1, false)->columns_kernel = kernel_spin;
    fol_system *last = add_system(&f, "last", -1, -1, false);
    last->columns_kernel = kernel_count;
    last->user = &rows;
    f.config.host = (fol_host){
        .state = &host, .attach = host_attach, .detach = host_detach, .pending = host_pending};
    start(&f);
    host.pending = 1;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_INTERRUPTED);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    CHECK(frame->was_interrupted);
    CHECK_EQ(frame->systems[2].state, FOL_RUN_INTERRUPTED);
    CHECK_EQ(rows, 0);
    CHECK_EQ(fol_world_entity_count(f.world), 1);
    host.pending = 0;
    status = FOL_E_INTERRUPTED;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_INTERRUPTED);
    CHECK_EQ(fol_world_entity_count(f.world), 1);
    status = 0;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(rows, 1);
    CHECK_EQ(host.bad_calls, 0);
    teardown(&f);
}

static void test_a_warm_frame_without_commands_allocates_nothing(void)
{
    fixture f;
    setup(&f);
    add_system(&f, "move", 0, 1, false)->columns_kernel = kernel_move;
    int64_t rows = 0;
    fol_system *count = add_system(&f, "count", -1, 0, true);
    count->columns_kernel = kernel_count;
    count->user = &rows;
    spawn_floats(&f, 500, 0.0f, 1.0f);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    uint64_t done;
    CHECK_EQ(fol_scheduler_tick_many(f.scheduler, 100, 0.0, &done), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.allocations, before.allocations);
    teardown(&f);
}

static void test_a_replan_keeps_what_carried_systems_had(void)
{
    fixture f;
    setup(&f);
    int64_t rows = 0;
    fol_system *count = add_system(&f, "count", -1, -1, false);
    count->columns_kernel = kernel_count;
    count->user = &rows;
    start(&f);
    CHECK_EQ(fol_scheduler_enable(f.scheduler, 0, false), 0);
    f.systems[0].carries_state = 0;
    CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL), 0);
    CHECK(!fol_scheduler_is_enabled(f.scheduler, 0));
    f.systems[0].carries_state = -1;
    CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL), 0);
    CHECK(fol_scheduler_is_enabled(f.scheduler, 0));
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    double cost = 0.0;
    fol_scheduler_costs(f.scheduler, &cost);
    CHECK(cost > 0.0);
    teardown(&f);
}

static void test_a_failed_allocation_leaves_no_scheduler_and_no_leak(void)
{
    fixture f;
    setup(&f);
    add_system(&f, "move", 0, 1, false)->columns_kernel = kernel_move;
    add_system(&f, "resource", 2, -1, false)->columns_kernel = kernel_move;
    CHECK_EQ(fol_plan_create(f.schedule, &f.plan, NULL), 0);
    fol_query *warm = NULL;
    CHECK_EQ(fol_query_create(f.world, f.terms[0], 2, &warm), 0);
    fol_query_destroy(warm);
    fol_memory_stats before;
    fol_memory_stats after;
    int status = -ENOMEM;
    uint64_t nth = 0;
    while (status != 0) {
        fol_memory_read_stats(&before);
        fol_memory_fail_nth(++nth);
        status = fol_scheduler_create(f.world, f.plan, f.systems, NULL, &f.config, &f.scheduler);
        bool was_hit = !fol_memory_failure_is_armed();
        fol_memory_fail_nth(0);
        fol_memory_read_stats(&after);
        if (status != 0) {
            CHECK_EQ(status, -ENOMEM);
            CHECK(was_hit);
            CHECK(after.live_blocks <= before.live_blocks + 1); /* the world may learn a type */
        }
    }
    CHECK(nth > 10);
    status = -ENOMEM;
    for (nth = 1; status != 0; nth++) {
        fol_memory_fail_nth(nth);
        status = fol_scheduler_replan(f.scheduler, f.plan, f.systems, NULL);
        fol_memory_fail_nth(0);
    }
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    teardown(&f);
}

static void test_a_forked_child_may_not_drive_the_scheduler(void)
{
    fixture f;
    setup(&f);
    start(&f);
    pid_t child = fork();
    if (child == 0) {
        _exit(fol_scheduler_tick(f.scheduler, 0.0) == FOL_E_FORKED ? 0 : 1);
    }
    int status = 1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    teardown(&f);
}

static void test_the_pacer_keeps_its_grid_and_bounds_catching_up(void)
{
    fol_pacer pacer;
    fol_pacer_init(&pacer, 10, 2, 100);
    CHECK_EQ(fol_pacer_wait_ns(&pacer, 100), 0);
    fol_pacer_begin_frame(&pacer, 103);
    CHECK_EQ(pacer.late_frames, 0);
    CHECK_EQ(fol_pacer_wait_ns(&pacer, 104), 6);
    fol_pacer_begin_frame(&pacer, 155); /* 45 late: four grid points behind, two kept */
    CHECK_EQ(pacer.late_frames, 1);
    CHECK_EQ(pacer.dropped_frames, 2);
    CHECK_EQ(pacer.max_lateness_ns, 45);
    CHECK_EQ(pacer.next_ns, 140);
    CHECK_EQ(fol_pacer_wait_ns(&pacer, 155), 0);
    fol_pacer_init(&pacer, 0, 2, 100);
    fol_pacer_begin_frame(&pacer, 500);
    CHECK_EQ(fol_pacer_wait_ns(&pacer, 0), 0);
    CHECK_EQ(pacer.late_frames, 0);
}

int main(void)
{
    RUN(test_bad_arguments_run_nothing);
    RUN(test_a_condition_of_the_host_does_not_bring_the_kernel_under_its_lock);
    RUN(test_only_systems_that_need_the_host_run_attached);
    RUN(test_a_batch_without_systems_of_the_host_stays_detached);
    RUN(test_an_interrupt_between_frames_of_nothing_is_seen);
    RUN(test_a_host_that_takes_long_is_looked_at_less_often);
    RUN(test_an_interrupt_ends_a_long_row_of_empty_steps);
    RUN(test_an_interrupt_stops_the_frame_and_keeps_finished_work);
    RUN(test_a_warm_frame_without_commands_allocates_nothing);
    RUN(test_a_replan_keeps_what_carried_systems_had);
    RUN(test_a_failed_allocation_leaves_no_scheduler_and_no_leak);
    RUN(test_a_forked_child_may_not_drive_the_scheduler);
    RUN(test_the_pacer_keeps_its_grid_and_bounds_catching_up);
    CHECK_MAIN_END();
}
