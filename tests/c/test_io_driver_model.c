/* Thousands of random operations on engines that answer in a random order, with short results,
 * storms of EINTR, EAGAIN and EBUSY, random cancels and deadlines, and a ring that dies: every
 * operation comes back exactly once, with the right bytes, and no descriptor and no buffer is lost.
 *
 * The engines' files are descriptors of /dev/null, so that one that is not closed can be counted;
 * byte n of file f is the same in every read of it. Files in the ring's own table are numbers.
 */

#include <poll.h>
#include <unistd.h>

#include "base/memory.h"
#include "draw.h"
#include "io_fake_engine.h"

enum { OPS = 200, TURNS = 4000, FILES = 16, FILE_BYTES = 20000, DIRECT = 8 };
enum { DESCRIPTORS = 1024, SHARED = 4 };

typedef struct model_op {
    fol_io_op op;
    bool is_out;
    int file;
    size_t expected; /* bytes, unless it ends early */
    uint8_t buffer[64];
} model_op;

static uint64_t state;
static model_op ops[OPS];
static char names[FILES][4];
static int file_of[DESCRIPTORS]; /* which file a descriptor is of */
static bool is_model_open[DESCRIPTORS];
static bool is_direct_open[DIRECT];
static int direct_file[DIRECT];
static int shared[SHARED]; /* descriptors that many read */
static uint32_t came_back;
static uint32_t sent;
static uint64_t bad;
static uint64_t landed;     /* of all games: plain ones where their completions lay */
static uint64_t taken_back; /* and from the ring's queue */

static uint8_t byte_at(int file, size_t offset)
{
    return (uint8_t)(offset * 7 + (size_t)file * 13 + offset / 256);
}

static size_t file_size(int file)
{
    return (size_t)file * FILE_BYTES / FILES;
}

static int open_model_file(int file)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0 || fd >= DESCRIPTORS) {
        fprintf(stderr, "out of descriptors\n");
        exit(1);
    }
    is_model_open[fd] = true;
    file_of[fd] = file;
    return fd;
}

static void close_model_file(int fd)
{
    is_model_open[fd] = false;
    close(fd);
}

static int64_t model_open(const fol_io_request *request)
{
    int file = request->path[0] - 'a';
    if ((request->flags & FOL_IO_DIRECT) != 0) {
        for (int i = 0; i < DIRECT; i++) {
            if (!is_direct_open[i]) {
                is_direct_open[i] = true;
                direct_file[i] = file;
                return i;
            }
        }
        return -ENFILE;
    }
    if (draw_below(&state, 20) == 0) {
        return -EMFILE;
    }
    return open_model_file(file);
}

static int64_t model_close(const fol_io_request *request)
{
    if ((request->flags & FOL_IO_DIRECT) != 0) {
        bad += !is_direct_open[request->fd];
        is_direct_open[request->fd] = false;
        return 0;
    }
    bad += !is_model_open[request->fd];
    is_model_open[request->fd] = false;
    return close(request->fd);
}

static int64_t model_read(const fol_io_request *request)
{
    bool is_direct = (request->flags & FOL_IO_DIRECT) != 0;
    bad += is_direct ? !is_direct_open[request->fd] : !is_model_open[request->fd];
    int file = is_direct ? direct_file[request->fd] : file_of[request->fd];
    size_t size = file_size(file);
    size_t left = request->offset < size ? size - request->offset : 0;
    size_t count = request->size < left ? request->size : left;
    if (count > 1 && draw_below(&state, 3) == 0) {
        count = 1 + draw_below(&state, (uint32_t)count);
    }
    for (size_t i = 0; i < count; i++) {
        ((uint8_t *)request->buffer)[i] = byte_at(file, request->offset + i);
    }
    return (int64_t)count;
}

/* A stream whose byte is always the same. */
static int64_t model_stream(const fol_io_request *request)
{
    size_t count = 1 + draw_below(&state, (uint32_t)request->size);
    if (request->kind == FOL_IO_RECV) {
        memset(request->buffer, 0x5a, count);
    }
    return (int64_t)count;
}

