"""The loss of a spec: one by name, or several, which are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cnncli.layers.declarations.declaration import Named, list_of
from cnncli.layers.declarations.field_types import Kind, Schema
from cnncli.layers.declarations.list_types import ListOf
from cnncli.layers.declarations.validation_errors import ErrorDetail, ValidationError
from cnncli.layers.loss import Loss
from cnncli.layers.losses import LOSSES
from cnncli.layers.meaning import Meaning

if TYPE_CHECKING:
    from cnncli.ops.builder import Builder
    from cnncli.ops.ir import Value


class LossSum(Loss):
    """Several losses of the same outputs, added."""

    kind = ""

    losses: Annotated[tuple[Loss, ...], list_of(LOSSES)]

    @property
    def parts(self) -> Sequence[Loss]:
        return self.losses

    @property
    def outputs(self) -> Meaning:  # type: ignore[override]  # of the parts, where others have a constant
        """The strictest meaning: what a loss of classes says of targets holds for all, then what one of labels says."""
        found = [part.outputs for part in self.losses]
        return next((meaning for meaning in (Meaning.CLASSES, Meaning.LABELS) if meaning in found), Meaning.NUMBERS)

    @property
    def activation(self) -> str:
        found = [part for part in self.losses if part.activation != "linear"]
        return next((part.activation for part in found if part.logits), found[0].activation if found else "linear")

    @property
    def void(self) -> int | None:
        return self.losses[0].void

    @property
    def of_logits(self) -> bool:
        return any(part.of_logits for part in self.losses)

    def contradiction(self) -> str:
        if len({part.void for part in self.losses}) > 1:
            return "ignore_class must be the same in all losses of the list: others would count void targets"
        if len({part.activation for part in self.losses if part.of_logits}) > 1:
            return "from_logits must mean the softmax or the sigmoid in all losses of the list"
        return ""

    def entry(self) -> Any:
        return [part.entry() for part in self.losses]

    def lower(self, build: Builder, prediction: Value, target: Value, weight: Value) -> tuple[Value, Value]:
        found = [part.lower(build, prediction, target, weight) for part in self.losses]
        total = build.add(*(loss for loss, _ in found)) if len(found) > 1 else found[0][0]
        return total, next((means for _, means in found if means is not prediction), prediction)

    def probabilities(self, build: Builder, prediction: Value) -> Value:
        found = (part.probabilities(build, prediction) for part in self.losses)
        return next((means for means in found if means is not prediction), prediction)


class OneOrSeveral(Kind):
    """A loss, or a list of losses, which are added."""

    one, several = Named(LOSSES), ListOf(Named(LOSSES), 1)
    rule = "a loss name or {name: arguments}, or a list of them, whose sum it is"

    @property
    def sample(self) -> Any:
        return self.one.sample

    def read(self, value: Any) -> Loss:
        if not isinstance(value, list | tuple):
            loss: Loss = LOSSES.parse(value) if not isinstance(value, LossSum) else value
            return loss
        for number, item in enumerate(value):
            if isinstance(item, Mapping) and "weight" in item and len(item) > 1:
                name = next(key for key in item if key != "weight")
                way = f"weight is an argument of the loss: write {{{name}: {{weight: {item['weight']}}}}}"
                raise ValidationError([ErrorDetail((number,), "sentence", way)])
        losses = self.several.read(value)
        try:
            return LossSum(losses=losses) if len(losses) > 1 else losses[0]
        except ValidationError as error:
            raise ValidationError(detail._replace(kind="sentence", owner=None) for detail in error.details) from None

    def schema(self) -> Schema:
        return {"anyOf": [self.one.schema(), self.several.schema()]}


LossField = Annotated[Loss, OneOrSeveral()]
