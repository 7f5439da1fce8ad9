/* FOL_IO_MANY on the ring: accepts and receives that go on, with the kernel choosing buffers and
 * without. */

#include <sys/un.h>

#include "ring_support.h"

/* A listening socket without a name in the file system; *address is where to connect. */
static int listen_here(struct sockaddr_un *address, socklen_t *size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    /* Only the family: the kernel makes up an abstract name. */
    CHECK_EQ(bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
    *size = sizeof *address;
    CHECK_EQ(getsockname(fd, (struct sockaddr *)address, size), 0);
    CHECK_EQ(listen(fd, 64), 0);
    return fd;
}

static int connect_to(const struct sockaddr_un *address, socklen_t size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fd, (const struct sockaddr *)address, size), 0);
    return fd;
}

static const fol_io_request receive_many = {.kind = FOL_IO_RECV, .flags = FOL_IO_MANY};

static int start_receive(fol_io_engine *engine, int fd, uint64_t token)
{
    fol_io_request request = receive_many;
    request.fd = fd;
    return ring_start(engine, request, token);
}

/* As on a kernel that may not be asked what it has: nothing is done many times by the kernel. */
static fol_io_engine *make_plain(void)
{
    fol_io_engine *engine = NULL;
    fol_io_report report;
    const fol_io_ring_config config = {.entries = 16, .buffer_count = 8, .buffer_size = 64};
    ladder_hide_operations();
    CHECK_EQ(fol_io_ring_create(&config, &report, &engine), 0);
    fol_ring_call_lack(&ladder_steps[ladder_at].lack);
    CHECK_EQ(report.register_error, -EINVAL);
    CHECK(!fol_ring_of(engine)->has_multishot_accept);
    CHECK(!fol_ring_of(engine)->has_multishot_recv);
    return engine;
}

static void accept_three(fol_io_engine *engine)
{
    struct sockaddr_un address;
    socklen_t size;
    int listener = listen_here(&address, &size);
    fol_io_request request = {.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY, .fd = listener};
    CHECK_EQ(ring_start(engine, request, 5), 0);
    for (int round = 0; round < 3; round++) {
        int client = connect_to(&address, size);
        CHECK_EQ(ring_collect(engine, 1), 1);
        CHECK(events[0].token == 5);
        CHECK(events[0].value >= 0);
        CHECK(events[0].has_more);
        close((int)events[0].value);
        close(client);
    }
    CHECK_EQ(engine->in_flight, 1);
    engine->ops->cancel(engine, 5);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, -ECANCELED);
    CHECK(!events[0].has_more);
    CHECK_EQ(engine->in_flight, 0);
    close(listener);
    CHECK(engine->ops->destroy(engine));
}

static void test_accept_gives_each_connection_until_it_is_cancelled(void)
{
    accept_three(ring_make());
}

static void test_accept_is_the_same_one_by_one(void)
{
    accept_three(make_plain());
}

static void test_accept_that_fails_ends(void)
{
    fol_io_engine *engine = ring_make();
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    fol_io_request request = {.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY, .fd = ends[0]};
    CHECK_EQ(ring_start(engine, request, 5), 0);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, -ENOTSOCK);
    CHECK(!events[0].has_more);
    close(ends[0]);
    close(ends[1]);
    CHECK(engine->ops->destroy(engine));
}

static void receive_pieces(fol_io_engine *engine)
{
    int ends[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_EQ(start_receive(engine, ends[0], 9), 0);
    for (int round = 0; round < 40; round++) {
        char text[8];
        int length = snprintf(text, sizeof text, "<%d>", round);
        CHECK_EQ(write(ends[1], text, (size_t)length), length);
        CHECK_EQ(ring_collect(engine, 1), 1);
        CHECK(events[0].token == 9);
        CHECK_EQ(events[0].value, length);
        CHECK(events[0].has_more);
        CHECK(memcmp(events[0].data, text, (size_t)length) == 0);
        engine->ops->give_buffer(engine, events[0].buffer);
    }
    close(ends[1]);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, 0);
    CHECK(!events[0].has_more);
    CHECK_EQ(engine->in_flight, 0);
    close(ends[0]);
    CHECK(engine->ops->destroy(engine));
}

