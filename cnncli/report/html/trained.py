"""What is known of a run: the input of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnncli.spec.spec import Spec

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset
    from cnncli.training.metrics.evaluation_record import Evaluation
    from cnncli.training.metrics.examples import Examples


@dataclass(frozen=True)
class Trained:
    """A run, as far as its files and its data could be read.

    `facts`: those of `runs --json`. `text`: its spec.yaml. `history`, `environment`: the contents of its files.
    `sizes`: images by split, from splits.json. `digest`: of the final weights; empty if there are none. `missing`: a
    sentence for everything that could not be read, with the reason. `unjudged`: why expectations are not checked.
    """

    facts: Mapping[str, Any]
    text: str
    history: Sequence[Mapping[str, Any]]
    environment: Mapping[str, Any]
    sizes: Mapping[str, int]
    spec: Spec | None
    digest: str
    missing: Sequence[str]
    unjudged: str
    dataset: "Dataset | None" = None
    evaluation: "Evaluation | None" = None
    examples: "Examples | None" = None
