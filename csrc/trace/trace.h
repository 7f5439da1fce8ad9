/* Trace records: what happened when on which worker, for pictures and replay.
 *
 * Each worker writes records of 32 bytes into a ring of its own; the oldest are overwritten when it
 * is full, and counted. Writing one is a handful of stores, and stamps are shared with what is
 * measured anyway. Without a trace there are no buffers, and a test of a pointer is all it costs.
 *
 * One thread writes a ring; any thread may read it meanwhile: a reader takes the number of finished
 * records, copies, takes the number of begun ones, and drops what may have been overwritten while
 * it copied (a sequence lock whose unit is the record; words are relaxed atomics).
 */
#ifndef FOL_TRACE_TRACE_H
#define FOL_TRACE_TRACE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/trace.h"

typedef struct fol_trace fol_trace;

#define FOL_TRACE_WORDS 4u
#define FOL_TRACE_AHEAD 16u /* records */

_Static_assert(sizeof(fol_trace_record) == FOL_TRACE_WORDS * sizeof(uint64_t),
               "a record is four words");

typedef struct fol_trace_slot {
    _Atomic uint64_t words[FOL_TRACE_WORDS];
} fol_trace_slot;

typedef struct fol_trace_ring {
    alignas(FOL_CACHE_LINE) _Atomic uint64_t begun; /* the worker alone writes these two */
    _Atomic uint64_t finished;
    _Atomic uint64_t cleared; /* records below it are forgotten */
    fol_trace_slot *slots;
    uint64_t mask; /* capacity - 1 */
} fol_trace_ring;

/* Inside, for fol_trace_put alone. */
struct fol_trace {
    uint32_t workers;
    uint32_t capacity;
    _Atomic uint32_t frame;
    fol_trace_ring *rings;
};

/* capacity: records a worker, at least 1, rounded up to a power of two. -ENOMEM, also for more than
 * 2^30. */
int fol_trace_create(uint32_t workers, uint32_t capacity, fol_trace **out);
void fol_trace_destroy(fol_trace *trace);

/* The frame that records belong to from now on. The caller, between frames. */
void fol_trace_set_frame(fol_trace *trace, uint64_t frame);

/* Two halves in the order in which they lie in memory. A record is put together of whole words: one
 * that is written in parts and read as a word would wait until the parts have reached the cache. */
static inline uint64_t fol_trace_join(uint32_t first, uint32_t second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint64_t)second << 32 | first;
#else
    return (uint64_t)first << 32 | second;
#endif
}

static inline uint32_t fol_trace_join_short(uint32_t first, uint32_t second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return second << 16 | first;
#else
    return first << 16 | second;
#endif
}

/* fol_trace_write, for where nodes of twenty nanoseconds are traced. */
static inline void fol_trace_put(fol_trace *trace, uint32_t worker, fol_trace_kind kind,
                                 uint32_t subject, uint32_t detail, uint64_t start_cycles,
                                 uint64_t end_cycles)
{
    FOL_ASSERT_HOT(worker < trace->workers);
    fol_trace_ring *own = &trace->rings[worker];
    uint64_t number = atomic_load_explicit(&own->finished, memory_order_relaxed);
    uint32_t frame = atomic_load_explicit(&trace->frame, memory_order_relaxed);
    uint64_t end = end_cycles > start_cycles ? end_cycles : start_cycles;
    _Atomic uint64_t *target = own->slots[number & own->mask].words;
    /* What comes in a while was last written to a whole round ago. */
    __builtin_prefetch(own->slots[(number + FOL_TRACE_AHEAD) & own->mask].words, 1);
    atomic_store_explicit(&own->begun, number + 1, memory_order_relaxed);
    /* Pairs with the acquire fence of count_overwritten: who sees one of the words below sees that
     * they were begun. */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&target[0], start_cycles, memory_order_relaxed);
    atomic_store_explicit(&target[1], end, memory_order_relaxed);
    atomic_store_explicit(&target[2], fol_trace_join(frame, subject), memory_order_relaxed);
    atomic_store_explicit(&target[3], fol_trace_join(detail, fol_trace_join_short(kind, worker)),
                          memory_order_relaxed);
    /* Release pairs with the acquire of fol_trace_read: who sees the count sees the words. */
    atomic_store_explicit(&own->finished, number + 1, memory_order_release);
}

/* The worker's own thread. start and end in cycles; an instant has both alike. */
void fol_trace_write(fol_trace *trace, uint32_t worker, fol_trace_kind kind, uint32_t subject,
                     uint32_t detail, uint64_t start_cycles, uint64_t end_cycles);

/* Any thread: copies up to `room` of the newest records of a worker, oldest first, and returns how
 * many. *lost gets how many older ones, since the last clear, are not among them. */
size_t fol_trace_read(const fol_trace *trace, uint32_t worker, fol_trace_record *out, size_t room,
                      uint64_t *lost);
uint32_t fol_trace_capacity(const fol_trace *trace);
/* Forgets everything so far. The rings' writers may be at work. */
void fol_trace_clear(fol_trace *trace);

#endif
