/* Engines that do nothing by themselves: a test sees each request, and says when and how it ends.
 *
 * There is one for each lane of a driver, since what makes engines takes no argument. A test that
 * includes this begins with fake_open and ends with fake_close.
 */
#ifndef FOL_TESTS_IO_FAKE_ENGINE_H
#define FOL_TESTS_IO_FAKE_ENGINE_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "check.h"
#include "foliot/status.h"
#include "io/driver_state.h"

enum { FAKE_ROOM = 4096, FAKE_ENDLESS = 1 << 20 };

typedef struct fake_request {
    const fol_io_request *request;
    uint64_t token;
    fol_io_plain *plain; /* NULL: started as any other */
    bool is_cancelled;
} fake_request;

typedef struct fake_engine fake_engine;
struct fake_engine {
    fol_io_engine base;
    fake_request flying[FAKE_ROOM]; /* in the order in which they were started */
    uint32_t count;
    uint32_t unsent;                /* of those, the last so many: started since the last flush */
    fol_io_event events[FAKE_ROOM]; /* not reaped */
    fol_io_plain *event_plains[FAKE_ROOM];
    uint32_t event_count;
    fol_io_landing landings[FAKE_ROOM];
    /* What start, flush and wait give so many times, once those before it have passed. */
    int start_error;
    uint32_t start_errors;
    int flush_error;
    int wait_error;
    uint32_t wait_errors;
    int adopt_error;
    int make_error; /* of the engine itself */
    bool lets_go;   /* what destroy says */
    void (*on_wait)(fake_engine *fake);
    /* What happened. */
    uint32_t starts;
    uint32_t taken_back;
    uint32_t landed; /* without reap */
    uint32_t cancels;
    uint32_t flushes;
    uint32_t waits;
    uint32_t wakes;
    uint32_t adopts;
    uint32_t made;
    uint32_t destroyed;
    uint32_t given_back; /* buffers */
    uint32_t last_least;
    uint64_t last_timeout;
};

static fake_engine fake_ring;
static fake_engine fake_pool;
static fol_virtual_clock fake_clock;
static int fake_probe_error;

static inline fake_engine *fake_of(fol_io_engine *engine)
{
    return (fake_engine *)(void *)engine;
}

static inline int fake_start(fol_io_engine *engine, const fol_io_request *request, uint64_t token)
{
    fake_engine *fake = fake_of(engine);
    if (fake->start_errors > 0) {
        fake->start_errors -= 1;
        return fake->start_error;
    }
    if (engine->in_flight >= engine->in_flight_bound || fake->count == FAKE_ROOM) {
        return -EBUSY;
    }
    fake->flying[fake->count++] = (fake_request){.request = request, .token = token};
    fake->unsent += 1;
    fake->starts += 1;
    engine->in_flight += 1;
    return FOL_OK;
}

static inline void fake_cancel(fol_io_engine *engine, uint64_t token)
{
    fake_engine *fake = fake_of(engine);
    fake->cancels += 1;
    for (uint32_t i = 0; i < fake->count; i++) {
        fake->flying[i].is_cancelled |= fake->flying[i].token == token;
    }
}

/* Without errors: those are for start. */
static inline size_t fake_start_plain(fol_io_engine *engine, fol_io_plain *const *plains,
                                      size_t count)
{
    fake_engine *fake = fake_of(engine);
    size_t done = 0;
    for (; done < count && fake->start_errors == 0; done++) {
        if (fake_start(engine, &plains[done]->request, (uintptr_t)plains[done]) != FOL_OK) {
            break;
        }
        fake->flying[fake->count - 1].plain = plains[done];
        fol_io_link_append(&engine->plains, &plains[done]->link);
    }
    return done;
}

static inline fol_io_plain *fake_take_back(fol_io_engine *engine)
{
    fake_engine *fake = fake_of(engine);
    fol_io_plain *plain = fake->unsent == 0 ? NULL : fake->flying[fake->count - 1].plain;
    if (plain != NULL) {
        fake->count -= 1;
        fake->unsent -= 1;
        fake->taken_back += 1;
        engine->in_flight -= 1;
        fol_io_link_remove(&plain->link);
    }
    return plain;
}

static inline void fake_cancel_plain(fol_io_engine *engine, fol_io_plain *plain)
{
    fake_cancel(engine, (uintptr_t)plain);
}

static inline size_t fake_peek(fol_io_engine *engine, const fol_io_landing **out)
{
    fake_engine *fake = fake_of(engine);
    for (uint32_t i = 0; i < fake->event_count; i++) {
        uint64_t token = fake->event_plains[i] == NULL ? FOL_IO_LANDING_IS_OTHER | i
                                                       : (uintptr_t)fake->event_plains[i];
        fake->landings[i] =
            (fol_io_landing){.token = token, .value = (int32_t)fake->events[i].value};
    }
    *out = fake->landings;
    return fake->event_count;
}

