/* What becomes of the I/O that systems ask for: when it is delivered, and to whom. */

#include "frame_io_model.h"

static const fol_io_request nop = {.kind = FOL_IO_NOP};

/* Nobody will write to it. */
static int silent_pipe[2];

static fol_io_request read_silent_pipe(void)
{
    return (fol_io_request){.kind = FOL_IO_POLL, .fd = silent_pipe[0], .options = 1};
}

static void test_a_frame_fills_bytes_with_files(void)
{
    io_fixture f;
    io_setup(&f);
    io_spawn(&f, 200);
    ADD("load", .does_io = true, .writes_data = true, .chunk = kernel_read_files);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(count_filled(&f), 200);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->io_operations, 200);
    io_teardown(&f);
}

static int hosted_count_filled(void *user, fol_task *task)
{
    (void)task;
    *(uint32_t *)user = count_filled(F);
    return 0;
}

static void test_a_later_stage_sees_what_an_earlier_one_asked_for(void)
{
    io_fixture f;
    uint32_t seen = 0;
    io_setup(&f);
    io_spawn(&f, 50);
    ADD("load", .does_io = true, .writes_data = true, .chunk = kernel_read_files);
    ADD("look", .reads_data = true, .hosted = hosted_count_filled, .user = &seen);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(seen, 50);
    io_teardown(&f);
}

/* One operation of each kind of until, from one system. */
static int hosted_three_untils(void *user, fol_task *task)
{
    (void)user;
    if (task->frame == 0) {
        io_queue(task, nop, FOL_IO_LATER, 3);
        io_queue(task, nop, FOL_IO_PHASE, 2);
        io_queue(task, nop, FOL_IO_STAGE, 1);
    }
    return 0;
}

static int hosted_mark(void *user, fol_task *task)
{
    (void)task;
    const fol_io_result mark = {0};
    log_result(user, &mark);
    return 0;
}

static void check_log(const io_fixture *f, const uint64_t *expected, uint32_t count)
{
    CHECK_EQ(f->logged, count);
    for (uint32_t i = 0; i < count && i < f->logged; i++) {
        CHECK_EQ(f->log[i], expected[i]);
    }
}

static void test_results_come_at_the_stage_the_phase_or_a_later_frame(void)
{
    io_fixture f;
    io_setup(&f);
    ADD("ask", .does_io = true, .writes_data = true, .hosted = hosted_three_untils);
    ADD("mark", .reads_data = true, .hosted = hosted_mark, .user = (void *)10);
    ADD("other", .phase = 1, .hosted = hosted_mark, .user = (void *)11);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    check_log(&f, (uint64_t[]){1, 10, 2, 11}, 4);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    check_log(&f, (uint64_t[]){1, 10, 2, 11, 3, 10, 11}, 7);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, 0), -ENOENT);
    io_teardown(&f);
}

static int hosted_fail_after_asking(void *user, fol_task *task)
{
    io_queue(task, nop, FOL_IO_STAGE, 1);
    io_queue(task, nop, FOL_IO_LATER, 2);
    return *(int *)user;
}

static void test_what_a_failed_system_asked_for_is_dropped(void)
{
    io_fixture f;
    int status = -EIO;
    io_setup(&f);
    ADD("fail", .does_io = true, .hosted = hosted_fail_after_asking, .user = &status);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_E_FRAME);
    CHECK_EQ(f.dropped, 2);
    CHECK_EQ(f.logged, 0);
    status = 0;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(f.dropped, 2);
    CHECK_EQ(f.logged, 1);
    io_teardown(&f);
}

static void test_what_an_interrupted_frame_had_not_sent_is_dropped(void)
{
    io_fixture f;
    int status = FOL_E_INTERRUPTED;
    io_setup(&f);
    int good = 0;
    ADD("good", .does_io = true, .hosted = hosted_fail_after_asking, .user = &good);
    ADD("stop", .does_io = true, .hosted = hosted_fail_after_asking, .user = &status);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_E_INTERRUPTED);
    CHECK_EQ(f.dropped, 4);
    CHECK_EQ(f.logged, 0);
    io_teardown(&f);
}

