/* Trace records: what happened when on which worker, for pictures and replay.
 *
 * Each worker writes into a ring of its own; the oldest records are overwritten when it is full,
 * and counted. Stamps are shared with what is measured anyway. Without a trace there are no
 * buffers, and nothing is written.
 *
 * What is written has two forms. A slot of 32 bytes is a record as it is read. Systems that the
 * caller runs one after another, each beginning where the last one ended, make a *chain*: 4 bytes a
 * system, what it took and its number, in a ring of entries beside the slots. When the chain ends,
 * one slot says where its entries lie, when the first of them began and the last one ended, and to
 * which frame they belong; who reads makes records of them.
 *
 * An entry is also how the frame knows what its system took: that is added up from entries when
 * somebody looks at the frame. So a trace costs one store a system, and saves the sums that nodes
 * keep without it.
 *
 * A chain ends with the next slot that its worker writes, whatever that tells, and when the host
 * was not looked at for a while. Until then who reads meanwhile does not see its systems; between
 * frames everything is there.
 *
 * One thread writes a ring; any thread may read it meanwhile: a reader takes the number of finished
 * slots, copies, looks how many were begun, and drops what may have been overwritten while it
 * copied (a sequence lock whose unit is the slot or the entry; words are relaxed atomics).
 */
#ifndef FOL_TRACE_TRACE_H
#define FOL_TRACE_TRACE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/memory.h"
#include "foliot/trace.h"

typedef struct fol_trace fol_trace;

#define FOL_TRACE_WORDS 4u
#define FOL_TRACE_AHEAD 16u /* slots */

/* Systems of a chain have numbers below it, which are those of every plan. */
#define FOL_TRACE_CHAIN_SYSTEMS 65536u

/* An entry is what its system took, a bit that says that its rows are not one but stand aside, and
 * the system. Those that take longer, some ten microseconds, have slots. */
#define FOL_TRACE_CYCLES_SHIFT 17u
#define FOL_TRACE_CHAIN_CYCLES (UINT32_C(1) << (32u - FOL_TRACE_CYCLES_SHIFT))
#define FOL_TRACE_ROWS_ASIDE   65536u

/* A chain has at most this part of the capacity, so that the entries that are announced for it, and
 * those left out where it would cut through the end of the ring, leave room for the capacity. */
#define FOL_TRACE_CHAIN_PART 8u

_Static_assert(sizeof(fol_trace_record) == FOL_TRACE_WORDS * sizeof(uint64_t),
               "a record is four words");

typedef struct fol_trace_slot {
    _Atomic uint64_t words[FOL_TRACE_WORDS];
} fol_trace_slot;

typedef struct fol_trace_ring {
    alignas(FOL_CACHE_LINE) _Atomic uint64_t begun; /* the worker alone writes these two */
    _Atomic uint64_t finished;
    _Atomic uint64_t cleared;   /* slots below it are forgotten */
    _Atomic uint64_t forgotten; /* and so many records */
    fol_trace_slot *slots;
    uint64_t mask; /* capacity - 1 */
} fol_trace_ring;

/* Takes what is not settled: fol_trace_begin_settling. */
typedef void (*fol_trace_settler)(void *state);

/* The caller's: it alone runs systems one after another. Entries are numbered through all rounds;
 * entry n lies at n mod size. */
