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

#include <stddef.h>
#include <stdint.h>

#include "foliot/trace.h"

typedef struct fol_trace fol_trace;

/* capacity: records a worker, at least 1, rounded up to a power of two. -ENOMEM, also for more than
 * 2^30. */
int fol_trace_create(uint32_t workers, uint32_t capacity, fol_trace **out);
void fol_trace_destroy(fol_trace *trace);

/* The frame that records belong to from now on. The caller, between frames. */
void fol_trace_set_frame(fol_trace *trace, uint64_t frame);

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
