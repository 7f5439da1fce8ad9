/* Operations on sockets: each row done by its call and on a ring gives the same, and an impatient
 * call waits for no peer and leaves descriptors as they were. */
#include "io_operation_fixture.h"

static void test_socket_gives_a_descriptor_that_a_new_program_does_not_get(void)
{
    FOR_EACH_WAY(how)
    {
        fol_io_request request = {.kind = FOL_IO_SOCKET, .options = AF_UNIX, .mode = SOCK_STREAM};
        int fd = (int)perform(&request, how);
        CHECK(fd >= 0);
        CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
        close(fd);
        request.options = 9999;
        CHECK_EQ(perform(&request, how), -EAFNOSUPPORT);
    }
}

typedef struct listener {
    struct sockaddr_in address;
    int fd;
} listener;

static listener listen_with(int flags)
{
    listener made;
    socklen_t size = sizeof(made.address);
    made.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    memset(&made.address, 0, sizeof(made.address));
    made.address.sin_family = AF_INET;
    made.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(bind(made.fd, (struct sockaddr *)&made.address, size), 0);
    CHECK_EQ(listen(made.fd, 8), 0);
    CHECK_EQ(getsockname(made.fd, (struct sockaddr *)&made.address, &size), 0);
    return made;
}

static void test_connect_and_accept_meet_whatever_the_flags_of_descriptors(void)
{
    for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
        FOR_EACH_WAY(how)
        {
            listener server = listen_with(flags);
            int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
            fol_io_request connecting = {.kind = FOL_IO_CONNECT,
                                         .fd = client,
                                         .buffer = &server.address,
                                         .size = sizeof(server.address)};
            fol_io_request accepting = {.kind = FOL_IO_ACCEPT, .fd = server.fd};
            CHECK_EQ(perform(&connecting, how), 0);
            int peer = (int)perform(&accepting, how);
            CHECK(peer >= 0);
            CHECK_EQ(fcntl(peer, F_GETFD), FD_CLOEXEC);
            CHECK_EQ(fcntl(peer, F_GETFL) & O_NONBLOCK, 0);
            CHECK_EQ(fcntl(server.fd, F_GETFL) & O_NONBLOCK, flags);
            CHECK_EQ(perform(&connecting, how), -EISCONN);
            close(peer);
            close(client);
            close(server.fd);
        }
    }
}

static void test_an_impatient_connect_on_a_blocking_socket_leaves_it_blocking(void)
{
    listener server = listen_with(0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fol_io_request request = {.kind = FOL_IO_CONNECT,
                              .fd = client,
                              .buffer = &server.address,
                              .size = sizeof(server.address)};
    int64_t value = perform_now(&request);
    CHECK(value == 0 || value == -EAGAIN);
    CHECK_EQ(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    if (value == -EAGAIN) {
        CHECK_EQ(perform(&request, BY_CALL), 0);
    }
    close(client);
    close(server.fd);
}

static void test_connect_says_that_nobody_listens(void)
{
    listener server = listen_with(0);
    close(server.fd);
    FOR_EACH_WAY(how)
    {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        fol_io_request request = {.kind = FOL_IO_CONNECT,
                                  .fd = client,
                                  .buffer = &server.address,
                                  .size = sizeof(server.address)};
        CHECK_EQ(perform(&request, how), -ECONNREFUSED);
        request.fd = STDIN_FILENO;
        int64_t value = perform(&request, how);
        CHECK(value == -ENOTSOCK || value == -EBADF);
        close(client);
    }
}

static void test_a_datagram_socket_connects_at_once(void)
{
    listener server = listen_with(0);
    int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    fol_io_request request = {.kind = FOL_IO_CONNECT,
                              .fd = client,
                              .buffer = &server.address,
                              .size = sizeof(server.address)};
    CHECK_EQ(perform_now(&request), 0);
    FOR_EACH_WAY(how)
    {
        CHECK_EQ(perform(&request, how), 0);
    }
    close(client);
    close(server.fd);
}

static void test_an_impatient_accept_does_not_wait_and_leaves_the_listener_as_it_was(void)
{
    for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
        listener server = listen_with(flags);
        fol_io_request request = {.kind = FOL_IO_ACCEPT, .fd = server.fd};
        CHECK_EQ(perform_now(&request), -EAGAIN);
        CHECK_EQ(fcntl(server.fd, F_GETFL) & O_NONBLOCK, flags);
        close(server.fd);
    }
}

static void test_accept_of_what_is_no_listener_says_so(void)
{
    int pair[2];
    make_pair(pair);
    FOR_EACH_WAY(how)
    {
        CHECK_EQ(perform(&(fol_io_request){.kind = FOL_IO_ACCEPT, .fd = pair[0]}, how), -EINVAL);
    }
    CHECK_EQ(perform_now(&(fol_io_request){.kind = FOL_IO_ACCEPT, .fd = pair[0]}), -EINVAL);
    close_pair(pair);
}

/* Several threads fight for the connections of one blocking listener. */
typedef struct fight {
    int fd;
    _Atomic uint32_t accepted;
    _Atomic bool is_over;
} fight;

static void *accept_until_over(void *argument)
{
    fight *f = argument;
    fol_io_request request = {.kind = FOL_IO_ACCEPT, .fd = f->fd};
    while (!f->is_over) {
        int64_t value = perform_now(&request);
        if (value >= 0) {
            f->accepted += 1;
            close((int)value);
        }
    }
    return NULL;
}

static void test_an_impatient_accept_never_waits_for_a_connection_that_another_took(void)
{
    enum { ROUNDS = 500, THREADS = 3 };
    listener server = listen_with(0);
    fight f = {.fd = server.fd};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, accept_until_over, &f), 0);
    }
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK_EQ(connect(client, (struct sockaddr *)&server.address, sizeof(server.address)), 0);
        while (f.accepted < i) {
            sched_yield();
        }
        close(client);
    }
    f.is_over = true;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ(f.accepted, ROUNDS);
    CHECK_EQ(fcntl(server.fd, F_GETFL) & O_NONBLOCK, 0);
    close(server.fd);
}

