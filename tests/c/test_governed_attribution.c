/* What governed frames cost beside the work: exact counts on one worker, and on several whatever
 * has to be there. */

#include <pthread.h>
#include <sched.h>

#include "budget_fixture.h"
#include "frame/budget.h"

/* Rounds after which what should have come is given up. */
#define PATIENCE 50000000u

static piece_log pieces;

static fol_attribution attribution_of(fixture *f)
{
    fol_attribution attribution = {0};
    CHECK_EQ(fol_scheduler_read_attribution(f->scheduler, &attribution), 0);
    return attribution;
}

static void test_a_program_that_is_not_governed_has_none(void)
{
    fixture f;
    costly c;
    fol_attribution attribution;
    setup(&f);
    add_costly(&f, &c, &pieces, "move", 0, 10, NULL);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    CHECK_EQ(fol_scheduler_read_attribution(f.scheduler, &attribution), FOL_E_MISSING);
    teardown(&f);
}

static void test_a_frame_on_one_worker_is_counted_exactly(void)
{
    fixture f;
    costly hog;
    costly other;
    const fol_system_budget budget = context_of(1, 160, 10000, FOL_OVERRUN_THROTTLE);
    setup(&f);
    pieces.count = 0;
    add_costly(&f, &hog, &pieces, "hog", 0, 80, &budget);
    add_costly(&f, &other, &pieces, "other", 0, 10, NULL);
    start_costly(&f);
    CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    fol_attribution a = attribution_of(&f);
    /* The hog runs two pieces and is throttled, nobody may run, it runs the other two and ends, and
     * the other one, which waits for it by its access, runs. */
    CHECK_EQ(a.choices.picks, 4);
    CHECK_EQ(a.choices.idle_picks, 1);
    CHECK_EQ(a.choices.taken, 3);
    CHECK_EQ(a.choices.candidates, 3);
    CHECK_EQ(a.choices.asked, 0);
    CHECK_EQ(a.lock_waits, 0);
    CHECK_EQ(a.lock_wait_ns, 0);
    CHECK_EQ(a.wakes_sent, 0);
    CHECK_EQ(a.helper_calls, 0);
    CHECK_EQ(a.turn_waits, 0);
    CHECK_EQ(a.sleeps, 0);
    /* Two begins and eight pieces find nobody to wake, and so does the end. */
    CHECK_EQ(a.wakes_saved, 11);
    CHECK_EQ(attribution_of(&f).locks, a.locks + 1);
    teardown(&f);
}

/* Two systems that meet on two workers. */
typedef struct meeting {
    fixture f;
    _Atomic uint32_t arrived;
} meeting;

/* Stays until both are there. */
static int kernel_meets(const fol_chunk *chunk, void *user)
{
    meeting *m = user;
    (void)chunk;
    m->arrived++;
    for (uint32_t i = 0; i < PATIENCE && m->arrived < 2; i++) {
        sched_yield();
    }
    CHECK_EQ(m->arrived, 2);
    return 0;
}

static void add_meeting(meeting *m, const char *name, const fol_system_budget *budget)
{
    fol_system *system = add_system(&m->f, name, -1, 0, false);
    system->kind = FOL_SYSTEM_CHUNK;
    system->chunk_kernel = kernel_meets;
    system->user = m;
    system->budget = budget;
}

static void test_a_worker_is_called_for_what_is_ready(void)
{
    meeting m = {.arrived = 0};
    fol_system_budget there = context_of(1, 1000000000, 1000000000, FOL_OVERRUN_THROTTLE);
    setup(&m.f);
    there.context.cpus[0] = 2;
    m.f.config.backend = "threadpool";
    m.f.config.workers = 2;
    add_meeting(&m, "here", NULL);
    add_meeting(&m, "there", &there);
    spawn_floats(&m.f, 10, 0.0f, 0.0f);
    start(&m.f);
    CHECK_EQ(fol_scheduler_tick(m.f.scheduler, 0.0), 0);
    fol_attribution a = attribution_of(&m.f);
    CHECK_EQ(a.choices.taken, 2);
    CHECK(a.helper_calls >= 1);
    CHECK_EQ(a.choices.candidates, a.choices.taken + a.choices.forbidden);
    teardown(&m.f);
}

