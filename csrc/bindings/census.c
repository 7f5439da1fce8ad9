/* Reading files and counting their bytes, lines, words and a checksum: the demo's native kernel.
 *
 * A row is a file. It is opened anew for each piece, so that no descriptor outlives a call, and
 * read through a buffer on the stack, so that any number of workers may read at once. A file is
 * read to the size it had when it was opened, so that reading one that grows ends; what the kernel
 * of the system makes as it is read says 0 and is read to its end.
 */
#include "bindings/census.h"

#include "bindings/census_count.h"
#include "bindings/census_crc.h"
#include "foliot/system.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Counting and checksum take turns on blocks that stay in the first-level cache. */
#define BLOCK_SIZE  16384
#define BUFFER_SIZE 65536

/* Opening must neither follow a link nor wait for the other end of a pipe that took a file's place.
 */
#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY)

#define IDENTITY_FIELDS 4

static_assert(sizeof(fol_bytes) == 16, "a text is a pointer and a size");

/* What the user data holds. */
typedef struct source {
    uint64_t limit;
    const char *prefix;
    size_t prefix_size;
} source;

/* The columns of one row. */
typedef struct file {
    uint64_t *bytes;
    uint32_t *crc;
    fol_py_counts counts;
    int64_t *identity;
} file;

static source read_source(const void *user)
{
    source found;
    memcpy(&found.limit, user, sizeof found.limit);
    found.prefix = (const char *)user + sizeof found.limit;
    found.prefix_size = strlen(found.prefix);
    return found;
}

/* A descriptor, or a negative errno. */
static int open_below(const source *from, fol_bytes path)
{
    char full[PATH_MAX];
    if (path.size >= sizeof full - from->prefix_size) {
        return -ENAMETOOLONG;
    }
    memcpy(full, from->prefix, from->prefix_size);
    if (path.size > 0) {
        memcpy(full + from->prefix_size, path.data, path.size);
    }
    full[from->prefix_size + path.size] = '\0';
    int descriptor = open(full, OPEN_FLAGS);
    return descriptor < 0 ? -errno : descriptor;
}

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Notes what the file is now; a state other than WAITING when it cannot be counted. */
static int identify(file *row, int descriptor, struct stat *status)
{
    if (fstat(descriptor, status) < 0) {
        return errno;
    }
    if (!S_ISREG(status->st_mode)) {
        return FOL_PY_FILE_OTHER;
    }
    /* Inode numbers may have 64 bits, signed integers 63. */
    const int64_t seen[IDENTITY_FIELDS] = {
        (int64_t)(status->st_ino & INT64_MAX),
        (int64_t)status->st_size,
        nanoseconds(status->st_mtim),
        nanoseconds(status->st_ctim),
    };
    if (*row->bytes > 0 && memcmp(seen, row->identity, sizeof seen) != 0) {
        return FOL_PY_FILE_CHANGED;
    }
    memcpy(row->identity, seen, sizeof seen);
    return FOL_PY_FILE_WAITING;
}

static void count_buffer(file *row, const uint8_t *data, size_t size)
{
    *row->bytes += size;
    while (size > 0) {
        size_t block = size < BLOCK_SIZE ? size : BLOCK_SIZE;
        fol_py_count_block(&row->counts, data, block);
        *row->crc = fol_py_crc_update(*row->crc, data, block);
        data += block;
        size -= block;
    }
}

/* Reads and counts up to `wanted` bytes; the state that leaves the file in. */
static int read_piece(file *row, int descriptor, uint64_t wanted, uint64_t size)
{
    uint8_t buffer[BUFFER_SIZE];
    while (wanted > 0) {
        size_t room = wanted < sizeof buffer ? (size_t)wanted : sizeof buffer;
        ssize_t got = pread(descriptor, buffer, room, (off_t)*row->bytes);
        if (got < 0 && errno != EINTR) {
            return errno;
        }
        if (got == 0) {
            return FOL_PY_FILE_DONE;
        }
        if (got > 0) {
            count_buffer(row, buffer, (size_t)got);
            wanted -= (uint64_t)got;
        }
    }
    return size > 0 && *row->bytes >= size ? FOL_PY_FILE_DONE : FOL_PY_FILE_WAITING;
}

static int count_file(file *row, const source *from, fol_bytes path)
{
    int descriptor = open_below(from, path);
    if (descriptor < 0) {
        return -descriptor;
    }
    struct stat status;
    int state = identify(row, descriptor, &status);
    if (state == FOL_PY_FILE_WAITING) {
        uint64_t size = (uint64_t)status.st_size;
        uint64_t left = size > *row->bytes ? size - *row->bytes : 0;
        uint64_t wanted = size == 0 || left > from->limit ? from->limit : left;
        state = read_piece(row, descriptor, wanted, size);
    }
    close(descriptor);
    return state;
}

int fol_py_census_kernel(void **columns, ptrdiff_t rows, void *user)
{
    uint64_t *bytes = columns[0];
    uint64_t *lines = columns[1];
    uint64_t *words = columns[2];
    uint32_t *crc = columns[3];
    uint8_t *in_word = columns[4];
    int32_t *states = columns[5];
    int64_t *identities = columns[6];
    const fol_bytes *paths = columns[7];
    source from = read_source(user);
    for (ptrdiff_t row = 0; row < rows; row++) {
        if (states[row] != FOL_PY_FILE_WAITING) {
            continue;
        }
        file counted = {.bytes = &bytes[row],
                        .crc = &crc[row],
                        .counts = {lines[row], words[row], in_word[row]},
                        .identity = &identities[row * IDENTITY_FIELDS]};
        states[row] = count_file(&counted, &from, paths[row]);
        lines[row] = counted.counts.lines;
        words[row] = counted.counts.words;
        in_word[row] = counted.counts.in_word;
    }
    return 0;
}

int fol_py_add_census(PyObject *module)
{
    fol_py_crc_init();
    /* A capsule holds an object pointer; POSIX promises that a function's address survives it. */
    fol_columns_kernel kernel = fol_py_census_kernel;
    void *address;
    static_assert(sizeof address == sizeof kernel, "a function pointer fits a capsule");
    memcpy(&address, &kernel, sizeof address);
    PyObject *capsule = PyCapsule_New(address, FOL_SIGNATURE_COLUMNS, NULL);
    if (capsule == NULL) {
        return -1;
    }
    int status = PyModule_AddObjectRef(module, "census_kernel", capsule);
    Py_DECREF(capsule);
    return status;
}
