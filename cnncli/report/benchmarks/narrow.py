"""Training and inference in bfloat16: compared with our float32, and with a peer in both."""

from collections.abc import Callable
from shlex import join
from typing import Any

from cnncli.report.benchmarks.figures import Figures, Goal, commands, rate, table, times
from cnncli.report.benchmarks.rates import (
    INFERENCE,
    LARGE,
    MICRO,
    SIDE,
    TITLES,
    WIDE,
    Match,
    compilation,
    compiled,
    disturbance,
    without_layers,
)
from cnncli.report.benchmarks.runs import benchmark, compiling

GAIN = Goal(1.3)
"""What bfloat16 is to gain over our float32 in training, on a processor with instructions for pairs of it."""
TRAINING = (
    Match("mnist", LARGE),
    Match("vgg_small", LARGE),
    Match("resnet20", LARGE),
    Match("mobilenet_small", LARGE),
    Match("networks/resnet18", WIDE),
    Match("networks/mobilenetv2", WIDE, side=SIDE),
)
GAINING = ("vgg_small", "resnet20", "networks/resnet18")
"""Specs that are to gain so much: those of wide convolutions."""
MODES: dict[str, tuple[tuple[Match, ...], list[str]]] = {
    "torch": (TRAINING, []),
    "openvino": (INFERENCE, ["--inference"]),
}
"""For each peer what it is compared in."""


def measure_training(rounds: int) -> Figures:
    """For each match what `cnncli benchmark` says of "float32", alone, and of "bf16", against PyTorch."""
    return _measure("torch", rounds)


def measure_inference(rounds: int) -> Figures:
    """The same of inference, against OpenVINO."""
    return _measure("openvino", rounds)


def render_training(figures: Figures) -> list[str]:
    """A row for each match; then how long torch.compile took."""
    lines = _render("torch", figures, lambda done: f"{done:,.1f}" if done < 100 else rate(done), "images/s")
    return [*lines, *compilation(TRAINING, {key: found["bf16"] for key, found in figures.items()})]


def render_inference(figures: Figures) -> list[str]:
    """The same; times, since it is one image that people wait for."""
    return _render("openvino", figures, lambda done: f"{MICRO / done:.1f}", "µs an image")


def _arguments(match: Match, dtype: str, peer: str) -> list[str]:
    plain = [*match._replace(goals={}).arguments, *MODES[peer][1]]
    return plain if dtype == "float32" else [*plain, "--dtype", dtype, "--against", peer]


def _measure(peer: str, rounds: int) -> Figures:
    compiles = {"bf16": compiling() if peer == "torch" else [], "float32": []}
    return {
        match.key: {
            dtype: without_layers(benchmark(*_arguments(match, dtype, peer), *compiles[dtype], rounds=rounds))
            for dtype in ("float32", "bf16")
        }
        for match in MODES[peer][0]
    }


def _render(peer: str, figures: Figures, formatted: Callable[[float], str], unit: str) -> list[str]:
    rows, shown = [], []
    for match in MODES[peer][0]:
        if (found := figures.get(match.key)) is None:
            continue
        shown += [f"cnncli benchmark {join(_arguments(match, dtype, peer))}" for dtype in ("float32", "bf16")]
        shown[-1] += " --compile" if compiled(found["bf16"]) else ""
        rows.append([match.title, str(match.batch_size), *_cells(match, found, peer, formatted)])
    title = TITLES[peer]
    columns = [f">{name} {dtype}, {unit}" for dtype in ("float32", "bf16") for name in ("cnncli", title)]
    last = [">gain", ">goal"] if peer == "torch" else [">gain"]
    documents = [document for found in figures.values() for document in found.values()]
    return [
        *commands(*shown),
        *table(["network", ">batch", *columns, *last, f">of {title}'s best", ">in a round"], rows),
        *disturbance(documents),
    ]


def _cells(match: Match, found: Figures, peer: str, formatted: Callable[[float], str]) -> list[str]:
    theirs = found["bf16"]["against"][peer]
    speeds = [
        speed
        for dtype in ("float32", "bf16")
        for speed in (found[dtype]["images_per_second"], _fastest(theirs["variants"], dtype))
    ]
    gain = found["bf16"]["images_per_second"] / found["float32"]["images_per_second"]
    goal = [] if peer != "torch" else GAIN.cells(gain)[:1] if match.spec in GAINING else [""]
    least, most = theirs["ratio_range"]
    return [*map(formatted, speeds), times(gain), *goal, times(theirs["ratio"]), f"{least:.2f} – {most:.2f}"]


def _fastest(variants: dict[str, Any], dtype: str) -> float:
    """Images a second of the fastest of a peer's variants in a dtype, which their names begin with."""
    return max(float(speed) for name, speed in variants.items() if name.partition(", ")[0] == dtype)
