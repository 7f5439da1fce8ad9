/* For how long a slot takes, by what is its own doing.
 *
 * The limit of a call is there for slots that compute or wait for too long. On a busy machine a
 * thread also stands still because others run, and takes the interpreter only after others had it:
 * neither is the policy's fault, and over a long run would switch off each policy there is. What a
 * call waited for the interpreter is therefore left out, and a call that is late by the clock while
 * its thread was taken off its processor counts with the processor time it used.
 *
 * The stopwatch is read before and after each call, on one thread. Where a slot drives something
 * that has a policy with a limit itself, its own call counts by the clock. Asking the system costs
 * far more than reading the clock, so it is asked once in a while, and after calls that are late.
 */
#include "bindings/policy_bound.h"

#include <sys/resource.h>
#include <time.h>

#include "foliot/clock.h"

#define NS_PER_SECOND INT64_C(1000000000)
/* How much older than a call what is known of its thread may be: this part of the limit. */
#define FRESH_PART 4

typedef struct thread_use {
    int64_t cpu_ns;
    long preemptions;
} thread_use;

static _Thread_local struct {
    thread_use use; /* at known_ns */
    int64_t known_ns;
    int64_t start_ns;                 /* of the call */
    const fol_py_bound_policy *bound; /* whose call it is */
    bool is_asked;                    /* its slot ran since */
} watch;

/* The processor time of getrusage is as old as the last tick, so that comes from the clock. */
static thread_use ask_system(void)
{
    struct rusage usage = {0};
    struct timespec cpu = {0};
    getrusage(RUSAGE_THREAD, &usage);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    return (thread_use){.cpu_ns = cpu.tv_sec * NS_PER_SECOND + cpu.tv_nsec,
                        .preemptions = usage.ru_nivcsw};
}

int64_t fol_py_policy_clock_ns(void)
{
    return (int64_t)fol_clock_monotonic.now_ns(fol_clock_monotonic.state);
}

void fol_py_policy_note_call(const fol_py_bound_policy *bound)
{
    if (watch.bound == bound) {
        watch.is_asked = true;
    }
}

/* Nanoseconds of a late call that are not its own: all it was without a processor, if it was taken
 * off one. */
static int64_t others_share(int64_t taken)
{
    thread_use use = ask_system();
    if (use.preemptions == watch.use.preemptions) {
        return 0;
    }
    int64_t used = use.cpu_ns - watch.use.cpu_ns;
    return used < taken ? taken - used : 0;
}

int64_t fol_py_policy_stopwatch(void *state)
{
    fol_py_bound_policy *bound = state;
    int64_t limit = bound->facts.slot_limit;
    int64_t excused = atomic_load_explicit(&bound->excused_ns, memory_order_relaxed);
    int64_t reading = fol_py_policy_clock_ns() - excused;
    if (watch.is_asked && watch.bound == bound) {
        watch.is_asked = false;
        int64_t taken = reading - watch.start_ns;
        if (taken > limit) {
            int64_t share = others_share(taken);
            atomic_fetch_add_explicit(&bound->excused_ns, share, memory_order_relaxed);
            reading -= share;
        }
        return reading;
    }
    if (reading + excused - watch.known_ns > limit / FRESH_PART) {
        watch.use = ask_system();
        watch.known_ns = reading + excused;
        /* Asking is not part of the call. */
        reading = fol_py_policy_clock_ns() - excused;
    }
    watch.start_ns = reading;
    watch.bound = bound;
    watch.is_asked = false;
    return reading;
}
