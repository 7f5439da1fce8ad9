/* Failures and ends of I/O in the finer cases: other segments, other frames, other processes. */

#include <sys/wait.h>

#include "frame_io_model.h"

/* Nobody will write to it. */
static int silent_pipe[2];

static fol_io_intent missing_file(fol_io_until until)
{
    fol_io_intent intent = io_read_of(0, until);
    intent.request.path = "/nowhere/at all";
    return intent;
}

/* Spawns, and asks `count` times for a file that is not there, which nobody will see. */
typedef struct asker {
    fol_io_until until;
    uint32_t count;
    uint64_t only_in; /* frame */
} asker;

static int hosted_ask_missing(void *user, fol_task *task)
{
    const asker *given = user;
    const fol_io_intent intent = missing_file(given->until);
    if (task->frame != given->only_in) {
        return 0;
    }
    for (uint32_t i = 0; i < given->count; i++) {
        CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    }
    if (task->commands != NULL) {
        fol_entity entity;
        CHECK_EQ(fol_commands_spawn(task->commands, NULL, 0, &entity), 0);
    }
    return 0;
}

static int hosted_nothing(void *user, fol_task *task)
{
    (void)user;
    (void)task;
    return 0;
}

static void test_a_failure_at_the_phases_end_comes_too_late_for_commands_of_an_earlier_segment(void)
{
    io_fixture f;
    asker phase = {.until = FOL_IO_PHASE, .count = 3};
    io_setup(&f);
    f.config.errors = FOL_ERRORS_CONTINUE;
    ADD("ask", .does_io = true, .records = true, .writes_data = true, .hosted = hosted_ask_missing,
        .user = &phase);
    ADD("look", .reads_data = true, .hosted = hosted_nothing);
    io_start(&f);
    CHECK_EQ(fol_plan_segment_count(f.plan, 0), 2);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
    CHECK_EQ(io_error(&f, 0).system, 0);
    CHECK_EQ(fol_world_entity_count(f.world), 1);
    /* Nothing of it is left for the next frame. */
    phase.until = FOL_IO_LATER;
    phase.count = 0;
    phase.only_in = 1;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(fol_world_entity_count(f.world), 2);
    io_teardown(&f);
}

static void test_failures_that_one_frame_delivers_are_one_failure_of_the_system(void)
{
    io_fixture f;
    asker later = {.until = FOL_IO_LATER, .count = 50};
    fol_scheduler_stats stats;
    uint64_t failed = 0;
    io_setup(&f);
    f.config.errors = FOL_ERRORS_CONTINUE;
    ADD("ask", .does_io = true, .hosted = hosted_ask_missing, .user = &later);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    /* Ends, since every wait brings something for the next frame. */
    while (fol_scheduler_wait(f.scheduler, UINT64_MAX) == FOL_OK) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_DONE);
        failed++;
    }
    fol_scheduler_read_stats(f.scheduler, &stats);
    CHECK_EQ(stats.systems_failed, failed);
    CHECK_EQ(stats.io_failed, 50);
    io_teardown(&f);
}

static void test_failures_of_later_frames_lead_to_quarantine(void)
{
    io_fixture f;
    asker later = {.until = FOL_IO_LATER, .count = 1};
    io_setup(&f);
    f.config.errors = FOL_ERRORS_QUARANTINE;
    f.config.quarantine_after = 2;
    ADD("ask", .does_io = true, .hosted = hosted_ask_missing, .user = &later);
    io_start(&f);
    for (int turn = 0; turn < 2; turn++) {
        CHECK(fol_scheduler_is_enabled(f.scheduler, 0));
        later.only_in = fol_scheduler_frame_number(f.scheduler);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    }
    CHECK(!fol_scheduler_is_enabled(f.scheduler, 0));
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->quarantined_count, 1);
    io_teardown(&f);
}

static int hosted_cancel_unseen(void *user, fol_task *task)
{
    const fol_io_intent intent = {
        .request = {.kind = FOL_IO_POLL, .fd = silent_pipe[0], .options = 1}};
    fol_io_intent cancel = {.request = {.kind = FOL_IO_CANCEL}};
    (void)user;
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, &cancel.request.handle), 0);
    CHECK_EQ(fol_io_queue_submit(task->io, &cancel, NULL), 0);
    /* Nobody asks whether there was something to cancel. */
    cancel.request.handle = 1;
    CHECK_EQ(fol_io_queue_submit(task->io, &cancel, NULL), 0);
    return 0;
}

static void test_neither_to_be_cancelled_nor_to_cancel_too_late_is_a_failure(void)
{
    io_fixture f;
    io_setup(&f);
    ADD("ask", .does_io = true, .hosted = hosted_cancel_unseen);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_DONE);
    io_teardown(&f);
}

/* Every row spawns; one of them asks for what is not there. */
static int kernel_one_row_fails(const fol_chunk *chunk, void *user)
{
    const fol_io_intent missing = missing_file(FOL_IO_STAGE);
    (void)user;
    for (ptrdiff_t i = 0; i < chunk->rows; i++) {
        fol_entity entity;
        if (chunk->api->spawn(chunk->commands, NULL, 0, &entity) != 0 ||
            ((uint32_t)chunk->entities[i] == 100 &&
             chunk->io_api->submit(chunk->io, &missing, NULL) != 0)) {
            return 7;
        }
    }
    return 0;
}

