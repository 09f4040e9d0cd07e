"""docs/keras.md: Keras' public names, each here or why not: `python -m tests.keras_page.page > docs/keras.md`.

The names are those of tests/fixtures/names.json, what is here is asked of the registries, and the deviations are those
of `deviations.json`, which `tests.keras_page.measure` writes.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnncli.datasets.augment.augmentation import Augmentation
from cnncli.datasets.section import DataSection
from cnncli.layers.declarations.declaration import Declaration
from cnncli.layers.vocabulary import layers
from cnncli.spec.validation.messages import REGISTRIES
from cnncli.spec.yaml.mistakes import ENTRIES, format_message, why_unsupported
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
    "callbacks": "callback",
}
"""Kinds of declarations by Keras' modules."""
TRACED = {
    "EarlyStopping": "traces: early_stopping.json",
    "ReduceLROnPlateau": "traces: reduce_lr_on_plateau.json, callbacks.json",
    **dict.fromkeys(("ModelCheckpoint", "LearningRateScheduler"), "traces: callbacks.json"),
    "SwapEMAWeights": "averages.json",
}
ELSEWHERE = {"RandAugment": "made of augmentations that are compared", **TRACED}
FITTING = {
    "sample_weight": "an array beside y_train or a column of a table; negative weights are refused: fit.json",
    "class_weight": "also balanced, and of masks, which Keras weighs by sample_weight only; refused for rows of "
    "several classes, of which Keras takes the first: class_weight.json, fit.json",
    "initial_epoch, steps_per_epoch": "as in Keras: fit.json",
    "validation_steps, validation_batch_size, validation_freq": "as in Keras: fit.json; the final weights are those of "
    "the best validated epoch",
    "BackupAndRestore's `save_freq`": "`fit.save_freq`, also a duration like 10m",
    "validation_split, sample_weight of validation data": "under `data`",
    "callbacks CSVLogger, TensorBoard": "the loggers csv and tensorboard (docs/logging.md); without `write_images`, "
    "`profile_batch` and `embeddings_freq`: csv_logger.json, tensorboard_messages.json",
    "verbose, steps_per_execution, auto_scale_loss": "have no effect",
    "jit_compile, run_eagerly": "every network is compiled before it runs",
    "loss_weights": "a factor of the loss, or one for each of a list of losses",
    "weighted_metrics": "must be empty: metrics count every image alike",
}
"""What of Keras' arguments of `compile` and `fit` is here."""
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
        "gradients of layers and losses, values of metrics, weights after each update of optimizers, learning rates, "
        "penalties with their gradients, and constrained weights. Of initializers that draw it is that of the mean, "
        "the standard deviation and the bounds of 200,000 values, in standard deviations: chance makes it about 5e-03. "
        "It is measured with the cases of a file in tests/fixtures; where there is none, nothing was measured "
        "by this page, though tests may compare the name otherwise.",
        "",
        f"Random graphs: {live['graphs']} networks were trained for an epoch here and in Keras from the same weights "
        f"(tests/interop/test_keras_live.py). Largest deviations: {far}. The last column says in how many of them a "
        "name was. Layers that draw random numbers draw none there, nor in the fixtures of layers. 21 more networks "
        "were further apart than 1e-5 in outputs or 1e-4 in the rest, and are not counted: 18 were traced to causes "
        "that are left out since (at the end), 1 to a fault here that is mended since (metrics at two thresholds), 1 "
        "diverges in Keras, too, and 1 has means of normalized numbers, which are 0 but for rounding errors.",
        "",
        "Then 500 random graphs in one go (seeds 0–499): 495 were as near. Of the other 5, 4 were traced to causes "
        "that are left out since, and 1 to a fault here that is mended since (gelu far below 0 had fewer digits): as "
        "drawn now, these 5 are as near, too.",
        "",
        *(line for title in KINDS for line in _table(title)),
        "## compile and fit",
        "",
        *(f"- {name}: {what}" for name, what in FITTING.items()),
        "",
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
    """Why it is not here, as the errors of a spec say it too."""
    return why_unsupported(name) or format_message(name, ENTRIES, example="{…}")


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
    compared = compared or ELSEWHERE.get(declared.__name__, "")
    return f"{compared} | {MEASURED['live']['in'].get(kind, {}).get(spelled, '')}"


if __name__ == "__main__":
    print(page(), end="")
