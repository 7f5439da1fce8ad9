/* Chains: systems that the caller runs one after another, 4 bytes each; see trace.h.
 *
 * Entries are announced for a whole chain before the first of them is written, so that an entry is
 * one store. A chain lies in one stretch: where it would cut through the end of the ring it begins
 * at the ring's beginning, and the numbers of the entries left out are skipped. trace.c argues why
 * a reader keeps none that was overwritten.
 *
 * What is not settled yet lies in one stretch too: it is settled before the ring begins again. The
 * entries of a frame that nobody looks at are never settled; the next frame leaves them behind.
 */
#include "trace/trace.h"

static void open_chain(fol_trace_chain *chain, uint64_t start_cycles)
{
    uint64_t announced = atomic_load_explicit(&chain->announced, memory_order_relaxed);
    FOL_ASSERT(chain->at <= chain->size && chain->room > 0);
    chain->length = chain->room < chain->most ? chain->room : chain->most;
    if (chain->at + chain->length > chain->size) {
        if (chain->settle != NULL) {
            chain->settle(chain->settle_state);
        }
        chain->number += chain->size - chain->at;
        chain->at = 0;
        chain->unsettled = chain->entries;
    }
    /* A chain that ended early leaves more announced than it used: that never falls. */
    if (announced < chain->number + chain->length) {
        announced = chain->number + chain->length;
        atomic_store_explicit(&chain->announced, announced, memory_order_relaxed);
    }
    /* Pairs with the acquire fence of read_chain: who sees one of the entries below sees that they
     * were announced. */
    atomic_thread_fence(memory_order_release);
    chain->start = start_cycles;
    chain->first = chain->entries + chain->at;
    chain->next = chain->first;
    chain->limit = chain->first + chain->length;
}

void fol_trace_on_wrap(fol_trace *trace, fol_trace_settler settle, void *state)
{
    trace->chain.settle = settle;
    trace->chain.settle_state = state;
}

void fol_trace_begin_frame(fol_trace *trace, uint64_t frame)
{
    fol_trace_end_chain(trace);
    atomic_store_explicit(&trace->frame, (uint32_t)frame, memory_order_relaxed);
    trace->chain.unsettled = trace->chain.entries + trace->chain.at;
}

void fol_trace_begin_chain(fol_trace *trace, uint32_t systems, const uint64_t *stamp)
{
    fol_trace_chain *chain = &trace->chain;
    fol_trace_end_chain(trace);
    chain->stamp = stamp;
    chain->room = chain->most > 0 ? systems : 0;
    if (chain->room > 0) {
        open_chain(chain, *stamp);
    }
}

/* The slot that tells of so many entries. */
static void tell_chain(fol_trace *trace, uint32_t count)
{
    fol_trace_chain *chain = &trace->chain;
    uint64_t number = chain->number;
    uint64_t end = *chain->stamp;
    uint32_t frame = atomic_load_explicit(&trace->frame, memory_order_relaxed);
    uint64_t records = atomic_load_explicit(&chain->records, memory_order_relaxed);
    atomic_store_explicit(&chain->records, records + count - 1, memory_order_relaxed);
    /* The counter may have gone back, its processor having changed. */
    fol_trace_fill_slot(
        &trace->rings[0], chain->start, end > chain->start ? end : chain->start,
        fol_trace_join(frame, count),
        fol_trace_join((uint32_t)number, fol_trace_join_short(FOL_TRACE_CHAINED,
                                                              (uint32_t)(number >> 32) & 0xffffu)));
}

void fol_trace_end_chain(fol_trace *trace)
{
    fol_trace_chain *chain = &trace->chain;
    if (chain->next == NULL) {
        return;
    }
    uint32_t count = (uint32_t)(chain->next - chain->first);
    FOL_ASSERT(count <= chain->length && chain->length <= chain->room);
    chain->next = NULL;
    chain->limit = NULL;
    if (count == 0) {
        return;
    }
    tell_chain(trace, count);
    chain->number += count;
    chain->at += count;
    chain->room -= count;
}

/* Where a system of so many cycles and rows gets no entry, no chain is open afterwards; else there
 * is room in one. */
static bool make_room(fol_trace *trace, uint64_t cycles, uint64_t rows, uint64_t start_cycles)
{
    fol_trace_chain *chain = &trace->chain;
    bool is_full = chain->next == chain->limit;
    bool fits = cycles < FOL_TRACE_CHAIN_CYCLES && rows <= UINT32_MAX;
    if (chain->next == NULL) {
        return false;
    }
    if (is_full || !fits) {
        fol_trace_end_chain(trace);
    }
    if (is_full && fits) {
        open_chain(chain, start_cycles);
    }
    return fits;
}

bool fol_trace_follow(fol_trace *trace, uint32_t system, uint64_t rows, uint64_t start_cycles,
                      uint64_t end_cycles)
{
    fol_trace_chain *chain = &trace->chain;
    uint64_t end = end_cycles > start_cycles ? end_cycles : start_cycles;
    if (make_room(trace, end - start_cycles, rows, start_cycles)) {
        uint32_t entry = (uint32_t)(end - start_cycles) << FOL_TRACE_CYCLES_SHIFT | system;
        FOL_ASSERT(system < FOL_TRACE_CHAIN_SYSTEMS && chain->next < chain->limit);
        atomic_store_explicit(&chain->rows[chain->next - chain->entries], (uint32_t)rows,
                              memory_order_relaxed);
        atomic_store_explicit(chain->next, entry | FOL_TRACE_ROWS_ASIDE, memory_order_relaxed);
        chain->next++;
        return true;
    }
    fol_trace_write(trace, 0, FOL_TRACE_SYSTEM, system,
                    rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX, start_cycles, end);
    chain->room -= chain->room > 0;
    if (chain->room > 0) {
        open_chain(chain, end);
    }
    return false;
}

fol_trace_cursor fol_trace_begin_settling(fol_trace *trace)
{
    fol_trace_chain *chain = &trace->chain;
    FOL_ASSERT(chain->next == NULL);
    fol_trace_cursor cursor = {.next = chain->unsettled, .end = chain->entries + chain->at};
    chain->unsettled = chain->entries + chain->at;
    return cursor;
}
