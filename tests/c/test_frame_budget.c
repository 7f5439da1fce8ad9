/* Budgets at work in frames, on one worker and a virtual clock: every number is exact. */

#include "frame_fixture.h"

#define ROWS 64

/* A kernel's cost: what it adds to the virtual clock for each row, and when it was called. */
typedef struct cost {
    fixture *f;
    uint64_t ns_a_row;
    uint32_t calls;
    uint64_t at[64];
} cost;

static int kernel_costs(void **columns, ptrdiff_t rows, void *user)
{
    cost *c = user;
    (void)columns;
    if (c->calls < 64) {
        c->at[c->calls] = fol_virtual_clock_face(&c->f->clock).now_ns(&c->f->clock);
    }
    c->calls++;
    fol_virtual_clock_advance(&c->f->clock, (uint64_t)rows * c->ns_a_row);
    return 0;
}

static fol_system_budget context_of(int64_t budget, int64_t period, fol_overrun overrun)
{
    return (fol_system_budget){.key = 1,
                               .context = {.kind = FOL_CONTEXT_SPORADIC,
                                           .overrun = overrun,
                                           .refills = 8,
                                           .budget = budget,
                                           .period = period}};
}

/* One system over rows of 16 a piece with that budget. */
static void start_costly(fixture *f, cost *c, const fol_system_budget *budget)
{
    fol_system *system = add_system(f, "costly", 0, -1, false);
    system->columns_kernel = kernel_costs;
    system->user = c;
    system->budget = budget;
    c->f = f;
    f->config.clock = fol_virtual_clock_face(&f->clock);
    f->config.target_task_seconds = 1e-9;
    spawn_floats(f, ROWS, 0.0f, 0.0f);
    start(f);
}

static void test_a_throttled_system_waits_for_its_refill_between_pieces(void)
{
    fixture f;
    setup(&f);
    cost c = {.ns_a_row = 10};
    const fol_system_budget budget = context_of(320, 10000, FOL_OVERRUN_THROTTLE);
    start_costly(&f, &c, &budget);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    uint32_t first = c.calls;
    CHECK(first >= 1);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    fol_scheduler_stats stats;
    fol_scheduler_read_stats(f.scheduler, &stats);
    fol_account account;
    CHECK_EQ(fol_scheduler_read_account(f.scheduler, FOL_ACCOUNT_SYSTEM, 0, &account), 0);
    CHECK_EQ(account.runtime, 2 * ROWS * 10);
    CHECK_EQ(account.jobs, 2);
    CHECK(account.throttles >= 2);
    char text[256];
    fol_scheduler_explain_system(f.scheduler, 0, text, sizeof(text));
    printf("%s\n", text);
    CHECK(strstr(text, "throttled") != NULL);
    teardown(&f);
}

int main(void)
{
    RUN(test_a_throttled_system_waits_for_its_refill_between_pieces);
    CHECK_MAIN_END();
}
