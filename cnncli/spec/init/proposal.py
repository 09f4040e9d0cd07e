"""Chooses the settings of a new spec from a summary of the data."""

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from cnncli.datasets.describe import sizes
from cnncli.datasets.section import DataSection
from cnncli.datasets.sources.found import absent
from cnncli.datasets.splits import selection
from cnncli.errors import DeclarationError, UsageError

if TYPE_CHECKING:
    from cnncli.datasets.inspect.inspect_source import SourceSummary

SMALLEST = 8
"""Minimum side in pixels: the networks halve the smallest images three times."""
SIDES = ((28, 28), (32, 32), (48, 48), (64, 64), (256, 96), (512, 128))
"""(minimum shorter side of the images, side of the model's input)."""
HALVED = 4
"""Of which the sides of a U-Net's images are multiples."""
KEPT = 128
"""Images that all have the same size are not resized up to this side."""
SQUARE = 1.5
"""Images with a smaller aspect ratio are made square."""
IMBALANCED = 3
"""Ratio of the largest to the smallest class above which classes are weighted."""
SHARE = 0.15
"""Share of each class of a folder, for validation and for test each."""
TENTH = 0.1
"""Share of arrays for validation."""
FEWEST_TO_DIVIDE = 10
DIRECTED = ("left", "right")
BATCHES = ((100, 8), (1_000, 16), (20_000, 32))
"""(training images, batch size below that number): an epoch should have at least ten updates."""
LARGEST_BATCH = 64


@dataclass(frozen=True)
class Proposal:
    """`size`: (height, width) of the model's input. `resized`, `cropped`: whether images are resized and cropped to it.

    `shares`: validation_split, test_split and stratified of the spec. `samples`: the resulting images by split.
    """

    size: tuple[int, int]
    resized: bool
    cropped: bool
    flipped: bool
    balanced: bool
    skips: bool
    batch_size: int
    shares: dict[str, float] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)


def propose(seen: "SourceSummary", seed: int, least: int = SMALLEST) -> Proposal:
    """Choose the settings, for a network whose images have at least `least` pixels on a side.

    Raises UsageError if the images are smaller.
    """
    size = _size(seen, least)
    size = size if seen.masks is None else _halved(size)
    shares, samples = _listed_shares(seen, seed) if seen.listing is not None else _array_shares(seen)
    train = samples["train"]
    return Proposal(
        size=size,
        resized=seen.kind == "folder",
        cropped=any(abs(height * size[1] - width * size[0]) > max(size) for height, width in seen.sizes),
        flipped=_flipped(seen),
        balanced=seen.imbalance > IMBALANCED and not seen.several,
        skips=bool(seen.problems),
        batch_size=next((batch for count, batch in BATCHES if train < count), LARGEST_BATCH),
        shares=shares,
        samples=samples,
    )


def _size(seen: "SourceSummary", least: int) -> tuple[int, int]:
    """The common size of all images, or a size chosen from their median."""
    weighed = [size for size, count in seen.sizes.items() for _ in range(count)]
    shorter = int(median(min(size) for size in weighed))
    only = weighed[0] if len(seen.sizes) == 1 else None
    if (min(only) if only else shorter) < least:
        height, width = only or min(seen.sizes)
        whose, way = ("this network", "choose another --model")
        if least == SMALLEST:
            whose, way = "the networks of init", "write a spec with fewer pooling layers by hand"
        raise UsageError(f"images must be at least {least} × {least} for {whose}; received {height} × {width}: {way}")
    if only and (max(only) <= KEPT or seen.kind != "folder"):
        return only
    side = max((length for smallest, length in SIDES if shorter >= smallest), default=shorter)
    side = max(side, least)
    wide = median(width / height for height, width in weighed)
    if 1 / SQUARE <= wide <= SQUARE:
        return side, side
    longer = 8 * round(side * min(max(wide, 1 / wide), 4) / 8)
    return (side, longer) if wide > 1 else (longer, side)


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    """A size that a U-Net can halve and double again."""
    height, width = (side // HALVED * HALVED for side in size)
    return height, width


def _flipped(seen: "SourceSummary") -> bool:
    """Whether horizontal flips keep the class: assumed for photographs, not for characters and numbers."""
    if seen.masks is not None:
        return True
    named = seen.kind in ("folder", "downloaded")
    characters = named and all(len(name) == 1 or name.isdecimal() for name in seen.classes)
    directed = any(word in name.lower().replace("_", " ").split() for name in seen.classes for word in DIRECTED)
    small = median(min(size) for size in seen.sizes) <= 64
    return not (seen.values or characters or directed or (seen.channels == 1 and small))


def _listed_shares(seen: "SourceSummary", seed: int) -> tuple[dict[str, float], dict[str, int]]:
    """The missing splits of a folder or table: those that show every class, or all where a class has a single image."""
    assert seen.listing is not None
    listing = seen.listing
    lacking = [f"{name}_split" for name in ("validation", "test") if name not in seen.samples]
    choices = []
    for keys in (lacking, lacking[:1], []):
        shares = dict.fromkeys(keys, SHARE)
        asked = DataSection(
            dataset=".",
            validation_split=shares.get("validation_split", 0.0),
            test_split=shares.get("test_split", 0.0),
        )
        try:
            parts = selection.splits(listing, asked, seed)
        except DeclarationError:
            continue
        made = shares, {name: len(part) for name, part in parts.items()}
        if shares and not any(absent(parts[key.removesuffix("_split")], listing.classes) for key in shares):
            return made
        choices.append(made)
    return choices[0]


def _array_shares(seen: "SourceSummary") -> tuple[dict[str, float], dict[str, int]]:
    """A tenth for validation: the last rows, as in Keras, or stratified if those lack a class."""
    train = seen.samples["train"]
    if "validation" in seen.samples or train < FEWEST_TO_DIVIDE:
        return {}, dict(seen.samples)
    share = {"validation": TENTH}
    if not seen.ordered:
        return {"validation_split": TENTH}, sizes(seen.samples, share)
    counts = [count for count in seen.counts.values() if count]
    if min(counts) < 2:
        return {}, dict(seen.samples)
    kept = sum(sizes({"train": count}, share)["validation"] for count in counts)
    samples = {**seen.samples, "train": train - kept, "validation": kept}
    return {"validation_split": TENTH, "stratified": True}, samples
