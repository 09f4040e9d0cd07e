"""ModelCheckpoint (keras/src/callbacks/model_checkpoint.py)."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnncli.layers.declarations.field_types import Integer, Kind, Maybe, Schema
from cnncli.training.callbacks.callback import CALLBACKS, Directions, Hooks, Monitor
from cnncli.training.runs.past_runs import MODEL_FILES

if TYPE_CHECKING:
    from cnncli.training.callbacks.context import Context
    from cnncli.training.events import BatchDone

FORMAT = r"0?\d{0,2}(?:\.\d{1,2})?[deEfFgG%]?"
PLACEHOLDER = re.compile(rf"\{{(\w+)(?::({FORMAT}))?\}}")
COUNTED = ("epoch", "batch")
"""Placeholders that are integers; all others are metrics."""


class FilePath(Kind):
    """A path in the run directory, with placeholders such as {epoch:02d} and {val_loss:.3f}."""

    rule = (
        "a path in the run directory that ends in .safetensors, like "
        "epochs/{epoch:02d}.safetensors (best.safetensors and last.safetensors are the run's own)"
    )
    sample = "checkpoints/{epoch:02d}.safetensors"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse()
        try:
            shown = fill_in(value, dict.fromkeys(placeholders(value), 0.5) | dict.fromkeys(COUNTED, 1))
        except ValueError:
            raise self.refuse() from None
        path = PurePosixPath(shown)
        plain = shown.isprintable() and not re.search(r"[{}\\]", shown) and str(path) == shown
        inside = not path.is_absolute() and not any(part.startswith(".") for part in path.parts)
        if not plain or not inside or path.suffix != ".safetensors" or shown in MODEL_FILES:
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"\.safetensors$"}


class SaveFreq(Kind):
    """epoch, or a number of batches."""

    rule = "epoch, or a number of batches ≥ 1"
    sample = "epoch"
    batches = Integer(1)

    def read(self, value: Any) -> str | int:
        if value == "epoch":
            return "epoch"
        if isinstance(value, str):
            raise self.refuse()
        return self.batches.read(value)

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": ["epoch"]}, self.batches.schema()]}


def placeholders(filepath: str) -> list[str]:
    """The names in braces."""
    return [match[1] for match in PLACEHOLDER.finditer(filepath)]


def fill_in(filepath: str, values: Mapping[str, float]) -> str:
    """The path with values in place of the names. Raises ValueError for a format that is none of a value."""
    return PLACEHOLDER.sub(lambda match: format(values[match[1]], match[2] or ""), filepath)


@CALLBACKS.register
class ModelCheckpoint(Monitor):
    """Save the model after each epoch, or after every `save_freq` batches (Keras ModelCheckpoint).

    `filepath` is relative to the run directory. With `save_best_only`, a model is saved only if `monitor` is better
    than ever before, and than `initial_value_threshold`. Of its files, the newest `max_to_keep` stay.
    """

    filepath: Annotated[str, FilePath()]
    save_best_only: bool = False
    save_weights_only: bool = False
    """Accepted without effect: a model file always has the weights and the spec."""
    save_freq: Annotated[str | int, SaveFreq()] = "epoch"
    initial_value_threshold: float | None = None
    max_to_keep: Annotated[int | None, Maybe(Integer(1))] = None

    def contradiction(self) -> str:
        """Only a model that is saved after some batches has a batch."""
        if self.by_epochs and "batch" in placeholders(self.filepath):
            return "{batch} in filepath requires a save_freq of batches, like 100; received epoch"
        return ""

    @property
    def by_epochs(self) -> bool:
        """Whether it saves after epochs, not batches."""
        return self.save_freq == "epoch"

    def metrics(self) -> Mapping[str, tuple[str, ...]]:
        named = tuple(name for name in placeholders(self.filepath) if name not in COUNTED)
        return {"monitor": (self.monitor,) if self.save_best_only else (), "filepath": named}

    @property
    def in_batches(self) -> bool:
        return not self.by_epochs

    def hooks(self, directions: Directions) -> Hooks:
        return _Saver(self, self.direction(directions))


class _Saver(Hooks):
    """Follows Keras, but an epoch without the metrics that it needs is not saved, where Keras saves it or fails."""

    def __init__(self, declaration: ModelCheckpoint, direction: Literal["min", "max"]) -> None:
        super().__init__()
        self.declaration, self.direction = declaration, direction
        self.state = {"best": declaration.initial_value_threshold, "files": []}

    def batch_done(self, context: "Context", event: "BatchDone") -> None:
        freq = self.declaration.save_freq
        if isinstance(freq, int) and context.step % freq == 0:
            self._save(context, {**event.sums.figures(), "epoch": event.epoch, "batch": event.batch})

    def epoch_done(self, context: "Context", figures: Mapping[str, float]) -> None:
        if self.declaration.by_epochs:
            self._save(context, figures)

    def _save(self, context: "Context", values: Mapping[str, float]) -> None:
        """Save the model if it is to be saved, and remove the files that are too many."""
        declared, files = self.declaration, self.state["files"]
        if any(name not in values for names in declared.metrics().values() for name in names):
            return
        if declared.save_best_only:
            if not self.improves(values[declared.monitor]):
                return
            self.state["best"] = values[declared.monitor]
        file = fill_in(declared.filepath, values)
        context.save_model(file, int(values["epoch"]))
        files[:] = [*(other for other in files if other != file), file]
        while declared.max_to_keep is not None and len(files) > declared.max_to_keep:
            context.remove_model(files.pop(0))

    def improves(self, value: float) -> bool:
        """Whether it is the best so far."""
        return self.declaration.improves(value, self.state["best"], self.direction)