typedef struct fol_trace_chain {
    /* Of the caller alone. */
    alignas(FOL_CACHE_LINE) _Atomic uint32_t *next; /* where an entry goes; NULL: none is open */
    _Atomic uint32_t *limit;                        /* next when there is no room, or none open */
    _Atomic uint32_t *first;                        /* of the open chain */
    uint64_t start;                                 /* cycles when that began */
    const uint64_t *stamp;                          /* has the cycles when its last one ended */
    uint64_t number;                                /* of its first entry */
    uint64_t at;                                    /* number mod size, or size */
    uint32_t room;                                  /* systems that may still come */
    uint32_t length;                                /* of the open chain, at most */

    alignas(FOL_CACHE_LINE) _Atomic uint32_t *entries;
    _Atomic uint32_t *rows;      /* of entries that do not have one */
    uint32_t most;               /* entries of one chain; 0: there are none */
    _Atomic uint32_t *unsettled; /* the first of the frame that is not settled */
    fol_trace_settler settle;    /* called before entries are written from the beginning again */
    void *settle_state;
    uint64_t size;
    _Atomic uint64_t announced; /* entries below it may be written; the caller writes these two */
    _Atomic uint64_t records;   /* in chains so far, beyond one a slot */
} fol_trace_chain;

/* Inside, for the functions below alone. */
struct fol_trace {
    uint32_t workers;
    uint32_t capacity;
    _Atomic uint32_t frame;
    fol_trace_ring *rings;
    fol_trace_chain chain;
};

/* capacity: records a worker, at least 1, rounded up to a power of two. -ENOMEM, also for more than
 * 2^30. */
int fol_trace_create(uint32_t workers, uint32_t capacity, fol_trace **out);
void fol_trace_destroy(fol_trace *trace);

/* From now on called when entries that are not settled would be overwritten. */
void fol_trace_on_wrap(fol_trace *trace, fol_trace_settler settle, void *state);

/* The frame that records belong to from now on; what is not settled of the last one never will be.
 * The caller, between frames. */
void fol_trace_begin_frame(fol_trace *trace, uint64_t frame);

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

/* Writes a slot. */
static inline void fol_trace_fill_slot(fol_trace_ring *own, uint64_t first, uint64_t second,
                                       uint64_t third, uint64_t fourth)
{
    uint64_t number = atomic_load_explicit(&own->finished, memory_order_relaxed);
    _Atomic uint64_t *target = own->slots[number & own->mask].words;
    /* What comes in a while was last written to a whole round ago. */
    __builtin_prefetch(own->slots[(number + FOL_TRACE_AHEAD) & own->mask].words, 1);
    atomic_store_explicit(&own->begun, number + 1, memory_order_relaxed);
    /* Pairs with the acquire fence of copy_slot: who sees one of the words below sees that they
     * were begun. */
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&target[0], first, memory_order_relaxed);
    atomic_store_explicit(&target[1], second, memory_order_relaxed);
    atomic_store_explicit(&target[2], third, memory_order_relaxed);
    atomic_store_explicit(&target[3], fourth, memory_order_relaxed);
    /* Release pairs with the acquire of a reader's count: who sees it sees the words, and the
     * entries of a chain that they tell of. */
    atomic_store_explicit(&own->finished, number + 1, memory_order_release);
}

/* The open chain, if there is one, ends here. The caller. */
void fol_trace_end_chain(fol_trace *trace);

/* fol_trace_write, for where nodes of twenty nanoseconds are traced. */
static inline void fol_trace_put(fol_trace *trace, uint32_t worker, fol_trace_kind kind,
                                 uint32_t subject, uint32_t detail, uint64_t start_cycles,
                                 uint64_t end_cycles)
{
    FOL_ASSERT_HOT(worker < trace->workers);
    uint32_t frame = atomic_load_explicit(&trace->frame, memory_order_relaxed);
    uint64_t end = end_cycles > start_cycles ? end_cycles : start_cycles;
    if (worker == 0 && trace->chain.next != NULL) {
        fol_trace_end_chain(trace);
    }
    fol_trace_fill_slot(&trace->rings[worker], start_cycles, end, fol_trace_join(frame, subject),
                        fol_trace_join(detail, fol_trace_join_short(kind, worker)));
}

/* The worker's own thread. start and end in cycles; an instant has both alike. */
void fol_trace_write(fol_trace *trace, uint32_t worker, fol_trace_kind kind, uint32_t subject,
                     uint32_t detail, uint64_t start_cycles, uint64_t end_cycles);

