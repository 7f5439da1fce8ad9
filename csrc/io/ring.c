/* The ring engine: its life, and which thread it belongs to. io/engine.h has the contract, ring.h
 * the memory orders and the bounds.
 *
 * A ring is closed (no ring of the kernel yet, or not any more), disabled (made, without a thread),
 * ready (of the thread that adopted it), broken (a system call failed for good; all requests end)
 * or an orphan (closed, with requests the kernel has not let go of).
 */

#include "io/ring.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/fork.h"
#include "base/memory.h"
#include "io/probe.h"

#define DEFAULT_ENTRIES      256
#define ENTRIES_MAX          8192
#define DEFAULT_BUFFER_COUNT 256
#define DEFAULT_BUFFER_SIZE  4096
#define BUFFER_COUNT_MAX     32768
#define SQPOLL_PROCESSORS    3

static int adopt(fol_io_engine *engine)
{
    fol_io_ring *ring = fol_ring_of(engine);
    if (FOL_LIKELY(ring->is_ready && fol_ring_owner_is_caller(ring->owner))) {
        return fol_fork_generation() == ring->generation ? FOL_OK : FOL_E_FORKED;
    }
    if (fol_fork_generation() != ring->generation) {
        return FOL_E_FORKED;
    }
    if (ring->broken != FOL_OK) {
        return ring->broken;
    }
    if (ring->is_ready) {
        /* Completions that are there already need nobody to end them. */
        fol_ring_take_early(ring);
        if (ring->used + ring->plain_count > 0 && !fol_ring_owner_has_ended(ring->owner)) {
            return -EBUSY;
        }
        if (fol_ring_end(ring)) {
            fol_ring_finish_all(ring);
        } else {
            ring->is_orphan = true;
        }
    }
    fol_ring_check_orphan(ring);
    if (ring->is_orphan) {
        return -EBUSY;
    }
    if (ring->wake_is_stale) {
        int status = fol_ring_wake_renew(ring);
        if (status != FOL_OK) {
            return status;
        }
    }
    return fol_ring_attach(ring);
}

static const fol_io_engine_ops ring_ops = {
    .name = "uring",
    .start = fol_ring_start,
    .start_plain = fol_ring_start_plain,
    .take_back = fol_ring_take_back,
    .cancel_plain = fol_ring_cancel_plain,
    .peek = fol_ring_peek,
    .drop = fol_ring_drop,
    .cancel = fol_ring_cancel_token,
    .flush = fol_ring_flush,
    .reap = fol_ring_reap,
    .wait = fol_ring_wait_for,
    .wake = fol_ring_wake_up,
    .give_buffer = fol_ring_give_buffer,
    .use_memory = fol_ring_use_memory,
    .adopt = adopt,
    .destroy = fol_ring_destroy,
};

static int processor_count(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* FOL_OK, or why a configuration cannot be; see engine.h for what 0 means. */
static int check_config(const fol_io_ring_config *config)
{
    uint32_t count = config->buffer_count;
    if (config->entries > ENTRIES_MAX || count > BUFFER_COUNT_MAX || (count & (count - 1)) != 0 ||
        config->buffer_size > INT32_MAX) {
        return -EINVAL;
    }
    /* The kernel's thread would take turns with ours on one processor. */
    bool is_refused =
        config->use_sqpoll && !config->force_sqpoll && processor_count() < SQPOLL_PROCESSORS;
    return is_refused ? -EOPNOTSUPP : FOL_OK;
}

/* Which operations this kernel has. Where it may not be asked, it is taken to have the plain ones,
 * and answers with -EINVAL itself when it lacks one. */
static void learn_operations(fol_io_ring *ring, const fol_io_report *report)
{
    bool is_known = report->register_error == 0;
    for (uint32_t kind = 0; kind < FOL_IO_KIND_COUNT; kind++) {
        const fol_io_operation *operation = fol_io_operation_of(kind);
        bool has_it = operation->opcode != UINT32_MAX &&
                      (!is_known || fol_io_report_has(report, operation->opcode) != 0);
        ring->operations[kind] = has_it ? operation : NULL;
    }
    /* There is no question for these: they came in the same releases as these operations. */
    ring->has_multishot_accept = is_known && fol_io_report_has(report, IORING_OP_SOCKET) != 0;
    ring->has_multishot_recv = is_known && fol_io_report_has(report, IORING_OP_SEND_ZC) != 0;
}

/* Makes the first ring, or finds that only the thread that uses it can. */
static int open_first(fol_io_ring *ring, fol_io_report *report)
{
    fol_io_report made = *report;
    made.attempt_count = 0;
    int status = fol_ring_open(ring, &made);
    if (status != 0) {
        made.available = 0;
        made.error = status;
        made.cure = fol_io_cure_for(made.step, status);
        *report = made;
        return status;
    }
    report->setup_flags = made.setup_flags;
    report->submission_entries = made.submission_entries;
    report->completion_entries = made.completion_entries;
    if ((made.setup_flags & IORING_SETUP_R_DISABLED) == 0) {
        fol_ring_close(ring);
        ring->climb_options &= ~(uint32_t)FOL_IO_CLIMB_DISABLED;
    }
    return FOL_OK;
}

int fol_io_ring_create(const fol_io_ring_config *config, struct fol_io_report *report,
                       fol_io_engine **out)
{
    fol_io_report found = {0};
    int status = check_config(config);
    if (status != FOL_OK) {
        found.error = status;
        found.step = FOL_IO_STEP_SETUP;
        found.cure = status == -EOPNOTSUPP ? FOL_IO_CURE_POLLING : FOL_IO_CURE_OTHER;
        *report = found;
        return status;
    }
    status = fol_fork_watch();
    if (status == 0) {
        status = fol_io_probe(&found);
    }
    *report = found;
    if (status != 0 || found.available == 0) {
        return status != 0 ? status : found.error;
    }
    fol_io_ring *ring = fol_alloc_zeroed(1, sizeof *ring);
    if (ring == NULL) {
        return -ENOMEM;
    }
    uint32_t entries = config->entries != 0 ? config->entries : DEFAULT_ENTRIES;
    ring->base.ops = &ring_ops;
    fol_io_link_init(&ring->base.plains);
    fol_io_link_init(&ring->base.kept_plains);
    ring->generation = fol_fork_generation();
    ring->release_fd = -1;
    ring->is_polled = config->use_sqpoll;
    ring->entries = 4 * entries;
    ring->base.in_flight_bound = ring->entries;
    ring->climb_options = config->use_sqpoll ? FOL_IO_CLIMB_SQPOLL : 0;
    if ((found.setup_flags & IORING_SETUP_R_DISABLED) != 0) {
        ring->climb_options |= FOL_IO_CLIMB_DISABLED;
    }
    ring->buffers.count = config->buffer_count != 0 ? config->buffer_count : DEFAULT_BUFFER_COUNT;
    ring->buffers.size = config->buffer_size != 0 ? config->buffer_size : DEFAULT_BUFFER_SIZE;
    learn_operations(ring, &found);
    status = open_first(ring, report);
    if (status != FOL_OK) {
        goto fail_open;
    }
    status = fol_ring_slots_init(ring, ring->base.in_flight_bound);
    if (status != FOL_OK) {
        goto fail_slots;
    }
    status = fol_ring_wake_init(ring);
    if (status != FOL_OK) {
        goto fail_wake;
    }
    *out = &ring->base;
    return FOL_OK;

fail_wake:
    fol_ring_slots_deinit(ring);
fail_slots:
    if (ring->is_open) {
        fol_ring_close(ring);
    }
fail_open:
    fol_free(ring);
    return status;
}
