/* The load of the echo servers: CONNECTIONS of them, each with one message of MESSAGE bytes on its
 * way at a time, from one thread. Every reply is compared with what was sent. Prints the JSON of
 * benchmarks/protocol.py with seconds per message.
 *
 * The load must cost less than any server, or it would be what is measured. So it uses a ring with
 * multishot receives, numbers of descriptors that the kernel knows, and one system call for all
 * messages that can go. It never sleeps: it looks whether something came, so that no server pays
 * for waking it, and a processor of its own has nothing else to do.
 *
 * PROGRAM PORT [SAMPLES] [MINIMUM_MS] [PID]
 *
 * With the number of the server's process the seconds are what that had of the processor.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"
#include "exec_sampler.h"

#define CONNECTIONS 64
#define MESSAGE     64
#define BUFFERS     128  /* a power of two */
#define ROUND       4096 /* messages between two looks at the clock */
#define SILENCE_NS  UINT64_C(10000000000)
#define PAUSES      64   /* between two looks for completions */
#define LOOKS       1024 /* of those between two at the clock */

/* What a completion is of, with the number of the connection. */
enum { OF_RECV = 0, OF_SEND = 1 << 16 };

typedef struct connection {
    int fd;
    size_t received; /* of the reply that is on its way */
    uint64_t count;  /* messages sent */
    uint8_t sent[MESSAGE];
} connection;

static connection connections[CONNECTIONS];
static struct io_uring ring;
static struct io_uring_buf_ring *provided;
static uint8_t buffers[BUFFERS][MESSAGE];

static int connect_one(connection *c, uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    const int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0) {
        return -errno;
    }
    return 0;
}

/* A ring with a queue of buffers, that knows the connections by their numbers. */
static int open_ring(void)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = 16 * CONNECTIONS,
    };
    int fds[CONNECTIONS];
    void *memory = NULL;
    int status = io_uring_queue_init_params(4 * CONNECTIONS, &ring, &parameters);
    if (status != 0) {
        return status;
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = connections[i].fd;
    }
    status = io_uring_register_files(&ring, fds, CONNECTIONS);
    if (status != 0) {
        return status;
    }
    status = io_uring_register_ring_fd(&ring);
    if (status < 0) {
        return status;
    }
    if (posix_memalign(&memory, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0) {
        return -ENOMEM;
    }
    provided = memory;
    io_uring_buf_ring_init(provided);
    for (unsigned i = 0; i < BUFFERS; i++) {
        io_uring_buf_ring_add(provided, buffers[i], MESSAGE, (unsigned short)i,
                              io_uring_buf_ring_mask(BUFFERS), (int)i);
    }
    io_uring_buf_ring_advance(provided, BUFFERS);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)provided,
        .ring_entries = BUFFERS,
        .bgid = 0,
    };
    return io_uring_register_buf_ring(&ring, &registration, 0);
}

/* A connection has at most one message and one receive to ask for, so there is an entry. */
static void receive(unsigned index)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_recv(sqe, (int)index, NULL, 0, 0);
    sqe->ioprio |= IORING_RECV_MULTISHOT;
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->user_data = OF_RECV | index;
}

static void send_next(unsigned index)
{
    connection *c = &connections[index];
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    c->count++;
    memset(c->sent, (int)(c->count & 0xff), sizeof(c->sent));
    memcpy(c->sent, &c->fd, sizeof(c->fd));
    memcpy(c->sent + 8, &c->count, sizeof(c->count));
    c->received = 0;
    io_uring_prep_send(sqe, (int)index, c->sent, sizeof(c->sent), MSG_NOSIGNAL | MSG_WAITALL);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = OF_SEND | index;
}

/* Takes a piece of a reply: 1 when the reply is whole, 0 when not, -1 when it is not what was
 * sent. */
static int take(connection *c, const uint8_t *data, size_t size)
{
    if (size > MESSAGE - c->received || memcmp(c->sent + c->received, data, size) != 0) {
        return -1;
    }
    c->received += size;
    return c->received == MESSAGE ? 1 : 0;
}

/* One completion; as take. */
static int handle(const struct io_uring_cqe *cqe)
{
    const unsigned index = (unsigned)cqe->user_data & 0xffff;
    if ((cqe->user_data & OF_SEND) != 0) {
        return -1; /* those that succeed say nothing */
    }
    int status = cqe->res > 0 || cqe->res == -ENOBUFS ? 0 : -1;
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        const unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        status = take(&connections[index], buffers[buffer], (size_t)cqe->res);
        io_uring_buf_ring_add(provided, buffers[buffer], MESSAGE, (unsigned short)buffer,
                              io_uring_buf_ring_mask(BUFFERS), 0);
        io_uring_buf_ring_advance(provided, 1);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0 && status >= 0) {
        receive(index);
    }
    if (status > 0) {
        send_next(index);
    }
    return status;
}

