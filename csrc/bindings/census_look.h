/* Which file it is, and whether it changed: what the demo's kernels look at before and after. */
#ifndef FOL_BINDINGS_CENSUS_LOOK_H
#define FOL_BINDINGS_CENSUS_LOOK_H

#include <stdint.h>

/* Inode, size, time of modification and of change in nanoseconds: a column of the kernels. */
#define FOL_PY_IDENTITY_FIELDS 4
#define FOL_PY_IDENTITY_SIZE   1 /* the field that holds the size */

/* Writes what the file of a path is now, whose relative paths start from the directory. Returns
 * FOL_PY_FILE_WAITING, FOL_PY_FILE_OTHER, or an errno value: ELOOP for a symbolic link, as opening
 * it without following would give. Any thread. */
int32_t fol_py_look_at(int directory, const char *path, int64_t identity[FOL_PY_IDENTITY_FIELDS]);

/* The same of an open file. */
int32_t fol_py_look_into(int descriptor, int64_t identity[FOL_PY_IDENTITY_FIELDS]);

#endif
