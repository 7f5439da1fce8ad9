"""Somebody closes descriptors that are foliot's own, as daemons close all they do not know."""

import os
from pathlib import Path

import pytest
from faults.io_tools import bounded_child, descriptors_of, mixed_work, run_script

pytestmark = pytest.mark.faults


def test_work_is_the_same_after_its_descriptors_were_closed(way, tmp_path):
    def check():
        folders = [Path(tmp_path, name) for name in ("whole", "closed")]
        for folder in folders:
            folder.mkdir()
        closed = []

        def close_own():
            for descriptor in descriptors_of("anon_inode:"):
                os.close(descriptor)
                closed.append(descriptor)

        whole = mixed_work(folders[0], way)
        after = mixed_work(folders[1], way, between=close_own)
        assert len(closed) >= 2
        assert after[:2] == whole[:2]

    bounded_child(check)


def test_a_signal_ends_a_wait_after_the_pipe_for_signals_was_closed(way):
    printed = run_script(
        """
        from faults.io_tools import descriptors_of

        class Rung(Exception):
            pass

        def ring(number, frame):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Rung

        before = descriptors_of("pipe:")
        fo._core.make_signal_pipe()
        ends = descriptors_of("pipe:") - before
        left, right = socket.socketpair()
        ask, kept = once(lambda ctx: ctx.io.recv(left, 1, wait="none"))
        with open_scheduler(way, ask) as scheduler:
            scheduler.tick(0.1)
            # Longer than a first slice, so that the pipe is in use.
            scheduler.wait(0.2)
            for descriptor in ends | descriptors_of("anon_inode:"):
                os.close(descriptor)
            signal.signal(signal.SIGALRM, ring)
            signal.setitimer(signal.ITIMER_REAL, 0.3, 5)
            try:
                scheduler.wait()
            except Rung:
                print("rung")
            right.send(b"x")
            finish(scheduler, kept)
            print(kept[0].result)
        """,
        way,
    )
    assert printed == "rung\nb'x'\n"