/* From now on the caller runs at most so many systems one after another. They are one chain, or as
 * many as it takes. *stamp, in cycles: when the first begins, and whenever a chain ends, when the
 * last one ended. */
void fol_trace_begin_chain(fol_trace *trace, uint32_t systems, const uint64_t *stamp);

/* One of these systems ended, having begun when the last one ended. For what happens to most of
 * them inside of a chain: it had one row, and took less than FOL_TRACE_CHAIN_CYCLES. */
static inline void fol_trace_follow_one_row(fol_trace *trace, uint32_t system, uint32_t cycles)
{
    _Atomic uint32_t *next = trace->chain.next;
    FOL_ASSERT_HOT(system < FOL_TRACE_CHAIN_SYSTEMS && cycles < FOL_TRACE_CHAIN_CYCLES);
    FOL_ASSERT_HOT(next < trace->chain.limit);
    atomic_store_explicit(next, cycles << FOL_TRACE_CYCLES_SHIFT | system, memory_order_relaxed);
    trace->chain.next = next + 1;
}

/* Whether it has a place in the open chain. */
static inline bool fol_trace_is_chained(const fol_trace *trace)
{
    return trace->chain.next != trace->chain.limit;
}

/* For the rest; *stamp still is when it began. In the open chain, in the next one when that is
 * full, or, when there is none or it took too long, in a slot behind which the next system begins a
 * new one. True when it has an entry, which will be settled. */
bool fol_trace_follow(fol_trace *trace, uint32_t system, uint64_t rows, uint64_t start_cycles,
                      uint64_t end_cycles);

/* Entries that are not settled, oldest first. The caller, with no chain open; from then on they
 * are. */
typedef struct fol_trace_cursor {
    const _Atomic uint32_t *next;
    const _Atomic uint32_t *end;
} fol_trace_cursor;

fol_trace_cursor fol_trace_begin_settling(fol_trace *trace);

/* The system of the next entry; UINT32_MAX: there is none. */
static inline uint32_t fol_trace_next_system(const fol_trace_cursor *cursor)
{
    if (cursor->next == cursor->end) {
        return UINT32_MAX;
    }
    uint32_t entry = atomic_load_explicit(cursor->next, memory_order_relaxed);
    return entry & (FOL_TRACE_CHAIN_SYSTEMS - 1);
}

/* Takes it, and adds what it says. */
static inline void fol_trace_take_entry(const fol_trace *trace, fol_trace_cursor *cursor,
                                        uint64_t *cycles, uint64_t *rows)
{
    const fol_trace_chain *chain = &trace->chain;
    uint32_t entry = atomic_load_explicit(cursor->next, memory_order_relaxed);
    *cycles += entry >> FOL_TRACE_CYCLES_SHIFT;
    *rows += (entry & FOL_TRACE_ROWS_ASIDE) == 0
                 ? 1
                 : atomic_load_explicit(&chain->rows[cursor->next - chain->entries],
                                        memory_order_relaxed);
    cursor->next++;
}

/* Any thread: copies up to `room` of the newest records of a worker, at most the capacity, oldest
 * first, and returns how many. *lost gets how many older ones, since the last clear, are not among
 * them; beside a writer it may be off by what was written meanwhile. */
size_t fol_trace_read(const fol_trace *trace, uint32_t worker, fol_trace_record *out, size_t room,
                      uint64_t *lost);
uint32_t fol_trace_capacity(const fol_trace *trace);
/* Forgets everything so far, but for an open chain. The rings' writers may be at work. */
void fol_trace_clear(fol_trace *trace);

/* What is finished at one moment, for reading and clearing: slots, and the records in them. */
void fol_trace_count(const fol_trace *trace, uint32_t worker, uint64_t *slots, uint64_t *records);

/* The kind of a slot that tells of a chain: its start and the end of its last system, frame and
 * number of entries, and the number of the first entry as far as 48 bits go. */
#define FOL_TRACE_CHAINED UINT16_MAX

#endif
