"""What tests of several folders share: threads that start together, checks in a forked child."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable


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
