/* Trace records, as they are read. */
#ifndef FOLIOT_TRACE_H
#define FOLIOT_TRACE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fol_trace_kind {
    FOL_TRACE_FRAME = 0,     /* subject: phases run; detail: low half of the frame's number */
    FOL_TRACE_PHASE = 1,     /* subject: phase; detail: 1 when on several workers */
    FOL_TRACE_SEGMENT = 2,   /* subject: phase; detail: segment; all its nodes */
    FOL_TRACE_SYSTEM = 3,    /* subject: system; detail: rows, at most UINT32_MAX */
    FOL_TRACE_PIECE = 4,     /* subject: system; detail: number of the piece */
    FOL_TRACE_CONDITION = 5, /* subject: system; detail: 1 when it said yes */
    FOL_TRACE_MERGE = 6,     /* subject: phase; detail: commands applied */
    FOL_TRACE_STEAL = 7,     /* subject: victim; detail: jobs taken */
    FOL_TRACE_PARK = 8,      /* subject, detail: 0 */
    FOL_TRACE_HOST = 9,      /* waiting for the host's lock */
    FOL_TRACE_IO = 10,       /* subject: phase; detail: operations; from sending to delivery */
    FOL_TRACE_SWITCH = 11,   /* subject: backend from, detail: to, as in fol_backend_names */
    FOL_TRACE_DECISION = 12, /* subject: system; detail: fol_decision_kind, but for picks */
    FOL_TRACE_KINDS = 13,
} fol_trace_kind;

typedef struct fol_trace_record {
    uint64_t start_cycles;
    uint64_t end_cycles; /* >= start_cycles */
    uint32_t frame;      /* low half of its number */
    uint32_t subject;
    uint32_t detail;
    uint16_t kind;
    uint16_t worker;
} fol_trace_record;

/* "frame", "phase", … */
const char *fol_trace_kind_name(fol_trace_kind kind);

#ifdef __cplusplus
}
#endif

#endif