/* Spawns, and reads a file that is not there. */
static int hosted_read_nothing(void *user, fol_task *task)
{
    const fol_io_intent *given = user;
    fol_io_intent intent = *given;
    fol_entity entity;
    intent.request.kind = FOL_IO_READ;
    intent.request.flags = FOL_IO_PATH;
    intent.request.fd = AT_FDCWD;
    intent.request.path = "/nowhere/at all";
    intent.request.size = 10;
    CHECK_EQ(fol_commands_spawn(task->commands, NULL, 0, &entity), 0);
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    return 0;
}

static void run_read_nothing(io_fixture *given, const fol_io_intent *intent)
{
    io_fixture f;
    io_setup(&f);
    ADD("fail", .does_io = true, .records = true, .hosted = hosted_read_nothing,
        .user = (void *)(uintptr_t)intent);
    f.config.errors = FOL_ERRORS_CONTINUE;
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    *given = f;
    F = given;
}

static void test_a_failure_that_nobody_gets_fails_the_system_and_takes_its_commands_along(void)
{
    io_fixture f;
    const fol_io_intent intent = {0};
    run_read_nothing(&f, &intent);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
    CHECK_EQ(io_error(&f, 0).system, 0);
    CHECK_EQ(io_error(&f, 0).status, -ENOENT);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_FAILED);
    CHECK_EQ(fol_world_entity_count(f.world), 0);
    io_teardown(&f);
}

static void test_a_failure_in_a_result_is_the_systems_to_see(void)
{
    io_fixture f;
    fol_io_result result = {0};
    const fol_io_intent intent = {.result = &result};
    run_read_nothing(&f, &intent);
    CHECK_EQ(result.value, -ENOENT);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 0);
    CHECK_EQ(fol_world_entity_count(f.world), 1);
    io_teardown(&f);
}

static void test_a_failure_that_a_receiver_takes_is_no_failure(void)
{
    io_fixture f;
    const fol_io_intent intent = {.receiver = &log_receiver};
    run_read_nothing(&f, &intent);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 0);
    CHECK_EQ(fol_world_entity_count(f.world), 1);
    io_teardown(&f);
}

static bool decline(void *user, const fol_io_result *result)
{
    (void)user;
    (void)result;
    return false;
}

static void test_a_failure_that_a_receiver_declines_fails_the_system_after_its_merge(void)
{
    io_fixture f;
    const fol_io_receiver declines = {.deliver = decline};
    const fol_io_intent intent = {.receiver = &declines};
    run_read_nothing(&f, &intent);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
    CHECK_EQ(io_error(&f, 0).status, -ENOENT);
    CHECK_EQ(fol_world_entity_count(f.world), 1);
    io_teardown(&f);
}

typedef struct target {
    fol_entity entity;
    bool must_despawn;
} target;

static int hosted_read_to_target(void *user, fol_task *task)
{
    const target *given = user;
    fol_io_intent intent = io_read_of(3, FOL_IO_STAGE);
    intent.entity = given->entity;
    intent.component = F->data;
    if (given->must_despawn) {
        CHECK_EQ(fol_commands_despawn(task->commands, given->entity), 0);
    }
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    return 0;
}

