/* The load of the echo servers: CONNECTIONS of them, each with one message of MESSAGE bytes on its
 * way at a time, from one thread. Every reply is compared with what was sent. Prints the JSON of
 * benchmarks/protocol.py with seconds per message.
 *
 * PROGRAM PORT [SAMPLES] [MINIMUM_MS]
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exec_sampler.h"

#define CONNECTIONS 64
#define MESSAGE     64
#define ROUND       4096 /* messages between two looks at the clock */

typedef struct connection {
    int fd;
    size_t received; /* of the reply that is on its way */
    uint64_t count;  /* messages sent */
    uint8_t sent[MESSAGE];
    uint8_t reply[MESSAGE];
} connection;

static connection connections[CONNECTIONS];
static int poller = -1;

static int send_next(connection *c)
{
    c->count++;
    memset(c->sent, (int)(c->count & 0xff), sizeof(c->sent));
    memcpy(c->sent, &c->fd, sizeof(c->fd));
    memcpy(c->sent + 8, &c->count, sizeof(c->count));
    c->received = 0;
    return send(c->fd, c->sent, sizeof(c->sent), MSG_NOSIGNAL) == (ssize_t)sizeof(c->sent) ? 0 : 1;
}

static int connect_one(connection *c, uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    const int one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0) {
        return 1;
    }
    return epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
}

/* Takes what came: 1 when the reply is whole, 0 when not, -1 when the connection is lost or the
 * reply is not what was sent. */
static int take(connection *c)
{
    const ssize_t size = recv(c->fd, c->reply + c->received, MESSAGE - c->received, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) {
        return 0;
    }
    if (size <= 0) {
        return -1;
    }
    c->received += (size_t)size;
    if (c->received < MESSAGE) {
        return 0;
    }
    return memcmp(c->sent, c->reply, MESSAGE) == 0 ? 1 : -1;
}

/* At least `wanted` replies, each followed by the next message; how many, or -1. */
static int64_t exchange(int64_t wanted)
{
    struct epoll_event events[CONNECTIONS];
    int64_t done = 0;
    while (done < wanted) {
        const int ready = epoll_wait(poller, events, CONNECTIONS, 10000);
        if (ready <= 0) {
            fprintf(stderr, "the server was silent for 10 s\n");
            return -1;
        }
        for (int i = 0; i < ready; i++) {
            connection *c = events[i].data.ptr;
            const int status = take(c);
            if (status < 0 || (status > 0 && send_next(c) != 0)) {
                fprintf(stderr, "a reply was lost or is not what was sent\n");
                return -1;
            }
            done += status;
        }
    }
    return done;
}

/* Seconds per message over at least `minimum_ns`; negative on failure. */
static double sample(uint64_t minimum_ns)
{
    const uint64_t start_ns = bench_now_ns();
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
    return (double)passed_ns * 1e-9 / (double)messages;
}

int main(int argc, char **argv)
{
    static bench_outcome outcome;
    const long port = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    const long samples = argc > 2 ? strtol(argv[2], NULL, 10) : 5;
    const double minimum_ms = argc > 3 ? strtod(argv[3], NULL) : 100.0;
    if (port <= 0 || port > 65535 || samples < 1 || samples > BENCH_MAX_SAMPLES) {
        fprintf(stderr, "usage: %s PORT [SAMPLES] [MINIMUM_MS]\n", argv[0]);
        return 2;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < CONNECTIONS; i++) {
        if (connect_one(&connections[i], (uint16_t)port) != 0) {
            fprintf(stderr, "cannot connect to port %ld: %s\n", port, strerror(errno));
            return 1;
        }
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        if (send_next(&connections[i]) != 0) {
            fprintf(stderr, "cannot send: %s\n", strerror(errno));
            return 1;
        }
    }
    if (sample(BENCH_WARM_UP_NS) < 0.0) {
        return 1;
    }
    outcome.inner = 1;
    outcome.sample_count = (uint64_t)samples;
    for (long i = 0; i < samples; i++) {
        outcome.seconds[i] = sample((uint64_t)(minimum_ms * 1e6));
        if (outcome.seconds[i] < 0.0) {
            return 1;
        }
    }
    bench_print("echo", &outcome, 0);
    return 0;
}
