/* Looks at files. They are system calls and no operations: what they ask is in memory, as a rule,
 * since a directory was just listed or a file just read.
 */
#include "bindings/census_look.h"

#include "bindings/census.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int32_t note(const struct stat *status, int64_t identity[FOL_PY_IDENTITY_FIELDS])
{
    if (!S_ISREG(status->st_mode)) {
        return S_ISLNK(status->st_mode) ? ELOOP : FOL_PY_FILE_OTHER;
    }
    /* Inode numbers may have 64 bits, signed integers 63. */
    identity[0] = (int64_t)(status->st_ino & INT64_MAX);
    identity[FOL_PY_IDENTITY_SIZE] = (int64_t)status->st_size;
    identity[2] = nanoseconds(status->st_mtim);
    identity[3] = nanoseconds(status->st_ctim);
    return FOL_PY_FILE_WAITING;
}

int32_t fol_py_look_at(int directory, const char *path, int64_t identity[FOL_PY_IDENTITY_FIELDS])
{
    struct stat status;
    if (fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno;
    }
    return note(&status, identity);
}

int32_t fol_py_look_into(int descriptor, int64_t identity[FOL_PY_IDENTITY_FIELDS])
{
    struct stat status;
    if (fstat(descriptor, &status) < 0) {
        return errno;
    }
    return note(&status, identity);
}
