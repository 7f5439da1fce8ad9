/* What the driver is made of; only its own files and its tests include this.
 *
 * Two lanes, one for each engine. An operation between submit and its end is in exactly one of:
 * a line of its lane (FOL_IO_LINED), in flight with the lane's engine (FLYING), the timer wheel
 * alone (TIMING), waiting for others on its descriptor to end (BLOCKED), waiting for a buffer to
 * come back (STARVED, a line as well). Ended (ENDED), it is in the list of news until it is taken.
 *
 * A plain operation is a timer, or one request without a deadline, given to the engine as it is,
 * whose good result is known beforehand: for those nothing is set up that only steps and files
 * need. One that is cancelled, or gets any other result, is made whole first, and goes on as the
 * rest.
 *
 * Slots are for those that something else may have to find. A plain operation has none as long as
 * another place has it: the wheel a timer, its line one that stands there for the ring, and the
 * engine's own lists one that is in flight as a plain request (is_own_token). All that have not
 * ended are counted in `held`, with a slot or without; there are as many slots, so one that is made
 * whole finds one.
 *
 * Plain operations on descriptors are counted by descriptor (`plain_on`) and not listed, so that
 * one that comes and goes touches nothing else. Who closes a descriptor makes those on it whole.
 *
 * Straight. A plain operation that finds its line empty and the ring its own thread's becomes an
 * entry of the ring's queue when it is submitted: it is in flight, though nothing was sent. Until
 * something is, it can be taken back to its line, which is what happens when it is cancelled, when
 * its descriptor is closed, and when another thread comes for the ring.
 */
#ifndef FOL_IO_DRIVER_STATE_H
#define FOL_IO_DRIVER_STATE_H

#include "base/assert.h"
#include "base/atomics.h"
#include "io/driver.h"
#include "io/slab.h"
#include "io/steps.h"

#define FOL_IO_REASON_SIZE 512
#define FOL_IO_NOTICE      UINT64_MAX       /* the token of the ring's look at the pool */
#define FOL_IO_WATCH       (UINT64_MAX - 1) /* that of the look at a watched descriptor */
#define FOL_IO_NO_SLOT     UINT32_MAX

/* Files of each lane, at one time, that are named by their path: enough to share a system call, and
 * few enough that what the kernel keeps of an open file is in the cache when it is closed. */
#define FOL_IO_OPEN_FILES 32
/* The same where an engine does them whole, so that only those its threads are at are open: enough
 * to keep the threads busy while this one goes on with what they gave back. */
#define FOL_IO_WHOLE_FILES 256

enum { FOL_IO_LANE_RING = 0, FOL_IO_LANE_POOL = 1, FOL_IO_LANES = 2 };

enum fol_io_state {
    FOL_IO_AWAY = 0, /* being submitted */
    FOL_IO_LINED,
    FOL_IO_FLYING,
    FOL_IO_TIMING,
    FOL_IO_BLOCKED,
    FOL_IO_STARVED,
    FOL_IO_ENDED,
};

/* Of fol_io.sleeps_on_word. */
enum fol_io_sleep { FOL_IO_IS_AWAKE = 0, FOL_IO_SLEEPS_ON_WORD, FOL_IO_SLEEPS_IN_POLL };

/* Bits of fol_io_op.counted. */
enum { FOL_IO_COUNTS_PATIENT = 1, FOL_IO_COUNTS_OPEN_ENDED = 2 };

typedef struct fol_io_line {
    fol_io_op *first;
    fol_io_op *last;
    uint32_t count;
} fol_io_line;

typedef struct fol_io_lane {
    FOL_ATOMIC(fol_io_engine *) engine; /* NULL until it is first used; then until destroy */
    uint64_t thread;                    /* that adopted it */
    fol_io_line begun;                  /* go before all others, so that what is open closes */
    fol_io_line files;                  /* that are yet to be opened */
    fol_io_line fresh;                  /* all others */
    fol_io_line starved;
    uint32_t flying;
    uint32_t patient;    /* in flight, and may be there for any time */
    uint32_t open_ended; /* in flight, and not all there is to their operations */
    uint32_t open_files; /* from starting to open to closed */
    uint32_t open_files_bound;
    uint32_t held_buffers; /* of the engine, in pieces */
    uint32_t unsent;       /* started since the last flush */
    bool is_watching;      /* the look at the watched descriptor is with the engine */
    int death;             /* the error that ended its use, or 0 */
} fol_io_lane;

typedef struct fol_io_slot {
    fol_io_op *op; /* NULL: free */
    uint32_t next_free;
} fol_io_slot;

