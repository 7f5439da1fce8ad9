/* Frames over a real world and plan, without an interpreter. */

#include <math.h>

#include "frame_fixture.h"

static void test_a_kernel_goes_over_every_row_once_a_frame(void)
{
    fixture f;
    setup(&f);
    add_system(&f, "move", 0, 1, false)->columns_kernel = kernel_move;
    spawn_floats(&f, 1000, 1.0f, 0.5f);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), 0);
    CHECK(first_position(&f) == 1.5f);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    CHECK_EQ(frame->frame, 0);
    CHECK_EQ(frame->systems[0].rows, 1000);
    CHECK_EQ(frame->systems[0].tasks, 1);
    CHECK_EQ(frame->systems[0].state, FOL_RUN_DONE);
    uint64_t done = 0;
    CHECK_EQ(fol_scheduler_tick_many(f.scheduler, 9, 0.1, &done), 0);
    CHECK_EQ(done, 9);
    CHECK(first_position(&f) == 6.0f);
    CHECK_EQ(fol_scheduler_frame_number(f.scheduler), 10);
    CHECK(fabs(fol_scheduler_frame(f.scheduler)->time - 0.9) < 1e-9);
    teardown(&f);
}

static void test_rows_are_cut_where_the_system_says(void)
{
    fixture f;
    setup(&f);
    int64_t rows = 0;
    fol_system *system = add_system(&f, "count", -1, 0, false);
    system->columns_kernel = kernel_count;
    system->user = &rows;
    system->max_rows = 7;
    spawn_floats(&f, 20, 0.0f, 0.0f);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(rows, 20);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].tasks, 3);
    teardown(&f);
}

typedef struct row_log {
    ptrdiff_t calls;
    ptrdiff_t rows[64];
} row_log;

/* Ten microseconds a row, at least. */
static int kernel_slow_rows(void **columns, ptrdiff_t rows, void *user)
{
    const fol_clock *clock = &fol_clock_monotonic;
    uint64_t end = clock->now_ns(NULL) + (uint64_t)rows * 10000;
    row_log *log = user;
    (void)columns;
    if (log->calls < 64) {
        log->rows[log->calls] = rows;
    }
    log->calls++;
    while (clock->now_ns(NULL) < end) {
    }
    return 0;
}

static void test_a_slow_kernel_gets_fewer_rows_a_call(void)
{
    fixture f;
    setup(&f);
    row_log log = {0};
    fol_system *slow = add_system(&f, "slow", 0, -1, false);
    slow->columns_kernel = kernel_slow_rows;
    slow->user = &log;
    spawn_floats(&f, 3000, 0.0f, 0.0f);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(log.rows[0], 1024);
    CHECK(log.calls > 8 && log.rows[1] <= 205 && log.rows[7] <= 410);
    teardown(&f);
}

static void test_a_fast_kernel_comes_to_get_whole_tables(void)
{
    fixture f;
    setup(&f);
    add_system(&f, "move", 0, 1, false)->columns_kernel = kernel_move;
    spawn_floats(&f, 20000, 0.0f, 1.0f);
    start(&f);
    int frames = 0;
    do {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
        frames++;
    } while (fol_scheduler_frame(f.scheduler)->systems[0].tasks > 1 && frames < 1000);
    CHECK(frames > 1 && frames < 1000);
    CHECK(first_position(&f) == (float)frames);
    teardown(&f);
}

