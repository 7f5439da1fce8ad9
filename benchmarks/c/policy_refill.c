/* What a charge costs: of a refill ring alone, of a constant bandwidth server, and of a context by
 * its handle. Called as `c_policy_refill [SAMPLES]`; prints one JSON object with the nanoseconds of
 * the thread's CPU time that one charge took in each sample: nothing here waits for anything.
 *
 * The ring's load is that of a dispatcher: chunks of a run that began with unblock, until a charge
 * uses the budget up; then time goes on to the refill. Amounts are drawn beforehand. "chunk" is the
 * mean over all of it, the unblocks included; "full" is the same on rings whose every place is
 * taken, by runs that begin before the last one's refill.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policy/cbs.h"
#include "policy/context.h"
#include "policy/refill.h"

#define CHARGES 1000000
#define DRAWN   4096

enum { BUDGET = 2000000, PERIOD = 10000000 };

static int64_t amounts[DRAWN];

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void draw_amounts(void)
{
    uint64_t state = 1;
    for (int i = 0; i < DRAWN; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        amounts[i] = 1000 + (int64_t)(state >> 33) % 300000;
    }
}

/* ns of a charge; pause: how long the owner sleeps after each, so that refills stay apart. */
static double ring_sample(uint32_t capacity, int64_t pause, int64_t *result)
{
    fol_refill slots[FOL_REFILLS_MAX];
    fol_refill_ring ring;
    int64_t now = 0;
    fol_refill_init(&ring, slots, capacity, BUDGET, PERIOD, 1000, now);
    double start = now_ns();
    for (int i = 0; i < CHARGES; i++) {
        int64_t used = amounts[i % DRAWN];
        if (pause > 0) {
            fol_refill_unblock(&ring, now);
        }
        fol_refill_charge(&ring, used);
        now += used + pause;
        if (!fol_refill_ready(&ring, now)) {
            now = fol_refill_ready_at(&ring);
            fol_refill_unblock(&ring, now);
        }
    }
    double taken = now_ns() - start;
    *result += now;
    return taken / CHARGES;
}

static double server_sample(int64_t *result)
{
    fol_cbs server;
    int64_t now = 0;
    fol_cbs_init(&server, BUDGET, PERIOD, PERIOD, true);
    fol_cbs_wake(&server, now);
    double start = now_ns();
    for (int i = 0; i < CHARGES; i++) {
        int64_t used = amounts[i % DRAWN];
        now += used;
        fol_cbs_charge(&server, used, now);
        if (!fol_cbs_ready(&server, now)) {
            now = server.throttled_until;
            fol_cbs_unblock(&server, now);
        }
    }
    double taken = now_ns() - start;
    *result += now;
    return taken / CHARGES;
}

static double context_sample(fol_context_table *table, uint64_t handle, int64_t *now)
{
    double start = now_ns();
    for (int i = 0; i < CHARGES; i++) {
        int64_t used = amounts[i % DRAWN];
        *now += used;
        if (fol_context_charge(table, handle, used, *now) != FOL_CHARGE_WITHIN) {
            *now = fol_context_ready_at(table, handle);
            fol_context_unblock(table, handle, *now);
        }
    }
    return (now_ns() - start) / CHARGES;
}

static void print_samples(const char *name, const double *samples, long count, const char *end)
{
    printf("\"%s\": [", name);
    for (long i = 0; i < count; i++) {
        printf("%s%.2f", i == 0 ? "" : ", ", samples[i]);
    }
    printf("]%s", end);
}

int main(int argc, char **argv)
{
    enum { MOST = 1000 };
    static double chunk[MOST];
    static double full[MOST];
    static double server[MOST];
    static double context[MOST];
    long samples = argc > 1 ? strtol(argv[1], NULL, 10) : 20;
    if (samples < 1 || samples > MOST) {
        fprintf(stderr, "usage: %s [SAMPLES], from 1 to %d\n", argv[0], MOST);
        return 2;
    }
    draw_amounts();
    const fol_context_options options = {
        .refills = 8, .budget = BUDGET, .period = PERIOD, .minimum = 1000};
    fol_context_table *table = NULL;
    uint64_t handle = 0;
    int64_t now = 0;
    int64_t result = 0;
    if (fol_context_table_create(64, &table) < 0 ||
        fol_context_create(table, &options, 0, &handle) < 0) {
        fprintf(stderr, "no memory for a table of contexts\n");
        return 1;
    }
    for (long i = 0; i < samples; i++) {
        chunk[i] = ring_sample(8, 0, &result);
        full[i] = ring_sample(8, 200000, &result);
        server[i] = server_sample(&result);
        context[i] = context_sample(table, handle, &now);
    }
    printf("{\"peer\": \"foliot\", \"workload\": \"refill_charge\", \"unit\": \"ns\", ");
    print_samples("chunk", chunk, samples, ", ");
    print_samples("full", full, samples, ", ");
    print_samples("cbs", server, samples, ", ");
    print_samples("context", context, samples, ", ");
    printf("\"end\": %" PRId64 "}\n", result + now);
    fol_context_table_destroy(table);
    return 0;
}
