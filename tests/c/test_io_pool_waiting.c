/* The pool engine on what waits for others: sockets and pipes that stand in the epoll set,
 * several requests on one descriptor, connects. */
#include <poll.h>

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

static uint32_t threads_of(fixture *f)
{
    fol_io_pool_census census;
    fol_io_pool_count(f->engine, &census);
    return census.threads;
}

static void test_what_stands_holds_no_thread_and_goes_on_when_bytes_come(void)
{
    enum { PAIRS = 200 };
    static int pairs[PAIRS][2];
    static char bytes[PAIRS];
    static fol_io_request requests[PAIRS];
    fixture f;
    if (!fixture_open(&f)) {
        return;
    }
    for (uint32_t i = 0; i < PAIRS; i++) {
        make_pair(pairs[i]);
        requests[i] = recv_of(pairs[i][0], &bytes[i], 1);
        CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
    }
    CHECK_EQ(wait_ns(&f, 0), -ETIME);
    for (uint32_t i = 0; i < PAIRS; i++) {
        char byte = (char)i;
        CHECK_EQ(write(pairs[i][1], &byte, 1), 1);
    }
    wait_ended(&f, PAIRS);
    for (uint32_t i = 0; i < PAIRS; i++) {
        CHECK_EQ(f.values[i], 1);
        CHECK_EQ(bytes[i], (char)i);
        close_pair(pairs[i]);
    }
    CHECK_EQ(threads_of(&f), 0);
    fixture_close(&f);
}

static void test_two_that_receive_on_one_descriptor_are_served_in_order(void)
{
    fixture f;
    int pair[2];
    char bytes[3] = {0};
    if (!fixture_open(&f)) {
        return;
    }
    make_pair(pair);
    fol_io_request requests[3];
    for (uint32_t i = 0; i < 3; i++) {
        requests[i] = recv_of(pair[0], &bytes[i], 1);
        CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
    }
    flush(&f);
    CHECK_EQ(write(pair[1], "ab", 2), 2);
    wait_ended(&f, 2);
    CHECK_EQ(f.finals[0], 1);
    CHECK_EQ(f.finals[1], 1);
    CHECK_EQ(f.finals[2], 0);
    CHECK_EQ(bytes[0], 'a');
    CHECK_EQ(bytes[1], 'b');
    CHECK_EQ(write(pair[1], "c", 1), 1);
    wait_ended(&f, 3);
    CHECK_EQ(bytes[2], 'c');
    close_pair(pair);
    fixture_close(&f);
}

static void fill(int fd)
{
    static char page[4096];
    while (send(fd, page, sizeof(page), MSG_DONTWAIT) > 0) {
    }
}

static void drain(int fd)
{
    static char page[4096];
    while (recv(fd, page, sizeof(page), MSG_DONTWAIT) > 0) {
    }
}

static void test_both_directions_of_one_descriptor_go_on_by_themselves(void)
{
    fixture f;
    int pair[2];
    char byte = 0;
    if (!fixture_open(&f)) {
        return;
    }
    make_pair(pair);
    fill(pair[0]);
    fol_io_request sending = send_of(pair[0], "x", 1);
    fol_io_request receiving = recv_of(pair[0], &byte, 1);
    fol_io_request polling = {.kind = FOL_IO_POLL, .fd = pair[0], .options = POLLIN | POLLOUT};
    CHECK_EQ(start(&f, &sending, 0), FOL_OK);
    CHECK_EQ(start(&f, &receiving, 1), FOL_OK);
    CHECK_EQ(start(&f, &polling, 2), FOL_OK);
    CHECK_EQ(wait_ns(&f, 0), -ETIME);
    drain(pair[1]);
    wait_ended(&f, 2);
    CHECK_EQ(f.values[0], 1);
    CHECK_EQ(f.values[2], POLLOUT);
    CHECK_EQ(f.finals[1], 0);
    CHECK_EQ(write(pair[1], "y", 1), 1);
    wait_ended(&f, 3);
    CHECK_EQ(byte, 'y');
    close_pair(pair);
    fixture_close(&f);
}