/* How engines come into being; tests put their own in. */
typedef struct fol_io_makers {
    int (*probe)(fol_io_report *out);
    int (*make_ring)(const fol_io_ring_config *config, struct fol_io_report *report,
                     fol_io_engine **out);
    int (*make_pool)(const fol_io_pool_config *config, fol_io_engine **out);
} fol_io_makers;

typedef struct fol_io_counts {
    FOL_ATOMIC(uint64_t) submitted;
    FOL_ATOMIC(uint64_t) completed;
    FOL_ATOMIC(uint64_t) failed;
    FOL_ATOMIC(uint64_t) cancelled;
    FOL_ATOMIC(uint64_t) system_calls;
    FOL_ATOMIC(uint64_t) in_flight;
    FOL_ATOMIC(uint64_t) retries;
} fol_io_counts;

struct fol_io {
    fol_io_config config;
    fol_io_makers makers;
    fol_io_lane lanes[FOL_IO_LANES];
    bool routes_to_ring;
    bool is_ending;
    bool is_memory_known; /* the engine was told of the slab */
    bool is_notice_armed;
    bool has_spoken;                      /* the watched descriptor was readable */
    bool is_refused;                      /* an engine belongs to another thread that lives */
    fol_io_request notice;                /* the ring's look at the pool */
    int watched;                          /* see fol_io_watch */
    fol_io_request watches[FOL_IO_LANES]; /* the looks at it */
    uint64_t fork_generation;
    uint64_t silent_ns; /* in real time, that engines gave nothing; of clocks of others */
    fol_timer_wheel *wheel;
    fol_slab slab;
    fol_io_slot *slots;
    uint32_t slot_count;
    uint32_t slots_touched; /* those from here on were never used */
    uint32_t first_free;
    fol_io_op **same;   /* by descriptor: lists of operations on it */
    uint32_t *plain_on; /* likewise: how many plain ones */
    uint32_t same_mask;
    fol_io_op *first_news;
    fol_io_op *last_news;
    uint32_t finished_news; /* of them, finished */
    bool has_new_pieces;    /* of one of them at least */
    fol_io_piece *free_pieces;
    uint32_t pending; /* not come back */
    uint32_t held;    /* begun and not ended; at most slot_count */
    fol_io_counts counts;
    FOL_ATOMIC(uint32_t) is_woken;
    FOL_ATOMIC(fol_io_engine *) sleeps_in; /* the engine that is waited in now */
    FOL_ATOMIC(uint32_t) sleeps_on_word;   /* fol_io_sleep */
    int word_fd; /* in place of the word, beside what is watched; -1: not needed yet */
    char reason[FOL_IO_REASON_SIZE];
};

int fol_io_create_from(const fol_io_config *config, const fol_io_makers *makers, fol_io **out);
/* driver.c: all memory. */
void fol_io_free(fol_io *io);

static inline void fol_io_count(FOL_ATOMIC(uint64_t) * counter, uint64_t by)
{
    /* One writer; readers only want a number. */
    uint64_t now = fol_atomic_load(counter, memory_order_relaxed);
    fol_atomic_store(counter, now + by, memory_order_relaxed);
}

static inline fol_io_engine *fol_io_lane_engine(const fol_io_lane *lane)
{
    /* The thread that drives is the one that sets it. */
    return fol_atomic_load(&lane->engine, memory_order_relaxed);
}

/* The most that may be counted as open. */
static inline uint32_t fol_io_most_files(const fol_io_lane *lane)
{
    const fol_io_engine *engine = fol_io_lane_engine(lane);
    return engine != NULL && engine->takes_paths ? FOL_IO_WHOLE_FILES : FOL_IO_OPEN_FILES;
}

static inline fol_io_lane *fol_io_lane_of(fol_io *io, const fol_io_op *op)
{
    return &io->lanes[op->lane];
}

/* Where an operation is that has no slot, as if nothing had been done with it yet or all of it.
 * What is given being known, this is one store. */
static inline void fol_io_set_place(fol_io_op *op, uint8_t state, uint8_t lane, bool is_plain)
{
    op->slot = FOL_IO_NO_SLOT;
    op->is_finished = state == FOL_IO_ENDED;
    op->state = state;
    op->stage = FOL_IO_STAGE_WORK;
    op->lane = lane & 1;
    op->file_lane = FOL_IO_LANE_POOL;
    op->counted = 0;
    op->is_plain = is_plain;
    op->is_cancelled = false;
    op->is_expired = false;
    op->has_news = state == FOL_IO_ENDED;
    op->has_begun = false;
    op->is_in_same = false;
    op->holds_file = false;
    op->is_own_token = is_plain && state == FOL_IO_FLYING;
    op->unused = 0;
}

