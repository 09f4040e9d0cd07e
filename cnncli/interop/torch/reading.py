"""State dicts of torchvision's networks, in safetensors → drafts."""

from collections.abc import Mapping
from pathlib import Path

from cnncli.errors import UsageError
from cnncli.interop.incoming import tensors
from cnncli.interop.incoming.draft import MOST_REFUSALS, Array, Draft, Refusals, UnsupportedError
from cnncli.interop.torch.state import State, floats
from cnncli.interop.torch.torchvision import NETWORKS

SIDE = 224
PREPARED = {
    "rescale": "auto",
    "normalize": {"mean": [0.485, 0.456, 0.406], "variance": [0.052441, 0.050176, 0.050625]},
}
"""How torchvision's weights were trained: bytes divided by 255, and normalized by ImageNet's channels."""
UNKNOWN = (
    "has weights alone, and their names are of none of torchvision's {}: say whose with --spec SPEC, a spec with the "
    "same layers"
)


def read(path: Path, size: tuple[int, int] | None) -> tuple[Draft, Refusals]:
    """The draft of a network that its weights' names tell. Raises UsageError for others, CnncliError for a bad file."""
    return draft(path, tensors.read(path), size)


def draft(path: object, arrays: Mapping[str, Array], size: tuple[int, int] | None) -> tuple[Draft, Refusals]:
    """The draft of the network with these weights."""
    weights = floats({name.removeprefix("module."): array for name, array in arrays.items()})
    name = next((name for name, (_, known) in NETWORKS.items() if known <= set(weights)), None)
    if name is None:
        raise UsageError(f"{path}: {UNKNOWN.format(', '.join(NETWORKS))}")
    state = State(weights)
    try:
        NETWORKS[name][0](state)
    except UnsupportedError as error:
        raise UsageError(f"{path}: is no {name} of torchvision: {error}") from None
    if state.weights:
        left = ", ".join(list(state.weights)[:MOST_REFUSALS])
        raise UsageError(f"{path}: is no {name} of torchvision: it has no place for {left}")
    height, width = size or (SIDE, SIDE)
    note = f"Recognized as torchvision's {name} by the names of its weights."
    return Draft((height, width, 3), state.entries, notes=[note], data=PREPARED), Refusals()
