/* The driver on this machine, each test on the ring and on the pool: files of every awkward size, a
 * hundred thousand timers, a million operations.
 *
 * A machine without io_uring fails here, in test_this_machine_has_rings, and says why.
 */

#include <signal.h>
#include <sys/wait.h>

#include "io_driver_support.h"
#include "ring_ladder.h"

static char directory[64];
static const size_t sizes[] = {0, 1, 4095, 4096, 4097, (1 << 20) + 1};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void file_path(char *out, size_t index)
{
    snprintf(out, 96, "%s/file%zu", directory, index);
}

static fol_io_request by_path(uint32_t kind, const char *path, void *buffer, size_t size)
{
    return (fol_io_request){.kind = kind,
                            .flags = FOL_IO_PATH,
                            .fd = AT_FDCWD,
                            .path = path,
                            .mode = 0600,
                            .buffer = buffer,
                            .size = size};
}

static void test_this_machine_has_rings(void)
{
    fol_io_report report;
    CHECK_EQ(fol_io_probe(&report), 0);
    if (!CHECK_EQ(report.available, 1)) {
        fprintf(stderr, "io_uring is needed here: %s\n", fol_io_cure_text(report.cure));
    }
}

static void test_files_are_written_and_read_by_path(void)
{
    fol_io *io = open_driver();
    uint32_t before = open_descriptors();
    for (size_t i = 0; i < SIZES; i++) {
        char path[96];
        fol_io_op op;
        file_path(path, i);
        uint8_t *bytes = make_bytes(sizes[i]);
        CHECK_EQ(do_one(io, &op, by_path(FOL_IO_WRITE, path, bytes, sizes[i])), sizes[i]);
        free(bytes);
        for (size_t asked = sizes[i]; asked <= sizes[i] + 10; asked += 10) {
            if (asked == 0) {
                continue;
            }
            CHECK_EQ(do_one(io, &op, by_path(FOL_IO_READ, path, NULL, asked)), sizes[i]);
            CHECK_EQ(op.size, sizes[i]);
            CHECK_EQ(wrong_bytes(op.data, op.size, 0), 0);
            fol_io_release(io, &op);
        }
        fol_io_request request = by_path(FOL_IO_READ, path, NULL, 0);
        request.flags |= FOL_IO_TO_END;
        CHECK_EQ(do_one(io, &op, request), sizes[i]);
        CHECK_EQ(wrong_bytes(op.data, op.size, 0), 0);
        fol_io_release(io, &op);
    }
    uint32_t engines = choice == FOL_IO_CHOICE_RING ? 8 : 4;
    CHECK(open_descriptors() <= before + engines);
    close_driver(io, 0);
    CHECK_EQ(open_descriptors(), before);
}

static void test_files_are_read_by_descriptor_and_into_vectors(void)
{
    fol_io *io = open_driver();
    for (size_t i = 0; i < SIZES; i++) {
        char path[96];
        fol_io_op op;
        file_path(path, i);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        fol_io_request request = {.kind = FOL_IO_READ, .fd = fd, .size = sizes[i] + 1, .offset = 1};
        size_t expected = sizes[i] > 0 ? sizes[i] - 1 : 0;
        CHECK_EQ(do_one(io, &op, request), expected);
        CHECK_EQ(wrong_bytes(op.data, op.size, 1), 0);
        fol_io_release(io, &op);
        uint8_t *memory = malloc(sizes[i] + 8);
        struct iovec vectors[3] = {{memory, sizes[i] / 3},
                                   {memory, 0},
                                   {memory + sizes[i] / 3, sizes[i] + 8 - sizes[i] / 3}};
        request = (fol_io_request){
            .kind = FOL_IO_READ, .flags = FOL_IO_VECTORS, .fd = fd, .buffer = vectors, .size = 3};
        CHECK_EQ(do_one(io, &op, request), sizes[i]);
        CHECK_EQ(wrong_bytes(memory, sizes[i], 0), 0);
        fol_io_release(io, &op);
        free(memory);
        CHECK_EQ(do_one(io, &op, (fol_io_request){.kind = FOL_IO_CLOSE, .fd = fd}), 0);
        CHECK(fcntl(fd, F_GETFD) < 0);
    }
    close_driver(io, 0);
}

