/* The table of operations: each row done by its call and on a ring gives the same, and what makes
 * no sense as a request is refused with its own sentence. Sockets have a program of their own. */
#include "io_operation_fixture.h"

static void test_each_kind_has_a_row_of_its_name(void)
{
    for (uint32_t kind = 0; kind < FOL_IO_KIND_COUNT; kind++) {
        const fol_io_operation *row = fol_io_operation_of(kind);
        bool is_of_engines = kind != FOL_IO_TIMEOUT && kind != FOL_IO_CANCEL;
        CHECK_STR(row->name, fol_io_kind_name(kind));
        CHECK_EQ(row->call != NULL, is_of_engines);
        CHECK_EQ(row->prepare != NULL, is_of_engines);
        CHECK_EQ(row->opcode != UINT32_MAX, is_of_engines);
    }
    CHECK(fol_io_operation_of(FOL_IO_KIND_COUNT) == NULL);
    CHECK(fol_io_kind_name(FOL_IO_KIND_COUNT) == NULL);
}

static void test_nop_gives_zero(void)
{
    FOR_EACH_WAY(how)
    {
        CHECK_EQ(perform(&(fol_io_request){.kind = FOL_IO_NOP}, how), 0);
    }
}

static void test_open_gives_a_descriptor_that_a_new_program_does_not_get(void)
{
    fol_io_request request = {.kind = FOL_IO_OPEN,
                              .fd = AT_FDCWD,
                              .path = path_of("opened"),
                              .options = O_RDWR | O_CREAT,
                              .mode = 0640};
    FOR_EACH_WAY(how)
    {
        struct stat status;
        int fd = (int)perform(&request, how);
        CHECK(fd >= 0);
        CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
        CHECK_EQ(fstat(fd, &status), 0);
        CHECK_EQ(status.st_mode & 0777, 0640);
        close(fd);
        unlink(request.path);
    }
}

static void test_open_says_why_it_cannot(void)
{
    fol_io_request request = {.kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = path_of("nothing")};
    FOR_EACH_WAY(how)
    {
        CHECK_EQ(perform(&request, how), -ENOENT);
    }
}

static void test_open_of_a_named_pipe_does_not_wait_when_impatient(void)
{
    fol_io_request request = {.kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = path_of("pipe")};
    CHECK_EQ(mkfifo(request.path, 0600), 0);
    CHECK_EQ(perform_now(&request), -EAGAIN);
    request.options = O_RDWR;
    int fd = (int)perform_now(&request);
    CHECK(fd >= 0);
    close(fd);
}

static void test_close_closes_once(void)
{
    FOR_EACH_WAY(how)
    {
        fol_io_request request = {.kind = FOL_IO_CLOSE, .fd = open("/", O_RDONLY | O_CLOEXEC)};
        CHECK_EQ(perform(&request, how), 0);
        CHECK_EQ(fcntl(request.fd, F_GETFD), -1);
        CHECK_EQ(perform(&request, how), -EBADF);
    }
}

static void test_read_begins_at_its_offset(void)
{
    int fd = make_file("read", "0123456789");
    FOR_EACH_WAY(how)
    {
        char buffer[8] = {0};
        fol_io_request request = {
            .kind = FOL_IO_READ, .fd = fd, .buffer = buffer, .size = 4, .offset = 3};
        CHECK_EQ(perform(&request, how), 4);
        CHECK_STR(buffer, "3456");
        request.offset = 8;
        CHECK_EQ(perform(&request, how), 2);
        request.offset = 10;
        CHECK_EQ(perform(&request, how), 0);
    }
    close(fd);
}

static void test_read_at_the_position_moves_it(void)
{
    int fd = make_file("position", "0123456789");
    FOR_EACH_WAY(how)
    {
        char buffer[8] = {0};
        fol_io_request request = {
            .kind = FOL_IO_READ, .fd = fd, .buffer = buffer, .size = 4, .offset = FOL_IO_CURRENT};
        lseek(fd, 2, SEEK_SET);
        CHECK_EQ(perform(&request, how), 4);
        CHECK_STR(buffer, "2345");
        CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6);
    }
    close(fd);
}

