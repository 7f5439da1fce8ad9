/* Frames at the ends of their numbers and orders: steps, stamps that wait, interrupts, repeats. */

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "foliot/memory.h"
#include "frame_fixture.h"

static fol_phase_rate fixed_rate(double step_seconds, uint32_t max_steps)
{
    return (fol_phase_rate){
        .kind = FOL_RATE_FIXED, .step_seconds = step_seconds, .max_steps = max_steps};
}

/* Steps of one phase after `frames` frames of dt; *after_ten says how many the first ten made. */
static uint64_t count_steps(double step_seconds, double dt, uint32_t frames, uint64_t *after_ten)
{
    fixture f;
    uint64_t steps = 0;
    setup(&f);
    const fol_phase_rate rate = fixed_rate(step_seconds, 1000);
    CHECK_EQ(start_with_rates(&f, &rate), 0);
    for (uint32_t i = 0; i < frames; i++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, dt), 0);
        steps += fol_scheduler_frame(f.scheduler)->phase_steps[0];
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->dropped_steps, 0);
        if (i == 9) {
            *after_ten = steps;
        }
    }
    teardown(&f);
    return steps;
}

static void test_no_step_is_lost_or_gained_over_ten_thousand_frames(void)
{
    uint64_t after_ten;
    CHECK_EQ(count_steps(0.1, 0.1, 10000, &after_ten), 10000);
    CHECK_EQ(count_steps(0.1, 0.01, 10000, &after_ten), 1000);
    CHECK_EQ(after_ten, 1);
    CHECK_EQ(count_steps(0.1, 0.3, 10000, &after_ten), 30000);
    CHECK_EQ(after_ten, 30);
    CHECK_EQ(count_steps(0.01, 0.1, 10000, &after_ten), 100000);
    CHECK_EQ(count_steps(1.0 / 60.0, 1.0 / 240.0, 10000, &after_ten), 2500);
    CHECK_EQ(count_steps(1.0 / 240.0, 1.0 / 60.0, 10000, &after_ten), 40000);
    CHECK_EQ(count_steps(0.7, 0.1, 10000, &after_ten), 1428);
    CHECK_EQ(count_steps(0.1, 0.0, 100, &after_ten), 0);
    CHECK_EQ(count_steps(0.1, DBL_TRUE_MIN, 100, &after_ten), 0);
    CHECK_EQ(count_steps(DBL_TRUE_MIN, DBL_TRUE_MIN, 100, &after_ten), 100);
}

static void test_more_steps_than_a_number_holds_are_dropped_and_counted(void)
{
    fixture f;
    setup(&f);
    f.config.max_dt = DBL_MAX;
    const fol_phase_rate tiny = fixed_rate(DBL_TRUE_MIN, 2);
    CHECK_EQ(start_with_rates(&f, &tiny), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 1000.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->phase_steps[0], 2);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->dropped_steps, UINT64_MAX);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->phase_steps[0], 0);
    const fol_phase_rate huge = fixed_rate(DBL_MAX, 2);
    CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, &huge), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, DBL_MAX / 2), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->phase_steps[0], 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, DBL_MAX), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, DBL_MAX), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->phase_steps[0], 0);
    teardown(&f);
}

static int hosted_interrupted(void *user, fol_task *task)
{
    (void)task;
    *(int64_t *)user += 1;
    return FOL_E_INTERRUPTED;
}

static void test_an_interrupt_ends_the_steps_of_a_fixed_rate(void)
{
    fixture f;
    setup(&f);
    int64_t calls = 0;
    fol_system *system = add_system(&f, "stop", -1, -1, false);
    system->kind = FOL_SYSTEM_HOSTED;
    system->hosted = hosted_interrupted;
    system->user = &calls;
    const fol_phase_rate rate = fixed_rate(1e-9, UINT32_MAX);
    CHECK_EQ(start_with_rates(&f, &rate), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 4.0), FOL_E_INTERRUPTED);
    CHECK_EQ(calls, 1);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->phase_steps[0], 1);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_INTERRUPTED);
    teardown(&f);
}

/* A hosted system that fails in its first step, beside one that interrupts in the second. */
static int hosted_interrupts_second(void *user, fol_task *task)
{
    (void)task;
    int64_t *calls = user;
    *calls += 1;
    return *calls == 2 ? FOL_E_INTERRUPTED : 0;
}