/* What plain operations do without, but for what steps need. */
static inline void fol_io_set_up_rest(fol_io_op *op)
{
    op->timer.previous = NULL;
    op->closer = NULL;
    op->pieces = NULL;
    op->first_piece = NULL;
    op->last_piece = NULL;
    op->own = NULL;
    op->blockers = 0;
    op->opened = -1;
    op->file_lane = FOL_IO_LANE_POOL;
}

static inline void fol_io_line_push(fol_io_line *line, fol_io_op *op)
{
    op->wait_next = NULL;
    op->wait_previous = line->last;
    if (line->last == NULL) {
        line->first = op;
    } else {
        line->last->wait_next = op;
    }
    line->last = op;
    line->count += 1;
}

static inline void fol_io_line_push_front(fol_io_line *line, fol_io_op *op)
{
    op->wait_previous = NULL;
    op->wait_next = line->first;
    if (line->first == NULL) {
        line->last = op;
    } else {
        line->first->wait_previous = op;
    }
    line->first = op;
    line->count += 1;
}

/* Of one that is held. */
static inline void fol_io_slot_take(fol_io *io, fol_io_op *op)
{
    FOL_ASSERT_HOT(op->slot == FOL_IO_NO_SLOT);
    uint32_t index = io->first_free;
    if (index != FOL_IO_NO_SLOT) {
        io->first_free = io->slots[index].next_free;
    } else {
        FOL_ASSERT(io->slots_touched < io->slot_count);
        index = io->slots_touched++;
    }
    io->slots[index].op = op;
    op->slot = index;
}

/* It has ended. */
static inline void fol_io_let_go(fol_io *io, fol_io_op *op)
{
    FOL_ASSERT_HOT(io->held > 0);
    io->held -= 1;
    if (op->slot == FOL_IO_NO_SLOT) {
        return;
    }
    fol_io_slot *slot = &io->slots[op->slot];
    FOL_ASSERT(slot->op == op);
    slot->op = NULL;
    slot->next_free = io->first_free;
    io->first_free = op->slot;
    op->slot = FOL_IO_NO_SLOT;
}

static inline fol_io_op *fol_io_op_of(uint64_t token)
{
    return (fol_io_op *)(void *)((char *)(uintptr_t)token - offsetof(fol_io_op, plain));
}

static inline uint64_t fol_io_token_of(const fol_io_op *op)
{
    return (uintptr_t)&op->plain;
}

static inline fol_io_op *fol_io_op_of_plain(const fol_io_plain *plain)
{
    return fol_io_op_of((uintptr_t)plain);
}

static inline void fol_io_news_add(fol_io *io, fol_io_op *op)
{
    if (op->has_news) {
        return;
    }
    op->has_news = true;
    op->next = NULL;
    if (io->last_news == NULL) {
        io->first_news = op;
    } else {
        io->last_news->next = op;
    }
    io->last_news = op;
}

/* Room of the ring that operations leave for its looks at the pool and at what is watched. */
#define FOL_IO_ROOM_FOR_LOOKS 2

static inline uint32_t fol_io_room(const fol_io *io, const fol_io_lane *lane)
{
    const fol_io_engine *engine = fol_io_lane_engine(lane);
    uint32_t kept = lane == &io->lanes[FOL_IO_LANE_RING] ? FOL_IO_ROOM_FOR_LOOKS : 0;
    uint32_t taken = engine->in_flight + kept;
    return taken < engine->in_flight_bound ? engine->in_flight_bound - taken : 0;
}

static inline bool fol_io_has_no_room(const fol_io *io, const fol_io_lane *lane)
{
    return fol_io_room(io, lane) == 0;
}

/* driver_lines.c */
void fol_io_line_remove(fol_io_line *line, fol_io_op *op);
/* The line that an operation that is LINED or STARVED stands in. */
fol_io_line *fol_io_line_of(fol_io *io, fol_io_op *op);
/* Among the operations on its descriptor, if it is one of those. Not plain. */
void fol_io_same_add(fol_io *io, fol_io_op *op);
void fol_io_same_remove(fol_io *io, fol_io_op *op);
fol_io_op *fol_io_same_first(fol_io *io, int32_t descriptor);

/* driver_engines.c */
void fol_io_choose_engine(fol_io *io);
/* FOL_OK: the lane's engine exists and is the calling thread's. */
int fol_io_lane_use(fol_io *io, fol_io_lane *lane);
/* The calling thread is the last that used it. */
bool fol_io_lane_is_mine(const fol_io_lane *lane);
/* The lane of an operation that begins. */
uint8_t fol_io_lane_choose(const fol_io *io, const fol_io_op *op);
/* The engine is of no use any more: what stands in line for the ring goes to the pool. */
void fol_io_lane_die(fol_io *io, fol_io_lane *lane, int error);

