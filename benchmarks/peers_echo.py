"""Python's echo servers, and the runner that puts one beside the load.

``peers_echo.py NAME`` prints a port, serves until it is killed, and sends back what comes.
``peers_echo.py run COMMAND… SAMPLES`` starts the server ``COMMAND…`` on the first processor that
this process may use, the load of ``c/io_load.c`` on the second, and prints what that measured.
``peers_echo.py cost COMMAND… SAMPLES`` does the same, and measures what the server's process has
of the processor.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

LOAD = Path(__file__).resolve().parent.parent / "build" / "bench" / "c_io_load"
SERVER_TIMEOUT = 30.0
SAMPLE_MS = "100"
BUFFER = 4_096


def announce(port: int) -> None:
    """Tell the runner where the server listens."""
    print(port, flush=True)


class Echo(asyncio.Protocol):
    """Sends back what comes, in the callback of the data."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


def port_of(server: asyncio.Server) -> int:
    """Where a server listens."""
    return int(server.sockets[0].getsockname()[1])


async def serve_protocol() -> None:
    """asyncio's callbacks."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    announce(port_of(server))
    await server.serve_forever()


async def echo_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of asyncio's streams."""
    while data := await reader.read(BUFFER):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve_streams() -> None:
    """asyncio's streams."""
    server = await asyncio.start_server(echo_stream, "127.0.0.1", 0)
    announce(port_of(server))
    await server.serve_forever()


def run_uvloop(serve: str) -> None:
    """The same servers on uvloop."""
    try:
        import uvloop
    except ImportError:
        raise SystemExit("uvloop is not installed") from None
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve_protocol() if serve == "protocol" else serve_streams())


def run_trio() -> None:
    """trio's streams."""
    try:
        import trio
    except ImportError:
        raise SystemExit("trio is not installed") from None

    async def echo(stream: trio.SocketStream) -> None:
        async with stream:
            while data := await stream.receive_some(BUFFER):
                await stream.send_all(data)

    async def serve() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        announce(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(echo, listeners)

    trio.run(serve)


SERVERS = {
    "asyncio_protocol": lambda: asyncio.run(serve_protocol()),
    "asyncio_streams": lambda: asyncio.run(serve_streams()),
    "uvloop_protocol": lambda: run_uvloop("protocol"),
    "uvloop_streams": lambda: run_uvloop("streams"),
    "trio": run_trio,
}


def run(command: list[str], samples: str, is_cost: bool) -> int:
    """A server beside the load; the exit status. Measures time, or the server's processor time."""
    processors = sorted(os.sched_getaffinity(0))
    # Children run where this process does when they start.
    os.sched_setaffinity(0, processors[:1])
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.sched_setaffinity(0, processors[-1:])
    assert server.stdout is not None
    assert server.stderr is not None
    # Nothing outlives this process, not even a server that is silent.
    watch = threading.Timer(SERVER_TIMEOUT, server.kill)
    watch.start()
    try:
        port = server.stdout.readline().strip()
        if not port.isdigit():
            print(server.stderr.read().strip() or "the server ended", file=sys.stderr)
            return 1
        of_server = [str(server.pid)] if is_cost else []
        load = subprocess.run([str(LOAD), port, samples, SAMPLE_MS, *of_server], check=False)
        if server.poll() is not None:
            print(server.stderr.read().strip() or "the server ended", file=sys.stderr)
        return load.returncode
    finally:
        watch.cancel()
        server.kill()
        server.wait(SERVER_TIMEOUT)


def main() -> int:
    """Serve, or run."""
    names = sys.argv[1:]
    if len(names) > 2 and names[0] in ("run", "cost"):
        return run(names[1:-1], names[-1], names[0] == "cost")
    if len(names) == 1 and names[0] in SERVERS:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        SERVERS[names[0]]()
        return 0
    print(
        f"usage: {sys.argv[0]} {{{','.join(SERVERS)}}} | {{run|cost}} COMMAND… SAMPLES",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