static void test_a_poll_beside_a_recv_that_takes_the_bytes_waits_for_the_next(void)
{
    fixture f;
    int pair[2];
    char byte = 0;
    if (!fixture_open(&f)) {
        return;
    }
    make_pair(pair);
    fol_io_request receiving = recv_of(pair[0], &byte, 1);
    fol_io_request polling = {.kind = FOL_IO_POLL, .fd = pair[0], .options = POLLIN};
    CHECK_EQ(start(&f, &receiving, 0), FOL_OK);
    CHECK_EQ(start(&f, &polling, 1), FOL_OK);
    flush(&f);
    CHECK_EQ(write(pair[1], "a", 1), 1);
    wait_ended(&f, 1);
    CHECK_EQ(f.finals[1], 0);
    CHECK_EQ(write(pair[1], "b", 1), 1);
    wait_ended(&f, 2);
    CHECK_EQ(f.values[1], POLLIN);
    close_pair(pair);
    fixture_close(&f);
}

static void test_duplicates_of_a_descriptor_stand_each_for_itself(void)
{
    fixture f;
    int pair[2];
    char bytes[2] = {0};
    if (!fixture_open(&f)) {
        return;
    }
    make_pair(pair);
    int other = fcntl(pair[0], F_DUPFD_CLOEXEC, 0);
    fol_io_request first = recv_of(pair[0], &bytes[0], 1);
    fol_io_request second = recv_of(other, &bytes[1], 1);
    CHECK_EQ(start(&f, &first, 0), FOL_OK);
    CHECK_EQ(start(&f, &second, 1), FOL_OK);
    flush(&f);
    CHECK_EQ(write(pair[1], "ab", 2), 2);
    wait_ended(&f, 2);
    CHECK_EQ(bytes[0] + bytes[1], 'a' + 'b');
    close(other);
    close_pair(pair);
    fixture_close(&f);
}

static void test_a_number_that_was_closed_elsewhere_and_given_anew_is_watched_again(void)
{
    fixture f;
    char byte = 0;
    if (!fixture_open(&f)) {
        return;
    }
    for (uint32_t i = 0; i < 20; i++) {
        int pair[2];
        make_pair(pair);
        fol_io_request request = recv_of(pair[0], &byte, 1);
        CHECK_EQ(start(&f, &request, 0), FOL_OK);
        flush(&f);
        CHECK_EQ(write(pair[1], "x", 1), 1);
        wait_ended(&f, i + 1);
        CHECK_EQ(f.values[0], 1);
        /* Not through the engine, which still thinks that the number is registered. */
        close_pair(pair);
    }
    fixture_close(&f);
}

static void test_bytes_that_nobody_waits_for_do_not_keep_the_notice_up(void)
{
    fixture f;
    int pair[2];
    char byte = 0;
    if (!fixture_open(&f)) {
        return;
    }
    make_pair(pair);
    fol_io_request request = recv_of(pair[0], &byte, 1);
    CHECK_EQ(start(&f, &request, 0), FOL_OK);
    flush(&f);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(write(pair[1], "x", 1), 1);
        reap_all(&f);
        struct pollfd notice = {.fd = f.engine->notice_fd, .events = POLLIN};
        CHECK_EQ(poll(&notice, 1, 0), 0);
    }
    CHECK_EQ(f.ended, 1);
    close_pair(pair);
    reap_all(&f);
    fixture_close(&f);
}

