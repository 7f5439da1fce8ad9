/* foliot's driver from C, without frames: the workloads of io_raw.c, and an echo server.
 *
 * PROGRAM WORKLOAD [SAMPLES] [MINIMUM_MS] | PROGRAM echo
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exec_sampler.h"
#include "io/driver.h"
#include "io_files.h"

#define BATCH       128
#define DEPTH       32
#define READS       2048
#define NOP_BATCHES 64
#define CONNECTIONS 1024

static bench_files files;
static fol_io *io;
static fol_io_op ops[BENCH_FILES];
static fol_io_op *pointers[BENCH_FILES];
static uint8_t buffers[DEPTH][BENCH_BLOCK] __attribute__((aligned(4096)));
static int big = -1;
static uint64_t block_state;
static uint64_t wrong;

static int open_driver(void)
{
    const fol_io_config config = {
        .choice = FOL_IO_CHOICE_RING,
        .wants_ring = true,
        .clock = fol_clock_monotonic,
    };
    const int status = fol_io_create(&config, &io);
    if (status == 0 && strcmp(fol_io_engine_name(io), "uring") != 0) {
        fprintf(stderr, "there is no ring here: %s\n", fol_io_reason(io));
        return 1;
    }
    for (size_t i = 0; i < BENCH_FILES; i++) {
        pointers[i] = &ops[i];
    }
    return status;
}

/* Waits, and gives what came to `finish`, until that has been said to be all. */
static void drive(bool (*finish)(fol_io_op *op), uint32_t least)
{
    bool is_over = false;
    while (!is_over) {
        if (fol_io_wait(io, least, UINT64_MAX) != 0) {
            wrong++;
        }
        fol_io_op *next = NULL;
        for (fol_io_op *op = fol_io_take(io); op != NULL; op = next) {
            next = op->next;
            is_over = finish(op) || is_over;
        }
    }
}

static unsigned left_to_finish;

static bool finish_nop(fol_io_op *op)
{
    wrong += op->value != 0;
    left_to_finish--;
    return left_to_finish == 0;
}

static uint64_t nop_once(void *state)
{
    (void)state;
    for (int batch = 0; batch < NOP_BATCHES; batch++) {
        left_to_finish = BATCH;
        for (int i = 0; i < BATCH; i++) {
            ops[i].request = (fol_io_request){.kind = FOL_IO_NOP};
        }
        fol_io_submit(io, pointers, BATCH);
        drive(finish_nop, BATCH);
    }
    return 0;
}

static int nop(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    const int status = open_driver();
    if (status == 0) {
        bench_time(sampler, NOP_BATCHES * BATCH, nop_once, NULL, outcome);
        *checksum = wrong;
    }
    return status;
}

static unsigned left_to_start;

static void start_read(size_t index)
{
    ops[index].request = (fol_io_request){
        .kind = FOL_IO_READ,
        .fd = big,
        .buffer = buffers[index],
        .size = BENCH_BLOCK,
        .offset = bench_next_block(&block_state) * BENCH_BLOCK,
    };
    fol_io_submit(io, &pointers[index], 1);
    left_to_start--;
}

static bool finish_read(fol_io_op *op)
{
    const uint64_t block = op->request.offset / BENCH_BLOCK;
    wrong += op->value != (int64_t)BENCH_BLOCK || bench_number_of(op->request.buffer) != block;
    left_to_finish--;
    if (left_to_start > 0) {
        start_read((size_t)(op - ops));
    }
    return left_to_finish == 0;
}

static uint64_t read_once(void *state)
{
    (void)state;
    left_to_start = READS;
    left_to_finish = READS;
    for (size_t i = 0; i < DEPTH; i++) {
        start_read(i);
    }
    drive(finish_read, 1);
    return 0;
}

static int read_blocks(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    int status = bench_files_open(&files);
    big = status != 0 ? -1 : open(files.big, O_RDONLY | O_CLOEXEC);
    status = big < 0 ? 1 : open_driver();
    if (status == 0) {
        bench_time(sampler, READS, read_once, NULL, outcome);
        *checksum = wrong;
    }
    return status;
}

