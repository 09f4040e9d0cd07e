"""Grad-CAM, saliency and occlusion: beside hand computations, naive twins with finite differences, and Keras."""

from math import ceil
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph import attribution
from cnncli.graph.attribution import Attribution, class_probability, grad_cam, occlusion, resized, saliency
from cnncli.graph.model import INPUT, Model, Node, lower, only
from cnncli.graph.network import Network
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from tests.layers.twins import TWINS

layers()
CLASSES = LOSSES.parse("categorical_crossentropy")
YES_NO = LOSSES.parse("binary_crossentropy")


def model_of(shape, *entries):
    """A model from (name, layer, *inputs); by default, a node's input is the node before it."""
    nodes, before = [], INPUT
    for name, layer, *inputs in entries:
        nodes.append(Node(name, LAYERS.parse(layer), tuple(inputs) or (before,)))
        before = name
    return Model(shape, tuple(nodes))


def conv(filters, **options):
    return {"Conv2D": {"filters": filters, "kernel_size": 3, **options}}


def dense(units, activation="linear"):
    return {"Dense": {"units": units, "activation": activation}}


PLAIN = model_of(
    (7, 6, 2),
    ("conv", conv(5, activation="relu")),
    ("mean", "GlobalAveragePooling2D"),
    ("scores", dense(3, "softmax")),
)
RESIDUAL = model_of(
    (8, 6, 3),
    ("first", conv(4, padding="same", use_bias=False)),
    ("first_bn", "BatchNormalization"),
    ("first_relu", "ReLU"),
    ("drop", {"Dropout": {"rate": 0.5}}),
    ("second", conv(4, padding="same", activity_regularizer="l2")),
    ("second_bn", "BatchNormalization"),
    ("sum", "Add", "second_bn", "drop"),
    ("relu", "ReLU"),
    ("pool", {"AveragePooling2D": {"pool_size": 2}}),
    ("flat", "Flatten"),
    ("scores", dense(3)),
    ("softmax", {"Activation": {"activation": "softmax"}}),
)
CHOICE = model_of((6, 6, 1), ("conv", conv(3, activation="tanh")), ("flat", "Flatten"), ("scores", dense(1, "sigmoid")))
MASKS = model_of(
    (6, 5, 2),
    ("conv", conv(4, padding="same", activation="tanh")),
    ("scores", {"Conv2D": {"filters": 3, "kernel_size": 1, "activation": "softmax"}}),
)
TWO_CLASSES = {"plain": (PLAIN, 2), "residual": (RESIDUAL, 1), "choice": (CHOICE, 1), "masks": (MASKS, 2)}
EACH = pytest.mark.parametrize(("model", "cls"), TWO_CLASSES.values(), ids=TWO_CLASSES)


def network_of(model, *, dtype="float64", batch_size=3):
    """A network with random weights and statistics."""
    network = Network(model, YES_NO if model is CHOICE else CLASSES, batch_size=batch_size, dtype=dtype, threads=1)
    network.initialize(1)
    rng = np.random.default_rng(2)
    for name, weight in network.tensors().items():
        if name.endswith("variance"):
            weight[...] = rng.uniform(0.3, 2, weight.shape)
        elif not name.endswith("kernel"):
            weight[...] = rng.normal(0.2, 0.5, weight.shape)
    return network


def image_of(model, seed=3):
    return np.random.default_rng(seed).normal(size=model.input_shape)


def twin_outputs(network, given, *, scores=False):
    """Every node's output for one image, naively in float64, from the nodes `given`; `scores` omits an activation."""
    values = {name: np.asarray(value, np.float64)[np.newaxis] for name, value in given.items()}
    for node in network.model.nodes:
        weights = [
            np.asarray(w, np.float64) for name, w in network.tensors().items() if name.startswith(f"{node.name}/")
        ]
        layer = node.layer
        if scores and node.name == "scores":
            layer = layer.replace(activation="linear")
        if node.name not in values and all(name in values for name in node.inputs):
            values[node.name] = TWINS[type(layer).__name__](layer, *(values[name] for name in node.inputs), *weights)
    return {name: value[0] for name, value in values.items()}


def twin_score(network, given, cls):
    """The score of a class; given a node's output, instead of the one computed."""
    scores = twin_outputs(network, given, scores=True)["scores"]
    if scores.shape[-1] == 1:
        return float(scores.mean()) * (1 if cls else -1)
    return float(scores[..., cls].mean())


