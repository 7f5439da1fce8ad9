/* I/O of frames on every backend: the same world and the same order of deliveries, whoever ran what
 * and whatever came first.
 */

#include "frame_io_model.h"

#define ROWS  600u
#define PIPES 8u

static const struct {
    const char *backend;
    uint32_t workers;
    fol_io_choice io;
} choices[] = {
    {"blocking", 1, FOL_IO_CHOICE_POOL},   {"blocking", 1, FOL_IO_CHOICE_RING},
    {"evented", 1, FOL_IO_CHOICE_AUTO},    {"threadpool", 2, FOL_IO_CHOICE_AUTO},
    {"threadpool", 3, FOL_IO_CHOICE_RING}, {"stealing", 1, FOL_IO_CHOICE_AUTO},
    {"stealing", 2, FOL_IO_CHOICE_RING},   {"stealing", 4, FOL_IO_CHOICE_POOL},
    {"uring", 4, FOL_IO_CHOICE_AUTO},      {"adaptive", 2, FOL_IO_CHOICE_AUTO},
};

#define CHOICES (sizeof(choices) / sizeof(choices[0]))

static void setup_choice(io_fixture *f, size_t choice)
{
    io_setup(f);
    f->config.backend = choices[choice].backend;
    f->config.workers = choices[choice].workers;
    f->config.io = choices[choice].io;
    f->config.target_task_seconds = 1e-7;
}

static void check_same_world(io_fixture *f, const uint8_t *expected, size_t choice)
{
    uint8_t digest[16];
    fol_world_digest(f->world, digest);
    if (!CHECK(memcmp(digest, expected, sizeof(digest)) == 0)) {
        fprintf(stderr, "  on %s with %u workers\n", choices[choice].backend,
                choices[choice].workers);
    }
}

/* The world as it must come out, made by hand. */
static void digest_of_model(uint8_t *out)
{
    io_fixture f;
    static uint8_t content[37 * FILES];
    io_setup(&f);
    for (uint32_t k = 0; k < ROWS; k++) {
        const uint32_t file = k % FILES;
        const fol_bytes data = {content, file_size(file)};
        const fol_value values[2] = {{f.data, &data}, {f.number, &file}};
        fol_entity entity;
        for (size_t i = 0; i < file_size(file); i++) {
            content[i] = file_byte(file, i);
        }
        CHECK_EQ(fol_world_spawn(f.world, values, 2, &entity), 0);
    }
    fol_world_digest(f.world, out);
    io_teardown(&f);
}

static void test_every_backend_reads_the_world_of_the_model(void)
{
    uint8_t expected[16];
    digest_of_model(expected);
    for (size_t i = 0; i < CHOICES; i++) {
        io_fixture f;
        setup_choice(&f, i);
        io_spawn(&f, ROWS);
        ADD("load", .does_io = true, .writes_data = true, .chunk = kernel_read_files);
        io_start(&f);
        for (int frame = 0; frame < 5; frame++) {
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
            check_same_world(&f, expected, i);
        }
        io_teardown(&f);
    }
}

static int mixed_pipes[PIPES][2];

static fol_io_request mixed_request(uint32_t row)
{
    static char letters[PIPES];
    uint32_t number = row / 5 % PIPES;
    switch (row % 5) {
    case 0:
        return (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = 1000 * (row * 7919 % 300)};
    case 1:
        return io_read_of(row % FILES, FOL_IO_STAGE).request;
    case 2:
        /* What the next row writes. */
        return (fol_io_request){
            .kind = FOL_IO_READ, .fd = mixed_pipes[number][0], .size = 1, .offset = FOL_IO_CURRENT};
    case 3:
        return (fol_io_request){.kind = FOL_IO_WRITE,
                                .fd = mixed_pipes[number][1],
                                .buffer = &letters[number],
                                .size = 1,
                                .offset = FOL_IO_CURRENT};
    default:
        return (fol_io_request){.kind = FOL_IO_NOP};
    }
}

static fol_io_until mixed_until(uint32_t row)
{
    return row % 5 == 2 || row % 5 == 3 || row % 3 != 0 ? FOL_IO_STAGE : FOL_IO_PHASE;
}

/* Operations of all durations; the user of each is its row plus one. */
static int kernel_mix(const fol_chunk *chunk, void *user)
{
    (void)user;
    for (ptrdiff_t i = 0; i < chunk->rows; i++) {
        uint32_t row = (uint32_t)chunk->entities[i];
        const fol_io_intent intent = {.request = mixed_request(row),
                                      .until = mixed_until(row),
                                      .receiver = &log_receiver,
                                      .user = (void *)((uintptr_t)row + 1)};
        if (chunk->io_api->submit(chunk->io, &intent, NULL) != 0) {
            return 7;
        }
    }
    return 0;
}

static int hosted_mark(void *user, fol_task *task)
{
    const fol_io_result mark = {0};
    (void)task;
    log_result(user, &mark);
    return 0;
}

