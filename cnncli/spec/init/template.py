"""The text of the spec that `cnncli init` creates for data, with comments on what to try."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cnncli.escaping import one_line
from cnncli.spec.init.networks import MODELS, UNET, network, unet
from cnncli.spec.init.proposal import Proposal
from cnncli.spec.yaml.writer import flow, scalar

if TYPE_CHECKING:
    from cnncli.datasets.inspect.inspect_source import SourceSummary

Network = Callable[[str], list[str]]
BASE = "The layers of --base with their weights, and a new last layer."
SCHEMA = "spec.schema.json"
COLUMN = 33
"""Column of the comments."""
SEED = 1
EPOCHS, FEWER_EPOCHS, MANY_IMAGES = 30, 15, 20_000
PATIENCE = 5


def template(
    seen: "SourceSummary",
    chosen: Proposal,
    *,
    file: str,
    name: str,
    source: str,
    model: str | Network,
    command: str,
) -> str:
    """The text. `file`: its path. `source`: the dataset in the spec. `model`: the network's name, or what gives the
    lines under `model:` for the arguments of the last layer. `command`: the command that creates it.
    """
    lines = [
        f"# yaml-language-server: $schema={SCHEMA}",
        f"# Written by `{command}`.",
        f"# Edit freely: `cnncli check {file}` reports every problem, and editors check and complete the spec",
        f"# as you type, using {SCHEMA} next to this file.",
        f"name: {scalar(name)}",
        _line(f"seed: {SEED}", "random seed: the same seed gives the same splits and weights, bit for bit"),
        *_data(seen, chosen, source),
        "",
        *_model(seen, chosen, model),
        "",
        *_compile(seen),
        "",
        *_fit(chosen),
        *_expect(seen, chosen),
    ]
    return "\n".join(lines) + "\n"


def _line(text: str, remark: str = "") -> str:
    return f"{text:{COLUMN - 1}} # {remark}" if remark else text


def _data(seen: "SourceSummary", chosen: Proposal, source: str) -> Iterator[str]:
    yield "data:"
    yield _line(f"  dataset: {scalar(source)}", KINDS[seen.kind])
    yield from (f"  # {note}" for note in seen.notes)
    yield from (f"  {key}: {flow(value)}" for key, value in seen.keys.items())
    if seen.masks is not None and seen.masks.palette:
        yield _line("  palette:", "the classes' colors; for their names write `name: [red, green, blue]`")
        yield from (f"    - {list(color)}" for color in seen.masks.palette)
    if chosen.resized:
        height, width = chosen.size
        yield _line(
            f"  image_size: [{height}, {width}]", "height, width; larger images show more detail but train slower"
        )
        if chosen.cropped:
            yield _line("  crop_to_aspect_ratio: true", "crop the edges instead of distorting images")
        if seen.channels == 1 and "color_mode" not in seen.keys:
            yield _line("  color_mode: grayscale", "all inspected images are grayscale; or rgb")
    if seen.levels:
        yield _line("  rescale: 1/255", "the arrays hold floats up to 255")
    unclassed = bool(seen.values) or seen.masks is not None
    by_class = seen.listing is not None or "stratified" in chosen.shares
    for key, value in chosen.shares.items():
        remark = SHARES[key, by_class]
        yield _line(
            f"  {key}: {scalar(value)}", remark.replace("of each class", "of the images") if unclassed else remark
        )
    if chosen.skips:
        yield _line("  on_error: skip", f"skip unusable files ({len(seen.problems):,} found); stop reports them")
        yield _line("", "and does not train")
    if chosen.flipped:
        yield _line("  augment:", "random changes to training images")
        yield _line("    - RandomFlip: {mode: horizontal}", "remove it if left and right matter")
        yield "    # - RandomTranslation: {height_factor: 0.1, width_factor: 0.1}"
        yield "    # - RandomContrast: {factor: 0.2}"
    elif seen.values:
        yield _line("  # augment:", "what does not change the values, if the model overfits")
        yield "  #   - RandomContrast: {factor: 0.2}"
    else:
        yield _line("  # augment:", "try it if the model overfits")
        yield "  #   - RandomTranslation: {height_factor: 0.1, width_factor: 0.1}"
        yield "  #   - RandomRotation: {factor: 0.04}"


def _model(seen: "SourceSummary", chosen: Proposal, model: str | Network) -> Iterator[str]:
    height, width = chosen.size
    activation = "" if seen.values else f", activation: {'sigmoid' if seen.several else 'softmax'}"
    given = MODELS[model].about if isinstance(model, str) else BASE
    about = given if seen.masks is None else UNET
    yield f"# Input: {height} × {width} × {seen.channels}. {about}"
    yield "model:"
    if seen.masks is not None:
        *lines, last = unet(f"{{filters: {len(seen.classes)}, kernel_size: 1, activation: softmax}}")
        yield from [*lines, _line(last, "one score per class, for each pixel")]
        return
    if seen.kind == "made" and isinstance(model, str):
        yield f"  input_shape: [{height}, {width}, {seen.channels}]"
    units = len(seen.values or seen.classes)
    output = f"{{units: {units}{activation}}}"
    *lines, last = network(model, chosen.size, output) if isinstance(model, str) else model(output)
    yield from lines
    if seen.values:
        yield _line(last, f"one output per value: {one_line(', '.join(seen.values))}")
        return
    yield _line(last, "one output per class" + (", each yes or no" if seen.several else ""))


def _compile(seen: "SourceSummary") -> Iterator[str]:
    yield "compile:"
    yield _line("  optimizer: adam", "{Adam: {learning_rate: 0.0003}} if the loss is unstable, or with")
    yield _line("", "learning_rate: {CosineDecay: {initial_learning_rate: 0.001, decay_steps: 30 epochs}}")
    if seen.masks is not None:
        loss = "sparse_categorical_crossentropy"
        if seen.masks.void is None:
            yield _line(f"  loss: {loss}", "the mean over all pixels")
        else:
            yield f"  loss: {{{loss}: {{ignore_class: {seen.masks.void}}}}} # pixels with this number are of no class"
        yield _line("  metrics: [accuracy, MeanIoU]", "the share of right pixels; overlap, the mean over classes")
        return
    if seen.values:
        yield _line(
            "  loss: mean_squared_error", "or mean_absolute_error, if some values are far off; in units in which"
        )
        yield _line("", "values are about -1 to 10, a model often trains better")
        yield "  metrics: [mean_absolute_error, r2_score]"
        return
    yield _line("  loss: binary_crossentropy" if seen.several else "  loss: categorical_crossentropy")
    yield _line("  metrics: [binary_accuracy]" if seen.several else "  metrics: [accuracy]")


def _fit(chosen: Proposal) -> Iterator[str]:
    epochs = FEWER_EPOCHS if chosen.samples["train"] > MANY_IMAGES else EPOCHS
    yield "fit:"
    watched = "validation" in chosen.samples
    yield _line(f"  epochs: {epochs}", "maximum; training stops early without improvement" if watched else "")
    yield _line(f"  batch_size: {chosen.batch_size}", "larger is faster, smaller often learns more per epoch")
    if chosen.balanced:
        yield _line("  class_weight: balanced", "rare classes count as much as frequent ones; or {class: weight, …}")
    if watched:
        yield "  callbacks:"
        stopping = f"monitor: val_loss, patience: {PATIENCE}, restore_best_weights: true"
        yield f"    - EarlyStopping: {{{stopping}}}"


def _expect(seen: "SourceSummary", chosen: Proposal) -> Iterator[str]:
    split = next((name for name in ("test", "validation") if name in chosen.samples), "")
    if split:
        judged = "r2_score" if seen.values else f"{'binary_' if seen.several else ''}accuracy"
        judged = judged if seen.masks is None else "mean_io_u"
        figure = f"{'val' if split == 'validation' else split}_{judged}"
        yield ""
        yield _line("# expect:", "metrics the run must reach, else exit code 4; for CI")
        yield f'#   {figure}: ">= 0.9"'


KINDS = {
    "folder": "relative to this file",
    "arrays": "relative to this file",
    "table": "relative to this file",
    "shipped": "bundled",
    "downloaded": "downloaded on first use to the user cache directory",
    "made": "synthetic shapes on noise, drawn from a seed",
}
SHARES = {
    ("validation_split", True): "share of each class for validation, used for early stopping",
    ("test_split", True): "share of each class for the final test",
    ("validation_split", False): "the last tenth of the training rows, used for early stopping",
    ("stratified", True): "split each class by the seed, because the last rows lack a class",
}
"""Comments on the splits, by key and whether the data are split by class."""
