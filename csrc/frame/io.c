/* The life of a scheduler's I/O, and what it tells.
 *
 * It is made with the first plan that has a system with I/O, and stays until the scheduler goes. A
 * scheduler without it pays for one look at a pointer at each merge.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/cycles.h"
#include "base/fork.h"
#include "foliot/status.h"
#include "frame/io.h"

/* The clock may be the host's, and the driver asks it wherever it is. */
static uint64_t attached_now(void *state)
{
    fol_scheduler *scheduler = state;
    fol_runner *runner = &scheduler->runners[0];
    bool was_attached = runner->is_attached;
    fol_host_set_attached(scheduler, runner, true);
    uint64_t now = scheduler->config.clock.now_ns(scheduler->config.clock.state);
    fol_host_set_attached(scheduler, runner, was_attached);
    return now;
}

static void attached_wait(void *state, uint64_t deadline_ns, uint64_t max_wait_ns)
{
    fol_scheduler *scheduler = state;
    fol_runner *runner = &scheduler->runners[0];
    bool was_attached = runner->is_attached;
    fol_host_set_attached(scheduler, runner, true);
    scheduler->config.clock.wait_until_ns(scheduler->config.clock.state, deadline_ns, max_wait_ns);
    fol_host_set_attached(scheduler, runner, was_attached);
}

static fol_clock driver_clock(fol_scheduler *scheduler)
{
    if (scheduler->config.clock.now_ns == fol_clock_monotonic.now_ns) {
        return fol_clock_monotonic;
    }
    return (fol_clock){.state = scheduler, .now_ns = attached_now, .wait_until_ns = attached_wait};
}

static fol_io_op *find_op(void *argument, uint64_t handle)
{
    fol_io_slot *slot = fol_io_slot_find(argument, handle);
    return slot != NULL && slot->state == FOL_IO_SLOT_SENT ? &slot->op : NULL;
}

/* Of the caller's own calls, as those of the blocking backend. At the end nothing is tried again.
 */
static bool must_stop(void *argument, bool was_interrupted)
{
    const fol_frame_io *io = argument;
    if (io->is_ending) {
        return was_interrupted;
    }
    if (was_interrupted) {
        fol_host_ask(io->scheduler, fol_cycles_now());
    }
    return fol_is_interrupted(io->scheduler);
}

static int create_driver(fol_frame_io *io)
{
    fol_scheduler *scheduler = io->scheduler;
    const fol_scheduler_config *config = &scheduler->config;
    const fol_io_config driver = {
        .choice = config->io,
        .wants_ring = scheduler->backend.wants_ring,
        .ring = {.use_sqpoll = config->use_sqpoll},
        .pool = {.min_threads = config->min_io_threads,
                 .max_threads = config->max_io_threads,
                 .runs_in_place = scheduler->backend.ops == &fol_backend_blocking,
                 .interruption = {.must_stop = must_stop, .argument = io}},
        .max_operations = (uint32_t)((uint64_t)scheduler->worker_count * config->max_io),
        .clock = driver_clock(scheduler),
        .find = find_op,
        .find_argument = io,
    };
    io->goes_to_ring = driver.wants_ring;
    /* Whoever creates, changes or destroys a scheduler is attached. */
    scheduler->runners[0].is_attached = true;
    return fol_io_create(&driver, &io->driver);
}

static size_t batch_size(const fol_frame_io *io)
{
    return (size_t)io->queue_count * io->scheduler->config.max_io * sizeof(*io->batch);
}

static void free_io(fol_frame_io *io)
{
    if (io->batch != NULL) {
        fol_unreserve(io->batch, batch_size(io));
    }
    if (io->spare != NULL) {
        fol_unreserve(io->spare, batch_size(io));
    }
    for (uint32_t i = 0; io->queues != NULL && i < io->queue_count; i++) {
        fol_io_queue_deinit(&io->queues[i]);
    }
    fol_free(io->queues);
    fol_free(io);
}

static int create_queues(fol_frame_io *io)
{
    uint32_t workers = io->queue_count;
    io->batch = fol_reserve(batch_size(io));
    io->spare = fol_reserve(batch_size(io));
    io->queues = fol_alloc_aligned(workers * sizeof(*io->queues));
    if (io->queues != NULL) {
        memset(io->queues, 0, workers * sizeof(*io->queues));
    }
    if (io->batch == NULL || io->spare == NULL || io->queues == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < workers; i++) {
        int status = fol_io_queue_init(&io->queues[i], (uint8_t)i, io->scheduler->config.max_io);
        if (status != FOL_OK) {
            return status;
        }
    }
    return FOL_OK;
}

