"""What `init` decides, seen from what it is shown."""

from dataclasses import replace

import pytest
import yaml
from jsonschema import Draft202012Validator

from cnncli.datasets.inspect.inspect_source import SourceSummary
from cnncli.datasets.problems import Problem
from cnncli.datasets.sources.found import Listing, Sample
from cnncli.errors import UsageError
from cnncli.spec.init.networks import MODELS, network
from cnncli.spec.init.proposal import propose
from cnncli.spec.init.template import SCHEMA, template
from cnncli.spec.schema import schema
from cnncli.spec.spec import parse

VALIDATOR = Draft202012Validator(schema())


def folder(*, sizes=None, names=("cats", "dogs"), each=(20, 20), channels=3, several=False, own=(), problems=()):
    """A survey of a folder with `each` training images of each class; `own`: further splits that it names."""
    images = [Sample(f"{name}/{i}.png", (k,)) for k, name in enumerate(names) for i in range(each[k])]
    splits = dict.fromkeys(("train", *own), images)
    samples = {name: len(part) for name, part in splits.items()}
    listing = Listing(None, names, splits, several, (), ())
    counts = dict(zip(names, each, strict=True))
    sizes = sizes or {(480, 640): 40}
    return SourceSummary("folder", names, samples, sizes, channels, counts, several, problems, listing=listing)


def arrays(**about):
    about = {"classes": ("0", "1"), "samples": {"train": 100}, "sizes": {(28, 28): 100}, "channels": 1} | about
    return SourceSummary("arrays", **about)


@pytest.mark.parametrize(
    ("sizes", "size", "cropped"),
    [
        ({(28, 28): 9}, (28, 28), False),
        ({(10, 12): 9}, (10, 12), False),
        ({(128, 100): 9}, (128, 100), False),
        ({(480, 640): 9}, (96, 96), True),
        ({(400, 400): 9}, (96, 96), False),
        ({(60, 70): 5, (33, 40): 9, (300, 400): 5}, (48, 48), True),
        ({(20, 20): 5, (21, 22): 6}, (21, 21), False),
        ({(3000, 4000): 5, (4000, 3000): 4}, (128, 128), True),
        ({(100, 400): 5, (100, 500): 4}, (64, 256), True),
        ({(900, 300): 5}, (288, 96), False),
    ],
)
def test_the_size_follows_the_images(sizes, size, cropped):
    chosen = propose(folder(sizes=sizes), 1)
    assert (chosen.size, chosen.cropped) == (size, cropped)


@pytest.mark.parametrize("sizes", [{(7, 30): 4}, {(7, 7): 5, (20, 20): 4}])
def test_images_too_small_for_the_networks_are_refused(sizes):
    with pytest.raises(UsageError, match=r"images must be at least 8 × 8 for the networks of init; received 7 × "):
        propose(folder(sizes=sizes), 1)


@pytest.mark.parametrize(
    ("seen", "flipped"),
    [
        (folder(), True),
        (folder(channels=1), True),  # a grey photograph
        (folder(channels=1, sizes={(28, 28): 40}), False),  # a grey character, as it seems
        (folder(names=("3", "8")), False),
        (folder(names=("A", "b")), False),
        (folder(names=("turn_left", "go on")), False),
        (folder(names=("leftovers", "soup")), True),
        (arrays(channels=3), True),
        (arrays(), False),
    ],
)
def test_photographs_are_mirrored_and_characters_are_not(seen, flipped):
    assert propose(seen, 1).flipped == flipped


def test_classes_are_weighed_beyond_three_to_one():
    assert not propose(folder(each=(60, 20)), 1).balanced
    assert propose(folder(each=(61, 20)), 1).balanced
    assert not propose(folder(each=(90, 20), several=True), 1).balanced


@pytest.mark.parametrize(
    ("seen", "shares", "samples"),
    [
        (folder(), ["validation_split", "test_split"], {"train": 28, "validation": 6, "test": 6}),
        (folder(each=(20, 2)), ["validation_split"], {"train": 18, "validation": 4}),
        (folder(each=(20, 1)), ["validation_split", "test_split"], {"train": 15, "validation": 3, "test": 3}),
        (folder(each=(1, 1)), [], {"train": 2}),
        (folder(own=("test",)), ["validation_split"], {"train": 34, "validation": 6, "test": 40}),
        (folder(own=("validation", "test")), [], {"train": 40, "validation": 40, "test": 40}),
        (arrays(), ["validation_split"], {"train": 90, "validation": 10}),
        (
            arrays(ordered=True, counts={"0": 55, "1": 45, "2": 0}),
            ["validation_split", "stratified"],
            {"train": 89, "validation": 11},  # of 55 six, of 45 five
        ),
        (arrays(ordered=True, counts={"0": 99, "1": 1}), [], {"train": 100}),
        (arrays(samples={"train": 9}), [], {"train": 9}),
        (arrays(samples={"train": 50, "validation": 5}), [], {"train": 50, "validation": 5}),
    ],
)
def test_every_split_that_can_be_filled_is_there(seen, shares, samples):
    chosen = propose(seen, 1)
    assert (list(chosen.shares), chosen.samples) == (shares, samples)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "seen",
    [
        folder(each=(90, 20), channels=1, problems=[Problem("cats/1.png", "is broken")]),
        folder(several=True, own=("validation",)),
        arrays(ordered=True, levels=True, counts={"0": 50, "1": 50}),
        SourceSummary("made", ("a", "b"), {"train": 9}, {(32, 32): 9}, 3),
    ],
    ids=["rare, grey, broken", "several classes", "ordered floats", "made"],
)
def test_an_editor_takes_what_is_written_by_the_schema(seen, model):
    names = {"file": "own.yaml", "name": "own", "source": "own/", "command": "cnncli init"}
    text = template(seen, propose(seen, 1), model=model, **names)
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA}\n")
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text))) == []
    assert max(map(len, text.splitlines())) <= 120


SIZES = [(8, 8), (8, 40), (28, 28), (37, 50), (96, 96), (128, 128)]
NORMALIZED = MODELS.keys() - {"small", "vgg", "vgg16", "convnexttiny"}


@pytest.mark.parametrize(
    ("model", "size"), [(name, size) for name, choice in MODELS.items() for size in SIZES if min(size) >= choice.least]
)
def test_every_network_fits_every_size(model, size):
    lines = network(model, size, "{units: 3, activation: softmax}")
    shape = f"image_shape: [{size[0]}, {size[1]}, 3], classes: 3"
    head = (
        f"data: {{dataset: {{synthetic: {{{shape}}}}}}}\ncompile: {{optimizer: adam, loss: categorical_crossentropy}}\n"
    )
    spec = parse("\n".join([f"{head}model:", *lines]), "made.yaml")
    last = spec.model.nodes[-1].layer
    assert (last.units, last.activation.name) == (3, "softmax")
    normalized = [node for node in spec.model.nodes if type(node.layer).__name__ == "BatchNormalization"]
    assert all(node.layer.momentum == 0.9 for node in normalized)  # few batches an epoch may have to do
    assert bool(normalized) == (model in NORMALIZED or (model == "small" and min(size) >= 40))


def test_a_network_of_larger_images_enlarges_the_input_or_refuses():
    large = SourceSummary("folder", ("a", "b"), {"train": 40}, {(200, 200): 40}, 3, listing=folder().listing)
    assert (propose(large, 1).size, propose(large, 1, 71).size) == ((64, 64), (71, 71))
    with pytest.raises(UsageError, match=r"at least 71 × 71 .* received 60 × 60: choose another --model"):
        propose(replace(large, sizes={(60, 60): 40}), 1, 71)
