/* The life of a trace, and its writers' side but for chains; see trace.h for the contract.
 *
 * Argument. A ring counts the slots its worker has begun and those it has finished; slot n lies at
 * n mod capacity. The worker stores begun = n + 1, passes a release fence, writes the words of slot
 * n, and stores finished = n + 1 with release. Entries are counted likewise: entry n lies at n mod
 * size, the caller stores announced = n + 1 or more, passes a release fence, and writes entry n and
 * the rows beside it; that they are finished is said by the slot that tells of them.
 *
 * What a reader keeps is whole. It loads finished with acquire, so every word of the slots below,
 * and of the entries that they tell of, that has not been overwritten is there. A slot i that it
 * copied can only be spoilt by words of a slot n >= i + capacity of the same place. Suppose the
 * reader saw such a word. The worker's fence stands between the store begun = n + 1 and that word;
 * the reader's acquire fence stands between its look at the word and its look at begun. So the two
 * fences synchronise, and that look gives at least n + 1. The reader keeps only slots from
 * begun - capacity on, and i <= n - capacity goes. For entries read announced instead of begun and
 * size instead of capacity. An entry's record also needs the entries behind it in its chain, which
 * say when it ended: they are newer, so they may be kept when it may. Counts have 64 bits and do
 * not run out; of the number of its first entry a slot has 48, which are enough to find it among
 * the slots that there are, as their chains have fewer entries than that together.
 *
 * What a reader finds between frames is the newest `capacity` records, or all. Records lie in as
 * many slots, or they lie in chains, one in an entry. Entries that are overwritten, or may be soon,
 * are those below announced - size; at most one chain is announced beyond what is used, and in one
 * round of the ring at most one chain's length is left out at its end. So size = capacity + 2 times
 * the longest chain keeps enough of them, and each chain takes one slot for at least one record.
 *
 * Frames rise within a ring, because the frame's number only rises and one thread's loads of one
 * atomic object never go back; a chain ends with its frame. Clearing moves a mark that readers
 * start behind; the worker does not look at it.
 */
#include "trace/trace.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define MAX_CAPACITY (UINT32_C(1) << 30)

/* Entries of a chain: in all slots there are together fewer than 2^48. */
#define MAX_CHAIN (UINT32_C(1) << 16)

const char *fol_trace_kind_name(fol_trace_kind kind)
{
    static const char *const names[FOL_TRACE_KINDS] = {
        "frame", "phase", "segment", "system", "piece",  "condition", "merge",
        "steal", "park",  "host",    "io",     "switch", "decision",
    };
    return kind < FOL_TRACE_KINDS ? names[kind] : "unknown";
}

/* Entries and their rows, all of them touched: the first round would wait for the pages else. */
static int create_chain(fol_trace *trace)
{
    fol_trace_chain *chain = &trace->chain;
    uint32_t most = trace->capacity / FOL_TRACE_CHAIN_PART;
    most = most < MAX_CHAIN ? most : MAX_CHAIN;
    if (most == 0) {
        return 0;
    }
    chain->size = (uint64_t)trace->capacity + 2 * (uint64_t)most;
    chain->entries = fol_alloc_aligned(chain->size * sizeof(*chain->entries));
    chain->rows = fol_alloc_aligned(chain->size * sizeof(*chain->rows));
    if (chain->entries == NULL || chain->rows == NULL) {
        return -ENOMEM;
    }
    memset((void *)chain->entries, 0, chain->size * sizeof(*chain->entries));
    memset((void *)chain->rows, 0, chain->size * sizeof(*chain->rows));
    chain->most = most;
    chain->unsettled = chain->entries;
    return 0;
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
    fol_trace *trace = fol_alloc_aligned(sizeof(*trace));
    if (trace == NULL) {
        return -ENOMEM;
    }
    memset(trace, 0, sizeof(*trace));
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
    if (create_chain(trace) != 0) {
        goto fail;
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
    fol_free((void *)trace->chain.entries);
    fol_free((void *)trace->chain.rows);
    fol_free(trace->rings);
    fol_free(trace);
}

void fol_trace_write(fol_trace *trace, uint32_t worker, fol_trace_kind kind, uint32_t subject,
                     uint32_t detail, uint64_t start_cycles, uint64_t end_cycles)
{
    fol_trace_put(trace, worker, kind, subject, detail, start_cycles, end_cycles);
}

uint32_t fol_trace_capacity(const fol_trace *trace)
{
    return trace->capacity;
}

void fol_trace_clear(fol_trace *trace)
{
    for (uint32_t i = 0; i < trace->workers; i++) {
        fol_trace_ring *one = &trace->rings[i];
        uint64_t slots;
        uint64_t records;
        fol_trace_count(trace, i, &slots, &records);
        atomic_store_explicit(&one->cleared, slots, memory_order_relaxed);
        atomic_store_explicit(&one->forgotten, records, memory_order_relaxed);
    }
}