static void test_a_pipe_that_trickles_gives_each_drop(void)
{
    enum { DROPS = 500 };
    fixture f;
    int ends[2];
    char byte = 0;
    if (!fixture_open(&f)) {
        return;
    }
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    fol_io_request request = read_of(ends[0], &byte, 1, 7);
    for (uint32_t i = 0; i < DROPS; i++) {
        char drop = (char)i;
        CHECK_EQ(start(&f, &request, 0), FOL_OK);
        flush(&f);
        CHECK_EQ(write(ends[1], &drop, 1), 1);
        wait_ended(&f, i + 1);
        CHECK_EQ(byte, drop);
    }
    CHECK_EQ(start(&f, &request, 0), FOL_OK);
    flush(&f);
    close(ends[1]);
    wait_ended(&f, DROPS + 1);
    CHECK_EQ(f.values[0], 0);
    close(ends[0]);
    fixture_close(&f);
}

static void test_a_peer_that_vanishes_ends_what_stands(void)
{
    fixture f;
    int pair[2];
    char byte = 0;
    if (!fixture_open(&f)) {
        return;
    }
    make_pair(pair);
    fill(pair[0]);
    fol_io_request receiving = recv_of(pair[0], &byte, 1);
    fol_io_request sending = send_of(pair[0], "x", 1);
    CHECK_EQ(start(&f, &receiving, 0), FOL_OK);
    CHECK_EQ(start(&f, &sending, 1), FOL_OK);
    CHECK_EQ(wait_ns(&f, 0), -ETIME);
    close(pair[1]);
    wait_ended(&f, 2);
    /* The peer left unread bytes, so it is a reset. */
    CHECK(f.values[0] == 0 || f.values[0] == -ECONNRESET);
    CHECK_EQ(f.values[1], -EPIPE);
    close(pair[0]);
    fixture_close(&f);
}

static void test_a_cancel_ends_what_stands_at_once(void)
{
    fixture f;
    int pair[2];
    char byte = 0;
    if (!fixture_open(&f)) {
        return;
    }
    make_pair(pair);
    fol_io_request request = recv_of(pair[0], &byte, 1);
    CHECK_EQ(start(&f, &request, 0), FOL_OK);
    flush(&f);
    cancel(&f, 0);
    reap_all(&f);
    CHECK_EQ(f.finals[0], 1);
    CHECK_EQ(f.values[0], -ECANCELED);
    /* The bytes that come then are the next one's. */
    CHECK_EQ(write(pair[1], "x", 1), 1);
    CHECK_EQ(run_one(&f, &request), 1);
    close_pair(pair);
    fixture_close(&f);
}

static void *write_bytes(void *argument)
{
    const int *fd = argument;
    for (uint32_t i = 0; i < 10000; i++) {
        CHECK_EQ(write(*fd, "x", 1), 1);
        if (i % 7 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void test_a_cancel_that_races_with_bytes_loses_none_and_ends_once(void)
{
    enum { BYTES = 10000 };
    fixture f;
    int pair[2];
    char byte = 0;
    pthread_t thread;
    uint32_t received = 0;
    uint32_t rounds = 0;
    if (!fixture_open(&f)) {
        return;
    }
    make_pair(pair);
    CHECK_EQ(pthread_create(&thread, NULL, write_bytes, &pair[1]), 0);
    fol_io_request request = recv_of(pair[0], &byte, 1);
    while (received < BYTES) {
        CHECK_EQ(start(&f, &request, 0), FOL_OK);
        if (rounds % 2 == 0) {
            flush(&f);
        }
        cancel(&f, 0);
        reap_all(&f);
        rounds += 1;
        if (!CHECK_EQ(f.ended, rounds)) {
            break;
        }
        CHECK(f.values[0] == 1 || f.values[0] == -ECANCELED);
        received += f.values[0] == 1;
    }
    pthread_join(thread, NULL);
    CHECK_EQ(recv(pair[0], &byte, 1, MSG_DONTWAIT), -1);
    close_pair(pair);
    fixture_close(&f);
}

static void test_connects_end_whatever_the_flags_of_the_socket(void)
{
    for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
        fixture f;
        struct sockaddr_in address;
        if (!fixture_open(&f)) {
            return;
        }
        int listener = listen_on_loopback(&address, 0, 8);
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
        fol_io_request request = {
            .kind = FOL_IO_CONNECT, .fd = client, .buffer = &address, .size = sizeof(address)};
        CHECK_EQ(run_one(&f, &request), 0);
        CHECK_EQ(fcntl(client, F_GETFL) & O_NONBLOCK, flags);
        close(client);
        close(listener);
        request.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
        CHECK_EQ(run_one(&f, &request), -ECONNREFUSED);
        close(request.fd);
        CHECK_EQ(threads_of(&f), 0);
        fixture_close(&f);
    }
}

static void test_a_connect_that_gets_no_answer_is_cancelled_at_once(void)
{
    enum { CLIENTS = 8 };
    fixture f;
    struct sockaddr_in address;
    fol_io_request requests[CLIENTS];
    if (!fixture_open(&f)) {
        return;
    }
    /* A full backlog leaves further connects without an answer. */
    int listener = listen_on_loopback(&address, 0, 0);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        requests[i] = (fol_io_request){.kind = FOL_IO_CONNECT,
                                       .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                                       .buffer = &address,
                                       .size = sizeof(address)};
        CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
    }
    flush(&f);
    reap_all(&f);
    uint32_t connected = f.ended;
    CHECK(connected < CLIENTS);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        cancel(&f, i);
    }
    reap_all(&f);
    CHECK_EQ(f.ended, CLIENTS);
    CHECK_EQ(threads_of(&f), 0);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        CHECK_EQ(f.finals[i], 1);
        close(requests[i].fd);
    }
    close(listener);
    fixture_close(&f);
}

