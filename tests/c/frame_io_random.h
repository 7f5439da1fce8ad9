/* A world, systems and operations made from a seed, for random frames with I/O.
 *
 * A case is drawn once and run many times, each time as a *lane* of its own: a backend, its
 * workers, and what does the I/O. Every operation has a ticket, whose id follows from who asks for
 * what in which frame, and so is the same in all lanes. A ticket is done when its last result was
 * delivered or its drop was told; both are counted.
 *
 * In a case of kind CASE_SETTLED later operations end before the next frame, so that everything is
 * the same in all lanes. In CASE_LOOSE they come when they come, to receivers only. In CASE_ROUGH
 * frames are interrupted, queues are short and memory is refused: lanes agree on nothing but that
 * each operation has one end.
 *
 * Tickets are taken by any worker, with an atomic counter that orders nothing; what is in them
 * belongs to the system that took them, then to the thread that drives the frame, and the frame
 * orders these.
 */
#ifndef FOL_TESTS_FRAME_IO_RANDOM_H
#define FOL_TESTS_FRAME_IO_RANDOM_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "draw.h"
#include "foliot/memory.h"
#include "foliot/scheduler.h"
#include "foliot/status.h"
#include "frame/frame.h"

#define FILES        16u
#define FILE_STEP    211u
#define ACTORS_MAX   9u
#define PHASES       2u
#define TICKETS_MAX  32768u
#define ROWS_MAX     160u
#define LETTERS      512u
#define TINY_NS      2000000u
#define DATA_TERMS   4u
#define SCRATCH_STEP 8u

typedef enum case_kind { CASE_SETTLED, CASE_LOOSE, CASE_ROUGH, CASE_KINDS } case_kind;

typedef enum actor_kind {
    ACTOR_ROWS,   /* native, over rows; may do I/O and record commands */
    ACTOR_LOADER, /* hosted, without rows; does I/O */
    ACTOR_FILLER, /* hosted: writes into the pipe that others of its phase read */
} actor_kind;

typedef struct lane lane;
typedef struct ticket ticket;

typedef struct actor {
    lane *lane;
    uint64_t seed;
    char name[8];
    actor_kind kind;
    uint32_t number;
    uint32_t phase;
    bool does_io;
    bool records;
    bool writes_data; /* else reads it */
    bool writes_value;
    int extra; /* 0: not named, 1: required, 2: excluded */
    bool is_exclusive;
    bool needs_host;
    bool has_condition;
    bool fails;
    bool interrupts;
    uint32_t max_rows;
    ticket *silent; /* a later operation that only a cancel ends */
    fol_io_handle silent_handle;
} actor;

struct ticket {
    uint64_t id;
    lane *lane;
    actor *actor;
    fol_io_until until;
    uint32_t frame;
    uint32_t finals;
    uint32_t drops;
    bool has_receiver; /* its end is told */
    bool has_result;
    bool declines; /* its receiver does not take failures */
    bool gives_fd; /* a value that differs from lane to lane */
    bool needs_host;
    bool is_silent; /* counts as such */
    int owned_fd;   /* to be closed here unless the operation did, or -1 */
    ticket *cancels;
    fol_io_result result;
    struct iovec vectors[2];
    uint8_t buffer[40];
};

typedef struct delivery {
    uint64_t id;
    int64_t value;
    uint64_t content;
    fol_io_until until;
    fol_place cut;
} delivery;

/* One plan of a lane with what belongs to it. */
typedef struct variant {
    fol_schedule *schedule;
    fol_plan *plan;
    uint32_t count;
    uint32_t actors[ACTORS_MAX]; /* by system */
    fol_term terms[ACTORS_MAX][DATA_TERMS];
    fol_system_query queries[ACTORS_MAX];
    fol_system systems[ACTORS_MAX];
} variant;