static void test_what_failed_before_an_interrupt_stays_failed(void)
{
    fixture f;
    setup(&f);
    int64_t calls = 0;
    int code = 7;
    fol_system *stop = add_system(&f, "stop", -1, -1, false);
    stop->kind = FOL_SYSTEM_HOSTED;
    stop->hosted = hosted_interrupts_second;
    stop->user = &calls;
    fol_system *fails = add_system(&f, "fails", -1, -1, false);
    fails->columns_kernel = kernel_fail;
    fails->user = &code;
    const fol_phase_rate rate = fixed_rate(1.0, 3);
    CHECK_EQ(start_with_rates(&f, &rate), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 3.0), FOL_E_INTERRUPTED);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[1].state, FOL_RUN_FAILED);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
    teardown(&f);
}

static int command_fails(void *world, void *argument)
{
    (void)world;
    return *(int *)argument;
}

/* Records a spawn, for which a failing merge finds no memory, and a command that fails. */
static int hosted_records_both(void *user, fol_task *task)
{
    fol_entity entity;
    CHECK_EQ(fol_commands_spawn(task->commands, NULL, 0, &entity), 0);
    CHECK_EQ(fol_commands_call(task->commands, command_fails, NULL, user, false), 0);
    /* The next allocation is the merge's. */
    fol_memory_fail_nth(1);
    return 0;
}

/* Two phases: the third system of the first records, the only one of the second does nothing. */
static void start_waiting_merge(fixture *f, int *code, int64_t *rows)
{
    for (int i = 0; i < 3; i++) {
        const char *names[3] = {"one", "two", "records"};
        fol_system *system = add_system(f, names[i], -1, -1, i == 2);
        system->columns_kernel = kernel_count;
        system->user = rows;
    }
    f->systems[2].kind = FOL_SYSTEM_HOSTED;
    f->systems[2].hosted = hosted_records_both;
    f->systems[2].user = code;
    CHECK_EQ(fol_schedule_add_phase(f->schedule, "late", &f->phase), 0);
    fol_system *late = add_system(f, "late", -1, -1, false);
    late->columns_kernel = kernel_count;
    late->user = rows;
}

static void test_a_command_that_waited_for_another_phase_names_its_own_system(void)
{
    fixture f;
    setup(&f);
    int code = -EINVAL;
    int64_t rows = 0;
    start_waiting_merge(&f, &code, &rows);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    if (CHECK_EQ(frame->error_count, 2)) {
        CHECK_EQ(frame->errors[0].system, 2);
        CHECK_EQ(frame->errors[0].status, -EINVAL);
        CHECK(frame->errors[0].is_merge);
        CHECK_EQ(frame->errors[1].system, UINT32_MAX);
        CHECK_EQ(frame->errors[1].status, -ENOMEM);
    }
    CHECK_EQ(fol_world_entity_count(f.world), 1);
    teardown(&f);
}

static void test_a_command_that_waited_for_another_plan_names_no_system_of_it(void)
{
    fixture f;
    setup(&f);
    int code = -EINVAL;
    int64_t rows = 0;
    start_waiting_merge(&f, &code, &rows);
    /* The second phase never comes, so the commands wait for the next frame. */
    const fol_phase_rate rates[2] = {{.kind = FOL_RATE_FRAMES, .every = 1}, fixed_rate(1000.0, 1)};
    CHECK_EQ(start_with_rates(&f, rates), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
    f.systems[2].kind = FOL_SYSTEM_COLUMNS;
    f.systems[2].columns_kernel = kernel_count;
    f.systems[2].user = &rows;
    CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, rates), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    if (CHECK_EQ(frame->error_count, 1)) {
        CHECK_EQ(frame->errors[0].system, UINT32_MAX);
        CHECK_EQ(frame->errors[0].status, -EINVAL);
    }
    CHECK_EQ(fol_world_entity_count(f.world), 1);
    teardown(&f);
}

#define MANY_ERRORS 300

/* Fails with a different status each time it is called. */
static int command_counts_down(void *world, void *argument)
{
    int *next = argument;
    (void)world;
    *next -= 1;
    return *next;
}

static int hosted_records_many(void *user, fol_task *task)
{
    for (int i = 0; i < MANY_ERRORS; i++) {
        CHECK_EQ(fol_commands_call(task->commands, command_counts_down, NULL, user, false), 0);
    }
    return 0;
}

static void test_the_errors_of_one_system_keep_their_order(void)
{
    fixture f;
    setup(&f);
    int next = 0;
    for (int i = 0; i < 2; i++) {
        fol_system *system = add_system(&f, i == 0 ? "one" : "two", -1, -1, true);
        system->kind = FOL_SYSTEM_HOSTED;
        system->hosted = hosted_records_many;
        system->user = &next;
    }
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    if (CHECK_EQ(frame->error_count, 2 * MANY_ERRORS)) {
        for (int i = 0; i < 2 * MANY_ERRORS; i++) {
            CHECK_EQ(frame->errors[i].status, -(i + 1));
            CHECK_EQ(frame->errors[i].sequence, i);
        }
    }
    teardown(&f);
}

