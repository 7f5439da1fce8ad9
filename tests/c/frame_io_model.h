/* A small world, files to read, and systems that do I/O, for the tests of I/O in frames.
 *
 * Each entity has a Number (which file is its own) and Data, a Bytes component; Inbox is a Bytes
 * resource. File k holds 37 k bytes that follow from k.
 */
#ifndef FOL_TESTS_FRAME_IO_MODEL_H
#define FOL_TESTS_FRAME_IO_MODEL_H

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "foliot/memory.h"
#include "foliot/scheduler.h"
#include "foliot/status.h"

#define UNUSED __attribute__((unused))

#define FILES       64u
#define SYSTEMS_MAX 8u
#define LOG_MAX     8192u

typedef struct io_fixture {
    fol_component *data;   /* Bytes */
    fol_component *number; /* uint32 */
    fol_component *inbox;  /* Bytes resource */
    fol_world *world;
    fol_schedule *schedule;
    fol_plan *plan;
    uint32_t phases[2];
    uint32_t ids[3];
    fol_system systems[SYSTEMS_MAX];
    fol_term terms[SYSTEMS_MAX][2];
    fol_system_query queries[SYSTEMS_MAX];
    uint32_t count;
    fol_virtual_clock clock;
    fol_scheduler_config config;
    fol_scheduler *scheduler;
    /* What receivers were told. */
    uint32_t logged;
    uint64_t log[LOG_MAX];
    int64_t values[LOG_MAX];
    uint32_t dropped;
} io_fixture;

/* The running test's, for kernels and receivers. */
static io_fixture *F;

static char file_paths[FILES][64];
static char file_folder[32];

static inline size_t file_size(uint32_t file)
{
    return 37u * (size_t)file;
}

static inline uint8_t file_byte(uint32_t file, size_t at)
{
    return (uint8_t)(file * 131u + at * 7u + 1u);
}

static UNUSED void make_files(void)
{
    snprintf(file_folder, sizeof(file_folder), "/tmp/foliot-io-XXXXXX");
    if (!CHECK(mkdtemp(file_folder) != NULL)) {
        return;
    }
    for (uint32_t k = 0; k < FILES; k++) {
        uint8_t content[37 * FILES];
        snprintf(file_paths[k], sizeof(file_paths[k]), "%s/%u", file_folder, k);
        for (size_t i = 0; i < file_size(k); i++) {
            content[i] = file_byte(k, i);
        }
        int fd = open(file_paths[k], O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
        CHECK_EQ(write(fd, content, file_size(k)), (ssize_t)file_size(k));
        close(fd);
    }
}

static UNUSED void remove_files(void)
{
    for (uint32_t k = 0; k < FILES; k++) {
        unlink(file_paths[k]);
    }
    rmdir(file_folder);
}

static UNUSED fol_component *io_component(const char *name, fol_storage storage, bool is_resource)
{
    const fol_field number = {.name = "", .format = "I", .item_size = 4};
    const fol_field bytes = {.name = "", .format = "O", .item_size = sizeof(fol_bytes)};
    const fol_component_spec spec = {.name = name,
                                     .storage = storage,
                                     .is_resource = is_resource,
                                     .field_count = 1,
                                     .fields = storage == FOL_STORAGE_BYTES ? &bytes : &number};
    fol_component *component = NULL;
    CHECK_EQ(fol_component_create(&spec, &component), 0);
    return component;
}

static UNUSED void io_setup(io_fixture *f)
{
    memset(f, 0, sizeof(*f));
    F = f;
    f->data = io_component("Data", FOL_STORAGE_BYTES, false);
    f->number = io_component("Number", FOL_STORAGE_PLAIN, false);
    f->inbox = io_component("Inbox", FOL_STORAGE_BYTES, true);
    CHECK_EQ(fol_world_create(&fol_world_config_default, &f->world), 0);
    CHECK_EQ(fol_schedule_create(NULL, &f->schedule), 0);
    CHECK_EQ(fol_schedule_add_phase(f->schedule, "update", &f->phases[0]), 0);
    CHECK_EQ(fol_schedule_add_phase(f->schedule, "last", &f->phases[1]), 0);
    const char *names[3] = {"Data", "Number", "Inbox"};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(fol_schedule_add_resource(f->schedule, names[i], &f->ids[i]), 0);
    }
    f->config = fol_scheduler_config_default;
    f->config.backend = "blocking";
    f->config.command_bytes = 1 << 20;
    f->config.max_io = 4096;
    fol_virtual_clock_init(&f->clock, 0);
}

static UNUSED void io_stop(io_fixture *f)
{
    fol_scheduler_destroy(f->scheduler);
    fol_plan_destroy(f->plan);
    f->scheduler = NULL;
    f->plan = NULL;
}

static UNUSED void io_teardown(io_fixture *f)
{
    io_stop(f);
    fol_schedule_destroy(f->schedule);
    fol_world_destroy(f->world);
    fol_component_release(f->data);
    fol_component_release(f->number);
    fol_component_release(f->inbox);
}

typedef struct io_brief {
    const char *name;
    uint32_t phase;
    bool does_io;
    bool records;
    bool writes_data; /* and reads numbers */
    bool reads_data;
    bool writes_inbox;
    fol_hosted_function hosted;
    fol_chunk_kernel chunk;
    void *user;
} io_brief;

