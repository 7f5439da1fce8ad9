/* Timing and printing for the C programs of bench_exec: warm up, find how many iterations make a
 * sample long enough, take the samples, print the JSON of benchmarks/protocol.py.
 */
#ifndef BENCH_EXEC_SAMPLER_H
#define BENCH_EXEC_SAMPLER_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foliot/clock.h"

#define BENCH_WARM_UP_NS  100000000u
#define BENCH_MAX_INNER   ((uint64_t)1 << 24)
#define BENCH_MAX_SAMPLES 1000

/* One iteration of a workload; returns the nanoseconds of it that count, or 0 when all do. */
typedef uint64_t (*bench_body)(void *state);

typedef struct bench_sampler {
    uint64_t sample_count;
    uint64_t minimum_ns;
} bench_sampler;

typedef struct bench_outcome {
    uint64_t inner; /* iterations of a sample */
    uint64_t runs;  /* all iterations, warm-up included */
    uint64_t sample_count;
    double seconds[BENCH_MAX_SAMPLES]; /* of one task */
} bench_outcome;

static inline uint64_t bench_now_ns(void)
{
    return fol_clock_monotonic.now_ns(fol_clock_monotonic.state);
}

static inline uint64_t bench_run(bench_outcome *outcome, uint64_t inner, bench_body body,
                                 void *state)
{
    uint64_t counted_ns = 0;
    const uint64_t start_ns = bench_now_ns();
    for (uint64_t i = 0; i < inner; i++) {
        counted_ns += body(state);
    }
    const uint64_t all_ns = bench_now_ns() - start_ns;
    outcome->runs += inner;
    return counted_ns != 0 ? counted_ns : all_ns;
}

/* Times a body of `units` tasks. */
static inline void bench_time(const bench_sampler *sampler, uint64_t units, bench_body body,
                              void *state, bench_outcome *outcome)
{
    const uint64_t start_ns = bench_now_ns();
    outcome->runs = 0;
    outcome->inner = 1;
    /* The first run pays for what later ones find ready: threads, pages, grown queues. */
    bench_run(outcome, 1, body, state);
    while (outcome->inner < BENCH_MAX_INNER &&
           bench_run(outcome, outcome->inner, body, state) < sampler->minimum_ns) {
        outcome->inner *= 2;
    }
    while (bench_now_ns() - start_ns < BENCH_WARM_UP_NS) {
        bench_run(outcome, outcome->inner, body, state);
    }
    outcome->sample_count = sampler->sample_count;
    for (uint64_t i = 0; i < sampler->sample_count; i++) {
        const uint64_t ns = bench_run(outcome, outcome->inner, body, state);
        outcome->seconds[i] = (double)ns * 1e-9 / (double)outcome->inner / (double)units;
    }
}

static inline void bench_print(const char *workload, const bench_outcome *outcome,
                               uint64_t checksum)
{
    printf("{\"peer\": \"foliot\", \"workload\": \"%s\", \"seconds\": [", workload);
    for (uint64_t i = 0; i < outcome->sample_count; i++) {
        printf("%s%.9e", i == 0 ? "" : ", ", outcome->seconds[i]);
    }
    printf("], \"inner\": %" PRIu64 ", \"checksum\": %" PRIu64 "}\n", outcome->inner, checksum);
}

/* One workload: fills the outcome and the checksum; not 0 when something was refused. */
typedef struct bench_workload {
    const char *name;
    int (*run)(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum);
} bench_workload;

/* PROGRAM list | PROGRAM WORKLOAD [SAMPLES] [MINIMUM_MS] */
static inline int bench_main(int argc, char **argv, const bench_workload *workloads, size_t count)
{
    static bench_outcome outcome;
    const long samples = argc > 2 ? strtol(argv[2], NULL, 10) : 20;
    const double minimum_ms = argc > 3 ? strtod(argv[3], NULL) : 5.0;
    const bench_sampler sampler = {
        .sample_count = samples < 1                   ? 1
                        : samples > BENCH_MAX_SAMPLES ? BENCH_MAX_SAMPLES
                                                      : samples,
        .minimum_ns = (uint64_t)(minimum_ms * 1e6),
    };
    for (size_t i = 0; i < count; i++) {
        if (argc == 2 && strcmp(argv[1], "list") == 0) {
            printf("foliot %s\n", workloads[i].name);
        } else if (argc > 1 && strcmp(argv[1], workloads[i].name) == 0) {
            uint64_t checksum = 0;
            const int status = workloads[i].run(&sampler, &outcome, &checksum);
            if (status != 0) {
                fprintf(stderr, "refused: status %d\n", status);
                return 1;
            }
            bench_print(workloads[i].name, &outcome, checksum);
            return 0;
        }
    }
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        return 0;
    }
    fprintf(stderr, "usage: %s list | %s WORKLOAD [SAMPLES] [MINIMUM_MS]\n", argv[0], argv[0]);
    return 2;
}

#endif
