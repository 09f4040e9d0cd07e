"""What the modules behind `api.model.Model` use of it; they can't import it, because it imports them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cnncli.api.targets import Target
from cnncli.datasets.rescale import Rescale
from cnncli.spec.spec import Spec

if TYPE_CHECKING:
    from cnncli.datasets.dataset import Dataset
    from cnncli.datasets.images.decode import Form
    from cnncli.datasets.images.inputs import Input
    from cnncli.graph.network import Network
    from cnncli.layers.meaning import Meaning
    from cnncli.report.prediction.out_of_distribution import InputCheck
    from cnncli.report.prediction.outputs import Reader
    from cnncli.training.decisions.decision import Decision
    from cnncli.training.events import OnEvent
    from cnncli.training.prediction import Prediction
    from cnncli.training.runs.checkpoint import ModelFile


class Trained(Protocol):
    """A trained model; `Model` documents its members."""

    @property
    def target(self) -> Target: ...
    @property
    def file(self) -> "ModelFile": ...
    @property
    def path(self) -> Path: ...
    @property
    def spec(self) -> Spec: ...
    @property
    def classes(self) -> Sequence[str]: ...
    @property
    def meaning(self) -> "Meaning": ...
    @property
    def form(self) -> "Form | None": ...
    @property
    def kind(self) -> str: ...
    @property
    def rescale(self) -> Rescale: ...
    @property
    def output_shape(self) -> tuple[int, ...]: ...
    @property
    def decision(self) -> "Decision | None": ...
    @property
    def network(self) -> "Network": ...
    def read(self, data: str | None, *, offline: bool | None, on_event: "OnEvent") -> "tuple[Spec, Dataset]": ...
    def network_of(self, tta: str | Sequence[str] | None) -> "Network": ...
    def reader(self, *, raw: bool = False) -> "Reader": ...
    def stream(
        self,
        inputs: "Iterable[Input]",
        *,
        invert: bool = False,
        raw: bool = False,
        tta: str | Sequence[str] | None = None,
    ) -> "Iterator[Prediction]": ...
    def doubts(self, *, inverted: bool) -> "InputCheck": ...