static void test_receive_gives_each_piece_until_the_stream_ends(void)
{
    receive_pieces(ring_make());
}

static void test_receive_is_the_same_one_by_one(void)
{
    receive_pieces(make_plain());
}

static void test_receive_is_the_same_where_buffers_are_refused(void)
{
    fol_io_engine *engine = ring_make();
    fol_io_ring_fail_nth(1, EPERM);
    CHECK_EQ(fol_ring_buffers_need(fol_ring_of(engine)), 0);
    /* Where the kernel would not choose among them anyway it is not asked. */
    CHECK_EQ(fol_io_ring_failure_is_armed(), !ladder_has_multishot_recv());
    fol_io_ring_fail_nth(0, 0);
    CHECK(fol_ring_of(engine)->buffers.shared == NULL);
    receive_pieces(engine);
}

/* All buffers go out, nothing comes while they are, and the rest comes when they are back. */
static void exhaust(fol_io_engine *engine)
{
    static char data[64 * 20];
    char got[sizeof data];
    size_t got_size = 0;
    int32_t out[8];
    int ends[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    for (size_t index = 0; index < sizeof data; index++) {
        data[index] = (char)(index * 7);
    }
    CHECK_EQ(start_receive(engine, ends[0], 1), 0);
    CHECK_EQ(write(ends[1], data, sizeof data), (ssize_t)sizeof data);
    while (got_size < sizeof data) {
        size_t count = ring_collect(engine, 1);
        size_t held = 0;
        for (int round = 0; round < 8 && held + count <= 8; round++) {
            for (size_t index = 0; index < count; index++) {
                CHECK(events[index].value > 0 && events[index].has_more);
                memcpy(got + got_size, events[index].data, (size_t)events[index].value);
                got_size += (size_t)events[index].value;
                out[held++] = events[index].buffer;
            }
            CHECK_EQ(engine->ops->flush(engine), 0);
            count = engine->ops->reap(engine, events, EVENTS_MAX);
        }
        CHECK_EQ(count, 0);
        CHECK(held == 8 || got_size == sizeof data);
        CHECK_EQ(engine->in_flight, 1);
        for (size_t index = 0; index < held; index++) {
            engine->ops->give_buffer(engine, out[index]);
        }
    }
    CHECK(memcmp(got, data, sizeof data) == 0);
    close(ends[1]);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, 0);
    close(ends[0]);
    CHECK(engine->ops->destroy(engine));
}

static void test_receive_goes_on_when_buffers_are_given_back(void)
{
    exhaust(ring_make());
}

static void test_receive_goes_on_one_by_one_when_buffers_are_given_back(void)
{
    exhaust(make_plain());
}

static void cancel_starved(fol_io_engine *engine)
{
    char data[64 * 8];
    int ends[2];
    memset(data, 1, sizeof data);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_EQ(start_receive(engine, ends[0], 1), 0);
    CHECK_EQ(write(ends[1], data, sizeof data), (ssize_t)sizeof data);
    CHECK_EQ(ring_collect(engine, 8), 8);
    CHECK_EQ(write(ends[1], data, 1), 1);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(engine->ops->reap(engine, events + 8, 8), 0);
    /* Another one begins without a buffer. */
    CHECK_EQ(start_receive(engine, ends[0], 2), 0);
    CHECK_EQ(engine->ops->flush(engine), 0);
    CHECK_EQ(fol_ring_of(engine)->parked_count, 2);
    engine->ops->cancel(engine, 1);
    engine->ops->cancel(engine, 2);
    CHECK_EQ(engine->ops->wait(engine, 2, UINT64_MAX), 0);
    CHECK_EQ(engine->ops->reap(engine, events + 8, 8), 2);
    CHECK_EQ(events[8].value, -ECANCELED);
    CHECK_EQ(events[9].value, -ECANCELED);
    CHECK_EQ(engine->in_flight, 0);
    /* Buffers that are still out go with the engine. */
    close(ends[0]);
    close(ends[1]);
    CHECK(engine->ops->destroy(engine));
}

static void test_receive_that_waits_for_a_buffer_can_be_cancelled(void)
{
    cancel_starved(ring_make());
}