static void test_vectors_are_filled_in_order(void)
{
    FOR_EACH_WAY(how)
    {
        int fd = make_file("vectors", "0123456789");
        char first[3] = {0};
        char second[5] = {0};
        struct iovec vectors[2] = {{first, 2}, {second, 4}};
        fol_io_request request = {.kind = FOL_IO_READ,
                                  .flags = FOL_IO_VECTORS,
                                  .fd = fd,
                                  .buffer = vectors,
                                  .size = 2,
                                  .offset = 1};
        CHECK_EQ(perform(&request, how), 6);
        CHECK_STR(first, "12");
        CHECK_STR(second, "3456");
        request.kind = FOL_IO_WRITE;
        request.offset = 4;
        CHECK_EQ(perform(&request, how), 6);
        close(fd);
    }
}

static void test_read_of_a_stream_has_no_use_for_an_offset(void)
{
    FOR_EACH_WAY(how)
    {
        int ends[2];
        char buffer[8] = {0};
        CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
        CHECK_EQ(write(ends[1], "abc", 3), 3);
        fol_io_request request = {
            .kind = FOL_IO_READ, .fd = ends[0], .buffer = buffer, .size = 8, .offset = 5};
        CHECK_EQ(perform(&request, how), 3);
        CHECK_STR(buffer, "abc");
        close_pair(ends);
    }
}