/* A moment for messages to gather. */
static void rest(void)
{
    for (int i = 0; i < PAUSES; i++) {
        fol_pause();
    }
}

/* Looks until there is a completion, or the kernel says that it has one to give. */
static int look(void)
{
    const uint64_t end_ns = bench_now_ns() + SILENCE_NS;
    for (uint64_t turn = 1; io_uring_cq_ready(&ring) == 0; turn++) {
        const unsigned flags = IO_URING_READ_ONCE(*ring.sq.kflags);
        if ((flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
            return 0;
        }
        if (turn % LOOKS == 0 && bench_now_ns() > end_ns) {
            fprintf(stderr, "the server was silent for 10 s\n");
            return -1;
        }
        rest();
    }
    return 0;
}

/* At least `wanted` replies, each followed by the next message; how many, or -1. */
static int64_t exchange(int64_t wanted)
{
    int64_t done = 0;
    while (done < wanted) {
        struct io_uring_cqe *cqe = NULL;
        unsigned head = 0;
        unsigned count = 0;
        int status = io_uring_submit_and_get_events(&ring);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            const int taken = handle(cqe);
            status = taken < 0 ? taken : status;
            done += taken > 0;
            count++;
        }
        io_uring_cq_advance(&ring, count);
        if (status < 0) {
            fprintf(stderr, "a reply was lost or is not what was sent\n");
            return -1;
        }
        if (count == 0 && look() != 0) {
            return -1;
        }
    }
    return done;
}

static uint64_t read_clock_ns(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Seconds of the clock per message, over at least `minimum_ns`; negative on failure. */
static double sample(clockid_t clock, uint64_t minimum_ns)
{
    const uint64_t start_ns = bench_now_ns();
    const uint64_t clock_start_ns = read_clock_ns(clock);
    uint64_t passed_ns = 0;
    int64_t messages = 0;
    while (passed_ns < minimum_ns) {
        const int64_t done = exchange(ROUND);
        if (done < 0) {
            return -1.0;
        }
        messages += done;
        passed_ns = bench_now_ns() - start_ns;
    }
    return (double)(read_clock_ns(clock) - clock_start_ns) * 1e-9 / (double)messages;
}

/* Connects, opens the ring, and sends the first messages; not 0 when something was refused. */
static int begin(uint16_t port)
{
    int status = 0;
    for (int i = 0; i < CONNECTIONS && status == 0; i++) {
        status = connect_one(&connections[i], port);
    }
    if (status != 0) {
        fprintf(stderr, "cannot connect to port %d: %s\n", (int)port, strerror(-status));
        return status;
    }
    status = open_ring();
    if (status != 0) {
        fprintf(stderr, "the load has no ring: %s\n", strerror(-status));
        return status;
    }
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        receive(i);
        send_next(i);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static bench_outcome outcome;
    const long port = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    const long samples = argc > 2 ? strtol(argv[2], NULL, 10) : 5;
    const double minimum_ms = argc > 3 ? strtod(argv[3], NULL) : 100.0;
    const long pid = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
    if (port <= 0 || port > 65535 || samples < 1 || samples > BENCH_MAX_SAMPLES || pid < 0) {
        fprintf(stderr, "usage: %s PORT [SAMPLES] [MINIMUM_MS] [PID]\n", argv[0]);
        return 2;
    }
    clockid_t clock = CLOCK_MONOTONIC;
    if (pid > 0 && clock_getcpuclockid((pid_t)pid, &clock) != 0) {
        fprintf(stderr, "there is no process %ld\n", pid);
        return 2;
    }
    if (begin((uint16_t)port) != 0 || sample(clock, BENCH_WARM_UP_NS) < 0.0) {
        return 1;
    }
    outcome.inner = 1;
    outcome.sample_count = (uint64_t)samples;
    for (long i = 0; i < samples; i++) {
        outcome.seconds[i] = sample(clock, (uint64_t)(minimum_ms * 1e6));
        if (outcome.seconds[i] < 0.0) {
            return 1;
        }
    }
    bench_print("echo", &outcome, 0);
    return 0;
}
