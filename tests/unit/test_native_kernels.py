"""Real kernels of every making, run by the scheduler; C ones see the public header alone."""

import ctypes
import importlib.util
import subprocess

import foliot as fo
import numpy as np
import pytest

cffi = pytest.importorskip("cffi")

Position = fo.component("Position", {"x": "f4", "y": "f4"})
Velocity = fo.component("Velocity", {"x": "f4", "y": "f4"})
Mass = fo.component("Mass", "f8")
Text = fo.component("Text", fo.Bytes)
Frozen = fo.tag("Frozen")


@fo.resource
class Gravity:
    g: fo.f8 = 9.81


SOURCE = """
#include "foliot/system.h"

int move(void **columns, ptrdiff_t rows, void *user)
{
    float *x = columns[0], *y = columns[1];
    const float *vx = columns[2], *vy = columns[3];
    double scale = user == NULL ? 1.0 : *(double *)user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        x[i] += vx[i] * (float)scale;
        y[i] += vy[i] * (float)scale;
    }
    return 0;
}

int fail(void **columns, ptrdiff_t rows, void *user)
{
    (void)columns;
    (void)rows;
    (void)user;
    return 7;
}

int gravity(void **columns, ptrdiff_t rows, void *user)
{
    double *mass = columns[0];
    const double *g = columns[1];
    (void)user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        mass[i] *= *g;
    }
    return 0;
}

int change(void **columns, ptrdiff_t rows, void *user)
{
    (void)user;
    *(double *)columns[0] += (double)rows;
    return 0;
}

int lengths(void **columns, ptrdiff_t rows, void *user)
{
    double *mass = columns[0];
    const fol_bytes *text = columns[1];
    (void)user;
    for (ptrdiff_t i = 0; i < rows; i++) {
        mass[i] = (double)text[i].size + (text[i].size > 0 ? text[i].data[0] : 0);
    }
    return 0;
}

typedef struct log_entry {
    int64_t rows, frame, columns;
    double dt, time;
    uint64_t first;
} log_entry;

int record(const fol_chunk *chunk, void *user)
{
    log_entry *entry = user;
    entry->rows += chunk->rows;
    entry->frame = (int64_t)chunk->frame;
    entry->columns = chunk->column_count;
    entry->dt = chunk->dt;
    entry->time = chunk->time;
    entry->first = chunk->entities == NULL ? 0 : chunk->entities[0];
    return chunk->api == NULL && chunk->commands == NULL && chunk->user == user ? 0 : 1;
}

int multiply(const fol_chunk *chunk, void *user)
{
    (void)user;
    for (ptrdiff_t i = 0; i < chunk->rows; i++) {
        double half = ((double *)chunk->columns[0])[i] * 0.5;
        fol_value value = {chunk->components[0], &half};
        fol_entity child;
        if (chunk->api->spawn(chunk->commands, &value, 1, &child) != 0 ||
            chunk->api->despawn(chunk->commands, chunk->entities[i]) != 0) {
            return 1;
        }
    }
    return 0;
}
"""

CDEF = """
typedef struct fol_chunk fol_chunk;
int move(void **columns, ptrdiff_t rows, void *user);
int fail(void **columns, ptrdiff_t rows, void *user);
int gravity(void **columns, ptrdiff_t rows, void *user);
int change(void **columns, ptrdiff_t rows, void *user);
int lengths(void **columns, ptrdiff_t rows, void *user);
int record(const fol_chunk *chunk, void *user);
int multiply(const fol_chunk *chunk, void *user);
"""


