"""The spec that `cnncli init` writes for some data: what was decided, and a remark on what to try."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cnncli.spec.init.networks import network
from cnncli.spec.init.proposal import Proposal
from cnncli.spec.yaml.writer import scalar

if TYPE_CHECKING:
    from cnncli.datasets.inspect.inspect_source import Survey

SCHEMA = "spec.schema.json"
COLUMN = 33
"""Where remarks begin."""
SEED = 1
EPOCHS, FEWER_EPOCHS, MANY_IMAGES = 30, 15, 20_000
PATIENCE = 5


def template(seen: "Survey", chosen: Proposal, *, file: str, name: str, source: str, model: str, command: str) -> str:
    """The text. `file`: where it will be. `source`: the data as the spec names them. `command`: what gave it."""
    lines = [
        f"# yaml-language-server: $schema={SCHEMA}",
        f"# Written by `{command}`.",
        f"# Change what you like: `cnncli check {file}` tells everything that is wrong, and an editor does so",
        f"# while you type, by {SCHEMA} beside this file.",
        f"name: {scalar(name)}",
        _line(f"seed: {SEED}", "the same seed gives the same splits and the same weights, bit for bit"),
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


def _data(seen: "Survey", chosen: Proposal, source: str) -> Iterator[str]:
    yield "data:"
    yield _line(f"  dataset: {scalar(source)}", KINDS[seen.kind])
    if chosen.resized:
        height, width = chosen.size
        yield _line(
            f"  image_size: [{height}, {width}]", "height, width; more pixels show more, and cost in proportion"
        )
        if chosen.cropped:
            yield _line("  crop_to_aspect_ratio: true", "edges are cut off, so that nothing is distorted")
        if seen.channels == 1:
            yield _line("  color_mode: grayscale", "all images looked at are grey; the other mode is rgb")
    if seen.levels:
        yield _line("  rescale: 1/255", "the arrays hold floats of up to 255")
    by_class = seen.listing is not None or "stratified" in chosen.shares
    for key, value in chosen.shares.items():
        yield _line(f"  {key}: {scalar(value)}", SHARES[key, by_class])
    if chosen.skips:
        yield _line("  on_error: skip", f"leaves out files that can't be used, {len(seen.problems):,} as it seems;")
        yield _line("", "stop names them and trains nothing")
    if chosen.flipped:
        yield _line("  augment:", "of training images alone, at random")
        yield _line("    - RandomFlip: {mode: horizontal}", "take it out where left and right matter")
        yield "    # - RandomTranslation: {height_factor: 0.1, width_factor: 0.1}"
        yield "    # - RandomContrast: {factor: 0.2}"
    else:
        yield _line("  # augment:", "try it where training goes well and validation does not")
        yield "  #   - RandomTranslation: {height_factor: 0.1, width_factor: 0.1}"
        yield "  #   - RandomRotation: {factor: 0.04}"


def _model(seen: "Survey", chosen: Proposal, model: str) -> Iterator[str]:
    height, width = chosen.size
    activation = "sigmoid" if seen.several else "softmax"
    yield f"# Reads {height} × {width} × {seen.channels}. {TRY[model]}"
    yield "model:"
    if seen.kind == "made":
        yield f"  input_shape: [{height}, {width}, {seen.channels}]"
    *lines, last = network(model, chosen.size, f"{{units: {len(seen.classes)}, activation: {activation}}}")
    yield from lines
    yield _line(last, "one output a class" + (", each yes or no" if seen.several else ""))


def _compile(seen: "Survey") -> Iterator[str]:
    yield "compile:"
    yield _line("  optimizer: adam", "{Adam: {learning_rate: 0.0003}} where the loss jumps about, or with")
    yield _line("", "learning_rate: {CosineDecay: {initial_learning_rate: 0.001, decay_steps: 30 epochs}}")
    yield _line("  loss: binary_crossentropy" if seen.several else "  loss: categorical_crossentropy")
    yield _line("  metrics: [binary_accuracy]" if seen.several else "  metrics: [accuracy]")


def _fit(chosen: Proposal) -> Iterator[str]:
    epochs = FEWER_EPOCHS if chosen.samples["train"] > MANY_IMAGES else EPOCHS
    yield "fit:"
    watched = "validation" in chosen.samples
    yield _line(f"  epochs: {epochs}", "at most; training stops where it gets no better" if watched else "")
    yield _line(f"  batch_size: {chosen.batch_size}", "larger is faster, smaller often learns more in an epoch")
    if chosen.balanced:
        yield _line("  class_weight: balanced", "rare classes count as much as frequent ones; or {class: weight, …}")
    if watched:
        yield "  callbacks:"
        stopping = f"monitor: val_loss, patience: {PATIENCE}, restore_best_weights: true"
        yield f"    - EarlyStopping: {{{stopping}}}"


def _expect(seen: "Survey", chosen: Proposal) -> Iterator[str]:
    split = next((name for name in ("test", "validation") if name in chosen.samples), "")
    if split:
        figure = f"{'val' if split == 'validation' else split}_{'binary_' if seen.several else ''}accuracy"
        yield ""
        yield _line("# expect:", "what a run must reach; exit code 4 where it does not, for CI")
        yield f'#   {figure}: ">= 0.9"'


KINDS = {
    "folder": "relative to this file",
    "arrays": "relative to this file",
    "table": "relative to this file",
    "shipped": "bundled",
    "downloaded": "downloaded on first use, and kept in the user's cache folder",
    "made": "shapes on noise, drawn from a seed",
}
SHARES = {
    ("validation_split", True): "this share of each class is not trained on: it tells when to stop",
    ("test_split", True): "and this is for the last judgement, on images that decided nothing",
    ("validation_split", False): "the last tenth of the training rows is not trained on: it tells when to stop",
    ("stratified", True): "by the seed: the last rows of the arrays lack a class",
}
"""What is said of a share, by its key and whether the data are divided by class."""
TRY = {
    "small": "Try more filters, one stage or convolution more, or --model resnet20.",
    "vgg": "The network of configs/vgg_small.yaml; try fewer filters, or BatchNormalization after each Conv2D.",
    "resnet20": "The network of configs/resnet20.yaml; try more repeats of a stage, or twice the filters.",
    "mobilenet": "The network of configs/mobilenet_small.yaml; try more repeats of the last block, or wider ones.",
}