static void test_a_failed_system_finds_the_same_changes_again(void)
{
    fixture f;
    setup(&f);
    int code = 3;
    int64_t rows = 0;
    fol_system *watcher = add_system(&f, "watcher", 2, 1, false);
    watcher->columns_kernel = kernel_count;
    watcher->user = &rows;
    f.terms[0][2] = (fol_term){f.position, FOL_TERM_CHANGED};
    f.queries[0].count = 3;
    fol_system *fails = add_system(&f, "fails", -1, 1, false);
    fails->columns_kernel = kernel_fail;
    fails->user = &code;
    f.terms[1][1] = (fol_term){f.position, FOL_TERM_CHANGED};
    f.queries[1].count = 2;
    spawn_floats(&f, 4, 0.0f, 0.0f);
    start(&f);
    /* The resource is missing, so the watcher never came to the rows. */
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 2);
    float g = 1.0f;
    CHECK_EQ(fol_world_insert(f.world, &(fol_value){f.gravity, &g}), 0);
    code = 0;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(rows, 4);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[1].rows, 4);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(rows, 4);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[1].rows, 0);
    teardown(&f);
}

static void test_owed_time_follows_the_name_of_its_phase(void)
{
    fixture f;
    setup(&f);
    const fol_phase_rate rate = fixed_rate(1.0, 8);
    CHECK_EQ(start_with_rates(&f, &rate), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.75), 0);
    fol_schedule *schedule;
    fol_plan *plan;
    uint32_t phase;
    CHECK_EQ(fol_schedule_create(NULL, &schedule), 0);
    CHECK_EQ(fol_schedule_add_phase(schedule, "first", &phase), 0);
    CHECK_EQ(fol_schedule_add_phase(schedule, "update", &phase), 0);
    CHECK_EQ(fol_plan_create(schedule, &plan, NULL), 0);
    const fol_phase_rate rates[2] = {rate, rate};
    CHECK_EQ(fol_scheduler_replan(f.scheduler, plan, f.systems, rates), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.25), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->phase_steps[0], 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->phase_steps[1], 1);
    teardown(&f);
    fol_plan_destroy(plan);
    fol_schedule_destroy(schedule);
}

static void test_two_schedulers_of_one_world_see_each_others_changes_once(void)
{
    fixture f;
    fixture g;
    int64_t rows = 0;
    setup(&f);
    setup(&g);
    fol_world *own = g.world;
    g.world = f.world;
    fol_system *mover = add_system(&f, "move", 0, 1, false);
    mover->columns_kernel = kernel_move;
    fol_system *watcher = add_system(&g, "watch", -1, 1, false);
    watcher->columns_kernel = kernel_count;
    watcher->user = &rows;
    g.terms[0][0] = (fol_term){f.velocity, FOL_TERM_READ};
    g.terms[0][1] = (fol_term){f.position, FOL_TERM_CHANGED};
    g.queries[0].count = 2;
    spawn_floats(&f, 5, 0.0f, 1.0f);
    start(&f);
    start(&g);
    for (int frame = 1; frame <= 3; frame++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
        CHECK_EQ(fol_scheduler_tick(g.scheduler, 0.0), 0);
        CHECK_EQ(rows, 5 * frame);
        CHECK_EQ(fol_scheduler_tick(g.scheduler, 0.0), 0);
        CHECK_EQ(rows, 5 * frame);
    }
    g.world = own;
    teardown(&g);
    teardown(&f);
}

typedef struct slow_host {
    int asked;
    int runs;
} slow_host;

static void host_ignores(void *state)
{
    (void)state;
}

static int host_counts(void *state)
{
    ((slow_host *)state)->asked++;
    return 0;
}

/* Takes longer than the time between two looks at the host. */
static int kernel_slow(void **columns, ptrdiff_t rows, void *user)
{
    (void)columns;
    (void)rows;
    slow_host *host = user;
    uint64_t end = fol_clock_monotonic.now_ns(NULL) + UINT64_C(3000000);
    while (fol_clock_monotonic.now_ns(NULL) < end) {
    }
    host->runs++;
    return 0;
}

