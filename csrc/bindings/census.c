/* Reading files and counting their bytes, lines, words and a checksum: the demo's native kernels.
 *
 * A row is a file. One kernel asks foliot's I/O for what it needs next; the other counts what was
 * asked for a frame ago, while that is done. A file is read to the size it had when it was opened,
 * so that reading one that grows ends; what the kernel of the system makes as it is read says 0 and
 * is read to its end. It stays open from its first piece to its last, and is looked at before each:
 * one that changed, or lost its name, in between is given up.
 */
#include "bindings/census.h"

#include "bindings/census_count.h"
#include "bindings/census_crc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Counting and checksum take turns on blocks that stay in the first-level cache. */
#define BLOCK_SIZE 16384
/* The first guess at what a file holds that says 0. */
#define GUESS_SIZE 65536
/* Frames in which a file is asked for again when there is no descriptor left for it. */
#define ATTEMPTS_MAX 64

/* Opening must neither follow a link nor wait for the other end of a pipe that took a file's place.
 */
#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY)

#define TEXT            4 /* which of the components is read into */
#define IDENTITY_FIELDS 4
#define IDENTITY_SIZE   1 /* the field that holds the size */

/* A result that has not been delivered; no operation ends with it. */
#define NOT_YET INT64_MIN

static_assert(sizeof(fol_bytes) == 16, "a text is a pointer and a size");
static_assert(sizeof(fol_io_result) == 32, "the demo lays places out in the same way");
static_assert(offsetof(fol_py_place, path) == 2 * 32 + 12, "the demo lays places out so");

/* One file: what both kernels have of it. */
typedef struct file {
    int32_t *state;
    uint32_t *step;
    fol_py_place *place;
    int64_t *identity;
} file;

/* Until the phase ends everything else goes on meanwhile, and the next frame finds the result. */
static int ask(const fol_chunk *chunk, fol_io_intent *intent)
{
    intent->until = FOL_IO_PHASE;
    intent->result->value = NOT_YET;
    return chunk->io_api->submit(chunk->io, intent, NULL);
}

static void close_here(void *user)
{
    (void)close((int)(intptr_t)user);
}

/* A file that was only read loses nothing when closing it fails, and its number is free anyway. */
static bool note_closed(void *user, const fol_io_result *result)
{
    if (result->value == -ECANCELED) {
        close_here(user);
    }
    return true;
}

static const fol_io_receiver closing = {.deliver = note_closed, .drop = close_here};

/* Nothing more is read of the file; its descriptor, if there is one, is let go. */
static int ask_close(const fol_chunk *chunk, const file *row)
{
    fol_py_place *place = row->place;
    *row->step = FOL_PY_STEP_ENDED;
    if (place->opened.value < 0) {
        return 0;
    }
    const fol_io_intent intent = {
        .request = {.kind = FOL_IO_CLOSE, .fd = (int32_t)place->opened.value},
        .until = FOL_IO_PHASE,
        .receiver = &closing,
        .user = (void *)(intptr_t)place->opened.value};
    int status = chunk->io_api->submit(chunk->io, &intent, NULL);
    place->opened.value = status == 0 ? NOT_YET : place->opened.value;
    return status;
}

static int ask_open(const fol_chunk *chunk, const file *row, const fol_py_desk *desk,
                    fol_bytes path)
{
    fol_py_place *place = row->place;
    if (path.size >= sizeof place->path) {
        *row->state = ENAMETOOLONG;
        return 0;
    }
    if (path.size > 0) {
        memcpy(place->path, path.data, path.size);
    }
    place->path[path.size] = '\0';
    *row->step = FOL_PY_STEP_OPENING;
    fol_io_intent intent = {.request = {.kind = FOL_IO_OPEN,
                                        .fd = desk->root,
                                        .path = place->path,
                                        .options = OPEN_FLAGS},
                            .result = &place->opened};
    return ask(chunk, &intent);
}

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Notes what the file is now; a state other than WAITING when it cannot be counted. To ask an open
 * descriptor waits for nothing, so it is not worth an operation. */
