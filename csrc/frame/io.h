/* The I/O of frames: intents that systems queue, operations in flight, and their deliveries.
 *
 * Each worker has a queue of slots in reserved address space. A system that runs there takes a slot
 * and puts an intent into it. At the cut behind the segment the caller gathers the intents of all
 * workers, puts them in the order of their stamps, and submits them to the driver as one batch.
 * From then on a slot's key is the number of its submission, and everything is delivered in the
 * order of keys: at its cut, at the end of the phase, or at the start of a later frame. So what the
 * world sees does not depend on who ran what, or on what came first.
 *
 * A slot is in one of these states, and its generation changes when it becomes free:
 *   free      in its queue's list of free slots
 *   queued    in its queue's list, between the system that took it and the cut
 *   sent      with the driver
 *   finished  came back; waits for its delivery
 *   abandoned it did not come back in time when the frame was interrupted: its receiver hears that
 *             at the cut, and the slot becomes free, quietly, when it comes back after all
 * When the scheduler goes, what did not come back is queued once more, to be dropped, or held: the
 * kernel may use it for ever. Of what was abandoned before, it did either let go or not.
 *
 * Who writes what. While nodes run a queue belongs to its worker, slots that are free or queued
 * with it; sent and finished slots belong to the caller, always. At cuts, and between frames, all
 * belongs to the caller. What the backend does between two nodes orders this.
 */
#ifndef FOL_FRAME_IO_H
#define FOL_FRAME_IO_H

#include "frame/frame.h"
#include "io/driver.h"

#define FOL_IO_INDEX_BITS  24u
#define FOL_IO_WORKER_BITS 8u
#define FOL_IO_MAX_SLOTS   (UINT32_C(1) << FOL_IO_INDEX_BITS)

typedef enum fol_io_slot_state {
    FOL_IO_SLOT_FREE = 0,
    FOL_IO_SLOT_QUEUED = 1,
    FOL_IO_SLOT_SENT = 2,
    FOL_IO_SLOT_FINISHED = 3,
    FOL_IO_SLOT_ABANDONED = 4,
    FOL_IO_SLOT_HELD = 5,
    FOL_IO_SLOT_LET_GO = 6,
} fol_io_slot_state;

/* Who gets the results of an intent. */
typedef struct fol_io_target {
    fol_component *component;
    fol_io_result *result;
    const fol_io_receiver *receiver;
    void *user;
} fol_io_target;

/* What all need is in one cache line. Of a simple one that is all there is to it: its request is
 * plain, it is finished before any later stage begins, and nobody is told of it but a place for its
 * result. */
typedef struct fol_io_slot fol_io_slot;
struct fol_io_slot {
    fol_io_op op; /* first: the driver's operation is the slot */
    uint64_t key; /* queued: the stamp; sent: the number of the submission */
    fol_io_slot *next;
    fol_io_target target;
    uint32_t index;
    uint32_t generation;
    uint32_t system; /* in the running plan; UINT32_MAX: of a plan that was replaced */
    uint8_t worker;
    uint8_t state; /* fol_io_slot_state */
    uint8_t until; /* fol_io_until */
    bool is_simple : 1;
    bool has_come : 1;    /* in the list of what the next frame delivers */
    bool was_stopped : 1; /* or ended as cancelled: the frame was interrupted */
    uint64_t entity;      /* of target.component */
    fol_bytes blob;       /* what is read into, until the world has it; none in a free one */
    fol_io_slot *next_unresolved; /* provisional entities, until the merge */
};

static_assert(offsetof(fol_io_slot, op) == 0, "an operation is a slot");
static_assert(sizeof(fol_io_slot) == 512, "eight in a page");
static_assert(offsetof(fol_io_slot, key) % FOL_CACHE_LINE == 0 &&
                  offsetof(fol_io_slot, entity) == offsetof(fol_io_slot, key) + FOL_CACHE_LINE,
              "what all need is in one cache line");

typedef struct fol_io_list {
    fol_io_slot *first;
    fol_io_slot *last;
} fol_io_list;

struct fol_io_queue {
    alignas(FOL_CACHE_LINE) fol_io_slot *slots; /* max_io; address space, touched when used */
    fol_io_slot *free;
    fol_io_list queued; /* in the order of recording */
    uint32_t used;      /* slots behind were never taken */
    uint32_t room;
    uint64_t stamp; /* of what is queued next: system order, then chunk */
    uint8_t worker;
    bool has_others; /* than simple ones in `queued` */
    bool is_mixed;   /* `queued` may not be in the order of stamps */
};

