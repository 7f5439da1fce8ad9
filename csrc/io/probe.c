/* What io_uring gives here, found by doing it.
 *
 * Presence of the system call proves little: containers filter it, administrators switch it off,
 * and a filter may let set-up pass and refuse to submit. So the probe makes a ring by the same
 * ladder a scheduler uses, asks for the operations, and sends one no-operation through.
 */
#include "io/probe.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

#include "io/ring_call.h"

#define PROBE_ENTRIES 8
/* Fewer leave no room beside what the driver asks for itself. */
#define ENTRIES_MIN          4
#define NOP_USER_DATA        0x666f6c696f74ULL
#define COMPLETION_TIMEOUT_S 5
#define WAIT_ATTEMPTS        16
#define SQPOLL_IDLE_MS       2
#define SQPOLL_RUNG_COUNT    2

/* The kernel has these whether or not the header at hand does. */
#define SETUP_SUBMIT_ALL    (1U << 7)
#define SETUP_COOP_TASKRUN  (1U << 8)
#define SETUP_TASKRUN_FLAG  (1U << 9)
#define SETUP_SINGLE_ISSUER (1U << 12)
#define SETUP_DEFER_TASKRUN (1U << 13)

#define DEFERRED_FLAGS                                                                             \
    (SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_TASKRUN_FLAG | SETUP_SUBMIT_ALL |           \
     IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE)

uint32_t fol_io_rung_flags(uint32_t rung)
{
    static const uint32_t flags[FOL_IO_RUNG_COUNT] = {
        /* Disabled first, so that the thread that enables the ring becomes its issuer. */
        DEFERRED_FLAGS | IORING_SETUP_R_DISABLED,
        /* Enabling goes through io_uring_register, which a filter may refuse on its own. */
        DEFERRED_FLAGS,
        SETUP_COOP_TASKRUN | SETUP_TASKRUN_FLAG | SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP |
            IORING_SETUP_CQSIZE,
        0,
    };
    return flags[rung < FOL_IO_RUNG_COUNT ? rung : FOL_IO_RUNG_COUNT - 1];
}

/* The kernel's thread takes the place of deferred and cooperative work, so these exclude them. */
static uint32_t sqpoll_rung_flags(uint32_t rung)
{
    uint32_t flags = IORING_SETUP_SQPOLL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
    if (rung == 0) {
        flags |= SETUP_SINGLE_ISSUER | SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED;
    }
    return flags;
}

int fol_io_ring_enable(struct io_uring *ring)
{
    /* Some builds of the library do not export io_uring_enable_rings; the system call is there. */
    int status = fol_ring_call_register(ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (status < 0) {
        return status;
    }
    ring->flags &= ~(unsigned)IORING_SETUP_R_DISABLED;
    return 0;
}

/* One attempt: set up, and enable if the ring starts disabled and is not to be left so. *step says
 * where it failed. */
static int make_ring(struct io_uring *ring, uint32_t entries, uint32_t flags, bool leave_disabled,
                     uint32_t *features, uint32_t *step)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = flags;
    if ((flags & IORING_SETUP_CQSIZE) != 0) {
        params.cq_entries = 4 * entries;
    }
    if ((flags & IORING_SETUP_SQPOLL) != 0) {
        params.sq_thread_idle = SQPOLL_IDLE_MS;
    }
    *step = FOL_IO_STEP_SETUP;
    int status = fol_ring_call_setup(entries, ring, &params);
    if (status != 0) {
        return status;
    }
    *features = params.features;
    if ((params.features & FOL_IO_FEATURES_NEEDED) != FOL_IO_FEATURES_NEEDED) {
        io_uring_queue_exit(ring);
        return -EOPNOTSUPP;
    }
    if ((flags & IORING_SETUP_R_DISABLED) == 0 || leave_disabled) {
        return 0;
    }
    *step = FOL_IO_STEP_ENABLE;
    status = fol_io_ring_enable(ring);
    if (status != 0) {
        io_uring_queue_exit(ring);
    }
    return status;
}

static void note_attempt(fol_io_report *report, uint32_t flags, uint32_t entries, uint32_t step,
                         int error)
{
    if (report->attempt_count < FOL_IO_RUNGS_MAX) {
        report->attempts[report->attempt_count++] = (fol_io_attempt){
            .setup_flags = flags, .entries = entries, .step = step, .error = error};
    }
    report->step = step;
    report->error = error;
}

int fol_io_ring_climb(struct io_uring *ring, uint32_t entries, uint32_t options,
                      fol_io_report *report)
{
    bool is_polled = (options & FOL_IO_CLIMB_SQPOLL) != 0;
    uint32_t rung_count = is_polled ? SQPOLL_RUNG_COUNT : FOL_IO_RUNG_COUNT;
    uint32_t rung = 0;
    int status = -EINVAL;
    /* Every turn takes the next rung or halves the entries, so the loop ends. */
    while (rung < rung_count && entries >= ENTRIES_MIN) {
        uint32_t flags = is_polled ? sqpoll_rung_flags(rung) : fol_io_rung_flags(rung);
        uint32_t features = 0;
        uint32_t step = FOL_IO_STEP_SETUP;
        status = make_ring(ring, entries, flags, (options & FOL_IO_CLIMB_DISABLED) != 0, &features,
                           &step);
        if (status == 0) {
            report->setup_flags = flags;
            report->features = features;
            report->submission_entries = *ring->sq.kring_entries;
            report->completion_entries = *ring->cq.kring_entries;
            report->step = FOL_IO_STEP_DONE;
            report->error = 0;
            return 0;
        }
        note_attempt(report, flags, entries, step, status);
        if (status == -ENOMEM) {
            entries /= 2;
        } else if (status == -EINVAL || step == FOL_IO_STEP_ENABLE) {
            rung += 1;
        } else {
            break;
        }
    }
    return status;
}