static void test_read_says_what_is_wrong(void)
{
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int write_fd = open(path_of("write_only"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    FOR_EACH_WAY(how)
    {
        char byte;
        fol_io_request request = {.kind = FOL_IO_READ, .buffer = &byte, .size = 1};
        request.fd = folder_fd;
        CHECK_EQ(perform(&request, how), -EISDIR);
        request.fd = write_fd;
        CHECK_EQ(perform(&request, how), -EBADF);
    }
    close(folder_fd);
    close(write_fd);
}

static void test_an_impatient_read_of_an_empty_stream_gives_eagain(void)
{
    int ends[2];
    int pair[2];
    char byte;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    make_pair(pair);
    fol_io_request request = {.kind = FOL_IO_READ, .fd = ends[0], .buffer = &byte, .size = 1};
    CHECK_EQ(perform_now(&request), -EAGAIN);
    request.offset = FOL_IO_CURRENT;
    CHECK_EQ(perform_now(&request), -EAGAIN);
    request.fd = pair[0];
    CHECK_EQ(perform_now(&request), -EAGAIN);
    close(ends[1]);
    request.fd = ends[0];
    CHECK_EQ(perform_now(&request), 0);
    close(ends[0]);
    close_pair(pair);
}

static void test_an_impatient_read_of_a_terminal_does_not_wait(void)
{
    char byte = 0;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0);
    CHECK_EQ(grantpt(master), 0);
    CHECK_EQ(unlockpt(master), 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(terminal >= 0);
    fol_io_request request = {.kind = FOL_IO_READ, .fd = terminal, .buffer = &byte, .size = 1};
    CHECK_EQ(perform_now(&request), -EAGAIN);
    CHECK_EQ(write(master, "x\n", 2), 2);
    CHECK_EQ(perform_now(&request), 1);
    CHECK_EQ(byte, 'x');
    close(terminal);
    close(master);
}

static void test_write_goes_where_its_offset_says(void)
{
    int fd = make_file("write", "0123456789");
    FOR_EACH_WAY(how)
    {
        char text[16] = {0};
        char letters[] = "abc";
        fol_io_request request = {
            .kind = FOL_IO_WRITE, .fd = fd, .buffer = letters, .size = 3, .offset = 2};
        CHECK_EQ(perform(&request, how), 3);
        CHECK_EQ(pread(fd, text, 10, 0), 10);
        CHECK_STR(text, "01abc56789");
        request.fd = -1;
        CHECK_EQ(perform(&request, how), -EBADF);
    }
    close(fd);
}

static void test_write_to_a_pipe_that_nobody_reads_raises_no_signal(void)
{
    /* The default action would end the test. */
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    FOR_EACH_WAY(how)
    {
        int ends[2];
        CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
        close(ends[0]);
        fol_io_request request = {.kind = FOL_IO_WRITE, .fd = ends[1], .buffer = folder, .size = 1};
        if (how == BY_CALL) {
            CHECK_EQ(perform(&request, how), -EPIPE);
            CHECK_EQ(perform_now(&request), -EPIPE);
        }
        close(ends[1]);
    }
}

static void test_an_impatient_write_to_a_full_pipe_gives_eagain(void)
{
    int ends[2];
    char page[4096] = {0};
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    fol_io_request request = {
        .kind = FOL_IO_WRITE, .fd = ends[1], .buffer = page, .size = sizeof(page)};
    int64_t value = sizeof(page);
    for (int i = 0; i < 1000 && value == (int64_t)sizeof(page); i++) {
        value = perform_now(&request);
    }
    CHECK_EQ(value, -EAGAIN);
    close_pair(ends);
}

static void test_fsync_takes_files_only(void)
{
    int fd = make_file("fsync", "x");
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    FOR_EACH_WAY(how)
    {
        CHECK_EQ(perform(&(fol_io_request){.kind = FOL_IO_FSYNC, .fd = fd}, how), 0);
        CHECK_EQ(perform(&(fol_io_request){.kind = FOL_IO_FSYNC, .fd = fd, .options = 1}, how), 0);
        CHECK_EQ(perform(&(fol_io_request){.kind = FOL_IO_FSYNC, .fd = ends[0]}, how), -EINVAL);
    }
    close_pair(ends);
    close(fd);
}

static void test_stat_is_of_a_path_or_a_descriptor(void)
{
    int fd = make_file("stat", "12345");
    FOR_EACH_WAY(how)
    {
        struct statx by_path = {0};
        struct statx by_fd = {0};
        fol_io_request request = {.kind = FOL_IO_STAT,
                                  .flags = FOL_IO_PATH,
                                  .fd = AT_FDCWD,
                                  .path = path_of("stat"),
                                  .buffer = &by_path};
        CHECK_EQ(perform(&request, how), 0);
        CHECK_EQ(by_path.stx_size, 5);
        CHECK(S_ISREG(by_path.stx_mode));
        request = (fol_io_request){.kind = FOL_IO_STAT, .fd = fd, .buffer = &by_fd};
        CHECK_EQ(perform(&request, how), 0);
        CHECK_EQ(by_fd.stx_ino, by_path.stx_ino);
        request.flags = FOL_IO_PATH;
        request.fd = AT_FDCWD;
        request.path = path_of("nothing");
        CHECK_EQ(perform(&request, how), -ENOENT);
    }
    close(fd);
}

static void test_stat_of_a_link_can_be_of_the_link_itself(void)
{
    CHECK_EQ(symlink("nothing", path_of("link")), 0);
    FOR_EACH_WAY(how)
    {
        struct statx status = {0};
        fol_io_request request = {.kind = FOL_IO_STAT,
                                  .flags = FOL_IO_PATH,
                                  .fd = AT_FDCWD,
                                  .path = path_of("link"),
                                  .options = AT_SYMLINK_NOFOLLOW,
                                  .buffer = &status};
        CHECK_EQ(perform(&request, how), 0);
        CHECK(S_ISLNK(status.stx_mode));
    }
}

static void test_rename_replaces_unless_told_not_to(void)
{
    FOR_EACH_WAY(how)
    {
        close(make_file("old", "1"));
        close(make_file("new", "2"));
        fol_io_request request = {.kind = FOL_IO_RENAME,
                                  .fd = AT_FDCWD,
                                  .path = path_of("old"),
                                  .path2 = path_of("new"),
                                  .options = RENAME_NOREPLACE};
        CHECK_EQ(perform(&request, how), -EEXIST);
        request.options = 0;
        CHECK_EQ(perform(&request, how), 0);
        CHECK_EQ(access(path_of("old"), F_OK), -1);
        CHECK_EQ(perform(&request, how), -ENOENT);
    }
}

static void test_unlink_and_mkdir_are_relative_to_a_folder(void)
{
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FOR_EACH_WAY(how)
    {
        fol_io_request request = {
            .kind = FOL_IO_MKDIR, .fd = folder_fd, .path = "made", .mode = 0700};
        CHECK_EQ(perform(&request, how), 0);
        CHECK_EQ(perform(&request, how), -EEXIST);
        request = (fol_io_request){.kind = FOL_IO_UNLINK, .fd = folder_fd, .path = "made"};
        CHECK_EQ(perform(&request, how), -EISDIR);
        request.options = AT_REMOVEDIR;
        CHECK_EQ(perform(&request, how), 0);
        CHECK_EQ(perform(&request, how), -ENOENT);
    }
    close(folder_fd);
}

static void no_handler(int number)
{
    (void)number;
}

static void test_a_call_goes_on_after_a_signal(void)
{
    int ends[2];
    char byte = 0;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    struct sigaction action = {.sa_handler = no_handler};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 20; i++) {
            kill(parent, SIGUSR1);
        }
        _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
    }
    fol_io_request request = {.kind = FOL_IO_READ, .fd = ends[0], .buffer = &byte, .size = 1};
    CHECK_EQ(perform(&request, BY_CALL), 1);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    close_pair(ends);
}