static void test_a_system_without_components_is_called_once_with_its_resources(void)
{
    fixture f;
    setup(&f);
    fol_system *add = add_system(&f, "add", 2, -1, false);
    add->columns_kernel = kernel_move;
    int64_t rows = 0;
    f.terms[0][1] = (fol_term){f.gravity, FOL_TERM_READ};
    f.queries[0].count = 2;
    fol_system *none = add_system(&f, "none", -1, -1, false);
    none->columns_kernel = kernel_count;
    none->user = &rows;
    float g = 4.0f;
    start(&f);
    spawn_floats(&f, 50, 0.0f, 0.0f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->errors[0].status, FOL_E_MISSING);
    CHECK_EQ(rows, 1);
    CHECK_EQ(fol_world_insert(f.world, &(fol_value){f.gravity, &g}), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK(*(float *)fol_world_resource(f.world, f.gravity) == 8.0f);
    CHECK_EQ(rows, 2);
    teardown(&f);
}

static int chunk_spawner(const fol_chunk *chunk, void *user)
{
    fol_component *velocity = user;
    float value = (float)chunk->frame;
    const fol_value values[2] = {{chunk->components[0], &value}, {velocity, &value}};
    fol_entity entity;
    int status = chunk->api->spawn(chunk->commands, values, 2, &entity);
    return status == 0 && fol_entity_is_provisional(entity) ? 0 : 1;
}

static void test_a_later_reader_sees_what_was_spawned_in_the_same_frame(void)
{
    fixture f;
    setup(&f);
    int64_t early = 0;
    int64_t late = 0;
    fol_system *before = add_system(&f, "before", -1, 0, false);
    before->columns_kernel = kernel_count;
    before->user = &early;
    fol_system *spawner = add_system(&f, "spawner", -1, 0, true);
    spawner->kind = FOL_SYSTEM_CHUNK;
    spawner->chunk_kernel = chunk_spawner;
    spawner->user = f.velocity;
    fol_system *after = add_system(&f, "after", -1, 0, false);
    after->columns_kernel = kernel_count;
    after->user = &late;
    spawn_floats(&f, 1, 0.0f, 0.0f);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(early, 1);
    CHECK_EQ(late, 2);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    CHECK_EQ(frame->merged.applied[FOL_COMMAND_SPAWN], 1);
    CHECK_EQ(fol_world_entity_count(f.world), 2);
    teardown(&f);
}

static void test_a_failed_system_fails_the_frame_after_the_others_ran(void)
{
    fixture f;
    setup(&f);
    int code = 5;
    int64_t rows = 0;
    fol_system *bad = add_system(&f, "bad", 0, -1, false);
    bad->columns_kernel = kernel_fail;
    bad->user = &code;
    fol_system *good = add_system(&f, "good", 0, -1, false);
    good->columns_kernel = kernel_count;
    good->user = &rows;
    spawn_floats(&f, 10, 0.0f, 0.0f);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    CHECK_EQ(frame->error_count, 1);
    CHECK_EQ(frame->errors[0].system, 0);
    CHECK_EQ(frame->errors[0].status, FOL_E_KERNEL);
    CHECK_EQ(frame->errors[0].code, 5);
    CHECK_EQ(rows, 10);
    uint64_t done = 0;
    CHECK_EQ(fol_scheduler_tick_many(f.scheduler, 5, 0.0, &done), FOL_E_FRAME);
    CHECK_EQ(done, 1);
    teardown(&f);
}

static void test_quarantine_switches_off_after_the_given_failures(void)
{
    fixture f;
    setup(&f);
    int code = -1;
    fol_system *bad = add_system(&f, "bad", 0, -1, false);
    bad->columns_kernel = kernel_fail;
    bad->user = &code;
    spawn_floats(&f, 1, 0.0f, 0.0f);
    f.config.errors = FOL_ERRORS_QUARANTINE;
    f.config.quarantine_after = 2;
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->quarantined_count, 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    CHECK_EQ(frame->quarantined_count, 1);
    CHECK_EQ(frame->quarantined[0], 0);
    CHECK_EQ(frame->systems[0].state, FOL_RUN_FAILED);
    CHECK(!fol_scheduler_is_enabled(f.scheduler, 0));
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_QUARANTINED);
    CHECK_EQ(fol_scheduler_enable(f.scheduler, 0, true), 0);
    code = 0;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_DONE);
    teardown(&f);
}

static void test_commands_of_a_failed_system_are_discarded_whole(void)
{
    fixture f;
    setup(&f);
    int status = FOL_E_HOST;
    fol_system *system = add_system(&f, "spawn", -1, -1, true);
    system->kind = FOL_SYSTEM_HOSTED;
    system->hosted = hosted_record_then_fail;
    system->user = &status;
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    CHECK_EQ(fol_world_entity_count(f.world), 0);
    status = 0;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_world_entity_count(f.world), 1);
    teardown(&f);
}

static int custom_fails(void *world, void *argument)
{
    (void)world;
    (void)argument;
    return FOL_E_HOST;
}

static int hosted_calls(void *user, fol_task *task)
{
    (void)user;
    return fol_commands_call(task->commands, custom_fails, NULL, NULL, false);
}

static void test_a_failed_custom_command_names_its_system(void)
{
    fixture f;
    setup(&f);
    add_system(&f, "first", -1, 0, false)->columns_kernel = kernel_count;
    int64_t rows = 0;
    f.systems[0].user = &rows;
    fol_system *system = add_system(&f, "calls", -1, -1, true);
    system->kind = FOL_SYSTEM_HOSTED;
    system->hosted = hosted_calls;
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    CHECK_EQ(frame->error_count, 1);
    CHECK_EQ(frame->errors[0].system, 1);
    CHECK(frame->errors[0].is_merge);
    teardown(&f);
}

