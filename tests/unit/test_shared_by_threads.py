"""Objects of the scheduler in several threads at once: what they see is whole, or they are told no.

Where there is an interpreter lock these say that nothing depends on more than it; where there is
none, that the locks of the objects stand in for it.
"""

import threading

import foliot as fo
import pytest
from support import run_together

Label = fo.component("Label", "i8")
Text = fo.component("Text", fo.Bytes)
Note = fo.component("Note", object)
THREADS = 4
ROUNDS = 300


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