static void test_failures_are_the_kernels_own(void)
{
    fol_io *io = open_driver();
    fol_io_op op;
    CHECK_EQ(do_one(io, &op, by_path(FOL_IO_READ, "/nowhere/at/all", NULL, 10)), -ENOENT);
    CHECK_EQ(do_one(io, &op, by_path(FOL_IO_READ, directory, NULL, 10)), -EISDIR);
    fol_io_request request = {.kind = FOL_IO_READ, .fd = 4000, .size = 10};
    CHECK_EQ(do_one(io, &op, request), -EBADF);
    CHECK(op.data == NULL);
    CHECK_EQ(do_one(io, &op, by_path(FOL_IO_STAT, directory, NULL, 0)), 0);
    CHECK(S_ISDIR(((struct statx *)op.data)->stx_mode));
    fol_io_release(io, &op);
    close_driver(io, 0);
}

static void test_a_write_by_path_waits_for_the_end_of_a_lease(void)
{
    char path[96];
    fol_io_op op = {.request = {0}};
    fol_io_op *ops[] = {&op};
    fol_io *io = open_driver();
    snprintf(path, sizeof path, "%s/leased", directory);
    int holder = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(signal(SIGIO, SIG_IGN) != SIG_ERR);
    CHECK_EQ(fcntl(holder, F_SETLEASE, F_WRLCK), 0);
    op.request = by_path(FOL_IO_WRITE, path, "bytes", 5);
    fol_io_submit(io, ops, 1);
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(fol_io_wait(io, 1, 5000000), -ETIME);
        CHECK(fol_io_take(io) == NULL);
    }
    CHECK_EQ(fcntl(holder, F_SETLEASE, F_UNLCK), 0);
    run(io, 1);
    CHECK_EQ(op.value, 5);
    CHECK_EQ(lseek(holder, 0, SEEK_END), 5);
    close(holder);
    unlink(path);
    close_driver(io, 0);
}

enum { MANY_FILES = 3000 };

static void test_thousands_of_files_need_few_descriptors(void)
{
    static fol_io_op ops[MANY_FILES];
    static fol_io_op *pointers[MANY_FILES];
    fol_io *io = open_driver();
    char path[96];
    file_path(path, 3);
    for (int i = 0; i < MANY_FILES; i++) {
        ops[i].request = by_path(FOL_IO_READ, path, NULL, 4096);
        pointers[i] = &ops[i];
    }
    fol_io_submit(io, pointers, MANY_FILES);
    run(io, MANY_FILES);
    size_t wrong = 0;
    for (int i = 0; i < MANY_FILES; i++) {
        wrong += ops[i].value != 4096;
        wrong += ops[i].value == 4096 ? wrong_bytes(ops[i].data, 4096, 0) : 0;
        fol_io_release(io, &ops[i]);
    }
    CHECK_EQ(wrong, 0);
    close_driver(io, 0);
}

static void test_timers_come_in_order_and_not_early(void)
{
    fol_io *io = open_driver();
    fol_io_op ops[3];
    fol_io_op *pointers[3];
    uint64_t start = fol_clock_monotonic.now_ns(NULL);
    for (uint32_t i = 0; i < 3; i++) {
        ops[i].request =
            (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = (3 - i) * UINT64_C(1000000)};
        pointers[i] = &ops[i];
    }
    fol_io_submit(io, pointers, 3);
    fol_io_op *expected = &ops[2];
    for (uint32_t finished = 0; finished < 3;) {
        (void)fol_io_wait(io, 1, UINT64_MAX);
        for (fol_io_op *op = fol_io_take(io); op != NULL; op = op->next) {
            CHECK(op == expected--);
            CHECK(fol_clock_monotonic.now_ns(NULL) - start >= op->request.timeout_ns);
            finished += 1;
        }
    }
    close_driver(io, 0);
}

enum { TIMERS = 100000 };

static void test_a_hundred_thousand_timers_fire_each_once(void)
{
    fol_io *io = open_driver();
    fol_io_op *ops = aligned_alloc(alignof(fol_io_op), TIMERS * sizeof *ops);
    fol_io_op **pointers = malloc(TIMERS * sizeof *pointers);
    for (uint32_t i = 0; i < TIMERS; i++) {
        ops[i].request =
            (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = (i * UINT64_C(7919)) % 50000000};
        pointers[i] = &ops[i];
    }
    fol_io_submit(io, pointers, TIMERS);
    run(io, TIMERS);
    size_t wrong = 0;
    for (uint32_t i = 0; i < TIMERS; i++) {
        wrong += ops[i].value != 0;
    }
    CHECK_EQ(wrong, 0);
    free(pointers);
    free(ops);
    close_driver(io, 0);
}

