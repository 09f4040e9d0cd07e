"""Test-time augmentation against a naive twin: each view drawn with loops, and turned back."""

import itertools

import numpy as np
import pytest

from cnncli.errors import UsageError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.layers.loss_sum import OneOrSeveral
from cnncli.layers.meaning import Meaning
from cnncli.layers.vocabulary import LAYERS
from cnncli.training.tta import AveragedNetwork, View, views

SIZE = 6
CONV = {"Conv2D": {"filters": 3, "kernel_size": 3, "padding": "same", "activation": "relu"}}


def chain(*entries, shape=(SIZE, SIZE, 2)):
    names = [INPUT, *(f"layer{number}" for number in range(len(entries)))]
    layers = [LAYERS.parse(entry) for entry in entries]
    return Model(shape, tuple(Node(*node) for node in zip(names[1:], layers, [(n,) for n in names[:-1]], strict=True)))


def dense(units, activation):
    return chain(CONV, "Flatten", {"Dense": {"units": units, "activation": activation}})


def maps(filters, activation):
    return chain(CONV, {"Conv2D": {"filters": filters, "kernel_size": 1, "activation": activation}})


KINDS = {
    "classes": (dense(3, "softmax"), "categorical_crossentropy", Meaning.CLASSES),
    "logits": (dense(3, "linear"), {"categorical_crossentropy": {"from_logits": True}}, Meaning.CLASSES),
    "choice": (dense(1, "sigmoid"), "binary_crossentropy", Meaning.CHOICE),
    "labels": (dense(2, "sigmoid"), "binary_crossentropy", Meaning.LABELS),
    "mask": (maps(1, "sigmoid"), "binary_crossentropy", Meaning.MASK),
    "segments": (maps(3, "softmax"), "categorical_crossentropy", Meaning.MASK),
    "segments of logits": (maps(3, "linear"), {"categorical_crossentropy": {"from_logits": True}}, Meaning.MASK),
    "sum of losses": (maps(3, "softmax"), ["categorical_crossentropy", {"dice": {"weight": 0.5}}], Meaning.MASK),
    "squares": (maps(1, "linear"), "mean_squared_error", Meaning.MASK),
}


def network_of(kind, names=None, count=5):
    """A network of this kind, averaging over the views if some are named, with fixed weights and inputs."""
    model, loss, means = KINDS[kind]
    loss = OneOrSeveral().read(loss)
    if names is None:
        network = Network(model, loss, batch_size=count + 1, threads=2)
    else:
        outputs = network_of(kind, count=count).targets
        (shape,) = (array.shape[1:] for array in outputs.values())
        found = views(names, means, model.input_shape, shape)
        network = AveragedNetwork(found, model, loss, batch_size=count + 1, threads=2)
    network.initialize(1)
    random = np.random.default_rng(2)
    network.inputs[:count] = random.normal(size=(count, *model.input_shape))
    (targets,) = network.targets.values()
    drawn = random.random(targets[:count].shape)
    targets[:count] = drawn.argmax(-1)[..., None] == np.arange(drawn.shape[-1]) if drawn.shape[-1] > 1 else drawn > 0.5
    return network


def one(mapping):
    (value,) = mapping.values()
    return value


def probabilities(network, images):
    network.inputs[: len(images)] = images
    network.predict(len(images))
    return one(network.probabilities)[: len(images)].astype(np.float64)


def moved(image, down, right):
    """A loop over the pixels: each takes its value from where it was, or from the nearest edge."""
    out = np.empty_like(image)
    for row in range(len(image)):
        for column in range(len(image[0])):
            out[row, column] = image[
                min(max(row - down, 0), len(image) - 1), min(max(column - right, 0), len(image[0]) - 1)
            ]
    return out


def naive(network, names, images, *, spatial):
    """The mean over every combination, one image at a time."""
    steps = {
        "rot90": range(4),
        "vflip": [False, True],
        "flip": [False, True],
        "shift": [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)],
    }
    ways = [steps[name] if name in names else [steps[name][0]] for name in ("rot90", "vflip", "flip", "shift")]
    means = []
    for image in images:
        seen = []
        for turns, vertical, horizontal, (down, right) in itertools.product(*ways):
            view = np.rot90(image, turns)
            view = np.flipud(view) if vertical else view
            view = np.fliplr(view) if horizontal else view
            found = probabilities(network, moved(view, down, right)[None])[0]
            if spatial:
                placed = np.full(found.shape, np.nan)
                for row, column in np.ndindex(found.shape[:2]):
                    if 0 <= row + down < SIZE and 0 <= column + right < SIZE:
                        placed[row, column] = found[row + down, column + right]
                placed = np.fliplr(placed) if horizontal else placed
                placed = np.flipud(placed) if vertical else placed
                found = np.rot90(placed, -turns)
            seen.append(found)
        means.append(np.nanmean(seen, 0))
    return np.array(means)


