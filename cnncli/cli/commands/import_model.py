"""`cnncli import`: networks of other frameworks."""

from pathlib import Path

import click

from cnncli.api.importing import import_model, next_steps
from cnncli.cli.options import example, json_option, output_option
from cnncli.errors import UsageError, reason
from cnncli.report.terminal.output import echo_json, echo_lines
from cnncli.system.files import read_bounded

LARGEST_NAMES = 1 << 20
"""Bytes of a file of class names."""


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Parse HEIGHT,WIDTH, or one number for both."""
    if value is None:
        return None
    parts = value.replace("x", ",").split(",")
    if len(parts) not in (1, 2) or not all(part.isdecimal() and part.isascii() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"must be HEIGHT,WIDTH in pixels, such as 224,224; received {value}")
    return int(parts[0]), int(parts[-1])


def _classes(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Names of classes, from the command line or a file."""
    if value is None:
        return ()
    if not Path(value).is_file():
        return tuple(name.strip() for name in value.split(","))
    try:
        lines = read_bounded(Path(value), LARGEST_NAMES).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{value}: must be a text file with a class per line: {reason(error)}") from None
    return tuple(line.strip() for line in lines if line.strip())


@click.command("import", epilog=example("cnncli import mobilenet.keras -o mobilenet"))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@output_option("New or empty folder.", metavar="DIR", required=True)
@click.option("--spec", type=click.Path(path_type=Path), help="Take the network of this spec, and weights of FILE.")
@click.option(
    "--image-size", metavar="HEIGHT,WIDTH", callback=_size, help="Size of the images, if the network leaves it open."
)
@click.option(
    "--classes",
    metavar="NAMES",
    callback=_classes,
    help="Names of the classes in order: a,b,c, or a text file with one per line.",
)
@click.option("--set", "changes", metavar="KEY=VALUE", multiple=True, help="Change a value of `data`. Repeatable.")
@json_option
def command(
    *,
    file: Path,
    output: Path,
    spec: Path | None,
    image_size: tuple[int, int] | None,
    classes: tuple[str, ...],
    changes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Import a network with its weights, as a spec and a model file.

    FILE is a Keras archive (.keras), an older Keras model (.h5), an ONNX file (.onnx) or the state dict of a network
    of torchvision (.safetensors); with --spec, weights alone (.weights.h5, .safetensors). It is read as data: no code
    in it runs, and no other file is opened. DIR then is a MODEL for every command, and DIR/spec.yaml trains it. What
    can't be imported is listed layer by layer.
    """
    found = import_model(file, output, changes, spec=spec, classes=classes, image_size=image_size)
    if as_json:
        echo_json(
            {
                "path": str(found.path),
                "input_shape": list(found.spec.model.input_shape),
                "layers": found.layers,
                "parameters": found.parameters,
                "notes": list(found.notes),
            }
        )
        return
    size = " × ".join(map(str, found.spec.model.input_shape))
    echo_lines(
        [
            f"{file}: {found.layers:,} layers, {found.parameters:,} parameters, for images of {size}",
            *(f"  {note}" for note in found.notes),
            f"{found.path}: spec.yaml, best.safetensors",
            *next_steps(found),
        ]
    )
