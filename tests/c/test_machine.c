/* The machine probes, on this machine and in child processes that are forbidden parts of it.
 *
 * A filter cannot be taken off again, so each refusal is tried in a child, which sends its report
 * back through a pipe. Where this machine itself forbids io_uring, the tests of a working ring
 * check that the report says so.
 */
#include "check.h"

#include "exec/topology.h"
#include "foliot/machine.h"
#include "io/probe.h"

#include <errno.h>
#include <ftw.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char fake_root[] = "/tmp/foliot-machine-XXXXXX";

/* Writes a file below the fake root, making its folders. */
static void plant(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", fake_root, path);
    for (char *at = strchr(full + sizeof fake_root, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(full, 0700);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    if (CHECK(file != NULL)) {
        CHECK(fputs(text, file) >= 0);
        CHECK_EQ(fclose(file), 0);
    }
}

static void test_topology_counts_agree_with_the_kernel(void)
{
    fol_topology topology;
    cpu_set_t mask;
    CHECK_EQ(fol_topology_read(&topology), 0);
    CHECK_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
    CHECK_EQ(topology.affinity, CPU_COUNT(&mask));
    CHECK(topology.processors >= topology.affinity);
    CHECK(topology.cores >= 1 && topology.cores <= topology.processors);
    CHECK(topology.packages >= 1 && topology.packages <= topology.cores);
    CHECK(topology.numa_nodes >= 1);
    CHECK(topology.usable >= 1 && topology.usable <= topology.affinity);
}

static void test_topology_caches_have_sizes_and_sharers(void)
{
    fol_topology topology;
    CHECK_EQ(fol_topology_read(&topology), 0);
    CHECK(topology.cache_count <= FOL_CACHE_KINDS_MAX);
    for (uint32_t index = 0; index < topology.cache_count; index++) {
        const fol_cache *cache = &topology.caches[index];
        CHECK(cache->level >= 1 && cache->level <= 5);
        CHECK(cache->size >= 1024);
        CHECK(cache->count >= 1);
        CHECK(cache->shared_by <= topology.processors);
        CHECK(index == 0 || cache->level >= topology.caches[index - 1].level);
    }
}

static void test_topology_follows_a_narrowed_affinity(void)
{
    cpu_set_t before;
    cpu_set_t one;
    fol_topology topology;
    CHECK_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int index = 0; index < CPU_SETSIZE && CPU_COUNT(&one) == 0; index++) {
        if (CPU_ISSET(index, &before)) {
            CPU_SET(index, &one);
        }
    }
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_EQ(fol_topology_read(&topology), 0);
    CHECK_EQ(sched_setaffinity(0, sizeof before, &before), 0);
    CHECK_EQ(topology.affinity, 1);
    CHECK_EQ(topology.usable, 1);
    CHECK(topology.processors >= (uint32_t)CPU_COUNT(&before));
}

static void test_topology_without_hwloc_still_counts(void)
{
    fol_topology topology;
    fol_topology_read_sysconf(&topology);
    CHECK_EQ(topology.source, FOL_TOPOLOGY_SYSCONF);
    CHECK_EQ(topology.processors, sysconf(_SC_NPROCESSORS_ONLN));
    CHECK_EQ(topology.packages, 1);
}

static void test_usable_processors_follow_the_quota(void)
{
    CHECK_EQ(fol_topology_usable(8, 0, 0), 8);
    CHECK_EQ(fol_topology_usable(8, 200000, 100000), 2);
    CHECK_EQ(fol_topology_usable(8, 150000, 100000), 2);
    CHECK_EQ(fol_topology_usable(8, 1000, 100000), 1);
    CHECK_EQ(fol_topology_usable(2, 900000, 100000), 2);
    CHECK_EQ(fol_topology_usable(0, 0, 0), 1);
}

static void test_quota_is_the_tightest_of_a_version_2_group_and_its_parents(void)
{
    uint64_t quota_us = 7;
    uint64_t period_us = 7;
    plant("/proc/self/cgroup", "0::/outer/inner\n");
    plant("/sys/fs/cgroup/outer/inner/cpu.max", "400000 100000\n");
    plant("/sys/fs/cgroup/outer/cpu.max", "75000 50000\n");
    fol_topology_read_quota(fake_root, &quota_us, &period_us);
    CHECK_EQ(quota_us, 75000);
    CHECK_EQ(period_us, 50000);
}

static void test_quota_max_means_no_limit(void)
{
    uint64_t quota_us = 7;
    uint64_t period_us = 7;
    plant("/proc/self/cgroup", "0::/free\n");
    plant("/sys/fs/cgroup/free/cpu.max", "max 100000\n");
    fol_topology_read_quota(fake_root, &quota_us, &period_us);
    CHECK_EQ(quota_us, 0);
    CHECK_EQ(period_us, 0);
}

static void test_quota_of_version_1_is_read_beside_other_controllers(void)
{
    uint64_t quota_us = 0;
    uint64_t period_us = 0;
    plant("/proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/box\n0::/\n");
    plant("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "250000\n");
    plant("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
    plant("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    plant("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    fol_topology_read_quota(fake_root, &quota_us, &period_us);
    CHECK_EQ(quota_us, 250000);
    CHECK_EQ(period_us, 100000);
}

static void test_damaged_group_files_limit_nothing(void)
{
    uint64_t quota_us = 7;
    uint64_t period_us = 7;
    plant("/proc/self/cgroup", "no colon\n0:\n:::\n4:cpu:/broken\n0::/broken\n");
    plant("/sys/fs/cgroup/broken/cpu.max", "twelve\n");
    plant("/sys/fs/cgroup/cpu/broken/cpu.cfs_quota_us", "");
    plant("/sys/fs/cgroup/cpu/broken/cpu.cfs_period_us", "0\n");
    fol_topology_read_quota(fake_root, &quota_us, &period_us);
    CHECK_EQ(quota_us, 0);
    CHECK_EQ(period_us, 0);
}

/* Makes one system call fail with an error in this process from now on. */
static int refuse_call(uint32_t number, uint32_t error)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static int refuse_setup(void)
{
    return refuse_call(__NR_io_uring_setup, EPERM);
}

static int refuse_setup_as_unknown(void)
{
    return refuse_call(__NR_io_uring_setup, ENOSYS);
}

static int refuse_enter(void)
{
    return refuse_call(__NR_io_uring_enter, EPERM);
}

static int refuse_register(void)
{
    return refuse_call(__NR_io_uring_register, EPERM);
}

static int refuse_descriptors(void)
{
    struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_NOFILE, &none);
}

/* Probes in a child that has first run `prepare`; the child's report comes through a pipe. */
static int probe_in_child(int (*prepare)(void), fol_io_report *report)
{
    int ends[2];
    int exit_status = -1;
    if (!CHECK(pipe(ends) == 0)) {
        return 0;
    }
    pid_t child = fork();
    if (child == 0) {
        fol_io_report own;
        int failed = prepare() != 0 || fol_io_probe(&own) != 0 ||
                     write(ends[1], &own, sizeof own) != (ssize_t)sizeof own;
        _exit(failed);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], report, sizeof *report);
    close(ends[0]);
    CHECK_EQ(waitpid(child, &exit_status, 0), child);
    return CHECK_EQ(exit_status, 0) & CHECK_EQ(got, sizeof *report);
}

static int allow_everything(void)
{
    return 0;
}

/* Whether this machine has a ring at all; the refusal tests compare with that. */
static int machine_has_io_uring(void)
{
    fol_io_report report;
    return probe_in_child(allow_everything, &report) && report.available;
}

static void test_probe_makes_a_round_trip_or_says_why_not(void)
{
    fol_io_report report;
    CHECK_EQ(fol_io_probe(&report), 0);
    if (report.available) {
        CHECK_EQ(report.error, 0);
        CHECK_EQ(report.step, FOL_IO_STEP_DONE);
        CHECK(report.submission_entries >= 1);
        CHECK(report.completion_entries >= report.submission_entries);
        CHECK(report.register_error != 0 || fol_io_report_has(&report, 0));
    } else {
        CHECK(report.error < 0);
        CHECK(report.step != FOL_IO_STEP_DONE);
        CHECK(fol_io_cure_text(report.cure)[0] != '\0');
    }
}

static void test_refused_setup_is_named_with_its_cure(void)
{
    fol_io_report report;
    if (!machine_has_io_uring() || !probe_in_child(refuse_setup, &report)) {
        return;
    }
    CHECK_EQ(report.available, 0);
    CHECK_EQ(report.step, FOL_IO_STEP_SETUP);
    CHECK_EQ(report.error, -EPERM);
    CHECK_EQ(report.cure, FOL_IO_CURE_FILTER);
    CHECK_EQ(report.attempt_count, 1);
    CHECK_EQ(report.attempts[0].error, -EPERM);
}

static void test_unknown_setup_blames_the_kernel(void)
{
    fol_io_report report;
    if (probe_in_child(refuse_setup_as_unknown, &report)) {
        CHECK_EQ(report.available, 0);
        CHECK_EQ(report.error, -ENOSYS);
        CHECK_EQ(report.cure, FOL_IO_CURE_KERNEL);
    }
}

static void test_refused_enter_is_found_only_by_the_round_trip(void)
{
    fol_io_report report;
    if (!machine_has_io_uring() || !probe_in_child(refuse_enter, &report)) {
        return;
    }
    CHECK_EQ(report.available, 0);
    CHECK_EQ(report.step, FOL_IO_STEP_SUBMIT);
    CHECK_EQ(report.error, -EPERM);
    CHECK_EQ(report.cure, FOL_IO_CURE_FILTER);
    CHECK(report.operation_count > 0);
}

static void test_refused_register_leaves_a_working_ring(void)
{
    fol_io_report report;
    if (!machine_has_io_uring() || !probe_in_child(refuse_register, &report)) {
        return;
    }
    CHECK_EQ(report.available, 1);
    CHECK_EQ(report.register_error, -EPERM);
    CHECK_EQ(report.cure, FOL_IO_CURE_REGISTER);
    CHECK_EQ(report.operation_count, 0);
    CHECK(report.attempt_count >= 1);
    CHECK_EQ(report.setup_flags & (1U << 6), 0);
}

static void test_no_descriptor_left_is_named(void)
{
    fol_io_report report;
    if (!machine_has_io_uring() || !probe_in_child(refuse_descriptors, &report)) {
        return;
    }
    CHECK_EQ(report.error, -EMFILE);
    CHECK_EQ(report.cure, FOL_IO_CURE_FILES);
}

static void test_ladder_ends_with_the_plain_ring(void)
{
    CHECK_EQ(fol_io_rung_flags(FOL_IO_RUNG_COUNT - 1), 0);
    CHECK_EQ(fol_io_rung_flags(FOL_IO_RUNG_COUNT + 5), 0);
    CHECK(fol_io_rung_flags(0) != 0);
}

static void test_names_are_there_for_every_number(void)
{
    CHECK_STR(fol_io_operation_name(0), "nop");
    CHECK_STR(fol_io_operation_name(22), "read");
    CHECK_STR(fol_io_operation_name(48), "sendmsg_zc");
    CHECK(fol_io_operation_name(255) == NULL);
    CHECK_STR(fol_io_setup_flag_name(13), "defer_taskrun");
    CHECK(fol_io_setup_flag_name(31) == NULL);
    CHECK_STR(fol_io_feature_name(8), "ext_arg");
    CHECK_STR(fol_io_step_name(FOL_IO_STEP_COMPLETE), "complete");
    CHECK_STR(fol_io_step_name(99), "unknown");
    CHECK_STR(fol_io_cure_name(FOL_IO_CURE_OTHER), "other");
    CHECK_STR(fol_io_cure_text(FOL_IO_CURE_NONE), "");
    CHECK_STR(fol_io_cure_text(99), fol_io_cure_text(FOL_IO_CURE_OTHER));
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

int main(void)
{
    if (mkdtemp(fake_root) == NULL) {
        return 1;
    }
    RUN(test_topology_counts_agree_with_the_kernel);
    RUN(test_topology_caches_have_sizes_and_sharers);
    RUN(test_topology_follows_a_narrowed_affinity);
    RUN(test_topology_without_hwloc_still_counts);
    RUN(test_usable_processors_follow_the_quota);
    RUN(test_quota_is_the_tightest_of_a_version_2_group_and_its_parents);
    RUN(test_quota_max_means_no_limit);
    RUN(test_quota_of_version_1_is_read_beside_other_controllers);
    RUN(test_damaged_group_files_limit_nothing);
    RUN(test_probe_makes_a_round_trip_or_says_why_not);
    RUN(test_refused_setup_is_named_with_its_cure);
    RUN(test_unknown_setup_blames_the_kernel);
    RUN(test_refused_enter_is_found_only_by_the_round_trip);
    RUN(test_refused_register_leaves_a_working_ring);
    RUN(test_no_descriptor_left_is_named);
    RUN(test_ladder_ends_with_the_plain_ring);
    RUN(test_names_are_there_for_every_number);
    nftw(fake_root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    CHECK_MAIN_END();
}
