/* A writer of a trace at full speed, on a ring that is overwritten all the time, and readers beside
 * it that look at what they get.
 */
#ifndef FOL_TESTS_TRACE_RACE_H
#define FOL_TESTS_TRACE_RACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "check.h"
#include "trace/trace.h"

#define RACE_READERS 2
#define RACE_ROOM    64u
#define RACE_READS   3000u
#define SPINS_MAX    2000000000ull

typedef struct trace_race {
    fol_trace *trace;
    uint32_t worker; /* whose ring */
    bool clears;     /* the readers do, now and then */
    void *(*write)(void *race);
    /* Whether a record is whole and may stand behind the one before, which is NULL for the first.
     */
    bool (*is_sound)(const fol_trace_record *record, const fol_trace_record *before);
    _Atomic bool is_over;
    _Atomic uint32_t kept[RACE_READERS];
    _Atomic uint32_t bad;
} trace_race;

typedef struct trace_racer {
    trace_race *race;
    uint32_t number;
} trace_racer;

static inline bool race_is_over(trace_race *race)
{
    return atomic_load_explicit(&race->is_over, memory_order_relaxed);
}

static inline void *race_read(void *argument)
{
    trace_racer *self = argument;
    trace_race *race = self->race;
    fol_trace_record records[RACE_ROOM];
    uint32_t kept = 0;
    for (uint64_t i = 0; i < SPINS_MAX && kept < RACE_READS; i++) {
        uint64_t lost;
        size_t room = 1 + i % RACE_ROOM;
        size_t count = fol_trace_read(race->trace, race->worker, records, room, &lost);
        for (size_t k = 0; k < count; k++) {
            if (!race->is_sound(&records[k], k == 0 ? NULL : &records[k - 1])) {
                atomic_fetch_add_explicit(&race->bad, 1, memory_order_relaxed);
            }
        }
        kept += count > 0;
        if (race->clears && i % 64 == 0) {
            fol_trace_clear(race->trace);
        }
    }
    atomic_store_explicit(&race->kept[self->number], kept, memory_order_relaxed);
    return NULL;
}

/* With a ring of RACE_ROOM records for each of two workers. */
static inline void run_race(trace_race *race)
{
    pthread_t writer;
    pthread_t readers[RACE_READERS];
    trace_racer racers[RACE_READERS];
    CHECK_EQ(fol_trace_create(2, RACE_ROOM, &race->trace), 0);
    CHECK_EQ(pthread_create(&writer, NULL, race->write, race), 0);
    for (uint32_t i = 0; i < RACE_READERS; i++) {
        racers[i] = (trace_racer){.race = race, .number = i};
        CHECK_EQ(pthread_create(&readers[i], NULL, race_read, &racers[i]), 0);
    }
    for (uint32_t i = 0; i < RACE_READERS; i++) {
        CHECK_EQ(pthread_join(readers[i], NULL), 0);
    }
    atomic_store_explicit(&race->is_over, true, memory_order_relaxed);
    CHECK_EQ(pthread_join(writer, NULL), 0);
    CHECK_EQ(race->bad, 0);
    for (uint32_t i = 0; i < RACE_READERS; i++) {
        CHECK_EQ(race->kept[i], RACE_READS);
    }
    fol_trace_destroy(race->trace);
}

#endif