@pytest.mark.parametrize("names", [["flip"], ["shift"], ["rot90"], ["flip", "shift"], ["vflip", "rot90", "shift"]])
@pytest.mark.parametrize(
    "kind", ["classes", "logits", "choice", "labels", "mask", "segments", "segments of logits", "sum of losses"]
)
def test_the_probabilities_are_the_mean_over_the_views_turned_back(kind, names):
    plain, averaged = network_of(kind), network_of(kind, names)
    images = plain.inputs[:5].copy()
    expected = naive(plain, names, images, spatial=KINDS[kind][2] is Meaning.MASK)
    found = probabilities(averaged, images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert (averaged.inputs[:5] == images).all()
    assert (probabilities(averaged, images) == found).all()


def cross_entropy(kind, p, targets):
    if kind in ("choice", "labels", "mask"):
        terms = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(-1)
    elif kind == "squares":
        terms = ((p - targets) ** 2).mean(-1)
    else:
        terms = -(targets * np.log(p)).sum(-1)
    dice = 1 - 2 * (p * targets).sum() / (p.sum() + targets.sum()) if kind == "sum of losses" else 0
    return terms.reshape(len(p), -1).mean(1) + 0.5 * dice


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_are_those_of_the_mean_and_predictions_mean_it(kind):
    averaged = network_of(kind, ["flip", "shift"])
    averaged.evaluate(5)
    p = one(averaged.probabilities)[:5].astype(np.float64)
    targets = one(averaged.targets)[:5].astype(np.float64)
    np.testing.assert_allclose(averaged.losses[:5], cross_entropy(kind, p, targets), rtol=1e-5)
    given = one(averaged.predictions)[:5].astype(np.float64)
    if "logits" in kind:
        given = np.exp(given) / np.exp(given).sum(-1, keepdims=True)
    np.testing.assert_allclose(given, p, rtol=1e-5)
    averaged.predict(5)
    assert (one(averaged.probabilities)[:5] == p).all()


@pytest.mark.parametrize("kind", ["classes", "logits", "choice", "segments", "mask", "sum of losses", "squares"])
def test_a_view_that_is_the_image_itself_changes_nothing(kind):
    """With the image alone, and of symmetric images flipped: what the network gives by itself."""
    plain = network_of(kind)
    plain.evaluate(5)
    p, losses = one(plain.probabilities)[:5].copy(), plain.losses[:5].copy()
    model, loss, _ = KINDS[kind]
    alone = AveragedNetwork([View()], model, OneOrSeveral().read(loss), batch_size=6, threads=2)
    alone.load(plain.tensors())
    alone.inputs[:], one(alone.targets)[:] = plain.inputs, one(plain.targets)
    alone.evaluate(5)
    assert (one(alone.probabilities)[:5] == p).all()
    np.testing.assert_allclose(alone.losses[:5], losses, rtol=1e-5)
    if len(p.shape) == 2:
        images = plain.inputs[:5] + plain.inputs[:5, :, ::-1]
        assert (probabilities(network_of(kind, ["flip"]), images) == probabilities(plain, images)).all()


def test_views_are_every_combination_once_and_the_image_itself_first():
    def of(names, shape=(32, 32, 1)):
        return views(names, Meaning.CLASSES, shape, (3,))

    assert of("flip") == [View(), View(flip=True)]
    assert [(one.down, one.right) for one in of("shift")] == [(0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)]
    assert [(one.down, one.right) for one in of("shift", (8, 64, 3))] == [(0, 0), (1, 0), (-1, 0), (0, 4), (0, -4)]
    assert len(of("flip,shift")) == len(of([" flip", "shift"])) == 10
    assert len(of("flip,vflip")) == len(of("rot90")) == 4
    assert len(of("flip,vflip,rot90")) == len(of("flip,rot90")) == 8
    assert len(of("flip,vflip", (1, 1, 1))) == 1
    assert of("flip,vflip,rot90,shift")[0] == View()


@pytest.mark.parametrize(
    ("names", "means", "inputs", "outputs", "said"),
    [
        (
            "flp",
            Meaning.CLASSES,
            (8, 8, 1),
            (3,),
            "--tta must name flip, vflip, rot90, shift; received 'flp'; did you ",
        ),
        ("", Meaning.CLASSES, (8, 8, 1), (3,), "--tta must name flip, vflip, rot90, shift; received ''"),
        (
            "flip",
            Meaning.IMAGE,
            (8, 8, 1),
            (8, 8, 1),
            "--tta averages probabilities; this model's outputs are the image",
        ),
        ("flip", Meaning.NUMBERS, (8, 8, 1), (2,), "--tta averages probabilities; this model's outputs are numbers"),
        ("flip", Meaning.CLASSES, (8,), (3,), "--tta needs a model of images; this one's input has the shape (8,)"),
        ("rot90", Meaning.CLASSES, (8, 9, 1), (3,), "--tta rot90 needs square images; the model's are 8 × 9"),
        ("shift", Meaning.MASK, (8, 8, 1), (4, 4, 1), "--tta shift needs masks of the images' size; the model's are "),
    ],
)
def test_views_without_a_meaning_are_refused_in_one_line(names, means, inputs, outputs, said):
    with pytest.raises(UsageError) as caught:
        views(names, means, inputs, outputs)
    assert str(caught.value).startswith(said)