def finite_difference(network, image, node, cls, step=1e-6):
    """The gradient of the score in a node's output, element by element."""
    output = twin_outputs(network, {INPUT: image})[node]
    others = {INPUT: image}
    if node != INPUT:  # a residual connection needs what comes before
        values = twin_outputs(network, {INPUT: image})
        others = {name: values[name] for name in before(network.model, node)}
    gradient = np.zeros(output.shape)
    for place in np.ndindex(output.shape):
        moved = [output.copy(), output.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        higher, lower_ = (twin_score(network, {**others, node: each}, cls) for each in moved)
        gradient[place] = (higher - lower_) / (2 * step)
    return gradient


def before(model, node):
    names = [INPUT, *(each.name for each in model.nodes)]
    return names[: names.index(node)]


def explained(network, image, nodes, cls):
    attributed = Attribution(network, nodes, batch_size=2)
    attributed.inputs[0] = image
    return attributed.run(1, cls)


@EACH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_scores_outputs_and_gradients_are_those_of_the_twin(model, cls, dtype):
    network, image = network_of(model, dtype=dtype), image_of(model)
    nodes = [INPUT, *attribution.image_layers(lower(model))]
    found = explained(network, image, nodes, cls)
    tolerance = 1e-5 if dtype == "float32" else 1e-7
    twin = twin_outputs(network, {INPUT: image})
    np.testing.assert_allclose(found.scores, [twin_score(network, {INPUT: image}, cls)], rtol=tolerance, atol=tolerance)
    for node in nodes:
        np.testing.assert_allclose(found.outputs[node][0], twin[node], rtol=0, atol=10 * tolerance)
        if node == "scores":  # after the softmax: the score does not depend on it
            assert node not in found.gradients
            continue
        expected = finite_difference(network, image, node, cls)
        np.testing.assert_allclose(found.gradients[node][0], expected, rtol=0, atol=10 * tolerance, err_msg=node)
        assert np.abs(expected).max() > 1e-3


def test_grad_cam_of_a_convolution_before_a_mean_is_computed_by_hand():
    network, image = network_of(PLAIN), image_of(PLAIN)
    found = explained(network, image, ["conv"], 2)
    maps = twin_outputs(network, {INPUT: image})["conv"]
    by_hand = np.maximum(sum(maps[..., c] * network.tensor("scores/kernel")[c, 2] for c in range(5)), 0)
    cam = grad_cam(found.outputs["conv"][0], found.gradients["conv"][0], 5, 4)
    np.testing.assert_allclose(cam, by_hand / by_hand.max(), rtol=1e-6)
    assert cam.dtype == np.float32


def test_grad_cam_weighs_maps_by_the_mean_of_their_gradients():
    maps = np.array([[[1.0, 2.0], [0.0, 1.0]], [[3.0, 0.0], [1.0, 1.0]]])
    gradients = np.array([[[4.0, 0.0], [0.0, 0.0]], [[0.0, -4.0], [4.0, 0.0]]])
    # weights: (4 + 0 + 0 + 4) / 4 = 2 and −1; sums: 0, −1, 6, 1
    np.testing.assert_allclose(grad_cam(maps, gradients, 2, 2), np.array([[0, 0], [6, 1]]) / 6)


def test_grad_cam_is_zero_where_every_weighted_sum_is_negative():
    cam = grad_cam(np.ones((2, 2, 1)), -np.ones((2, 2, 1)), 4, 4)
    assert not cam.any()


def test_saliency_is_the_greatest_absolute_gradient_of_a_pixel():
    gradient = np.array([[[1.0, -3.0], [0.5, 0.25]]])
    np.testing.assert_array_equal(saliency(gradient), [[3.0, 0.5]])


@EACH
def test_occlusion_is_that_of_a_loop_over_patches(model, cls):
    network, image = network_of(model, batch_size=7), image_of(model)
    height, width, channels = image.shape
    high, wide = ceil(height / 5), ceil(width / 5)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    gray = [image[..., channel].mean() for channel in range(channels)]

    def probability(values):
        output = twin_outputs(network, {INPUT: values})[network.model.nodes[-1].name]
        if output.shape[-1] == 1:
            return float(output[0]) if cls else 1 - float(output[0])
        return float(output[..., cls].mean())

    tops = sorted({*range(0, height - high, ceil(high / 4)), height - high})
    lefts = sorted({*range(0, width - wide, ceil(wide / 4)), width - wide})
    for top in tops:
        for left in lefts:
            hidden = image.copy()
            for y in range(top, top + high):
                for x in range(left, left + wide):
                    hidden[y, x] = gray
            total[top : top + high, left : left + wide] += probability(image) - probability(hidden)
            count[top : top + high, left : left + wide] += 1
    np.testing.assert_allclose(occlusion(network, image, cls), total / count, rtol=0, atol=1e-7)


def test_class_0_of_a_single_output_is_the_opposite_of_class_1():
    network, image = network_of(CHOICE), image_of(CHOICE)
    attributed = Attribution(network, [INPUT])
    attributed.inputs[0] = image
    one = attributed.run(1, 1)
    score, gradient = one.scores.copy(), one.gradients[INPUT].copy()
    zero = attributed.run(1, 0)
    np.testing.assert_array_equal(zero.scores, -score)
    np.testing.assert_array_equal(zero.gradients[INPUT], -gradient)
    np.testing.assert_allclose(occlusion(network, image, 0), -occlusion(network, image, 1), atol=1e-7)


def test_outputs_of_a_node_are_those_of_a_network_truncated_there():
    whole, image = network_of(RESIDUAL), image_of(RESIDUAL)
    names = attribution.image_layers(lower(RESIDUAL))
    found = explained(whole, image, names, 0)
    for name in names:
        place = [node.name for node in RESIDUAL.nodes].index(name)
        cut = Network(Model(RESIDUAL.input_shape, RESIDUAL.nodes[: place + 1]), CLASSES, batch_size=1, dtype="float64")
        cut.load({weight: whole.tensor(weight) for weight in cut.tensors()})
        cut.inputs[0] = image
        cut.predict(1)
        np.testing.assert_allclose(found.outputs[name][0], only(cut.predictions)[0], rtol=1e-10, atol=1e-12)


def test_gradients_of_several_images_are_those_of_each():
    network = network_of(RESIDUAL)
    attributed = Attribution(network, [INPUT, "relu"], batch_size=3)
    images = [image_of(RESIDUAL, seed) for seed in range(3)]
    attributed.inputs[...] = images
    found = attributed.run(3, 1)
    for row, image in enumerate(images):
        alone = explained(network, image, [INPUT, "relu"], 1)
        np.testing.assert_allclose(found.gradients[INPUT][row], alone.gradients[INPUT][0], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found.scores[row], alone.scores[0])


@pytest.mark.parametrize(("model", "layer"), [(PLAIN, "conv"), (RESIDUAL, "relu"), (CHOICE, "conv"), (MASKS, "conv")])
def test_the_default_layer_is_the_last_convolution_with_what_follows_in_its_shape(model, layer):
    assert attribution.last_image_layer(lower(model)) == layer


def test_a_network_without_convolutions_has_no_default_layer():
    assert attribution.last_image_layer(lower(model_of((4, 4, 1), ("flat", "Flatten"), ("scores", dense(2))))) is None


@pytest.mark.parametrize(("old", "new"), [((2, 2), (4, 4)), ((3, 5), (11, 7)), ((1, 1), (3, 2)), ((4, 4), (4, 4))])
def test_resizing_is_linear_between_the_centers_of_pixels(old, new):
    values = np.random.default_rng(0).normal(size=old)
    expected = np.zeros(new)
    for y, x in np.ndindex(new):
        row, column = ((p + 0.5) * o / n - 0.5 for p, o, n in zip((y, x), old, new, strict=True))
        row, column = min(max(row, 0), old[0] - 1), min(max(column, 0), old[1] - 1)
        for r, c in np.ndindex(old):
            expected[y, x] += values[r, c] * max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - c))
    np.testing.assert_allclose(resized(values, *new), expected, atol=1e-12)


def test_the_probability_of_a_class_in_masks_is_the_mean_over_pixels():
    shares = np.array([[[[0.2, 0.8], [0.6, 0.4]]]])
    np.testing.assert_allclose(class_probability(shares, 1), [0.6])
    np.testing.assert_allclose(class_probability(shares[..., :1], 0), [0.6])


def test_grad_cam_and_saliency_are_those_of_keras():
    with np.load(Path(__file__).parents[1] / "fixtures" / "attribution.npz") as file:
        keras = dict(file)
    network = Network(RESIDUAL, CLASSES, batch_size=1, threads=1)
    network.load({name: keras[f"weights/{name}"] for name in network.tensors()})
    found = explained(network, keras["image"], [INPUT, "first", "relu"], 1)
    np.testing.assert_allclose(found.scores, keras["score"], rtol=1e-5)
    np.testing.assert_allclose(saliency(found.gradients[INPUT][0]), keras["saliency"], rtol=0, atol=1e-6)
    for layer in ("first", "relu"):
        cam = grad_cam(found.outputs[layer][0], found.gradients[layer][0], 8, 6)
        expected = keras[f"grad_cam/{layer}"]
        np.testing.assert_allclose(cam, expected / expected.max(), rtol=0, atol=1e-6)
