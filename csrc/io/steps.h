/* The steps of one operation: which primitive request comes next, and what its result means.
 *
 * A file that is named by its path goes OPEN, WORK…, CLOSE, or all of that in one request, whose
 * results are then taken as if they had come one by one; everything else is WORK. WORK is done
 * again for the rest after a short result, by the rule of the operation's row. What an engine says
 * it cannot do now (EAGAIN) is preceded by a POLL where it waits for somebody else.
 *
 * Invariants. `done` never falls, and is the bytes that are in, or were taken from, the buffer.
 * What was opened here is closed here, whether the work succeeded, failed or was ended early; only
 * a file in the table of an engine that died is not. Results without progress are bounded in
 * number (FOL_IO_ATTEMPTS), so every operation whose requests complete ends.
 *
 * Nothing here knows engines, time or other operations. One thread.
 */
#ifndef FOL_IO_STEPS_H
#define FOL_IO_STEPS_H

#include "io/driver.h"
#include "io/slab.h"

#define FOL_IO_ATTEMPTS    64
#define FOL_IO_SPLIT       FOL_IO_PLAIN_MAX   /* bytes of one request */
#define FOL_IO_FIRST_GUESS ((size_t)16 << 10) /* of a file's size that nobody told */
#define FOL_IO_PARTS       1024               /* vectors of one request, as the kernel has it */

typedef enum fol_io_stage {
    FOL_IO_STAGE_OPEN = 0,
    FOL_IO_STAGE_WORK = 1,
    FOL_IO_STAGE_POLL = 2,
    FOL_IO_STAGE_CLOSE = 3,
} fol_io_stage;

typedef enum fol_io_next {
    FOL_IO_NEXT_STEP = 0,  /* prepare and start another request */
    FOL_IO_NEXT_LATER = 1, /* the same, when one of the other files was closed */
    FOL_IO_NEXT_END = 2,   /* value, data and size are set */
} fol_io_next;

/* Of READ and WRITE with FOL_IO_PATH. */
static inline bool fol_io_names_file(const fol_io_op *op)
{
    return (op->request.flags & FOL_IO_PATH) != 0 &&
           (op->request.kind == FOL_IO_READ || op->request.kind == FOL_IO_WRITE);
}

/* It was cancelled or its time is over. */
static inline bool fol_io_is_ended(const fol_io_op *op)
{
    return op->is_cancelled || op->is_expired;
}

/* -ECANCELED or -ETIMEDOUT. */
int64_t fol_io_ended_value(const fol_io_op *op);
/* Its request must not be cancelled: a descriptor would stay open. */
bool fol_io_is_closing(const fol_io_op *op);

/* Sets all that steps need for the first one. */
void fol_io_step_begin(fol_io_op *op);
/* Makes the request of this step, which points into the operation; buffers come from the slab.
 * -ENOMEM; then nothing has changed, and it may be called again. */
int fol_io_step_prepare(fol_io_op *op, fol_slab *slab, bool has_direct_files,
                        const fol_io_request **out);
/* The same for all steps of a file at once, where there is an engine that does so. */
bool fol_io_step_can_be_whole(const fol_io_op *op);
int fol_io_step_prepare_whole(fol_io_op *op, fol_slab *slab, const fol_io_request **out);
/* Takes the result of this step's request, or of starting it. others_are_open: a file that cannot
 * be opened for want of descriptors can be opened later. */
fol_io_next fol_io_step_result(fol_io_op *op, int64_t value, bool others_are_open);
/* Ends the operation between two steps, because fol_io_is_ended. */
fol_io_next fol_io_step_end(fol_io_op *op);
/* The engine is gone, with its table of files. */
fol_io_next fol_io_step_move(fol_io_op *op);
/* Gives back what only steps need, and a buffer with nothing in it. At the end. */
void fol_io_step_clear(fol_io_op *op, fol_slab *slab);

#endif
