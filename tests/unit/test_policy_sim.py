"""Policies of simulations: the same slots, deterministic, exact where they copy a built-in one."""

import random

import foliot as fo
import pytest
from policy_support import policy

TASKS = fo.TaskSet(
    [
        fo.PeriodicTask(wcet=1, period=5, name="a"),
        fo.PeriodicTask(wcet=2, period=7, name="b"),
        fo.PeriodicTask(wcet=3, period=11, name="c"),
    ]
)
GREEDY = fo.TaskSet([fo.PeriodicTask(wcet=100, period=100, name=name) for name in "xyz"])
TICKETS = {"x": 5, "y": 3, "z": 2}
UNTIL = 400


class Lottery(fo.Policy):
    """One ticket is drawn for each slice of time."""

    base = "fifo"

    def __init__(self, seed):
        self.draw = random.Random(seed)

    def pick(self, ready, *, cpu, now):
        counts = [TICKETS[runnable.name] for runnable in ready]
        return self.draw.choices(ready, counts)[0]

    def slice(self, runnable, *, now):
        return 5


def by_deadline(runnable):
    return runnable.deadline, runnable.id


@pytest.mark.parametrize("cpus", [1, 2])
def test_ranks_by_deadline_are_edf(cpus):
    mine = policy(enqueue=lambda runnable, *, now: runnable.deadline)
    simulated = fo.sim.run(TASKS, policy=mine, cpus=cpus, until=UNTIL)
    assert list(simulated.jobs) == list(fo.sim.run(TASKS, cpus=cpus, until=UNTIL).jobs)


def test_picks_by_deadline_are_edf():
    mine = policy(pick=lambda ready, *, cpu, now: min(ready, key=by_deadline))
    mine.base = "edf"
    simulated = fo.sim.run(TASKS, policy=mine, until=UNTIL)
    assert list(simulated.jobs) == list(fo.sim.run(TASKS, until=UNTIL).jobs)


@pytest.mark.parametrize("base", ["fifo", "fp", "rm", "edf", "eevdf", "cbs"])
def test_policy_that_leaves_all_to_its_base_is_its_base(base):
    class Silent(fo.Policy):
        def pick(self, ready, *, cpu, now):
            return None

        def enqueue(self, runnable, *, now):
            return None

    simulated = fo.sim.run(TASKS, policy=Silent(base=base), until=UNTIL)
    assert list(simulated.jobs) == list(fo.sim.run(TASKS, policy=base, until=UNTIL).jobs)


def test_shares_of_a_lottery_are_its_tickets():
    result = fo.sim.run(GREEDY, policy=Lottery(1), until=100_000)
    done = dict.fromkeys(TICKETS, 0)
    for job in result.jobs:
        done[job.name] += job.finish is not None
    total = sum(done.values())
    for name, tickets in TICKETS.items():
        assert abs(done[name] / total - tickets / 10) < 0.03, done


def test_same_seed_is_the_same_run():
    runs = [list(fo.sim.run(GREEDY, policy=Lottery(seed), until=5000).jobs) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_what_is_not_admitted_never_runs():
    mine = policy(admit=lambda runnable, *, now: runnable.name != "b")
    result = fo.sim.run(TASKS, policy=mine, until=UNTIL)
    assert all((job.start is None) == (job.name == "b") for job in result.jobs)


def test_faults_are_counted_and_stop_nothing():
    def pick(ready, *, cpu, now):
        raise ValueError(now)

    mine = policy(pick=pick)
    mine.base, mine.max_faults = "edf", 5
    result = fo.sim.run(TASKS, policy=mine, until=UNTIL)
    assert list(result.jobs) == list(fo.sim.run(TASKS, until=UNTIL).jobs)
    assert result.faults == 5
    assert [type(error) for error in result.errors] == [ValueError] * 5
    assert result.errors[0].__notes__ == ["in slot `pick` of the policy Made"]


def test_slow_answers_are_no_faults_in_a_simulation():
    mine = policy(pick=lambda ready, *, cpu, now: ready[0])
    mine.call_limit = 1e-9
    assert fo.sim.run(TASKS, policy=mine, until=UNTIL).faults == 0


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_ends_the_simulation(kind):
    def stop(runnable, *, now):
        raise kind("enough")

    with pytest.raises(kind, match="enough"):
        fo.sim.run(TASKS, policy=policy(enqueue=stop), until=UNTIL)


def test_slot_may_simulate_as_well():
    inner = []

    def pick(ready, *, cpu, now):
        if not inner:
            inner.append(fo.sim.run(TASKS, policy=mine, until=50))
        return ready[0]

    mine = policy(pick=pick)
    assert len(fo.sim.run(TASKS, policy=mine, until=UNTIL).jobs) > len(inner[0].jobs) > 0
