"""Native kernels that the tests of workers share, compiled once a run against the public headers.

``act`` is a system driven by data: what it mixes, records, and when it fails stands in its actor,
so one kernel makes any number of random systems. Its results depend on rows alone, never on how
they are cut. ``meet`` is a barrier: it returns 0 only when that many calls were in it at once.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import foliot as fo

CDEF = """
typedef struct actor {
    uint64_t salt;
    uint32_t name;
    uint32_t columns;
    uint32_t writes;
    uint32_t spin;        /* rounds a row */
    uint32_t fail_every;  /* frames; 0: never */
    uint32_t fail_from;
    uint32_t fails_late;  /* at the first odd row, rather than at once */
    uint32_t records;     /* bits: 1 spawn, 2 despawn, 4 set, 8 remove, 16 call */
    uint8_t is_resource[16];
} actor;

typedef struct meeting {
    uint32_t wanted;
    uint32_t inside;
    uint64_t patience; /* looks before it gives up */
} meeting;

typedef struct called {
    uint64_t count;
    uint64_t hash;
} called;

extern called *current_log;

int act(const struct fol_chunk *chunk, void *user);
int meet(void **columns, ptrdiff_t rows, void *user);
int pair(void **columns, ptrdiff_t rows, void *user);
int grind(void **columns, ptrdiff_t rows, void *user);
"""

SOURCE = """
#include <sched.h>
#include <string.h>

#include "foliot/system.h"

struct actor; struct meeting; struct called;
%s

called *current_log;

#define EXPORT __attribute__((visibility("default")))
#define STIR   UINT64_C(0x9e3779b97f4a7c15)

static int log_call(void *world, void *argument)
{
    (void)world;
    current_log->hash = (current_log->hash ^ (uint64_t)(uintptr_t)argument) * STIR;
    current_log->hash ^= current_log->hash >> 29;
    current_log->count++;
    return 0;
}

static void record(const fol_chunk *chunk, const actor *self, ptrdiff_t row, uint64_t mixed)
{
    const fol_command_api *api = chunk->api;
    fol_component *component = NULL;
    fol_value value = {0};
    for (uint32_t i = 0; i < self->columns && component == NULL; i++) {
        component = self->is_resource[i] ? NULL : chunk->components[i];
    }
    value.component = component;
    value.value = &mixed;
    if ((self->records & 16) != 0 && mixed %% 7 == 0) {
        api->call(chunk->commands, log_call, (void *)(uintptr_t)mixed);
    }
    if (component == NULL || chunk->entities == NULL) {
        return;
    }
    fol_entity entity = chunk->entities[row];
    fol_entity child;
    if ((self->records & 1) != 0 && mixed %% 41 == 0) {
        api->spawn(chunk->commands, &value, mixed %% 2, &child);
        mixed ^= STIR;
        api->add(chunk->commands, child, &value, 1);
    }
    if ((self->records & 2) != 0 && mixed %% 31 == 0) {
        api->despawn(chunk->commands, entity);
    }
    if ((self->records & 4) != 0 && mixed %% 5 == 0) {
        api->set(chunk->commands, entity, &value, 1);
    }
    if ((self->records & 8) != 0 && mixed %% 23 == 0) {
        api->remove(chunk->commands, entity, &component, 1);
    }
}

static uint64_t *cell(const fol_chunk *chunk, const actor *self, uint32_t column, ptrdiff_t row)
{
    return (uint64_t *)chunk->columns[column] + (self->is_resource[column] ? 0 : row);
}

EXPORT int act(const fol_chunk *chunk, void *user)
{
    const actor *self = user;
    int fails = self->fail_every != 0 && chunk->frame %% self->fail_every == self->fail_from;
    if (fails && !self->fails_late) {
        return 3;
    }
    for (ptrdiff_t row = 0; row < chunk->rows; row++) {
        uint64_t step;
        memcpy(&step, &chunk->dt, sizeof(step));
        uint64_t mixed = self->salt ^ chunk->frame * STIR ^ step;
        for (uint32_t i = self->writes; i < self->columns; i++) {
            mixed = (mixed ^ *cell(chunk, self, i, row)) * STIR;
            mixed ^= mixed >> 31;
        }
        for (uint32_t i = 0; i < self->writes && !fails; i++) {
            uint64_t *out = cell(chunk, self, i, row);
            *out = (*out ^ mixed) * STIR + i;
            mixed ^= *out >> 17;
        }
        for (volatile uint32_t round = 0; round < self->spin; round++) {
        }
        if (chunk->api != NULL) {
            record(chunk, self, row, mixed);
        }
        if (fails && mixed %% 89 == 1) {
            return 100 + (int)(mixed %% 13);
        }
    }
    return 0;
}

EXPORT int meet(void **columns, ptrdiff_t rows, void *user)
{
    meeting *self = user;
    (void)columns;
    (void)rows;
    __atomic_add_fetch(&self->inside, 1, __ATOMIC_SEQ_CST);
    for (uint64_t look = 0; look < self->patience; look++) {
        if (__atomic_load_n(&self->inside, __ATOMIC_SEQ_CST) >= self->wanted) {
            return 0;
        }
        sched_yield();
    }
    return 1;
}

/* Two columns that always change together. */
EXPORT int pair(void **columns, ptrdiff_t rows, void *user)
{
    uint64_t *first = columns[0];
    uint64_t *second = columns[1];
    (void)user;
    for (ptrdiff_t row = 0; row < rows; row++) {
        first[row]++;
        second[row] += 3;
    }
    return 0;
}

/* So many rounds a row. */
EXPORT int grind(void **columns, ptrdiff_t rows, void *user)
{
    uint64_t *cells = columns[0];
    for (ptrdiff_t row = 0; row < rows; row++) {
        for (uint64_t round = *(const uint64_t *)user; round > 0; round--) {
            cells[row] = cells[row] * STIR + round;
            __asm__ volatile("" ::: "memory");
        }
    }
    return 0;
}
"""


@functools.cache
def load() -> tuple[Any, Any]:
    """The kernels as (ffi, library)."""
    import cffi

    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "kernels.c"), Path(folder, "libkernels.so")
        types = CDEF.partition("extern")[0]
        source.write_text(SOURCE % types)
        flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run(
            ["cc", *flags, "-I", fo.get_include(), str(source), "-o", str(library)], check=True
        )
        ffi = cffi.FFI()
        ffi.cdef("struct fol_chunk; typedef struct fol_chunk fol_chunk;" + CDEF)
        return ffi, ffi.dlopen(str(library))