/* A hosted system without a query, or a native one over all entities. */
static UNUSED fol_system *io_add(io_fixture *f, io_brief b)
{
    uint32_t index = f->count++;
    size_t terms = 0;
    fol_term *list = f->terms[index];
    fol_query_access access = {0};
    fol_system_spec spec = {.name = b.name,
                            .phase = f->phases[b.phase],
                            .does_io = b.does_io,
                            .records_commands = b.records};
    if (b.writes_data) {
        list[terms++] = (fol_term){f->data, FOL_TERM_WRITE};
        list[terms++] = (fol_term){f->number, FOL_TERM_READ};
        access.writes = (fol_id_list){&f->ids[0], 1};
        access.reads = (fol_id_list){&f->ids[1], 1};
    } else if (b.reads_data) {
        list[terms++] = (fol_term){f->data, FOL_TERM_READ};
        access.reads = (fol_id_list){&f->ids[0], 1};
    }
    if (b.writes_inbox) {
        spec.resource_writes = (fol_id_list){&f->ids[2], 1};
    }
    spec.queries = &access;
    spec.query_count = b.writes_data || b.reads_data;
    f->queries[index] = (fol_system_query){list, terms};
    f->systems[index] = (fol_system){.kind = b.chunk == NULL ? FOL_SYSTEM_HOSTED : FOL_SYSTEM_CHUNK,
                                     .hosted = b.hosted,
                                     .chunk_kernel = b.chunk,
                                     .user = b.user,
                                     .queries = &f->queries[index],
                                     .query_count = 1,
                                     .carries_state = -1};
    uint32_t id;
    CHECK_EQ(fol_schedule_add_system(f->schedule, &spec, &id), 0);
    CHECK_EQ(id, index);
    return &f->systems[index];
}

#define ADD(...) io_add(&f, (io_brief){.name = __VA_ARGS__})

static UNUSED int io_start_with_rates(io_fixture *f, const fol_phase_rate *rates)
{
    fol_plan_error error;
    CHECK_EQ(fol_plan_create(f->schedule, &f->plan, &error), 0);
    return fol_scheduler_create(f->world, f->plan, f->systems, rates, &f->config, &f->scheduler);
}

static UNUSED void io_start(io_fixture *f)
{
    CHECK_EQ(io_start_with_rates(f, NULL), 0);
}

/* Entities whose files are k % FILES. */
static UNUSED void io_spawn(io_fixture *f, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        const uint32_t file = k % FILES;
        const fol_value values[2] = {{f->data, NULL}, {f->number, &file}};
        fol_entity entity;
        CHECK_EQ(fol_world_spawn(f->world, values, 2, &entity), 0);
    }
}

static UNUSED fol_io_intent io_read_of(uint32_t file, fol_io_until until)
{
    return (fol_io_intent){.request = {.kind = FOL_IO_READ,
                                       .flags = FOL_IO_PATH,
                                       .fd = AT_FDCWD,
                                       .path = file_paths[file],
                                       .size = 37 * FILES},
                           .until = until};
}

/* Asks for the file of each row. */
static UNUSED int kernel_read_files(const fol_chunk *chunk, void *user)
{
    const uint32_t *numbers = chunk->columns[1];
    (void)user;
    for (ptrdiff_t i = 0; i < chunk->rows; i++) {
        fol_io_intent intent = io_read_of(numbers[i], FOL_IO_STAGE);
        intent.entity = chunk->entities[i];
        intent.component = chunk->components[0];
        if (chunk->io_api->submit(chunk->io, &intent, NULL) != 0) {
            return 7;
        }
    }
    return 0;
}

static UNUSED bool holds_file(fol_bytes value, uint32_t file)
{
    bool is_equal = value.size == file_size(file);
    for (size_t i = 0; is_equal && i < value.size; i++) {
        is_equal = value.data[i] == file_byte(file, i);
    }
    return is_equal;
}

/* How many of the rows hold their files. */
static UNUSED uint32_t count_filled(io_fixture *f)
{
    const fol_term terms[2] = {{f->data, FOL_TERM_READ}, {f->number, FOL_TERM_READ}};
    fol_query *query = NULL;
    fol_query_iterator iterator;
    fol_run run;
    uint32_t filled = 0;
    CHECK_EQ(fol_query_create(f->world, terms, 2, &query), 0);
    CHECK_EQ(fol_query_begin(query, 0, 0, &iterator), 0);
    while (fol_query_next(&iterator, &run)) {
        const fol_bytes *data = run.columns[0];
        const uint32_t *numbers = run.columns[1];
        for (size_t i = 0; i < run.rows; i++) {
            filled += holds_file(data[i], numbers[i]);
        }
    }
    fol_query_destroy(query);
    return filled;
}

static UNUSED bool log_result(void *user, const fol_io_result *result)
{
    if (F->logged < LOG_MAX) {
        F->log[F->logged] = (uint64_t)(uintptr_t)user;
        F->values[F->logged] = result->value;
        F->logged++;
    }
    return true;
}

static UNUSED void log_drop(void *user)
{
    (void)user;
    F->dropped++;
}

static const fol_io_receiver log_receiver UNUSED = {.deliver = log_result, .drop = log_drop};

/* Queues an operation whose result is logged under a number. */
static UNUSED fol_io_handle io_queue(fol_task *task, fol_io_request request, fol_io_until until,
                                     uint64_t number)
{
    const fol_io_intent intent = {.request = request,
                                  .until = until,
                                  .receiver = &log_receiver,
                                  .user = (void *)(uintptr_t)number};
    fol_io_handle handle = 0;
    CHECK_EQ(fol_io_queue_submit(task->io, &intent, &handle), 0);
    CHECK(handle != 0);
    return handle;
}

static UNUSED fol_frame_error io_error(io_fixture *f, uint32_t index)
{
    const fol_frame *frame = fol_scheduler_frame(f->scheduler);
    const fol_frame_error none = {.system = 999};
    return index < frame->error_count ? frame->errors[index] : none;
}

#endif
