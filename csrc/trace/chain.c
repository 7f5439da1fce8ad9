/* Chains: systems that the caller runs one after another, 8 bytes each; see trace.h.
 *
 * Entries are announced for a whole chain before the first of them is written, so that an entry is
 * one store. A chain lies in one stretch: where it would cut through the end of the ring it begins
 * at the ring's beginning, and the numbers of the entries left out are skipped. trace.c argues why
 * a reader keeps none that was overwritten.
 *
 * An entry has the low 47 bits of its end, which say all of it when it is less than 2^47 cycles
 * behind the chain's start. A system that runs for two milliseconds makes its worker look at the
 * host, which ends the chain: before that system when the look comes from inside of it, which then
 * gets a slot of its own, else right behind it, and the slot of the chain has the end of its last
 * system whole. So all but the last one lie within milliseconds times the length of a chain.
 */
#include "trace/trace.h"

static void open_chain(fol_trace_chain *chain, uint64_t start_cycles)
{
    uint64_t announced = atomic_load_explicit(&chain->announced, memory_order_relaxed);
    FOL_ASSERT(chain->at <= chain->size && chain->room > 0);
    chain->length = chain->room < chain->most ? chain->room : chain->most;
    if (chain->at + chain->length > chain->size) {
        chain->number += chain->size - chain->at;
        chain->at = 0;
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

void fol_trace_begin_chain(fol_trace *trace, uint32_t systems, uint64_t start_cycles)
{
    fol_trace_chain *chain = &trace->chain;
    if (chain->next != NULL) {
        fol_trace_break_chain(trace);
    }
    chain->room = chain->most > 0 ? systems : 0;
    if (chain->room > 0) {
        open_chain(chain, start_cycles);
    }
}

void fol_trace_end_chain(fol_trace *trace, uint64_t end_cycles)
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
    uint64_t number = chain->number;
    uint32_t frame = atomic_load_explicit(&trace->frame, memory_order_relaxed);
    uint64_t records = atomic_load_explicit(&chain->records, memory_order_relaxed);
    chain->number += count;
    chain->at += count;
    chain->room -= count;
    atomic_store_explicit(&chain->records, records + count - 1, memory_order_relaxed);
    fol_trace_fill_slot(
        &trace->rings[0], chain->start, end_cycles, fol_trace_join(frame, count),
        fol_trace_join((uint32_t)number, fol_trace_join_short(FOL_TRACE_CHAINED,
                                                              (uint32_t)(number >> 32) & 0xffffu)));
}

void fol_trace_break_chain(fol_trace *trace)
{
    const fol_trace_chain *chain = &trace->chain;
    uint64_t end = chain->start;
    FOL_ASSERT(chain->next != NULL);
    if (chain->next != chain->first) {
        uint64_t last = atomic_load_explicit(chain->next - 1, memory_order_relaxed);
        uint64_t low = UINT64_MAX >> (64u - FOL_TRACE_END_BITS);
        end += ((last >> FOL_TRACE_END_SHIFT) - end) & low;
    }
    fol_trace_end_chain(trace, end);
}

void fol_trace_follow(fol_trace *trace, uint32_t system, uint64_t rows, uint64_t start_cycles,
                      uint64_t end_cycles)
{
    fol_trace_chain *chain = &trace->chain;
    uint32_t kept = rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
    if (chain->next != NULL && chain->next == chain->limit) {
        fol_trace_end_chain(trace, start_cycles);
        open_chain(chain, start_cycles);
    }
    if (chain->next != NULL) {
        FOL_ASSERT(system < FOL_TRACE_CHAIN_SYSTEMS);
        atomic_store_explicit(&chain->rows[chain->next - chain->entries], kept,
                              memory_order_relaxed);
        atomic_store_explicit(chain->next,
                              end_cycles << FOL_TRACE_END_SHIFT | FOL_TRACE_ROWS_ASIDE | system,
                              memory_order_relaxed);
        chain->next++;
        return;
    }
    fol_trace_write(trace, 0, FOL_TRACE_SYSTEM, system, kept, start_cycles, end_cycles);
    chain->room -= chain->room > 0;
    if (chain->room > 0) {
        open_chain(chain, end_cycles > start_cycles ? end_cycles : start_cycles);
    }
}
