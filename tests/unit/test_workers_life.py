"""Worker threads through the life of a process: schedulers that come and go, forks, the exit."""

import gc
import io
import os
import signal
import subprocess
import sys
import textwrap
import threading

import foliot as fo
import pytest
from support import in_child

Mass = fo.component("Mass", "f8")


def make(name, function=lambda ctx: None, **options):
    return fo.system(name=name, **options)(function)


def make_scheduler(backend, *systems, **options):
    return fo.Scheduler(fo.World(), fo.Schedule(*systems), backend=backend, workers=2, **options)


def own_threads():
    """Names of the process's threads that are ours."""
    names = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm") as stream:
            names.append(stream.read().strip())
    return [name for name in names if name.startswith("foliot")]


def test_workers_are_counted_one_by_one(backend):
    with make_scheduler(backend, *(make(f"s{i}") for i in range(5))) as scheduler:
        scheduler.tick_n(3, 0.1)
        workers = scheduler.workers
        assert [stats.worker for stats in workers] == list(range(len(workers)))
        assert sum(stats.tasks for stats in workers) == scheduler.stats.tasks == 15
        assert sum(stats.systems for stats in workers) == scheduler.stats.systems_run == 15


def test_workers_are_read_while_a_frame_runs(backend):
    begun, release = threading.Event(), threading.Event()

    def hold(ctx):
        begun.set()
        release.wait()

    with make_scheduler(backend, make("hold", hold)) as scheduler:
        thread = threading.Thread(target=scheduler.tick, args=(0.1,))
        thread.start()
        begun.wait()
        assert sum(stats.systems for stats in scheduler.workers) == 1
        assert scheduler.stats.frames == 0
        with pytest.raises(fo.WorldBusyError):
            scheduler.explain("update")
        release.set()
        thread.join()
        assert scheduler.stats.frames == 1


def test_phase_says_where_it_ran_and_why(backend):
    with make_scheduler(backend, make("a"), make("b")) as scheduler:
        scheduler.tick(0.1)
        sentences = scheduler.explain()
        assert list(sentences) == scheduler.plan.phases
        assert all(sentences.values())
        assert scheduler.explain("update") == sentences["update"]
        with pytest.raises(fo.UnknownPhaseError):
            scheduler.explain("nowhere")


def test_schedulers_share_their_threads(parallel_backend, meeting):
    meeting(lambda ctx: None).frame(parallel_backend)
    threads = own_threads()
    for _ in range(20):
        meeting(lambda ctx: None).frame(parallel_backend)
    assert own_threads() == threads


