"""The HTTP application: routes, what they read, and what they answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from importlib.resources import files
from time import perf_counter
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cnncli.datasets.sources.image_files import UnusableError, processors
from cnncli.errors import CnncliError
from cnncli.serve.engine import Answer, Engine, OverloadedError
from cnncli.serve.images import decoded, opened, prepared
from cnncli.serve.limits import BodyLimit, Limits
from cnncli.serve.meters import TYPE, Meters
from cnncli.serve.openapi import description

if TYPE_CHECKING:
    from cnncli.datasets.images.inputs import Array

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Headers of all answers: the page's own script runs, and nothing else."""
TRUE = {"1": True, "true": True, "0": False, "false": False}


class Server:
    """Answers requests for what an engine serves. `hosts`: names by which it may be called; None: any.

    Once it is `ending`, each answer is the last one of its connection, so that no client sends a further request there.
    """

    def __init__(self, engine: Engine, limits: Limits, meters: Meters, hosts: Sequence[str] | None = None) -> None:
        self.engine, self.limits, self.meters, self.hosts = engine, limits, meters, hosts
        self.decoding = asyncio.Semaphore(processors())
        self.ending: Callable[[], bool] = lambda: False

    def app(self) -> Starlette:
        """The ASGI application."""
        post = {"/predict": self.predict, "/explain": self.explain}
        get = {"/healthz": self.health, "/metadata": self.metadata, "/openapi.json": self.openapi}
        get |= {"/metrics": self.metrics, **dict.fromkeys(PAGE, self.page)}
        return Starlette(
            routes=[
                *(Route(path, self._answered(path, answer), methods=["POST"]) for path, answer in post.items()),
                *(Route(path, self._answered(path, answer)) for path, answer in get.items()),
            ],
            middleware=[Middleware(BodyLimit, most=self.limits.body)],
            exception_handlers={HTTPException: _refuse},
        )

    async def predict(self, request: Request) -> Response:
        """Predictions for the images of the request, in order."""
        invert = _flag(request, "invert")
        named = await self._received(request)
        async with self._in_time():
            images = await asyncio.gather(*(self._prepared(content) for _, content in named))
            usable = [image for image in images if not isinstance(image, str)]
            found = iter(await self._results(self.engine.predict(usable, invert=invert)))
        answers = [{"error": image} if isinstance(image, str) else next(found) for image in images]
        if all("error" in answer for answer in answers):
            raise HTTPException(
                422, "; ".join(_told(name, answer) for (name, _), answer in zip(named, answers, strict=True))
            )
        about = self.engine.about
        return JSONResponse(
            {
                "model": about.document["name"],
                "classes": list(about.classes),
                "predictions": [{"file": name, **answer} for (name, _), answer in zip(named, answers, strict=True)],
            }
        )

    async def explain(self, request: Request) -> Response:
        """What the network saw of one image, and Grad-CAM."""
        invert = _flag(request, "invert")
        named = await self._received(request)
        if len(named) != 1:
            raise HTTPException(400, f"explain takes one image; received {len(named)}")
        image = opened(named[0][1], self.limits.pixels)
        async with self._in_time():
            (found,) = await self._results([self.engine.explain(image, invert=invert)])
        return JSONResponse(found)

    async def health(self, request: Request) -> Response:
        """Whether requests are answered."""
        return JSONResponse({"status": "ok"})

    async def metadata(self, request: Request) -> Response:
        """The model, and what is accepted."""
        limits = {"body": self.limits.body, "images": self.limits.images, "pixels": self.limits.pixels}
        return JSONResponse({**self.engine.about.document, "loads": self.engine.about.loads, "limits": limits})

    async def openapi(self, request: Request) -> Response:
        """This interface, as OpenAPI."""
        return JSONResponse(description(self.limits))

    async def metrics(self, request: Request) -> Response:
        """The counters."""
        return Response(self.meters.text(), headers={"Content-Type": TYPE})

    async def page(self, request: Request) -> Response:
        """A file of the page."""
        name, kind = PAGE[request.url.path]
        return Response(files("cnncli.serve").joinpath("page", name).read_bytes(), media_type=kind)

    def _answered(
        self, path: str, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """The route that counts, checks the name by which the server is called, and turns errors into answers."""

        async def route(request: Request) -> Response:
            began = perf_counter()
            try:
                self._check_host(request)
                response = await answer(request)
            except HTTPException as error:
                response = await _refuse(request, error)
            except OverloadedError:
                response = await _refuse(request, _later(503, "too many images wait; try again later"))
            except (CnncliError, UnusableError) as error:
                response = await _refuse(request, HTTPException(422, str(error)))
            except ClientDisconnect:
                response = Response(status_code=499)
            except Exception:
                self.meters.requests.labels(path, "500").inc()
                raise
            response.headers.update(SAFE)
            if self.ending():
                response.headers["Connection"] = "close"
            self.meters.requests.labels(path, str(response.status_code)).inc()
            self.meters.seconds.labels(path).observe(perf_counter() - began)
            return response

        return route

    def _check_host(self, request: Request) -> None:
        """A page of another host must not reach a server on this machine by a name that it points here."""
        host = request.headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self.hosts is not None and name not in self.hosts:
            raise HTTPException(421, f"this server is called {' or '.join(self.hosts)}; --host makes it public")

    async def _received(self, request: Request) -> list[tuple[str, bytes]]:
        """The encoded images of a request, with their names. Raises HTTPException."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                found = await self._images(request)
        except TimeoutError:
            raise HTTPException(408, f"a request must arrive within {self.limits.seconds:g} s") from None
        if not found:
            raise HTTPException(400, "there is no image in the request; see /openapi.json")
        if len(found) > self.limits.images:
            raise HTTPException(413, f"a request must have at most {self.limits.images} images; it has {len(found)}")
        return found

    async def _images(self, request: Request) -> list[tuple[str, bytes]]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            async with request.form(max_files=self.limits.images, max_fields=self.limits.images) as form:
                uploads = [upload for _, upload in form.multi_items() if isinstance(upload, UploadFile)]
                return [(upload.filename or f"[{n}]", await upload.read()) for n, upload in enumerate(uploads)]
        if kind == "application/json":
            return _of_json(await _json(request))
        body = await request.body()
        return [("[0]", body)] if body else []

    async def _prepared(self, content: bytes) -> "Array | str":
        """An image as the model takes it, or what is wrong with it. As many are decoded at a time as there are CPUs."""
        form = self.engine.about.form
        assert form is not None  # of a model that is served
        try:
            async with self.decoding:
                return await asyncio.to_thread(prepared, content, self.limits.pixels, form)
        except UnusableError as error:
            return str(error)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.limits.seconds):
                yield
        except TimeoutError:
            raise _later(503, f"the answer took longer than {self.limits.seconds:g} s; try again later") from None

    async def _results(self, futures: Iterable[Future[Answer]]) -> list[Answer]:
        """The results; those still waiting are given up with the request."""
        waited = [asyncio.wrap_future(future) for future in futures]
        return list(await asyncio.gather(*waited))


def _of_json(document: Any) -> list[tuple[str, bytes]]:
    """The images of `{"image": base64}` or `{"images": [base64, …]}`. Raises HTTPException."""
    if not isinstance(document, dict) or len(document.keys() & {"image", "images"}) != 1:
        raise HTTPException(400, 'the JSON must be {"image": "base64"} or {"images": ["base64", …]}')
    texts = document.get("images", [document.get("image")])
    if not isinstance(texts, list):
        raise HTTPException(400, f'"images" must be a list; received {type(texts).__name__}')
    try:
        return [(f"[{number}]", decoded(text)) for number, text in enumerate(texts)]
    except UnusableError as error:
        raise HTTPException(400, str(error)) from None


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body must be JSON: {error}") from None


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in TRUE:
        raise HTTPException(400, f"{name} must be true or false; received '{text}'")
    return TRUE[text]


def _told(name: str, answer: Answer) -> str:
    return f"{name}: {answer['error']}"


def _later(code: int, text: str) -> HTTPException:
    return HTTPException(code, text, headers={"Retry-After": "1"})


async def _refuse(request: Request, error: Exception) -> Response:
    """An error as JSON."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
