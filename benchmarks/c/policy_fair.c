/* The fair queue alone: the cost of a pick with the switch and the charge that follow it, at 10,
 * 1,000 and 100,000 runnables.
 *
 * `policy_fair fair [samples]` prints JSON: for each number of runnables the nanoseconds of one
 * step in processor time, the median and the least of the samples. A step picks, switches in,
 * charges a whole slice and switches out, so that each ends a request and the runnable moves in the
 * tree: the dearest kind. `short` charges a tenth of a slice; `groups` does it in a hundred groups.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/fair_groups.h"

#define SAMPLES_MAX 1001
#define STEPS       200000u
#define WARM_UP     400000u
#define GROUPS      100u
#define SLICE       3000000

typedef struct outcome {
    double median;
    double least;
} outcome;

/* Of this thread, so that others on a shared machine do not count. */
static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double one = *(const double *)a;
    const double other = *(const double *)b;
    return (one > other) - (one < other);
}

/* The weights of nice levels, so that no two neighbours go in step. */
static int64_t weight_of(uint32_t id)
{
    static const int64_t weights[] = {1024, 820, 1277, 655, 1586, 335, 3121, 110};
    return weights[id % (sizeof(weights) / sizeof(weights[0]))];
}

static void step_queues(void *state, uint32_t steps, int64_t ran)
{
    fol_fair_queue *queue = state;
    for (uint32_t i = 0; i < steps; i++) {
        const uint32_t id = fol_fair_queue_pick(queue);
        fol_fair_queue_set_running(queue, id);
        if (fol_fair_queue_account(queue, id, ran) < 0) {
            abort();
        }
        fol_fair_queue_put_back(queue, id);
    }
}

static void step_groups(void *state, uint32_t steps, int64_t ran)
{
    fol_fair_groups *groups = state;
    for (uint32_t i = 0; i < steps; i++) {
        const uint32_t id = fol_fair_groups_pick(groups);
        fol_fair_groups_set_running(groups, id);
        if (fol_fair_groups_account(groups, id, ran) < 0) {
            abort();
        }
        fol_fair_groups_put_back(groups, id);
    }
}

static outcome time_steps(void (*step)(void *state, uint32_t steps, int64_t ran), void *state,
                          int64_t ran, uint32_t samples)
{
    static double ns[SAMPLES_MAX];
    step(state, WARM_UP, ran);
    for (uint32_t i = 0; i < samples; i++) {
        const uint64_t start = now_ns();
        step(state, STEPS, ran);
        ns[i] = (double)(now_ns() - start) / STEPS;
    }
    qsort(ns, samples, sizeof(ns[0]), compare);
    return (outcome){.median = ns[samples / 2], .least = ns[0]};
}

static outcome time_queue(uint32_t count, int64_t ran, uint32_t samples)
{
    fol_fair_config config;
    fol_fair_store store;
    fol_fair_queue queue;
    fol_fair_config_default(&config);
    if (fol_fair_store_init(&store, count) < 0) {
        abort();
    }
    fol_fair_queue_init(&queue, &config, &store);
    for (uint32_t id = 0; id < count; id++) {
        if (fol_fair_queue_join(&queue, id, weight_of(id), SLICE) < 0) {
            abort();
        }
    }
    const outcome found = time_steps(step_queues, &queue, ran, samples);
    fol_fair_store_deinit(&store);
    return found;
}

static outcome time_groups(uint32_t count, int64_t ran, uint32_t samples)
{
    fol_fair_config config;
    fol_fair_groups groups;
    fol_fair_config_default(&config);
    if (fol_fair_groups_init(&groups, &config, GROUPS, count) < 0) {
        abort();
    }
    for (uint32_t group = 0; group < GROUPS; group++) {
        if (fol_fair_groups_open(&groups, group, weight_of(group), SLICE) < 0) {
            abort();
        }
    }
    for (uint32_t id = 0; id < count; id++) {
        if (fol_fair_groups_join(&groups, id % GROUPS, id, weight_of(id), SLICE) < 0) {
            abort();
        }
    }
    const outcome found = time_steps(step_groups, &groups, ran, samples);
    fol_fair_groups_deinit(&groups);
    return found;
}

static void print_one(const char *name, uint32_t count, outcome found, bool is_last)
{
    printf("  {\"what\": \"%s\", \"runnables\": %" PRIu32 ", \"median_ns\": %.1f, \"least_ns\": "
           "%.1f}%s\n",
           name, count, found.median, found.least, is_last ? "" : ",");
}

int main(int argc, char **argv)
{
    static const uint32_t counts[] = {10, 1000, 100000};
    const size_t last = sizeof(counts) / sizeof(counts[0]) - 1;
    const long asked = argc > 2 ? strtol(argv[2], NULL, 10) : 15;
    if (argc < 2 || strcmp(argv[1], "fair") != 0 || asked < 1 || asked > SAMPLES_MAX) {
        fprintf(stderr, "usage: policy_fair fair [1..%d samples]\n", SAMPLES_MAX);
        return 2;
    }
    const uint32_t samples = (uint32_t)asked;
    printf("[\n");
    for (size_t i = 0; i <= last; i++) {
        print_one("request", counts[i], time_queue(counts[i], SLICE, samples), false);
    }
    for (size_t i = 0; i <= last; i++) {
        print_one("short", counts[i], time_queue(counts[i], SLICE / 10, samples), false);
    }
    for (size_t i = 0; i <= last; i++) {
        print_one("groups", counts[i], time_groups(counts[i], SLICE, samples), i == last);
    }
    printf("]\n");
    return 0;
}
