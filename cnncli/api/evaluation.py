"""Evaluation of a model on a split of its data."""

from collections.abc import Sequence

from cnncli.api.calibration import compared, decision_for
from cnncli.api.trained import Trained
from cnncli.datasets.batches import Feed
from cnncli.datasets.dataset import Dataset
from cnncli.errors import CnncliError
from cnncli.graph.network import Network
from cnncli.spec.spec import Spec
from cnncli.training.metrics import examination
from cnncli.training.metrics.evaluation_record import Evaluation


def examine(model: Trained, spec: Spec, dataset: Dataset, tta: str | Sequence[str] | None) -> Evaluation:
    """What `Model.examine` returns and raises."""
    network = model.network_of(tta)
    split, feed = hold_out(model, dataset, network)
    found = examination.examine(network, feed, spec.compile.metrics, split, model.classes)
    return compared(found, decision_for(model, tta))


def hold_out(model: Trained, dataset: Dataset, network: Network) -> tuple[str, Feed]:
    """What `Model.hold_out` returns and raises."""
    split = "test" if dataset.test is not None else "validation"
    rows = dataset.splits.get(split)
    if rows is None:
        raise CnncliError(f"{dataset.source}: nothing to evaluate on: no test images and no validation images")
    return split, Feed.of(rows, model.rescale, network)