struct lane {
    case_kind kind;
    uint64_t seed;
    fol_component *data; /* Bytes */
    fol_component *number;
    fol_component *value;
    fol_component *extra;
    fol_component *inbox; /* Bytes resource */
    fol_world *world;
    variant variants[2];
    uint32_t current; /* variant */
    actor actors[ACTORS_MAX];
    uint32_t actor_count;
    fol_virtual_clock clock;
    fol_scheduler *scheduler;
    pthread_t driver;
    pthread_mutex_t host;
    _Atomic uint32_t bad_calls; /* of the host, and on other threads */
    bool is_quiet;              /* nobody asks for anything */
    bool must_stop;             /* the host asks the frame to end */
    int scratch;                /* a file that is written */
    int silent[2];              /* pipes: nobody writes */
    int paired[2];              /* who reads writes */
    int filled[2];              /* somebody fills it later in the phase */
    int sockets[2];
    ticket *tickets;
    _Atomic uint32_t ticket_count;
    _Atomic uint32_t silent_count; /* later operations that do not end by themselves */
    delivery *deliveries;          /* of this frame */
    uint32_t delivered;
};

static char file_paths[FILES + 1][48];
static char file_folder[32];
static int file_descriptors[FILES];
static _Thread_local uint32_t attached_depth;

static inline size_t file_size(uint32_t file)
{
    return (size_t)FILE_STEP * file;
}

