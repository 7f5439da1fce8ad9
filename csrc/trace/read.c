/* Reading a trace beside its writers; trace.c argues why what is kept is whole.
 *
 * Slots are gone through from the newest back, and records fill what the reader has room for from
 * its end. The first that may have been overwritten meanwhile ends it: all older ones may have.
 */
#include <string.h>

#include "base/assert.h"
#include "trace/trace.h"

/* Looks at both counts that belong together, before what a busy writer has got to is taken. */
#define MAX_LOOKS 8u

/* A chain as its slot tells of it. */
typedef struct chain_view {
    uint64_t start;
    uint64_t end;
    uint64_t number; /* of the first entry */
    uint32_t count;
    uint32_t frame;
} chain_view;

void fol_trace_count(const fol_trace *trace, uint32_t worker, uint64_t *slots, uint64_t *records)
{
    const fol_trace_ring *one = &trace->rings[worker];
    uint64_t chained = 0;
    uint64_t begun = UINT64_MAX;
    *slots = 0;
    for (uint32_t looks = 0; looks < MAX_LOOKS && begun != *slots; looks++) {
        /* Acquire pairs with the release at the end of a slot. */
        *slots = atomic_load_explicit(&one->finished, memory_order_acquire);
        chained = atomic_load_explicit(&trace->chain.records, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        begun = atomic_load_explicit(&one->begun, memory_order_relaxed);
    }
    *records = *slots + (worker == 0 ? chained : 0);
}

/* False when the slot may have been overwritten. */
static bool copy_slot(const fol_trace *trace, const fol_trace_ring *one, uint64_t number,
                      uint64_t words[FOL_TRACE_WORDS])
{
    const _Atomic uint64_t *source = one->slots[number & one->mask].words;
    for (uint32_t k = 0; k < FOL_TRACE_WORDS; k++) {
        words[k] = atomic_load_explicit(&source[k], memory_order_relaxed);
    }
    /* Pairs with the release fence of a slot. */
    atomic_thread_fence(memory_order_acquire);
    uint64_t begun = atomic_load_explicit(&one->begun, memory_order_relaxed);
    return number + trace->capacity >= begun;
}

static chain_view view_of(const fol_trace_chain *chain, const uint64_t words[FOL_TRACE_WORDS])
{
    fol_trace_record slot;
    memcpy(&slot, words, sizeof(slot));
    uint64_t low = (uint64_t)slot.worker << 32 | slot.detail;
    uint64_t announced = atomic_load_explicit(&chain->announced, memory_order_relaxed);
    uint64_t behind = (announced - low) & (UINT64_MAX >> 16);
    return (chain_view){.start = slot.start_cycles,
                        .end = slot.end_cycles,
                        .number = announced - behind,
                        .count = slot.subject,
                        .frame = slot.frame};
}

/* The record of the index-th system, which ended at `end`. Should the counter have gone back, its
 * processor having changed, what would lie before the chain lies at its start. */
static fol_trace_record record_of(const fol_trace_chain *chain, const chain_view *view,
                                  uint32_t index, uint64_t end)
{
    uint64_t place = (view->number + index) % chain->size;
    uint32_t entry = atomic_load_explicit(&chain->entries[place], memory_order_relaxed);
    uint32_t cycles = entry >> FOL_TRACE_CYCLES_SHIFT;
    uint32_t rows = 1;
    if ((entry & FOL_TRACE_ROWS_ASIDE) != 0) {
        rows = atomic_load_explicit(&chain->rows[place], memory_order_relaxed);
    }
    return (fol_trace_record){.start_cycles =
                                  end - view->start > cycles ? end - cycles : view->start,
                              .end_cycles = end,
                              .frame = view->frame,
                              .subject = entry & (FOL_TRACE_CHAIN_SYSTEMS - 1),
                              .detail = rows,
                              .kind = FOL_TRACE_SYSTEM};
}

/* Fills up to `left` records, the last ones of the chain, before `end`, and returns how many;
 * *is_whole: that is all of them. */
static size_t read_chain(const fol_trace *trace, const uint64_t words[FOL_TRACE_WORDS],
                         fol_trace_record *end, size_t left, bool *is_whole)
{
    const fol_trace_chain *chain = &trace->chain;
    chain_view view = view_of(chain, words);
    uint32_t wanted = view.count < left ? view.count : (uint32_t)left;
    uint64_t cycles = view.end;
    for (uint32_t i = 0; i < wanted; i++) {
        fol_trace_record *one = end - 1 - i;
        *one = record_of(chain, &view, view.count - 1 - i, cycles);
        cycles = one->start_cycles;
    }
    /* Pairs with the release fence of open_chain. */
    atomic_thread_fence(memory_order_acquire);
    uint64_t announced = atomic_load_explicit(&chain->announced, memory_order_relaxed);
    uint64_t oldest = announced > chain->size ? announced - chain->size : 0;
    uint64_t spoilt = oldest > view.number ? oldest - view.number : 0;
    uint32_t sound = spoilt < view.count ? view.count - (uint32_t)spoilt : 0;
    *is_whole = sound == view.count;
    return sound < wanted ? sound : wanted;
}

static bool is_chain(const uint64_t words[FOL_TRACE_WORDS])
{
    fol_trace_record slot;
    memcpy(&slot, words, sizeof(slot));
    return slot.kind == FOL_TRACE_CHAINED;
}

size_t fol_trace_read(const fol_trace *trace, uint32_t worker, fol_trace_record *out, size_t room,
                      uint64_t *lost)
{
    FOL_ASSERT(worker < trace->workers);
    const fol_trace_ring *one = &trace->rings[worker];
    uint64_t cleared = atomic_load_explicit(&one->cleared, memory_order_relaxed);
    uint64_t forgotten = atomic_load_explicit(&one->forgotten, memory_order_relaxed);
    uint64_t slots;
    uint64_t records;
    fol_trace_count(trace, worker, &slots, &records);
    uint64_t oldest = slots > trace->capacity ? slots - trace->capacity : 0;
    oldest = oldest > cleared ? oldest : cleared;
    room = room < trace->capacity ? room : trace->capacity;
    size_t left = room;
    bool is_whole = true;
    for (uint64_t i = slots; i > oldest && left > 0 && is_whole; i--) {
        uint64_t words[FOL_TRACE_WORDS];
        is_whole = copy_slot(trace, one, i - 1, words);
        if (is_whole && is_chain(words)) {
            left -= read_chain(trace, words, out + left, left, &is_whole);
        } else if (is_whole) {
            left--;
            memcpy(&out[left], words, sizeof(out[left]));
        }
    }
    size_t kept = room - left;
    if (left > 0 && kept > 0) {
        memmove(out, out + left, kept * sizeof(*out));
    }
    /* A clear that came in between may have marked more than was counted then. */
    uint64_t known = records > forgotten ? records - forgotten : 0;
    *lost = known > kept ? known - kept : 0;
    return kept;
}