static bool config_is_valid(const fol_scheduler *scheduler)
{
    const fol_scheduler_config *config = &scheduler->config;
    return config->max_io > 0 && config->max_io <= FOL_IO_MAX_SLOTS &&
           (uint64_t)config->max_io * scheduler->worker_count <= UINT32_MAX &&
           scheduler->worker_count <= (1u << FOL_IO_WORKER_BITS) && config->max_io_threads >= 1 &&
           config->min_io_threads <= config->max_io_threads &&
           (uint32_t)config->io <= FOL_IO_CHOICE_POOL;
}

static bool plan_does_io(const fol_plan *plan)
{
    for (uint32_t i = 0; i < fol_plan_system_count(plan); i++) {
        if (fol_plan_system_does_io(plan, i)) {
            return true;
        }
    }
    return false;
}

int fol_io_ensure(fol_scheduler *scheduler, const fol_plan *plan)
{
    if (fol_io_of(scheduler) != NULL || !plan_does_io(plan)) {
        return FOL_OK;
    }
    if (!config_is_valid(scheduler)) {
        return FOL_E_VALUE;
    }
    fol_frame_io *io = fol_alloc_zeroed(1, sizeof(*io));
    if (io == NULL) {
        return -ENOMEM;
    }
    io->scheduler = scheduler;
    io->queue_count = scheduler->worker_count;
    io->driver_thread = pthread_self();
    int status = create_queues(io);
    if (status == FOL_OK) {
        status = create_driver(io);
    }
    if (status != FOL_OK) {
        free_io(io);
        return status;
    }
    for (uint32_t i = 0; i < scheduler->worker_count; i++) {
        scheduler->runners[i].io = &io->queues[i];
    }
    /* Release pairs with the acquire of fol_io_of_any: who sees it sees it whole. */
    atomic_store_explicit(&scheduler->io, io, memory_order_release);
    return FOL_OK;
}

static void note_dropped(void *argument, fol_io_op *op, bool is_held)
{
    const fol_frame_io *io = argument;
    fol_io_slot *slot = fol_io_slot_of(op);
    FOL_ASSERT(slot->worker < io->queue_count);
    if (slot->state == FOL_IO_SLOT_ABANDONED) {
        slot->state = is_held ? FOL_IO_SLOT_ABANDONED : FOL_IO_SLOT_LET_GO;
        return;
    }
    FOL_ASSERT(slot->state == FOL_IO_SLOT_SENT);
    slot->state = is_held ? FOL_IO_SLOT_HELD : FOL_IO_SLOT_QUEUED;
}

/* Calls `visit` for the slots of a state. */
static void visit_slots(fol_frame_io *io, uint8_t state,
                        void (*visit)(fol_frame_io *io, fol_io_slot *slot))
{
    for (uint32_t i = 0; i < io->queue_count; i++) {
        for (uint32_t k = 0; k < io->queues[i].used; k++) {
            fol_io_slot *slot = &io->queues[i].slots[k];
            if (slot->state == state) {
                visit(io, slot);
            }
        }
    }
}

static void drop_finished(fol_frame_io *io, fol_io_slot *slot)
{
    fol_io_discard_result(io, slot);
    fol_io_drop(io, slot);
}

static uint64_t monotonic_ns(void)
{
    return fol_clock_monotonic.now_ns(fol_clock_monotonic.state);
}

/* Its memory is the kernel's. What it was read for is not: a component outlives no request. What is
 * no operation's to see is nobody's: there is no frame any more that it could fail. */
static void abandon_held(fol_frame_io *io, fol_io_slot *slot)
{
    const fol_io_receiver *receiver = slot->target.receiver;
    if (receiver != NULL && receiver->abandon == NULL) {
        slot->target.receiver = NULL;
    }
    slot->target.result = NULL;
    io->abandoned++;
    (void)fol_io_tell_abandoned(io, slot);
}

/* Those whose slots the kernel may use for ever: here, so that what searches for leaks finds them.
 * Nobody goes over the list, so its order with anything else is of no account. */
static _Atomic(fol_frame_io *) kept_for_ever;

static void keep_blob(fol_frame_io *io, fol_io_slot *slot)
{
    if (io->kept_blobs != NULL) {
        io->kept_blobs[io->abandoned++] = slot->blob;
    }
}

