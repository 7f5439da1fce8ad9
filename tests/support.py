"""What tests share: whether Python has its lock, threads that start together, checks in a forked
child, signals that repeat.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator

# Whether one thread at a time runs Python code: always so but in free-threaded builds.
HAS_LOCK: bool = getattr(sys, "_is_gil_enabled", lambda: True)()

# Whether a list may be refused memory. The free-threaded build of CPython 3.13 frees what it never
# had when there is memory for a list but none for its items, and crashes.
LISTS_MAY_FAIL: bool = sys.version_info >= (3, 14) or not sysconfig.get_config_var(
    "Py_GIL_DISABLED"
)


def run_together(*functions: Callable[[], object]) -> None:
    """Run functions in threads that start together; raise the first error of any."""
    gate = threading.Barrier(len(functions))
    errors: list[BaseException] = []

    def call(function: Callable[[], object]) -> None:
        gate.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def in_child(check: Callable[[], object]) -> None:
    """Run a check in a forked child, which has no worker threads yet; fail with its traceback."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        text = ""
        try:
            check()
        except BaseException:
            text = traceback.format_exc()
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    assert not text, text
    assert status == 0


@contextlib.contextmanager
def alarm(handler: Callable[..., object], seconds: float = 0.02) -> Iterator[None]:
    """A signal handler that runs again and again, until the block ends."""
    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def interrupt(*_: object) -> None:
    """A signal handler that does what Python's own does at Ctrl-C.

    The next one comes only when this one must have been dropped: it would hit whoever is at work
    on what this one raises.
    """
    signal.setitimer(signal.ITIMER_REAL, 5.0, 5.0)
    raise KeyboardInterrupt
