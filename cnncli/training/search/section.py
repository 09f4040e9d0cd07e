"""The `tune` section of a spec: its settings. The parameters, whose keys have dots, are in `space.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from cnncli.layers.declarations.declaration import Declaration, Nested
from cnncli.layers.declarations.field_types import Integer
from cnncli.layers.declarations.list_types import ListOf
from cnncli.training.search.space import Parameter

Direction = Literal["minimize", "maximize"]
FIGURES = ("epoch_seconds", "parameters")
"""What can be an objective besides metrics: the median of the seconds of an epoch, and the number of parameters."""
TUNED = ("data", "model", "compile", "fit")
"""Sections whose keys can be parameters."""


class Objective(Declaration):
    """What a trial is judged by."""

    metric: str
    """A metric such as val_accuracy, with the weights of the best epoch; parameters; or epoch_seconds."""
    direction: Literal["auto", "minimize", "maximize"] = "auto"


class TuneSection(Declaration):
    """How `cnncli tune` searches. A key with dots is a parameter, such as compile.optimizer.learning_rate."""

    trials: Annotated[int, Integer(1)] = 50
    """Trainings, counting those of earlier commands and of other machines."""
    sampler: Literal["tpe", "random", "grid", "cmaes"] = "tpe"
    """What chooses values: from earlier trials (tpe, cmaes), at random, or all combinations (grid)."""
    pruner: Literal["auto", "median", "hyperband", "none"] = "auto"
    """What stops bad trials early; auto: median, or none where there are several objectives."""
    objectives: Annotated[
        tuple[Objective, ...],
        ListOf(Nested(Objective, "a metric, or {metric: …, direction: …}", "metric"), 1, rule="a list of metrics"),
    ] = (Objective(metric="val_loss"),)
    seed: Annotated[int, Integer(0, 2**32 - 1)] = 0
    """Of the sampler; trials have the spec's own seed."""

    example: ClassVar[Mapping[str, Any]] = {"fit.batch_size": {"choice": [16, 32]}}
    """What a section needs at least."""


@dataclass(frozen=True)
class Search:
    """A valid `tune` section: settings, parameters, and the direction of each objective."""

    settings: TuneSection
    parameters: tuple[Parameter, ...]
    directions: tuple[Direction, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the objectives."""
        return tuple(objective.metric for objective in self.settings.objectives)

    @property
    def pruner(self) -> str:
        """The pruner, where auto is decided."""
        given = self.settings.pruner
        return given if given != "auto" else "median" if len(self.metrics) == 1 else "none"


def direction_of(objective: Objective, better: Mapping[str, str]) -> Direction:
    """The direction of an objective. `better`: "min" or "max" of metrics without prefix; "min" for those missing."""
    if objective.direction != "auto":
        return objective.direction
    return "maximize" if better.get(objective.metric.removeprefix("val_")) == "max" else "minimize"
