/* What the kernel gives without foliot: liburing by hand, and plain system calls. */

#include <liburing.h>
#include <unistd.h>

#include "exec_sampler.h"
#include "io_files.h"

#define BATCH       128
#define DEPTH       32
#define CHAINS      32
#define STEPS       3 /* of a chain: open, read, close */
#define READS       2048
#define RING_SIZE   256
#define NOP_BATCHES 64

static bench_files files;
static struct io_uring ring;
static uint8_t buffers[DEPTH][BENCH_BLOCK] __attribute__((aligned(4096)));
static int big = -1;
static uint64_t block_state;
static uint64_t wrong;

/* The fastest set-up there is for one thread. */
static int open_ring(void)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE,
        .cq_entries = 4 * RING_SIZE,
    };
    return io_uring_queue_init_params(RING_SIZE, &ring, &parameters);
}

/* Gives each completion that is there to `finish`; how many there were. */
static unsigned reap(void (*finish)(uint64_t data, int value))
{
    struct io_uring_cqe *cqe = NULL;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_for_each_cqe(&ring, head, cqe)
    {
        finish(cqe->user_data, cqe->res);
        count++;
    }
    io_uring_cq_advance(&ring, count);
    return count;
}

static void finish_nop(uint64_t data, int value)
{
    (void)data;
    wrong += value != 0;
}

static uint64_t nop_once(void *state)
{
    (void)state;
    for (int batch = 0; batch < NOP_BATCHES; batch++) {
        for (int i = 0; i < BATCH; i++) {
            io_uring_prep_nop(io_uring_get_sqe(&ring));
        }
        io_uring_submit_and_wait(&ring, BATCH);
        for (unsigned reaped = reap(finish_nop); reaped < BATCH; reaped += reap(finish_nop)) {
            io_uring_submit_and_wait(&ring, BATCH - reaped);
        }
    }
    return 0;
}

static int nop_ring(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    const int status = open_ring();
    if (status == 0) {
        bench_time(sampler, NOP_BATCHES * BATCH, nop_once, NULL, outcome);
        *checksum = wrong;
    }
    return status;
}

static int open_big(void)
{
    const int status = bench_files_open(&files);
    big = status != 0 ? -1 : open(files.big, O_RDONLY | O_CLOEXEC);
    return big < 0;
}

/* The block that each buffer's read asked for. */
static uint64_t asked[DEPTH];
static unsigned left_to_start;
static bool is_fixed;

static void start_read(uint64_t index)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    asked[index] = bench_next_block(&block_state);
    if (is_fixed) {
        io_uring_prep_read_fixed(sqe, big, buffers[index], BENCH_BLOCK, asked[index] * BENCH_BLOCK,
                                 (int)index);
    } else {
        io_uring_prep_read(sqe, big, buffers[index], BENCH_BLOCK, asked[index] * BENCH_BLOCK);
    }
    sqe->user_data = index;
    left_to_start--;
}

static void finish_read(uint64_t index, int value)
{
    wrong += value != (int)BENCH_BLOCK || bench_number_of(buffers[index]) != asked[index];
    if (left_to_start > 0) {
        start_read(index);
    }
}

static uint64_t read_ring_once(void *state)
{
    (void)state;
    left_to_start = READS;
    for (uint64_t i = 0; i < DEPTH; i++) {
        start_read(i);
    }
    for (unsigned done = 0; done < READS;) {
        io_uring_submit_and_wait(&ring, 1);
        done += reap(finish_read);
    }
    return 0;
}

static int read_ring_with(bool fixed, const bench_sampler *sampler, bench_outcome *outcome,
                          uint64_t *checksum)
{
    struct iovec vectors[DEPTH];
    int status = open_big();
    status = status != 0 ? status : open_ring();
    for (int i = 0; i < DEPTH; i++) {
        vectors[i] = (struct iovec){buffers[i], BENCH_BLOCK};
    }
    if (status == 0 && fixed) {
        status = io_uring_register_buffers(&ring, vectors, DEPTH);
    }
    if (status == 0) {
        is_fixed = fixed;
        bench_time(sampler, READS, read_ring_once, NULL, outcome);
        *checksum = wrong;
    }
    return status;
}