static void test_rows_of_several_runs_bring_a_look_at_the_host(void)
{
    fixture f;
    setup(&f);
    slow_host host = {0};
    fol_system *system = add_system(&f, "slow", 0, -1, false);
    system->columns_kernel = kernel_slow;
    system->user = &host;
    system->max_rows = 10;
    f.config.host = (fol_host){
        .state = &host, .attach = host_ignores, .detach = host_ignores, .pending = host_counts};
    const float one = 1.0f;
    const fol_source source = {&one, 0};
    for (int i = 0; i < 4; i++) {
        /* Four tables of six rows: no run is full. */
        char name[16];
        snprintf(name, sizeof(name), "Tag%d", i);
        const fol_component_spec spec = {.name = name};
        fol_component *tag;
        CHECK_EQ(fol_component_create(&spec, &tag), 0);
        const fol_bulk bulks[2] = {{f.position, &source}, {tag, NULL}};
        CHECK_EQ(fol_world_spawn_many(f.world, 6, bulks, 2, NULL), 0);
        fol_component_release(tag);
    }
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(host.runs, 4);
    CHECK(host.asked >= 2); /* after 12 and 24 rows */
    teardown(&f);
}

static void count_drop(void *argument)
{
    *(int64_t *)argument += 1;
}

static int hosted_records_dropped(void *user, fol_task *task)
{
    fol_entity entity;
    CHECK_EQ(fol_commands_spawn(task->commands, NULL, 0, &entity), 0);
    CHECK_EQ(fol_commands_call(task->commands, command_fails, count_drop, user, false), 0);
    fol_memory_fail_nth(1);
    return 0;
}

static void test_a_scheduler_destroyed_with_waiting_commands_drops_them_once(void)
{
    for (int world_first = 0; world_first < 2; world_first++) {
        fixture f;
        setup(&f);
        int64_t drops = 0;
        fol_system *system = add_system(&f, "records", -1, -1, true);
        system->kind = FOL_SYSTEM_HOSTED;
        system->hosted = hosted_records_dropped;
        system->user = &drops;
        start(&f);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
        CHECK_EQ(fol_commands_count(fol_scheduler_commands(f.scheduler, 0)), 2);
        CHECK_EQ(drops, 0);
        if (world_first) {
            fol_world_destroy(f.world);
            f.world = NULL;
        }
        fol_scheduler_destroy(f.scheduler);
        f.scheduler = NULL;
        CHECK_EQ(drops, 1);
        teardown(&f);
    }
}

static int hosted_forks(void *user, fol_task *task)
{
    (void)task;
    pid_t child = fork();
    if (child == 0) {
        fol_scheduler_destroy(*(fol_scheduler **)user);
        _exit(0);
    }
    int status = 1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    return 0;
}

static void test_a_child_forked_in_a_frame_may_destroy_the_scheduler(void)
{
    fixture f;
    setup(&f);
    fol_system *system = add_system(&f, "forks", -1, -1, false);
    system->kind = FOL_SYSTEM_HOSTED;
    system->hosted = hosted_forks;
    system->user = &f.scheduler;
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    teardown(&f);
}

static void test_a_pacer_of_a_very_long_period_stays_on_its_grid(void)
{
    fol_pacer pacer;
    fol_pacer_init(&pacer, UINT64_MAX - 1, 2, 100);
    fol_pacer_begin_frame(&pacer, 100);
    CHECK(fol_pacer_wait_ns(&pacer, 200) > UINT64_MAX / 2);
    fol_pacer_begin_frame(&pacer, UINT64_MAX);
    CHECK_EQ(pacer.dropped_frames, 0);
}

int main(void)
{
    RUN(test_no_step_is_lost_or_gained_over_ten_thousand_frames);
    RUN(test_more_steps_than_a_number_holds_are_dropped_and_counted);
    RUN(test_an_interrupt_ends_the_steps_of_a_fixed_rate);
    RUN(test_what_failed_before_an_interrupt_stays_failed);
    RUN(test_a_command_that_waited_for_another_phase_names_its_own_system);
    RUN(test_a_command_that_waited_for_another_plan_names_no_system_of_it);
    RUN(test_the_errors_of_one_system_keep_their_order);
    RUN(test_a_failed_system_finds_the_same_changes_again);
    RUN(test_owed_time_follows_the_name_of_its_phase);
    RUN(test_two_schedulers_of_one_world_see_each_others_changes_once);
    RUN(test_rows_of_several_runs_bring_a_look_at_the_host);
    RUN(test_a_scheduler_destroyed_with_waiting_commands_drops_them_once);
    RUN(test_a_child_forked_in_a_frame_may_destroy_the_scheduler);
    RUN(test_a_pacer_of_a_very_long_period_stays_on_its_grid);
    CHECK_MAIN_END();
}
