/* Nodes on several workers, one behaviour at a time: pieces, failures, the host, and what is told.
 */

#include "frame_fixture.h"
#include "shuffle_backend.h"

#define ROWS 1000

/* Runs a phase of one node that is cut, its pieces from the last to the first. */
static void run_backwards(fol_backend *backend, const fol_work *work)
{
    const fol_work_calls *calls = &backend->calls;
    calls->begin_parallel(calls->state);
    uint32_t pieces = calls->begin_node(calls->state, 0, 0);
    calls->release_host(calls->state, 0);
    for (uint32_t i = pieces; i > 0; i--) {
        calls->run_piece(calls->state, 0, i - 1, i % backend->workers);
    }
    if (pieces != 0) {
        calls->end_node(calls->state, 0, 0);
    }
    for (uint32_t i = 1; i < work->node_count; i++) {
        calls->run_node(calls->state, i, i % backend->workers);
    }
    calls->merge(calls->state, 0);
    calls->end_parallel(calls->state);
}

static const fol_backend_ops backwards_ops = {
    .name = "backwards", .init = shuffle_init, .deinit = shuffle_deinit, .run = run_backwards};

/* A fixture on three workers whose systems cost much, as far as the scheduler knows. */
static void start_cut(fixture *f)
{
    f->config.target_task_seconds = 1e-9;
    start(f);
    use_shuffle(f->scheduler, 3, 1);
    f->scheduler->backend.ops = &backwards_ops;
    for (uint32_t i = 0; i < f->scheduler->program->node_count; i++) {
        fol_node *node = &f->scheduler->program->nodes[i];
        atomic_store(&node->mean_cycles, 1e9);
        node->mean_rows = ROWS;
    }
}

/* Rows and calls a kernel got. */
typedef struct seen {
    _Atomic int64_t rows;
    _Atomic int64_t calls;
} seen;

static int kernel_sees(void **columns, ptrdiff_t rows, void *user)
{
    seen *s = user;
    (void)columns;
    s->rows += rows;
    s->calls++;
    return 0;
}

/* One system that sees so many rows, in pieces where they are enough. */
static void start_seeing(fixture *f, seen *s, uint32_t rows)
{
    fol_system *system = add_system(f, "sees", 0, -1, false);
    system->columns_kernel = kernel_sees;
    system->user = s;
    spawn_floats(f, rows, 0.0f, 0.0f);
    start_cut(f);
}

static void test_pieces_give_every_row_once_and_count_as_tasks(void)
{
    fixture f;
    setup(&f);
    seen s = {0};
    start_seeing(&f, &s, ROWS);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(s.rows, ROWS);
    CHECK_EQ(s.calls, ROWS / 16);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    CHECK_EQ(frame->systems[0].rows, ROWS);
    CHECK_EQ(frame->systems[0].tasks, ROWS / 16);
    CHECK_EQ(frame->systems[0].state, FOL_RUN_DONE);
    fol_scheduler_stats stats;
    fol_scheduler_read_stats(f.scheduler, &stats);
    CHECK_EQ(stats.tasks, ROWS / 16);
    CHECK_EQ(stats.systems_run, 1);
    CHECK_EQ(stats.parallel_phases, 1);
    CHECK_EQ(stats.serial_phases, 0);
    teardown(&f);
}

