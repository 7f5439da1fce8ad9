"""The rows of `bench_exec`: tasks against other schedulers, frames on one worker and on two.

Where a library has no graphs or no loops of its own, its label says that they were made by hand.
"""

from __future__ import annotations

from cases import Case, Row, peer

# What each workload leaves behind when it did all of its work; see peers_tasks/src/work.rs.
CHECKSUMS = {
    "deque_push_pop": 523_776,
    "deque_steal": 523_776,
    "empty": 1_000_000,
    "dag": 999,
    "fib": 196_418,
    "skynet": 499_999_500_000,
    "parallel_for_1": 1_000_000,
    "parallel_for_auto": 1_000_000,
    "launch": 4,
    "nqueens": 2_680,
}
SWAPPED, INTACT = 40_000, 1_000


def tasks(workload: str, label: str = "foliot") -> Case:
    """A workload of our deque, team, dag or parallel interface, from C."""
    program = "c_exec_deque" if workload.startswith("deque") else "c_exec_tasks"
    return Case(label, program, (workload,))


def rust(name: str, workload: str, label: str | None = None) -> Case:
    """A workload of the Rust program that hosts crossbeam-deque, rayon and tokio."""
    return Case(label or name, "peers_tasks", (name, workload))


def tbb(workload: str, label: str = "oneTBB") -> Case:
    """A workload of oneTBB."""
    return Case(label, "tbb", (workload,))


def taskflow(workload: str) -> Case:
    """A workload of Taskflow."""
    return Case("Taskflow", "taskflow", (workload,))


def go(workload: str, label: str = "Go") -> Case:
    """A workload on goroutines."""
    return Case(label, "go", (workload,))


def everybody(workload: str) -> tuple[Case, ...]:
    """A workload of trees, which every scheduler has."""
    return (
        tbb(workload),
        taskflow(workload),
        rust("rayon", workload),
        rust("tokio", workload),
        go(workload),
    )


def task_row(
    what: str, workload: str, others: tuple[Case, ...], *, limit: float | None, samples: int = 5
) -> Row:
    """A row whose number is seconds per task."""
    checksum = CHECKSUMS[workload]
    ours = tasks(workload)
    return Row(workload, what, ours, others, limit=limit, samples=samples, checksum=checksum)


TASK_ROWS = (
    Row(
        "deque_push_pop",
        "deque: push and pop, owner alone, as a fork and its join",
        tasks("deque_fork_join"),
        (rust("crossbeam", "deque_push_pop", "crossbeam-deque"),),
        limit=0.8,
        samples=5,
        checksum=CHECKSUMS["deque_push_pop"],
    ),
    task_row(
        "deque: push and pop, owner alone, each item public at once",
        "deque_push_pop",
        (rust("crossbeam", "deque_push_pop", "crossbeam-deque"),),
        limit=0.8,
    ),
    Row(
        "deque_push_pop",
        "deque: the same beside another owner, against alone",
        tasks("deque_beside"),
        (tasks("deque_alone", "foliot, alone"),),
        limit=1.05,
        samples=5,
        checksum=CHECKSUMS["deque_push_pop"],
    ),
    task_row(
        "deque: steal one",
        "deque_steal",
        (rust("crossbeam", "deque_steal", "crossbeam-deque"),),
        limit=0.8,
    ),
    task_row("empty task, of 1 M", "empty", everybody("empty"), limit=0.8, samples=2),
    Row(
        "empty",
        "empty task, of 1 M, as jobs of the core",
        tasks("empty_jobs"),
        everybody("empty"),
        samples=2,
        checksum=CHECKSUMS["empty"],
    ),
    task_row(
        "graph of 999, rerun, a node",
        "dag",
        (
            tbb("dag", "oneTBB, flow graph"),
            tbb("dag_by_hand", "oneTBB, by hand"),
            taskflow("dag"),
            rust("rayon", "dag", "rayon, by hand"),
            rust("tokio", "dag", "tokio, by hand"),
            go("dag", "Go, by hand"),
        ),
        limit=0.8,
    ),
    task_row(
        "fib(27), a spawn",
        "fib",
        (*everybody("fib"), tbb("fib_invoke", "oneTBB, parallel_invoke")),
        limit=0.8,
    ),
    task_row("skynet, a task", "skynet", everybody("skynet"), limit=None, samples=2),
    task_row("nqueens(11), a task", "nqueens", everybody("nqueens"), limit=None),
    task_row(
        "parallel loop, grain 1, an iteration",
        "parallel_for_1",
        (
            tbb("parallel_for_1"),
            taskflow("parallel_for_1"),
            rust("rayon", "parallel_for_1"),
            go("parallel_for_1", "Go, by hand"),
        ),
        limit=1.0,
    ),
    task_row(
        "parallel loop, automatic grain, an iteration",
        "parallel_for_auto",
        (
            tbb("parallel_for_auto"),
            taskflow("parallel_for_auto"),
            rust("rayon", "parallel_for_auto"),
            go("parallel_for_auto", "Go, by hand"),
        ),
        limit=None,
    ),
    task_row(
        "launch and wait, graph of 4",
        "launch",
        (tbb("launch", "oneTBB, flow graph"), taskflow("launch")),
        limit=0.8,
    ),
    Row(
        "launch",
        "launch and wait, the same as one fork",
        tasks("launch_fork"),
        (
            tbb("launch_invoke", "oneTBB, parallel_invoke"),
            rust("rayon", "launch", "rayon, join"),
            rust("rayon", "launch_outside", "rayon, join from outside"),
            rust("tokio", "launch"),
            go("launch"),
        ),
        limit=0.8,
        samples=5,
        checksum=CHECKSUMS["launch"],
    ),
)


