"""What a model is calibrated on, and for what."""

import os
from collections.abc import Sequence
from pathlib import Path

from cnncli.datasets.dataset import Dataset
from cnncli.errors import CnncliError, UsageError
from cnncli.training.decisions.costs import read_costs
from cnncli.training.decisions.decision import UNKNOWN
from cnncli.training.decisions.fit import Wishes
from cnncli.training.metrics.thresholds import Want


def held_out(dataset: Dataset, *, given: bool) -> str:
    """The split to calibrate on: never one of training or test; data that were `given` may be without named splits,
    and are then used as a whole. Raises CnncliError if there is none.
    """
    if dataset.validation is not None:
        return "validation"
    if given and dataset.train is None and dataset.test is not None:
        return "test"
    raise CnncliError(
        f"{dataset.source}: no validation images to calibrate on; name others with --data, images that the model was "
        "not trained on, or train with data.validation_split"
    )


def wished(
    kind: str, names: Sequence[str], thresholds: str | None, unknown: str | None, costs: str | os.PathLike[str] | None
) -> Wishes:
    """The wishes that fit a model of this kind with these classes. Raises UsageError for others."""
    if not kind:
        raise UsageError("calibrate needs a model whose outputs are the probabilities of classes or labels of an image")
    if costs is not None and (thresholds or unknown):
        raise UsageError("--costs decides alone: it takes neither --thresholds nor --unknown")
    if kind == "labels" and (unknown or costs is not None):
        raise UsageError("--unknown and --costs need one class per image; for labels, give --thresholds")
    if UNKNOWN in names and (unknown or (thresholds and kind == "classes")):
        raise UsageError("the model has a class named 'unknown': an unknown answer can't be told from it")
    return Wishes(
        Want.parse(thresholds, "--thresholds") if thresholds else None,
        Want.parse(unknown, "--unknown", ("precision",)) if unknown else None,
        None if costs is None else read_costs(Path(costs), names),
        "" if costs is None else os.fspath(costs),
    )
