/* The system calls of rings, all of them, so that a test can make any one fail.
 *
 * Each gives what the call gives, or a negative errno. Constants the kernel has and the oldest
 * supported header lacks stand here.
 */
#ifndef FOL_IO_RING_CALL_H
#define FOL_IO_RING_CALL_H

#include <liburing.h>
#include <stddef.h>
#include <stdint.h>

#define FOL_RING_FEAT_MIN_WAIT (1U << 15)

/* What enter takes with IORING_ENTER_EXT_ARG. */
typedef struct fol_ring_wait {
    uint64_t signal_mask;
    uint32_t signal_mask_size;
    uint32_t min_wait_us; /* FOL_RING_FEAT_MIN_WAIT: after that any completion ends the wait */
    uint64_t timeout;     /* address of a struct __kernel_timespec, or 0 */
} fol_ring_wait;

/* As fol_io_ring_fail_nth, and so do all calls after it, until it is switched off. */
void fol_ring_call_fail_from(uint64_t n, int error);

/* What rings lack, as those of an older kernel do: the other way to be without what this one has.
 */
typedef struct fol_ring_lack {
    uint32_t setup_flags; /* set-up with any of them is refused */
    uint32_t features;    /* not reported, and enter refuses what came with them */
    uint64_t registers;   /* opcodes of register, as bits, that are refused */
    uint32_t operations;  /* those from this opcode on are unknown; 0: none is */
} fol_ring_lack;

/* For tests: from here on; NULL: nothing. Process-wide; while no other thread uses a ring. */
void fol_ring_call_lack(const fol_ring_lack *lack);

int fol_ring_call_setup(uint32_t entries, struct io_uring *ring, struct io_uring_params *params);
/* wait NULL: nothing with it. */
int fol_ring_call_enter(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags,
                        const fol_ring_wait *wait);
int fol_ring_call_register(int fd, uint32_t opcode, const void *argument, uint32_t count);
int fol_ring_call_eventfd(void);
int fol_ring_call_pipe(int ends[2]);

#endif