static int64_t answer(const fake_request *flying)
{
    const fol_io_request *request = flying->request;
    uint32_t luck = draw_below(&state, 100);
    bool is_closing = request->kind == FOL_IO_CLOSE;
    if (flying->is_cancelled && luck < 70) {
        return -ECANCELED;
    }
    if (luck >= 90 && !is_closing) {
        return luck >= 95 ? -EINTR : -EAGAIN;
    }
    switch (request->kind) {
    case FOL_IO_OPEN:
        return model_open(request);
    case FOL_IO_CLOSE:
        return model_close(request);
    case FOL_IO_READ:
        return model_read(request);
    case FOL_IO_RECV:
    case FOL_IO_SEND:
        return model_stream(request);
    case FOL_IO_POLL:
        return POLLIN;
    default:
        return 0;
    }
}

/* Ends some of what is in flight, in any order. */
static void answer_some(fake_engine *fake, uint32_t most)
{
    uint32_t count = draw_below(&state, most + 1);
    for (uint32_t i = 0; i < count && fake->count > 0; i++) {
        uint32_t index = draw_below(&state, fake->count);
        bool is_dead = fake->flush_error != 0;
        fake_end(fake, index, is_dead ? -ECANCELED : answer(&fake->flying[index]));
    }
}

static void disturb(fake_engine *fake)
{
    if (draw_below(&state, 50) == 0) {
        /* A ring that has files of its own can read them. */
        bool knows_all = fake == &fake_pool || fake->base.has_direct_files;
        fake->start_error = knows_all || draw_below(&state, 2) == 0 ? -EBUSY : -EOPNOTSUPP;
        fake->start_errors = draw_below(&state, 5);
    }
}

/* Of a descriptor that others read too; now and then it is closed, and there is a new one. */
static void draw_shared(model_op *model)
{
    fol_io_request *request = &model->op.request;
    int *fd = &shared[draw_below(&state, SHARED)];
    if (draw_below(&state, 40) == 0) {
        *request = (fol_io_request){.kind = FOL_IO_CLOSE, .fd = *fd};
        *fd = open_model_file((int)draw_below(&state, FILES));
        return;
    }
    model->file = file_of[*fd];
    *request = (fol_io_request){
        .kind = FOL_IO_READ, .fd = *fd, .buffer = model->buffer, .size = sizeof model->buffer};
    request->offset = draw_below(&state, FILE_BYTES);
    size_t size = file_size(model->file);
    size_t left = request->offset < size ? size - request->offset : 0;
    model->expected = left < request->size ? left : request->size;
}

static void draw_request(model_op *model)
{
    fol_io_request *request = &model->op.request;
    *request = (fol_io_request){.kind = FOL_IO_NOP};
    uint32_t what = draw_below(&state, 16);
    model->file = (int)draw_below(&state, FILES);
    if (what < 4) {
        *request = (fol_io_request){.kind = FOL_IO_READ,
                                    .flags = FOL_IO_PATH,
                                    .fd = AT_FDCWD,
                                    .path = names[model->file],
                                    .size = 1 + draw_below(&state, FILE_BYTES),
                                    .offset = draw_below(&state, FILE_BYTES)};
        request->flags |= draw_below(&state, 2) == 0 ? FOL_IO_TO_END : 0;
        size_t size = file_size(model->file);
        size_t left = request->offset < size ? size - request->offset : 0;
        bool is_to_end = (request->flags & FOL_IO_TO_END) != 0;
        model->expected = is_to_end || left < request->size ? left : request->size;
    } else if (what < 6) {
        *request = (fol_io_request){.kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = names[0]};
    } else if (what < 8) {
        model->expected = 1 + draw_below(&state, sizeof model->buffer);
        *request = (fol_io_request){.kind = FOL_IO_SEND, .fd = 5, .buffer = model->buffer};
        request->size = model->expected;
        if (what == 7) {
            request->kind = FOL_IO_RECV;
            request->flags = FOL_IO_WHOLE;
            request->buffer = draw_below(&state, 2) == 0 ? model->buffer : NULL;
        }
    } else if (what == 8) {
        *request = (fol_io_request){.kind = FOL_IO_TIMEOUT};
        request->timeout_ns = draw_below(&state, 10000);
    } else if (what > 9) {
        draw_shared(model);
        return;
    }
    if (request->kind != FOL_IO_TIMEOUT && draw_below(&state, 5) == 0) {
        request->timeout_ns = 1 + draw_below(&state, 5000);
    }
}

