"""What goes wrong, as exceptions.

Every exception that foliot defines is a ``FoliotError`` and also the built-in kind of error it is,
so that callers may catch either. Python's own are raised as they are where they fit: ``KeyError``
for a component an entity lacks, ``TypeError`` and ``ValueError`` for arguments, ``OSError`` and
``MemoryError`` for what the system refuses. The core's status codes name these classes
(``include/foliot/status.h``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foliot._core import FrameResult


class FoliotError(Exception):
    """Base of the exceptions that foliot defines.

    Example:
        >>> issubclass(StaleHandleError, FoliotError) and issubclass(StaleHandleError, LookupError)
        True

    """


class CapacityError(FoliotError, RuntimeError):
    """A capacity of ``Config`` is reached; the message names the setting. Nothing was changed."""


class StaleHandleError(FoliotError, LookupError):
    """A handle, such as an entity's id, names something that no longer exists."""


class WorldBusyError(FoliotError, RuntimeError):
    """The world is in use by a running frame, by another thread, or by an unfinished call."""


class AccessError(FoliotError, RuntimeError):
    """Something was used that was not declared, or after its time was over."""


class KernelSignatureError(FoliotError, TypeError):
    """A native kernel has none of the signatures that foliot calls."""


class KernelError(FoliotError, RuntimeError):
    """A native kernel failed; ``code`` is the number it returned."""

    code: int = 0


class ForkedError(FoliotError, RuntimeError):
    """The object belongs to the process before the fork."""


class AbandonedError(FoliotError, TimeoutError):
    """An operation that was cancelled and that the kernel did not let go of.

    It may still go on, so the buffers it was given stay allocated until it ends, or the process.
    """


class ScheduleError(FoliotError, ValueError):
    """Systems, phases or their order do not make a plan."""


class OrderCycleError(ScheduleError):
    """The ordering constraints form a cycle; the message prints it."""


class UnknownPhaseError(ScheduleError):
    """No phase has this name."""


class DuplicateSystemError(ScheduleError):
    """Two systems have one name."""


class UnknownSystemError(ScheduleError):
    """No system and no set has this name."""


class FrameError(FoliotError, ExceptionGroup[Exception]):
    """The systems of a frame that failed: a group with one member for each, noted with its name.

    Attributes:
        frame_result: What the frame did; on errors a frame raised, and not on pickled ones.

    Example:
        >>> try:
        ...     raise FrameError("frame 0", [ValueError("no"), KeyError("x")])
        ... except* KeyError as group:
        ...     print(type(group).__name__, group.exceptions)
        ... except* ValueError:
        ...     pass
        FrameError (KeyError('x'),)

    """

    frame_result: FrameResult

    def derive(self, exceptions: Sequence[Exception], /) -> FrameError:  # type: ignore[override]
        """A group of the same kind and frame for some exceptions; what ``except*`` calls."""
        part = FrameError(self.message, exceptions)
        if hasattr(self, "frame_result"):
            part.frame_result = self.frame_result
        return part

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickling, without ``frame_result``, which belongs to this process."""
        kept = {name: value for name, value in vars(self).items() if name != "frame_result"}
        return type(self), (self.message, self.exceptions), kept or None


# Tracebacks name what users import.
for _error in tuple(globals().values()):
    if isinstance(_error, type) and issubclass(_error, FoliotError):
        _error.__module__ = "foliot"
del _error