static int32_t identify(const file *row, uint64_t counted)
{
    struct stat status;
    if (fstat((int)row->place->opened.value, &status) < 0) {
        return errno;
    }
    if (!S_ISREG(status.st_mode)) {
        return FOL_PY_FILE_OTHER;
    }
    /* Inode numbers may have 64 bits, signed integers 63. */
    const int64_t seen[IDENTITY_FIELDS] = {
        (int64_t)(status.st_ino & INT64_MAX),
        (int64_t)status.st_size,
        nanoseconds(status.st_mtim),
        nanoseconds(status.st_ctim),
    };
    if (counted > 0 && memcmp(seen, row->identity, sizeof seen) != 0) {
        return FOL_PY_FILE_CHANGED;
    }
    memcpy(row->identity, seen, sizeof seen);
    return FOL_PY_FILE_WAITING;
}

static int ask_piece(const fol_chunk *chunk, const file *row, const fol_py_desk *desk,
                     uint64_t counted, fol_entity entity)
{
    fol_py_place *place = row->place;
    *row->state = identify(row, counted);
    if (*row->state != FOL_PY_FILE_WAITING) {
        return 0;
    }
    uint64_t size = (uint64_t)row->identity[IDENTITY_SIZE];
    uint64_t left = size > 0 ? size - counted : GUESS_SIZE;
    place->wanted = left < desk->limit ? left : desk->limit;
    *row->step = FOL_PY_STEP_READING;
    fol_io_intent intent = {.request = {.kind = FOL_IO_READ,
                                        .fd = (int32_t)place->opened.value,
                                        .size = place->wanted,
                                        .offset = counted},
                            .entity = entity,
                            .component = chunk->components[TEXT],
                            .result = &place->got};
    return ask(chunk, &intent);
}

/* Its descriptor has come, or the reason why there is none. */
static int take_descriptor(const fol_chunk *chunk, const file *row, const fol_py_desk *desk,
                           fol_bytes path)
{
    int64_t value = row->place->opened.value;
    if (value == -EMFILE || value == -ENFILE) {
        /* Files that end give theirs back. */
        row->place->attempts++;
        if (row->place->attempts < ATTEMPTS_MAX) {
            return ask_open(chunk, row, desk, path);
        }
    }
    if (value < 0) {
        *row->state = (int32_t)-value;
    } else {
        *row->step = FOL_PY_STEP_OPEN;
    }
    return 0;
}

/* Each file goes as many steps as it can without waiting. */
static int advance(const fol_chunk *chunk, const file *row, const fol_py_desk *desk, ptrdiff_t i)
{
    const fol_bytes *paths = chunk->columns[4];
    const uint64_t *counted = chunk->columns[5];
    int status = 0;
    if (*row->state == FOL_PY_FILE_WAITING && *row->step == FOL_PY_STEP_FOUND) {
        row->place->attempts = 0;
        status = ask_open(chunk, row, desk, paths[i]);
    } else if (*row->state == FOL_PY_FILE_WAITING && *row->step == FOL_PY_STEP_OPENING) {
        status = take_descriptor(chunk, row, desk, paths[i]);
    }
    if (*row->state == FOL_PY_FILE_WAITING && *row->step == FOL_PY_STEP_OPEN) {
        status = ask_piece(chunk, row, desk, counted[i], chunk->entities[i]);
    }
    if (*row->state != FOL_PY_FILE_WAITING && *row->step != FOL_PY_STEP_ENDED && status == 0) {
        status = ask_close(chunk, row);
    }
    return status;
}

int fol_py_census_fetch(const fol_chunk *chunk, void *user)
{
    fol_py_desk *desk = user;
    int32_t *states = chunk->columns[0];
    uint32_t *steps = chunk->columns[1];
    const uint32_t *places = chunk->columns[2];
    int64_t *identities = chunk->columns[3];
    int status = 0;
    for (ptrdiff_t i = 0; i < chunk->rows && status == 0; i++) {
        if (places[i] >= desk->count) {
            return EINVAL;
        }
        const file row = {.state = &states[i],
                          .step = &steps[i],
                          .place = &desk->places[places[i]],
                          .identity = &identities[i * IDENTITY_FIELDS]};
        status = advance(chunk, &row, desk, i);
    }
    return status;
}

