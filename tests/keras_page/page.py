"""docs/keras.md: Keras' public names, each here or why not: `python -m tests.keras_page.page > docs/keras.md`.

The names are those of tests/fixtures/names.json, what is here is asked of the registries, and the deviations are those
of `deviations.json`, which `tests.keras_page.measure` writes.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnncli.datasets.augment.augmentation import Augmentation
from cnncli.datasets.section import DataSection
from cnncli.layers.declarations.declaration import Declaration
from cnncli.layers.vocabulary import layers
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.yaml.mistakes import ENTRIES, REASONS, format_message
from tests.interop.random_graphs import LEFT_OUT

HERE = Path(__file__).parent
NAMES = json.loads((HERE.parent / "fixtures" / "names.json").read_text(encoding="utf-8"))
MEASURED = json.loads((HERE / "deviations.json").read_text(encoding="utf-8"))
KINDS = {
    "layers": "layer",
    "activations": "activation",
    "initializers": "initializer",
    "regularizers": "regularizer",
    "constraints": "constraint",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "metrics": "metric",
}
"""Kinds of declarations by Keras' modules."""
LATER = "not in this version"
AUGMENTS = "is an augmentation"
"""What the hint of an entry says of augmentations, of which those that are here are found."""
BASES = "Layer|Wrapper|Loss|Optimizer|Metric|LearningRateSchedule|Initializer|Regularizer|Constraint"
WHY_NOT = (
    (rf"^({BASES})$", "a base class, for code"),
    (r"^(get|serialize|deserialize)$", "a function of Python, no activation"),
    (r"1D(Transpose)?$", "it is of sequences: inputs are images"),
    (r"3D(Transpose)?$", "it is of volumes: inputs are images"),
    (r"LSTM|GRU|RNN|^Bidirectional$|^TimeDistributed$|Attention$|^Masking$", "it is of sequences: inputs are images"),
    (r"Embedding$|^TextVectorization$|Lookup$|Hash|^CategoryEncoding$|^Discretization$", "it is of text or categories"),
    (r"Spectrogram$", "it is of sounds"),
    (r"^(FlaxLayer|JaxLayer|TFSMLayer|TorchModuleWrapper|Pipeline)$", "it wraps other code, which a spec never holds"),
    (r"^MaxNumBoundingBoxes$", "it is of bounding boxes, which are no targets here"),
    (r"^OneHot(Mean)?IoU$", "IoU and MeanIoU take rows and class numbers alike"),
    (r"^STFT$", "it is of sounds"),
    (r"^EinsumDense$", "Dense and Conv2D with kernels of 1 × 1 compute its products of images"),
)
"""Why names that match are not here, besides `REASONS`."""
IMPLIED = {"name", "dtype", "x", "data_format"}
"""Arguments that are no difference: the reference page has them."""


def page() -> str:
    """The whole page in Markdown."""
    live = MEASURED["live"]
    far = ", ".join(f"{what} {value:.0e}" for what, value in live["apart"].items())
    lines = [
        "# Keras' vocabulary",
        "",
        "Made by `python -m tests.keras_page.page`; do not edit.",
        "",
        f"Public names of Keras {NAMES['made_with']['keras']}, and what of them is here. A deviation is the largest "
        "difference from Keras over the largest number of the array (over 1 where all are smaller), of outputs and "
        "gradients of layers and losses, values of metrics, weights after each update of optimizers, and learning "
        "rates. It is measured with the cases of a file in tests/fixtures; where there is none, nothing was measured "
        "by this page, though tests may compare the name otherwise.",
        "",
        f"Random graphs: {live['graphs']} networks were trained for an epoch here and in Keras from the same weights "
        f"(tests/interop/test_keras_live.py). Largest deviations: {far}. The last column says in how many of them a "
        "name was. Layers that draw random numbers draw none there.",
        "",
        *(line for title in KINDS for line in _table(title)),
        "## Left out of the random graphs",
        "",
        *(f"- {name}: {why}" for name, why in LEFT_OUT.items()),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _table(title: str) -> Iterator[str]:
    entries: Mapping[str, Any] = NAMES[title]
    found = sum(here(title, name) is not None for name in entries)
    yield from (f"## {title.capitalize()}", "", f"{found} of {len(entries)} are here.", "")
    yield from ("| Keras | here | compared with: cases, largest deviation | graphs |", "|---|---|---|---:|")
    for name, entry in entries.items():
        names = ", ".join(f"`{each}`" for each in (name, *entry["aliases"]))
        declared = here(title, name)
        if declared is None:
            yield f"| {names} | no: {why_not(name)} | | |"
        else:
            yield f"| {names} | {_arguments(declared, entry['arguments'])} | {_cases(title, declared)} |"
    yield ""


def here(title: str, name: str) -> type[Declaration] | None:
    """The declaration of a name of Keras, an augmentation among its layers too, or None."""
    assert layers() and DataSection  # both fill registries
    kinds = (KINDS[title], "augmentation") if title == "layers" else (KINDS[title],)
    return next((found for kind in kinds if (found := REGISTRIES[kind].find(name)) is not None), None)


def why_not(name: str) -> str:
    """Why it is not here, in one line."""
    said = next((reason for pattern, reason in WHY_NOT if re.search(pattern, name)), "")
    entry = format_message(name, ENTRIES, example="{…}")
    return REASONS.get(name) or said or ("" if AUGMENTS in entry else entry) or LATER


def _arguments(declared: type[Declaration], theirs: list[str]) -> str:
    place = ", under `augment`" if issubclass(declared, Augmentation) else ""
    known = {*declared.fields, *getattr(declared, "ignored", ()), *IMPLIED}
    without = [f"`{name}`" for name in theirs if name not in known]
    return f"yes{place}" + (f", without {', '.join(without)}" if without else "")


def _cases(title: str, declared: type[Declaration]) -> str:
    kind = "augmentation" if issubclass(declared, Augmentation) else KINDS[title]
    spelled = REGISTRIES[kind].spell(declared.__name__) if kind == "activation" else declared.__name__
    files = MEASURED["fixtures"].get(kind, {}).get(spelled, {})
    compared = "; ".join(f"{file}: {count}, {far:.0e}" for file, (count, far) in files.items())
    return f"{compared} | {MEASURED['live']['in'].get(kind, {}).get(spelled, '')}"


if __name__ == "__main__":
    print(page(), end="")