/* All of the stage in order, then the mark of the next one, then what the phase waited for. */
static void check_order(const io_fixture *f, uint32_t from)
{
    uint64_t last = 0;
    bool is_behind = false;
    for (uint32_t i = from; i < f->logged; i++) {
        if (f->log[i] == UINTPTR_MAX) {
            is_behind = true;
            last = 0;
            continue;
        }
        CHECK(f->log[i] > last);
        CHECK((mixed_until((uint32_t)f->log[i] - 1) == FOL_IO_PHASE) == is_behind);
        CHECK(f->values[i] >= 0);
        last = f->log[i];
    }
}

static void test_deliveries_come_in_the_order_of_rows_whatever_comes_first(void)
{
    for (size_t i = 0; i < CHOICES; i++) {
        io_fixture f;
        setup_choice(&f, i);
        f.config.clock = fol_virtual_clock_face(&f.clock);
        io_spawn(&f, ROWS);
        ADD("mix", .does_io = true, .writes_data = true, .chunk = kernel_mix);
        ADD("mark", .reads_data = true, .hosted = hosted_mark, .user = (void *)UINTPTR_MAX);
        io_start(&f);
        for (uint32_t frame = 0; frame < 3; frame++) {
            uint32_t from = f.logged;
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
            CHECK_EQ(f.logged - from, ROWS + 1);
            check_order(&f, from);
        }
        io_teardown(&f);
    }
}

/* Asks for a file and a NOP of each row; fails at one row in the middle. */
static int kernel_fail_in_the_middle(const fol_chunk *chunk, void *user)
{
    const bool *must_fail = user;
    const fol_io_intent intent = {.request = {.kind = FOL_IO_NOP}, .receiver = &log_receiver};
    for (ptrdiff_t i = 0; i < chunk->rows; i++) {
        if (*must_fail && (uint32_t)chunk->entities[i] == ROWS / 2) {
            return 3;
        }
        if (chunk->io_api->submit(chunk->io, &intent, NULL) != 0) {
            return 7;
        }
    }
    return 0;
}

static void test_pieces_of_a_system_that_failed_send_nothing(void)
{
    for (size_t i = 0; i < CHOICES; i++) {
        io_fixture f;
        bool must_fail = true;
        setup_choice(&f, i);
        f.config.errors = FOL_ERRORS_CONTINUE;
        io_spawn(&f, ROWS);
        ADD("fail", .does_io = true, .writes_data = true, .chunk = kernel_fail_in_the_middle,
            .user = &must_fail);
        io_start(&f);
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(io_error(&f, 0).status, FOL_E_KERNEL);
        CHECK_EQ(f.logged, 0);
        CHECK(f.dropped > 0);
        CHECK_EQ(fol_scheduler_frame(f.scheduler)->io_operations, 0);
        must_fail = false;
        CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
        CHECK_EQ(f.logged, ROWS);
        io_teardown(&f);
    }
}

/* Later operations of many durations, a few a frame. */
static int hosted_ask_later(void *user, fol_task *task)
{
    uint32_t *asked = user;
    for (uint32_t i = 0; i < 20 && task->frame < 10; i++) {
        uint32_t row = *asked;
        fol_io_request request = mixed_request(row % 5 == 2 || row % 5 == 3 ? 1 : row);
        io_queue(task, request, FOL_IO_LATER, ++*asked);
    }
    return 0;
}

static void test_what_came_for_one_frame_is_delivered_in_order(void)
{
    for (size_t i = 0; i < CHOICES; i++) {
        io_fixture f;
        uint32_t asked = 0;
        setup_choice(&f, i);
        ADD("ask", .does_io = true, .hosted = hosted_ask_later, .user = &asked);
        io_start(&f);
        /* Ends, since something comes of every wait. */
        int status = FOL_OK;
        for (uint32_t frame = 0; frame < 10 || status == FOL_OK; frame++) {
            uint32_t from = f.logged;
            CHECK_EQ(fol_scheduler_tick(f.scheduler, 0.1), FOL_OK);
            for (uint32_t k = from + 1; k < f.logged; k++) {
                CHECK(f.log[k] > f.log[k - 1]);
            }
            status = fol_scheduler_wait(f.scheduler, UINT64_MAX);
        }
        CHECK_EQ(status, -ENOENT);
        CHECK_EQ(f.logged, asked);
        io_teardown(&f);
    }
}

int main(void)
{
    make_files();
    for (uint32_t i = 0; i < PIPES; i++) {
        CHECK_EQ(pipe2(mixed_pipes[i], O_CLOEXEC), 0);
    }
    RUN(test_every_backend_reads_the_world_of_the_model);
    RUN(test_deliveries_come_in_the_order_of_rows_whatever_comes_first);
    RUN(test_pieces_of_a_system_that_failed_send_nothing);
    RUN(test_what_came_for_one_frame_is_delivered_in_order);
    remove_files();
    CHECK_MAIN_END();
}
