"""Names of arrays: what people call the images, labels and weights of each split."""

import re
from collections.abc import Iterable, Mapping, Sequence

from cnncli.errors import DeclarationError
from cnncli.hints import few

IMAGES = ("x", "images", "image", "imgs", "img", "pixels", "data", "features", "inputs", "input")
LABELS = ("y", "labels", "label", "targets", "target", "masks", "mask")
WEIGHT = "sample_weight"
AXES = {
    **dict.fromkeys(IMAGES, "x"),
    **dict.fromkeys(LABELS, "y"),
    **dict.fromkeys((WEIGHT, "sample_weights"), WEIGHT),
}
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
KEYS = tuple(f"{axis}_{split}" for split in ("train", "val", "test") for axis in "xy")
"""What arrays are called in here: x_train, y_train, x_val, …"""
_AXIS, _SPLIT = "|".join(AXES), "|".join(SPLITS)
_NAME = re.compile(
    rf"(?P<axis>{_AXIS})([-_. /]?(?P<split>{_SPLIT}))?|(?P<first>{_SPLIT})([-_. /]set)?[-_. /]?(?P<last>{_AXIS})",
    re.IGNORECASE,
)


def key_of(name: str) -> str | None:
    """x_train for train_images, X_train, x, images, …: what an array is by its name; None where that does not say."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    axis, split = match["axis"] or match["last"], match["split"] or match["first"] or "train"
    return f"{AXES[axis.lower()]}_{SPLITS[split.lower()]}"


def by_key(place: object, names: Iterable[str]) -> dict[str, str]:
    """The names of arrays by what they are: x_train, y_train, …, or by themselves where they don't say.

    A name that is exactly such a key goes before all others. Raises DeclarationError for several that could be the
    same.
    """
    found, given = {}, list(names)
    for name in given:
        key = key_of(name)
        found[name] = key if key and (key == name or key not in given) else name
    return _reversed(place, found)


def _reversed(place: object, found: Mapping[str, str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name, key in found.items():
        if key in names:
            raise DeclarationError(
                f"{place}: {names[key]!r} and {name!r} could both be {key}: call the one that is meant {key!r}"
            )
        names[key] = name
    return names


def weights_note(names: Sequence[str]) -> str:
    """What is said of the arrays, or of the column, that have weights of images."""
    return f"{few(names, 3)}: weights of the images in the loss (`sample_weight: null` under `data` omits them)"


def notes(arrays: Mapping[str, str], used: Iterable[str]) -> list[str]:
    """What is said of arrays, their names by key, of which these keys are `used`: what they were taken for, and what is
    left over."""
    kept = set(used)
    taken = [f"{name} as {key}" for key, name in arrays.items() if key in kept and key != name]
    left = [name for key, name in arrays.items() if key not in kept]
    return [
        *([f"arrays are taken by their names: {', '.join(taken)}"] if taken else []),
        *([f"arrays that are not used: {', '.join(left[:12])}{', …' * (len(left) > 12)}"] if left else []),
    ]
