/* The adaptive backend: what it makes of its choice, while frames keep every rule. */
#include "backend_fixture.h"

#include <sched.h>

#include "backend/stealing.h"
#include "foliot/memory.h"
#include "foliot/status.h"
#include "policy/adaptive.h"
#include "trace/trace.h"

static const case_shape plain = {.nodes = 12, .segments = 2, .edge_percent = 5, .cut_percent = 30};
static const fol_adaptive_config quick = {
    .window = 8, .cooldown = 8, .least_gain = 0.05, .least_operations = 8.0};

typedef struct fixture {
    phase_case *c;
    fol_backend backend;
} fixture;

static void open_backend(fixture *f, uint32_t workers, fol_trace *trace)
{
    f->c = case_make(&plain, 31);
    const fol_backend_config config = {.name = "adaptive",
                                       .workers = workers,
                                       .calls = case_calls(f->c),
                                       .trace = trace,
                                       .adaptive = quick};
    CHECK_EQ(fol_backend_init(&f->backend, &config), FOL_OK);
    f->c->workers = f->backend.workers;
    CHECK_EQ(fol_backend_prepare(&f->backend, &f->c->work), FOL_OK);
}

static void close_backend(fixture *f)
{
    fol_backend_unprepare(&f->backend, &f->c->work);
    fol_backend_deinit(&f->backend);
    free(f->c);
}

/* A frame of one phase that takes and does so much, whatever it took in fact. */
static bool run_frame(fixture *f, const fol_backend_frame *frame)
{
    case_reset(f->c);
    fol_backend_run(&f->backend, &f->c->work);
    f->backend.ops->end_frame(&f->backend, frame);
    return case_check(f->c, "adaptive", 0);
}

static void run_frames(fixture *f, const fol_backend_frame *frame, uint32_t frames)
{
    for (uint32_t i = 0; i < frames; i++) {
        if (!run_frame(f, frame)) {
            return;
        }
    }
}

/* Puts the phase where it would be after measurements. */
static void place(fixture *f, bool is_parallel)
{
    fol_placed *placed = f->c->work.prepared;
    fol_placement *placement = &placed->placement;
    placement->state = is_parallel ? FOL_PLACEMENT_PARALLEL : FOL_PLACEMENT_SERIAL;
    placement->reason = is_parallel ? FOL_PLACEMENT_MEASURED_FASTER : FOL_PLACEMENT_MEASURED_SLOWER;
    placement->retry_after = 1u << 20;
    placement->serial_runs = 100;
    placement->serial_wall = is_parallel ? 1e12 : 1.0;
    placement->serial_chosen = placement->serial_wall;
    placement->parallel_wall = 1e12;
    placement->parallel_chosen = 1e12;
    placement->is_estimate = false;
    placed->next_refresh = UINT64_MAX;
}

static const fol_backend_frame small_frame = {.cycles = 2000, .busy_cycles = 1500, .nodes = 12};
static const fol_backend_frame heavy_frame = {
    .cycles = 9000000, .busy_cycles = 16000000, .nodes = 12};
static const fol_backend_frame io_frame = {.cycles = 900000,
                                           .busy_cycles = 300000,
                                           .io_cycles = 500000,
                                           .operations = 64,
                                           .in_flight = 8,
                                           .nodes = 12};

static void test_it_begins_as_stealing_without_the_ring(void)
{
    fixture f;
    open_backend(&f, 3, NULL);
    CHECK(!f.backend.wants_ring);
    CHECK_EQ(f.backend.switches, 0);
    run_frames(&f, &heavy_frame, 1);
    CHECK_EQ(f.backend.parallel_runs, 1);
    close_backend(&f);
}

static void test_frames_with_operations_go_to_the_ring(void)
{
    fixture f;
    open_backend(&f, 2, NULL);
    place(&f, true);
    run_frames(&f, &io_frame, 20);
    CHECK(f.backend.wants_ring);
    CHECK_EQ(f.backend.switches, 1);
    close_backend(&f);
}

static void test_frames_that_gain_nothing_block_and_run_on_the_caller(void)
{
    fixture f;
    open_backend(&f, 2, NULL);
    for (uint32_t i = 0; i < 40 && f.backend.switches == 0; i++) {
        place(&f, false);
        run_frames(&f, &small_frame, 1);
    }
    CHECK_EQ(f.backend.switches, 1);
    uint64_t parallel = f.backend.parallel_runs;
    uint64_t serial = f.backend.serial_runs;
    run_frames(&f, &small_frame, 100);
    CHECK_EQ(f.backend.parallel_runs, parallel);
    CHECK_EQ(f.backend.serial_runs, serial + 100);
    char text[200];
    fol_backend_explain_run(&f.backend, &f.c->work, 0.4, text, sizeof(text));
    CHECK_STR(text, "the adaptive backend ran it on the caller: frames run as on the blocking "
                    "backend now");
    close_backend(&f);
}

static void test_helpers_park_while_it_blocks(void)
{
    fixture f;
    open_backend(&f, 3, NULL);
    for (uint32_t i = 0; i < 40 && f.backend.switches == 0; i++) {
        place(&f, false);
        run_frames(&f, &small_frame, 1);
    }
    while (fol_team_is_hot(f.backend.team)) {
        sched_yield();
    }
    run_frames(&f, &small_frame, 100);
    CHECK(!fol_team_is_hot(f.backend.team));
    close_backend(&f);
}