static void check_bytes(const model_op *model)
{
    const fol_io_op *op = &model->op;
    const uint8_t *bytes = op->data != NULL ? op->data : op->request.buffer;
    bad += op->value != (int64_t)model->expected;
    for (int64_t i = 0; i < op->value && op->request.kind != FOL_IO_SEND; i++) {
        uint8_t expected = op->request.kind == FOL_IO_RECV
                               ? 0x5a
                               : byte_at(model->file, op->request.offset + (uint64_t)i);
        bad += bytes[i] != expected;
    }
}

static void receive(fol_io *io, model_op *model)
{
    fol_io_op *op = &model->op;
    bool has_early_end = op->value == -ECANCELED || op->value == -ETIMEDOUT;
    uint32_t kind = op->request.kind;
    bad += !model->is_out || !op->is_finished;
    model->is_out = false;
    came_back += 1;
    if (op->value >= 0 && (kind == FOL_IO_READ || kind == FOL_IO_RECV || kind == FOL_IO_SEND)) {
        check_bytes(model);
    } else if (op->value >= 0 && kind == FOL_IO_OPEN) {
        bad += !is_model_open[op->value];
        close_model_file((int)op->value);
    } else {
        /* Nothing else fails for good here: storms are shorter than what is tried. */
        bad += op->value < 0 && !has_early_end && op->value != -EMFILE;
    }
    fol_io_release(io, op);
}

static void take_all(fol_io *io)
{
    fol_io_op *op = fol_io_take(io);
    while (op != NULL) {
        fol_io_op *next = op->next;
        receive(io, (model_op *)(void *)op);
        op = next;
    }
}

static void submit_some(fol_io *io)
{
    fol_io_op *batch[16];
    uint32_t count = 0;
    uint32_t most = draw_below(&state, 16);
    for (uint32_t i = 0; i < OPS && count < most; i++) {
        model_op *model = &ops[draw_below(&state, OPS)];
        if (!model->is_out) {
            draw_request(model);
            model->is_out = true;
            batch[count++] = &model->op;
            sent += 1;
        }
    }
    fol_io_submit(io, batch, count);
}

static void cancel_some(fol_io *io)
{
    for (uint32_t i = draw_below(&state, 3); i > 0; i--) {
        model_op *model = &ops[draw_below(&state, OPS)];
        /* One that is not closed after all would still be read by those that were cancelled. */
        if (model->is_out && model->op.request.kind != FOL_IO_CLOSE) {
            (void)fol_io_cancel(io, &model->op);
        }
    }
}

/* The ring ends what it has, and is of no use any more. */
static void kill_ring(void)
{
    fake_ring.flush_error = -EBADF;
    memset(is_direct_open, 0, sizeof is_direct_open);
    while (fake_ring.count > 0) {
        fake_end(&fake_ring, 0, -ECANCELED);
    }
}

static void answer_while_waiting(fake_engine *fake)
{
    answer_some(fake, 4);
}

static void drop_model(void *argument, fol_io_op *op, bool is_held)
{
    model_op *model = (model_op *)(void *)op;
    bad += !model->is_out;
    bad += is_held;
    model->is_out = false;
    *(uint32_t *)argument += 1;
    if (op->request.kind == FOL_IO_CLOSE && is_model_open[op->request.fd]) {
        close_model_file(op->request.fd);
    }
}

