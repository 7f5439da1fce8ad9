"""Objects of the scheduler in several threads at once: what they see is whole, or they are told no.

Where there is an interpreter lock these say that nothing depends on more than it; where there is
none, that the locks of the objects stand in for it.
"""

import sys
import threading

import foliot as fo
import numpy as np
import pytest
from support import run_together

Label = fo.component("Label", "i8")
Text = fo.component("Text", fo.Bytes)
Note = fo.component("Note", object)
Amount = fo.resource("Amount", {"one": "f8", "some": ("f8", (2,))})
THREADS = 4
ROUNDS = 300
PATIENCE = 60


@fo.resource
class Name:
    text: fo.Bytes = b""


def make(name, function, **options):
    return fo.system(name=name, **options)(function)


def refused(function, *errors):
    """Call until it is refused; the error. Bounded by who makes it refuse."""
    while True:
        try:
            function()
        except errors as error:
            return error


def test_threads_of_a_system_record_commands_beside_each_other():
    def record(ctx):
        def spawn(thread):
            for number in range(ROUNDS):
                ctx.commands.spawn(Label(thread * ROUNDS + number))

        run_together(*(lambda thread=thread: spawn(thread) for thread in range(THREADS)))

    world = fo.World()
    with fo.Scheduler(world, fo.Schedule(make("record", record, commands=True))) as scheduler:
        scheduler.tick(0.1)
        assert scheduler.stats.commands_applied == THREADS * ROUNDS
    labels = [label for chunk in world.query(reads=Label) for label in chunk[Label].tolist()]
    assert sorted(labels) == list(range(THREADS * ROUNDS))
    for thread in range(THREADS):
        own = [label for label in labels if label // ROUNDS == thread]
        assert own == sorted(own)


def test_threads_of_a_system_see_every_row_each():
    rows = []

    def look(ctx):
        def count():
            rows.append(sum(len(chunk[Label]) for chunk in ctx))

        run_together(*[count] * THREADS)

    world = fo.World()
    world.spawn_many(1000, {Label: 1})
    with fo.Scheduler(world, fo.Schedule(make("look", look, reads=Label))) as scheduler:
        scheduler.tick_n(20, 0.1)
    assert rows == [1000] * 20 * THREADS


def test_thread_that_outlives_its_system_is_refused():
    errors = []
    threads = []

    def leave_behind(ctx):
        uses = (
            lambda: ctx.dt,
            lambda: ctx.commands.spawn(Label(1)),
            lambda: [chunk[Label] for chunk in ctx],
            lambda: ctx.io.nop(),
        )
        begun = threading.Barrier(len(uses) + 1)

        def use(function):
            begun.wait()
            errors.append(refused(function, fo.AccessError))

        threads.extend(threading.Thread(target=use, args=(function,)) for function in uses)
        for thread in threads[-len(uses) :]:
            thread.start()
        begun.wait()

    world = fo.World()
    world.spawn_many(10, {Label: 1})
    system = make("leave", leave_behind, reads=Label, commands=True, io=True)
    # One frame for each scheduler, so that a later run of the system lets nobody go on.
    for _ in range(10):
        with fo.Scheduler(world, fo.Schedule(system)) as scheduler:
            scheduler.tick(0.1)
            for thread in threads:
                thread.join()
            threads.clear()
    assert len(errors) == 40


class Gate:
    """Holds one thread up, in Python code that foliot asks for something, until it is opened."""

    def __init__(self):
        self.held = 0
        self.reached, self.opened = threading.Event(), threading.Event()

    def come_by(self):
        if threading.get_ident() == self.held:
            self.reached.set()
            assert self.opened.wait(PATIENCE)


class GatedName(str):
    __slots__ = ("gate",)
    __hash__ = str.__hash__

    def __eq__(self, other):
        self.gate.come_by()
        return str.__eq__(self, other)


class GatedNumber:
    def __init__(self, gate):
        self.gate = gate

    def __float__(self):
        self.gate.come_by()
        return 5.0


class GatedArray(GatedNumber):
    def __array__(self, dtype=None, copy=None):
        self.gate.come_by()
        return np.array([5.0, 6.0])


class GatedKind(type):
    """Of a class that is looked for by its hash, which is asked for in Python code."""

    gate = None

    def __hash__(cls):
        if cls.gate is not None:
            cls.gate.come_by()
        return type.__hash__(cls)


class Plain(metaclass=GatedKind):
    """A resource of no declared kind."""


def gated_lookup(gate, function):
    """Held up where the function looks for the resource."""

    def use():
        Plain.gate = gate
        try:
            function()
        finally:
            Plain.gate = None

    return use


def gated_name(gate):
    name = GatedName("rows")
    name.gate = gate
    return name


def gated_at_calls(gate, function):
    """Held up where the function first calls one that is written in Python."""

    def profile(frame, event, argument):
        if event == "call" and frame.f_code is not function.__code__:
            gate.come_by()

    def use():
        sys.setprofile(profile)
        try:
            function()
        finally:
            sys.setprofile(None)

    return use


def set_number(ctx, gate):
    amount = ctx[Amount]
    return lambda: setattr(amount, "one", GatedNumber(gate))


def set_numbers(ctx, gate):
    amount = ctx[Amount]
    return lambda: setattr(amount, "some", GatedArray(gate))


@pytest.mark.parametrize(
    "make_use",
    [
        lambda ctx, gate: gated_at_calls(gate, lambda: iter(ctx)),
        lambda ctx, gate: gated_lookup(gate, lambda: ctx[Plain]),
        lambda ctx, gate: lambda: ctx.query(gated_name(gate)),
        lambda ctx, gate: lambda: ctx.batches(gated_name(gate)),
        set_number,
        set_numbers,
    ],
    ids=["loop", "resource", "query", "batches", "number", "numbers"],
)
def test_thread_held_up_until_its_system_has_returned_is_refused(make_use):
    gate = Gate()
    errors, threads = [], []

    def leave(ctx):
        use = make_use(ctx, gate)

        def call():
            gate.held = threading.get_ident()
            with pytest.raises(fo.AccessError) as caught:
                use()
            errors.append(caught.value)

        threads.append(threading.Thread(target=call))
        threads[0].start()
        assert gate.reached.wait(PATIENCE)

    world = fo.World()
    world.spawn(Label(1))
    world.insert(Plain())
    world.insert(Amount(one=1.0, some=[2.0, 3.0]))
    declared = {
        "reads": [Label, Plain],
        "writes": Amount,
        "queries": {"rows": fo.Query(reads=Label)},
    }
    with fo.Scheduler(world, fo.Schedule(make("leave", leave, **declared))) as scheduler:
        scheduler.tick(0.1)
        gate.opened.set()
        threads[0].join()
    assert len(errors) == 1
    assert (world[Amount].one, *world[Amount].some) == (1.0, 2.0, 3.0)


def test_threads_of_a_system_share_a_resource_of_bytes():
    values = [bytes([number]) * (number * 40 + 1) for number in range(THREADS)]
    seen = set()

    def change(ctx):
        def write(value):
            for _ in range(ROUNDS):
                ctx[Name].text = value
                seen.add(bytes(ctx[Name].text))

        run_together(*(lambda value=value: write(value) for value in values))

    world = fo.World()
    world.insert(Name())
    with fo.Scheduler(world, fo.Schedule(make("change", change, writes=Name))) as scheduler:
        scheduler.tick(0.1)
    assert seen <= set(values)


def test_frames_of_two_threads_are_run_one_after_the_other_or_refused():
    ran = []

    def note(ctx):
        ran.append(ctx.frame)

    with fo.Scheduler(fo.World(), fo.Schedule(make("note", note))) as scheduler:

        def drive():
            for _ in range(ROUNDS):
                try:
                    scheduler.tick(0.1)
                except fo.WorldBusyError:
                    continue

        run_together(*[drive] * THREADS)
        assert ran == list(range(scheduler.frame))
        assert scheduler.stats.frames == len(ran)


@pytest.mark.parametrize("attempt", range(5))
def test_scheduler_is_closed_while_threads_ask_it(attempt):
    scheduler = fo.Scheduler(fo.World(), fo.Schedule(make("step", lambda ctx: None)), trace=True)
    scheduler.tick(0.1)
    asked = threading.Barrier(4)

    def close():
        asked.wait()
        while not scheduler.closed:
            try:
                scheduler.close()
            except fo.WorldBusyError:
                continue

    def ask(function):
        function()
        asked.wait()
        error = refused(function, RuntimeError)
        assert "closed" in str(error)

    run_together(
        close,
        lambda: ask(lambda: scheduler.frame),
        lambda: ask(scheduler._read_stats),
        lambda: ask(lambda: scheduler.is_enabled("step")),
    )


def test_operation_is_asked_while_it_is_delivered():
    operations = []
    begun = threading.Event()

    def ask(ctx):
        operations.extend(ctx.io.nop(wait="none") for _ in range(50))
        begun.set()

    def look():
        begun.wait()
        for operation in operations:
            while not operation.done:
                assert operation.error is None
            assert operation.result is None
            assert not operation.cancelled

    first = make("ask", ask, io=True, run_if=lambda ctx: ctx.frame == 0)
    with fo.Scheduler(fo.World(), fo.Schedule(first)) as scheduler:

        def drive():
            scheduler.tick(0.1)
            while not all(operation.done for operation in operations):
                scheduler.wait(1.0)
                scheduler.tick(0.1)

        run_together(drive, look, look)


def test_cells_are_read_while_another_thread_changes_the_world():
    world = fo.World()
    texts = {bytes([number]) * (number + 1) * 30 for number in range(20)}
    ids = [world.spawn(Text(text), Note([text])) for text in sorted(texts)]
    is_over = threading.Event()
    refusals = (fo.WorldBusyError, fo.AccessError)

    def change():
        for round_ in range(ROUNDS):
            try:
                world.set(ids[0], Text(sorted(texts)[round_ % 20]), Note([round_]))
                world.despawn(world.spawn(Text(b"short lived"), Note(None)))
            except refusals:
                continue
        is_over.set()

    def read():
        while not is_over.is_set():
            try:
                for chunk in world.query(reads=[Text, Note]):
                    for text in chunk[Text]:
                        assert bytes(text) in texts | {b"short lived"}
                    assert len(list(chunk[Note])) == len(chunk)
            except refusals:
                continue

    run_together(change, read, read)


def test_loop_that_ends_has_seen_one_world():
    world = fo.World()
    world.spawn_many(5, {Label: 1})
    world.spawn_many(5, {Label: 2, Note: None})
    is_over = threading.Event()
    refusals = (fo.WorldBusyError, fo.AccessError)
    counts = set()

    def change():
        rounds = 0
        while rounds < ROUNDS:
            try:
                extra = world.spawn_many(3, {Label: 3, Text: b"more"})
                rounds += 1
            except fo.WorldBusyError:
                continue
            while len(extra) > 0:
                try:
                    world.despawn_many(extra)
                    extra = []
                except fo.WorldBusyError:
                    continue
        is_over.set()

    def count():
        while not is_over.is_set():
            try:
                counts.add(sum(len(chunk[Label]) for chunk in world.query(writes=Label)))
            except refusals:
                continue

    run_together(change, count, count)
    assert counts <= {10, 13}


def test_plan_is_asked_for_while_another_thread_changes_it():
    schedule = fo.Schedule(make("first", lambda ctx: None))
    is_over = threading.Event()

    def change():
        try:
            for number in range(ROUNDS // 3):
                schedule.add(make(f"more {number}", lambda ctx: None))
                scheduler.tick(0.1)
                schedule.remove(f"more {number}")
        finally:
            is_over.set()

    def ask():
        while not is_over.is_set():
            assert scheduler.plan.systems[0].name == "first"

    with fo.Scheduler(fo.World(), schedule) as scheduler:
        run_together(change, ask, ask)
