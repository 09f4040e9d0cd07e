"""Weights of a file of weights alone, onto the layers of a spec: by name, by Keras' numbers of classes, or by order."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cnncli.errors import CnncliError
from cnncli.graph.model import Lowered, Model, lower
from cnncli.interop.incoming.draft import Array
from cnncli.interop.incoming.network import Imported, finite
from cnncli.ops.ir import Shape


@dataclass(frozen=True)
class FileLayer:
    """The weights of a layer in a file, in Keras' order. `name`: the layer's; `numbered`: that of its class, counted,
    if the file goes by it. `names`: of the weights, if the file has them.
    """

    name: str
    arrays: Sequence[Array]
    numbered: str = ""
    names: Sequence[str] = field(default=())

    def by_name(self) -> dict[str, Array]:
        """The weights by their names."""
        return dict(zip(self.names, self.arrays, strict=True)) if self.names else {}


Places = Mapping[str, Mapping[str, Shape]]
"""Shapes by layer and by weight."""


def onto(path: object, model: Model, found: Sequence[FileLayer], numbered: Mapping[str, str]) -> Imported:
    """The model with the weights of the file. `numbered`: its layers' names by class, counted, as Keras' files do.

    Raises CnncliError if no way of pairing layers fits all of them.
    """
    lowered = lower(model)
    places = _places(lowered)
    whys = []
    for how, pairs in _pairings(places, found, numbered):
        try:
            weights = _taken(path, places, pairs)
        except CnncliError as error:
            whys.append(f"  {how}: {str(error).removeprefix(f'{path}: ')}")
        else:
            return Imported(model, lowered, weights, {}, (f"Weights were paired {how}.",))
    counts = f"those of the file ({len(found):,}) and of the spec ({len(places):,})"
    raise CnncliError(f"{path}: layers with weights do not fit each other, {counts}:", *whys)


def _places(lowered: Lowered) -> Places:
    places: dict[str, dict[str, Shape]] = {}
    for parameter in lowered.parameters:
        layer, _, own = parameter.name.rpartition("/")
        places.setdefault(layer, {})[own] = parameter.weight.shape
    return places


def _pairings(
    places: Places, found: Sequence[FileLayer], numbered: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, FileLayer]]]:
    """Ways to pair the layers that the file has."""
    by_name = {layer.name: layer for layer in found}
    last = {layer.name.rpartition("/")[2]: layer for layer in found}
    if len(last) == len(found):
        by_name = {**last, **by_name}
    by_class = {layer.numbered: layer for layer in found}
    yield "by name", {name: by_name[name] for name in places if name in by_name}
    yield "by class", {name: by_class[numbered[name]] for name in places if numbered.get(name) in by_class}
    if not any(layer.numbered for layer in found):  # otherwise the file is sorted by names
        yield "by order", dict(zip(places, found, strict=False)) if len(found) == len(places) else {}


def _taken(path: object, places: Places, pairs: Mapping[str, FileLayer]) -> dict[str, Array]:
    """The weights by name. Raises CnncliError for the first layer that does not fit."""
    lacking = [name for name in places if name not in pairs]
    if lacking:
        raise CnncliError(
            f"{path}: {len(lacking):,} of {len(places):,} layers are not in the file, such as {lacking[0]}"
        )
    weights = {}
    for layer, shapes in places.items():
        given = pairs[layer].by_name()
        if set(given) != set(shapes):
            if len(pairs[layer].arrays) != len(shapes):
                raise CnncliError(f"{path}: {layer} has {len(shapes)} weights; the file has {len(pairs[layer].arrays)}")
            given = dict(zip(shapes, pairs[layer].arrays, strict=True))
        for own, shape in shapes.items():
            weights[f"{layer}/{own}"] = finite(path, f"{layer}/{own}", given[own], shape)
    return weights


def counted(kinds: Mapping[str, str]) -> dict[str, str]:
    """The names of layers by their kinds, counted in order: conv2d, conv2d_1, …"""
    used, found = Counter[str](), {}
    for name, kind in kinds.items():
        found[name] = f"{kind}_{used[kind]}" if used[kind] else kind
        used[kind] += 1
    return found