static void play(uint64_t seed, bool ring_dies, bool ends_early)
{
    state = seed;
    came_back = 0;
    sent = 0;
    bad = 0;
    memset(is_direct_open, 0, sizeof is_direct_open);
    fol_io *io = fake_open(draw_below(&state, 4) == 0 ? FOL_IO_CHOICE_POOL : FOL_IO_CHOICE_RING);
    fake_ring.base.ops = draw_below(&state, 4) == 0 ? &fake_ops : &fake_plain_ops;
    fake_ring.base.has_direct_files = draw_below(&state, 2) == 0;
    for (int i = 0; i < SHARED; i++) {
        shared[i] = open_model_file((int)draw_below(&state, FILES));
    }
    fake_ring.base.in_flight_bound = 8 + draw_below(&state, 200);
    fake_pool.base.in_flight_bound = 2 + draw_below(&state, 200);
    fake_ring.on_wait = answer_while_waiting;
    fake_pool.on_wait = answer_while_waiting;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        disturb(&fake_ring);
        disturb(&fake_pool);
        submit_some(io);
        if (draw_below(&state, 4) == 0) {
            cancel_some(io);
            submit_some(io);
        }
        fol_io_poll(io);
        answer_some(&fake_ring, 16);
        answer_some(&fake_pool, 16);
        cancel_some(io);
        fol_virtual_clock_advance(&fake_clock, draw_below(&state, 200));
        if (ring_dies && turn == TURNS / 2) {
            kill_ring();
        }
        uint64_t until = fake_clock.now_ns + draw_below(&state, 100);
        (void)fol_io_wait(io, draw_below(&state, 5), until);
        take_all(io);
    }
    uint32_t dropped = 0;
    for (uint32_t turn = 0; turn < 100000 && !ends_early && fol_io_pending(io) > 0; turn++) {
        (void)fol_io_wait(io, 1, fake_clock.now_ns + 100);
        answer_some(&fake_ring, 16);
        answer_some(&fake_pool, 16);
        take_all(io);
    }
    CHECK_EQ(io->slab.live, ends_early ? io->slab.live : 0);
    CHECK(fol_io_destroy(io, drop_model, &dropped));
    CHECK(ends_early || dropped == 0);
    CHECK_EQ(came_back + dropped, sent);
    CHECK_EQ(bad, 0);
    for (int i = 0; i < SHARED; i++) {
        close_model_file(shared[i]);
    }
    landed += fake_ring.landed;
    taken_back += fake_ring.taken_back;
    uint32_t open_count = 0;
    for (int i = 0; i < DESCRIPTORS; i++) {
        /* The driver closes what it drops without an engine. */
        open_count += is_model_open[i] && fcntl(i, F_GETFD) >= 0;
        is_model_open[i] = false;
    }
    CHECK_EQ(open_count, 0);
}

static void play_seeds(uint64_t first, bool ring_dies, bool ends_early)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    uint64_t count = setting("FOLIOT_SEEDS", 6);
    uint64_t start = setting("FOLIOT_SEED", first);
    for (uint64_t seed = start; seed < start + count && check_failures == 0; seed++) {
        play(seed, ring_dies, ends_early);
        if (check_failures > 0) {
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
        }
    }
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

static void test_every_operation_comes_back_once_with_its_bytes(void)
{
    play_seeds(1, false, false);
}

static void test_nothing_is_lost_when_the_ring_dies(void)
{
    play_seeds(100, true, false);
}

static void test_nothing_is_lost_when_the_driver_ends(void)
{
    play_seeds(200, false, true);
}

static void test_the_games_went_all_ways(void)
{
    /* A single seed may have a pool only. */
    CHECK((landed > 0 && taken_back > 0) || setting("FOLIOT_SEEDS", 6) < 6);
}

int main(void)
{
    for (int i = 0; i < FILES; i++) {
        snprintf(names[i], sizeof names[i], "%c", 'a' + i);
    }
    RUN(test_every_operation_comes_back_once_with_its_bytes);
    RUN(test_nothing_is_lost_when_the_ring_dies);
    RUN(test_nothing_is_lost_when_the_driver_ends);
    RUN(test_the_games_went_all_ways);
    CHECK_MAIN_END();
}