static void test_an_entity_that_is_gone_or_lacks_the_component_fails_the_system(void)
{
    io_fixture f;
    target given = {0};
    uint32_t file = 3;
    io_setup(&f);
    const fol_value number = {f.number, &file};
    ADD("load", .does_io = true, .records = true, .writes_data = true,
        .hosted = hosted_read_to_target, .user = &given);
    f.config.errors = FOL_ERRORS_CONTINUE;
    io_start(&f);
    CHECK_EQ(fol_world_spawn(f.world, &number, 1, &given.entity), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(io_error(&f, 0).status, FOL_E_MISSING);
    given.must_despawn = true;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(io_error(&f, 0).status, FOL_E_STALE);
    io_teardown(&f);
}

/* Spawns an entity and has its file read. */
static int hosted_spawn_and_read(void *user, fol_task *task)
{
    uint32_t file = 5;
    const fol_value values[2] = {{F->data, NULL}, {F->number, &file}};
    const fol_io_until *until = user;
    fol_io_intent intent = io_read_of(file, *until);
    if (task->frame == 0) {
        CHECK_EQ(fol_commands_spawn(task->commands, values, 2, &intent.entity), 0);
        intent.component = F->data;
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    }
    return 0;
}

static void test_an_entity_that_the_same_stage_spawns_gets_its_file(void)
{
    for (fol_io_until until = FOL_IO_STAGE; until <= FOL_IO_LATER; until++) {
        io_fixture f;
        io_setup(&f);
        ADD("load", .does_io = true, .records = true, .hosted = hosted_spawn_and_read,
            .user = &until);
        io_start(&f);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        if (until == FOL_IO_LATER) {
            CHECK_EQ(count_filled(&f), 0);
            CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        }
        CHECK_EQ(count_filled(&f), 1);
        io_teardown(&f);
    }
}

static int hosted_fill_inbox(void *user, fol_task *task)
{
    fol_io_intent intent = io_read_of(9, FOL_IO_STAGE);
    (void)user;
    intent.request.flags |= FOL_IO_TO_END;
    intent.component = F->inbox;
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    return 0;
}

static void test_a_resource_of_bytes_is_filled_once_it_is_there(void)
{
    io_fixture f;
    io_setup(&f);
    ADD("load", .does_io = true, .writes_inbox = true, .hosted = hosted_fill_inbox);
    f.config.errors = FOL_ERRORS_CONTINUE;
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(io_error(&f, 0).status, FOL_E_MISSING);
    const fol_value empty = {f.inbox, NULL};
    CHECK_EQ(fol_world_insert(f.world, &empty), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 0);
    CHECK(holds_file(*(fol_bytes *)fol_world_resource(f.world, f.inbox), 9));
    io_teardown(&f);
}

static int hosted_count_changed(void *user, fol_task *task)
{
    fol_query_iterator iterator;
    fol_run run;
    CHECK_EQ(fol_query_begin(task->queries[0], task->since, 0, &iterator), 0);
    while (fol_query_next(&iterator, &run)) {
        *(uint32_t *)user += (uint32_t)run.rows;
    }
    return 0;
}

static void test_a_delivery_counts_as_a_change_once(void)
{
    io_fixture f;
    uint32_t changed = 0;
    fol_io_until until = FOL_IO_LATER;
    io_setup(&f);
    ADD("load", .does_io = true, .records = true, .hosted = hosted_spawn_and_read, .user = &until);
    ADD("look", .reads_data = true, .hosted = hosted_count_changed, .user = &changed);
    f.terms[1][0].kind = FOL_TERM_CHANGED;
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(changed, 1);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(changed, 2);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(changed, 2);
    io_teardown(&f);
}

/* Waits for a pipe that stays silent, and cancels that in the same breath. */
static int hosted_cancel_own(void *user, fol_task *task)
{
    (void)user;
    fol_io_handle handle = io_queue(task, read_silent_pipe(), FOL_IO_STAGE, 1);
    const fol_io_request cancel = {.kind = FOL_IO_CANCEL, .handle = handle};
    io_queue(task, cancel, FOL_IO_STAGE, 2);
    io_queue(task, cancel, FOL_IO_STAGE, 3);
    return 0;
}

static void test_a_cancel_ends_what_was_queued_before_it_in_the_same_stage(void)
{
    io_fixture f;
    io_setup(&f);
    ADD("ask", .does_io = true, .hosted = hosted_cancel_own);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    check_log(&f, (uint64_t[]){1, 2, 3}, 3);
    CHECK_EQ(f.values[0], -ECANCELED);
    CHECK_EQ(f.values[1], 0);
    CHECK(f.values[2] == 0 || f.values[2] == -ENOENT);
    io_teardown(&f);
}

static int hosted_cancel_later(void *user, fol_task *task)
{
    fol_io_handle *handle = user;
    if (task->frame == 0) {
        *handle = io_queue(task, read_silent_pipe(), FOL_IO_LATER, 1);
    } else {
        const fol_io_request cancel = {.kind = FOL_IO_CANCEL, .handle = *handle};
        io_queue(task, cancel, FOL_IO_STAGE, 1 + task->frame);
    }
    return 0;
}

static void test_a_handle_names_its_operation_until_the_last_delivery(void)
{
    io_fixture f;
    fol_io_handle handle = 0;
    io_setup(&f);
    ADD("ask", .does_io = true, .hosted = hosted_cancel_later, .user = &handle);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, 0), -ETIME);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    check_log(&f, (uint64_t[]){2, 1, 3}, 3);
    CHECK_EQ(f.values[0], 0);
    CHECK_EQ(f.values[1], -ECANCELED);
    CHECK_EQ(f.values[2], -ENOENT);
    io_teardown(&f);
}

