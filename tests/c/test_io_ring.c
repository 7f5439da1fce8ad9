/* The ring engine: requests go and come back, waits end, bounds hold. */

#include "ring_support.h"

static void test_nop_comes_back_with_its_token(void)
{
    fol_io_engine *engine = ring_make();
    CHECK_EQ(ring_nop(engine, UINT64_MAX - 5), 0);
    CHECK_EQ(engine->in_flight, 1);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK(events[0].token == UINT64_MAX - 5);
    CHECK_EQ(events[0].value, 0);
    CHECK(!events[0].has_more);
    CHECK_EQ(events[0].buffer, -1);
    CHECK_EQ(engine->in_flight, 0);
    CHECK(engine->ops->destroy(engine));
}

static void test_batch_takes_one_system_call(void)
{
    fol_io_engine *engine = ring_make();
    CHECK_EQ(ring_nop(engine, 0), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    uint64_t calls = atomic_load(&engine->counters.system_calls);
    for (uint32_t token = 0; token < engine->in_flight_bound; token++) {
        CHECK_EQ(ring_nop(engine, token), 0);
    }
    CHECK_EQ(engine->ops->wait(engine, engine->in_flight_bound, UINT64_MAX), 0);
    CHECK_EQ(engine->ops->reap(engine, events, EVENTS_MAX), engine->in_flight_bound);
    CHECK_EQ(atomic_load(&engine->counters.system_calls) - calls, 1);
    CHECK(engine->ops->destroy(engine));
}

static void test_bound_gives_busy_until_something_is_reaped(void)
{
    fol_io_engine *engine = ring_make();
    const uint32_t bound = engine->in_flight_bound;
    for (uint32_t token = 0; token < bound; token++) {
        CHECK_EQ(ring_nop(engine, token), 0);
    }
    CHECK_EQ(ring_nop(engine, bound), -EBUSY);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(ring_nop(engine, bound), -EBUSY);
    CHECK_EQ(engine->ops->reap(engine, events, 1), 1);
    CHECK_EQ(ring_nop(engine, bound), 0);
    CHECK_EQ(ring_collect(engine, bound), bound);
    CHECK(ring_event(bound, bound) != NULL);
    CHECK_EQ(engine->in_flight, 0);
    CHECK(engine->ops->destroy(engine));
}

int main(void)
{
    stress_watch(120);
    if (!ring_begin()) {
        return 0;
    }
    RUN(test_nop_comes_back_with_its_token);
    RUN(test_batch_takes_one_system_call);
    RUN(test_bound_gives_busy_until_something_is_reaped);
    CHECK_MAIN_END();
}