/* driver_flow.c */
/* Puts an operation in its line, or does what it asks for. */
void fol_io_begin(fol_io *io, fol_io_op *op);
void fol_io_line_up(fol_io *io, fol_io_op *op, bool has_begun);
/* Starts what can be started. */
void fol_io_send(fol_io *io);
/* Takes what completed; true when there was anything. */
bool fol_io_reap(fol_io *io);
/* Ends what is overdue, `most` operations at most. */
void fol_io_expire(fol_io *io, uint32_t most);
/* Of a timer in the wheel. */
static inline fol_io_op *fol_io_op_of_timer(fol_timer *timer)
{
    return (fol_io_op *)(void *)((char *)timer - offsetof(fol_io_op, timer));
}
void fol_io_flush(fol_io *io);
void fol_io_go_on(fol_io *io, fol_io_op *op, fol_io_next next);
/* With op->value, and all else of the result, set. */
void fol_io_finish(fol_io *io, fol_io_op *op);
/* After is_cancelled or is_expired was set. */
void fol_io_cut_short(fol_io *io, fol_io_op *op);
void fol_io_close_now(fol_io *io, int32_t descriptor);

/* The whole result of a plain operation. */
static inline int64_t fol_io_good_value(const fol_io_op *op)
{
    return op->request.kind == FOL_IO_NOP ? 0 : (int64_t)op->request.size;
}

/* So many, which are no timers, have ended well. */
static inline void fol_io_note_plain(fol_io *io, fol_io_lane *lane, uint32_t count)
{
    FOL_ASSERT(lane->flying >= count);
    lane->flying -= count;
    io->finished_news += count;
    fol_io_count(&io->counts.in_flight, 0 - (uint64_t)count);
    fol_io_count(&io->counts.completed, count);
}

/* driver_plain.c */
/* Begins what is plain of these, from the first on, as far as it can go straight into the ring; how
 * many. */
size_t fol_io_begin_straight(fol_io *io, fol_io_op *const *ops, size_t count);
/* The same of those that are known to be plain. */
size_t fol_io_begin_known(fol_io *io, fol_io_op *const *ops, size_t count);
/* Begins a plain one. */
void fol_io_begin_plain(fol_io *io, fol_io_op *op);
/* Before anything looks at a plain operation as at others. */
void fol_io_make_whole(fol_io *io, fol_io_op *op);
/* All plain operations that are no timers, or those on a descriptor. */
void fol_io_make_all_whole(fol_io *io);
void fol_io_make_whole_on(fol_io *io, int32_t descriptor);
/* What went straight into the ring and was not sent stands in line again. */
void fol_io_take_back(fol_io *io, fol_io_lane *lane);
/* Ends plain operations whose completions lie in the engine's queue, from the first on; true when
 * there was one. */
bool fol_io_land_straight(fol_io *io, fol_io_lane *lane);
/* Ends one, but for what is counted. */
void fol_io_land_plain(fol_io *io, fol_io_op *op, int64_t value);
/* Starts plain operations from the head of the line of fresh ones, until one is not plain or there
 * is no room. FOL_OK, or why the first that is left was not started. */
int fol_io_send_plain(fol_io *io, fol_io_lane *lane);

/* driver_many.c */
void fol_io_piece_arrived(fol_io *io, fol_io_op *op, const fol_io_event *event);
/* The request of an operation with FOL_IO_MANY has completed. */
void fol_io_many_landed(fol_io *io, fol_io_op *op, const fol_io_event *event);
/* closes: descriptors that nobody got. */
void fol_io_pieces_release(fol_io *io, fol_io_op *op, fol_io_piece *first, bool closes);

/* driver_watch.c */
/* Puts the look at what is watched into the lane's engine; false when it cannot be there. */
bool fol_io_watch_arm(fol_io *io, fol_io_lane *lane);
/* Whether fol_io_watch_sleep can be had. */
bool fol_io_watch_word(fol_io *io);
/* FOL_OK: a wake, or the time is over or nearly so; -EINTR: a signal, or what is watched. */
int fol_io_watch_sleep(fol_io *io, uint64_t timeout_ns);
/* Any thread, after it saw FOL_IO_SLEEPS_IN_POLL. */
void fol_io_watch_wake(fol_io *io);
void fol_io_watch_deinit(fol_io *io);

/* driver_check.c. Under FOL_VERIFY. */
void fol_io_invariants(const fol_io *io);

#endif
