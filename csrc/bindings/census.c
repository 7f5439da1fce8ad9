/* Reading files: what the demo's first native kernel asks foliot's I/O for.
 *
 * A row is a file. One whose size fits a frame's share is read by one operation, which opens, reads
 * and closes it: it is looked at before it is asked for, and again when it is counted, and what was
 * read is believed when both say the same, as readers of a sequence lock do. What that leaves open
 * is read in pieces: what is larger, what gave less than it said, and what says 0 and holds more,
 * which the kernel of the system makes as it is read. That is opened in one frame, has a piece read
 * in each of the next ones, and is closed at the end. It is looked at before each piece: a file
 * that changed, or lost its name, in between is given up. Everything is read to the size that it
 * said, so that reading what grows ends.
 */
#include "bindings/census.h"

#include "bindings/census_crc.h"
#include "bindings/census_look.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first guess at what a file holds that says 0. */
#define GUESS_SIZE 65536
/* Frames in which a file is asked for again when there is no descriptor left for it. */
#define ATTEMPTS_MAX 64

/* Opening must neither follow a link nor wait for the other end of a pipe that took a file's place.
 */
#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY)

/* A pipe that took a file's place may be opened and never give anything. What only takes long is
 * opened and read in pieces then, which have all the time they need. */
#define WHOLE_TIMEOUT_NS UINT64_C(250000000)

#define TEXT 2 /* which of the components is read into */

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
    intent->result->value = FOL_PY_NOT_YET;
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
    place->opened.value = status == 0 ? FOL_PY_NOT_YET : place->opened.value;
    return status;
}

static int ask_open(const fol_chunk *chunk, const file *row, const fol_py_desk *desk)
{
    *row->step = FOL_PY_STEP_OPENING;
    fol_io_intent intent = {.request = {.kind = FOL_IO_OPEN,
                                        .fd = desk->root,
                                        .path = row->place->path,
                                        .options = OPEN_FLAGS},
                            .result = &row->place->opened};
    return ask(chunk, &intent);
}

/* All of it at once, into the world. */
static int ask_whole(const fol_chunk *chunk, const file *row, const fol_py_desk *desk,
                     fol_entity entity)
{
    *row->step = FOL_PY_STEP_WHOLE;
    fol_io_intent intent = {.request = {.kind = FOL_IO_READ,
                                        .flags = FOL_IO_PATH,
                                        .fd = desk->root,
                                        .options = OPEN_FLAGS,
                                        .path = row->place->path,
                                        .size = row->place->wanted,
                                        .timeout_ns = WHOLE_TIMEOUT_NS},
                            .entity = entity,
                            .component = chunk->components[TEXT],
                            .result = &row->place->got};
    return ask(chunk, &intent);
}

/* Puts the path where it stays, looks at the file, and asks for it. */
static int begin(const fol_chunk *chunk, const file *row, const fol_py_desk *desk, fol_bytes path,
                 fol_entity entity)
{
    fol_py_place *place = row->place;
    place->attempts = 0;
    if (path.size >= sizeof place->path) {
        *row->state = ENAMETOOLONG;
        return 0;
    }
    if (path.size > 0) {
        memcpy(place->path, path.data, path.size);
    }
    place->path[path.size] = '\0';
    *row->state = fol_py_look_at(desk->root, place->path, row->identity);
    if (*row->state != FOL_PY_FILE_WAITING) {
        return 0;
    }
    /* Where nothing should be, a byte shows that there is something. */
    uint64_t size = (uint64_t)row->identity[FOL_PY_IDENTITY_SIZE];
    place->wanted = size > 0 ? size : 1;
    bool is_whole = place->wanted <= desk->limit;
    return is_whole ? ask_whole(chunk, row, desk, entity) : ask_open(chunk, row, desk);
}

/* Notes what the open file is now; a state other than WAITING when it cannot be counted. To ask a
 * descriptor waits for nothing, so it is not worth an operation. */
static int32_t identify(const file *row, uint64_t counted)
{
    int64_t seen[FOL_PY_IDENTITY_FIELDS];
    int32_t state = fol_py_look_into((int)row->place->opened.value, seen);
    if (state != FOL_PY_FILE_WAITING) {
        return state;
    }
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
    uint64_t size = (uint64_t)row->identity[FOL_PY_IDENTITY_SIZE];
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
static int take_descriptor(const fol_chunk *chunk, const file *row, const fol_py_desk *desk)
{
    int64_t value = row->place->opened.value;
    if (value == -EMFILE || value == -ENFILE) {
        /* Files that end give theirs back. */
        row->place->attempts++;
        if (row->place->attempts < ATTEMPTS_MAX) {
            return ask_open(chunk, row, desk);
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
    const fol_bytes *paths = chunk->columns[5];
    const uint64_t *counted = chunk->columns[6];
    int status = 0;
    if (*row->state == FOL_PY_FILE_WAITING && *row->step == FOL_PY_STEP_FOUND) {
        status = begin(chunk, row, desk, paths[i], chunk->entities[i]);
    } else if (*row->state == FOL_PY_FILE_WAITING && *row->step == FOL_PY_STEP_UNANSWERED) {
        status = ask_open(chunk, row, desk);
    } else if (*row->state == FOL_PY_FILE_WAITING && *row->step == FOL_PY_STEP_OPENING) {
        status = take_descriptor(chunk, row, desk);
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
                          .identity = &identities[i * FOL_PY_IDENTITY_FIELDS]};
        status = advance(chunk, &row, desk, i);
    }
    return status;
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
