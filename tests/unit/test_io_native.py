"""Native kernels that queue I/O through their chunk, compiled by cffi against public headers."""

import errno
import importlib.util
import os

import foliot as fo
import numpy as np
import pytest

cffi = pytest.importorskip("cffi")

SIZE = 16
ROWS = 100

Key = fo.component("Key", "i8")
Record = fo.component("Record", fo.Bytes)

CDEF = """
typedef struct {
    int64_t value;
    const void *data;
    size_t size;
    uint32_t flags;
} fol_io_result;
typedef struct { int fd; int error; size_t size; uint8_t *buffers; fol_io_result *results; } reads;
int read_into_structs(const void *chunk, void *user);
int read_into_components(const void *chunk, void *user);
int read_without_request(const void *chunk, void *user);
"""

SOURCE = """
#include "foliot/system.h"

typedef struct { int fd; int error; size_t size; uint8_t *buffers; fol_io_result *results; } reads;

/* The part of the file that a key names, to no place yet. */
static fol_io_intent intent_of(const reads *wanted, int64_t key)
{
    return (fol_io_intent){
        .request = {.kind = FOL_IO_READ,
                    .fd = wanted->fd,
                    .size = wanted->size,
                    .offset = (uint64_t)key * wanted->size},
        .until = FOL_IO_STAGE,
    };
}

static int read_into_structs(const fol_chunk *chunk, void *user)
{
    reads *wanted = user;
    const int64_t *keys = chunk->columns[0];
    for (ptrdiff_t i = 0; i < chunk->rows; i++) {
        fol_io_intent intent = intent_of(wanted, keys[i]);
        intent.request.buffer = wanted->buffers + (size_t)keys[i] * wanted->size;
        intent.result = &wanted->results[keys[i]];
        int status = chunk->io_api->submit(chunk->io, &intent, NULL);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

static int read_into_components(const fol_chunk *chunk, void *user)
{
    const reads *wanted = user;
    const int64_t *keys = chunk->columns[1];
    for (ptrdiff_t i = 0; i < chunk->rows; i++) {
        fol_io_intent intent = intent_of(wanted, keys[i]);
        fol_io_handle handle = 0;
        intent.entity = chunk->entities[i];
        intent.component = chunk->components[0];
        int status = chunk->io_api->submit(chunk->io, &intent, &handle);
        if (status != 0 || handle == 0) {
            return status;
        }
    }
    return 0;
}

static int read_without_request(const fol_chunk *chunk, void *user)
{
    const fol_io_intent intent = {.request = {.kind = FOL_IO_KIND_COUNT}};
    ((reads *)user)->error = chunk->io_api->submit(chunk->io, &intent, NULL);
    return 0;
}
"""

