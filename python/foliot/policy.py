"""The structures that the scheduler shares processors with, with time as an argument.

They are the very ones that run live and in the simulator, for notebooks, teaching and tests.
``FairQueue`` shares a processor by weight, ``RefillRing`` gives a budget back one period after its
use, and ``CbsServer`` gives one each period, with a deadline to be run by.

A ``Policy`` overrides what the scheduler decides; ``Ready``, ``Runnable`` and ``PolicyLoad`` are
what it is shown.

    >>> from foliot.policy import FairQueue
    >>> queue = FairQueue(slice=2, mode="textbook", quantum=1)
    >>> queue.join(1, weight=2, now=0)
    >>> queue.pick(now=0)
    1
    >>> from foliot.policy import RefillRing
    >>> ring = RefillRing(budget=4, period=10)
    >>> ring.charge(1)
    >>> ring.refills
    [(1, 3), (10, 1)]
"""

from foliot._core import CbsServer, FairQueue, Ready, RefillRing, Runnable
from foliot._policy import BASES, NEVER, Policy, PolicyLoad
from foliot._policy_native import RUNNABLE_DTYPE, NativeSlot

__all__ = [
    "BASES",
    "NEVER",
    "RUNNABLE_DTYPE",
    "CbsServer",
    "FairQueue",
    "NativeSlot",
    "Policy",
    "PolicyLoad",
    "Ready",
    "RefillRing",
    "Runnable",
]
