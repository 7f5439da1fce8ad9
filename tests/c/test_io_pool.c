/* The pool engine: files on threads, their growth and end, cancel, wake, limits. */
#include <limits.h>

#include "io_pool_fixture.h"

static void test_every_request_ends_once_with_its_own_value(void)
{
    enum { COUNT = 1000 };
    static struct statx status[COUNT];
    static fol_io_request requests[COUNT];
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        requests[i] = stat_of(i % 2 == 0 ? "/" : "/no_such_file", &status[i]);
        CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
    }
    CHECK_EQ(f.engine->in_flight, COUNT);
    wait_ended(&f, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK_EQ(f.finals[i], 1);
        CHECK_EQ(f.values[i], i % 2 == 0 ? 0 : -ENOENT);
    }
    CHECK_EQ(f.engine->in_flight, 0);
    fixture_close(&f);
}

int main(void)
{
    RUN(test_every_request_ends_once_with_its_own_value);
    CHECK_MAIN_END();
}