static int condition_of_user(void *user, fol_task *task)
{
    (void)task;
    return *(int *)user;
}

static void test_a_condition_is_asked_each_frame_and_skipping_releases_the_rest(void)
{
    fixture f;
    setup(&f);
    int answer = 0;
    int64_t first = 0;
    int64_t second = 0;
    fol_system *a = add_system(&f, "a", 0, -1, false);
    a->columns_kernel = kernel_count;
    a->user = &first;
    a->condition = condition_of_user;
    a->condition_user = &answer;
    fol_system *b = add_system(&f, "b", 0, -1, false);
    b->columns_kernel = kernel_count;
    b->user = &second;
    spawn_floats(&f, 3, 0.0f, 0.0f);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_SKIPPED);
    CHECK_EQ(first, 0);
    CHECK_EQ(second, 3);
    answer = 1;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(first, 3);
    CHECK_EQ(fol_scheduler_enable(f.scheduler, 0, false), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_DISABLED);
    CHECK_EQ(first, 3);
    answer = FOL_E_HOST;
    CHECK_EQ(fol_scheduler_enable(f.scheduler, 0, true), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    CHECK_EQ(second, 12);
    teardown(&f);
}

static void test_phases_run_at_their_rates(void)
{
    fixture f;
    setup(&f);
    int64_t rows = 0;
    fol_system *system = add_system(&f, "count", -1, -1, false);
    system->columns_kernel = kernel_count;
    system->user = &rows;
    const fol_phase_rate every = {.kind = FOL_RATE_FRAMES, .every = 3};
    CHECK_EQ(start_with_rates(&f, &every), 0);
    for (int i = 0; i < 7; i++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    }
    CHECK_EQ(rows, 3);
    const fol_phase_rate fixed = {.kind = FOL_RATE_FIXED, .step_seconds = 0.25, .max_steps = 4};
    CHECK_EQ(fol_scheduler_replan(f.scheduler, f.plan, f.systems, &fixed), 0);
    rows = 0;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.375), 0);
    CHECK_EQ(rows, 1);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.375), 0);
    CHECK_EQ(rows, 3);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 2.5), 0);
    CHECK_EQ(rows, 7);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->dropped_steps, 6);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->phase_steps[0], 4);
    teardown(&f);
}

static void test_a_changed_query_sees_each_change_once(void)
{
    fixture f;
    setup(&f);
    int64_t rows = 0;
    fol_system *watcher = add_system(&f, "watcher", -1, 1, false);
    watcher->columns_kernel = kernel_count;
    watcher->user = &rows;
    f.terms[0][1] = (fol_term){f.position, FOL_TERM_CHANGED};
    f.queries[0].count = 2;
    spawn_floats(&f, 4, 0.0f, 0.0f);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(rows, 4);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(rows, 4);
    fol_entity entity;
    float zero = 0.0f;
    const fol_value values[2] = {{f.position, &zero}, {f.velocity, &zero}};
    CHECK_EQ(fol_world_spawn(f.world, values, 2, &entity), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(rows, 5);
    CHECK_EQ(fol_world_set(f.world, entity, values, 1), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(rows, 6);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(rows, 6);
    teardown(&f);
}

int main(void)
{
    RUN(test_a_kernel_goes_over_every_row_once_a_frame);
    RUN(test_rows_are_cut_where_the_system_says);
    RUN(test_a_slow_kernel_gets_fewer_rows_a_call);
    RUN(test_a_fast_kernel_comes_to_get_whole_tables);
    RUN(test_a_system_without_components_is_called_once_with_its_resources);
    RUN(test_a_later_reader_sees_what_was_spawned_in_the_same_frame);
    RUN(test_a_failed_system_fails_the_frame_after_the_others_ran);
    RUN(test_quarantine_switches_off_after_the_given_failures);
    RUN(test_commands_of_a_failed_system_are_discarded_whole);
    RUN(test_a_failed_custom_command_names_its_system);
    RUN(test_a_condition_is_asked_each_frame_and_skipping_releases_the_rest);
    RUN(test_phases_run_at_their_rates);
    RUN(test_a_changed_query_sees_each_change_once);
    CHECK_MAIN_END();
}
