"""Failures of operations: raised, looked at, or told by the frame; never lost."""

import errno
import gc
import os
import pickle
import subprocess
import sys
import textwrap

import foliot as fo
import pytest

Text = fo.component("Text", fo.Bytes)


@pytest.mark.parametrize(
    ("ask", "kind", "names"),
    [
        (lambda io, path: io.read(path / "no"), FileNotFoundError, ["no"]),
        (lambda io, path: io.read(path), IsADirectoryError, [""]),
        (lambda io, path: io.mkdir(path), FileExistsError, [""]),
        (lambda io, path: io.open(path / "no"), FileNotFoundError, ["no"]),
        (lambda io, path: io.stat(path / "no"), FileNotFoundError, ["no"]),
        (lambda io, path: io.unlink(path / "no"), FileNotFoundError, ["no"]),
        (lambda io, path: io.rename(path / "a", path / "b"), FileNotFoundError, ["a", "b"]),
    ],
)
def test_failure_is_the_error_that_the_call_of_its_name_raises(engine, tmp_path, ask, kind, names):
    operation = engine.ask(lambda ctx: ask(ctx.io, tmp_path))
    with pytest.raises(kind) as caught:
        operation.result
    assert operation.error is caught.value
    assert caught.value.filename == str(tmp_path / names[0])
    if len(names) == 2:
        assert caught.value.filename2 == str(tmp_path / names[1])


def test_failure_names_its_operation_and_its_system(engine):
    operation = engine.ask(lambda ctx: ctx.io.read("/no/such"))
    [note] = operation.error.__notes__
    assert note == "the operation: read of '/no/such', asked for by system `ask`"
    assert (operation.kind, operation.system) == ("read", "ask")


def test_failure_that_nobody_holds_fails_the_system(engine):
    with pytest.raises(fo.FrameError) as caught:
        engine.ask(lambda ctx: ctx.io.read("/no/such") and None)
    [error] = caught.value.exceptions
    assert isinstance(error, FileNotFoundError)
    assert error.__notes__[-1] == "in system `ask`, frame 0"


def test_every_failure_that_nobody_holds_is_told(engine):
    @fo.system(io=True)
    def fail(ctx):
        for number in range(5):
            ctx.io.read(f"/no/{number}")

    with engine.scheduler(fail, errors="continue") as scheduler:
        errors = scheduler.tick(0.1).errors
    assert [error.filename for error in errors] == [f"/no/{number}" for number in range(5)]


def test_failures_of_two_systems_stand_with_their_own(engine):
    @fo.system(io=True)
    def first(ctx):
        ctx.io.read("/no/first")
        raise LookupError("first")

    @fo.system(io=True)
    def second(ctx):
        ctx.io.read("/no/second")

    with engine.scheduler(first, second, errors="continue") as scheduler:
        errors = scheduler.tick(0.1).errors
    found = {(type(error), error.__notes__[-1]) for error in errors}
    # What a system that raised had asked for is not sent.
    assert found == {
        (LookupError, "in system `first`, frame 0"),
        (FileNotFoundError, "in system `second`, frame 0"),
    }


def test_failures_that_nobody_sees_lead_to_quarantine(engine):
    fail = fo.system(io=True, name="fail")(lambda ctx: ctx.io.read("/no") and None)
    with engine.scheduler(fail, errors=fo.quarantine(after=2)) as scheduler:
        scheduler.tick(0.1)
        assert scheduler.tick(0.1).quarantined == ["fail"]
        assert scheduler.stats.systems_failed == 2


def test_failure_that_is_held_does_not_fail_the_system(engine):
    kept = []
    hold = fo.system(io=True, name="hold")(lambda ctx: kept.append(ctx.io.read("/no")))
    with engine.scheduler(hold) as scheduler:
        scheduler.tick(0.1)
        assert kept[0].error.errno == errno.ENOENT
        kept.clear()
        hold_again = scheduler.tick(0.1)
        assert hold_again.errors == []
        assert kept.pop().error is not None


def test_failure_that_dies_unseen_is_told_by_the_next_frame(engine):
    kept = []
    hold = fo.system(io=True, name="hold")(
        lambda ctx: kept.append(ctx.io.read("/no/such")) if ctx.frame == 0 else None
    )
    with engine.scheduler(hold) as scheduler:
        scheduler.tick(0.1)
        kept.clear()
        with pytest.raises(fo.FrameError, match="operations failed in frame 1") as caught:
            scheduler.tick(0.1)
        [error] = caught.value.exceptions
        assert error.filename == "/no/such"
        assert error.__notes__[-1] == (
            "in system `hold`, frame 1: nobody looked at the failure of its operation"
        )
        scheduler.tick(0.1)


