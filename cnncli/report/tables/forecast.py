"""Output of `train --dry-run`: the model, and the estimated memory and time."""

from collections.abc import Sequence
from math import inf
from typing import Any, TextIO

from cnncli.report.tables.summary import amount, phases_data, print_layers, summary_data
from cnncli.report.terminal.figures import fitted, phase_line
from cnncli.report.terminal.progress import SPLITS
from cnncli.spec.spec import Spec
from cnncli.training.loop.forecast import Forecast

UNITS = (("ms", 1e-3, 0.9995), ("s", 1.0, 99.5), ("min", 60.0, 99.5 * 60), ("h", 3600.0, inf))
"""Each with its seconds, and those from which on the next one says it better."""


def print_forecast(spec: Spec, made: Forecast, file: TextIO) -> None:
    """The summary's table, a line about memory and one about time."""
    print_layers(spec, file)
    if made.groups:
        listed = [f"{count:,} {SPLITS[name]}" for name, count in made.groups.items()]
        print(fitted(["groups ", *_listed(listed)], " "), file=file)
    memory, epochs = made.memory, spec.fit.trained_epochs
    parts = {
        "Python and its libraries": memory.process,
        "kernels": memory.kernels,
        "data": memory.data,
        "arrays": memory.arrays,
        "checkpoints": memory.checkpoints,
    }
    whole = f"memory  about {amount(memory.total)}B at most:"
    print(fitted([whole, *_listed([f"{amount(size)}B of {what}" for what, size in parts.items()])], " "), file=file)
    times = [f"{made.steps:,} batches in {seconds(made.training)}"]
    if made.validation:
        times.append(f"validation in {seconds(made.validation)}")
    if epochs > 1:
        times.append(f"{epochs} epochs in {seconds(_whole(spec, made))}")
    print(fitted([f"time    about {seconds(made.epoch)} an epoch:", *_listed(times)], " "), file=file)
    if len(spec.phases) > 1:
        for phase, each in zip(spec.phases, made.phases, strict=True):
            print(f"{phase_line(**phase.facts())}; {seconds(each + made.validation)} an epoch", file=file)


def forecast_data(spec: Spec, made: Forecast) -> dict[str, Any]:
    """What `train --dry-run --json` prints. Memory is in bytes."""
    memory, phases = made.memory, phases_data(spec)
    for phase, training in zip(phases.get("phases", ()), made.phases, strict=False):
        phase["training_seconds"] = training
    return {
        "event": "dry_run",
        "name": spec.name,
        "samples": dict(made.images),
        **({"groups": dict(made.groups)} if made.groups else {}),
        "threads": made.threads,
        "seed": spec.seed,
        "epochs": spec.fit.epochs,
        "batch_size": spec.fit.batch_size,
        "batches": made.steps,
        "memory": {**vars(memory), "total": memory.total},
        "epoch_seconds": {"training": made.training, "validation": made.validation, "total": made.epoch},
        **summary_data(spec),
        **phases,
    }


def _whole(spec: Spec, made: Forecast) -> float:
    """Seconds of all epochs."""
    pairs = zip(spec.phases, made.phases, strict=True)
    return sum((phase.last - phase.first + 1) * (each + made.validation) for phase, each in pairs)


def seconds(value: float) -> str:
    """`12 ms`, `1.8 s`, `25 s`, `3 min`, `5.2 h`: as exactly as a forecast can be."""
    unit, size = next((unit, size) for unit, size, end in UNITS if value < end)
    count = value / size
    return f"{count:.2g} {unit}" if count < 99.5 else f"{count:,.0f} {unit}"


def _listed(parts: Sequence[str]) -> list[str]:
    """`a,`, `b,`, `c`."""
    return [*(f"{part}," for part in parts[:-1]), parts[-1]]