static void test_a_system_that_writes_a_resource_is_not_cut(void)
{
    fixture f;
    setup(&f);
    seen s = {0};
    fol_system *system = add_system(&f, "sees", 2, 0, false);
    system->columns_kernel = kernel_sees;
    system->user = &s;
    spawn_floats(&f, ROWS, 0.0f, 0.0f);
    float g = 1.0f;
    CHECK_EQ(fol_world_insert(f.world, &(fol_value){f.gravity, &g}), 0);
    start_cut(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(s.rows, ROWS);
    CHECK_EQ(s.calls, 1);
    teardown(&f);
}

static void test_few_rows_and_little_cost_are_not_cut(void)
{
    fixture f;
    setup(&f);
    seen s = {0};
    start_seeing(&f, &s, 31);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(s.calls, 1);
    spawn_floats(&f, ROWS - 31, 0.0f, 0.0f);
    atomic_store(&f.scheduler->program->nodes[0].mean_cycles, f.scheduler->target_cycles);
    f.scheduler->program->nodes[0].mean_rows = ROWS;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(s.calls, 2);
    teardown(&f);
}

static void test_more_pieces_than_workers_are_as_many_for_each(void)
{
    fixture f;
    setup(&f);
    seen s = {0};
    start_seeing(&f, &s, ROWS);
    fol_node *node = &f.scheduler->program->nodes[0];
    atomic_store(&node->mean_cycles, 4.0 * f.scheduler->target_cycles);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(s.calls, 6);
    atomic_store(&node->mean_cycles, 2.0 * f.scheduler->target_cycles);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(s.calls, 8);
    teardown(&f);
}

/* Fails in each of its calls with the number of the first entity. */
static int chunk_fails(const fol_chunk *chunk, void *user)
{
    fol_entity entity;
    (void)user;
    if (chunk->commands != NULL) {
        CHECK_EQ(chunk->api->spawn(chunk->commands, NULL, 0, &entity), 0);
    }
    return (int)(uint32_t)chunk->entities[0] + 1;
}

static void test_the_first_failing_piece_names_the_failure_and_all_commands_go(void)
{
    fixture f;
    setup(&f);
    fol_system *system = add_system(&f, "fails", -1, 0, true);
    system->kind = FOL_SYSTEM_CHUNK;
    system->chunk_kernel = chunk_fails;
    spawn_floats(&f, ROWS, 0.0f, 0.0f);
    start_cut(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    if (CHECK_EQ(frame->error_count, 1)) {
        CHECK_EQ(frame->errors[0].status, FOL_E_KERNEL);
        CHECK_EQ(frame->errors[0].code, 1);
    }
    CHECK_EQ(fol_world_entity_count(f.world), ROWS);
    CHECK_EQ(frame->merged.applied[FOL_COMMAND_SPAWN], 0);
    teardown(&f);
}

/* While the last piece runs the first one runs on another worker and fails before it. */
typedef struct overtaken {
    fol_scheduler *scheduler;
    bool has_first;
} overtaken;

static int chunk_is_overtaken(const fol_chunk *chunk, void *user)
{
    overtaken *o = user;
    int code = (int)(uint32_t)chunk->entities[0] + 1;
    if (code == 1) {
        bool is_again = o->has_first;
        o->has_first = true;
        return is_again ? 0 : code;
    }
    fol_run_piece(o->scheduler, 0, 0, 1);
    return code;
}

static void test_a_higher_piece_that_fails_later_does_not_name_the_failure(void)
{
    fixture f;
    setup(&f);
    overtaken o = {0};
    fol_system *system = add_system(&f, "fails", -1, 0, false);
    system->kind = FOL_SYSTEM_CHUNK;
    system->chunk_kernel = chunk_is_overtaken;
    system->user = &o;
    spawn_floats(&f, 128, 0.0f, 0.0f);
    start_cut(&f);
    o.scheduler = f.scheduler;
    f.scheduler->program->nodes[0].mean_rows = 128;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_FRAME);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->errors[0].code, 1);
    teardown(&f);
}

