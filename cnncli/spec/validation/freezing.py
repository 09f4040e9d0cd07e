"""Freezing under `model`: layers as if they had `trainable: false`, for the whole training or until an epoch."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from cnncli.errors import CnncliError
from cnncli.graph.matching import match
from cnncli.graph.model import Lowered, Model, Node
from cnncli.hints import few, suggestion
from cnncli.ops.ir import Shape
from cnncli.spec.validation.sections import ModelSection
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Place
from cnncli.training.phases import Unfreezing
from cnncli.training.sections import FitSection

PlaceOf = Callable[[str], Place]
"""The place of the value of a key of `model`."""


def frozen(section: ModelSection, model: Model, place: PlaceOf, problems: Problems) -> tuple[Model, Unfreezing | None]:
    """The model with the layers frozen for the whole training, and those that are unfrozen, if any."""
    chosen = _by_pattern(section, model.nodes, place, problems) | _before(section, model.nodes, place, problems)
    at = section.unfreeze_at
    if at is None:
        return model.frozen(chosen), None
    layers = tuple(node.name for node in model.nodes if node.name in chosen and node.layer.settings()["trainable"])
    if not section.freeze and section.freeze_until is None:
        problems.add(
            place("unfreeze_at"),
            "unfreeze_at names the epoch from which on frozen layers train; none is frozen: add `freeze` or "
            "`freeze_until`",
        )
    elif chosen and not layers:
        problems.add(place("unfreeze_at"), "unfreeze_at: the frozen layers all have `trainable: false`, which stays")
    return model, Unfreezing(at.epoch, layers, at.rate_factor) if layers else None


def fine_tuned(
    section: ModelSection,
    model: Model,
    lowered: Lowered,
    file: Mapping[str, Shape] | None,
    *,
    initial: int,
    place: PlaceOf,
    problems: Problems,
) -> Unfreezing | None:
    """The layers that `fine_tune` freezes at first: those that are loaded, except the last one; None without it.

    `file`: the shapes of the weights of `section.weights`; None if they are not known, then all are taken to be loaded.
    `initial`: epochs before the first one that trains.
    """
    tune, weights = section.fine_tune, section.weights
    flaw = _misuse(section, file)
    if flaw is not None:
        problems.add(place(flaw[0]), flaw[1])
    if tune is None or weights is None or flaw is not None:
        return None
    places = {parameter.name: parameter.weight.shape for parameter in lowered.parameters}
    holders = {name.rpartition("/")[0] for name in places}
    trained = [node.name for node in model.nodes if node.name in holders and node.layer.settings()["trainable"]]
    try:
        loaded = match(model, places, places if file is None else file, weights.by).loaded
    except CnncliError as error:
        problems.add(place("weights"), f"weights: {error}")
        return None
    layers = tuple(name for name in trained[:-1] if name in loaded)
    if not layers:
        problems.add(place("fine_tune"), "fine_tune has no layer to freeze: none but the last is loaded and trains")
        return None
    return Unfreezing(initial + tune.freeze_epochs + 1, layers, tune.rate_factor)


def _misuse(section: ModelSection, file: Mapping[str, Shape] | None) -> tuple[str, str] | None:
    """The key and the message of a problem with the keys beside `fine_tune`; None if there is none."""
    if section.fine_tune is None:
        return None
    if section.unfreeze_at is not None:
        return "fine_tune", "fine_tune and unfreeze_at both say when frozen layers train: remove one"
    if section.weights is None:
        return "fine_tune", "fine_tune needs `weights` under `model`: the run or model file to start from"
    if file is not None and not file:
        return "weights", "fine_tune needs `weights` of a run or model file; received a spec"
    return None


def check_trainable(
    section: ModelSection, lowered: Lowered, unfreezing: Unfreezing | None, place: PlaceOf, problems: Problems
) -> None:
    """Check that freezing leaves a weight to train, in every epoch."""
    key = next((key for key in ("freeze", "freeze_until") if getattr(section, key)), None)
    later = unfreezing.layers if unfreezing is not None else ()
    trained = [p.name for p in lowered.parameters if p.weight.trainable and p.name.rpartition("/")[0] not in later]
    if key is not None and not trained:
        when = f" before epoch {unfreezing.epoch}" if unfreezing is not None else ""
        problems.add(place(key), f"{key} leaves no layer to train: every layer with weights is frozen{when}")


def check_epochs(
    section: ModelSection, unfreezing: Unfreezing | None, fit: FitSection, place: PlaceOf, problems: Problems
) -> None:
    """Check that frozen layers are unfrozen within the training, unless it has no epochs."""
    if unfreezing is None or not fit.trained_epochs or fit.epochs >= unfreezing.epoch:
        return
    if section.fine_tune is not None:
        trained, frozen = fit.trained_epochs, section.fine_tune.freeze_epochs
        received = f"freeze_epochs must be less than the epochs, {trained}; received {frozen}"
        problems.add(place("fine_tune"), f"fine_tune: {received}")
    else:
        received = f"at most the epochs, {fit.epochs}; received {unfreezing.epoch}"
        problems.add(place("unfreeze_at"), f"unfreeze_at must be {received}")


def _by_pattern(section: ModelSection, nodes: Sequence[Node], place: PlaceOf, problems: Problems) -> set[str]:
    """The names of layers with weights that `freeze` matches, by their names or classes."""
    kinds = {node.name: type(node.layer).__name__ for node in nodes if _has_weights(node)}
    names = list(kinds)
    found = {
        pattern: [name for name, kind in kinds.items() if pattern == kind or fnmatchcase(name, pattern)]
        for pattern in section.freeze
    }
    for pattern in (pattern for pattern, matched in found.items() if not matched):
        hint = suggestion(pattern, names) or f"; they are {few(names, 5)}"
        problems.add(place("freeze"), f"freeze: no layer with weights matches '{pattern}'{hint}")
    return {name for matched in found.values() for name in matched}


def _before(section: ModelSection, nodes: Sequence[Node], place: PlaceOf, problems: Problems) -> set[str]:
    """The names of layers with weights before the layer or block `freeze_until`."""
    until = section.freeze_until
    if until is None:
        return set()
    names = [node.name for node in nodes]
    first = next((i for i, name in enumerate(names) if name == until or name.startswith(f"{until}/")), None)
    if first is None:
        hint = suggestion(until, names)
        problems.add(place("freeze_until"), f"freeze_until: there is no layer or block named '{until}'{hint}")
    return {node.name for node in nodes[: first or 0] if _has_weights(node)}


def _has_weights(node: Node) -> bool:
    return "trainable" in node.layer.fields
