"""foliot's echo server in Python: one system, woken when something has come.

Prints its port, serves until it is killed, and sends back what comes.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import foliot as fo

SIZE = 4_096


def serve(backend: str) -> None:
    """Accept and receive for good; a frame for whatever has come meanwhile."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    accepting: list[Any] = []
    receiving: dict[int, Any] = {}

    @fo.system(io=True)
    def echo(ctx: Any) -> None:
        io = ctx.io
        if not accepting:
            accepting.append(io.accept(listener.fileno(), many=True, wait="none"))
        for descriptor in accepting[0].take():
            with socket.socket(fileno=descriptor) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.detach()
            receiving[descriptor] = io.recv(descriptor, many=True, wait="none")
        for descriptor, operation in tuple(receiving.items()):
            for data in operation.take():
                if data:
                    io.send(descriptor, data)
            if operation.done:
                del receiving[descriptor]
                io.close(descriptor)

    world = fo.World()
    with fo.Scheduler(world, fo.Schedule(echo), backend=backend, workers=1) as scheduler:
        if scheduler.backend.actual != backend:
            raise SystemExit(f"the {backend} backend does not run here: {scheduler.backend.reason}")
        while True:
            scheduler.tick(0.0)
            scheduler.wait()


if __name__ == "__main__":
    serve(sys.argv[1] if len(sys.argv) == 2 else "evented")
