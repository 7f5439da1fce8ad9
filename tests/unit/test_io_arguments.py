"""What ctx.io refuses, with which sentence, and that nothing is asked for then."""

import os
import socket

import foliot as fo
import pytest
from hypothesis import given
from hypothesis import strategies as st

Text = fo.component("Text", fo.Bytes)
Other = fo.component("Other", fo.Bytes)
Mass = fo.component("Mass", "f8")
Page = fo.resource("Page", fo.Bytes)


def ask(function, **declared):
    """Run a function in a system that does I/O; nothing may be in flight or sent afterwards."""
    system = fo.system(io=True, name="ask", **declared)(function)
    with fo.Scheduler(fo.World(), fo.Schedule(system), backend="blocking", io="pool") as scheduler:
        scheduler.tick(0.1)
        return scheduler.stats.io_submitted


REFUSED = [
    (lambda io: io.read(), TypeError, "io.read needs path_or_fd"),
    (lambda io: io.read("a", 1, 0, None, None), TypeError, "at most 4 arguments by place, got 5"),
    (lambda io: io.read("a", what=1), TypeError, "io.read has no argument 'what'"),
    (lambda io: io.read("a", path_or_fd="b"), TypeError, "io.read got 'path_or_fd' twice"),
    (lambda io: io.read(1.5), TypeError, "path_or_fd is a path, a file descriptor"),
    (lambda io: io.read(None), TypeError, "path_or_fd is a path, a file descriptor"),
    (lambda io: io.read(True), TypeError, "path_or_fd is a whole number, got True"),
    (lambda io: io.read(-1), ValueError, "path_or_fd is from 0 to 2147483647, got -1"),
    (lambda io: io.read(2**31), ValueError, "got 2147483648"),
    (lambda io: io.read("a\0b"), ValueError, "has no null character"),
    (lambda io: io.read(b"a\0b"), ValueError, "has no null character"),
    (lambda io: io.read("ä\0b"), ValueError, "has no null character"),
    (lambda io: io.read("a", -1), ValueError, "size is from 0 to"),
    (lambda io: io.read("a", 1.0), TypeError, "size is a whole number, got 1.0"),
    (lambda io: io.read("a", offset=-1), ValueError, "offset is from 0 to"),
    (lambda io: io.read("a", offset=2**63), ValueError, "offset is from 0 to"),
    (lambda io: io.read("a", into=b"x"), TypeError, "into is a writable contiguous buffer"),
    (lambda io: io.read("a", into=[]), ValueError, "into is a list of 1 to"),
    (lambda io: io.read("a", into=[bytearray(1)] * 2000), ValueError, "into is a list of 1 to"),
    (lambda io: io.read("a", into=[bytearray(1), b"x"]), TypeError, "writable contiguous buffer"),
    (lambda io: io.read("a", 5, into=bytearray(4)), ValueError, "size is from 0 to 4, got 5"),
    (lambda io: io.read("a", 1, into=[bytearray(1)] * 2), ValueError, "size does not go with"),
    (lambda io: io.read("a", into=bytearray(1), to=(1, Text)), ValueError, "into or to"),
    (lambda io: io.read("a", to=(1, Other)), fo.AccessError, "`ask` does not write Other"),
    (lambda io: io.read("a", to=(1, Mass)), TypeError, "needs a component of fo.Bytes, which Mass"),
    (lambda io: io.read("a", to=Text), TypeError, "needs a resource of fo.Bytes, which Text"),
    (lambda io: io.read("a", to=(1, Page)), TypeError, "needs a component of fo.Bytes, which Page"),
    (lambda io: io.read("a", to=3), TypeError, "to is (entity, Component) or a resource"),
    (lambda io: io.read("a", to=(1, int)), TypeError, "to is (entity, Component) or a resource"),
    (lambda io: io.read("a", wait="frame"), ValueError, "wait is 'stage', 'phase' or 'none'"),
    (lambda io: io.read("a", wait=None), TypeError, "wait is 'stage', 'phase' or 'none'"),
    (lambda io: io.read("a", timeout=0), ValueError, "timeout is above 0"),
    (lambda io: io.read("a", timeout=float("nan")), ValueError, "timeout is above 0"),
    (lambda io: io.read("a", timeout=10**400), ValueError, "timeout is above 0"),
    (lambda io: io.read("a", timeout="1"), TypeError, "timeout is a number of seconds, got '1'"),
    (lambda io: io.read("a", timeout=True), TypeError, "timeout is a number of seconds, got True"),
    (lambda io: io.read("a", dir_fd="b"), TypeError, "dir_fd is a file descriptor"),
    (lambda io: io.read(3, dir_fd=4), ValueError, "dir_fd goes with a path"),
    (lambda io: io.write("a"), TypeError, "io.write needs data"),
    (lambda io: io.write("a", "text"), TypeError, "data is a contiguous buffer or a list of them"),
    (lambda io: io.write("a", b"", mode=0o10000), ValueError, "mode is from 0 to 4095"),
    (lambda io: io.fsync("a"), TypeError, "fd is a file descriptor or an object with fileno()"),
    (lambda io: io.fsync(1, 1), TypeError, "data_only is True or False, got 1"),
    (lambda io: io.open(3), TypeError, "path is str, bytes or os.PathLike, got 3"),
    (lambda io: io.open("a", -1), ValueError, "flags is from 0 to"),
    (lambda io: io.close(None), TypeError, "fd is a file descriptor"),
    (lambda io: io.stat(3, follow_symlinks=False), ValueError, "follow_symlinks=False goes with"),
    (lambda io: io.rename("a", 3), TypeError, "new is str, bytes or os.PathLike, got 3"),
    (lambda io: io.socket(-1), ValueError, "family is from 0 to"),
    (lambda io: io.connect(10_000_000, ("::1", 1)), OSError, "Bad file descriptor"),
    (lambda io: io.recv(3, many=True, size=4), ValueError, "many=True gives pieces as they come"),
    (lambda io: io.recv(3, whole=True), ValueError, "whole=True needs size"),
    (lambda io: io.recv(3, into=[bytearray(1)] * 2), TypeError, "takes one buffer"),
    (lambda io: io.send(3, [b"a", b"b"]), TypeError, "takes one buffer"),
    (lambda io: io.shutdown(3, 3), ValueError, "how is from 0 to 2, got 3"),
    (lambda io: io.poll(3, 0), ValueError, "events is from 1 to"),
    (lambda io: io.timeout(-1), ValueError, "seconds is at least 0"),
    (lambda io: io.read_many("abc"), TypeError, "paths is an iterable of paths, got 'abc'"),
    (lambda io: io.read_many(["a", 3]), TypeError, "paths[1] is str, bytes or os.PathLike, got 3"),
    (lambda io: io.read_many(["a"], to=Text), TypeError, "to is (entities, Component)"),
    (lambda io: io.read_many(["a"], to=([1, 2], Text)), ValueError, "got 2 for 1 paths"),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED, ids=range(len(REFUSED)))
