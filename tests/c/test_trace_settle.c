/* Settling a trace: what the caller ran is accounted for once, by its entry or by whoever ran it.
 */

#include <string.h>

#include "check.h"
#include "trace/trace.h"

#define CAPACITY 64u
#define MOST     (CAPACITY / FOL_TRACE_CHAIN_PART)
#define START    (UINT64_C(1) << 60)
#define SYSTEMS  7u

typedef struct sums {
    uint64_t runs[SYSTEMS];
    uint64_t cycles[SYSTEMS];
    uint64_t rows[SYSTEMS];
} sums;

static void settle(fol_trace *trace, sums *out)
{
    fol_trace_cursor cursor = fol_trace_begin_settling(trace);
    uint32_t system = fol_trace_next_system(&cursor);
    while (system != UINT32_MAX) {
        CHECK(system < SYSTEMS);
        out->runs[system]++;
        fol_trace_take_entry(trace, &cursor, &out->cycles[system], &out->rows[system]);
        system = fol_trace_next_system(&cursor);
    }
}

static fol_trace *create(void)
{
    fol_trace *trace;
    CHECK_EQ(fol_trace_create(1, CAPACITY, &trace), 0);
    return trace;
}

/* As the frame does it: what has no entry is accounted for at once. */
static void follow(fol_trace *trace, sums *at_once, uint32_t system, uint64_t rows, uint64_t *stamp,
                   uint64_t end)
{
    uint64_t cycles = end > *stamp ? end - *stamp : 0;
    if (fol_trace_is_chained(trace) && rows == 1 && cycles < FOL_TRACE_CHAIN_CYCLES) {
        fol_trace_follow_one_row(trace, system, (uint32_t)cycles);
    } else if (!fol_trace_follow(trace, system, rows, *stamp, end)) {
        at_once->runs[system]++;
        at_once->cycles[system] += cycles;
        at_once->rows[system] += rows;
    }
    *stamp = end;
}

static void test_settling_gives_what_has_an_entry(void)
{
    fol_trace *trace = create();
    sums at_once = {0};
    sums settled = {0};
    uint64_t stamp = START;
    fol_trace_begin_frame(trace, 1);
    fol_trace_begin_chain(trace, 6, &stamp);
    follow(trace, &at_once, 0, 1, &stamp, START + 10);
    follow(trace, &at_once, 1, 70000, &stamp, START + 30);
    follow(trace, &at_once, 2, 0, &stamp, START + 60);
    follow(trace, &at_once, 3, 1, &stamp, START + 100);
    follow(trace, &at_once, 4, UINT64_C(5) << 32, &stamp, START + 150);
    follow(trace, &at_once, 5, 1, &stamp, START + 150 + FOL_TRACE_CHAIN_CYCLES);
    fol_trace_end_chain(trace);
    settle(trace, &settled);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(settled.runs[i], 1);
        CHECK_EQ(settled.cycles[i], 10 * (i + 1));
        CHECK_EQ(at_once.runs[i], 0);
    }
    CHECK_EQ(settled.rows[0], 1);
    CHECK_EQ(settled.rows[1], 70000);
    CHECK_EQ(settled.rows[2], 0);
    CHECK_EQ(settled.runs[4] + settled.runs[5], 0);
    CHECK_EQ(at_once.rows[4], UINT64_C(5) << 32);
    CHECK_EQ(at_once.cycles[5], FOL_TRACE_CHAIN_CYCLES);
    fol_trace_destroy(trace);
}

static void test_nothing_is_settled_twice_or_in_another_frame(void)
{
    fol_trace *trace = create();
    sums at_once = {0};
    sums settled = {0};
    uint64_t stamp = START;
    fol_trace_begin_frame(trace, 1);
    fol_trace_begin_chain(trace, 4, &stamp);
    follow(trace, &at_once, 0, 1, &stamp, START + 10);
    fol_trace_end_chain(trace);
    settle(trace, &settled);
    settle(trace, &settled);
    CHECK_EQ(settled.runs[0], 1);
    fol_trace_begin_chain(trace, 4, &stamp);
    follow(trace, &at_once, 1, 1, &stamp, START + 20);
    fol_trace_begin_frame(trace, 2);
    settle(trace, &settled);
    CHECK_EQ(settled.runs[1], 0);
    fol_trace_destroy(trace);
}

/* A program of frames at random: chains that are ended by slots or by the next one, systems of all
 * kinds of rows, and more of them than there are entries. */
typedef struct program {
    fol_trace *trace;
    sums expected;
    sums got; /* in time */
    uint64_t now;
    uint64_t seed;
    uint32_t wraps;
} program;

static uint32_t pick(program *self, uint32_t below)
{
    self->seed = self->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(self->seed >> 33) % below;
}

static void settle_in_time(void *state)
{
    program *self = state;
    self->wraps++;
    settle(self->trace, &self->got);
}

static void run_system(program *self)
{
    static const uint64_t rows_of[] = {1, 1, 1, 1, 0, 300, UINT64_C(1) << 33};
    static const uint32_t cycles_of[] = {1, 100, FOL_TRACE_CHAIN_CYCLES + 100};
    uint32_t system = pick(self, SYSTEMS);
    uint64_t rows = rows_of[pick(self, 7)];
    uint64_t end = self->now + pick(self, cycles_of[pick(self, 3)]);
    self->expected.runs[system]++;
    self->expected.cycles[system] += end - self->now;
    self->expected.rows[system] += rows;
    follow(self->trace, &self->got, system, rows, &self->now, end);
}

static void run_segment(program *self)
{
    uint32_t systems = 1 + pick(self, 3 * MOST);
    fol_trace_begin_chain(self->trace, systems, &self->now);
    uint32_t ran = pick(self, systems + 1);
    for (uint32_t i = 0; i < ran; i++) {
        if (pick(self, 6) == 0) {
            fol_trace_write(self->trace, 0, FOL_TRACE_HOST, 0, 0, self->now, self->now);
        }
        run_system(self);
    }
}

static void test_every_run_is_accounted_for_once_whatever_ends_its_chain(void)
{
    program self = {.trace = create(), .now = START, .seed = 7};
    fol_trace_on_wrap(self.trace, settle_in_time, &self);
    for (uint64_t frame = 0; frame < 1000; frame++) {
        memset(&self.expected, 0, sizeof(self.expected));
        memset(&self.got, 0, sizeof(self.got));
        fol_trace_begin_frame(self.trace, frame);
        uint32_t segments = pick(&self, 40);
        for (uint32_t i = 0; i < segments; i++) {
            run_segment(&self);
        }
        fol_trace_end_chain(self.trace);
        settle(self.trace, &self.got);
        CHECK(memcmp(&self.expected, &self.got, sizeof(self.got)) == 0);
    }
    CHECK(self.wraps > 10);
    fol_trace_destroy(self.trace);
}

int main(void)
{
    RUN(test_settling_gives_what_has_an_entry);
    RUN(test_nothing_is_settled_twice_or_in_another_frame);
    RUN(test_every_run_is_accounted_for_once_whatever_ends_its_chain);
    CHECK_MAIN_END();
}
