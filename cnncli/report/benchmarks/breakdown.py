"""Breakdown of the time of a training step by kind of operation, now and before."""

from shlex import join
from typing import Any

from cnncli.report.benchmarks.figures import Figures, commands, rate, share, table
from cnncli.report.benchmarks.rates import LARGE, SIDE, WIDE, Match, disturbance
from cnncli.report.benchmarks.runs import benchmark

CASES = {
    match.spec: match
    for match in (
        Match("mnist", LARGE),
        Match("resnet20", LARGE),
        Match("mobilenet_small", LARGE),
        Match("networks/resnet18", WIDE),
        Match("networks/mobilenetv2", WIDE, side=SIDE),
    )
}


def measure(rounds: int) -> Figures:
    """{"now": {spec: sums}}. What stands beside it as "before", with its "commit", is never measured anew."""
    return {"now": {spec: sums(benchmark(*match.arguments, rounds=rounds)) for spec, match in CASES.items()}}


def sums(document: Figures) -> dict[str, Any]:
    """What `cnncli benchmark --json` says of single operations, added up by their kind: `seconds` of a step."""
    kinds: dict[str, dict[str, Any]] = {}
    for layer in document["layers"]:
        kind = kinds.setdefault(f"{layer['operation']}, {layer['pass']}", {"count": 0, "seconds": 0.0})
        kind["count"] += 1
        kind["seconds"] += layer["seconds"]
    return {**{key: document[key] for key in ("images_per_second", "others_cpus")}, "kinds": kinds}


def render(figures: Figures) -> list[str]:
    """A table for each spec, the longest first; what is done only before or only now has a dash on the other side."""
    before = figures.get("before", {"commit": "", "specs": {}})
    lines = commands(*(f"cnncli benchmark {join(CASES[spec].arguments)}" for spec in figures["now"]))
    for spec, now in figures["now"].items():
        then = before["specs"].get(spec, {"kinds": {}})
        rates = f"{rate(now['images_per_second'])} images/s"
        if then["kinds"]:
            rates += f"; {rate(then['images_per_second'])} before, at {before['commit']}"
        lines += [f"### {CASES[spec].title}", "", f"Whole steps: {rates}.", "", *_kinds(then["kinds"], now["kinds"])]
        lines += disturbance([now])
        if warned := disturbance([then]):
            lines += ["Before: " + warned[0][0].lower() + warned[0][1:], ""]
    return lines


def _kinds(before: Figures, now: Figures) -> list[str]:
    total = sum(kind["seconds"] for kind in now.values())
    order = sorted({**before, **now}, key=lambda name: -now.get(name, {"seconds": 0.0})["seconds"])
    rows = []
    for name in order:
        part = share(now[name]["seconds"] / total) if name in now else "–"
        rows.append([name, *(_milliseconds(some.get(name)) for some in (before, now)), part])
    last = [f"{sum(kind['seconds'] for kind in some.values()) * 1e3:.2f}" if some else "–" for some in (before, now)]
    return table(["operation", ">before, ms", ">now, ms", ">of the step"], [*rows, ["all", *last, share(1.0)]])


def _milliseconds(kind: Figures | None) -> str:
    return "–" if kind is None else f"{kind['seconds'] * 1e3:.2f}"