static void test_single_receive_that_waits_for_a_buffer_can_be_cancelled(void)
{
    cancel_starved(make_plain());
}

static void test_several_receives_share_the_buffers(void)
{
    fol_io_engine *engine = ring_make();
    int ends[6][2];
    uint64_t seen[6] = {0};
    for (uint64_t pair = 0; pair < 6; pair++) {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[pair]), 0);
        CHECK_EQ(start_receive(engine, ends[pair][0], pair), 0);
    }
    for (int round = 0; round < 50; round++) {
        char data[128];
        memset(data, round, sizeof data);
        for (int pair = 0; pair < 6; pair++) {
            CHECK_EQ(write(ends[pair][1], data, sizeof data), (ssize_t)sizeof data);
        }
        for (uint64_t bytes = 0; bytes < 6 * sizeof data;) {
            size_t count = ring_collect(engine, 1);
            for (size_t index = 0; index < count; index++) {
                CHECK(events[index].value > 0);
                CHECK_EQ(*(char *)events[index].data, round);
                seen[events[index].token] += (uint64_t)events[index].value;
                bytes += (uint64_t)events[index].value;
                engine->ops->give_buffer(engine, events[index].buffer);
            }
        }
    }
    for (int pair = 0; pair < 6; pair++) {
        CHECK_EQ(seen[pair], 50 * 128);
        close(ends[pair][1]);
        close(ends[pair][0]);
    }
    CHECK(engine->ops->destroy(engine));
}

static void test_overflow_of_the_completion_queue_loses_nothing(void)
{
    const fol_io_ring_config config = {.entries = 1, .buffer_count = 64, .buffer_size = 16};
    fol_io_engine *engine = ring_make_with(&config);
    struct sockaddr_un address;
    socklen_t size;
    int clients[60];
    int listener = listen_here(&address, &size);
    CHECK_EQ(engine->ops->adopt(engine), 0);
    fol_io_request request = {.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY, .fd = listener};
    CHECK_EQ(ring_start(engine, request, 1), 0);
    for (int client = 0; client < 60; client++) {
        clients[client] = connect_to(&address, size);
    }
    size_t got = 0;
    while (got < 60) {
        CHECK_EQ(engine->ops->wait(engine, 1, UINT64_MAX), 0);
        size_t count = engine->ops->reap(engine, events, EVENTS_MAX);
        for (size_t index = 0; index < count; index++) {
            CHECK(events[index].value >= 0 && events[index].has_more);
            close((int)events[index].value);
        }
        got += count;
    }
    CHECK_EQ(got, 60);
    engine->ops->cancel(engine, 1);
    CHECK_EQ(ring_collect(engine, 1), 1);
    CHECK_EQ(events[0].value, -ECANCELED);
    /* One by one they are asked for as they are taken, and never too many. */
    CHECK_EQ(atomic_load(&engine->counters.overflows) > 0,
             fol_ring_of(engine)->has_multishot_accept);
    for (int client = 0; client < 60; client++) {
        close(clients[client]);
    }
    close(listener);
    CHECK(engine->ops->destroy(engine));
}

static void run_all(void)
{
    RUN(test_accept_gives_each_connection_until_it_is_cancelled);
    RUN(test_accept_is_the_same_one_by_one);
    RUN(test_accept_that_fails_ends);
    RUN(test_receive_gives_each_piece_until_the_stream_ends);
    RUN(test_receive_is_the_same_one_by_one);
    RUN(test_receive_is_the_same_where_buffers_are_refused);
    RUN(test_receive_goes_on_when_buffers_are_given_back);
    RUN(test_receive_goes_on_one_by_one_when_buffers_are_given_back);
    RUN(test_receive_that_waits_for_a_buffer_can_be_cancelled);
    RUN(test_single_receive_that_waits_for_a_buffer_can_be_cancelled);
    RUN(test_several_receives_share_the_buffers);
    RUN(test_overflow_of_the_completion_queue_loses_nothing);
}

int main(void)
{
    stress_watch(60);
    if (!ring_begin()) {
        return 0;
    }
    ladder_climb(run_all);
    CHECK_MAIN_END();
}
