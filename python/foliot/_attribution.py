"""Where the choices of a policy and the locks of governed runs went."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attribution:
    """What deciding cost: who was looked at and passed over and why, locks and wake-ups.

    All of it is always counted: plain numbers, added to under the lock that a decision takes
    anyway. Only who has to wait for that lock measures how long. A candidate is a system or task
    that was asked whether it runs now: the first in line, and those after it while it may not; so
    ``candidates`` is the sum of ``taken``, ``forbidden``, ``held``, ``depleted`` and ``outranked``.
    A simulation has no locks and no sleepers: there everything from ``turn_waits`` on is 0.

    Attributes:
        picks: times an idle worker asked whom to run.
        idle_picks: of them, there was nobody it might run.
        comparisons: times what runs was compared with who is ready: when a slice ended, somebody
            arrived, or its place in line changed.
        candidates: systems that were asked whether they run now.
        taken: of them, may run: it began, or took the place of what ran.
        forbidden: passed over, for their context does not allow the worker (``cpus=``).
        held: passed over, for another system draws on their context at the moment.
        depleted: passed over, for their budget was used up and the refill not due. Such a one is
            throttled, demoted or told of, as its ``overrun`` says.
        outranked: passed over, for what runs stays before them.
        slot_asked: times the policy's ``pick`` was asked.
        slot_answered: of them, its answer was taken.
        slot_defaulted: of them, the built-in policy chose, for it returned None or failed.
        turn_waits: times a Python system was granted a worker while another one had the turn to
            hold the interpreter's lock, and was put off until that had ended.
        locks: times the lock round the decisions was taken, by workers and readers.
        lock_waits: of them, somebody else had it.
        lock_wait_ns: time that these waited for it, on the machine's clock.
        wakes_sent: times sleeping workers were woken, one or all of them.
        wakes_saved: times nobody had to be: nothing was ready, or all workers were at work.
        helper_calls: times a worker was called that was not at work for the scheduler.
        sleeps: times a worker found nothing to do and slept.
    """

    picks: int
    idle_picks: int
    comparisons: int
    candidates: int
    taken: int
    forbidden: int
    held: int
    depleted: int
    outranked: int
    slot_asked: int
    slot_answered: int
    slot_defaulted: int
    turn_waits: int = 0
    locks: int = 0
    lock_waits: int = 0
    lock_wait_ns: int = 0
    wakes_sent: int = 0
    wakes_saved: int = 0
    helper_calls: int = 0
    sleeps: int = 0