/* Holds the host's lock until another one has been put off for it. */
static int hosted_waits(void *user, fol_task *task)
{
    meeting *m = user;
    fol_attribution a = {0};
    (void)task;
    m->arrived++;
    for (uint32_t i = 0; i < PATIENCE && m->arrived == 1 && a.turn_waits == 0; i++) {
        CHECK_EQ(fol_scheduler_read_attribution(m->f.scheduler, &a), 0);
        sched_yield();
    }
    return 0;
}

static void test_one_that_is_granted_while_another_has_its_turn_is_counted(void)
{
    meeting m = {.arrived = 0};
    fol_system_budget anywhere = context_of(1, 1000000000, 1000000000, FOL_OVERRUN_THROTTLE);
    setup(&m.f);
    anywhere.context.cpus[0] = 3;
    m.f.config.backend = "threadpool";
    m.f.config.workers = 2;
    for (uint32_t i = 0; i < 2; i++) {
        fol_system *system = add_system(&m.f, i == 0 ? "one" : "two", -1, 0, false);
        system->kind = FOL_SYSTEM_HOSTED;
        system->hosted = hosted_waits;
        system->needs_host = true;
        system->user = &m;
        system->in_lane = true;
        system->budget = i == 0 ? &anywhere : NULL;
    }
    spawn_floats(&m.f, 10, 0.0f, 0.0f);
    start(&m.f);
    CHECK_EQ(fol_scheduler_tick(m.f.scheduler, 0.0), 0);
    CHECK_EQ(attribution_of(&m.f).turn_waits, 1);
    teardown(&m.f);
}

static void *read_on(void *argument)
{
    meeting *m = argument;
    fol_attribution a = {0};
    for (uint32_t i = 0; i < PATIENCE && m->arrived == 0; i++) {
        CHECK_EQ(fol_scheduler_read_attribution(m->f.scheduler, &a), 0);
        sched_yield();
    }
    return NULL;
}

static void test_who_waits_for_the_lock_is_counted_with_its_time(void)
{
    meeting m = {.arrived = 0};
    costly c;
    const fol_system_budget budget = context_of(1, 160, 10000, FOL_OVERRUN_THROTTLE);
    setup(&m.f);
    add_costly(&m.f, &c, &pieces, "hog", 0, 80, &budget);
    start_costly(&m.f);
    fol_governor *governor = fol_budget_of_any(m.f.scheduler)->governor;
    fol_attribution a = {0};
    pthread_t reader;
    CHECK_EQ(pthread_create(&reader, NULL, read_on, &m), 0);
    for (uint32_t i = 0; i < PATIENCE && a.lock_waits == 0; i++) {
        int64_t now;
        CHECK_EQ(fol_governor_lock(governor, &now), 0);
        sched_yield();
        fol_governor_read_attribution(governor, &a);
        fol_governor_unlock(governor);
    }
    m.arrived = 1;
    pthread_join(reader, NULL);
    CHECK(a.lock_waits > 0 && a.lock_wait_ns > 0);
    CHECK(a.lock_waits <= a.locks);
    teardown(&m.f);
}

int main(void)
{
    RUN(test_a_program_that_is_not_governed_has_none);
    RUN(test_a_frame_on_one_worker_is_counted_exactly);
    RUN(test_a_worker_is_called_for_what_is_ready);
    RUN(test_one_that_is_granted_while_another_has_its_turn_is_counted);
    RUN(test_who_waits_for_the_lock_is_counted_with_its_time);
    CHECK_MAIN_END();
}