static void test_a_local_connect_to_a_full_listener_ends_when_there_is_room(void)
{
    enum { CLIENTS = 4 };
    fixture f;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fol_io_request requests[CLIENTS];
    if (!fixture_open(&f)) {
        return;
    }
    /* A name outside of the file system. */
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "foliot-%d", (int)getpid());
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(listen(listener, 0), 0);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        requests[i] = (fol_io_request){.kind = FOL_IO_CONNECT,
                                       .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                                       .buffer = &address,
                                       .size = sizeof(address)};
        CHECK_EQ(start(&f, &requests[i], i), FOL_OK);
    }
    flush(&f);
    fol_io_request accepting = {.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY, .fd = listener};
    CHECK_EQ(start(&f, &accepting, CLIENTS), FOL_OK);
    wait_ended(&f, CLIENTS);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        CHECK_EQ(f.values[i], 0);
        close(requests[i].fd);
    }
    while (f.pieces[CLIENTS] < CLIENTS) {
        CHECK_EQ(wait_ns(&f, FOREVER), FOL_OK);
        reap_all(&f);
    }
    cancel(&f, CLIENTS);
    wait_ended(&f, CLIENTS + 1);
    close(listener);
    fixture_close(&f);
}

int main(void)
{
    RUN(test_what_stands_holds_no_thread_and_goes_on_when_bytes_come);
    RUN(test_two_that_receive_on_one_descriptor_are_served_in_order);
    RUN(test_both_directions_of_one_descriptor_go_on_by_themselves);
    RUN(test_a_poll_beside_a_recv_that_takes_the_bytes_waits_for_the_next);
    RUN(test_duplicates_of_a_descriptor_stand_each_for_itself);
    RUN(test_a_number_that_was_closed_elsewhere_and_given_anew_is_watched_again);
    RUN(test_bytes_that_nobody_waits_for_do_not_keep_the_notice_up);
    RUN(test_a_pipe_that_trickles_gives_each_drop);
    RUN(test_a_peer_that_vanishes_ends_what_stands);
    RUN(test_a_cancel_ends_what_stands_at_once);
    RUN(test_a_cancel_that_races_with_bytes_loses_none_and_ends_once);
    RUN(test_connects_end_whatever_the_flags_of_the_socket);
    RUN(test_a_connect_that_gets_no_answer_is_cancelled_at_once);
    RUN(test_a_local_connect_to_a_full_listener_ends_when_there_is_room);
    CHECK_MAIN_END();
}
