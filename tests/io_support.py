"""What tests of I/O share: schedulers on each engine, and one frame of one system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import foliot as fo

# Backends that run systems on the caller and on workers, each on a ring and on blocking calls.
ENGINES = [
    (backend, engine) for backend in ("blocking", "stealing") for engine in ("pool", "uring")
]
ENGINE_NAMES = [f"{backend}-{engine}" for backend, engine in ENGINES]


class Engine:
    """Makes schedulers whose I/O runs on one engine, and says so when it does not."""

    def __init__(self, backend: str, engine: str) -> None:
        self.backend, self.engine = backend, engine

    def scheduler(
        self, *systems: fo.System, world: fo.World | None = None, **options: Any
    ) -> fo.Scheduler:
        world = fo.World() if world is None else world
        made = fo.Scheduler(
            world,
            fo.Schedule(*systems),
            backend=self.backend,
            workers=2,
            io=self.engine,
            **options,
        )
        assert made.io.engine == self.engine, made.io.reason
        return made

    def ask(
        self,
        function: Callable[[Any], object],
        *,
        world: fo.World | None = None,
        frames: int = 1,
        scheduler: dict[str, Any] | None = None,
        **declared: Any,
    ) -> Any:
        """What the function of a system gave, after so many frames."""
        given: list[object] = []

        def run(ctx: Any) -> None:
            if not given:
                given.append(function(ctx))

        system = fo.system(io=True, name="ask", **declared)(run)
        with self.scheduler(system, world=world, **(scheduler or {})) as made:
            for _ in range(frames):
                made.tick(0.1)
        return given[0]
