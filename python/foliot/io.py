"""I/O of systems: the operations that ``ctx.io`` gives, and what this machine offers for them.

A system declared with ``io=True`` asks for I/O while it runs. Nothing is sent before its stage has
ended; then what all systems of the stage asked for goes to the kernel together, and the results
come back in the order of asking.

    >>> import pathlib, tempfile
    >>> import foliot as fo
    >>> Text = fo.component("Text", fo.Bytes)
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "hello")
    >>> _ = path.write_bytes(b"hello")
    >>> world = fo.World()
    >>> entity = world.spawn(Text)
    >>> @fo.system(writes=Text, io=True)
    ... def load(ctx):
    ...     ctx.io.read(path, to=(entity, Text))
    >>> with fo.Scheduler(world, fo.Schedule(load)) as scheduler:
    ...     frame = scheduler.tick(0.1)
    >>> bytes(world.get(entity, Text).value)
    b'hello'
    >>> folder.cleanup()

An ``Operation`` is one request; ``Operations`` are many reads of ``ctx.io.read_many``. A failure
that comes while somebody holds the operation is the holder's to look at (``error``, ``result``);
one that nobody holds, or that nobody has looked at when the operation dies, is a failure of the
system.
"""

from foliot._core import Io, Operation, Operations
from foliot._io import IoAttempt, IoInfo, IoReport, probe

__all__ = ["Io", "IoAttempt", "IoInfo", "IoReport", "Operation", "Operations", "probe"]
