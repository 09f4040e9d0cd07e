"""What both stores of MLflow do with a run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
TAGS = {"mlflow.source.name": "cnncli train", "mlflow.source.type": "LOCAL"}


class Point(NamedTuple):
    """A value of a metric; `time` in milliseconds."""

    key: str
    value: float
    step: int
    time: int


@dataclass
class Known:
    """What a run has: the names of its parameters, and the last step of each metric."""

    parameters: set[str] = field(default_factory=set)
    steps: dict[str, int] = field(default_factory=dict)


class Store(ABC):
    """A place for runs, with one that is written. Errors are the caller's."""

    remote: ClassVar[bool]
    """Whether it may let one wait."""
    shown: str
    """Its address, without credentials."""

    def __init__(self) -> None:
        self.known = Known()

    @abstractmethod
    def start(self, experiment: str, name: str, time: int) -> str:
        """Make a run, which begins at a time; return its id."""

    @abstractmethod
    def resume(self, run: str) -> bool:
        """Go on with a run; False if there is none."""

    @abstractmethod
    def artifact(self, name: str, content: bytes | Path) -> None:
        """Store a file."""

    @abstractmethod
    def finish(self, status: Status, time: int) -> None:
        """Record how the run ended."""

    @abstractmethod
    def write_points(self, points: Sequence[Point]) -> None:
        """Write values of metrics."""

    @abstractmethod
    def write_parameters(self, parameters: Mapping[str, str]) -> None:
        """Write parameters, which can't be changed."""

    def log(self, points: Sequence[Point]) -> None:
        """Write the values that are not there yet: those that a resumed run has trained again are the same."""
        steps = self.known.steps
        fresh = [point for point in points if point.step > steps.get(point.key, -1)]
        if fresh:
            self.write_points(fresh)
            steps.update((point.key, point.step) for point in fresh)

    def describe(self, parameters: Mapping[str, str]) -> None:
        """Write the parameters that are not there yet."""
        fresh = {name: value for name, value in parameters.items() if name not in self.known.parameters}
        if fresh:
            self.write_parameters(fresh)
