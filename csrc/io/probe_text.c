/* The words for what the io_uring probe found: operations, flags, steps and cures.
 *
 * The tables follow the kernel's numbering, which never changes; what a later kernel adds has no
 * name here and is shown by number.
 */
#include "io/probe.h"

#include <stddef.h>

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

const char *fol_io_operation_name(uint32_t opcode)
{
    static const char *const names[] = {"nop",
                                        "readv",
                                        "writev",
                                        "fsync",
                                        "read_fixed",
                                        "write_fixed",
                                        "poll_add",
                                        "poll_remove",
                                        "sync_file_range",
                                        "sendmsg",
                                        "recvmsg",
                                        "timeout",
                                        "timeout_remove",
                                        "accept",
                                        "async_cancel",
                                        "link_timeout",
                                        "connect",
                                        "fallocate",
                                        "openat",
                                        "close",
                                        "files_update",
                                        "statx",
                                        "read",
                                        "write",
                                        "fadvise",
                                        "madvise",
                                        "send",
                                        "recv",
                                        "openat2",
                                        "epoll_ctl",
                                        "splice",
                                        "provide_buffers",
                                        "remove_buffers",
                                        "tee",
                                        "shutdown",
                                        "renameat",
                                        "unlinkat",
                                        "mkdirat",
                                        "symlinkat",
                                        "linkat",
                                        "msg_ring",
                                        "fsetxattr",
                                        "setxattr",
                                        "fgetxattr",
                                        "getxattr",
                                        "socket",
                                        "uring_cmd",
                                        "send_zc",
                                        "sendmsg_zc",
                                        "read_multishot",
                                        "waitid",
                                        "futex_wait",
                                        "futex_wake",
                                        "futex_waitv",
                                        "fixed_fd_install",
                                        "ftruncate",
                                        "bind",
                                        "listen",
                                        "recv_zc",
                                        "epoll_wait",
                                        "readv_fixed",
                                        "writev_fixed",
                                        "pipe"};
    return opcode < COUNT_OF(names) ? names[opcode] : NULL;
}

const char *fol_io_setup_flag_name(uint32_t bit)
{
    static const char *const names[] = {
        "iopoll",        "sqpoll",        "sq_aff",     "cqsize",
        "clamp",         "attach_wq",     "r_disabled", "submit_all",
        "coop_taskrun",  "taskrun_flag",  "sqe128",     "cqe32",
        "single_issuer", "defer_taskrun", "no_mmap",    "registered_fd_only",
        "no_sqarray",    "hybrid_iopoll"};
    return bit < COUNT_OF(names) ? names[bit] : NULL;
}

const char *fol_io_feature_name(uint32_t bit)
{
    static const char *const names[] = {
        "single_mmap", "nodrop",      "submit_stable",   "rw_cur_pos",   "cur_personality",
        "fast_poll",   "poll_32bits", "sqpoll_nonfixed", "ext_arg",      "native_workers",
        "rsrc_tags",   "cqe_skip",    "linked_file",     "reg_reg_ring", "recvsend_bundle",
        "min_timeout", "rw_attr",     "no_iowait"};
    return bit < COUNT_OF(names) ? names[bit] : NULL;
}

const char *fol_io_step_name(uint32_t step)
{
    static const char *const names[] = {"done", "setup", "enable", "submit", "complete"};
    return step < COUNT_OF(names) ? names[step] : "unknown";
}

const char *fol_io_cure_name(uint32_t cure)
{
    static const char *const names[] = {"none",  "kernel",   "sysctl", "filter", "memory",
                                        "files", "register", "other",  "polling"};
    return cure < COUNT_OF(names) ? names[cure] : "other";
}

const char *fol_io_cure_text(uint32_t cure)
{
    static const char *const texts[] = {
        "",
        "Run Linux 5.11 or newer with CONFIG_IO_URING or, where a system call filter hides what "
        "the kernel has, allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp "
        "profile; until then foliot uses a pool of blocking threads.",
        "Set kernel.io_uring_disabled to 0 with sysctl, or to 1 and join the group named by "
        "kernel.io_uring_group.",
        "A system call filter refuses io_uring, as most container runtimes do by default: allow "
        "io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile.",
        "Raise RLIMIT_MEMLOCK (ulimit -l), or free memory: the rings did not fit.",
        "Raise RLIMIT_NOFILE (ulimit -n), or close files: no descriptor was left for the ring.",
        "io_uring works without registered files and buffers: allow io_uring_register in the "
        "seccomp profile to have them.",
        "The kernel's answer is unexpected: update it, and until then foliot uses a pool of "
        "blocking threads.",
        "A kernel thread that polls the ring (SQPOLL) needs a processor to itself, and there are "
        "two or fewer: leave it off."};
    return texts[cure < COUNT_OF(texts) ? cure : FOL_IO_CURE_OTHER];
}