static int read_ring(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return read_ring_with(false, sampler, outcome, checksum);
}

static int read_ring_fixed(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return read_ring_with(true, sampler, outcome, checksum);
}

static uint64_t read_pread_once(void *state)
{
    (void)state;
    for (int i = 0; i < READS; i++) {
        const uint64_t block = bench_next_block(&block_state);
        uint8_t *buffer = buffers[i % DEPTH];
        const ssize_t size = pread(big, buffer, BENCH_BLOCK, (off_t)(block * BENCH_BLOCK));
        wrong += size != (ssize_t)BENCH_BLOCK || bench_number_of(buffer) != block;
    }
    return 0;
}

static int read_pread(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    if (open_big() != 0) {
        return 1;
    }
    bench_time(sampler, READS, read_pread_once, NULL, outcome);
    *checksum = wrong;
    return 0;
}

static uint64_t files_syscalls_once(void *state)
{
    (void)state;
    for (size_t i = 0; i < BENCH_FILES; i++) {
        const int fd = open(files.paths[i], O_RDONLY | O_CLOEXEC);
        wrong += read(fd, files.content + i * BENCH_BLOCK, BENCH_BLOCK) != (ssize_t)BENCH_BLOCK;
        close(fd);
    }
    return 0;
}

static int files_syscalls(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    if (bench_files_open(&files) != 0) {
        return 1;
    }
    bench_time(sampler, BENCH_FILES, files_syscalls_once, NULL, outcome);
    *checksum = bench_files_check(&files) - wrong;
    return 0;
}

static size_t next_file;
static unsigned steps_left[CHAINS];
static unsigned files_done;

/* Opens into the ring's own table at the chain's place, reads and closes, linked. */
static void start_chain(unsigned chain)
{
    struct io_uring_sqe *open_sqe = io_uring_get_sqe(&ring);
    struct io_uring_sqe *read_sqe = io_uring_get_sqe(&ring);
    struct io_uring_sqe *close_sqe = io_uring_get_sqe(&ring);
    io_uring_prep_openat_direct(open_sqe, AT_FDCWD, files.paths[next_file], O_RDONLY, 0, chain);
    open_sqe->flags |= IOSQE_IO_LINK;
    io_uring_prep_read(read_sqe, (int)chain, files.content + next_file * BENCH_BLOCK, BENCH_BLOCK,
                       0);
    read_sqe->flags |= IOSQE_FIXED_FILE | IOSQE_IO_LINK;
    io_uring_prep_close_direct(close_sqe, chain);
    open_sqe->user_data = chain;
    read_sqe->user_data = chain;
    close_sqe->user_data = chain;
    steps_left[chain] = STEPS;
    next_file++;
}

static void finish_step(uint64_t chain, int value)
{
    wrong += value < 0;
    steps_left[chain]--;
    if (steps_left[chain] == 0) {
        files_done++;
        if (next_file < BENCH_FILES) {
            start_chain((unsigned)chain);
        }
    }
}

static uint64_t files_ring_once(void *state)
{
    (void)state;
    next_file = 0;
    files_done = 0;
    for (unsigned chain = 0; chain < CHAINS; chain++) {
        start_chain(chain);
    }
    while (files_done < BENCH_FILES) {
        io_uring_submit_and_wait(&ring, 1);
        reap(finish_step);
    }
    return 0;
}

static int files_ring(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    int none[CHAINS];
    memset(none, -1, sizeof(none));
    int status = bench_files_open(&files);
    status = status != 0 ? status : open_ring();
    status = status != 0 ? status : io_uring_register_files(&ring, none, CHAINS);
    if (status == 0) {
        bench_time(sampler, BENCH_FILES, files_ring_once, NULL, outcome);
        *checksum = bench_files_check(&files) - wrong;
    }
    return status;
}

int main(int argc, char **argv)
{
    static const bench_workload workloads[] = {
        {"nop_ring", nop_ring},
        {"read_ring", read_ring},
        {"read_ring_fixed", read_ring_fixed},
        {"read_pread", read_pread},
        {"files_syscalls", files_syscalls},
        {"files_ring", files_ring},
    };
    return bench_main(argc, argv, workloads, sizeof(workloads) / sizeof(workloads[0]));
}
