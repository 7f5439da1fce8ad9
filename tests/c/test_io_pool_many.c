/* The pool engine on requests with many results: accepts and recvs that go on, their buffers, and
 * results that nobody reaps. */
#include "io_pool_fixture.h"

static void make_pair(int pair[2])
{
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

static void test_one_accept_gives_many_connections_until_it_is_cancelled(void)
{
    enum { CLIENTS = 100 };
    for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
        fixture f;
        struct sockaddr_in address;
        int clients[CLIENTS];
        if (!fixture_open(&f)) {
            return;
        }
        int listener = listen_on_loopback(&address, flags, CLIENTS);
        fol_io_request request = {.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY, .fd = listener};
        CHECK_EQ(start(&f, &request, 0), FOL_OK);
        flush(&f);
        for (uint32_t i = 0; i < CLIENTS; i++) {
            clients[i] = connect_to(&address);
            if (i % 2 == 1) {
                continue;
            }
            while (f.pieces[0] < i + 1) {
                CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
                uint32_t before = f.pieces[0];
                reap_all(&f);
                for (; before < f.pieces[0]; before++) {
                    CHECK(f.values[0] >= 0);
                }
            }
        }
        while (f.pieces[0] < CLIENTS) {
            CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
            reap_all(&f);
        }
        CHECK_EQ(f.finals[0], 0);
        CHECK_EQ(f.engine->in_flight, 1);
        cancel(&f, 0);
        reap_all(&f);
        CHECK_EQ(f.finals[0], 1);
        CHECK_EQ(f.values[0], -ECANCELED);
        for (uint32_t i = 0; i < CLIENTS; i++) {
            close(clients[i]);
        }
        close(listener);
        fixture_close(&f);
    }
}

static void *send_stream(void *argument)
{
    const int *fd = argument;
    static char page[4096];
    for (uint32_t i = 0; i < 1000; i++) {
        CHECK_EQ(send(*fd, page, sizeof(page), MSG_NOSIGNAL), (ssize_t)sizeof(page));
    }
    shutdown(*fd, SHUT_WR);
    return NULL;
}

static void test_one_recv_gives_the_whole_stream_in_pieces_and_then_zero(void)
{
    fixture f;
    int pair[2];
    pthread_t thread;
    if (!fixture_open(&f)) {
        return;
    }
    make_pair(pair);
    CHECK_EQ(pthread_create(&thread, NULL, send_stream, &pair[1]), 0);
    fol_io_request request = {.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = pair[0]};
    CHECK_EQ(start(&f, &request, 0), FOL_OK);
    wait_ended(&f, 1);
    pthread_join(thread, NULL);
    CHECK_EQ(f.values[0], 0);
    CHECK_EQ(f.bytes[0], 4096 * 1000);
    CHECK(f.pieces[0] >= 1000);
    close_pair(pair);
    fixture_close(&f);
}

/* A receiver to whom so much is sent that it has every buffer; returns the thread that sends. */
static pthread_t keep_all_buffers(fixture *f, int pair[2], fol_io_request *request)
{
    pthread_t thread;
    make_pair(pair);
    f->keeps_buffers = true;
    CHECK_EQ(pthread_create(&thread, NULL, send_stream, &pair[1]), 0);
    *request = (fol_io_request){.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = pair[0]};
    CHECK_EQ(start(f, request, 0), FOL_OK);
    while (f->kept_count < FOL_IO_POOL_BUFFER_COUNT) {
        CHECK_EQ(wait_ns(f, FOREVER), FOL_OK);
        reap_all(f);
    }
    return thread;
}

static void test_a_recv_without_buffers_pauses_until_one_comes_back(void)
{
    fixture f;
    int pair[2];
    fol_io_request request;
    if (!fixture_open(&f)) {
        return;
    }
    pthread_t thread = keep_all_buffers(&f, pair, &request);
    CHECK_EQ(wait_ns(&f, 0), -ETIME);
    CHECK_EQ(f.pieces[0], FOL_IO_POOL_BUFFER_COUNT);
    f.keeps_buffers = false;
    for (uint32_t i = 0; i < FOL_IO_POOL_BUFFER_COUNT; i++) {
        f.engine->ops->give_buffer(f.engine, f.kept[i]);
    }
    wait_ended(&f, 1);
    pthread_join(thread, NULL);
    CHECK_EQ(f.values[0], 0);
    CHECK_EQ(f.bytes[0], 4096 * 1000);
    close_pair(pair);
    fixture_close(&f);
}