static inline void fake_drop_events(fake_engine *fake, size_t count)
{
    fake->event_count -= (uint32_t)count;
    memmove(fake->events, fake->events + count, fake->event_count * sizeof(fol_io_event));
    memmove(fake->event_plains, fake->event_plains + count,
            fake->event_count * sizeof(fol_io_plain *));
}

static inline void fake_drop(fol_io_engine *engine, size_t count)
{
    engine->in_flight -= (uint32_t)count;
    fake_of(engine)->landed += (uint32_t)count;
    fake_drop_events(fake_of(engine), count);
}

static inline int fake_flush(fol_io_engine *engine)
{
    fake_of(engine)->unsent = 0;
    fake_of(engine)->flushes += 1;
    return fake_of(engine)->flush_error;
}

static inline size_t fake_reap(fol_io_engine *engine, fol_io_event *out, size_t room)
{
    fake_engine *fake = fake_of(engine);
    size_t count = fake->event_count < room ? fake->event_count : room;
    for (size_t i = 0; i < count; i++) {
        out[i] = fake->events[i];
        engine->in_flight -= !out[i].has_more;
        if (fake->event_plains[i] != NULL) {
            fol_io_link_remove(&fake->event_plains[i]->link);
        }
    }
    fake_drop_events(fake, count);
    return count;
}

static inline int fake_wait(fol_io_engine *engine, uint32_t least, uint64_t timeout_ns)
{
    fake_engine *fake = fake_of(engine);
    fake->waits += 1;
    fake->unsent = 0;
    fake->last_least = least;
    fake->last_timeout = timeout_ns;
    if (fake->event_count == 0 && fake->on_wait != NULL) {
        fake->on_wait(fake);
    }
    if (fake->wait_errors > 0) {
        fake->wait_errors -= 1;
        return fake->wait_error;
    }
    if (fake->event_count == 0 && timeout_ns == UINT64_MAX) {
        /* Nothing would ever end it. */
        CHECK(fake->wakes > 0);
        return -EINTR;
    }
    return fake->event_count > 0 ? FOL_OK : -ETIME;
}

static inline void fake_wake(fol_io_engine *engine)
{
    fake_of(engine)->wakes += 1;
}

static inline void fake_give_buffer(fol_io_engine *engine, int32_t buffer)
{
    CHECK(buffer >= 0);
    fake_of(engine)->given_back += 1;
}

static inline int fake_adopt(fol_io_engine *engine)
{
    fake_of(engine)->adopts += 1;
    return fake_of(engine)->adopt_error;
}

static inline bool fake_destroy(fol_io_engine *engine)
{
    fake_of(engine)->destroyed += 1;
    return fake_of(engine)->lets_go;
}

static const fol_io_engine_ops fake_ops = {
    .name = "fake",
    .start = fake_start,
    .cancel = fake_cancel,
    .flush = fake_flush,
    .reap = fake_reap,
    .wait = fake_wait,
    .wake = fake_wake,
    .give_buffer = fake_give_buffer,
    .adopt = fake_adopt,
    .destroy = fake_destroy,
};

/* An engine that has plain requests. */
static const fol_io_engine_ops fake_plain_ops = {
    .name = "fake",
    .start = fake_start,
    .start_plain = fake_start_plain,
    .take_back = fake_take_back,
    .cancel_plain = fake_cancel_plain,
    .peek = fake_peek,
    .drop = fake_drop,
    .cancel = fake_cancel,
    .flush = fake_flush,
    .reap = fake_reap,
    .wait = fake_wait,
    .wake = fake_wake,
    .give_buffer = fake_give_buffer,
    .adopt = fake_adopt,
    .destroy = fake_destroy,
};

static inline int fake_probe(fol_io_report *out)
{
    *out = (fol_io_report){.available = fake_probe_error == 0, .error = fake_probe_error};
    out->cure = fake_probe_error == 0 ? FOL_IO_CURE_NONE : FOL_IO_CURE_FILTER;
    out->step = fake_probe_error == 0 ? FOL_IO_STEP_DONE : FOL_IO_STEP_SETUP;
    return FOL_OK;
}

static inline int fake_make_ring(const fol_io_ring_config *config, struct fol_io_report *report,
                                 fol_io_engine **out)
{
    (void)config;
    fake_ring.made += 1;
    if (fake_ring.make_error != 0) {
        *report = (fol_io_report){.error = fake_ring.make_error, .cure = FOL_IO_CURE_MEMORY};
        return fake_ring.make_error;
    }
    *out = &fake_ring.base;
    return FOL_OK;
}

static inline int fake_make_pool(const fol_io_pool_config *config, fol_io_engine **out)
{
    (void)config;
    fake_pool.made += 1;
    *out = &fake_pool.base;
    return fake_pool.make_error;
}

