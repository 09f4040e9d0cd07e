"""Layers of a model and of another one's weights: which fit, by name or order, and shape; only shapes are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal

from cnncli.errors import CnncliError
from cnncli.graph.model import Model
from cnncli.layers.convolution import Conv2D
from cnncli.ops.ir import Shape

By = Literal["name", "order"]
MOST_NAMED = 5
"""Layers of a kind that a message names."""


@dataclass(frozen=True)
class Matched:
    """Names of layers. `loaded`: all their weights fit, with the layer of the file. `adapted`: those among them whose
    kernel is fitted to another number of channels, with both numbers. `unlike`: a weight differs in shape; that weight
    and both shapes. `missing`: the file lacks them. `unused`: only in the file.
    """

    loaded: dict[str, str] = field(default_factory=dict)
    adapted: dict[str, tuple[int, int]] = field(default_factory=dict)
    unlike: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        count = len(self.loaded) + len(self.unlike) + len(self.missing)
        parts = [f"{len(self.loaded)} of {count} layers with weights loaded"]
        parts += [f"{name} adapted from {old} to {new} channels" for name, (old, new) in self.adapted.items()]
        renamed = [f"{name} from {source}" for name, source in self.loaded.items() if name != source]
        unlike = [f"{name} ({why})" for name, why in self.unlike.items()]
        for what, names in (
            ("by order", renamed),
            ("initialized, because shapes differ", unlike),
            ("initialized, because the file has none", self.missing),
            ("only in the file", self.unused),
        ):
            if names:
                more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
                parts.append(f"{what}: {', '.join(names[:MOST_NAMED])}{more}")
        return "; ".join(parts)


def match(model: Model, places: Mapping[str, Shape], given: Mapping[str, Shape], by: By = "name") -> Matched:
    """Pair the layers of `places` with those of `given`: shapes of weights by name, in the order of the layers.

    A layer fits if it has the weights of the other with equal shapes; the first convolution may differ in the number of
    channels. Raises CnncliError if no layer fits.
    """
    wanted, there = _by_layer(places), _by_layer(given)
    result, first = Matched(), _first_convolution(model, places)
    sources = zip_longest(wanted, there) if by == "order" else ((name, name) for name in {**wanted, **there})
    for layer, source in sources:
        if layer not in wanted:
            result.unused.append(source)
        elif source not in there:
            result.missing.append(layer)
        else:
            _pair(layer, source, wanted[layer], dict(there[source]), result, is_first=layer == first)
    if not result.loaded:
        unknown = by == "name" and not result.unlike
        hint = "; if the names differ, `{file: …, by: order}` pairs layers by their order" if unknown else ""
        raise CnncliError(f"no layer's weights fit: {result}{hint}")
    return result


def adapts(kernel: Shape, place: Shape) -> bool:
    """Whether the shapes of two kernels (rows, columns, channels, filters) differ in the number of channels only."""
    return len(kernel) == 4 and kernel != place and (*kernel[:2], kernel[3]) == (*place[:2], *place[3:])


def _pair(
    layer: str, source: str, wanted: Mapping[str, Shape], found: dict[str, Shape], result: Matched, *, is_first: bool
) -> None:
    """Add to `result` whether a layer's weights fit."""
    channels = None
    if is_first and adapts(found.get("kernel", ()), wanted["kernel"]):
        channels = found["kernel"][2], wanted["kernel"][2]
        found["kernel"] = wanted["kernel"]
    if why := _difference(wanted, found):
        result.unlike[layer] = why
        return
    result.loaded[layer] = source
    if channels is not None:
        result.adapted[layer] = channels


def _by_layer(shapes: Mapping[str, Shape]) -> dict[str, dict[str, Shape]]:
    found: dict[str, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        layer, _, own = name.rpartition("/")
        found.setdefault(layer, {})[own] = tuple(shape)
    return found


def _first_convolution(model: Model, places: Mapping[str, Shape]) -> str | None:
    """The name of the model's first convolution, if it reads the channels of the images."""
    first = next((node.name for node in model.nodes if isinstance(node.layer, Conv2D)), None)
    return first if first is not None and places[f"{first}/kernel"][2] == model.input_shape[-1] else None


def _difference(wanted: Mapping[str, Shape], found: Mapping[str, Shape]) -> str:
    """The first weight that differs, and how."""
    for name in {**wanted, **found}:
        here, there = (side.get(name, "none") for side in (wanted, found))
        if here != there:
            return f"{name}: {here} here, {there} in the file"
    return ""
