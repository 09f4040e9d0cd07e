"""`cnncli serve`: answer requests with a trained model."""

from pathlib import Path

import click

from cnncli.cli.options import Integer, example, threads_option
from cnncli.cli.target import find_target, weights_option
from cnncli.errors import UsageError
from cnncli.escaping import one_line
from cnncli.extras import require
from cnncli.report.terminal.output import echo_lines
from cnncli.report.terminal.progress import Status
from cnncli.training.events import Event, Notice

MODULES = ("starlette", "uvicorn", "python_multipart", "prometheus_client")


@click.command("serve", epilog=example("cnncli serve runs/mnist/latest"))
@click.argument("model", required=False, type=click.Path(path_type=Path))
@weights_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on. 0.0.0.0: all networks.")
@click.option("--port", type=Integer(0, 65535), default=8000, show_default=True, help="Port to listen on. 0: any.")
@click.option("--reload", is_flag=True, help="Load the model again when its file changes: when its run gets better.")
@click.option("--max-body", metavar="MIB", type=Integer(1), default=16, show_default=True, help="Size of a request.")
@click.option("--max-images", type=Integer(1), default=64, show_default=True, help="Images of a request.")
@click.option("--max-pixels", type=Integer(1), default=40_000_000, show_default=True, help="Pixels of an image.")
@click.option("--queue", type=Integer(1), default=256, show_default=True, help="Images that may wait.")
@click.option(
    "--timeout", metavar="SECONDS", type=Integer(1), default=30, show_default=True, help="To receive, and to answer."
)
@threads_option
def command(
    *,
    model: Path | None,
    weights: str | None,
    host: str,
    port: int,
    reload: bool,
    max_body: int,
    max_images: int,
    max_pixels: int,
    queue: int,
    timeout: int,
    threads: int | None,
) -> None:
    """Serve a trained model over HTTP, with a page to try it: drop a picture, use the camera, draw a digit.

    POST an image to /predict: as it is, as multipart/form-data, or as base64 in JSON; several at once. What waits is
    predicted together. /openapi.json describes everything, /metrics is for Prometheus. SIGTERM and Ctrl-C end the
    server once what came has been answered.

    MODEL is a run, a model file or a spec (its newest run). Default: the newest run.
    """
    require("serve", "a web server", MODULES, "serve")
    if max_images > queue:
        raise UsageError(f"--queue must be at least --max-images; received {queue} and {max_images}")
    target = find_target(model, weights)
    from cnncli.api.model import Model
    from cnncli.serve.engine import Engine
    from cnncli.serve.limits import MEGABYTE, Limits
    from cnncli.serve.meters import Meters
    from cnncli.serve.run import address, listening, serve

    limits = Limits(max_body * MEGABYTE, max_images, max_pixels, queue, timeout)
    meters = Meters()
    engine = Engine(
        lambda: Model(target, threads=threads),
        most_waiting=limits.waiting,
        meters=meters,
        watched=target.file if reload else None,
        on_event=_tell,
    )
    with listening(host, port) as socket:
        with Status() as notice:
            notice.say("loading the model …")
            engine.start()
        where = address(host, socket.getsockname()[1])
        name = one_line(str(engine.about.document["name"]))
        begun = f"serving {name} at http://{where} · Ctrl-C ends it"
        serve(engine, limits, meters, socket, lambda: echo_lines([begun]))


def _tell(event: Event) -> None:
    if isinstance(event, Notice):
        echo_lines([f"{event.level}: {event.text}" if event.level == "warning" else event.text], err=True)
