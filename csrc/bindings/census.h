/* The kernels of the demo's code census, offered to Python as capsules.
 *
 * They are written as a user would write them: against foliot/system.h and nothing else of foliot.
 */
#ifndef FOL_BINDINGS_CENSUS_H
#define FOL_BINDINGS_CENSUS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limits.h>
#include <stdint.h>

#include "foliot/system.h"

/* What became of a file: a column of the kernels. Positive states are errno values. */
enum fol_py_file_state {
    FOL_PY_FILE_WAITING = 0,  /* there is more of it */
    FOL_PY_FILE_DONE = -1,    /* counted whole */
    FOL_PY_FILE_OTHER = -2,   /* no longer a regular file */
    FOL_PY_FILE_CHANGED = -3, /* changed between two pieces */
};

/* What a file waits for: a column of the kernels. */
enum fol_py_file_step {
    FOL_PY_STEP_FOUND = 0,      /* to be looked at and asked for */
    FOL_PY_STEP_WHOLE = 1,      /* all of it, or that it is counted */
    FOL_PY_STEP_UNANSWERED = 2, /* to be opened: one operation did not do */
    FOL_PY_STEP_OPENING = 3,    /* its descriptor */
    FOL_PY_STEP_OPEN = 4,       /* to be asked for its next piece */
    FOL_PY_STEP_READING = 5,    /* its piece, or that it is counted */
    FOL_PY_STEP_ENDED = 6,      /* nothing any more: it is closed by the end of the frame */
};

/* A result that has not been delivered; no operation ends with it. */
#define FOL_PY_NOT_YET INT64_MIN

/* Where the operations of one file have what must stay in its place until they end, while its row
 * may move. The descriptor is opened.value, which is negative while there is none. */
typedef struct fol_py_place {
    fol_io_result opened;
    fol_io_result got;
    uint64_t wanted;   /* bytes of what is read */
    uint32_t attempts; /* to open it, that failed for want of descriptors */
    char path[PATH_MAX];
} fol_py_place;

/* User data of both kernels; everything starts at 0 where nothing else is said. */
typedef struct fol_py_desk {
    uint64_t limit; /* the most that is read of a file in a frame */
    int32_t root;   /* descriptor of the directory that paths start from */
    uint32_t count;
    fol_py_place places[];
} fol_py_desk;

/* Adds `census_fetch` and `census_count` to the module: capsules named by the C signature of the
 * functions they hold. Returns 0, or -1 with an exception set. */
int fol_py_add_census(PyObject *module);

/* Asks for what each row's file needs next: to be read whole, or to be opened, then piece after
 * piece of its text, then to be closed. What it asked for is there in the next frame, and other
 * systems run meanwhile. Columns: state (int32_t), step (uint32_t), place (uint32_t: the row's own,
 * of the desk), identity (int64_t[4]: inode, size, time of modification and of change in
 * nanoseconds), text (fol_bytes, where what is read goes), written; path (fol_bytes), the counts of
 * the other kernel, read. Everything but the place starts at 0. Any thread. Returns 0, or what the
 * core said to an operation; what is wrong with a file stands in its state. */
int fol_py_census_fetch(const fol_chunk *chunk, void *user);

/* Goes on with the counts of each row for which something has come. Columns: bytes, lines, words
 * (uint64_t), crc (uint32_t), in_word (uint8_t), state, step, place, written; identity, text, read.
 * The rest is as above. Returns 0. */
int fol_py_census_count(void **columns, ptrdiff_t rows, void *user);

#endif