struct fol_frame_io {
    fol_scheduler *scheduler;
    fol_io *driver;
    fol_io_queue *queues;
    uint32_t queue_count;
    /* The batch of a cut, then what it delivers; both in order. As much room as there are slots. */
    fol_io_op **batch;
    fol_io_op **spare;
    uint32_t batch_count;
    uint32_t early_count;  /* the first of the batch, which were delivered when they came */
    bool may_be_early;     /* nothing that was sent before is to be delivered before the batch */
    uint32_t failed_count; /* finished, not delivered, and failed */
    fol_io_list in_phase;  /* sent, delivered at the phase's end; in order */
    fol_io_list came;      /* for the next frame's start; in no order */
    uint32_t came_count;
    uint32_t awaited_at_stage; /* sent and not finished */
    uint32_t awaited_at_phase;
    uint32_t later;          /* sent, last delivery in a later frame */
    uint32_t tries_left_out; /* since one look was not enough: see fol_io_await */
    uint32_t tries_to_leave_out;
    fol_io_slot *unresolved;
    uint64_t next_key;
    uint64_t started_cycles; /* of the running cut */
    uint32_t started_count;
    bool goes_to_ring;
    bool is_ending;
    pthread_t driver_thread; /* that used the driver last */
    uint64_t wait_cycles;    /* of the frame */
    uint64_t operations;
    _Atomic uint64_t submitted; /* written by the caller, read by anybody */
    _Atomic uint64_t completed;
    _Atomic uint64_t failed;
    uint64_t stopping_ns;    /* real time waited for what is abandoned now */
    uint32_t abandoned;      /* slots in that state */
    fol_frame_io *next_kept; /* see io.c */
    fol_bytes *kept_blobs;   /* the same; `abandoned` of them */
};

static inline fol_io_slot *fol_io_slot_of(fol_io_op *op)
{
    return (fol_io_slot *)op;
}

/* Operations of a batch that the processor's nearest cache holds with all else of a frame: to fetch
 * those ahead costs more than it gives. */
#define FOL_IO_FEW 64u

/* Up to which of a batch of so many one is fetched ahead of a walk through it. */
static inline uint32_t fol_io_ahead(uint32_t count)
{
    return count > FOL_IO_FEW ? count - 4 : 0;
}

/* Ahead of a walk through a batch, of which `index` is at work. */
static inline void fol_io_prefetch(fol_io_op *const *ops, uint32_t index, uint32_t ahead)
{
    if (index < ahead) {
        const char *slot = (const char *)ops[index + 4];
        __builtin_prefetch(slot + offsetof(fol_io_slot, op.value));
        __builtin_prefetch(slot + offsetof(fol_io_slot, key));
    }
}

static inline void fol_io_list_append(fol_io_list *list, fol_io_slot *slot)
{
    slot->next = NULL;
    if (list->first == NULL) {
        list->first = slot;
    } else {
        list->last->next = slot;
    }
    list->last = slot;
}

/* One that holds nothing. After its last delivery or drop: the handle names nothing any more. */
static inline void fol_io_slot_give_back(fol_frame_io *io, fol_io_slot *slot)
{
    FOL_ASSERT(slot->state != FOL_IO_SLOT_FREE && slot->worker < io->queue_count);
    fol_io_queue *queue = &io->queues[slot->worker];
    slot->state = FOL_IO_SLOT_FREE;
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next = queue->free;
    queue->free = slot;
}

/* io_queue.c */
int fol_io_queue_init(fol_io_queue *queue, uint8_t worker, uint32_t room);
void fol_io_queue_deinit(fol_io_queue *queue);
/* The same, with what it holds. */
void fol_io_slot_free(fol_frame_io *io, fol_io_slot *slot);
/* The slot of a handle, or NULL. The caller. */
fol_io_slot *fol_io_slot_find(const fol_frame_io *io, fol_io_handle handle);
/* Takes what all workers queued into the batch, in the order of stamps. */
void fol_io_gather(fol_frame_io *io);
/* The queue that has all that is queued, if that is simple and in the order of stamps; or NULL. */
fol_io_queue *fol_io_only_simple(fol_frame_io *io);
/* All of it was taken. */
static inline void fol_io_queue_clear(fol_io_queue *queue)
{
    queue->queued = (fol_io_list){NULL, NULL};
    queue->has_others = false;
    queue->is_mixed = false;
}
/* Puts the batch in the order of keys. */
void fol_io_sort(fol_frame_io *io);

/* io_deliver.c */
/* Takes what came back from the driver; false when nothing did. */
bool fol_io_collect(fol_frame_io *io);
/* Failures that nobody can get are those of the systems; before the merge. */
void fol_io_judge(fol_frame_io *io, uint32_t segment);
/* Delivers the batch. `was_judged`: the above was called for it. */
void fol_io_deliver(fol_frame_io *io, bool was_judged);
/* Tells the receiver that nothing comes, and frees the slot. */
void fol_io_drop(fol_frame_io *io, fol_io_slot *slot);
/* What nobody will get: descriptors are closed, and buffers go. */
void fol_io_discard_result(fol_frame_io *io, fol_io_slot *slot);

/* io_abandon.c */
/* One that is with the driver has ended for all others. It is in the batch, or will be. */
void fol_io_abandon(fol_frame_io *io, fol_io_slot *slot);
/* Instead of a delivery of such a one; false: nobody was told. */
bool fol_io_tell_abandoned(fol_frame_io *io, fol_io_slot *slot);
/* It came back, or the driver has ended without it: frees the slot, and what it held. */
void fol_io_slot_let_go(fol_frame_io *io, fol_io_slot *slot);

/* io_wait.c */
/* Waits until nothing more is awaited at this cut, or the host stops the frame; then that is
 * cancelled, and its end is waited for. */
void fol_io_await(fol_frame_io *io, bool is_phase_end);

#endif
