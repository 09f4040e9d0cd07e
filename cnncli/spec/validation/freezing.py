"""`freeze` and `freeze_until` under `model`: layers declared as if they had `trainable: false`."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from cnncli.graph.model import Lowered, Node
from cnncli.hints import suggestion
from cnncli.spec.validation.sections import ModelSection
from cnncli.spec.yaml.problems import Problems
from cnncli.spec.yaml.tree import Place


def frozen(
    section: ModelSection, nodes: Sequence[Node], place: Callable[[str], Place], problems: Problems
) -> tuple[Node, ...]:
    """The nodes, those that the section freezes with `trainable: false`. `place`: of the value of a key."""
    chosen = _by_pattern(section, nodes, place, problems) | _before(section, nodes, place, problems)
    return tuple(
        Node(node.name, node.layer.replace(trainable=False), node.inputs) if node.name in chosen else node
        for node in nodes
    )


def check_trainable(section: ModelSection, lowered: Lowered, place: Callable[[str], Place], problems: Problems) -> None:
    """Check that freezing leaves a weight to train."""
    key = next((key for key in ("freeze", "freeze_until") if getattr(section, key)), None)
    if key is not None and not any(parameter.weight.trainable for parameter in lowered.parameters):
        problems.add(place(key), f"{key} leaves no layer to train: every layer with weights is frozen")


def _by_pattern(
    section: ModelSection, nodes: Sequence[Node], place: Callable[[str], Place], problems: Problems
) -> set[str]:
    """The names of layers with weights that `freeze` matches."""
    names = [node.name for node in nodes if _has_weights(node)]
    found = {pattern: [name for name in names if fnmatchcase(name, pattern)] for pattern in section.freeze}
    for pattern in (pattern for pattern, matched in found.items() if not matched):
        hint = suggestion(pattern, names) or f"; they are {', '.join(names[:5])}{', …' * (len(names) > 5)}"
        problems.add(place("freeze"), f"freeze: no layer with weights matches '{pattern}'{hint}")
    return {name for matched in found.values() for name in matched}


def _before(
    section: ModelSection, nodes: Sequence[Node], place: Callable[[str], Place], problems: Problems
) -> set[str]:
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
