"""The structures that the scheduler shares processors with, with time as an argument.

They are the very ones that run live and in the simulator, for notebooks, teaching and tests.
``FairQueue`` shares a processor by weight.

    >>> from foliot.policy import FairQueue
    >>> queue = FairQueue(slice=2, mode="textbook", quantum=1)
    >>> queue.join(1, weight=2, now=0)
    >>> queue.pick(now=0)
    1
"""

from foliot._core import FairQueue

__all__ = ["FairQueue"]