static int hosted_fill_queue(void *user, fol_task *task)
{
    const fol_io_intent intent = {.request = nop};
    uint32_t *queued = user;
    int status;
    do {
        status = fol_io_queue_submit(task->io, &intent, NULL);
        *queued += status == 0;
    } while (status == 0);
    CHECK_EQ(status, FOL_E_CAPACITY);
    return 0;
}

static void test_a_worker_has_as_many_operations_as_configured(void)
{
    io_fixture f;
    uint32_t queued = 0;
    io_setup(&f);
    f.config.max_io = 10;
    ADD("ask", .does_io = true, .hosted = hosted_fill_queue, .user = &queued);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(queued, 10);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(queued, 20);
    io_teardown(&f);
}

static int hosted_ask_nonsense(void *user, fol_task *task)
{
    const fol_io_intent good = {.request = nop};
    fol_io_intent intent = {.request = {.kind = FOL_IO_KIND_COUNT}};
    (void)user;
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), FOL_E_VALUE);
    intent = good;
    intent.until = (fol_io_until)3;
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), FOL_E_VALUE);
    intent = good;
    intent.component = F->data;
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), FOL_E_VALUE);
    intent = io_read_of(1, FOL_IO_STAGE);
    intent.component = F->number;
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), FOL_E_VALUE);
    return 0;
}

static void test_a_request_without_sense_is_refused(void)
{
    io_fixture f;
    io_setup(&f);
    ADD("ask", .does_io = true, .hosted = hosted_ask_nonsense);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->io_operations, 0);
    io_teardown(&f);
}

static void test_a_configuration_without_sense_is_refused_when_a_system_does_io(void)
{
    io_fixture f;
    io_setup(&f);
    f.config.max_io = 0;
    ADD("ask", .does_io = true, .hosted = hosted_ask_nonsense);
    CHECK_EQ(io_start_with_rates(&f, NULL), FOL_E_VALUE);
    io_teardown(&f);
}

static int hosted_has_no_queue(void *user, fol_task *task)
{
    (void)user;
    CHECK(task->io == NULL);
    return 0;
}

static void test_a_system_without_io_has_no_queue_beside_one_that_has(void)
{
    io_fixture f;
    int status = 0;
    io_setup(&f);
    ADD("ask", .does_io = true, .hosted = hosted_fail_after_asking, .user = &status);
    ADD("quiet", .hosted = hosted_has_no_queue);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    io_teardown(&f);
}

static void test_a_scheduler_without_io_says_so(void)
{
    io_fixture f;
    io_setup(&f);
    ADD("quiet", .hosted = hosted_has_no_queue);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_STR(fol_scheduler_io(f.scheduler).engine, "");
    CHECK_EQ(fol_scheduler_wait(f.scheduler, 0), -ENOENT);
    io_teardown(&f);
}

static void test_a_system_whose_operations_fail_is_quarantined(void)
{
    io_fixture f;
    const fol_io_intent intent = {0};
    io_setup(&f);
    ADD("fail", .does_io = true, .records = true, .hosted = hosted_read_nothing,
        .user = (void *)(uintptr_t)&intent);
    f.config.errors = FOL_ERRORS_QUARANTINE;
    f.config.quarantine_after = 2;
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK(fol_scheduler_is_enabled(f.scheduler, 0));
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK(!fol_scheduler_is_enabled(f.scheduler, 0));
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->quarantined_count, 1);
    io_teardown(&f);
}