static void test_a_recv_that_pauses_can_be_cancelled(void)
{
    fixture f;
    int pair[2];
    fol_io_request request;
    if (!fixture_open(&f)) {
        return;
    }
    pthread_t thread = keep_all_buffers(&f, pair, &request);
    cancel(&f, 0);
    reap_all(&f);
    CHECK_EQ(f.finals[0], 1);
    CHECK_EQ(f.values[0], -ECANCELED);
    static char page[4096];
    while (recv(pair[0], page, sizeof(page), 0) > 0) {
    }
    pthread_join(thread, NULL);
    close_pair(pair);
    fixture_close(&f);
}

static void test_results_that_nobody_reaps_pause_a_request_and_lose_nothing(void)
{
    enum { CLIENTS = FOL_IO_POOL_PIECES + 100 };
    const struct rlimit many = {.rlim_cur = 4096, .rlim_max = 4096};
    fixture f;
    struct sockaddr_in address;
    if (!fixture_open(&f) || !CHECK_EQ(setrlimit(RLIMIT_NOFILE, &many), 0)) {
        return;
    }
    int listener = listen_on_loopback(&address, 0, CLIENTS);
    fol_io_request request = {.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY, .fd = listener};
    for (uint32_t i = 0; i < CLIENTS; i++) {
        close(connect_to(&address));
    }
    CHECK_EQ(start(&f, &request, 0), FOL_OK);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        flush(&f);
    }
    CHECK_EQ(((fol_io_pool *)(void *)f.engine)->pieces, FOL_IO_POOL_PIECES);
    while (f.pieces[0] < CLIENTS) {
        CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
        reap_all(&f);
    }
    CHECK_EQ(f.pieces[0], CLIENTS);
    cancel(&f, 0);
    wait_ended(&f, 1);
    close(listener);
    fixture_close(&f);
}

static void test_many_starved_requests_all_end_with_the_buffers_that_come_back(void)
{
    enum { READERS = 400 };
    static int pairs[READERS + 1][2];
    static fol_io_request requests[READERS + 1];
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    f.keeps_buffers = true;
    for (uint32_t i = 0; i <= READERS; i++) {
        make_pair(pairs[i]);
        requests[i] =
            (fol_io_request){.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .fd = pairs[i][0]};
    }
    static char bytes[FOL_IO_POOL_BUFFER_COUNT * FOL_IO_POOL_BUFFER_SIZE];
    pid_t child = fork();
    if (child == 0) {
        _exit(write(pairs[READERS][1], bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes) ? 0 : 1);
    }
    close(pairs[READERS][1]);
    CHECK_EQ(start(&f, &requests[READERS], READERS), FOL_OK);
    while (f.kept_count < FOL_IO_POOL_BUFFER_COUNT && f.finals[READERS] == 0) {
        CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
        reap_all(&f);
    }
    CHECK_EQ(waitpid(child, NULL, 0), child);
    for (uint32_t i = 0; i < READERS; i++) {
        CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
        close(pairs[i][1]);
    }
    reap_all(&f);
    f.keeps_buffers = false;
    for (uint32_t i = 0; i < f.kept_count; i++) {
        f.engine->ops->give_buffer(f.engine, f.kept[i]);
    }
    wait_ended(&f, READERS + 1);
    for (uint32_t i = 0; i <= READERS; i++) {
        CHECK_EQ(f.finals[i], 1);
        CHECK_EQ(f.values[i], 0);
        close(pairs[i][0]);
    }
    fixture_close(&f);
}

int main(void)
{
    RUN(test_one_accept_gives_many_connections_until_it_is_cancelled);
    RUN(test_one_recv_gives_the_whole_stream_in_pieces_and_then_zero);
    RUN(test_a_recv_without_buffers_pauses_until_one_comes_back);
    RUN(test_a_recv_that_pauses_can_be_cancelled);
    RUN(test_results_that_nobody_reaps_pause_a_request_and_lose_nothing);
    RUN(test_many_starved_requests_all_end_with_the_buffers_that_come_back);
    CHECK_MAIN_END();
}