def test_two_threads_drive_two_schedulers_at_once(backend):
    counts = [0, 0]

    def count(place):
        def run(ctx):
            counts[place] += 1

        return run

    def drive(place):
        systems = [
            make(f"s{i}", count(place), gil=gil) for i, gil in enumerate(("hold", "release"))
        ]
        with make_scheduler(backend, *systems) as scheduler:
            scheduler.tick_n(200, 0.1)

    threads = [threading.Thread(target=drive, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [400, 400]


def test_scheduler_without_an_owner_is_collected(backend):
    for _ in range(10):
        scheduler = make_scheduler(backend, make("a"))
        scheduler.tick(0.1)
        scheduler.me = scheduler
        del scheduler
    gc.collect()
    with make_scheduler(backend, make("a")) as scheduler:
        scheduler.tick(0.1)


def test_child_of_a_process_with_workers_has_its_own(parallel_backend, meeting):
    meeting(lambda ctx: None).frame(parallel_backend)

    def check():
        both = meeting(lambda ctx: None)
        both.frame(parallel_backend)
        assert len(set(both.idents)) == 2

    in_child(check)
    meeting(lambda ctx: None).frame(parallel_backend)


def test_parents_scheduler_is_refused_and_dropped_in_the_child(backend):
    with make_scheduler(backend, make("a"), trace=True) as scheduler:
        scheduler.tick(0.1)

        def check():
            for use in (
                lambda: scheduler.tick(0.1),
                lambda: scheduler.workers,
                lambda: scheduler.explain(),
                lambda: scheduler.trace.records(),
            ):
                with pytest.raises(fo.ForkedError):
                    use()
            scheduler.close()

        in_child(check)
        scheduler.tick(0.1)


def test_fork_on_a_helper_leaves_a_child_that_may_end(parallel_backend, meeting):
    def fork(ctx):
        in_child(lambda: None)

    meeting(fork).frame(parallel_backend)


def test_child_forked_on_a_helper_ends_with_its_system(parallel_backend, meeting):
    children = []

    def fork(status):
        def run(ctx):
            child = os.fork()
            if child == 0:
                # Neither the driver nor the frame is here.
                if status is None:
                    return
                sys.stderr = io.StringIO()
                raise SystemExit(status) if isinstance(status, int) else LookupError(status)
            children.append(child)

        return run

    for status in (None, 7, "error"):
        meeting(fork(status)).frame(parallel_backend)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 7, 1]


def test_child_forked_beside_a_helper_ends_with_its_system(parallel_backend, meeting):
    has_forked = threading.Event()
    ends = []

    def fork(ctx):
        child = os.fork()
        if child == 0:
            # A child that waited for what only a helper of the parent can end would wait for ever.
            signal.alarm(60)
            return
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        has_forked.set()

    meeting(lambda ctx: has_forked.wait(60), here=fork).frame(parallel_backend)
    assert ends == [0]


def run_script(text, backend):
    """Exit status and what a program says on stderr, with the backend's name in BACKEND."""
    # A leak checker has nothing to look for in a process that leaves things as they are.
    options = f"{os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        env={**os.environ, "BACKEND": backend, "ASAN_OPTIONS": options},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stderr


MEET = """
    import os, threading
    import foliot as fo
    BACKEND = os.environ["BACKEND"]
    barrier = threading.Barrier(1 if BACKEND == "blocking" else 2)
    def run(ctx):
        barrier.wait(60)
    systems = [fo.system(name=name, gil="release")(run) for name in ("left", "right")]
    scheduler = fo.Scheduler(fo.World(), fo.Schedule(*systems), backend=BACKEND, workers=2)
"""


def test_program_ends_with_a_scheduler_that_is_open(backend):
    assert run_script(f"{MEET}\n    scheduler.tick(0.1)", backend) == (0, "")


def test_program_ends_with_a_closed_scheduler_and_parked_workers(backend):
    text = f"{MEET}\n    scheduler.tick(0.1)\n    scheduler.close()"
    assert run_script(text, backend) == (0, "")


def test_program_ends_while_a_daemon_thread_runs_frames(backend):
    text = f"""{MEET}
    begun = threading.Event()
    more = [fo.system(name=f"s{{i}}", gil="release")(lambda ctx: begun.set()) for i in range(4)]
    endless = fo.Scheduler(fo.World(), fo.Schedule(*more), backend=BACKEND, workers=2)
    def drive():
        scheduler.tick(0.1)
        endless.run(rate=None)
    threading.Thread(target=drive, daemon=True).start()
    begun.wait()
    """
    assert run_script(text, backend) == (0, "")


def test_program_ends_while_a_daemon_thread_waits_for_a_helper(backend):
    text = f"""{MEET}
    begun = threading.Event()
    def hang(ctx):
        begun.set()
        threading.Event().wait()
    stuck = fo.Scheduler(
        fo.World(), fo.Schedule(fo.system(gil="release")(hang)), backend=BACKEND, workers=2
    )
    scheduler.tick(0.1)
    threading.Thread(target=stuck.tick, args=(0.1,), daemon=True).start()
    begun.wait()
    """
    assert run_script(text, backend) == (0, "")


def test_scheduler_made_at_the_exit_still_runs(backend):
    text = f"""
    import atexit
    @atexit.register
    def late():
        import foliot as fo
        step = fo.system(name="step")(lambda ctx: None)
        with fo.Scheduler(fo.World(), fo.Schedule(step), backend=BACKEND) as scheduler:
            assert scheduler.tick_n(3, 0.1).systems["step"].tasks == 1
    {textwrap.dedent(MEET).replace(chr(10), chr(10) + "    ")}
    scheduler.tick(0.1)
    """
    assert run_script(text, backend) == (0, "")


def test_values_that_workers_kept_are_dropped_before_the_program_ends(parallel_backend):
    text = f"""{MEET}
    local = threading.local()
    class Kept:
        def __del__(self, write=os.write):
            write(2, b"dropped")
    def keep(ctx):
        barrier.wait(60)
        if threading.current_thread() is not threading.main_thread():
            local.kept = Kept()
    systems = [fo.system(name=name, gil="release")(keep) for name in ("left", "right")]
    fo.Scheduler(fo.World(), fo.Schedule(*systems), backend=BACKEND, workers=2).tick(0.1)
    """
    assert run_script(text, parallel_backend) == (0, "dropped")


def test_exception_in_a_program_with_workers_is_all_it_says(backend):
    status, err = run_script(f"{MEET}\n    scheduler.tick(0.1)\n    raise SystemExit(3)", backend)
    assert (status, err) == (3, "")


REFUSED = """
    import foliot as fo
    from foliot import _core
    _core.fail_nth_thread(1)
    def make(config):
        return fo.Scheduler(fo.World(config), fo.Schedule(), workers=2)
"""


def test_scheduler_runs_with_fewer_workers_than_the_system_refuses():
    text = f"""{REFUSED}
    with make(fo.Config()) as scheduler:
        scheduler.tick(0.1)
        assert len(scheduler.workers) == 1
        assert "Resource temporarily unavailable" in scheduler.backend.reason
    """
    assert run_script(text, "stealing") == (0, "")


def test_scheduler_that_must_have_its_workers_says_what_the_system_said():
    text = f"""{REFUSED}
    import errno
    try:
        make(fo.Config(require_workers=True))
    except OSError as error:
        assert error.errno == errno.EAGAIN
        assert "Config.require_workers" in str(error)
        raise SystemExit(5)
    """
    assert run_script(text, "stealing") == (5, "")