static void test_recv_takes_what_came_and_zero_at_the_end(void)
{
    FOR_EACH_WAY(how)
    {
        int pair[2];
        char buffer[8] = {0};
        make_pair(pair);
        fol_io_request request = {
            .kind = FOL_IO_RECV, .fd = pair[0], .buffer = buffer, .size = sizeof(buffer)};
        CHECK_EQ(perform_now(&request), -EAGAIN);
        CHECK_EQ(write(pair[1], "abc", 3), 3);
        CHECK_EQ(perform(&request, how), 3);
        CHECK_STR(buffer, "abc");
        close(pair[1]);
        CHECK_EQ(perform(&request, how), 0);
        close(pair[0]);
        CHECK_EQ(perform(&request, how), -EBADF);
    }
}

static void test_send_to_a_peer_that_is_gone_gives_epipe_and_no_signal(void)
{
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    FOR_EACH_WAY(how)
    {
        int pair[2];
        char text[] = "abc";
        make_pair(pair);
        fol_io_request request = {.kind = FOL_IO_SEND, .fd = pair[0], .buffer = text, .size = 3};
        CHECK_EQ(perform(&request, how), 3);
        close(pair[1]);
        CHECK_EQ(perform(&request, how), -EPIPE);
        close(pair[0]);
    }
}

static void test_an_impatient_send_gives_eagain_when_the_peer_does_not_read(void)
{
    int pair[2];
    char page[4096] = {0};
    make_pair(pair);
    fol_io_request request = {
        .kind = FOL_IO_SEND, .fd = pair[0], .buffer = page, .size = sizeof(page)};
    int64_t value = 1;
    for (int i = 0; i < 100000 && value > 0; i++) {
        value = perform_now(&request);
    }
    CHECK_EQ(value, -EAGAIN);
    close_pair(pair);
}

static void test_shutdown_ends_the_stream(void)
{
    FOR_EACH_WAY(how)
    {
        int pair[2];
        char byte;
        make_pair(pair);
        fol_io_request request = {.kind = FOL_IO_SHUTDOWN, .fd = pair[0], .options = SHUT_WR};
        CHECK_EQ(perform(&request, how), 0);
        CHECK_EQ(read(pair[1], &byte, 1), 0);
        request.options = 77;
        CHECK_EQ(perform(&request, how), -EINVAL);
        close_pair(pair);
    }
}

static void test_poll_gives_the_events_that_are_there(void)
{
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    fol_io_request request = {.kind = FOL_IO_POLL, .fd = ends[0], .options = POLLIN};
    CHECK_EQ(perform_now(&request), -EAGAIN);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    FOR_EACH_WAY(how)
    {
        CHECK_EQ(perform(&request, how), POLLIN);
    }
    close(ends[1]);
    FOR_EACH_WAY(how)
    {
        CHECK_EQ(perform(&request, how), POLLIN | POLLHUP);
    }
    close(ends[0]);
    FOR_EACH_WAY(how)
    {
        CHECK_EQ(perform(&request, how), -EBADF);
        CHECK_EQ(perform(&(fol_io_request){.kind = FOL_IO_POLL, .fd = -1, .options = POLLIN}, how),
                 -EBADF);
    }
}

static void test_a_patient_call_waits_on_a_descriptor_that_does_not(void)
{
    int pair[2];
    char byte = 0;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    pid_t child = fork();
    if (child == 0) {
        _exit(write(pair[1], "x", 1) == 1 ? 0 : 1);
    }
    fol_io_request request = {.kind = FOL_IO_RECV, .fd = pair[0], .buffer = &byte, .size = 1};
    CHECK_EQ(perform(&request, BY_CALL), 1);
    CHECK_EQ(byte, 'x');
    CHECK_EQ(waitpid(child, NULL, 0), child);
    close_pair(pair);
}

int main(void)
{
    if (open_fixture() != 0) {
        return 1;
    }
    RUN(test_socket_gives_a_descriptor_that_a_new_program_does_not_get);
    RUN(test_connect_and_accept_meet_whatever_the_flags_of_descriptors);
    RUN(test_an_impatient_connect_on_a_blocking_socket_leaves_it_blocking);
    RUN(test_connect_says_that_nobody_listens);
    RUN(test_a_datagram_socket_connects_at_once);
    RUN(test_an_impatient_accept_does_not_wait_and_leaves_the_listener_as_it_was);
    RUN(test_accept_of_what_is_no_listener_says_so);
    RUN(test_an_impatient_accept_never_waits_for_a_connection_that_another_took);
    RUN(test_recv_takes_what_came_and_zero_at_the_end);
    RUN(test_send_to_a_peer_that_is_gone_gives_epipe_and_no_signal);
    RUN(test_an_impatient_send_gives_eagain_when_the_peer_does_not_read);
    RUN(test_shutdown_ends_the_stream);
    RUN(test_poll_gives_the_events_that_are_there);
    RUN(test_a_patient_call_waits_on_a_descriptor_that_does_not);
    close_fixture();
    CHECK_MAIN_END();
}
