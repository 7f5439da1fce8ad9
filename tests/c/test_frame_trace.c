/* What a frame on the caller alone leaves in its trace, whatever interrupts the chain of its
 * systems.
 */

#include "frame/frame.h"
#include "frame_fixture.h"

#define RECORDS 128u

/* What the records of the last read are, in order: their kinds, and those of systems. */
typedef struct traced {
    fol_trace_record all[RECORDS];
    fol_trace_record systems[RECORDS];
    size_t count;
    size_t system_count;
} traced;

static traced seen;

static void read_all(const fol_scheduler *scheduler, traced *out)
{
    uint64_t lost;
    out->count = fol_scheduler_read_trace(scheduler, 0, out->all, RECORDS, &lost);
    CHECK_EQ(lost, 0);
    out->system_count = 0;
    for (size_t i = 0; i < out->count; i++) {
        CHECK(out->all[i].start_cycles <= out->all[i].end_cycles);
        if (out->all[i].kind == FOL_TRACE_SYSTEM) {
            out->systems[out->system_count++] = out->all[i];
        }
    }
}

/* Systems that write gravity, so they run in this order. */
static void add_natives(fixture *f, int64_t *calls, uint32_t count)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    float g = 1.0f;
    for (uint32_t i = 0; i < count; i++) {
        fol_system *system = add_system(f, names[i], 2, -1, false);
        system->columns_kernel = kernel_count;
        system->user = calls;
    }
    CHECK_EQ(fol_world_insert(f->world, &(fol_value){f->gravity, &g}), 0);
    f->config.trace_records = RECORDS;
}

/* Each system follows the last one at once, and took what its timing says. */
static void check_follow_each_other(const fixture *f, const uint32_t *systems, size_t count)
{
    double scale = atomic_load(&f->scheduler->ns_per_cycle);
    const fol_frame *frame = fol_scheduler_frame(f->scheduler);
    CHECK_EQ(seen.system_count, count);
    for (size_t i = 0; i < count; i++) {
        const fol_trace_record *one = &seen.systems[i];
        uint32_t system = systems == NULL ? (uint32_t)i : systems[i];
        CHECK_EQ(one->subject, system);
        CHECK_EQ(fol_cycles_scale(one->start_cycles, one->end_cycles, scale),
                 frame->systems[system].wall_ns);
        CHECK_EQ(one->detail, frame->systems[system].rows);
        CHECK(i == 0 || one->start_cycles == one[-1].end_cycles);
    }
}

static void test_systems_in_a_chain_are_told_as_they_ran(void)
{
    fixture f;
    int64_t calls = 0;
    setup(&f);
    add_natives(&f, &calls, 4);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    read_all(f.scheduler, &seen);
    CHECK_EQ(seen.count, 7); /* and the segment, the phase and the frame */
    check_follow_each_other(&f, NULL, 4);
    teardown(&f);
}

static void test_every_frame_is_complete_when_it_has_ended(void)
{
    fixture f;
    int64_t calls = 0;
    setup(&f);
    add_natives(&f, &calls, 4);
    start(&f);
    for (uint32_t frame = 0; frame < 10; frame++) {
        fol_scheduler_clear_trace(f.scheduler);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
        read_all(f.scheduler, &seen);
        check_follow_each_other(&f, NULL, 4);
        for (size_t i = 0; i < seen.count; i++) {
            CHECK_EQ(seen.all[i].frame, frame);
        }
    }
    teardown(&f);
}