def test_wrong_arguments_are_named_and_nothing_is_asked_for(call, kind, text):
    def refuse(ctx):
        with pytest.raises(kind) as caught:
            call(ctx.io)
        assert text in str(caught.value)

    assert ask(refuse, writes=Text) == 0


@pytest.mark.parametrize(
    ("family", "address", "kind", "text"),
    [
        (socket.AF_INET, ("localhost", 80), ValueError, "look names up with socket.getaddrinfo"),
        (socket.AF_INET, "127.0.0.1", TypeError, "(host, port) for a socket of AF_INET"),
        (socket.AF_INET, ("127.0.0.1", 65536), ValueError, "the port is from 0 to 65535"),
        (socket.AF_INET6, ("127.0.0.1", 1), ValueError, "such as '::1'"),
        (socket.AF_INET6, ("::1", 1, 2**20), ValueError, "the flow information is from 0"),
        (socket.AF_UNIX, ("a", 1), TypeError, "a path for a socket of AF_UNIX"),
        (socket.AF_UNIX, "x" * 108, ValueError, "has 1 to 107 bytes"),
        (socket.AF_UNIX, "a\0b", ValueError, "no null character but a first one"),
        (socket.AF_NETLINK, "a", ValueError, "AF_INET, AF_INET6 and AF_UNIX can be connected"),
    ],
)
def test_wrong_addresses_are_named(family, address, kind, text):
    def refuse(ctx):
        with pytest.raises(kind) as caught:
            ctx.io.connect(there, address)
        assert text in str(caught.value)

    with socket.socket(family, socket.SOCK_STREAM if family != 16 else socket.SOCK_RAW) as there:
        assert ask(refuse) == 0


@pytest.mark.parametrize("fails", [TypeError, RuntimeError, KeyError])
def test_errors_of_objects_that_are_asked_come_out(fails):
    class Odd:
        def fileno(self):
            raise fails("odd")

        def __fspath__(self):
            raise fails("odd")

    def refuse(ctx):
        for call in (ctx.io.read, ctx.io.close, ctx.io.open):
            with pytest.raises(fails, match="odd"):
                call(Odd())

    assert ask(refuse) == 0


def test_system_without_io_has_no_ctx_io():
    @fo.system
    def look(ctx):
        with pytest.raises(fo.AccessError, match="needs io=True"):
            ctx.io

    with fo.Scheduler(fo.World(), fo.Schedule(look)) as scheduler:
        scheduler.tick(0.1)


