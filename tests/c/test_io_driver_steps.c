/* What becomes of one operation, step by step, on engines that a test scripts: files by their path,
 * short results, what is tried again and how often.
 */

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/memory.h"
#include "io_fake_engine.h"

static void test_a_file_of_known_size_is_opened_read_and_closed_and_no_more(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fake_submit(io, &op, read_path);
    CHECK_EQ(flying(&fake_pool)->options, O_RDONLY | O_CLOEXEC);
    fake_step(io, &fake_pool, FOL_IO_OPEN, 9);
    CHECK_EQ(flying(&fake_pool)->fd, 9);
    CHECK_EQ(flying(&fake_pool)->size, 4096);
    memset(flying(&fake_pool)->buffer, 'x', 4096);
    fake_step(io, &fake_pool, FOL_IO_READ, 4096);
    CHECK_EQ(flying(&fake_pool)->fd, 9);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, 0);
    fake_take_one(io, 4096);
    CHECK_EQ(fake_pool.starts, 3);
    CHECK_EQ(op.size, 4096);
    CHECK_EQ(((char *)op.data)[4095], 'x');
    fol_io_release(io, &op);
    CHECK(op.data == NULL);
    CHECK_EQ(fake_close(io), 0);
}

static void test_files_stay_in_the_engines_own_table_where_it_has_one(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_ring.base.has_direct_files = true;
    fake_submit(io, &op, read_path);
    CHECK_EQ(flying(&fake_ring)->flags, FOL_IO_DIRECT);
    fake_step(io, &fake_ring, FOL_IO_OPEN, 0);
    CHECK_EQ(flying(&fake_ring)->flags, FOL_IO_DIRECT);
    fake_step(io, &fake_ring, FOL_IO_READ, 4096);
    CHECK_EQ(flying(&fake_ring)->flags, FOL_IO_DIRECT);
    fake_step(io, &fake_ring, FOL_IO_CLOSE, 0);
    fol_io_release(io, fake_take_one(io, 4096));
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_full_table_is_passed_by(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_ring.base.has_direct_files = true;
    fake_submit(io, &op, read_path);
    fake_step(io, &fake_ring, FOL_IO_OPEN, -ENFILE);
    CHECK_EQ(flying(&fake_ring)->flags & FOL_IO_DIRECT, 0);
    for (int attempt = 0; attempt < 3; attempt++) {
        fake_step(io, &fake_ring, FOL_IO_OPEN, -ENFILE);
    }
    fake_take_one(io, -ENFILE);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_file_of_a_dead_ring_is_opened_again_by_the_pool(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fol_io_request request = read_path;
    request.offset = 100;
    fake_ring.base.has_direct_files = true;
    fake_submit(io, &op, request);
    fake_step(io, &fake_ring, FOL_IO_OPEN, 0);
    fake_end(&fake_ring, 0, 96);
    fake_ring.flush_error = -EBADF;
    fol_io_poll(io);
    CHECK_EQ(fake_ring.count, 1);
    fake_end(&fake_ring, 0, -ECANCELED);
    fol_io_poll(io);
    fake_step(io, &fake_pool, FOL_IO_OPEN, 8);
    CHECK_EQ(flying(&fake_pool)->flags, 0);
    CHECK_EQ(flying(&fake_pool)->offset, 196);
    CHECK_EQ(flying(&fake_pool)->size, 4000);
    fake_step(io, &fake_pool, FOL_IO_READ, 4000);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, 0);
    fol_io_release(io, fake_take_one(io, 4096));
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_failed_read_still_closes(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fake_submit(io, &op, read_path);
    fake_step(io, &fake_pool, FOL_IO_OPEN, 9);
    fake_step(io, &fake_pool, FOL_IO_READ, -EIO);
    CHECK(fol_io_take(io) == NULL);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, -EIO);
    fake_take_one(io, -EIO);
    CHECK(op.data == NULL);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_write_by_path_makes_and_cuts_and_reports_a_failing_close(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    char text[10] = "012345678";
    fol_io_request request = on(FOL_IO_WRITE, AT_FDCWD, text, 10);
    request.flags = FOL_IO_PATH;
    request.path = "b";
    request.mode = 0640;
    fake_submit(io, &op, request);
    CHECK_EQ(flying(&fake_pool)->options, O_WRONLY | O_CREAT | O_NONBLOCK | O_TRUNC | O_CLOEXEC);
    CHECK_EQ(flying(&fake_pool)->mode, 0640);
    fake_step(io, &fake_pool, FOL_IO_OPEN, 9);
    fake_step(io, &fake_pool, FOL_IO_WRITE, 4);
    CHECK_EQ(flying(&fake_pool)->offset, 4);
    CHECK(flying(&fake_pool)->buffer == text + 4);
    fake_step(io, &fake_pool, FOL_IO_WRITE, 6);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, -ENOSPC);
    fake_take_one(io, -ENOSPC);
    request.offset = 3;
    fake_submit(io, &op, request);
    CHECK_EQ(flying(&fake_pool)->options, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC);
    fake_step(io, &fake_pool, FOL_IO_OPEN, -EACCES);
    fake_take_one(io, -EACCES);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_write_that_moves_nothing_is_an_error(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    char byte = 0;
    fake_submit(io, &op, on(FOL_IO_SEND, 3, &byte, 1));
    fake_step(io, &fake_pool, FOL_IO_SEND, 0);
    fake_take_one(io, -EIO);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_short_read_goes_on_until_nothing_comes(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    char buffer[100];
    fol_io_request request = on(FOL_IO_READ, 3, buffer, 100);
    request.offset = 1000;
    fake_submit(io, &op, request);
    fake_step(io, &fake_pool, FOL_IO_READ, 30);
    CHECK_EQ(flying(&fake_pool)->offset, 1030);
    CHECK_EQ(flying(&fake_pool)->size, 70);
    fake_step(io, &fake_pool, FOL_IO_READ, 20);
    fake_step(io, &fake_pool, FOL_IO_READ, 0);
    fake_take_one(io, 50);
    CHECK(op.data == NULL);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_large_read_is_split(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    size_t size = 2 * FOL_IO_SPLIT + 5;
    fake_submit(io, &op, on(FOL_IO_READ, 3, NULL, size));
    CHECK_EQ(flying(&fake_pool)->size, FOL_IO_SPLIT);
    fake_step(io, &fake_pool, FOL_IO_READ, FOL_IO_SPLIT);
    fake_step(io, &fake_pool, FOL_IO_READ, FOL_IO_SPLIT);
    CHECK_EQ(flying(&fake_pool)->size, 5);
    fake_step(io, &fake_pool, FOL_IO_READ, 5);
    fol_io_release(io, fake_take_one(io, (int64_t)size));
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_read_to_the_end_grows_its_buffer(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_READ, 3, NULL, 0);
    request.flags = FOL_IO_TO_END;
    fake_submit(io, &op, request);
    size_t total = 0;
    while (total < 3 * FOL_SLAB_LARGEST && fake_pool.count == 1) {
        size_t room = flying(&fake_pool)->size;
        memset(flying(&fake_pool)->buffer, (int)(total % 251), room);
        total += room;
        fake_step(io, &fake_pool, FOL_IO_READ, (int64_t)room);
    }
    fake_step(io, &fake_pool, FOL_IO_READ, 0);
    fake_take_one(io, (int64_t)total);
    CHECK_EQ(op.size, total);
    CHECK_EQ(((uint8_t *)op.data)[FOL_IO_FIRST_GUESS], FOL_IO_FIRST_GUESS % 251);
    fol_io_release(io, &op);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_told_size_is_the_guess_for_a_read_to_the_end(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_READ, 3, NULL, 4096);
    request.flags = FOL_IO_TO_END;
    fake_submit(io, &op, request);
    CHECK_EQ(flying(&fake_pool)->size, 8192);
    fake_step(io, &fake_pool, FOL_IO_READ, 4096);
    fake_step(io, &fake_pool, FOL_IO_READ, 0);
    fol_io_release(io, fake_take_one(io, 4096));
    CHECK_EQ(fake_close(io), 0);
}

static void test_vectors_go_on_in_the_middle_of_one(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    char a[10];
    char b[10];
    struct iovec vectors[3] = {{a, 10}, {NULL, 0}, {b, 10}};
    fol_io_request request = on(FOL_IO_READ, 3, vectors, 3);
    request.flags = FOL_IO_VECTORS;
    fake_submit(io, &op, request);
    CHECK_EQ(flying(&fake_pool)->size, 2);
    fake_step(io, &fake_pool, FOL_IO_READ, 4);
    const struct iovec *parts = flying(&fake_pool)->buffer;
    CHECK(parts[0].iov_base == a + 4 && parts[0].iov_len == 6);
    CHECK(parts[1].iov_base == b && parts[1].iov_len == 10);
    CHECK_EQ(flying(&fake_pool)->offset, 4);
    fake_step(io, &fake_pool, FOL_IO_READ, 15);
    parts = flying(&fake_pool)->buffer;
    CHECK_EQ(flying(&fake_pool)->size, 1);
    CHECK(parts[0].iov_base == b + 9 && parts[0].iov_len == 1);
    fake_step(io, &fake_pool, FOL_IO_READ, 1);
    fake_take_one(io, 20);
    CHECK_EQ(vectors[0].iov_len, 10);
    CHECK(op.data == NULL);
    CHECK_EQ(fake_close(io), 0);
}

static void test_large_vectors_are_split(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    static char memory[3 * (1 << 20)];
    struct iovec vectors[2] = {{memory, (size_t)3 << 19}, {memory + (3 << 19), (size_t)3 << 19}};
    fol_io_request request = on(FOL_IO_WRITE, 3, vectors, 2);
    request.flags = FOL_IO_VECTORS;
    fake_submit(io, &op, request);
    for (int i = 0; i < 3; i++) {
        fake_step(io, &fake_pool, FOL_IO_WRITE, FOL_IO_SPLIT);
    }
    fake_take_one(io, sizeof memory);
    CHECK_EQ(fake_close(io), 0);
}

static void test_whole_records_are_received_whole(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fol_io_request request = on(FOL_IO_RECV, 3, NULL, 100);
    fake_submit(io, &op, request);
    fake_step(io, &fake_pool, FOL_IO_RECV, 40);
    fol_io_release(io, fake_take_one(io, 40));
    request.flags = FOL_IO_WHOLE;
    fake_submit(io, &op, request);
    fake_step(io, &fake_pool, FOL_IO_RECV, 40);
    fake_step(io, &fake_pool, FOL_IO_RECV, 0);
    fol_io_release(io, fake_take_one(io, 40));
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_storm_of_interruptions_ends(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fake_submit(io, &op, on(FOL_IO_READ, 3, NULL, 10));
    for (int i = 0; i < FOL_IO_ATTEMPTS; i++) {
        fake_step(io, &fake_pool, FOL_IO_READ, -EINTR);
    }
    fake_step(io, &fake_pool, FOL_IO_READ, -EINTR);
    fake_take_one(io, -EINTR);
    fol_io_stats stats;
    fol_io_read_stats(io, &stats);
    CHECK_EQ(stats.retries, FOL_IO_ATTEMPTS);
    CHECK_EQ(fake_close(io), 0);
}

static void test_what_cannot_be_done_now_waits_in_a_poll(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fake_submit(io, &op, on(FOL_IO_RECV, 3, NULL, 10));
    fake_step(io, &fake_pool, FOL_IO_RECV, -EAGAIN);
    CHECK_EQ(flying(&fake_pool)->options, POLLIN);
    CHECK_EQ(flying(&fake_pool)->fd, 3);
    fake_step(io, &fake_pool, FOL_IO_POLL, POLLIN);
    fake_step(io, &fake_pool, FOL_IO_RECV, 10);
    fol_io_release(io, fake_take_one(io, 10));
    char byte = 0;
    fake_submit(io, &op, on(FOL_IO_SEND, 3, &byte, 1));
    fake_step(io, &fake_pool, FOL_IO_SEND, -EAGAIN);
    CHECK_EQ(flying(&fake_pool)->options, POLLOUT);
    fake_step(io, &fake_pool, FOL_IO_POLL, -EBADF);
    fake_take_one(io, -EBADF);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_storm_of_false_readiness_ends(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fake_submit(io, &op, on(FOL_IO_RECV, 3, NULL, 10));
    for (int i = 0; i < FOL_IO_ATTEMPTS; i++) {
        fake_step(io, &fake_pool, FOL_IO_RECV, -EAGAIN);
        fake_step(io, &fake_pool, FOL_IO_POLL, POLLIN);
    }
    fake_step(io, &fake_pool, FOL_IO_RECV, -EAGAIN);
    fake_take_one(io, -EAGAIN);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_connect_under_way_is_waited_for(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    char address[16] = {0};
    fake_submit(io, &op, on(FOL_IO_CONNECT, 3, address, sizeof address));
    fake_step(io, &fake_pool, FOL_IO_CONNECT, -EINPROGRESS);
    fake_step(io, &fake_pool, FOL_IO_POLL, POLLOUT);
    fake_step(io, &fake_pool, FOL_IO_CONNECT, -EISCONN);
    fake_take_one(io, 0);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_cancel_of_its_own_accord_is_done_again(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_RING);
    fol_io_op op;
    fake_submit(io, &op, on(FOL_IO_RECV, 3, NULL, 10));
    fake_step(io, &fake_ring, FOL_IO_RECV, -ECANCELED);
    fake_step(io, &fake_ring, FOL_IO_RECV, 2);
    fol_io_release(io, fake_take_one(io, 2));
    CHECK_EQ(fake_close(io), 0);
}

static void test_without_descriptors_files_wait_for_those_before_them(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op ops[2];
    fake_submit(io, &ops[0], read_path);
    fake_step(io, &fake_pool, FOL_IO_OPEN, 9);
    fake_submit(io, &ops[1], read_path);
    fake_end(&fake_pool, 1, -EMFILE);
    fol_io_poll(io);
    CHECK_EQ(fake_pool.count, 1);
    fake_step(io, &fake_pool, FOL_IO_READ, 4096);
    CHECK_EQ(fake_pool.count, 1);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, 0);
    fol_io_release(io, fake_take_one(io, 4096));
    /* What was open when it failed may be closed by now: it is tried again, within a bound. */
    for (int attempt = 0; attempt < 3; attempt++) {
        fake_step(io, &fake_pool, FOL_IO_OPEN, -EMFILE);
    }
    fake_take_one(io, -EMFILE);
    CHECK_EQ(fake_close(io), 0);
}

static void test_only_so_many_files_are_open_at_one_time(void)
{
    enum { COUNT = 1000 };
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    static fol_io_op ops[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fake_submit(io, &ops[i], read_path);
    }
    CHECK_EQ(fake_pool.count, FOL_IO_OPEN_FILES);
    CHECK_EQ(fake_close(io), COUNT);
}

static void test_files_without_positions_are_read_where_they_are(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fake_submit(io, &op, read_path);
    fake_step(io, &fake_pool, FOL_IO_OPEN, 9);
    fake_step(io, &fake_pool, FOL_IO_READ, -ESPIPE);
    CHECK_EQ(flying(&fake_pool)->offset, FOL_IO_CURRENT);
    fake_step(io, &fake_pool, FOL_IO_READ, 4096);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, 0);
    fol_io_release(io, fake_take_one(io, 4096));
    CHECK_EQ(fake_close(io), 0);
}

static void test_stat_gives_foliots_own_buffer(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fol_io_op op;
    fake_submit(io, &op, on(FOL_IO_STAT, 3, NULL, 0));
    ((struct statx *)flying(&fake_pool)->buffer)->stx_size = 12;
    fake_step(io, &fake_pool, FOL_IO_STAT, 0);
    fake_take_one(io, 0);
    CHECK_EQ(op.size, sizeof(struct statx));
    CHECK_EQ(((struct statx *)op.data)->stx_size, 12);
    fol_io_release(io, &op);
    CHECK_EQ(fake_close(io), 0);
}

static void test_memory_refused_at_every_point_is_a_result_or_nothing(void)
{
    fol_memory_stats before;
    fol_memory_stats after;
    fol_memory_read_stats(&before);
    bool goes_on = true;
    for (uint64_t n = 1; goes_on && n < 50; n++) {
        fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
        fol_io_op op;
        fol_memory_fail_nth(n);
        fol_io_request request = on(FOL_IO_READ, 3, NULL, 0);
        request.flags = FOL_IO_TO_END;
        fake_submit(io, &op, request);
        size_t total = 0;
        while (fake_pool.count == 1) {
            size_t room = total < 3 * FOL_SLAB_LARGEST ? flying(&fake_pool)->size : 0;
            total += room;
            fake_step(io, &fake_pool, FOL_IO_READ, (int64_t)room);
        }
        goes_on = !fol_memory_failure_is_armed();
        fol_memory_fail_nth(0);
        fol_io_release(io, fake_take_one(io, goes_on ? -ENOMEM : (int64_t)total));
        CHECK_EQ(fake_close(io), 0);
    }
    CHECK(!goes_on);
    fol_memory_read_stats(&after);
    CHECK_EQ(after.live_blocks, before.live_blocks);
}

int main(void)
{
    RUN(test_a_file_of_known_size_is_opened_read_and_closed_and_no_more);
    RUN(test_files_stay_in_the_engines_own_table_where_it_has_one);
    RUN(test_a_full_table_is_passed_by);
    RUN(test_a_file_of_a_dead_ring_is_opened_again_by_the_pool);
    RUN(test_a_failed_read_still_closes);
    RUN(test_a_write_by_path_makes_and_cuts_and_reports_a_failing_close);
    RUN(test_a_write_that_moves_nothing_is_an_error);
    RUN(test_a_short_read_goes_on_until_nothing_comes);
    RUN(test_a_large_read_is_split);
    RUN(test_a_read_to_the_end_grows_its_buffer);
    RUN(test_a_told_size_is_the_guess_for_a_read_to_the_end);
    RUN(test_vectors_go_on_in_the_middle_of_one);
    RUN(test_large_vectors_are_split);
    RUN(test_whole_records_are_received_whole);
    RUN(test_a_storm_of_interruptions_ends);
    RUN(test_what_cannot_be_done_now_waits_in_a_poll);
    RUN(test_a_storm_of_false_readiness_ends);
    RUN(test_a_connect_under_way_is_waited_for);
    RUN(test_a_cancel_of_its_own_accord_is_done_again);
    RUN(test_without_descriptors_files_wait_for_those_before_them);
    RUN(test_only_so_many_files_are_open_at_one_time);
    RUN(test_files_without_positions_are_read_where_they_are);
    RUN(test_stat_gives_foliots_own_buffer);
    RUN(test_memory_refused_at_every_point_is_a_result_or_nothing);
    CHECK_MAIN_END();
}
