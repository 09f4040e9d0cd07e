"""What a training is given: the contents of its spec, and where it starts and is saved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cnncli.datasets.dataset import Dataset
from cnncli.datasets.rescale import Rescale, image_scale
from cnncli.datasets.section import DataSection
from cnncli.graph.matching import By
from cnncli.graph.model import Model
from cnncli.graph.network import Network
from cnncli.training import class_weight
from cnncli.training.phases import Phase, Unfreezing, phases
from cnncli.training.sections import CompileSection, FitSection


@dataclass(frozen=True)
class Plan:
    """The contents of a spec, with its source: the YAML saved in the run directory and the JSON stored in model files.

    `base`: the folder that paths in `data` are relative to. `origin`: entries for environment.json on how the run was
    started. `unfreezing`: the layers of the model that are frozen at first.
    """

    name: str
    seed: int
    data: DataSection
    base: Path
    model: Model
    compile: CompileSection
    fit: FitSection
    text: str
    resolved: Mapping[str, object]
    origin: Mapping[str, object] = field(default_factory=dict)
    unfreezing: Unfreezing | None = None

    @property
    def rescale(self) -> Rescale:
        """What images are multiplied by, "auto", or something for each channel."""
        return image_scale(self.model, self.data)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the training."""
        return phases(self.model, self.unfreezing, self.fit.epochs, self.fit.initial_epoch)

    def overfitted_images(self, dataset: Dataset) -> int:
        """How many images `overfit_batches` trains on; 0 without it."""
        assert dataset.train is not None  # see read_data
        return min((self.fit.overfit_batches or 0) * self.fit.batch_size, len(dataset.train))

    def network(self, dataset: Dataset, threads: int) -> Network:
        """The network of the first phase."""
        return Network(
            *(self.phases[0].model, self.compile.loss),
            batch_size=self.fit.largest_batch,
            threads=threads,
            policy=self.compile.dtype_policy,
            weigh_positions=class_weight.weighs_pixels(
                self.fit.class_weight, self.data.targets, dataset.splits.values()
            ),
        )


@dataclass(frozen=True)
class Fitting:
    """A model file to start from of which only some layers need fit, paired with the model's `by` name or order."""

    file: Path
    by: By = "name"


@dataclass(frozen=True)
class Supervision:
    """A search's part in a training. `begins(run)`: called once the run can be resumed. `gives_up(figures)`: called
    after each epoch, when it is saved; returns why the training is pruned, or "" if it goes on.
    """

    begins: Callable[[Path], None]
    gives_up: Callable[[Mapping[str, float]], str]


@dataclass(frozen=True)
class RunOptions:
    """Start and output of a training.

    `resume`: the run to resume. `weights`: the model file to start from. `output`: the run directory; default: dated.
    `listed`: whether `cnncli runs` is told of it.
    """

    resume: Path | None = None
    weights: Path | None = None
    output: Path | None = None
    fitting: Fitting | None = None
    listed: bool = True
    supervision: Supervision | None = None