static void keep_for_ever(fol_frame_io *io)
{
    /* What searches for leaks does not look into reserved address space. */
    io->kept_blobs = fol_alloc_array(io->abandoned != 0 ? io->abandoned : 1, sizeof(fol_bytes));
    io->abandoned = 0;
    visit_slots(io, FOL_IO_SLOT_ABANDONED, keep_blob);
    visit_slots(io, FOL_IO_SLOT_HELD, keep_blob);
    fol_unreserve(io->batch, batch_size(io));
    fol_unreserve(io->spare, batch_size(io));
    io->batch = NULL;
    io->spare = NULL;
    io->scheduler = NULL;
    io->next_kept = atomic_load_explicit(&kept_for_ever, memory_order_relaxed);
    /* Each turn in vain means that another one was put there. */
    while (!atomic_compare_exchange_weak_explicit(&kept_for_ever, &io->next_kept, io,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void fol_io_end(fol_scheduler *scheduler)
{
    fol_frame_io *io = fol_io_of(scheduler);
    if (io == NULL) {
        return;
    }
    scheduler->runners[0].is_attached = true;
    visit_slots(io, FOL_IO_SLOT_FINISHED, drop_finished);
    visit_slots(io, FOL_IO_SLOT_SENT, fol_io_discard_result);
    visit_slots(io, FOL_IO_SLOT_ABANDONED, fol_io_discard_result);
    uint64_t from_ns = monotonic_ns();
    io->is_ending = true;
    /* Other threads of the host go on while this one waits. */
    fol_host_set_attached(scheduler, &scheduler->runners[0], false);
    bool is_free = fol_io_destroy(io->driver, note_dropped, io);
    io->stopping_ns = monotonic_ns() - from_ns;
    fol_host_set_attached(scheduler, &scheduler->runners[0], true);
    visit_slots(io, FOL_IO_SLOT_QUEUED, fol_io_drop);
    visit_slots(io, FOL_IO_SLOT_LET_GO, fol_io_slot_let_go);
    if (is_free) {
        free_io(io);
        return;
    }
    /* The slots stay where they are, with the requests of those that are held. */
    visit_slots(io, FOL_IO_SLOT_HELD, abandon_held);
    keep_for_ever(io);
}

void fol_io_end_frame(fol_frame_io *io)
{
    fol_scheduler *scheduler = io->scheduler;
    bool wants_ring = scheduler->backend.wants_ring;
    if (wants_ring != io->goes_to_ring) {
        io->goes_to_ring = wants_ring;
        fol_io_route(io->driver, wants_ring);
    }
}

void fol_io_tell_frame(const fol_frame_io *io, fol_backend_frame *out)
{
    out->io_cycles = io->wait_cycles;
    out->operations = io->operations;
    out->in_flight = io->later;
}

/* Operations go on whatever becomes of their systems. */
int fol_io_replan(fol_frame_io *io, const fol_program *old, const fol_program *program,
                  const fol_system *systems)
{
    uint32_t *moved = fol_alloc_array(old->node_count, sizeof(*moved));
    if (moved == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < old->node_count; i++) {
        moved[i] = UINT32_MAX;
    }
    for (uint32_t i = 0; i < program->node_count; i++) {
        int64_t from = systems[i].carries_state;
        if (from >= 0 && (uint64_t)from < old->node_count) {
            moved[from] = i;
        }
    }
    for (uint32_t i = 0; i < io->queue_count; i++) {
        for (uint32_t k = 0; k < io->queues[i].used; k++) {
            fol_io_slot *slot = &io->queues[i].slots[k];
            if (slot->state != FOL_IO_SLOT_FREE && slot->system != UINT32_MAX) {
                FOL_ASSERT(slot->system < old->node_count);
                slot->system = moved[slot->system];
            }
        }
    }
    fol_free(moved);
    return FOL_OK;
}

void fol_io_add_stats(const fol_scheduler *scheduler, fol_scheduler_stats *out)
{
    const fol_frame_io *io = fol_io_of_any(scheduler);
    if (io == NULL) {
        return;
    }
    fol_io_stats stats;
    fol_io_read_stats(io->driver, &stats);
    out->io_completed = fol_counted(&io->completed);
    out->io_failed = fol_counted(&io->failed);
    out->io_submitted = fol_counted(&io->submitted);
    out->io_in_flight =
        out->io_submitted > out->io_completed ? out->io_submitted - out->io_completed : 0;
    out->io_system_calls = stats.system_calls;
}

fol_io_info fol_scheduler_io(const fol_scheduler *scheduler)
{
    const fol_frame_io *io = fol_io_of_any(scheduler);
    if (io == NULL) {
        return (fol_io_info){.engine = "", .reason = "no system does I/O"};
    }
    return (fol_io_info){.engine = fol_io_engine_name(io->driver),
                         .reason = fol_io_reason(io->driver)};
}

size_t fol_scheduler_explain_backend(const fol_scheduler *scheduler, char *out, size_t room)
{
    const fol_backend *backend = &scheduler->backend;
    if (backend->ops->explain_choice != NULL) {
        return backend->ops->explain_choice(backend, fol_ns_per_cycle(scheduler), out, room);
    }
    const char *why = backend->reason;
    int length = snprintf(out, room, "%s%s%s", backend->ops->name, why[0] == '\0' ? "" : ": ", why);
    return length < 0 ? 0 : (size_t)length;
}