static const fol_io_makers fake_makers = {fake_probe, fake_make_ring, fake_make_pool};

static inline void fake_reset(fake_engine *fake, int notice_fd)
{
    memset(fake, 0, sizeof *fake);
    fake->base.ops = &fake_ops;
    fake->base.in_flight_bound = FAKE_ROOM;
    fake->base.notice_fd = notice_fd;
    fake->lets_go = true;
    fol_io_link_init(&fake->base.plains);
    fol_io_link_init(&fake->base.kept_plains);
}

static inline fol_io_config fake_config(fol_io_choice choice)
{
    fol_virtual_clock_init(&fake_clock, 1000);
    return (fol_io_config){
        .choice = choice, .max_operations = 2048, .clock = fol_virtual_clock_face(&fake_clock)};
}

/* On fakes, with a virtual clock. */
static inline fol_io *fake_open(fol_io_choice choice)
{
    fol_io *io = NULL;
    fol_io_config config = fake_config(choice);
    fake_probe_error = 0;
    fake_reset(&fake_ring, -1);
    fake_reset(&fake_pool, 1);
    if (fol_io_create_from(&config, &fake_makers, &io) != FOL_OK) {
        fprintf(stderr, "cannot create a driver\n");
        exit(1);
    }
    return io;
}

static inline void fake_count_dropped(void *argument, fol_io_op *op, bool is_held)
{
    CHECK(!is_held);
    CHECK(!op->has_news || op->is_finished || op->request.kind != FOL_IO_NOP);
    *(uint32_t *)argument += 1;
}

/* How many operations were dropped. */
static inline uint32_t fake_close(fol_io *io)
{
    uint32_t dropped = 0;
    CHECK(fol_io_destroy(io, fake_count_dropped, &dropped));
    return dropped;
}

/* Ends one that is in flight: the index is that of fake->flying. */
static inline void fake_end(fake_engine *fake, uint32_t index, int64_t value)
{
    if (!CHECK(index < fake->count) || !CHECK(fake->event_count < FAKE_ROOM)) {
        return;
    }
    fake->event_plains[fake->event_count] = fake->flying[index].plain;
    fake->events[fake->event_count++] =
        (fol_io_event){.token = fake->flying[index].token, .value = value, .buffer = -1};
    CHECK(fake->flying[index].plain == NULL || index < fake->count - fake->unsent);
    fake->count -= 1;
    fake->unsent = fake->unsent < fake->count ? fake->unsent : fake->count;
    memmove(fake->flying + index, fake->flying + index + 1,
            (fake->count - index) * sizeof(fake_request));
}

/* A result of a request with FOL_IO_MANY that goes on. */
static inline void fake_give(fake_engine *fake, uint32_t index, int64_t value, int32_t buffer,
                             void *data)
{
    if (CHECK(index < fake->count) && CHECK(fake->event_count < FAKE_ROOM)) {
        fake->event_plains[fake->event_count] = NULL;
        fake->events[fake->event_count++] = (fol_io_event){.token = fake->flying[index].token,
                                                           .value = value,
                                                           .has_more = true,
                                                           .buffer = buffer,
                                                           .data = data};
    }
}

/* Submits one and starts it. */
static inline void fake_submit(fol_io *io, fol_io_op *op, fol_io_request request)
{
    op->request = request;
    fol_io_submit(io, &op, 1);
    fol_io_poll(io);
}

/* The kind of the request that has been in flight longest; -1: none is. */
static inline int fake_kind(const fake_engine *fake)
{
    return fake->count == 0 ? -1 : (int)fake->flying[0].request->kind;
}

/* Ends that one. */
static inline void fake_step(fol_io *io, fake_engine *fake, int kind, int64_t value)
{
    CHECK_EQ(fake_kind(fake), kind);
    fake_end(fake, 0, value);
    fol_io_poll(io);
}

/* One operation is there, finished, with this value. It is the caller's to release. */
static inline fol_io_op *fake_take_one(fol_io *io, int64_t value)
{
    fol_io_op *op = fol_io_take(io);
    if (CHECK(op != NULL)) {
        CHECK(op->next == NULL);
        CHECK(op->is_finished);
        CHECK_EQ(op->value, value);
    }
    return op;
}

/* A file of 4 KiB. */
static const fol_io_request read_path = {
    .kind = FOL_IO_READ, .flags = FOL_IO_PATH, .fd = AT_FDCWD, .path = "a", .size = 4096};

static inline fol_io_request on(uint32_t kind, int fd, void *buffer, size_t size)
{
    return (fol_io_request){.kind = kind, .fd = fd, .buffer = buffer, .size = size};
}

/* The request that has been in flight longest. */
static inline const fol_io_request *flying(const fake_engine *fake)
{
    return fake->flying[0].request;
}

#endif