/* Asks which operations the kernel knows; a refusal is noted and costs nothing else. */
static void read_operations(struct io_uring *ring, fol_io_report *report)
{
    union {
        struct io_uring_probe probe;
        uint8_t room[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
    } answer;
    memset(&answer, 0, sizeof answer);
    /* The kernel takes at most 256 descriptions and clears nothing, hence the memset. */
    int status = fol_ring_call_register(ring->ring_fd, IORING_REGISTER_PROBE, &answer.probe, 256);
    if (status < 0) {
        report->register_error = status;
        return;
    }
    const struct io_uring_probe_op *descriptions =
        (const struct io_uring_probe_op *)(const void *)(answer.room +
                                                         sizeof(struct io_uring_probe));
    for (uint32_t index = 0; index < answer.probe.ops_len; index++) {
        uint8_t opcode = descriptions[index].op;
        if ((descriptions[index].flags & IO_URING_OP_SUPPORTED) != 0) {
            report->operations[opcode / 8] |= (uint8_t)(1U << (opcode % 8));
            report->operation_count += 1;
        }
    }
}

/* Sends one no-operation and waits for it. *step says where it failed. */
static int round_trip(struct io_uring *ring, uint32_t *step)
{
    *step = FOL_IO_STEP_SUBMIT;
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    if (sqe == NULL) {
        return -EBUSY;
    }
    io_uring_prep_nop(sqe);
    sqe->user_data = NOP_USER_DATA;
    int status = io_uring_submit(ring);
    if (status != 1) {
        return status < 0 ? status : -EIO;
    }
    *step = FOL_IO_STEP_COMPLETE;
    struct io_uring_cqe *cqe = NULL;
    status = -EINTR;
    for (int attempt = 0; attempt < WAIT_ATTEMPTS && status == -EINTR; attempt++) {
        struct __kernel_timespec timeout = {.tv_sec = COMPLETION_TIMEOUT_S, .tv_nsec = 0};
        status = io_uring_wait_cqe_timeout(ring, &cqe, &timeout);
    }
    if (status < 0) {
        return status;
    }
    if (cqe == NULL || cqe->user_data != NOP_USER_DATA) {
        return -EIO;
    }
    status = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    if (status != 0) {
        return status < 0 ? status : -EIO;
    }
    *step = FOL_IO_STEP_DONE;
    return 0;
}

int fol_io_probe(fol_io_report *out)
{
    fol_io_report report;
    struct io_uring ring;
    memset(&report, 0, sizeof report);
    int status = fol_io_ring_climb(&ring, PROBE_ENTRIES, 0, &report);
    if (status == 0) {
        read_operations(&ring, &report);
        report.error = round_trip(&ring, &report.step);
        report.available = report.error == 0;
        io_uring_queue_exit(&ring);
    }
    if (!report.available) {
        report.cure = fol_io_cure_for(report.step, report.error);
    } else if (report.register_error == -EPERM || report.register_error == -ENOSYS) {
        report.cure = FOL_IO_CURE_REGISTER;
    }
    *out = report;
    return 0;
}

/* The value of kernel.io_uring_disabled; 0 where the kernel has no such setting. */
static int read_disabled_setting(void)
{
    char digit = '0';
    FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    if (file != NULL) {
        if (fread(&digit, 1, 1, file) != 1) {
            digit = '0';
        }
        fclose(file);
    }
    return digit - '0';
}

uint32_t fol_io_cure_for(uint32_t step, int32_t error)
{
    switch (error) {
    case 0:
        return FOL_IO_CURE_NONE;
    case -ENOSYS:
        /* The ring came into being, so the kernel has io_uring: a filter answers ENOSYS. */
        return step == FOL_IO_STEP_SETUP ? FOL_IO_CURE_KERNEL : FOL_IO_CURE_FILTER;
    case -EOPNOTSUPP:
        return FOL_IO_CURE_KERNEL;
    case -EPERM:
    case -EACCES:
        if (step == FOL_IO_STEP_SETUP && read_disabled_setting() > 0) {
            return FOL_IO_CURE_SYSCTL;
        }
        return FOL_IO_CURE_FILTER;
    case -ENOMEM:
        return FOL_IO_CURE_MEMORY;
    case -EMFILE:
    case -ENFILE:
        return FOL_IO_CURE_FILES;
    default:
        return FOL_IO_CURE_OTHER;
    }
}

int fol_io_report_has(const fol_io_report *report, uint32_t opcode)
{
    return opcode < FOL_IO_OPERATIONS_MAX &&
           (report->operations[opcode / 8] >> (opcode % 8) & 1U) != 0;
}
