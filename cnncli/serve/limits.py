"""What a server accepts."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """`body`: bytes of a request; `images`: in a request; `pixels`: of an image; `waiting`: images that wait;
    `seconds`: for receiving a request, and for answering it.
    """

    body: int = 16 * MEGABYTE
    images: int = 64
    pixels: int = 40_000_000
    waiting: int = 256
    seconds: float = 30.0


class BodyLimit:
    """Refuses longer bodies, without reading on (413)."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received; a body that says that it is longer is not read at all."""
        lengths = (value for name, value in scope.get("headers", ()) if name == b"content-length")
        declared = next((int(value) for value in lengths if value.isdigit()), 0)
        got = 0

        async def counted() -> Message:
            nonlocal got
            if declared > self.most:
                raise self._refusal()
            message: MutableMapping[str, Any] = await receive()
            got += len(message.get("body", b""))
            if got > self.most:
                raise self._refusal()
            return message

        await self.app(scope, counted, send)

    def _refusal(self) -> HTTPException:
        # The connection is closed: what is left of the body would be read as the next request.
        return HTTPException(
            413, f"a request must have at most {self.most / MEGABYTE:g} MiB", headers={"Connection": "close"}
        )