SIGNATURE = "int (const fol_chunk *, void *)"


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """The compiled kernels."""
    ffi = cffi.FFI()
    ffi.cdef(CDEF)
    ffi.set_source("foliot_test_io_kernels", SOURCE, include_dirs=[fo.get_include()])
    path = ffi.compile(tmpdir=str(tmp_path_factory.mktemp("kernels")))
    spec = importlib.util.spec_from_file_location("foliot_test_io_kernels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(key):
    return b"record %09d" % key


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "records"
    path.write_bytes(b"".join(map(record, range(ROWS))))
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def wanted(kernels, file):
    """What the kernels work on, with all that it points to."""
    ffi = kernels.ffi
    buffers = ffi.new("uint8_t[]", ROWS * SIZE)
    results = ffi.new("fol_io_result[]", ROWS)
    made = ffi.new("reads *", {"fd": file, "size": SIZE, "buffers": buffers, "results": results})
    return made, buffers, results


def system_of(kernels, name, wanted, **declared):
    address = int(kernels.ffi.cast("uintptr_t", kernels.ffi.addressof(kernels.lib, name)))
    return fo.native(
        address, signature=SIGNATURE, io=True, user_data=wanted[0], name=name, **declared
    )


def keyed_world(*others):
    world = fo.World()
    return world, world.spawn_many(ROWS, {Key: np.arange(ROWS)[::-1], **dict(others)})


def test_native_kernel_gets_results_in_its_own_structs(engine, kernels, wanted):
    _, buffers, results = wanted
    world, _ = keyed_world()
    read = system_of(kernels, "read_into_structs", wanted, reads=Key, chunk_rows=16)
    with engine.scheduler(read, world=world) as scheduler:
        scheduler.tick(0.1)
        assert scheduler.stats.io_completed == ROWS
    assert [result.value for result in results] == [SIZE] * ROWS
    assert bytes(kernels.ffi.buffer(buffers)) == b"".join(map(record, range(ROWS)))


def test_every_frame_of_a_batch_gives_the_struct_results_anew(engine, kernels, wanted):
    made, buffers, results = wanted
    world, _ = keyed_world()
    read = system_of(kernels, "read_into_structs", wanted, reads=Key)
    with engine.scheduler(read, world=world) as scheduler:
        scheduler.tick_n(3, 0.1)
        assert [result.value for result in results] == [SIZE] * ROWS
        # From here on the file ends in the middle of the record behind the first ten.
        os.ftruncate(made.fd, 10 * SIZE + 5)
        kernels.ffi.memmove(buffers, bytes(ROWS * SIZE), ROWS * SIZE)
        scheduler.tick_n(3, 0.1)
        assert scheduler.stats.io_completed == 6 * ROWS
    assert [result.value for result in results] == [SIZE] * 10 + [5] + [0] * (ROWS - 11)
    kept = b"".join(map(record, range(11)))[: 10 * SIZE + 5]
    assert bytes(kernels.ffi.buffer(buffers)) == kept.ljust(ROWS * SIZE, b"\0")


def test_native_kernel_has_bytes_components_filled(engine, kernels, wanted):
    world, ids = keyed_world((Record, b"old"))
    read = system_of(kernels, "read_into_components", wanted, reads=Key, writes=Record)
    seen = []
    look = fo.system(name="look", reads=Record)(
        lambda ctx: seen.extend(bytes(value) for chunk in ctx for value in chunk[Record])
    )
    with engine.scheduler(read, look, world=world) as scheduler:
        scheduler.tick(0.1)
    assert seen == [record(key) for key in reversed(range(ROWS))]
    assert bytes(world.get(ids[0], Record).value) == record(ROWS - 1)


@pytest.fixture
def directory(wanted):
    """Has the kernels read a directory, which fails."""
    wanted[0].fd = os.open(os.curdir, os.O_RDONLY)
    yield
    os.close(wanted[0].fd)


@pytest.mark.usefixtures("directory")
def test_failure_in_a_struct_is_the_kernels_to_see(engine, kernels, wanted):
    world, _ = keyed_world()
    read = system_of(kernels, "read_into_structs", wanted, reads=Key)
    with engine.scheduler(read, world=world) as scheduler:
        assert scheduler.tick(0.1).errors == []
    assert {result.value for result in wanted[2]} == {-errno.EISDIR}


@pytest.mark.usefixtures("directory")
def test_failure_that_no_struct_gets_is_one_of_the_native_system(engine, kernels, wanted):
    world, ids = keyed_world((Record, b"old"))
    read = system_of(kernels, "read_into_components", wanted, reads=Key, writes=Record)
    with (
        engine.scheduler(read, world=world) as scheduler,
        pytest.raises(fo.FrameError) as caught,
    ):
        scheduler.tick(0.1)
    (error,) = caught.value.exceptions
    assert isinstance(error, OSError)
    assert error.errno == errno.EISDIR
    assert bytes(world.get(ids[0], Record).value) == b"old"


def test_request_without_sense_is_refused_when_it_is_queued(engine, kernels, wanted):
    world, _ = keyed_world()
    read = system_of(kernels, "read_without_request", wanted, reads=Key)
    with engine.scheduler(read, world=world) as scheduler:
        scheduler.tick(0.1)
        assert scheduler.stats.io_submitted == 0
    assert wanted[0].error == -4107
