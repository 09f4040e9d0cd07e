"""A server's application, of a small model."""

import asyncio

import pytest

from cnncli.serve.app import LOOPBACK, Server
from cnncli.serve.engine import Engine
from cnncli.serve.limits import Limits
from cnncli.serve.meters import Meters
from tests.api.conftest import model, place  # noqa: F401 (fixtures)

HOST = {"host": "127.0.0.1:8000"}


def call(app, method, path, body=b"", headers=(), *, chunks=None, pause=0.0):
    """Call an ASGI application; return the status, the headers by name, and the body. `chunks`: of the body, each
    after a `pause`.
    """
    sent, waiting = [], list(chunks or [body])

    async def receive():
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    path, _, query = path.partition("?")
    fields = {**HOST, **dict(headers)}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    asyncio.run(app(scope, receive, send))
    head, *rest = sent
    found = {name.decode(): value.decode() for name, value in head["headers"]}
    return head["status"], found, b"".join(message.get("body", b"") for message in rest)


@pytest.fixture(scope="module")
def engine(place):  # noqa: F811
    import cnncli

    engine = Engine(lambda: cnncli.load(place / "run"), most_waiting=64, meters=Meters())
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def app(engine):
    limits = Limits(body=1 << 16, images=8, pixels=10_000, waiting=64, seconds=20)
    return Server(engine, limits, engine.meters, LOOPBACK).app()
