"""One run in full."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from cnncli.report.terminal.console import console_on
from cnncli.report.terminal.figures import figure
from cnncli.training.runs import past_runs
from cnncli.training.runs.facts import digest, facts


def details(run: Path) -> dict[str, Any]:
    """All there is to know of a run, for JSON: its facts, the figures of every epoch, environment and digests."""
    return {
        **facts(run),
        "digest": digest(run),
        "images": past_runs.sizes(run),
        "environment": past_runs.environment(run),
        "history": past_runs.history(run),
        "files": {name: size for name, size, _ in past_runs.files(run)},
    }


def print_run(found: Mapping[str, Any], file: TextIO) -> None:
    """A run in full, in lines."""
    console = console_on(file)
    console.print(found["run"], style="bold", soft_wrap=True)
    for name, text in _lines(found):
        if text:
            console.print(f"  {name:12}{text}", soft_wrap=True)
    if figures := _figures(found):
        console.print()
        width = max(map(len, figures))
        heads = [head for head in ("training", "validation", "test") if any(head in row for row in figures.values())]
        console.print(f"  {'':{width}}" + "".join(f"  {head:>10}" for head in heads), style="bold")
        for name, row in figures.items():
            cells = "".join(f"  {figure(row[head]) if head in row else '':>10}" for head in heads)
            console.print(f"  {name:{width}}{cells}".rstrip())


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    environment = found["environment"]
    reason = f": {found['reason']}" if found["reason"] else ""
    yield "state", f"{found['state']}{reason}"
    of = f" of {found['planned_epochs']:,}" if found["planned_epochs"] else ""
    weights = "" if found["epoch"] is None else f"; weights of epoch {found['epoch']:,}"
    seconds = f" in {found['seconds']:,.1f} s" if found["seconds"] else ""
    yield "epochs", f"{found['epochs']:,}{of}{seconds}{weights}"
    yield "began", found["began"].replace("T", " ")
    yield "tags", "  ".join(f"#{tag}" for tag in found["tags"])
    yield "note", found["note"]
    yield "seed", "" if found["seed"] is None else str(found["seed"])
    yield "images", ", ".join(f"{count:,} {name}" for name, count in found["images"].items())
    yield "command", str(environment.get("command") or "")
    yield "weights", found["digest"] or ""
    yield "data", str(environment.get("data_digest") or "")
    yield "commit", str(environment.get("commit") or "")
    yield "size", f"{found['bytes'] / 1e6:,.1f} MB in {len(found['files'])} files"


def _figures(found: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By metric its values in training, validation and test."""
    rows: dict[str, dict[str, float]] = {}
    for name, value in found["figures"].items():
        part = "validation" if name.startswith("val_") else "training"
        rows.setdefault(name.removeprefix("val_"), {})[part] = value
    for name, value in (found["test"] or {}).items():
        rows.setdefault(name, {})["test"] = value
    return rows