static void make_files(void)
{
    static uint8_t content[FILE_STEP * FILES];
    snprintf(file_folder, sizeof(file_folder), "/tmp/foliot-io-XXXXXX");
    if (!CHECK(mkdtemp(file_folder) != NULL)) {
        return;
    }
    for (uint32_t k = 0; k < FILES; k++) {
        for (size_t i = 0; i < file_size(k); i++) {
            content[i] = (uint8_t)mix(k, i);
        }
        snprintf(file_paths[k], sizeof(file_paths[k]), "%s/%u", file_folder, k);
        int fd = open(file_paths[k], O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
        CHECK_EQ(write(fd, content, file_size(k)), (ssize_t)file_size(k));
        file_descriptors[k] = fd;
    }
    snprintf(file_paths[FILES], sizeof(file_paths[FILES]), "%s/none", file_folder);
}

static void remove_files(void)
{
    for (uint32_t k = 0; k < FILES; k++) {
        unlink(file_paths[k]);
        close(file_descriptors[k]);
    }
    rmdir(file_folder);
}

static uint64_t hash_bytes(const uint8_t *data, size_t size)
{
    uint64_t hash = size;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* It ends by itself from here on, or has. */
static void end_silence(ticket *t)
{
    if (t->is_silent) {
        t->is_silent = false;
        atomic_fetch_sub_explicit(&t->lane->silent_count, 1, memory_order_relaxed);
    }
}

/* The end of a ticket, as the receiver is told. */
static void end_ticket(ticket *t)
{
    actor *a = t->actor;
    end_silence(t);
    if (a->silent == t) {
        a->silent = NULL;
    }
}

/* Orders nothing: read when all is over. */
static void count_bad_call(lane *l, bool is_bad)
{
    atomic_fetch_add_explicit(&l->bad_calls, is_bad, memory_order_relaxed);
}

static void check_driver(const ticket *t)
{
    bool is_there = pthread_equal(t->lane->driver, pthread_self()) != 0;
    bool is_attached = !t->needs_host || t->has_result || attached_depth == 1;
    count_bad_call(t->lane, !is_there || !is_attached);
}

static bool deliver_ticket(void *user, const fol_io_result *result)
{
    ticket *t = user;
    lane *l = t->lane;
    check_driver(t);
    t->finals++;
    delivery *d = &l->deliveries[l->delivered++];
    *d = (delivery){.id = t->id, .value = result->value, .until = t->until};
    d->cut = l->scheduler->io_place;
    if (result->data != NULL) {
        d->content = hash_bytes(result->data, result->size);
    } else if (t->vectors[0].iov_len != 0 && result->value > 0) {
        d->content = hash_bytes(t->buffer, (size_t)result->value);
    }
    if (t->gives_fd && result->value >= 0) {
        close((int)result->value);
        d->value = 0;
    }
    if (t->cancels != NULL && result->value == 0) {
        end_silence(t->cancels);
    }
    if (t->owned_fd >= 0 && result->value < 0) {
        close(t->owned_fd);
    }
    end_ticket(t);
    return !t->declines;
}

static void drop_ticket(void *user)
{
    ticket *t = user;
    check_driver(t);
    t->drops++;
    if (t->owned_fd >= 0) {
        close(t->owned_fd);
    }
    end_ticket(t);
}

static const fol_io_receiver receivers[2] = {
    {.needs_host = false, .deliver = deliver_ticket, .drop = drop_ticket},
    {.needs_host = true, .deliver = deliver_ticket, .drop = drop_ticket},
};
/* Beside a place for the result. */
static const fol_io_receiver drop_receiver = {.drop = drop_ticket};

/* Who asks, in one call of a system. */
typedef struct asker {
    lane *lane;
    actor *actor;
    fol_io_queue *io;
    fol_commands *commands; /* or NULL */
    uint64_t moment;        /* frame and step */
    uint32_t frame;
    uint32_t sequence;
} asker;

static ticket *take_ticket(asker *s, fol_entity entity, uint64_t chance)
{
    lane *l = s->lane;
    uint32_t index = atomic_fetch_add_explicit(&l->ticket_count, 1, memory_order_relaxed);
    if (index >= TICKETS_MAX) {
        fprintf(stderr, "too few tickets\n");
        abort();
    }
    ticket *t = &l->tickets[index];
    uint64_t who = mix(s->actor->seed ^ mix(entity, 17), s->sequence++);
    *t = (ticket){.id = mix(who, s->moment), .lane = l, .actor = s->actor, .owned_fd = -1};
    t->frame = s->frame;
    t->until = (fol_io_until)(chance % 10 < 5 ? 0 : chance % 10 < 8 ? 1 : 2);
    t->needs_host = chance / 10 % 8 == 0;
    t->result.value = INT64_MIN;
    return t;
}

/* Queues it; 0 or FOL_E_CAPACITY, which only a rough case may meet. */
static int queue_ticket(asker *s, ticket *t, fol_io_intent *intent, fol_io_handle *handle)
{
    intent->until = t->until;
    intent->user = t;
    if (t->has_result) {
        intent->receiver = &drop_receiver;
        intent->result = &t->result;
    } else if (t->has_receiver) {
        intent->receiver = &receivers[t->needs_host];
    }
    fol_io_handle own = 0;
    int status = fol_io_queue_submit(s->io, intent, &own);
    if (status != 0) {
        bool is_expected = status == FOL_E_CAPACITY && s->lane->kind == CASE_ROUGH;
        CHECK(is_expected);
        t->drops++; /* It never was anybody's. */
        return status;
    }
    if (handle != NULL) {
        *handle = own;
    }
    return 0;
}

static fol_io_request read_file(uint32_t file, uint64_t chance)
{
    fol_io_request request = {.kind = FOL_IO_READ, .size = 1 + chance % (FILE_STEP * FILES)};
    if (chance >> 20 & 1) {
        request.fd = file_descriptors[file];
        request.offset = (chance >> 22) % (FILE_STEP * 4);
    } else {
        request.flags = FOL_IO_PATH;
        request.fd = AT_FDCWD;
        request.path = file_paths[file];
    }
    if (chance >> 21 & 1) {
        request.flags |= FOL_IO_TO_END;
    }
    return request;
}

/* Into the Bytes of an entity that is there, or will be, or will be gone. */
static int ask_into_world(asker *s, fol_entity entity, uint64_t chance)
{
    lane *l = s->lane;
    ticket *t = take_ticket(s, entity, chance);
    uint32_t number = (uint32_t)(chance >> 8) % FILES;
    fol_io_intent intent = {.request = read_file(number, chance >> 8), .entity = entity};
    if (l->kind != CASE_SETTLED && t->until == FOL_IO_LATER) {
        t->until = FOL_IO_PHASE;
    }
    t->has_receiver = chance >> 5 & 1;
    t->declines = (chance >> 6 & 7) == 0;
    intent.component = entity == 0 ? l->inbox : l->data;
    if (s->commands != NULL && (chance >> 9) % 4 == 0) {
        const fol_value values[2] = {{l->data, NULL}, {l->number, &number}};
        bool lacks_data = (chance >> 11) % 8 == 0;
        /* When there is no room the entity that was asked for takes it. */
        (void)fol_commands_spawn(s->commands, lacks_data ? &values[1] : values, lacks_data ? 1 : 2,
                                 &intent.entity);
        intent.component = l->data;
    } else if (s->commands != NULL && entity != 0 && (chance >> 9) % 32 == 1) {
        (void)fol_commands_despawn(s->commands, entity);
    }
    return queue_ticket(s, t, &intent, NULL);
}

static int ask_to_receiver(asker *s, fol_entity entity, uint64_t chance)
{
    ticket *t = take_ticket(s, entity, chance);
    fol_io_intent intent = {.request = read_file((uint32_t)(chance >> 8) % FILES, chance >> 8)};
    bool has_own = chance >> 40 & 1;
    t->has_result = chance >> 41 & 1;
    t->has_receiver = true;
    if (has_own) {
        t->vectors[0] = (struct iovec){t->buffer, 10};
        t->vectors[1] = (struct iovec){t->buffer + 10, 30};
        bool in_parts = chance >> 42 & 1;
        intent.request.flags &= ~(uint32_t)FOL_IO_TO_END;
        intent.request.flags |= in_parts ? FOL_IO_VECTORS : 0;
        intent.request.buffer = in_parts ? (void *)t->vectors : t->buffer;
        intent.request.size = in_parts ? 2 : sizeof(t->buffer);
    }
    return queue_ticket(s, t, &intent, NULL);
}

/* A file that is not there; now and then nobody looks, or who looks does not take it. */
static int ask_missing(asker *s, fol_entity entity, uint64_t chance)
{
    ticket *t = take_ticket(s, entity, chance);
    fol_io_intent intent = {.request = {.kind = FOL_IO_READ,
                                        .flags = FOL_IO_PATH,
                                        .fd = AT_FDCWD,
                                        .path = file_paths[FILES],
                                        .size = 8}};
    bool is_rare = (chance >> 8) % 24 == 0;
    bool may_fail = t->until != FOL_IO_LATER || s->lane->kind != CASE_LOOSE;
    t->has_receiver = !is_rare || !may_fail || (chance >> 13 & 1);
    t->declines = is_rare && may_fail;
    return queue_ticket(s, t, &intent, NULL);
}

/* Bytes at a place that is this entity's and this system's own, or this call's. */
static int ask_write(asker *s, fol_entity entity, uint64_t chance)
{
    ticket *t = take_ticket(s, entity, chance);
    uint32_t row = entity == 0 ? s->sequence : 64 + (uint32_t)entity % 4032;
    uint64_t place = (uint64_t)row * ACTORS_MAX + s->actor->number;
    if (t->until == FOL_IO_LATER) {
        t->until = FOL_IO_STAGE;
    }
    t->has_receiver = true;
    memcpy(t->buffer, &chance, SCRATCH_STEP);
    fol_io_intent intent = {.request = {.kind = FOL_IO_WRITE,
                                        .fd = s->lane->scratch,
                                        .buffer = t->buffer,
                                        .size = SCRATCH_STEP,
                                        .offset = place * SCRATCH_STEP}};
    return queue_ticket(s, t, &intent, NULL);
}

/* One letter from a pipe that somebody fills, at the latest at the end of the phase. */
static int ask_letter(asker *s, fol_entity entity, uint64_t chance)
{
    lane *l = s->lane;
    bool is_paired = chance >> 8 & 1;
    bool is_socket = chance >> 9 & 1;
    static const char letter = 'x';
    if (is_paired) {
        ticket *w = take_ticket(s, entity, chance >> 10);
        fol_io_intent write = {.request = {.kind = is_socket ? FOL_IO_SEND : FOL_IO_WRITE,
                                           .fd = is_socket ? l->sockets[1] : l->paired[1],
                                           .buffer = (void *)(uintptr_t)&letter,
                                           .size = 1,
                                           .offset = is_socket ? 0 : FOL_IO_CURRENT}};
        w->has_receiver = true;
        w->until = w->until == FOL_IO_LATER ? FOL_IO_PHASE : w->until;
        if (queue_ticket(s, w, &write, NULL) != 0) {
            return FOL_E_CAPACITY;
        }
    }
    ticket *t = take_ticket(s, entity, chance);
    is_socket = is_paired && is_socket;
    int fd = is_socket ? l->sockets[0] : is_paired ? l->paired[0] : l->filled[0];
    fol_io_intent read = {.request = {.kind = is_socket ? FOL_IO_RECV : FOL_IO_READ,
                                      .fd = fd,
                                      .size = 1,
                                      .offset = is_socket ? 0 : FOL_IO_CURRENT}};
    t->has_receiver = true;
    t->until = is_paired && (chance >> 11 & 1) ? FOL_IO_STAGE : FOL_IO_PHASE;
    if (l->kind == CASE_ROUGH) {
        read.request.timeout_ns = TINY_NS;
    }
    return queue_ticket(s, t, &read, NULL);
}

/* Nothing comes of it but the end of its time, or a cancel in the same breath. */
static int ask_silence(asker *s, fol_entity entity, uint64_t chance)
{
    ticket *t = take_ticket(s, entity, chance);
    fol_io_handle handle = 0;
    fol_io_intent intent = {
        .request = {.kind = FOL_IO_POLL, .fd = s->lane->silent[0], .options = POLLIN}};
    bool is_cancelled = chance >> 8 & 1;
    t->has_receiver = true;
    if ((chance >> 9) % 4 == 0) {
        intent.request = (fol_io_request){.kind = FOL_IO_TIMEOUT};
    } else if (chance >> 11 & 1) {
        intent.request = (fol_io_request){
            .kind = FOL_IO_READ, .fd = s->lane->silent[0], .size = 4, .offset = FOL_IO_CURRENT};
    }
    /* In a rough case there may be no room for the cancel. */
    bool must_end = !is_cancelled || s->lane->kind == CASE_ROUGH;
    uint64_t never_ns = intent.request.kind == FOL_IO_TIMEOUT ? UINT64_C(1) << 40 : 0;
    intent.request.timeout_ns = must_end ? 1000 + (chance >> 12) % 50000 : never_ns;
    int status = queue_ticket(s, t, &intent, &handle);
    if (status == 0 && is_cancelled) {
        ticket *c = take_ticket(s, entity, chance >> 12);
        fol_io_intent cancel = {.request = {.kind = FOL_IO_CANCEL, .handle = handle}};
        c->has_receiver = true;
        c->until = FOL_IO_STAGE;
        status = queue_ticket(s, c, &cancel, NULL);
    }
    return status;
}

static int ask_small(asker *s, fol_entity entity, uint64_t chance)
{
    ticket *t = take_ticket(s, entity, chance);
    fol_io_intent intent = {.request = {.kind = FOL_IO_NOP}};
    uint32_t file = (uint32_t)(chance >> 16) % (FILES + 1);
    t->has_receiver = true;
    switch ((chance >> 8) % 4) {
    case 0:
        intent.request = (fol_io_request){
            .kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = file_paths[file], .options = O_RDONLY};
        t->gives_fd = true;
        /* Nobody wants what there is. */
        t->has_receiver = file == FILES || (chance >> 12 & 1);
        break;
    case 1:
        t->owned_fd = dup(file_descriptors[0]);
        CHECK(t->owned_fd >= 0);
        intent.request = (fol_io_request){.kind = FOL_IO_CLOSE, .fd = t->owned_fd};
        break;
    case 2:
        intent.request = (fol_io_request){
            .kind = FOL_IO_STAT, .flags = FOL_IO_PATH, .fd = AT_FDCWD, .path = file_paths[file]};
        t->has_result = true;
        break;
    default:
        break;
    }
    int status = queue_ticket(s, t, &intent, NULL);
    if (status != 0 && t->owned_fd >= 0) {
        close(t->owned_fd);
    }
    return status;
}

static int ask(asker *s, fol_entity entity, uint64_t chance)
{
    uint64_t rest = mix(chance, 77);
    switch (chance % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        return ask_into_world(s, entity, rest);
    case 5:
    case 6:
    case 7:
        return ask_to_receiver(s, entity, rest);
    case 8:
        return ask_missing(s, entity, rest);
    case 9:
    case 10:
        return ask_write(s, entity, rest);
    case 11:
    case 12:
        return ask_letter(s, entity, rest);
    case 13:
        return rest >> 50 & 7 ? ask_small(s, entity, rest) : ask_silence(s, entity, rest);
    default:
        return ask_small(s, entity, rest);
    }
}

#endif