static void test_quarantines_and_errors_are_told_in_the_order_of_one_worker(void)
{
    fixture f;
    setup(&f);
    int code = 3;
    for (int i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof(name), "s%d", i);
        fol_system *system = add_system(&f, name, -1, -1, false);
        system->columns_kernel = kernel_fail;
        system->user = &code;
    }
    f.config.errors = FOL_ERRORS_QUARANTINE;
    f.config.quarantine_after = 1;
    for (uint64_t seed = 0; seed < 4; seed++) {
        start(&f);
        use_shuffle(f.scheduler, 4, seed);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
        const fol_frame *frame = fol_scheduler_frame(f.scheduler);
        CHECK_EQ(frame->error_count, 6);
        CHECK_EQ(frame->quarantined_count, 6);
        for (uint32_t i = 0; i < 6; i++) {
            CHECK_EQ(frame->quarantined[i], fol_plan_running_order(f.plan)[i]);
            CHECK_EQ(frame->errors[i].system, i);
            CHECK_EQ(frame->errors[i].sequence, f.scheduler->program->node_of_system[i]);
        }
        fol_scheduler_destroy(f.scheduler);
        fol_plan_destroy(f.plan);
    }
    f.scheduler = NULL;
    f.plan = NULL;
    teardown(&f);
}

typedef struct lane_host {
    bool is_attached;
    int bad_calls;
    int switches;
} lane_host;

static void lane_attach(void *state)
{
    lane_host *host = state;
    host->bad_calls += host->is_attached;
    host->is_attached = true;
    host->switches++;
}

static void lane_detach(void *state)
{
    lane_host *host = state;
    host->bad_calls += !host->is_attached;
    host->is_attached = false;
}

static int lane_condition(void *user, fol_task *task)
{
    lane_host *host = user;
    (void)task;
    host->bad_calls += !host->is_attached;
    return 1;
}

static int lane_kernel(void **columns, ptrdiff_t rows, void *user)
{
    lane_host *host = user;
    (void)columns;
    (void)rows;
    host->bad_calls += host->is_attached;
    return 0;
}

static void test_a_native_system_is_in_the_lane_for_its_condition_alone(void)
{
    fixture f;
    setup(&f);
    lane_host host = {.is_attached = true};
    fol_system *system = add_system(&f, "native", 2, -1, false);
    system->columns_kernel = lane_kernel;
    system->user = &host;
    system->condition = lane_condition;
    system->condition_user = &host;
    system->condition_needs_host = true;
    system->in_lane = true;
    f.config.host =
        (fol_host){.state = &host, .attach = lane_attach, .detach = lane_detach, .pending = NULL};
    float g = 1.0f;
    CHECK_EQ(fol_world_insert(f.world, &(fol_value){f.gravity, &g}), 0);
    start_cut(&f);
    CHECK_EQ(f.scheduler->program->phases[0].work.in_lane[0], FOL_LANE_BEGIN);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(host.bad_calls, 0);
    CHECK(host.is_attached);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].rows, 1);
    fol_scheduler_stats stats;
    fol_scheduler_read_stats(f.scheduler, &stats);
    CHECK_EQ(stats.tasks, 1);
    CHECK_EQ(stats.host_switches, host.switches);
    teardown(&f);
}

/* Interrupts the frame in its first call. */
typedef struct stopper {
    fol_scheduler *scheduler;
    int64_t rows;
} stopper;

static int kernel_stops(void **columns, ptrdiff_t rows, void *user)
{
    stopper *s = user;
    (void)columns;
    if (s->rows == 0) {
        fol_interrupt(s->scheduler);
    }
    s->rows += rows;
    return 0;
}

static void test_pieces_left_out_by_an_interrupt_leave_their_system_interrupted(void)
{
    fixture f;
    setup(&f);
    stopper s = {0};
    fol_system *cut = add_system(&f, "cut", 0, -1, false);
    cut->columns_kernel = kernel_stops;
    cut->user = &s;
    spawn_floats(&f, ROWS, 0.0f, 0.0f);
    start_cut(&f);
    s.scheduler = f.scheduler;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), FOL_E_INTERRUPTED);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[0].state, FOL_RUN_INTERRUPTED);
    CHECK_EQ(fol_scheduler_frame(f.scheduler)->error_count, 0);
    CHECK(s.rows > 0 && s.rows < ROWS);
    int64_t before = s.rows;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(s.rows, before + ROWS);
    teardown(&f);
}

