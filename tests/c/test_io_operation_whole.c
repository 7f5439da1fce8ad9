/* Files that an engine does whole, on engines that a test scripts: what it is asked for, and how
 * the driver goes on with whatever state it gives the file back in.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "io_fake_engine.h"

static fol_io *open_whole(void)
{
    fol_io *io = fake_open(FOL_IO_CHOICE_POOL);
    fake_pool.base.takes_paths = true;
    return io;
}

static fol_io_whole *whole_of(const fol_io_request *request)
{
    return (fol_io_whole *)(uintptr_t)request->handle;
}

/* Ends the request that flies with a file in this state. */
static void end_whole(fol_io *io, fol_io_whole state, int64_t value)
{
    *whole_of(flying(&fake_pool)) = state;
    fake_step(io, &fake_pool, FOL_IO_READ, value);
}

static void test_a_read_by_path_is_one_request(void)
{
    fol_io *io = open_whole();
    fol_io_op op;
    fake_submit(io, &op, read_path);
    CHECK_EQ(flying(&fake_pool)->flags & FOL_IO_PATH, FOL_IO_PATH);
    CHECK_EQ(flying(&fake_pool)->options, O_RDONLY | O_CLOEXEC);
    CHECK_EQ(flying(&fake_pool)->size, 4096);
    memset(flying(&fake_pool)->buffer, 'x', 4096);
    end_whole(io, (fol_io_whole){.opened = 9, .is_closed = true}, 4096);
    fake_take_one(io, 4096);
    CHECK_EQ(fake_pool.starts, 1);
    CHECK_EQ(op.size, 4096);
    CHECK_EQ(((char *)op.data)[4095], 'x');
    fol_io_release(io, &op);
    CHECK_EQ(fake_close(io), 0);
}

static void test_the_end_of_a_file_in_its_middle_is_a_short_result(void)
{
    fol_io *io = open_whole();
    fol_io_op op;
    fake_submit(io, &op, read_path);
    end_whole(io, (fol_io_whole){.opened = 9, .done = 100, .is_closed = true}, 0);
    fol_io_release(io, fake_take_one(io, 100));
    fake_submit(io, &op, read_path);
    end_whole(io, (fol_io_whole){.opened = -1}, -ENOENT);
    fake_take_one(io, -ENOENT);
    CHECK(op.data == NULL);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_file_that_grows_beyond_the_guess_goes_on_step_by_step(void)
{
    fol_io *io = open_whole();
    fol_io_op op;
    fol_io_request request = read_path;
    request.flags |= FOL_IO_TO_END;
    request.size = 0;
    fake_submit(io, &op, request);
    size_t room = flying(&fake_pool)->size;
    CHECK(room >= FOL_IO_FIRST_GUESS);
    memset(flying(&fake_pool)->buffer, 'a', room);
    end_whole(io, (fol_io_whole){.opened = 9, .done = 10}, (int64_t)room - 10);
    CHECK_EQ(flying(&fake_pool)->fd, 9);
    CHECK_EQ(flying(&fake_pool)->offset, room);
    CHECK(((char *)flying(&fake_pool)->buffer)[-1] == 'a');
    fake_step(io, &fake_pool, FOL_IO_READ, 0);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, 0);
    fol_io_release(io, fake_take_one(io, (int64_t)room));
    CHECK_EQ(fake_close(io), 0);
}

