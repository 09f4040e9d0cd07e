"""How the time of a training step grows with the batch, the channels and the image, ours and PyTorch's."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from cnncli.report.benchmarks.figures import Figures, commands, table, times
from cnncli.report.benchmarks.rates import disturbance
from cnncli.report.benchmarks.runs import benchmark

MICRO = 1e6


class Axis(NamedTuple):
    """What grows: its title with its unit, its values, the batch (or None where that grows), and what is trained."""

    title: str
    values: tuple[int, ...]
    batch_size: int | None
    network: str
    spec: Callable[[int], str]


def _spec(image_shape: Sequence[int], layers: Sequence[str]) -> str:
    """A spec of the layers, with what follows in all of them."""
    lines = "\n".join(f"    - {layer}" for layer in (*layers, "GlobalAveragePooling2D"))
    return f"""name: growth
data: {{dataset: synthetic}}
model:
  input_shape: {list(image_shape)}
  layers:
{lines}
    - Dense: {{units: 10, activation: softmax}}
compile: {{optimizer: adam, loss: categorical_crossentropy}}
fit: {{epochs: 1}}
"""


def _convolution(filters: int) -> str:
    return f"Conv2D: {{filters: {filters}, kernel_size: 3, padding: same, activation: relu}}"


def of_channels(channels: int) -> str:
    """Two 3 × 3 convolutions of that many channels on images of 16 × 16."""
    return _spec((16, 16, channels), [_convolution(channels)] * 2)


def of_image(size: int) -> str:
    """Two 3 × 3 convolutions of 32 channels, each with its pooling, on images of that many pixels each way."""
    return _spec((size, size, 3), [_convolution(32), "MaxPooling2D"] * 2)


def of_batch(_: int) -> str:
    """The seed network, whatever the batch."""
    return Path("configs/mnist.yaml").read_text(encoding="utf-8")


AXES = {
    "batch": Axis(
        "batch size (images)",
        (16, 32, 64, 128, 256, 512, 1024),
        None,
        "The network of configs/mnist.yaml, in batches of 16 to 1,024",
        of_batch,
    ),
    "channels": Axis(
        "channels",
        (16, 32, 64, 128, 256),
        32,
        "Two 3 × 3 convolutions of 16 to 256 channels on images of 16 × 16 pixels, in batches of 32",
        of_channels,
    ),
    "image": Axis(
        "height and width of the image (pixels)",
        (16, 32, 64, 112, 224),
        16,
        "Two 3 × 3 convolutions of 32 channels, each with 2 × 2 pooling, on images of 16 × 16 to 224 × 224 pixels, in "
        "batches of 16",
        of_image,
    ),
}


def measure(rounds: int) -> Figures:
    """For each axis and value on it what `cnncli benchmark --against torch` says, without its operations."""
    found: dict[str, dict[str, Figures]] = {name: {} for name in AXES}
    with TemporaryDirectory() as folder:
        for name, axis in AXES.items():
            for value in axis.values:
                path = Path(folder) / f"{name}{value}.yaml"
                path.write_text(axis.spec(value), encoding="utf-8")
                batch = str(axis.batch_size or value)
                document = benchmark(path, "--batch-size", batch, "--against", "torch", rounds=rounds)
                found[name][str(value)] = {key: part for key, part in document.items() if key != "layers"}
    return found


def curves(documents: Figures) -> dict[str, list[tuple[int, float]]]:
    """For each of the two, pairs of a value and the microseconds of a training step for an image."""
    pairs = [(int(value), document) for value, document in documents.items()]
    return {
        "cnncli": [(value, MICRO / document["images_per_second"]) for value, document in pairs],
        "PyTorch": [(value, MICRO / document["against"]["torch"]["images_per_second"]) for value, document in pairs],
    }


def render(figures: Figures) -> list[str]:
    """For each axis its picture and its table."""
    command = "cnncli benchmark configs/mnist.yaml --batch-size 512 --against torch"
    lines = [*commands(command), "The specs of the two made networks are in cnncli/report/benchmarks/growth.py.", ""]
    for name, documents in figures.items():
        axis = AXES[name]
        ours, theirs = curves(documents).values()
        rows = [
            [f"{value:,}", f"{us:,.1f}", f"{other:,.1f}", times(documents[str(value)]["against"]["torch"]["ratio"])]
            for (value, us), (_, other) in zip(ours, theirs, strict=True)
        ]
        lines += [f"{axis.network}:", "", f"![Time of a training step by {axis.title}](benchmarks_{name}.svg)", ""]
        lines += table([f">{axis.title}", ">cnncli, µs an image", ">PyTorch, µs an image", ">ratio"], rows)
        lines += disturbance(documents.values())
    return lines
