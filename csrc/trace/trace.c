/* The rings of a trace; see trace.h for the contract.
 *
 * Argument. A ring counts the records its worker has begun and those it has finished; record n lies
 * in slot n mod capacity. The worker stores begun = n + 1, passes a release fence, writes the words
 * of record n, and stores finished = n + 1 with release.
 *
 * What a reader keeps is whole. It loads finished with acquire, so every word of the records below
 * that has not been overwritten is there. A record i that it copied can only be spoilt by words of
 * a record n >= i + capacity of the same slot. Suppose the reader saw such a word. The worker's
 * fence stands between the store begun = n + 1 and that word; the reader's acquire fence stands
 * between its look at the word and its look at begun. So the two fences synchronise, and that look
 * gives at least n + 1. The reader keeps only records from begun - capacity on, and
 * i <= n - capacity goes. Counts have 64 bits and do not run out.
 *
 * Frames rise within a ring, because the frame's number only rises and one thread's loads of one
 * atomic object never go back. Clearing moves a mark that readers start behind; the worker does not
 * look at it.
 */
#include "trace/trace.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define MAX_CAPACITY (UINT32_C(1) << 30)

const char *fol_trace_kind_name(fol_trace_kind kind)
{
    static const char *const names[FOL_TRACE_KINDS] = {
        "frame", "phase", "segment", "system", "piece",  "condition", "merge",
        "steal", "park",  "host",    "io",     "switch", "decision",
    };
    return kind < FOL_TRACE_KINDS ? names[kind] : "unknown";
}

static uint32_t round_up(uint32_t capacity)
{
    uint32_t rounded = 1;
    while (rounded < capacity) {
        rounded *= 2;
    }
    return rounded;
}

int fol_trace_create(uint32_t workers, uint32_t capacity, fol_trace **out)
{
    FOL_ASSERT(workers > 0);
    if (capacity > MAX_CAPACITY) {
        return -ENOMEM;
    }
    fol_trace *trace = fol_alloc_zeroed(1, sizeof(*trace));
    if (trace == NULL) {
        return -ENOMEM;
    }
    trace->capacity = round_up(capacity);
    trace->rings = fol_alloc_aligned(workers * sizeof(*trace->rings));
    if (trace->rings == NULL) {
        goto fail;
    }
    for (; trace->workers < workers; trace->workers++) {
        fol_trace_ring *one = &trace->rings[trace->workers];
        memset(one, 0, sizeof(*one));
        one->mask = trace->capacity - 1;
        one->slots = fol_alloc_aligned(trace->capacity * sizeof(*one->slots));
        if (one->slots == NULL) {
            goto fail;
        }
    }
    *out = trace;
    return 0;

fail:
    fol_trace_destroy(trace);
    return -ENOMEM;
}

void fol_trace_destroy(fol_trace *trace)
{
    if (trace == NULL) {
        return;
    }
    for (uint32_t i = 0; i < trace->workers; i++) {
        fol_free(trace->rings[i].slots);
    }
    fol_free(trace->rings);
    fol_free(trace);
}

void fol_trace_set_frame(fol_trace *trace, uint64_t frame)
{
    atomic_store_explicit(&trace->frame, (uint32_t)frame, memory_order_relaxed);
}

void fol_trace_write(fol_trace *trace, uint32_t worker, fol_trace_kind kind, uint32_t subject,
                     uint32_t detail, uint64_t start_cycles, uint64_t end_cycles)
{
    fol_trace_put(trace, worker, kind, subject, detail, start_cycles, end_cycles);
}

/* How many records from `first` on may have been overwritten while they were copied. */
static uint64_t count_overwritten(const fol_trace *trace, const fol_trace_ring *one, uint64_t first)
{
    /* Pairs with the release fence of a write. */
    atomic_thread_fence(memory_order_acquire);
    uint64_t begun = atomic_load_explicit(&one->begun, memory_order_relaxed);
    uint64_t safe = begun > trace->capacity ? begun - trace->capacity : 0;
    return safe > first ? safe - first : 0;
}

size_t fol_trace_read(const fol_trace *trace, uint32_t worker, fol_trace_record *out, size_t room,
                      uint64_t *lost)
{
    FOL_ASSERT(worker < trace->workers);
    const fol_trace_ring *one = &trace->rings[worker];
    uint64_t cleared = atomic_load_explicit(&one->cleared, memory_order_relaxed);
    /* Acquire pairs with the release at the end of a write. */
    uint64_t end = atomic_load_explicit(&one->finished, memory_order_acquire);
    /* A clear that came in between may have marked more than was counted then. */
    uint64_t known = end > cleared ? end - cleared : 0;
    uint64_t wanted = known < trace->capacity ? known : trace->capacity;
    wanted = wanted < room ? wanted : room;
    uint64_t first = end - wanted;
    for (uint64_t i = 0; i < wanted; i++) {
        const _Atomic uint64_t *source = one->slots[(first + i) & one->mask].words;
        uint64_t words[FOL_TRACE_WORDS];
        for (uint32_t k = 0; k < FOL_TRACE_WORDS; k++) {
            words[k] = atomic_load_explicit(&source[k], memory_order_relaxed);
        }
        memcpy(&out[i], words, sizeof(out[i]));
    }
    uint64_t dropped = count_overwritten(trace, one, first);
    dropped = dropped < wanted ? dropped : wanted;
    if (dropped > 0) {
        memmove(out, out + dropped, (size_t)(wanted - dropped) * sizeof(*out));
    }
    *lost = known - wanted + dropped;
    return (size_t)(wanted - dropped);
}

uint32_t fol_trace_capacity(const fol_trace *trace)
{
    return trace->capacity;
}

void fol_trace_clear(fol_trace *trace)
{
    for (uint32_t i = 0; i < trace->workers; i++) {
        fol_trace_ring *one = &trace->rings[i];
        uint64_t finished = atomic_load_explicit(&one->finished, memory_order_relaxed);
        atomic_store_explicit(&one->cleared, finished, memory_order_relaxed);
    }
}
