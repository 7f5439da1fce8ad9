/* Echo servers: a plain epoll loop, and liburing with multishot accept and receive by hand. Each
 * prints its port, serves until it is killed, and sends back what comes.
 *
 * The loop is told of each arrival once (EPOLLET), which spares it a second look at every socket:
 * what it receives at once is all there is, unless that fills the buffer (epoll(7)).
 *
 * PROGRAM epoll | PROGRAM ring
 */

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS       64
#define BUFFER_SIZE  4096
#define BUFFER_COUNT 256
#define BUFFER_GROUP 0
#define MAX_FDS      4096

/* What a completion of the ring is of. */
enum { OF_ACCEPT = 1, OF_RECV = 2, OF_SEND = 3 };

static uint8_t buffers[BUFFER_COUNT][BUFFER_SIZE];

static int listen_on_any_port(int flags)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    socklen_t size = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        perror("listen");
        exit(1);
    }
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void set_no_delay(int fd)
{
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void accept_all(int poller, int listener)
{
    for (int i = 0; i < EVENTS; i++) {
        const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};
        set_no_delay(fd);
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static void echo_all(int fd)
{
    ssize_t size = BUFFER_SIZE;
    while (size == BUFFER_SIZE) {
        size = recv(fd, buffers[0], BUFFER_SIZE, 0);
        if (size < 0 && errno == EAGAIN) {
            return;
        }
        /* Messages are far smaller than a socket's buffer: what is cut short is an error here. */
        if (size <= 0 || send(fd, buffers[0], (size_t)size, MSG_NOSIGNAL) != size) {
            close(fd);
            return;
        }
    }
}

static _Noreturn void serve_epoll(void)
{
    const int listener = listen_on_any_port(SOCK_NONBLOCK);
    const int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = listener}};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        const int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) {
                accept_all(poller, listener);
            } else {
                echo_all(events[i].data.fd);
            }
        }
    }
}

static struct io_uring ring;
static struct io_uring_buf_ring *provided;

static uint64_t pack(unsigned kind, int fd, unsigned buffer)
{
    return (uint64_t)kind << 56 | (uint64_t)buffer << 32 | (uint32_t)fd;
}

static struct io_uring_sqe *next_sqe(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void arm_recv(int fd)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_recv(sqe, fd, NULL, 0, 0);
    sqe->ioprio |= IORING_RECV_MULTISHOT;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    sqe->user_data = pack(OF_RECV, fd, 0);
}

static void give_buffer(unsigned index)
{
    io_uring_buf_ring_add(provided, buffers[index], BUFFER_SIZE, (unsigned short)index,
                          io_uring_buf_ring_mask(BUFFER_COUNT), 0);
    io_uring_buf_ring_advance(provided, 1);
}

static void handle_recv(const struct io_uring_cqe *cqe)
{
    const int fd = (int)(uint32_t)cqe->user_data;
    if (cqe->res > 0) {
        const unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        struct io_uring_sqe *sqe = next_sqe();
        io_uring_prep_send(sqe, fd, buffers[buffer], (size_t)cqe->res, MSG_NOSIGNAL);
        sqe->user_data = pack(OF_SEND, fd, buffer);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        if (cqe->res > 0 || cqe->res == -ENOBUFS) {
            arm_recv(fd);
        } else {
            close(fd);
        }
    }
}

static void handle(const struct io_uring_cqe *cqe)
{
    switch (cqe->user_data >> 56) {
    case OF_ACCEPT:
        if (cqe->res >= 0) {
            set_no_delay(cqe->res);
            arm_recv(cqe->res);
        }
        break;
    case OF_RECV:
        handle_recv(cqe);
        break;
    default:
        give_buffer((unsigned)(cqe->user_data >> 32 & 0xffffff));
        break;
    }
}

static int open_ring(void)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE,
        .cq_entries = 1024,
    };
    const int status = io_uring_queue_init_params(256, &ring, &parameters);
    if (status != 0) {
        return status;
    }
    const size_t size = BUFFER_COUNT * sizeof(struct io_uring_buf);
    void *memory = NULL;
    if (posix_memalign(&memory, 4096, size) != 0) {
        return -ENOMEM;
    }
    provided = memory;
    io_uring_buf_ring_init(provided);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)provided,
        .ring_entries = BUFFER_COUNT,
        .bgid = BUFFER_GROUP,
    };
    return io_uring_register_buf_ring(&ring, &registration, 0);
}

static _Noreturn void serve_ring(void)
{
    const int status = open_ring();
    if (status != 0) {
        fprintf(stderr, "no ring: %s\n", strerror(-status));
        exit(1);
    }
    for (unsigned i = 0; i < BUFFER_COUNT; i++) {
        give_buffer(i);
    }
    const int listener = listen_on_any_port(0);
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    sqe->user_data = pack(OF_ACCEPT, listener, 0);
    for (;;) {
        struct io_uring_cqe *cqe = NULL;
        unsigned head = 0;
        unsigned count = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            handle(cqe);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "epoll") == 0) {
        serve_epoll();
    }
    if (argc == 2 && strcmp(argv[1], "ring") == 0) {
        serve_ring();
    }
    fprintf(stderr, "usage: %s epoll | %s ring\n", argv[0], argv[0]);
    return 2;
}