static void test_every_run_of_a_fixed_rate_phase_gets_its_results(void)
{
    io_fixture f;
    int status = 0;
    const fol_phase_rate rates[2] = {{.kind = FOL_RATE_FIXED, .step_seconds = 0.1, .max_steps = 10},
                                     {.kind = FOL_RATE_FRAMES, .every = 1}};
    io_setup(&f);
    ADD("ask", .does_io = true, .hosted = hosted_fail_after_asking, .user = &status);
    CHECK_EQ(io_start_with_rates(&f, rates), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.5), FOL_OK);
    CHECK_EQ(f.logged, 5);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->io_operations, 10);
    io_teardown(&f);
    CHECK_EQ(f.logged + f.dropped, 10);
}

static void test_stats_and_trace_tell_of_operations(void)
{
    io_fixture f;
    int status = 0;
    fol_scheduler_stats stats;
    fol_trace_record records[64];
    uint64_t lost;
    uint32_t found = 0;
    io_setup(&f);
    f.config.trace_records = 64;
    ADD("ask", .does_io = true, .hosted = hosted_fail_after_asking, .user = &status);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
    fol_scheduler_read_stats(f.scheduler, &stats);
    CHECK_EQ(stats.io_submitted, 2);
    CHECK_EQ(stats.io_completed, 2);
    CHECK_EQ(stats.io_failed, 0);
    CHECK_EQ(stats.io_in_flight, 0);
    CHECK_STR(fol_scheduler_io(f.scheduler).engine, "pool");
    size_t count = fol_scheduler_read_trace(f.scheduler, 0, records, 64, &lost);
    for (size_t i = 0; i < count; i++) {
        if (records[i].kind == FOL_TRACE_IO) {
            CHECK_EQ(records[i].subject, 0);
            CHECK_EQ(records[i].detail, 2);
            found++;
        }
    }
    CHECK_EQ(found, 1);
    io_teardown(&f);
}

int main(void)
{
    make_files();
    CHECK_EQ(pipe2(silent_pipe, O_CLOEXEC), 0);
    RUN(test_a_frame_fills_bytes_with_files);
    RUN(test_a_later_stage_sees_what_an_earlier_one_asked_for);
    RUN(test_results_come_at_the_stage_the_phase_or_a_later_frame);
    RUN(test_what_a_failed_system_asked_for_is_dropped);
    RUN(test_what_an_interrupted_frame_had_not_sent_is_dropped);
    RUN(test_a_failure_that_nobody_gets_fails_the_system_and_takes_its_commands_along);
    RUN(test_a_failure_in_a_result_is_the_systems_to_see);
    RUN(test_a_failure_that_a_receiver_takes_is_no_failure);
    RUN(test_a_failure_that_a_receiver_declines_fails_the_system_after_its_merge);
    RUN(test_an_entity_that_is_gone_or_lacks_the_component_fails_the_system);
    RUN(test_an_entity_that_the_same_stage_spawns_gets_its_file);
    RUN(test_a_resource_of_bytes_is_filled_once_it_is_there);
    RUN(test_a_delivery_counts_as_a_change_once);
    RUN(test_a_cancel_ends_what_was_queued_before_it_in_the_same_stage);
    RUN(test_a_handle_names_its_operation_until_the_last_delivery);
    RUN(test_a_worker_has_as_many_operations_as_configured);
    RUN(test_a_request_without_sense_is_refused);
    RUN(test_a_configuration_without_sense_is_refused_when_a_system_does_io);
    RUN(test_a_system_without_io_has_no_queue_beside_one_that_has);
    RUN(test_a_scheduler_without_io_says_so);
    RUN(test_a_system_whose_operations_fail_is_quarantined);
    RUN(test_every_run_of_a_fixed_rate_phase_gets_its_results);
    RUN(test_stats_and_trace_tell_of_operations);
    remove_files();
    CHECK_MAIN_END();
}