static bool finish_file(fol_io_op *op)
{
    wrong += op->value != (int64_t)BENCH_BLOCK;
    left_to_finish--;
    return left_to_finish == 0;
}

static uint64_t files_once(void *state)
{
    (void)state;
    left_to_finish = BENCH_FILES;
    for (size_t i = 0; i < BENCH_FILES; i++) {
        ops[i].request = (fol_io_request){
            .kind = FOL_IO_READ,
            .flags = FOL_IO_PATH,
            .fd = AT_FDCWD,
            .path = files.paths[i],
            .buffer = files.content + i * BENCH_BLOCK,
            .size = BENCH_BLOCK,
        };
    }
    fol_io_submit(io, pointers, BENCH_FILES);
    drive(finish_file, BENCH_FILES);
    return 0;
}

static int read_files(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    int status = bench_files_open(&files);
    status = status != 0 ? status : open_driver();
    if (status == 0) {
        bench_time(sampler, BENCH_FILES, files_once, NULL, outcome);
        *checksum = bench_files_check(&files) - wrong;
    }
    return status;
}

/* The echo server: one accept, and one receive for each connection, for good. What came is sent
 * from where it is, piece by piece, and given back when that has ended. */

typedef struct connection {
    fol_io_op receive;
    fol_io_op send;
    bool is_sending; /* the first piece of receive */
} connection;

static fol_io_op accept_op;
static connection connections[CONNECTIONS]; /* by descriptor */

static void start(fol_io_op *op, fol_io_request request)
{
    op->request = request;
    fol_io_submit(io, &op, 1);
}

static void receive(int fd)
{
    if (fd >= CONNECTIONS) {
        close(fd);
        return;
    }
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    start(&connections[fd].receive,
          (fol_io_request){.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = fd});
}

static void accept_new(void)
{
    for (const fol_io_piece *piece = accept_op.pieces; piece != NULL; piece = piece->next) {
        if (piece->value >= 0) {
            receive((int)piece->value);
        }
    }
    fol_io_release(io, &accept_op);
}

/* Sends what came next, if nothing is on its way, or closes when that was all. */
static void go_on(connection *c)
{
    const int fd = c->receive.request.fd;
    const fol_io_piece *piece = c->receive.pieces;
    if (c->is_sending) {
        return;
    }
    if (piece != NULL) {
        c->is_sending = true;
        start(&c->send, (fol_io_request){.kind = FOL_IO_SEND,
                                         .fd = fd,
                                         .buffer = piece->data,
                                         .size = (size_t)piece->value});
    } else if (c->receive.is_finished) {
        fol_io_release(io, &c->receive);
        close(fd);
    }
}

static void handle(fol_io_op *op)
{
    if (op == &accept_op) {
        accept_new();
        return;
    }
    connection *c = &connections[op->request.fd];
    if (op == &c->send) {
        c->is_sending = false;
        fol_io_release_piece(io, &c->receive, c->receive.pieces);
    }
    go_on(c);
}

static _Noreturn void serve_echo(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    socklen_t size = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (open_driver() != 0 || fd < 0 || bind(fd, (const struct sockaddr *)&address, size) != 0 ||
        listen(fd, 128) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        fprintf(stderr, "cannot serve\n");
        exit(1);
    }
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    start(&accept_op, (fol_io_request){.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY, .fd = fd});
    for (;;) {
        fol_io_wait(io, 1, UINT64_MAX);
        fol_io_op *next = NULL;
        for (fol_io_op *op = fol_io_take(io); op != NULL; op = next) {
            next = op->next;
            handle(op);
        }
    }
}

int main(int argc, char **argv)
{
    static const bench_workload workloads[] = {
        {"nop", nop},
        {"read", read_blocks},
        {"files", read_files},
    };
    if (argc == 2 && strcmp(argv[1], "echo") == 0) {
        serve_echo();
    }
    return bench_main(argc, argv, workloads, sizeof(workloads) / sizeof(workloads[0]));
}
