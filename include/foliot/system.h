/* What a native system sees: the only header a kernel needs to include.
 *
 * A kernel is a C function with one of two signatures (FOL_SIGNATURE_COLUMNS, FOL_SIGNATURE_CHUNK).
 * foliot calls it once for each run of rows that the system's query matches. Columns are the fields
 * of the declared writes, in order, then of the declared reads; each points at the first row of the
 * run, elements are contiguous and the column's start is 64-byte aligned when the run starts a
 * table. A resource is a column of one row, whatever `rows` says. A Bytes field is a column of
 * `fol_bytes`. A system that names no component at all is called once a frame with rows == 1.
 *
 * A kernel must treat rows independently, because foliot may cut a table into several runs, and may
 * give runs to several workers at once: then what `user` points at is shared by calls that run at
 * the same time. A system that writes a resource, which all of its rows share, gets its runs one
 * after another. A kernel must not keep any pointer after it returns, and must not write a column
 * it declared as read. It returns 0, or any other number to fail its system with that code.
 *
 * The header stands alone: nothing has to be linked. Commands go through a table of functions.
 */
#ifndef FOLIOT_SYSTEM_H
#define FOLIOT_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

#include "foliot/io.h"
#include "foliot/parallel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Generation in the high 32 bits, index in the low ones. 0 is never a live entity. */
typedef uint64_t fol_entity;

/* One command buffer; belongs to the worker that runs the kernel. */
typedef struct fol_commands fol_commands;

/* A value of a Bytes field. Owned by the world; read-only for kernels. data is NULL when size is
 * 0. */
typedef struct fol_bytes {
    const uint8_t *data;
    uint64_t size; /* bytes */
} fol_bytes;

/* One component with one packed value: the fields one after another at their packed offsets.
 * value NULL means zeros. Tags have no value. */
typedef struct fol_value {
    fol_component *component;
    const void *value;
} fol_value;

/* Recording commands. Each returns 0 or a negative status, and then records nothing: FOL_E_VALUE,
 * or -ENOMEM. Commands take effect at the next merge, up to the scheduler's max_commands and
 * command_bytes for one run of the system; the merge refuses what is beyond, in the order of rows,
 * whatever workers the rows are with. The entity of a spawn that is refused means nobody. */
typedef struct fol_command_api {
    /* *out is a provisional entity, good in commands of the same frame only. */
    int (*spawn)(fol_commands *commands, const fol_value *values, size_t count, fol_entity *out);
    int (*despawn)(fol_commands *commands, fol_entity entity);
    int (*add)(fol_commands *commands, fol_entity entity, const fol_value *values, size_t count);
    int (*set)(fol_commands *commands, fol_entity entity, const fol_value *values, size_t count);
    int (*remove)(fol_commands *commands, fol_entity entity, fol_component *const *components,
                  size_t count);
    int (*insert)(fol_commands *commands, const fol_value *resource);
    /* fn runs at the merge, alone, with the world; argument must live until then. */
    int (*call)(fol_commands *commands, int (*fn)(void *world, void *argument), void *argument);
} fol_command_api;

/* A run of rows of one table. */
typedef struct fol_chunk {
    void *const *columns; /* column_count pointers */
    ptrdiff_t rows;
    const fol_entity *entities; /* rows ids; NULL when the system names no component */
    double dt;                  /* seconds this frame advances */
    double time;                /* seconds since the first frame, before this one advances */
    uint64_t frame;             /* 0 for the first frame of the scheduler */
    uint32_t column_count;
    uint32_t component_count;
    fol_component *const *components; /* the declared writes, then the declared reads */
    const fol_command_api *api;       /* NULL unless the system declared commands */
    fol_commands *commands;           /* NULL unless the system declared commands */
    void *user;                       /* the system's user data */
    const fol_parallel_api *parallel; /* fork, join and the parallel loop; never NULL */
    fol_parallel *self;               /* the first argument of its functions */
    const fol_io_api *io_api;         /* NULL unless the system declared I/O */
    fol_io_queue *io;                 /* NULL unless the system declared I/O */
} fol_chunk;

typedef int (*fol_columns_kernel)(void **columns, ptrdiff_t rows, void *user);
typedef int (*fol_chunk_kernel)(const fol_chunk *chunk, void *user);

/* The accepted signatures, normalised: no parameter names, single spaces, no qualifier before
 * `void`. */
#define FOL_SIGNATURE_COLUMNS "int (void **, ptrdiff_t, void *)"
#define FOL_SIGNATURE_CHUNK   "int (const fol_chunk *, void *)"

#ifdef __cplusplus
}
#endif

#endif
