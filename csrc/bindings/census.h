/* The kernel of the demo's code census, offered to Python as a capsule.
 *
 * It is written as a user would write one: against foliot/system.h and nothing else of foliot.
 */
#ifndef FOL_BINDINGS_CENSUS_H
#define FOL_BINDINGS_CENSUS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>

/* Adds `census_kernel` to the module: a capsule named by the C signature of the function it holds.
 * Returns 0, or -1 with an exception set. */
int fol_py_add_census(PyObject *module);

/* Continues the counts of each row with the row's text, so that a large file may come in pieces.
 * Columns: bytes, lines, words (uint64_t), crc (uint32_t), in_word (uint8_t), written; text
 * (fol_bytes), read. All counts start at 0. in_word is 1 when the last byte counted was part of a
 * word. Any thread. Returns 0. */
int fol_py_census_kernel(void **columns, ptrdiff_t rows, void *user);

#endif
