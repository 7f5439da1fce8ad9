/* What is accounted is what was used: the ledgers of systems, groups and workers against the CPU
 * clocks of the threads, on a machine whose processors others use too. It is at least what the
 * kernels used, read inside of them, and at most what the process used, each within 2 %.
 */

#include <time.h>

#include "frame_fixture.h"

#define ROWS     4096
#define WORKERS  4
#define PIECE_NS 200000
#define FRAMES   10

static _Atomic int64_t cpu_ns;

static int64_t cpu_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Takes so much CPU time, however often the thread loses its processor meanwhile. */
static int kernel_spins(void **columns, ptrdiff_t rows, void *user)
{
    int64_t start = cpu_now(CLOCK_THREAD_CPUTIME_ID);
    int64_t now = start;
    (void)columns;
    (void)rows;
    (void)user;
    while (now - start < PIECE_NS) {
        now = cpu_now(CLOCK_THREAD_CPUTIME_ID);
    }
    cpu_ns += now - start;
    return 0;
}

static int64_t runtime_of(fixture *f, fol_account_kind kind, uint64_t id)
{
    fol_account account = {0};
    CHECK_EQ(fol_scheduler_read_account(f->scheduler, kind, id, &account), 0);
    return account.runtime;
}

static void test_runtimes_add_up_to_the_cpu_time_of_the_workers(void)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    const fol_system_budget group = {.key = 1, .is_group = true, .weight = 512, .latency = 1};
    fixture f;
    setup(&f);
    f.config.backend = "stealing";
    f.config.workers = WORKERS;
    for (int i = 0; i < 4; i++) {
        fol_system *system = add_system(&f, names[i], i < 2 ? i : -1, i < 2 ? -1 : 0, false);
        system->columns_kernel = kernel_spins;
        system->max_rows = ROWS / 64;
        system->budget = i % 2 == 0 ? &group : NULL;
    }
    spawn_floats(&f, ROWS, 0.0f, 0.0f);
    start(&f);
    int64_t before = cpu_now(CLOCK_PROCESS_CPUTIME_ID);
    for (int frame = 0; frame < FRAMES; frame++) {
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.0), 0);
    }
    int64_t process = cpu_now(CLOCK_PROCESS_CPUTIME_ID) - before;
    int64_t systems = 0;
    int64_t grouped = 0;
    int64_t workers = 0;
    for (uint64_t i = 0; i < 4; i++) {
        int64_t runtime = runtime_of(&f, FOL_ACCOUNT_SYSTEM, i);
        systems += runtime;
        grouped += i % 2 == 0 ? runtime : 0;
    }
    for (uint64_t i = 0; i < WORKERS; i++) {
        workers += runtime_of(&f, FOL_ACCOUNT_WORKER, i);
    }
    CHECK_EQ(systems, workers);
    CHECK_EQ(grouped, runtime_of(&f, FOL_ACCOUNT_GROUP, 1));
    bool is_enough = CHECK((double)systems >= 0.98 * (double)cpu_ns);
    bool is_within = CHECK((double)systems <= 1.02 * (double)process);
    if (!is_enough || !is_within) {
        fprintf(stderr, "kernels %lld ns, accounted %lld ns, process %lld ns\n", (long long)cpu_ns,
                (long long)systems, (long long)process);
    }
    teardown(&f);
}

int main(void)
{
    RUN(test_runtimes_add_up_to_the_cpu_time_of_the_workers);
    CHECK_MAIN_END();
}