@pytest.fixture(scope="module")
def shared_library(tmp_path_factory):
    """The kernels as a plain shared library, compiled against the header alone."""
    folder = tmp_path_factory.mktemp("kernels")
    source, library = folder / "kernels.c", folder / "libkernels.so"
    source.write_text(SOURCE)
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(
        ["cc", *flags, "-I", fo.get_include(), str(source), "-o", str(library)], check=True
    )
    return str(library)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The kernels as an API-mode cffi library."""
    ffi = cffi.FFI()
    ffi.cdef(CDEF)
    ffi.set_source("foliot_test_kernels", SOURCE, include_dirs=[fo.get_include()])
    path = ffi.compile(tmpdir=str(tmp_path_factory.mktemp("api")))
    spec = importlib.util.spec_from_file_location("foliot_test_kernels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def abi(shared_library):
    """The kernels as an ABI-mode cffi library."""
    ffi = cffi.FFI()
    ffi.cdef(CDEF)
    return ffi, ffi.dlopen(shared_library)


def moving_world(rows=1000):
    world = fo.World()
    ids = world.spawn_many(
        rows,
        {Position: {"x": np.arange(rows), "y": 0.0}, Velocity: {"x": 1.0, "y": 2.0}},
    )
    return world, ids


def run(world, *systems, frames=1, **options):
    with fo.Scheduler(world, fo.Schedule(*systems), **options) as scheduler:
        return scheduler.tick_n(frames, 0.5)


def check_moved(world, frames=1):
    (chunk,) = world.query(reads=[Position])
    assert np.array_equal(chunk[Position].x, np.arange(1000) + frames)
    assert np.all(chunk[Position].y == 2.0 * frames)


def test_api_mode_builtin(api):
    world, _ = moving_world()
    move = fo.native(api.lib.move, writes=Position, reads=Velocity)
    assert move.name == "move"
    frame = run(world, move, frames=3)
    check_moved(world, 3)
    assert frame.systems["move"].rows == 1000


def test_api_mode_address(api):
    world, _ = moving_world()
    pointer = api.ffi.addressof(api.lib, "move")
    run(world, fo.native(pointer, writes=Position, reads=Velocity, name="move"))
    check_moved(world)


def test_a_cffi_pointer_has_no_name_of_its_own(abi):
    with pytest.raises(ValueError, match="needs name="):
        fo.native(abi[0].addressof(abi[1], "move"), writes=Position, reads=Velocity)


def test_abi_mode_function(abi):
    world, _ = moving_world()
    run(world, fo.native(abi[1].move, writes=Position, reads=Velocity, name="move"))
    check_moved(world)


def test_ctypes_function(shared_library):
    world, _ = moving_world()
    move = ctypes.CDLL(shared_library).move
    move.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p]
    run(world, fo.native(move, writes=Position, reads=Velocity))
    check_moved(world)


def test_int_address(shared_library):
    world, _ = moving_world()
    library = ctypes.CDLL(shared_library)
    address = ctypes.cast(library.move, ctypes.c_void_p).value
    signature = "int (void **columns, ptrdiff_t rows, void *user)"
    run(
        world,
        fo.native(address, writes=Position, reads=Velocity, name="move", signature=signature),
    )
    check_moved(world)


def test_numba_cfunc():
    numba = pytest.importorskip("numba")

    @numba.cfunc(fo.numba_signature())
    def move(columns, rows, user):
        x = numba.carray(columns[0], rows, np.float32)
        y = numba.carray(columns[1], rows, np.float32)
        vx = numba.carray(columns[2], rows, np.float32)
        vy = numba.carray(columns[3], rows, np.float32)
        for i in range(rows):
            x[i] += vx[i]
            y[i] += vy[i]
        return 0

    world, _ = moving_world()
    run(world, fo.native(move, writes=Position, reads=Velocity))
    check_moved(world)


def test_cffi_callback_into_python_works():
    ffi = cffi.FFI()
    seen = []

    @ffi.callback("int(void **, ptrdiff_t, void *)")
    def count(columns, rows, user):
        seen.append(rows)
        return 0

    world, _ = moving_world()
    run(world, fo.native(count, reads=Position, name="count"))
    assert sum(seen) == 1000


def test_ctypes_callback_into_python_works():
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_ssize_t, ctypes.c_void_p
    )
    seen = []

    def count(columns, rows, user):
        seen.append(rows)
        return 0

    with pytest.warns(RuntimeWarning, match="callback into Python"):
        system = fo.native(kind(count), reads=Position, name="count")
    world, _ = moving_world()
    run(world, system)
    assert sum(seen) == 1000


def test_user_data_reaches_the_kernel(api):
    world, _ = moving_world()
    scale = np.array([3.0])
    run(world, fo.native(api.lib.move, writes=Position, reads=Velocity, user_data=scale))
    (chunk,) = world.query(reads=Position)
    assert chunk[Position].y[0] == 6.0


def test_rows_are_cut_into_runs(api):
    world, _ = moving_world()
    move = fo.native(api.lib.move, writes=Position, reads=Velocity, chunk_rows=64)
    frame = run(world, move)
    check_moved(world)
    assert frame.systems["move"].tasks >= 1000 // 64
    assert frame.systems["move"].rows == 1000


def test_failing_kernel_names_its_code(api):
    world, _ = moving_world()
    fail = fo.native(api.lib.fail, reads=Position)
    with pytest.raises(fo.FrameError, match="1 of 1 system failed in frame 0") as caught:
        run(world, fail)
    (error,) = caught.value.exceptions
    assert isinstance(error, fo.KernelError)
    assert error.code == 7
    assert "`fail` returned 7" in str(error)
    assert error.__notes__ == ["in system `fail`, frame 0"]


def test_failing_kernel_of_a_batch_stops_it(api):
    world, _ = moving_world()
    with fo.Scheduler(world, fo.Schedule(fo.native(api.lib.fail))) as scheduler:
        with pytest.raises(fo.FrameError):
            scheduler.tick_n(100, 0.1)
        assert scheduler.frame == 1


def test_failing_kernels_of_a_batch_are_all_told(api):
    world = fo.World()
    frame = run(world, fo.native(api.lib.fail), frames=4, errors="continue")
    assert [error.code for error in frame.errors] == [7] * 4


def test_resource_is_a_column_of_one_row(api):
    world = fo.World()
    world.insert(Gravity(g=2.0))
    world.spawn_many(5, {Mass: np.arange(5.0)})
    run(world, fo.native(api.lib.gravity, writes=Mass, reads=Gravity))
    (chunk,) = world.query(reads=Mass)
    assert chunk[Mass].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_missing_resource_names_system_and_resource(api):
    world = fo.World()
    world.spawn(Mass(1.0))
    with pytest.raises(fo.FrameError) as caught:
        run(world, fo.native(api.lib.gravity, writes=Mass, reads=Gravity))
    (error,) = caught.value.exceptions
    assert isinstance(error, KeyError)
    assert "`gravity` uses the resource Gravity" in str(error)


def test_system_without_components_is_called_once_with_one_row(api):
    world = fo.World()
    world.insert(Gravity(g=1.0))
    run(world, fo.native(api.lib.change, writes=Gravity), frames=3)
    assert world[Gravity].g == 4.0


def test_bytes_are_seen_as_data_and_size(api):
    world = fo.World()
    long = world.spawn(Mass(0.0), Text(b"abc"))
    empty = world.spawn(Mass(0.0), Text(b""))
    run(world, fo.native(api.lib.lengths, writes=Mass, reads=Text))
    assert world.get(long, Mass).value == 3 + ord("a")
    assert world.get(empty, Mass).value == 0


def test_chunk_kernel_is_told_about_its_run(api):
    world = fo.World()
    entity = world.spawn(Mass(1.0), Frozen)
    world.spawn(Mass(1.0))
    log = np.zeros(6, dtype=np.int64)
    record = fo.native(api.lib.record, reads=Mass, with_=Frozen, user_data=log)
    run(world, record, frames=3)
    assert log[:3].tolist() == [3, 2, 1]
    assert log[3:5].view(np.float64).tolist() == [0.5, 1.0]
    assert int(log.view(np.uint64)[5]) == int(entity)


def test_chunk_kernel_records_commands(api):
    world = fo.World()
    world.spawn_many(3, {Mass: [2.0, 4.0, 6.0]})
    frame = run(world, fo.native(api.lib.multiply, writes=Mass, commands=True))
    assert (frame.commands["spawn"], frame.commands["despawn"]) == (3, 3)
    (chunk,) = world.query(reads=Mass)
    assert sorted(chunk[Mass].tolist()) == [1.0, 2.0, 3.0]


def test_condition_of_a_native_system_is_python(api):
    world, _ = moving_world()
    move = fo.native(
        api.lib.move, writes=Position, reads=Velocity, run_if=lambda ctx: ctx.frame == 1
    )
    run(world, move, frames=5)
    check_moved(world)


def test_rows_written_by_a_kernel_count_as_changed(api):
    world, _ = moving_world(10)
    seen = []
    look = fo.system(changed=Position, name="look")(
        lambda ctx: seen.append(sum(len(chunk) for chunk in ctx))
    )
    move = fo.native(api.lib.move, writes=Position, reads=Velocity)
    with fo.Scheduler(world, fo.Schedule(move, look)) as scheduler:
        scheduler.tick(0.1)
        scheduler.disable("move")
        scheduler.tick(0.1)
        scheduler.enable("move")
        scheduler.tick(0.1)
    assert seen == [10, 0, 10]


def test_native_and_python_systems_of_a_frame_run_in_order(api):
    world, _ = moving_world()
    seen = []
    move = fo.native(api.lib.move, writes=Position, reads=Velocity)

    @fo.system(reads=Position, after=move)
    def look(ctx):
        seen.extend(float(chunk[Position].x[0]) for chunk in ctx)

    run(world, move, look, frames=3)
    assert seen == [1.0, 2.0, 3.0]


def test_frames_of_kernels_give_up_the_lock(api):
    world, _ = moving_world()
    move = fo.native(api.lib.move, writes=Position, reads=Velocity)
    with fo.Scheduler(world, fo.Schedule(move)) as scheduler:
        scheduler.tick_n(10, 0.1)
        # Attached at each end of the batch only.
        assert scheduler.stats.host_switches <= 10
