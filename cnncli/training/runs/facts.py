"""What there is to know of a run in a few figures, from its files; without NumPy."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cnncli.errors import CnncliError
from cnncli.training.runs import notes, past_runs
from cnncli.training.runs.model_file import About, about
from cnncli.training.runs.past_runs import MEASURED

STATES = ("finished", "running", "diverged", "interrupted", "pruned", "failed", "killed")


class Record(NamedTuple):
    """A run's facts, for JSON, and the spec that its model file has, without its layers: JSON, "{}" if unknown."""

    facts: dict[str, Any]
    spec: str


def facts(run: Path) -> dict[str, Any]:
    """Details of a run, for JSON.

    "state" is "finished", "running", "diverged", "interrupted", "pruned" (given up by `cnncli tune`), "failed", or
    "killed": it ended without a word, and "reason" why a run ended early. "epochs": the number of the last one. "epoch"
    is the one that "figures" are of: whose weights it hands out, or, where a killed run has not kept that one's, the
    best of those it has kept. "test": known where it is finished and has test images. "seconds": of all epochs. "note",
    "tags": what its user wrote.
    """
    return record(run, past_runs.files(run)).facts


def record(run: Path, files: past_runs.Files) -> Record:
    """The facts and the spec of a run with its files. Anyone may have written them: what has a wrong type is left out.

    Raises OSError if the run has been removed.
    """
    ended, carried = past_runs.result(run), _Carried(run)
    written = notes.read(run) if any(name == notes.NOTES for name, _, _ in files) else notes.Notes()
    epochs, spec = _history(run, carried.last), carried.spec
    epoch = ended["epoch"] if "epoch" in ended else carried.epoch  # noqa: SIM401 (it would read a model file)
    if epoch not in [0, *(done.get("epoch") for done in epochs)]:
        epoch = _best(epochs)
    found = next((done for done in epochs if done.get("epoch") == epoch), {})
    known = {
        "run": str(run),
        "name": past_runs.name_of(run),
        "began": past_runs.began(run).isoformat(timespec="seconds"),
        "state": "running" if past_runs.is_held(run) else str(ended.get("state", "killed")),
        "reason": None if ended.get("reason") is None else str(ended["reason"]),
        "epochs": epochs[-1].get("epoch", len(epochs)) if epochs else 0,  # others may be before its `initial_epoch`
        "planned_epochs": _integer(_section(spec, "fit").get("epochs")),
        "epoch": _integer(epoch),
        "figures": _numbers({name: value for name, value in found.items() if name not in ("epoch", *MEASURED)}),
        "test": _numbers(ended["test"]) if isinstance(ended.get("test"), dict) else None,
        "seconds": round(sum(_numbers(line).get("seconds", 0.0) for line in epochs), 3),
        "seed": _integer(spec.get("seed")),
        "note": written.note,
        "tags": list(written.tags),
        "bytes": sum(size for _, size, _ in files),
    }
    return Record(known, json.dumps({key: _without_layers(part) for key, part in spec.items()}))


def digest(run: Path) -> str | None:
    """The digest of the weights it hands out, as its model file tells it; None if there is none."""
    carried = _Carried(run)
    file = carried.best or carried.last
    return file.texts.get("digest") if file else None


def _without_layers(part: Any) -> Any:
    return {key: value for key, value in part.items() if key != "layers"} if isinstance(part, dict) else part


class _Carried:
    """The metadata of a run's model files, each read when it is asked for, since that takes most of the time."""

    def __init__(self, run: Path) -> None:
        self.run = run

    @cached_property
    def best(self) -> About | None:
        """Of the final weights; None if they can't be read."""
        return self._read(past_runs.MODEL_FILES[0])

    @cached_property
    def last(self) -> About | None:
        """Of the last checkpoint; None if it can't be read."""
        return self._read(past_runs.MODEL_FILES[1])

    def _read(self, name: str) -> About | None:
        with suppress(CnncliError):
            return about(self.run / name)
        return None

    @property
    def spec(self) -> dict[str, Any]:
        """The spec, of the last checkpoint if it can be read: a resumed run has its epochs there."""
        file = self.last or self.best
        with suppress(CnncliError):
            return file.spec if file else {}
        return {}

    @property
    def epoch(self) -> int | None:
        """The epoch of the weights that it hands out."""
        file = self.best or self.last
        with suppress(CnncliError):
            return file.epoch if file else None
        return None


def _history(run: Path, last: About | None) -> list[dict[str, Any]]:
    """The figures of each epoch, from its lines or its checkpoint: one killed in between has written one of them."""
    lines = past_runs.history(run)
    with suppress(CnncliError, KeyError, TypeError, ValueError, RecursionError):
        saved = last.value("state", dict[str, Any])["history"] if last else []
        lines += [dict(epoch) for epoch in saved[len(lines) :]]
    return lines


def _best(epochs: Sequence[Mapping[str, Any]]) -> int | None:
    """The epoch with the lowest val_loss, or else the last."""
    with suppress(TypeError, KeyError):
        validated = [epoch for epoch in epochs if "val_loss" in epoch] or epochs
        return int(min(validated, key=lambda epoch: epoch["val_loss"])["epoch"]) if epochs else None
    return epochs[-1].get("epoch")


def _section(spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = spec.get(name)
    return section if isinstance(section, dict) else {}


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and _is_number(value) else None


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    """Whether it is a number that has room in a float."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 1000)
