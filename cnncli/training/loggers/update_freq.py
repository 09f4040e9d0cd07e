"""How often losses and metrics are written (Keras' TensorBoard)."""

from typing import Any

from cnncli.layers.declarations.field_types import Kind, Schema

BATCH = "batch_"
"""Prefix of the metrics of batches."""


class UpdateFreq(Kind):
    """After each epoch, and also every so many batches."""

    rule = "epoch, batch, or an integer ≥ 1 (every so many batches)"
    sample = "epoch"

    def read(self, value: Any) -> str | int:
        if value in ("epoch", "batch") and isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.refuse()
        return value

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": ["epoch", "batch"]}, {"type": "integer", "minimum": 1}]}


def is_due(update_freq: str | int, step: int) -> bool:
    """Whether a batch, counted from 1, is one that `update_freq` names."""
    return update_freq != "epoch" and step % (1 if isinstance(update_freq, str) else update_freq) == 0