typedef struct mistake {
    fol_io_request request;
    const char *part; /* of the sentence */
} mistake;

static void test_each_mistake_has_its_sentence(void)
{
    static char byte;
    const mistake mistakes[] = {
        {{.kind = FOL_IO_KIND_COUNT}, "kind is none"},
        {{.kind = FOL_IO_NOP, .flags = 1u << 20}, "no flag"},
        {{.kind = FOL_IO_SEND, .flags = FOL_IO_PATH, .path = "x"}, "FOL_IO_PATH goes"},
        {{.kind = FOL_IO_SEND, .flags = FOL_IO_VECTORS}, "FOL_IO_VECTORS goes"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_MANY}, "FOL_IO_MANY goes"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_WHOLE}, "FOL_IO_WHOLE goes"},
        {{.kind = FOL_IO_WRITE, .flags = FOL_IO_TO_END}, "FOL_IO_TO_END goes"},
        {{.kind = FOL_IO_RECV, .flags = FOL_IO_MANY | FOL_IO_WHOLE}, "only one of them"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_TO_END | FOL_IO_VECTORS}, "not into vectors"},
        {{.kind = FOL_IO_OPEN}, "path is missing"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_PATH}, "path is missing"},
        {{.kind = FOL_IO_READ, .path = "x"}, "either a path or a descriptor"},
        {{.kind = FOL_IO_SEND, .path = "x"}, "has none"},
        {{.kind = FOL_IO_RENAME, .path = "x"}, "path2, the new name"},
        {{.kind = FOL_IO_UNLINK, .path = "x", .path2 = "y"}, "rename only"},
        {{.kind = FOL_IO_CLOSE, .fd = -1}, "fd is negative"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_TO_END, .buffer = &byte}, "buffer must be NULL"},
        {{.kind = FOL_IO_READ}, "how much"},
        {{.kind = FOL_IO_RECV, .flags = FOL_IO_MANY, .buffer = &byte}, "buffer must be NULL"},
        {{.kind = FOL_IO_RECV, .buffer = &byte}, "how much"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_VECTORS, .size = 1}, "struct iovec"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_VECTORS, .buffer = &byte, .size = 2000}, "1,024"},
        {{.kind = FOL_IO_WRITE, .size = 1}, "nothing to write from"},
        {{.kind = FOL_IO_SEND, .size = 1}, "nothing to write from"},
        {{.kind = FOL_IO_CONNECT}, "the address"},
        {{.kind = FOL_IO_WRITE, .offset = UINT64_MAX - 1}, "offset is negative"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_PATH, .path = "x", .size = 1, .options = O_RDWR},
         "an access mode"},
        {{.kind = FOL_IO_WRITE, .flags = FOL_IO_PATH, .path = "x", .options = O_WRONLY},
         "an access mode"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_PATH, .path = "x", .size = 1, .options = O_CREAT},
         "only a write may"},
        {{.kind = FOL_IO_READ, .flags = FOL_IO_PATH, .path = "x", .size = 1, .options = O_TRUNC},
         "only a write may"},
        {{.kind = FOL_IO_FSYNC, .options = 2}, "data only"},
        {{.kind = FOL_IO_POLL}, "at least one"},
        {{.kind = FOL_IO_CANCEL}, "handle is 0"},
    };
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        const char *what = "";
        CHECK_EQ(fol_io_request_check(&mistakes[i].request, &what), FOL_E_VALUE);
        if (!CHECK(strstr(what, mistakes[i].part) != NULL)) {
            fprintf(stderr, "mistake %zu: %s\n", i, what);
        }
    }
}