static void test_a_failed_operation_takes_the_commands_of_all_pieces_along(void)
{
    io_fixture f;
    io_setup(&f);
    f.config.backend = "stealing";
    f.config.workers = 3;
    f.config.target_task_seconds = 1e-7;
    f.config.errors = FOL_ERRORS_CONTINUE;
    io_spawn(&f, 500);
    ADD("ask", .does_io = true, .records = true, .writes_data = true,
        .chunk = kernel_one_row_fails);
    io_start(&f);
    for (int frame = 0; frame < 3; frame++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 1);
        CHECK_EQ(io_error(&f, 0).status, -ENOENT);
        CHECK_EQ(fol_world_entity_count(f.world), 500);
    }
    io_teardown(&f);
}

/* Reads into an entity's Data, and is told. */
static int hosted_read_and_tell(void *user, fol_task *task)
{
    fol_io_intent intent = io_read_of(4, FOL_IO_STAGE);
    intent.entity = *(const fol_entity *)user;
    intent.component = F->data;
    intent.receiver = &log_receiver;
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, NULL), 0);
    return 0;
}

static void test_a_receiver_beside_a_component_is_told_what_became_of_it(void)
{
    io_fixture f;
    fol_entity entity;
    uint32_t file = 4;
    io_setup(&f);
    const fol_value values[2] = {{f.data, NULL}, {f.number, &file}};
    CHECK_EQ(fol_world_spawn(f.world, values, 2, &entity), 0);
    ADD("load", .does_io = true, .writes_data = true, .hosted = hosted_read_and_tell,
        .user = &entity);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(f.values[0], file_size(4));
    CHECK_EQ(count_filled(&f), 1);
    CHECK_EQ(fol_world_despawn(f.world, entity), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    CHECK_EQ(f.values[1], FOL_E_STALE);
    io_teardown(&f);
}

static int hosted_ask_all(void *user, fol_task *task)
{
    const fol_io_request silent = {.kind = FOL_IO_POLL, .fd = silent_pipe[0], .options = 1};
    (void)user;
    if (task->frame == 0) {
        io_queue(task, silent, FOL_IO_LATER, 1);
        io_queue(task, (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = 1000000},
                 FOL_IO_LATER, 2);
    }
    return 0;
}

static void test_a_forked_child_can_let_go_of_operations_that_the_parent_goes_on_with(void)
{
    for (fol_io_choice io = FOL_IO_CHOICE_RING; io <= FOL_IO_CHOICE_POOL; io++) {
        io_fixture f;
        int status;
        io_setup(&f);
        f.config.io = io;
        ADD("ask", .does_io = true, .hosted = hosted_ask_all);
        io_start(&f);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        pid_t child = fork();
        if (child == 0) {
            bool is_good = fol_scheduler_tick(f.scheduler, 0.1) == FOL_E_FORKED &&
                           fol_scheduler_wait(f.scheduler, 0) == FOL_E_FORKED;
            fol_scheduler_destroy(f.scheduler);
            _exit(is_good && f.dropped == 2 ? 0 : 1);
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
        CHECK_EQ(fol_scheduler_wait(f.scheduler, UINT64_MAX), FOL_OK);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(f.logged, 1);
        CHECK_EQ(f.log[0], 2);
        io_teardown(&f);
        CHECK_EQ(f.dropped, 1);
    }
}

static void test_a_plan_that_brings_io_finds_it_made_by_the_replan(void)
{
    io_fixture f;
    fol_plan_error error;
    fol_plan *plan = NULL;
    asker nothing = {.only_in = 99};
    io_setup(&f);
    ADD("quiet", .hosted = hosted_nothing);
    io_start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    ADD("ask", .does_io = true, .hosted = hosted_ask_all, .user = &nothing);
    CHECK_EQ(fol_plan_create(f.schedule, &plan, &error), 0);
    CHECK_EQ(fol_scheduler_replan(f.scheduler, plan, f.systems, NULL), FOL_OK);
    fol_plan_destroy(f.plan);
    f.plan = plan;
    CHECK(strlen(fol_scheduler_io(f.scheduler).engine) > 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
    io_teardown(&f);
}

int main(void)
{
    make_files();
    CHECK_EQ(pipe2(silent_pipe, O_CLOEXEC), 0);
    RUN(test_a_failure_at_the_phases_end_comes_too_late_for_commands_of_an_earlier_segment);
    RUN(test_failures_that_one_frame_delivers_are_one_failure_of_the_system);
    RUN(test_failures_of_later_frames_lead_to_quarantine);
    RUN(test_neither_to_be_cancelled_nor_to_cancel_too_late_is_a_failure);
    RUN(test_a_failed_operation_takes_the_commands_of_all_pieces_along);
    RUN(test_a_receiver_beside_a_component_is_told_what_became_of_it);
    RUN(test_a_forked_child_can_let_go_of_operations_that_the_parent_goes_on_with);
    RUN(test_a_plan_that_brings_io_finds_it_made_by_the_replan);
    remove_files();
    CHECK_MAIN_END();
}