static void test_what_has_no_positions_goes_on_where_it_is(void)
{
    fol_io *io = open_whole();
    fol_io_op op;
    fake_submit(io, &op, read_path);
    end_whole(io, (fol_io_whole){.opened = 9}, -ESPIPE);
    CHECK_EQ(flying(&fake_pool)->fd, 9);
    CHECK_EQ(flying(&fake_pool)->offset, FOL_IO_CURRENT);
    fake_step(io, &fake_pool, FOL_IO_READ, 4096);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, 0);
    fol_io_release(io, fake_take_one(io, 4096));
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_failure_closes_and_tells_what_had_come_before(void)
{
    fol_io *io = open_whole();
    fol_io_op op;
    fake_submit(io, &op, read_path);
    end_whole(io, (fol_io_whole){.opened = 9, .done = 7}, -EIO);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, 0);
    fake_take_one(io, -EIO);
    CHECK_EQ(op.size, 7);
    fol_io_release(io, &op);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_failing_close_is_the_result_of_a_write_and_not_of_a_read(void)
{
    fol_io *io = open_whole();
    fol_io_op op;
    char text[10] = "012345678";
    fol_io_request request = read_path;
    fake_submit(io, &op, request);
    end_whole(io, (fol_io_whole){.opened = 9, .closed = -EIO, .is_closed = true}, 4096);
    fol_io_release(io, fake_take_one(io, 4096));
    request = on(FOL_IO_WRITE, AT_FDCWD, text, 10);
    request.flags = FOL_IO_PATH;
    request.path = "b";
    request.mode = 0640;
    fake_submit(io, &op, request);
    CHECK_EQ(flying(&fake_pool)->options, O_WRONLY | O_CREAT | O_NONBLOCK | O_TRUNC | O_CLOEXEC);
    CHECK_EQ(flying(&fake_pool)->mode, 0640);
    *whole_of(flying(&fake_pool)) =
        (fol_io_whole){.opened = 9, .closed = -ENOSPC, .is_closed = true};
    fake_step(io, &fake_pool, FOL_IO_WRITE, 10);
    fake_take_one(io, -ENOSPC);
    CHECK_EQ(op.size, 10);
    /* A write that moves nothing is an error. */
    fake_submit(io, &op, request);
    *whole_of(flying(&fake_pool)) = (fol_io_whole){.opened = 9, .done = 4, .is_closed = true};
    fake_step(io, &fake_pool, FOL_IO_WRITE, 0);
    fake_take_one(io, -EIO);
    CHECK_EQ(op.size, 4);
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_cancel_between_two_calls_closes(void)
{
    fol_io *io = open_whole();
    fol_io_op op;
    fake_submit(io, &op, read_path);
    CHECK(fol_io_cancel(io, &op));
    CHECK_EQ(fake_pool.cancels, 1);
    end_whole(io, (fol_io_whole){.opened = 9, .done = 5}, -ECANCELED);
    fake_step(io, &fake_pool, FOL_IO_CLOSE, 0);
    fake_take_one(io, -ECANCELED);
    CHECK_EQ(op.size, 5);
    fol_io_release(io, &op);
    /* One that comes too late changes nothing. */
    fake_submit(io, &op, read_path);
    CHECK(fol_io_cancel(io, &op));
    end_whole(io, (fol_io_whole){.opened = 9, .is_closed = true}, 4096);
    fol_io_release(io, fake_take_one(io, 4096));
    CHECK_EQ(fake_close(io), 0);
}

static void test_large_files_vectors_and_positions_go_step_by_step(void)
{
    fol_io *io = open_whole();
    fol_io_op op;
    static char bytes[4];
    struct iovec vector = {bytes, 4};
    fol_io_request requests[3] = {read_path, read_path, read_path};
    requests[0].size = FOL_IO_SPLIT + 1;
    requests[1].offset = FOL_IO_CURRENT;
    requests[2].flags |= FOL_IO_VECTORS;
    requests[2].buffer = &vector;
    requests[2].size = 1;
    for (int i = 0; i < 3; i++) {
        fake_submit(io, &op, requests[i]);
        fake_step(io, &fake_pool, FOL_IO_OPEN, -EACCES);
        fol_io_release(io, fake_take_one(io, -EACCES));
    }
    CHECK_EQ(fake_close(io), 0);
}

static void test_a_process_without_descriptors_opens_later(void)
{
    fol_io *io = open_whole();
    fol_io_op ops[2];
    fake_submit(io, &ops[0], read_path);
    fake_submit(io, &ops[1], read_path);
    CHECK_EQ(fake_pool.count, 2);
    *whole_of(fake_pool.flying[1].request) = (fol_io_whole){.opened = -1};
    fake_end(&fake_pool, 1, -EMFILE);
    fol_io_poll(io);
    CHECK_EQ(fake_pool.count, 1);
    end_whole(io, (fol_io_whole){.opened = 9, .is_closed = true}, 4096);
    fol_io_release(io, fake_take_one(io, 4096));
    end_whole(io, (fol_io_whole){.opened = 9, .is_closed = true}, 4096);
    fol_io_release(io, fake_take_one(io, 4096));
    CHECK_EQ(fake_close(io), 0);
}

int main(void)
{
    RUN(test_a_read_by_path_is_one_request);
    RUN(test_the_end_of_a_file_in_its_middle_is_a_short_result);
    RUN(test_a_file_that_grows_beyond_the_guess_goes_on_step_by_step);
    RUN(test_what_has_no_positions_goes_on_where_it_is);
    RUN(test_a_failure_closes_and_tells_what_had_come_before);
    RUN(test_a_failing_close_is_the_result_of_a_write_and_not_of_a_read);
    RUN(test_a_cancel_between_two_calls_closes);
    RUN(test_large_files_vectors_and_positions_go_step_by_step);
    RUN(test_a_process_without_descriptors_opens_later);
    CHECK_MAIN_END();
}
