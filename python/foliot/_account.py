"""The ledger that dispatchers keep, live and simulated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """A ledger of time: of a system or task, a group, a worker or CPU, the same entries for each.

    Times are nanoseconds of a scheduler, and units of the task set in a simulation. A worker stands
    for a CPU there.

    Attributes:
        runtime: time on a worker; what switches cost a simulated one is not in it.
        waited: time ready while others ran.
        virtual_runtime: runtime times 1024 over the weight.
        jobs: jobs that ended.
        switches: times it was put on a worker on which it was not.
        preemptions: times it was taken off one while it had more to do.
        blocks: times it left one to wait.
        migrations: times it went on on another worker.
        steals: times it was taken from another worker's queue.
        throttles: times it waited for a refill.
        overruns: budgets used up before its work was done.
        skipped: jobs that were denied or dropped.
        misses: jobs that ended after their deadlines.
        longest_response: the longest time from a release to the end of that job.
    """

    runtime: int
    waited: int
    virtual_runtime: int
    jobs: int
    switches: int
    preemptions: int
    blocks: int
    migrations: int
    steals: int
    throttles: int
    overruns: int
    skipped: int
    misses: int
    longest_response: int
