"""Running the server: its socket, its signals, and the end."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from cnncli.errors import CnncliError
from cnncli.serve.app import LOOPBACK, Server
from cnncli.serve.engine import Engine
from cnncli.serve.limits import Limits
from cnncli.serve.meters import Meters

BACKLOG = 256
GRACE = 0.5
"""Seconds between the end of accepting connections and the end of those where nothing is being answered."""
MOST_CONNECTIONS = 1024
"""Beyond them, uvicorn answers 503."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises CnncliError where it can't."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        way_out = "; --port takes another" if port else ""
        said = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise CnncliError(f"can't listen on {address(host, port)}: {said}{way_out}") from None
    except OverflowError:
        raise CnncliError(f"a port must be at most 65535; received {port}") from None


def address(host: str, port: int) -> str:
    """`127.0.0.1:8000`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(engine: Engine, limits: Limits, meters: Meters, socket: socket.socket, begun: Callable[[], None]) -> None:
    """Answer requests until SIGINT or SIGTERM; then no more are accepted, and those that came are answered.

    The engine has been started. `begun` is called once requests are answered.
    """
    host = socket.getsockname()[0]
    server = Server(engine, limits, meters, LOOPBACK if host in ("127.0.0.1", "::1") else None)
    config = uvicorn.Config(
        server.app(),
        log_level="critical",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=int(limits.seconds) + 1,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=1 << 16,
    )
    process = _Graceful(config, begun)
    server.ending = lambda: process.should_exit
    try:
        process.run(sockets=[socket])
    finally:
        engine.stop()


class _Graceful(uvicorn.Server):
    """Ends with the process' exit code 0 when it is told to: that is how a server ends."""

    def __init__(self, config: uvicorn.Config, begun: Callable[[], None]) -> None:
        super().__init__(config)
        self.begun = begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What clients are just sending on open connections is answered; they are told that it is the last answer there.
        waiting = [connection for one in sockets or () for connection in _waiting(one)]
        for server in self.servers:
            server.close()
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(GRACE)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        kind = self.config.http_protocol_class
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As in uvicorn, but without raising the signal again in the end."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _waiting(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that a socket has not accepted yet, which closing it would reset."""
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            yield connection
