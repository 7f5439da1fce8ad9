/* The start-up ladder of io_uring, shared by the probe and by whoever makes a ring to keep.
 *
 * A rung is a set of set-up flags. The best comes first; each later one asks the kernel for less.
 * The last is the plain ring. foliot/machine.h has the probe itself.
 */
#ifndef FOL_IO_PROBE_H
#define FOL_IO_PROBE_H

#include "foliot/machine.h"

struct io_uring;

#define FOL_IO_RUNG_COUNT 4

/* Without these the engine would need other ways to wait, to read at the file's position and to
 * survive a full completion queue; kernels have all of them since 5.11. A ring that lacks one is
 * refused with -EOPNOTSUPP. */
#define FOL_IO_FEATURES_NEEDED (IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS | IORING_FEAT_EXT_ARG)

/* Set-up flags of a rung, 0 to FOL_IO_RUNG_COUNT - 1. */
uint32_t fol_io_rung_flags(uint32_t rung);

/* What a ring is made for. */
enum fol_io_climb {
    FOL_IO_CLIMB_DISABLED = 1, /* left disabled, where the rung allows: see report->setup_flags */
    FOL_IO_CLIMB_SQPOLL = 2,   /* with a thread of the kernel, by a ladder of its own */
};

/* Makes and enables the best ring this kernel gives, at most `entries` submission entries and four
 * times as many completions. `options` are of fol_io_climb. Fills attempts, setup_flags, features,
 * the sizes, and on failure error and step, in `report`; attempts are added to those it has.
 * Returns 0 or a negative errno; on success the caller owns the ring and, unless it is left
 * disabled, is its only issuer. */
int fol_io_ring_climb(struct io_uring *ring, uint32_t entries, uint32_t options,
                      fol_io_report *report);

/* Enables a ring that was left disabled: the calling thread becomes its issuer. */
int fol_io_ring_enable(struct io_uring *ring);

/* The cure for an error at a step; looks at kernel.io_uring_disabled where that decides. */
uint32_t fol_io_cure_for(uint32_t step, int32_t error);

#endif