def frame(workload: str, label: str = "foliot") -> Case:
    """A workload of our frames, from Python."""
    return Case(label, "frames", (workload,))


def best_of(
    name: str, one: str, two: str, more: tuple[tuple[str, str], ...] = ()
) -> tuple[Case, ...]:
    """A library with its own settings: one thread, two, and what else it has."""
    settings = ((one, "1 thread"), (two, "2 threads"), *more)
    return tuple(peer(name, workload, f"{name}, {setting}") for workload, setting in settings)


def own(workload: str, label: str) -> tuple[Case, ...]:
    """Ourselves with other settings."""
    return (frame(workload, label),)


FRAME_ROWS = (
    Row(
        "frame_schedule",
        "ecs schedule, 2 workers",
        frame("schedule_2"),
        (
            *best_of("flecs", "schedule_single", "schedule_multi"),
            *best_of(
                "bevy",
                "schedule_single",
                "schedule_multi",
                (("schedule_parallel", "2 threads, par_iter"),),
            ),
        ),
        limit=0.8,
        checksum=SWAPPED,
    ),
    Row(
        "frame_schedule",
        "ecs schedule, 2 workers, others",
        frame("schedule_2"),
        (
            *best_of("legion", "schedule_single", "schedule_multi"),
            *best_of("shipyard", "schedule_single", "schedule_multi"),
            peer("hecs", "schedule_single", "hecs, 1 thread"),
        ),
        checksum=SWAPPED,
    ),
    Row(
        "frame_schedule",
        "ecs schedule, 2 workers against 1",
        frame("schedule_2"),
        own("schedule_1", "foliot, 1 worker"),
        limit=1.05,
        checksum=SWAPPED,
    ),
    Row(
        "frame_heavy",
        "heavy_compute, 2 workers",
        frame("heavy_compute_2"),
        (
            *best_of("flecs", "heavy_compute_single", "heavy_compute"),
            *best_of("bevy", "heavy_compute_single", "heavy_compute"),
            *(peer(name, "heavy_compute") for name in ("legion", "shipyard", "hecs")),
        ),
        limit=1.0,
        checksum=INTACT,
    ),
    Row(
        "frame_heavy",
        "heavy_compute, 2 workers against 1",
        frame("heavy_compute_2"),
        own("heavy_compute_1", "foliot, 1 worker"),
        limit=1 / 1.9,
        goal="≥ 1.9 × as fast",
        checksum=INTACT,
    ),
    Row(
        "frame_empty",
        "1,000 empty systems, native, 2 workers",
        frame("empty_1000_2"),
        best_of("flecs", "empty_systems_1000", "empty_systems_multi_1000"),
        limit=0.5,
    ),
    Row(
        "frame_empty",
        "1,000 empty systems, native, 2 workers, others",
        frame("empty_1000_2"),
        (
            *best_of("bevy", "empty_systems_1000", "empty_systems_multi_1000"),
            *best_of("shipyard", "empty_systems_1000", "empty_systems_multi_1000"),
            *best_of("legion", "empty_systems_1000", "empty_systems_multi_1000"),
            frame("empty_1000_1", "foliot, 1 worker"),
        ),
    ),
    *(
        Row(
            f"frame_tiny_{count}",
            f"{count} {'systems' if count > 1 else 'system'} of 1 µs, 2 workers",
            frame(f"tiny_{count}_stealing"),
            own(f"tiny_{count}_blocking", "foliot, blocking"),
            limit=1.1,
            samples=5,
        )
        for count in range(1, 9)
    ),
    *(
        Row(
            f"frame_traced_{workload}",
            f"a trace of {what}",
            frame(f"traced_{workload}_on", "foliot, trace on"),
            own(f"traced_{workload}_off", "trace off"),
            limit=1.02,
            goal="≤ 1.02 × off",
            samples=20,
            checksum=checksum,
        )
        for workload, what, checksum in (
            ("empty", "1,000 empty systems", None),
            ("100_ns", "100 systems of 100 ns", None),
            ("1_us", "100 systems of 1 µs", None),
            ("schedule", "ecs schedule, 2 workers", SWAPPED),
            ("heavy", "heavy_compute, 2 workers", INTACT),
        )
    ),
    Row(
        "frame_mixed",
        "Python systems beside native ones",
        frame("mixed_both"),
        (frame("mixed_python", "Python alone"), frame("mixed_native", "native alone")),
        limit=1.05,
        goal="≤ 1.05 × the slower",
        against="slowest",
        samples=5,
    ),
    Row(
        "demo",
        "demo, 2 workers, against plain Python",
        frame("demo_stealing"),
        own("demo_plain", "plain Python loop"),
        limit=1 / 1.7,
        goal="≥ 1.7 × as fast",
        samples=5,
    ),
    Row(
        "demo",
        "demo, 2 workers, against blocking",
        frame("demo_stealing"),
        own("demo_blocking", "foliot, blocking"),
        samples=5,
    ),
    Row(
        "demo",
        "demo, the frames alone, against blocking",
        frame("demo_frames_stealing"),
        own("demo_frames_blocking", "foliot, blocking"),
        limit=1 / 1.5,
        goal="≥ 1.5 × as fast",
        samples=5,
    ),
    *(
        Row(
            f"bound_{resources}",
            f"60 uneven systems, {resources} resources, against the plan's bound",
            frame(f"generated_{resources}"),
            own(f"generated_{resources}_ideal", "the bound"),
            limit=1 / 0.9,
            goal="≥ 0.9 of the bound",
            samples=5,
        )
        for resources in (4, 8, 24)
    ),
    Row(
        "bound_pauses",
        "60 uneven systems, 24 resources, each frame after 5 ms of sleep",
        frame("generated_24_after_pauses"),
        own("generated_24", "without pauses"),
        limit=1.1,
        goal="≤ 1.1 × foliot",
        samples=20,
    ),
)


def python(workload: str) -> tuple[Case, ...]:
    """A workload of `concurrent.futures` and joblib, on threads and on processes."""
    pools = {
        "threads": "concurrent.futures, threads",
        "processes": "concurrent.futures, processes",
        "joblib_threads": "joblib, threads",
        "joblib_processes": "joblib, processes",
    }
    return tuple(Case(label, "python", (f"{pool}_{workload}",)) for pool, label in pools.items())


PYTHON_ROWS = (
    Row(
        "python_empty",
        "1,000 empty Python calls, 2 workers",
        frame("empty_python_1000"),
        python("empty"),
        samples=3,
    ),
    Row(
        "python_heavy",
        "heavy_compute from Python, 2 workers",
        frame("heavy_compute_2"),
        python("heavy_compute"),
        samples=5,
        checksum=INTACT,
    ),
)

ROWS: tuple[Row, ...] = TASK_ROWS + FRAME_ROWS + PYTHON_ROWS