static const char *traced_kinds(const fixture *f, uint32_t worker, char *out)
{
    fol_trace_record records[64];
    uint64_t lost;
    size_t count = fol_scheduler_read_trace(f->scheduler, worker, records, 64, &lost);
    CHECK_EQ(lost, 0);
    for (size_t i = 0; i < count; i++) {
        out[i] = "fpgsicmtkh"[records[i].kind];
        CHECK(records[i].start_cycles <= records[i].end_cycles);
        CHECK_EQ(records[i].worker, worker);
    }
    out[count] = 0;
    return out;
}

static int condition_yes(void *user, fol_task *task)
{
    (void)user;
    (void)task;
    return 1;
}

static void test_a_frame_leaves_its_trace(void)
{
    fixture f;
    setup(&f);
    int status = 0;
    char kinds[65];
    fol_system *system = add_system(&f, "spawns", -1, -1, true);
    system->kind = FOL_SYSTEM_HOSTED;
    system->hosted = hosted_record_then_fail;
    system->user = &status;
    system->condition = condition_yes;
    f.config.trace_records = 64;
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_STR(traced_kinds(&f, 0, kinds), "csgmpf");
    fol_trace_scale scale;
    fol_scheduler_trace_scale(f.scheduler, &scale);
    CHECK(scale.ns_per_cycle > 0.0 && scale.origin_ns > 0);
    fol_scheduler_clear_trace(f.scheduler);
    CHECK_STR(traced_kinds(&f, 0, kinds), "");
    teardown(&f);
}

static int hosted_attached(void *user, fol_task *task)
{
    lane_host *host = user;
    (void)task;
    host->bad_calls += !host->is_attached;
    return 0;
}

static void test_a_trace_tells_what_waited_for_the_host(void)
{
    fixture f;
    setup(&f);
    char kinds[65];
    lane_host host = {.is_attached = true};
    fol_worker_stats worker;
    for (int i = 0; i < 2; i++) {
        fol_system *system = add_system(&f, i == 0 ? "native" : "hosted", 2, -1, false);
        system->columns_kernel = lane_kernel;
        system->hosted = hosted_attached;
        system->kind = i == 0 ? FOL_SYSTEM_COLUMNS : FOL_SYSTEM_HOSTED;
        system->needs_host = i == 1;
        system->user = &host;
    }
    float g = 1.0f;
    CHECK_EQ(fol_world_insert(f.world, &(fol_value){f.gravity, &g}), 0);
    f.config.host =
        (fol_host){.state = &host, .attach = lane_attach, .detach = lane_detach, .pending = NULL};
    f.config.trace_records = 64;
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_STR(traced_kinds(&f, 0, kinds), "shsgpf");
    CHECK_EQ(fol_scheduler_read_worker(f.scheduler, 0, &worker), 0);
    CHECK_EQ(worker.host_switches, 1);
    CHECK_EQ(host.bad_calls, 0);
    teardown(&f);
}

static void test_a_node_tells_what_it_costs_and_how_far_it_can_be_cut(void)
{
    fixture f;
    setup(&f);
    uint32_t pieces;
    int64_t rows = 0;
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "s%d", i);
        fol_system *system = add_system(&f, name, i == 1 ? 2 : -1, 0, false);
        system->columns_kernel = kernel_count;
        system->user = &rows;
    }
    spawn_floats(&f, ROWS, 0.0f, 0.0f);
    start_cut(&f);
    fol_scheduler *scheduler = f.scheduler;
    scheduler->phase = &scheduler->program->phases[0];
    scheduler->phase_nodes = scheduler->program->nodes;
    CHECK(fol_node_cost(scheduler, 0, &pieces) == 1e9);
    CHECK_EQ(pieces, ROWS / 16);
    CHECK(fol_node_cost(scheduler, 1, &pieces) == 1e9);
    CHECK_EQ(pieces, 1);
    atomic_store(&scheduler->program->nodes[2].mean_cycles, 0.0);
    CHECK(fol_node_cost(scheduler, 2, &pieces) == 0.0);
    CHECK_EQ(pieces, scheduler->worker_count);
    teardown(&f);
}