static void test_a_million_operations_ask_for_no_memory(void)
{
    enum { BATCH = 128, WARM = 10000, ALL = 1000000 };
    static fol_io_op ops[BATCH];
    fol_io_op *pointers[BATCH];
    fol_memory_stats warm = {0};
    fol_memory_stats end;
    fol_io *io = open_driver();
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    for (uint32_t done = 0; done < ALL; done += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            ops[i].request = (fol_io_request){.kind = FOL_IO_NOP};
            if (i % 16 == 0) {
                ops[i].request = (fol_io_request){.kind = FOL_IO_READ, .fd = fd, .size = 4096};
            }
            pointers[i] = &ops[i];
        }
        fol_io_submit(io, pointers, BATCH);
        run(io, BATCH);
        for (uint32_t i = 0; i < BATCH; i++) {
            fol_io_release(io, &ops[i]);
        }
        if (done <= WARM) {
            fol_memory_read_stats(&warm);
        }
    }
    fol_memory_read_stats(&end);
    CHECK_EQ(end.allocations, warm.allocations);
    CHECK_EQ(io->slab.live, 0);
    close(fd);
    close_driver(io, 0);
}

static void test_a_child_of_fork_and_its_parent_each_drop_what_did_not_end(void)
{
    fol_io *io = open_driver();
    fol_io_op ops[3];
    fol_io_op *pointers[] = {&ops[0], &ops[1], &ops[2]};
    ops[0].request = (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = UINT64_MAX};
    ops[1].request = (fol_io_request){.kind = FOL_IO_NOP};
    ops[2].request = (fol_io_request){.kind = FOL_IO_TIMEOUT, .timeout_ns = UINT64_MAX};
    fol_io_submit(io, pointers, 3);
    pid_t child = fork();
    if (child == 0) {
        uint32_t dropped = 0;
        bool is_free = fol_io_destroy(io, count_dropped, &dropped);
        _exit(is_free && dropped == 3 ? 0 : 1);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    run(io, 1);
    CHECK(ops[1].is_finished);
    close_driver(io, 2);
}

static void test_a_ring_that_lacks_too_much_is_the_pool_with_a_reason(void)
{
    /* What was found before is remembered otherwise. */
    const fol_io_makers makers = {fol_io_probe, fol_io_ring_create, fol_io_pool_create};
    const fol_io_config config = {.choice = FOL_IO_CHOICE_RING, .clock = fol_clock_monotonic};
    fol_io *io = NULL;
    fol_io_op op;
    CHECK_EQ(fol_io_create_from(&config, &makers, &io), FOL_OK);
    CHECK_STR(fol_io_engine_name(io), "pool");
    CHECK(strstr(fol_io_reason(io), "Run Linux 5.11 or newer") != NULL);
    CHECK_EQ(do_one(io, &op, (fol_io_request){.kind = FOL_IO_NOP}), 0);
    close_driver(io, 0);
}

static void run_all(void)
{
    RUN(test_files_are_written_and_read_by_path);
    RUN(test_files_are_read_by_descriptor_and_into_vectors);
    RUN(test_failures_are_the_kernels_own);
    RUN(test_a_write_by_path_waits_for_the_end_of_a_lease);
    RUN(test_thousands_of_files_need_few_descriptors);
    RUN(test_timers_come_in_order_and_not_early);
    RUN(test_a_child_of_fork_and_its_parent_each_drop_what_did_not_end);
}

static void run_many(void)
{
    RUN(test_a_hundred_thousand_timers_fire_each_once);
    RUN(test_a_million_operations_ask_for_no_memory);
}

int main(void)
{
    snprintf(directory, sizeof directory, "/tmp/foliot-driver-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        perror("mkdtemp");
        return 1;
    }
    RUN(test_this_machine_has_rings);
    choice = FOL_IO_CHOICE_RING;
    ladder_climb(run_all);
    run_many();
    fol_ring_call_lack(&ladder_too_old);
    RUN(test_a_ring_that_lacks_too_much_is_the_pool_with_a_reason);
    fol_ring_call_lack(NULL);
    choice = FOL_IO_CHOICE_POOL;
    run_all();
    run_many();
    for (size_t i = 0; i < SIZES; i++) {
        char path[96];
        file_path(path, i);
        unlink(path);
    }
    rmdir(directory);
    CHECK_MAIN_END();
}
