/* The kernel of the demo's code census, offered to Python as a capsule.
 *
 * It is written as a user would write one: against foliot/system.h and nothing else of foliot.
 */
#ifndef FOL_BINDINGS_CENSUS_H
#define FOL_BINDINGS_CENSUS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>

/* What became of a file: a column of the kernel. Positive states are errno values. */
enum fol_py_file_state {
    FOL_PY_FILE_WAITING = 0,  /* there is more of it */
    FOL_PY_FILE_DONE = -1,    /* counted whole */
    FOL_PY_FILE_OTHER = -2,   /* no longer a regular file */
    FOL_PY_FILE_CHANGED = -3, /* changed between two pieces */
};

/* Adds `census_kernel` to the module: a capsule named by the C signature of the function it holds.
 * Returns 0, or -1 with an exception set. */
int fol_py_add_census(PyObject *module);

/* Reads the next piece of each row's file and continues its counts, so that a large file is read
 * over many frames. Columns: bytes, lines, words (uint64_t), crc (uint32_t), in_word (uint8_t),
 * state (int32_t), identity (int64_t[4]: inode, size, time of modification and of change in
 * nanoseconds), written; path (fol_bytes), read. Everything starts at 0. user: the most to read of
 * a file (uint64_t), followed by what to put before each path and a null character. Any thread.
 * Returns 0; what is wrong with a file stands in its state. */
int fol_py_census_kernel(void **columns, ptrdiff_t rows, void *user);

#endif