static void test_the_processor_time_of_a_frame_is_that_of_the_workers_that_ran_its_nodes(void)
{
    const uint64_t long_ago = UINT64_C(1) << 50;
    fixture f;
    setup(&f);
    seen s = {0};
    start_seeing(&f, &s, ROWS);
    fol_runner *helper = &f.scheduler->runners[1];
    atomic_store(&helper->busy_cycles, long_ago);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK(atomic_load(&helper->busy_cycles) > long_ago);
    CHECK(fol_scheduler_frame(f.scheduler)->cpu_ns < 1000000000);
    CHECK_EQ(fol_scheduler_enable(f.scheduler, 0, false), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK(fol_scheduler_frame(f.scheduler)->cpu_ns < 1000000000);
    /* As if it had run all that in the next frame. */
    helper->frame_mark = f.scheduler->frame_mark + 1;
    helper->busy_before = 0;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK(fol_scheduler_frame(f.scheduler)->cpu_ns > 1000000000);
    teardown(&f);
}

static void test_without_a_trace_there_is_nothing_to_read(void)
{
    fixture f;
    setup(&f);
    char kinds[65];
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_STR(traced_kinds(&f, 0, kinds), "");
    fol_scheduler_clear_trace(f.scheduler);
    teardown(&f);
}

static void test_workers_and_phases_can_be_asked_about(void)
{
    fixture f;
    setup(&f);
    char text[512];
    fol_worker_stats worker;
    int status = 0;
    fol_system *system = add_system(&f, "spawns", -1, -1, true);
    system->kind = FOL_SYSTEM_HOSTED;
    system->hosted = hosted_record_then_fail;
    system->user = &status;
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_read_worker(f.scheduler, 0, &worker), 0);
    CHECK_EQ(worker.systems, 1);
    CHECK_EQ(worker.tasks, 1);
    CHECK_EQ(worker.commands, 1);
    CHECK(worker.busy_ns > 0);
    CHECK_EQ(fol_scheduler_read_worker(f.scheduler, 1, &worker), FOL_E_VALUE);
    CHECK(fol_scheduler_explain_phase(f.scheduler, 0, text, sizeof(text)) > 0);
    CHECK(fol_scheduler_commands(f.scheduler, 0) != NULL);
    CHECK(fol_scheduler_commands(f.scheduler, 1) == NULL);
    teardown(&f);
}

int main(void)
{
    RUN(test_pieces_give_every_row_once_and_count_as_tasks);
    RUN(test_a_system_that_writes_a_resource_is_not_cut);
    RUN(test_few_rows_and_little_cost_are_not_cut);
    RUN(test_more_pieces_than_workers_are_as_many_for_each);
    RUN(test_the_first_failing_piece_names_the_failure_and_all_commands_go);
    RUN(test_a_higher_piece_that_fails_later_does_not_name_the_failure);
    RUN(test_quarantines_and_errors_are_told_in_the_order_of_one_worker);
    RUN(test_a_native_system_is_in_the_lane_for_its_condition_alone);
    RUN(test_pieces_left_out_by_an_interrupt_leave_their_system_interrupted);
    RUN(test_a_frame_leaves_its_trace);
    RUN(test_a_trace_tells_what_waited_for_the_host);
    RUN(test_a_node_tells_what_it_costs_and_how_far_it_can_be_cut);
    RUN(test_the_processor_time_of_a_frame_is_that_of_the_workers_that_ran_its_nodes);
    RUN(test_without_a_trace_there_is_nothing_to_read);
    RUN(test_workers_and_phases_can_be_asked_about);
    CHECK_MAIN_END();
}
