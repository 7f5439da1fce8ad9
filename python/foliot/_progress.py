"""Progress bars of long calls, by tqdm (the extra ``progress``)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def progress_bar(is_wanted: object, total: int | None, unit: str, **options: Any) -> Iterator[Any]:
    """A bar of tqdm for so many units, or None when none is wanted.

    ImportError: one is wanted and tqdm is not there.
    """
    if not is_wanted:
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True needs tqdm; install it with: pip install 'foliot[progress]'"
        ) from error
    with tqdm(total=total, unit=unit, **options) as bar:
        yield bar


@contextlib.contextmanager
def time_bar(is_wanted: object, end: int) -> Iterator[Callable[[int], object] | None]:
    """What to call with the time now and then, from 0 to the end: it moves a bar; or None."""
    with progress_bar(is_wanted, end, " units", unit_scale=True) as bar:
        yield None if bar is None else lambda now: bar.update(now - bar.n)