static void test_a_system_that_is_off_leaves_no_record(void)
{
    fixture f;
    int64_t calls = 0;
    setup(&f);
    add_natives(&f, &calls, 5);
    start(&f);
    CHECK_EQ(fol_scheduler_enable(f.scheduler, 2, false), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    read_all(f.scheduler, &seen);
    const uint32_t left[] = {0, 1, 3, 4};
    check_follow_each_other(&f, left, 4);
    teardown(&f);
}

static void test_rows_of_a_system_over_a_table_come_back(void)
{
    fixture f;
    int64_t calls = 0;
    setup(&f);
    add_natives(&f, &calls, 1);
    fol_system *moves = add_system(&f, "moves", 0, 1, false);
    moves->columns_kernel = kernel_move;
    spawn_floats(&f, 300, 0.0f, 1.0f);
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    read_all(f.scheduler, &seen);
    check_follow_each_other(&f, NULL, 2);
    CHECK_EQ(seen.systems[1].detail, 300);
    teardown(&f);
}

static void test_a_system_that_fails_has_its_record_like_the_others(void)
{
    fixture f;
    int64_t calls = 0;
    int code = 3;
    setup(&f);
    add_natives(&f, &calls, 3);
    f.systems[1].columns_kernel = kernel_fail;
    f.systems[1].user = &code;
    f.config.errors = FOL_ERRORS_CONTINUE;
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    read_all(f.scheduler, &seen);
    check_follow_each_other(&f, NULL, 3);
    teardown(&f);
}

static int answer(void *user, fol_task *task)
{
    (void)task;
    return *(int *)user;
}

static void test_a_condition_stands_before_its_system_and_behind_the_one_before(void)
{
    fixture f;
    int64_t calls = 0;
    int answers[2] = {0, 1};
    setup(&f);
    add_natives(&f, &calls, 6);
    f.systems[2].condition = f.systems[4].condition = answer;
    f.systems[2].condition_user = &answers[0];
    f.systems[4].condition_user = &answers[1];
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    read_all(f.scheduler, &seen);
    char kinds[RECORDS + 1] = {0};
    for (size_t i = 0; i < seen.count; i++) {
        kinds[i] = "fpgsicmtkh"[seen.all[i].kind];
    }
    CHECK_STR(kinds, "sscsscssgpf");
    check_follow_each_other(&f, NULL, 6);
    teardown(&f);
}

/* Reads the trace from inside of the frame, as another thread may at this moment. */
typedef struct looker {
    const fol_scheduler *scheduler;
    size_t systems;
} looker;

static int kernel_looks(void **columns, ptrdiff_t rows, void *user)
{
    looker *self = user;
    (void)columns;
    (void)rows;
    read_all(self->scheduler, &seen);
    self->systems = seen.system_count;
    return 0;
}

static void look_inside(uint64_t poll_cycles, looker *out)
{
    fixture f;
    int64_t calls = 0;
    setup(&f);
    add_natives(&f, &calls, 5);
    f.systems[3].columns_kernel = kernel_looks;
    f.systems[3].user = out;
    start(&f);
    out->scheduler = f.scheduler;
    f.scheduler->poll_cycles = poll_cycles;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    read_all(f.scheduler, &seen);
    check_follow_each_other(&f, NULL, 5);
    teardown(&f);
}

static void test_who_reads_inside_of_a_chain_does_not_see_it_yet(void)
{
    looker self = {0};
    look_inside(UINT64_MAX, &self);
    CHECK_EQ(self.systems, 0);
}

static void test_a_look_at_the_host_shows_what_ran_before_it(void)
{
    looker self = {0};
    look_inside(0, &self);
    CHECK_EQ(self.systems, 3);
}

static void test_a_look_from_inside_of_a_system_leaves_it_its_record(void)
{
    fixture f;
    int64_t calls = 0;
    setup(&f);
    add_natives(&f, &calls, 2);
    fol_system *moves = add_system(&f, "moves", 0, 1, false);
    moves->columns_kernel = kernel_move;
    moves->max_rows = 16; /* it is looked up after each 16 rows */
    fol_system *after = add_system(&f, "after", 0, 1, false);
    after->columns_kernel = kernel_move;
    spawn_floats(&f, 100, 0.0f, 1.0f);
    start(&f);
    f.scheduler->poll_cycles = 0;
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    read_all(f.scheduler, &seen);
    check_follow_each_other(&f, NULL, 4);
    CHECK_EQ(seen.systems[2].detail, 100);
    teardown(&f);
}

static void test_more_systems_than_a_chain_may_have_are_all_told(void)
{
    fixture f;
    int64_t calls = 0;
    setup(&f);
    add_natives(&f, &calls, 6);
    f.config.trace_records = 16;
    start(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    read_all(f.scheduler, &seen);
    check_follow_each_other(&f, NULL, 6);
    teardown(&f);
}

#define STEPS 20000u

/* Systems of one row, in steps enough to go through the entries of any trace here more than once.
 */
static void run_steps(uint32_t trace_records)
{
    fixture f;
    int64_t calls = 0;
    setup(&f);
    add_natives(&f, &calls, 3);
    f.config.trace_records = trace_records;
    const fol_phase_rate rate = {
        .kind = FOL_RATE_FIXED, .step_seconds = 1e-5, .max_steps = UINT32_MAX};
    CHECK_EQ(start_with_rates(&f, &rate), 0);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 1e-5 * STEPS), 0);
    const fol_frame *frame = fol_scheduler_frame(f.scheduler);
    uint64_t systems_ns = 0;
    CHECK_EQ(calls, 3 * STEPS);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(frame->systems[i].rows, STEPS);
        CHECK_EQ(frame->systems[i].tasks, STEPS);
        CHECK(frame->systems[i].wall_ns > 0);
        systems_ns += frame->systems[i].wall_ns;
    }
    CHECK(systems_ns <= frame->phase_ns[0]);
    teardown(&f);
}

static void test_figures_of_a_frame_longer_than_the_trace_are_whole(void)
{
    run_steps(RECORDS);
    run_steps(4);
}

static void test_figures_of_a_long_frame_without_a_trace_are_whole(void)
{
    run_steps(0);
}

static int kernel_fail_later(void **columns, ptrdiff_t rows, void *user)
{
    uint32_t *left = user;
    (void)columns;
    (void)rows;
    return (*left)-- == 0 ? 3 : 0;
}

static void test_a_frame_that_fails_within_a_batch_has_its_figures(void)
{
    fixture f;
    int64_t calls = 0;
    uint32_t left = 2;
    uint64_t done;
    setup(&f);
    add_natives(&f, &calls, 4);
    f.systems[2].columns_kernel = kernel_fail_later;
    f.systems[2].user = &left;
    f.config.trace_records = 0;
    start(&f);
    CHECK_EQ(fol_scheduler_tick_many(f.scheduler, 10, 0.0, &done), FOL_E_FRAME);
    CHECK_EQ(done, 3);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->systems[i].rows, 1);
    }
    teardown(&f);
}

int main(void)
{
    RUN(test_systems_in_a_chain_are_told_as_they_ran);
    RUN(test_every_frame_is_complete_when_it_has_ended);
    RUN(test_a_system_that_is_off_leaves_no_record);
    RUN(test_rows_of_a_system_over_a_table_come_back);
    RUN(test_a_system_that_fails_has_its_record_like_the_others);
    RUN(test_a_condition_stands_before_its_system_and_behind_the_one_before);
    RUN(test_who_reads_inside_of_a_chain_does_not_see_it_yet);
    RUN(test_a_look_at_the_host_shows_what_ran_before_it);
    RUN(test_a_look_from_inside_of_a_system_leaves_it_its_record);
    RUN(test_more_systems_than_a_chain_may_have_are_all_told);
    RUN(test_figures_of_a_frame_longer_than_the_trace_are_whole);
    RUN(test_figures_of_a_long_frame_without_a_trace_are_whole);
    RUN(test_a_frame_that_fails_within_a_batch_has_its_figures);
    CHECK_MAIN_END();
}