def test_failures_of_many_reads_that_die_unseen_are_told(engine):
    kept = []
    hold = fo.system(io=True, name="hold")(
        lambda ctx: kept.append(ctx.io.read_many(["/a", "/b"])) if ctx.frame == 0 else None
    )
    with engine.scheduler(hold, errors="continue") as scheduler:
        assert scheduler.tick(0.1).errors == []
        kept.clear()
        assert [error.filename for error in scheduler.tick(0.1).errors] == ["/a", "/b"]


def test_failures_of_many_reads_are_told_whole_when_they_die_with_them_in_one_garbage(engine):
    kept = []
    hold = fo.system(io=True, name="hold")(
        lambda ctx: kept.append(ctx.io.read_many(["/a", "/b"])) if ctx.frame == 0 else None
    )
    with engine.scheduler(hold, errors="continue") as scheduler:
        scheduler.tick(0.1)
        [failures] = [held for held in gc.get_referents(kept[0]) if isinstance(held, dict)]
        errors = list(failures.values())
        ring = [kept.pop()]
        # The collector moves what it finds alive behind what it has looked at, the failures first.
        gc.collect()
        ring.append(ring)
        del ring, errors, failures
        gc.collect()
        told = scheduler.tick(0.1).errors
        assert [error.filename for error in told] == ["/a", "/b"]


def test_failure_that_dies_after_the_scheduler_goes_to_the_hook(engine, monkeypatch):
    operation = engine.ask(lambda ctx: ctx.io.read("/no/such"))
    caught = []
    monkeypatch.setattr(sys, "unraisablehook", caught.append)
    del operation
    assert [record.exc_value.filename for record in caught] == ["/no/such"]


def test_success_is_nobodys_concern(engine):
    assert engine.ask(lambda ctx: ctx.io.nop() and None) is None


def test_entity_that_has_gone_is_a_failure(engine, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    world = fo.World()
    entity = world.spawn(Text)
    world.despawn(entity)
    operation = engine.ask(
        lambda ctx: ctx.io.read(tmp_path / "file", to=(entity, Text)), world=world, writes=Text
    )
    assert isinstance(operation.error, fo.StaleHandleError)


def test_result_before_the_delivery_says_when_it_comes(engine):
    texts = []

    def look(ctx):
        operation = ctx.io.nop()
        assert (operation.done, operation.error, operation.cancelled) == (False, None, False)
        with pytest.raises(RuntimeError) as caught:
            operation.result
        texts.append(str(caught.value))

    engine.ask(look)
    assert "has not ended" in texts[0]
    assert "`ask`" in texts[0]


def test_operations_of_a_system_that_raised_are_cancelled(engine):
    kept = []

    def fail(ctx):
        kept.append(ctx.io.read("/etc/passwd"))
        raise LookupError

    with pytest.raises(fo.FrameError) as caught:
        engine.ask(fail)
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
    assert kept[0].done
    assert kept[0].cancelled
    assert kept[0].error.errno == errno.ECANCELED


def test_operations_in_flight_are_cancelled_when_the_scheduler_closes(engine):
    reader, writer = os.pipe()
    operation = engine.ask(lambda ctx: ctx.io.read(reader, 1, None, wait="none"))
    assert operation.cancelled
    os.close(reader)
    os.close(writer)


def test_operation_is_not_pickled_nor_made_by_hand(engine):
    operation = engine.ask(lambda ctx: ctx.io.nop())
    with pytest.raises(TypeError):
        pickle.dumps(operation)
    for kind in (fo.io.Operation, fo.io.Operations, fo.io.Io):
        with pytest.raises(TypeError):
            kind()


def test_exit_with_operations_in_flight_is_clean(engine):
    code = f"""
        import os
        import foliot as fo
        reader, writer = os.pipe()
        kept = []
        @fo.system(io=True)
        def ask(ctx):
            kept.append(ctx.io.read(reader, 1, None, wait="none"))
            ctx.io.timeout(1000, wait="none")
        scheduler = fo.Scheduler(
            fo.World(), fo.Schedule(ask), backend={engine.backend!r}, io={engine.engine!r}
        )
        scheduler.tick(0.1)
        print("out")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "")