static void test_requests_that_make_sense_pass(void)
{
    static char byte;
    const fol_io_request requests[] = {
        {.kind = FOL_IO_NOP},
        {.kind = FOL_IO_OPEN, .fd = AT_FDCWD, .path = "x"},
        {.kind = FOL_IO_READ, .buffer = &byte, .size = 1},
        {.kind = FOL_IO_READ, .size = 1, .offset = FOL_IO_CURRENT},
        {.kind = FOL_IO_READ, .flags = FOL_IO_PATH | FOL_IO_TO_END, .fd = AT_FDCWD, .path = "x"},
        {.kind = FOL_IO_READ,
         .flags = FOL_IO_PATH,
         .path = "x",
         .size = 1,
         .options = O_NOFOLLOW | O_NONBLOCK},
        {.kind = FOL_IO_WRITE, .flags = FOL_IO_PATH, .path = "x", .options = O_EXCL | O_APPEND},
        {.kind = FOL_IO_WRITE},
        {.kind = FOL_IO_STAT, .flags = FOL_IO_PATH, .fd = AT_FDCWD, .path = "x"},
        {.kind = FOL_IO_RECV, .flags = FOL_IO_MANY},
        {.kind = FOL_IO_RECV, .flags = FOL_IO_WHOLE, .size = 10},
        {.kind = FOL_IO_ACCEPT, .flags = FOL_IO_MANY},
        {.kind = FOL_IO_POLL, .options = POLLIN},
        {.kind = FOL_IO_TIMEOUT},
        {.kind = FOL_IO_CANCEL, .handle = 1},
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        const char *what = "";
        if (!CHECK_EQ(fol_io_request_check(&requests[i], &what), FOL_OK)) {
            fprintf(stderr, "request %zu: %s\n", i, what);
        }
    }
}

int main(void)
{
    if (open_fixture() != 0) {
        return 1;
    }
    RUN(test_each_kind_has_a_row_of_its_name);
    RUN(test_nop_gives_zero);
    RUN(test_open_gives_a_descriptor_that_a_new_program_does_not_get);
    RUN(test_open_says_why_it_cannot);
    RUN(test_open_of_a_named_pipe_does_not_wait_when_impatient);
    RUN(test_close_closes_once);
    RUN(test_read_begins_at_its_offset);
    RUN(test_read_at_the_position_moves_it);
    RUN(test_vectors_are_filled_in_order);
    RUN(test_read_of_a_stream_has_no_use_for_an_offset);
    RUN(test_read_says_what_is_wrong);
    RUN(test_an_impatient_read_of_an_empty_stream_gives_eagain);
    RUN(test_an_impatient_read_of_a_terminal_does_not_wait);
    RUN(test_write_goes_where_its_offset_says);
    RUN(test_write_to_a_pipe_that_nobody_reads_raises_no_signal);
    RUN(test_an_impatient_write_to_a_full_pipe_gives_eagain);
    RUN(test_fsync_takes_files_only);
    RUN(test_stat_is_of_a_path_or_a_descriptor);
    RUN(test_stat_of_a_link_can_be_of_the_link_itself);
    RUN(test_rename_replaces_unless_told_not_to);
    RUN(test_unlink_and_mkdir_are_relative_to_a_folder);
    RUN(test_a_call_goes_on_after_a_signal);
    RUN(test_each_mistake_has_its_sentence);
    RUN(test_requests_that_make_sense_pass);
    close_fixture();
    CHECK_MAIN_END();
}