def test_ctx_io_works_only_while_its_system_runs():
    kept = []
    ask(lambda ctx: kept.extend([ctx, ctx.io]))
    with pytest.raises(fo.AccessError, match="outside its system"):
        kept[0].io
    with pytest.raises(fo.AccessError, match="scheduler that is closed"):
        kept[1].nop()

    def look(ctx):
        kept[:] = [ctx.io]

    system = fo.system(io=True, name="look")(look)
    with fo.Scheduler(fo.World(), fo.Schedule(system)) as scheduler:
        scheduler.tick(0.1)
        for call in (kept[0].nop, lambda: kept[0].read_many(["a"])):
            with pytest.raises(fo.AccessError, match="outside its system"):
                call()


def test_run_condition_may_not_do_io():
    def check(ctx):
        with pytest.raises(fo.AccessError, match="run condition of `ask` may not do I/O"):
            ctx.io
        return True

    ask(lambda ctx: None, run_if=check)


def test_system_that_ends_while_arguments_are_read_gets_an_error():
    class Late:
        def __init__(self, ctx):
            self.ctx = ctx

        def fileno(self):
            with pytest.raises(fo.AccessError):
                kept[0].nop()
            return 3

    kept = []

    @fo.system(io=True)
    def first(ctx):
        kept.append(ctx.io)

    @fo.system(io=True, after="first")
    def second(ctx):
        with pytest.raises(fo.AccessError):
            kept[0].close(Late(ctx))

    with fo.Scheduler(fo.World(), fo.Schedule(first, second)) as scheduler:
        scheduler.tick(0.1)


def test_more_operations_than_max_io_are_refused_by_name():
    world = fo.World(fo.Config(max_io=4))

    @fo.system(io=True)
    def many(ctx):
        for _ in range(4):
            ctx.io.nop()
        with pytest.raises(fo.CapacityError, match=r"Config\.max_io"):
            ctx.io.nop()
        with pytest.raises(fo.CapacityError, match=r"Config\.max_io"):
            ctx.io.read_many(["/etc/passwd"])

    with fo.Scheduler(world, fo.Schedule(many), backend="blocking") as scheduler:
        scheduler.tick(0.1)
        assert scheduler.stats.io_completed == 4
        scheduler.tick(0.1)


def test_reads_of_many_that_find_no_room_are_failures_among_the_others():
    world = fo.World(fo.Config(max_io=4))
    kept = []
    system = fo.system(io=True, name="many")(
        lambda ctx: kept.append(ctx.io.read_many([os.devnull] * 6))
    )
    with fo.Scheduler(world, fo.Schedule(system), backend="blocking") as scheduler:
        scheduler.tick(0.1)
    assert kept[0].results == [b""] * 4 + [None] * 2
    assert {place: type(error) for place, error in kept[0].errors.items()} == {
        4: fo.CapacityError,
        5: fo.CapacityError,
    }


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_io_option_is_true_or_false(value):
    with pytest.raises(TypeError, match="io= of `ask` is True or False"):
        fo.system(io=value, name="ask")(lambda ctx: None)


def test_native_system_that_does_io_takes_a_chunk():
    with pytest.raises(ValueError, match="io=True needs the kernel signature that takes a"):
        fo.native(1, signature="int (void **, ptrdiff_t, void *)", io=True, name="n")


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), -1),
    st.integers(2**20, 2**70),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.builds(bytearray, st.just(4)),
    st.lists(st.builds(bytearray, st.just(2)), max_size=3),
    st.sampled_from([Text, Page, Mass, (1, Text), (0, Text), object(), int]),
)
METHODS = ["read", "fsync", "close", "stat", "recv", "send", "poll", "shutdown", "accept", "nop"]
NAMES = [
    "size",
    "offset",
    "into",
    "to",
    "wait",
    "timeout",
    "dir_fd",
    "whole",
    "many",
    "data",
    "how",
]


@given(
    method=st.sampled_from(METHODS),
    args=st.lists(VALUES, max_size=4),
    named=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
)
def test_any_arguments_give_an_operation_or_one_error(method, args, named):
    def call(ctx):
        try:
            made.append(getattr(ctx.io, method)(*args, **named))
        except (TypeError, ValueError, OverflowError, LookupError, fo.AccessError, OSError):
            refused.append(True)

    made, refused = [], []
    system = fo.system(io=True, name="ask", writes=Text)(call)
    with fo.Scheduler(fo.World(), fo.Schedule(system), backend="blocking", io="pool") as scheduler:
        scheduler.tick(0.1)
        assert len(made) + len(refused) == 1
        assert scheduler.stats.io_submitted == len(made)
        for operation in made:
            assert operation.error is None or isinstance(operation.error, Exception)
