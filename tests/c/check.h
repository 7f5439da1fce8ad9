/*
 * The few macros a plain-C test program needs.
 *
 * A test is a `static void test_…(void)` run by RUN; a failed CHECK prints the expression and its
 * place, and the test goes on, so that one run shows every failure. `main` ends with
 * CHECK_MAIN_END, which prints one closing line and returns nonzero if any test failed.
 */
#ifndef FOL_TESTS_CHECK_H
#define FOL_TESTS_CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int check_failures; /* Failed checks of the running test. */
static int check_passed;   /* Tests without a failed check. */
static int check_failed;   /* Tests with one or more. */

static inline int check_report(int holds, const char *text, const char *file, int line)
{
    if (!holds) {
        check_failures += 1;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    }
    return holds;
}

static inline int check_equal(int64_t a, int64_t b, const char *text_a, const char *text_b,
                              const char *file, int line)
{
    if (a != b) {
        check_failures += 1;
        fprintf(stderr, "%s:%d: failed: %s == %s (%" PRId64 " and %" PRId64 ")\n", file, line,
                text_a, text_b, a, b);
    }
    return a == b;
}

static inline void check_run(void (*test)(void), const char *name)
{
    check_failures = 0;
    test();
    if (check_failures == 0) {
        check_passed += 1;
    } else {
        check_failed += 1;
        fprintf(stderr, "FAIL %s\n", name);
    }
}

static inline int check_end(const char *file)
{
    printf("%-40s %d passed, %d failed\n", file, check_passed, check_failed);
    return check_failed != 0;
}

/* Holds or is reported; the value is 1 or 0, so that a test may stop: if (!CHECK(p != NULL))
 * return; */
#define CHECK(condition) check_report((condition) ? 1 : 0, #condition, __FILE__, __LINE__)

/* The two integers are equal, compared as int64_t; both values are printed when they are not. */
#define CHECK_EQ(a, b) check_equal((int64_t)(a), (int64_t)(b), #a, #b, __FILE__, __LINE__)

/* The two strings are equal. */
#define CHECK_STR(a, b) CHECK(strcmp((a), (b)) == 0)

/* Runs one test function. */
#define RUN(test) check_run((test), #test)

/* Ends main: prints the closing line and returns the exit status. */
#define CHECK_MAIN_END() return check_end(__FILE__)

#endif