static void test_each_switch_is_counted_traced_and_explained(void)
{
    fol_trace *trace = NULL;
    CHECK_EQ(fol_trace_create(2, 4096, &trace), 0);
    fixture f;
    open_backend(&f, 2, trace);
    place(&f, true);
    for (uint32_t i = 0; i < 40 && f.backend.switches == 0; i++) {
        run_frames(&f, &io_frame, 1);
    }
    fol_trace_record records[4096];
    uint64_t lost = 0;
    uint32_t switches = 0;
    size_t count = fol_trace_read(trace, 0, records, 4096, &lost);
    for (size_t i = 0; i < count; i++) {
        if (records[i].kind == FOL_TRACE_SWITCH) {
            switches++;
            CHECK_STR(fol_backend_names[records[i].subject], "stealing");
            CHECK_STR(fol_backend_names[records[i].detail], "uring");
        }
    }
    CHECK_EQ(switches, 1);
    CHECK_EQ(f.backend.switches, 1);
    char text[1024];
    size_t length = f.backend.ops->explain_choice(&f.backend, 0.4, text, sizeof(text));
    CHECK_EQ(length, strlen(text));
    CHECK(strstr(text, "64.0 I/O operations a frame") != NULL);
    close_backend(&f);
    fol_trace_destroy(trace);
}

static void test_every_rule_holds_while_it_switches(void)
{
    const fol_backend_frame *const frames[] = {&small_frame, &heavy_frame, &io_frame};
    fixture f;
    open_backend(&f, 4, NULL);
    for (uint32_t i = 0; i < 60; i++) {
        place(&f, i % 3 != 0);
        run_frames(&f, frames[i % 3], 30);
    }
    CHECK(f.backend.switches >= 10);
    close_backend(&f);
}

static void test_one_worker_changes_the_way_of_its_io_only(void)
{
    fixture f;
    open_backend(&f, 1, NULL);
    CHECK(f.backend.team == NULL);
    run_frames(&f, &io_frame, 30);
    CHECK(f.backend.wants_ring);
    CHECK_EQ(f.backend.parallel_runs, 0);
    close_backend(&f);
}

static void test_a_place_is_kept_for_a_load_that_comes_back(void)
{
    fixture f;
    open_backend(&f, 2, NULL);
    fol_placed *placed = f.c->work.prepared;
    place(&f, true);
    fol_placed_set_load(placed, 7, 0);
    fol_placed_set_load(placed, 8, 1);
    place(&f, false);
    fol_placed_set_load(placed, 7, 0);
    CHECK_EQ(placed->placement.state, FOL_PLACEMENT_PARALLEL);
    fol_placed_set_load(placed, 8, 1);
    CHECK_EQ(placed->placement.state, FOL_PLACEMENT_SERIAL);
    /* One that got the slot of another goes on with what there is. */
    fol_placed_set_load(placed, 9, 0);
    CHECK_EQ(placed->placement.state, FOL_PLACEMENT_SERIAL);
    close_backend(&f);
}

static void test_frames_behind_a_short_one_are_left_alone(void)
{
    fixture f;
    open_backend(&f, 2, NULL);
    CHECK_EQ(f.backend.frames_to_skip, 0);
    run_frames(&f, &small_frame, 1);
    CHECK(f.backend.frames_to_skip > 0);
    CHECK(f.backend.skip_cycles > small_frame.cycles);
    run_frames(&f, &heavy_frame, 1);
    CHECK_EQ(f.backend.frames_to_skip, 0);
    fol_backend_frame short_io = small_frame;
    short_io.operations = 1;
    run_frames(&f, &short_io, 1);
    CHECK_EQ(f.backend.frames_to_skip, 0);
    close_backend(&f);
}

static void test_blocking_still_learns_what_the_plan_leaves(void)
{
    fixture f;
    open_backend(&f, 2, NULL);
    for (uint32_t i = 0; i < 40 && f.backend.switches == 0; i++) {
        place(&f, false);
        run_frames(&f, &small_frame, 1);
    }
    fol_placed *placed = f.c->work.prepared;
    placed->placement.work = 0.0;
    placed->next_refresh = 0;
    f.backend.frames_to_skip = 0;
    run_frames(&f, &small_frame, 1);
    CHECK(placed->placement.work > 0.0);
    CHECK(placed->placement.span > 0.0 && placed->placement.span <= placed->placement.work);
    CHECK(placed->next_refresh > placed->runs);
    close_backend(&f);
}

static void test_numbers_out_of_their_bounds_are_refused_with_a_reason(void)
{
    fol_backend backend;
    const fol_backend_config config = {
        .name = "adaptive", .workers = 2, .adaptive = {.window = 2, .least_gain = 0.05}};
    CHECK_EQ(fol_backend_init(&backend, &config), FOL_E_VALUE);
    CHECK_STR(backend.reason,
              "the adaptive backend needs a window of 4 to 4096 frames, a least gain from 0 to "
              "below 1, and a number of operations of at least 0");
}

int main(void)
{
    RUN(test_it_begins_as_stealing_without_the_ring);
    RUN(test_frames_with_operations_go_to_the_ring);
    RUN(test_frames_that_gain_nothing_block_and_run_on_the_caller);
    RUN(test_helpers_park_while_it_blocks);
    RUN(test_each_switch_is_counted_traced_and_explained);
    RUN(test_every_rule_holds_while_it_switches);
    RUN(test_one_worker_changes_the_way_of_its_io_only);
    RUN(test_a_place_is_kept_for_a_load_that_comes_back);
    RUN(test_frames_behind_a_short_one_are_left_alone);
    RUN(test_blocking_still_learns_what_the_plan_leaves);
    RUN(test_numbers_out_of_their_bounds_are_refused_with_a_reason);
    CHECK_MAIN_END();
}
