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

static uint64_t load_entry(const fol_trace_chain *chain, const chain_view *view, uint32_t index)
{
    return atomic_load_explicit(&chain->entries[(view->number + index) % chain->size],
                                memory_order_relaxed);
}

/* When the index-th system ended. Should the counter have gone back, its processor having changed,
 * the system took no time. */
static uint64_t end_of_entry(const chain_view *view, uint32_t index, uint64_t entry)
{
    uint64_t low = UINT64_MAX >> (64u - FOL_TRACE_END_BITS);
    if (index + 1 == view->count) {
        return view->end;
    }
    uint64_t end = view->start + (((entry >> FOL_TRACE_END_SHIFT) - view->start) & low);
    return end <= view->end ? end : view->start;
}

static fol_trace_record record_of(const fol_trace_chain *chain, const chain_view *view,
                                  uint32_t index)
{
    uint64_t entry = load_entry(chain, view, index);
    uint64_t start = index == 0 ? view->start
                                : end_of_entry(view, index - 1, load_entry(chain, view, index - 1));
    uint64_t end = end_of_entry(view, index, entry);
    uint32_t rows = 1;
    if ((entry & FOL_TRACE_ROWS_ASIDE) != 0) {
        rows = atomic_load_explicit(&chain->rows[(view->number + index) % chain->size],
                                    memory_order_relaxed);
    }
    return (fol_trace_record){.start_cycles = start,
                              .end_cycles = end > start ? end : start,
                              .frame = view->frame,
                              .subject = (uint32_t)entry & (FOL_TRACE_CHAIN_SYSTEMS - 1),
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
    for (uint32_t i = 0; i < wanted; i++) {
        *(end - 1 - i) = record_of(chain, &view, view.count - 1 - i);
    }
    /* Pairs with the release fence of open_chain. */
    atomic_thread_fence(memory_order_acquire);
    uint64_t announced = atomic_load_explicit(&chain->announced, memory_order_relaxed);
    uint64_t oldest = announced > chain->size ? announced - chain->size : 0;
    uint64_t spoilt = oldest > view.number ? oldest - view.number + 1 : 0;
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