/* What is counted so far; pointers to columns of one row. */
typedef struct sums {
    uint64_t *bytes;
    uint64_t *lines;
    uint64_t *words;
    uint32_t *crc;
    uint8_t *in_word;
} sums;

static void count_text(const sums *row, fol_bytes text)
{
    fol_py_counts counts = {*row->lines, *row->words, *row->in_word};
    const uint8_t *data = text.data;
    uint32_t crc = *row->crc;
    for (uint64_t left = text.size; left > 0;) {
        size_t block = left < BLOCK_SIZE ? (size_t)left : BLOCK_SIZE;
        fol_py_count_block(&counts, data, block);
        crc = fol_py_crc_update(crc, data, block);
        data += block;
        left -= block;
    }
    *row->bytes += text.size;
    *row->lines = counts.lines;
    *row->words = counts.words;
    *row->in_word = counts.in_word;
    *row->crc = crc;
}

/* The state that a piece leaves its file in: one that gave less than it promised is at its end. */
static int32_t state_after(const fol_py_place *place, uint64_t size, uint64_t counted)
{
    bool is_whole = (uint64_t)place->got.value < place->wanted || (size > 0 && counted >= size);
    return is_whole ? FOL_PY_FILE_DONE : FOL_PY_FILE_WAITING;
}

int fol_py_census_count(void **columns, ptrdiff_t rows, void *user)
{
    fol_py_desk *desk = user;
    uint64_t *bytes = columns[0];
    uint64_t *lines = columns[1];
    uint64_t *words = columns[2];
    uint32_t *crcs = columns[3];
    uint8_t *in_words = columns[4];
    int32_t *states = columns[5];
    uint32_t *steps = columns[6];
    const uint32_t *places = columns[7];
    const int64_t *identities = columns[8];
    const fol_bytes *texts = columns[9];
    for (ptrdiff_t i = 0; i < rows; i++) {
        const fol_py_place *place = &desk->places[places[i]];
        if (states[i] != FOL_PY_FILE_WAITING || steps[i] != FOL_PY_STEP_READING ||
            place->got.value == NOT_YET) {
            continue;
        }
        steps[i] = FOL_PY_STEP_OPEN;
        if (place->got.value < 0) {
            states[i] = (int32_t)-place->got.value;
            continue;
        }
        const sums row = {&bytes[i], &lines[i], &words[i], &crcs[i], &in_words[i]};
        count_text(&row, texts[i]);
        uint64_t size = (uint64_t)identities[i * IDENTITY_FIELDS + IDENTITY_SIZE];
        states[i] = state_after(place, size, bytes[i]);
    }
    return 0;
}

static int add_kernel(PyObject *module, const char *name, const char *signature, void *address)
{
    PyObject *capsule = PyCapsule_New(address, signature, NULL);
    if (capsule == NULL) {
        return -1;
    }
    int status = PyModule_AddObjectRef(module, name, capsule);
    Py_DECREF(capsule);
    return status;
}

int fol_py_add_census(PyObject *module)
{
    fol_py_crc_init();
    /* A capsule holds an object pointer; POSIX promises that a function's address survives it. */
    fol_chunk_kernel fetch = fol_py_census_fetch;
    fol_columns_kernel count = fol_py_census_count;
    void *address;
    static_assert(sizeof address == sizeof fetch && sizeof address == sizeof count,
                  "a function pointer fits a capsule");
    memcpy(&address, &fetch, sizeof address);
    if (add_kernel(module, "census_fetch", FOL_SIGNATURE_CHUNK, address) < 0) {
        return -1;
    }
    memcpy(&address, &count, sizeof address);
    return add_kernel(module, "census_count", FOL_SIGNATURE_COLUMNS, address);
}
