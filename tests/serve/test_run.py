"""The end of the server: connections that it has not accepted yet are answered, too."""

import asyncio
import socket

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra serve")


async def answered(scope, receive, send):
    """An application that answers at once."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def test_connections_that_wait_to_be_accepted_at_the_end_are_answered(monkeypatch):
    from cnncli.serve import run

    monkeypatch.setattr(run, "GRACE", 0.05)

    async def ended():
        listening = run.listening("127.0.0.1", 0)
        config = uvicorn.Config(answered, log_level="critical", lifespan="off")
        config.load()
        server = run._Graceful(config, lambda: None)
        server.lifespan = config.lifespan_class(config)
        await server.startup([listening])
        address = listening.getsockname()
        clients = [socket.create_connection(address) for _ in range(5)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await server.shutdown([listening])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        return [client.recv(1000) for client in clients]

    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in asyncio.run(ended()))
