"""Weights of another network: which layers get them, which do not and why."""

import re

import numpy as np
import pytest

from cnncli.errors import CnncliError
from cnncli.graph.model import INPUT, Model, Node
from cnncli.graph.network import Network
from cnncli.graph.transfer import fitted, transfer
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import LAYERS


def network(channels=3, units=4, *, hidden="hidden", bias=True):
    entries = {
        "conv": {"Conv2D": {"filters": 2, "kernel_size": 3, "use_bias": bias}},
        "flatten": "Flatten",
        hidden: {"Dense": {"units": 3}},
        "head": {"Dense": {"units": units, "activation": "softmax"}},
    }
    names = [INPUT, *entries]
    nodes = (Node(name, LAYERS.parse(entry), (names[i],)) for i, (name, entry) in enumerate(entries.items()))
    made = Network(Model((5, 5, channels), tuple(nodes)), LOSSES.parse("categorical_crossentropy"), batch_size=2)
    made.initialize(channels + units)
    return made


def copied(here, before, there):
    """The layers whose weights are the file's, and those that are as before."""
    tensors = here.tensors()
    same = {n.partition("/")[0] for n in tensors if n in there and np.array_equal(tensors[n], there[n])}
    kept = {n.partition("/")[0] for n in tensors if np.array_equal(tensors[n], before[n])}
    return same, kept


@pytest.mark.parametrize(
    ("here", "said", "initialized"),
    [
        ({}, "3 of 3 layers with weights loaded", set()),
        (
            {"units": 7},
            "2 of 3 layers with weights loaded; initialized, because shapes differ: head (kernel: (3, 7) here, "
            "(3, 4) in the file)",
            {"head"},
        ),
        (
            {"hidden": "other"},
            "2 of 3 layers with weights loaded; initialized, because the file has none: other; only in the file: "
            "hidden",
            {"other"},
        ),
        (
            {"bias": False},
            "2 of 3 layers with weights loaded; initialized, because shapes differ: conv (bias: none here, (2,) in "
            "the file)",
            {"conv"},
        ),
    ],
)
def test_layers_that_fit_are_loaded_and_the_others_are_said(here, said, initialized):
    there = {name: tensor + 1 for name, tensor in network().tensors().items()}
    made = network(**here)
    before = {name: tensor.copy() for name, tensor in made.tensors().items()}
    result = transfer(made, there)
    assert str(result) == said
    same, kept = copied(made, before, there)
    assert kept == initialized
    assert same == {"conv", made.model.nodes[2].name, "head"} - initialized


@pytest.mark.parametrize(
    ("file", "said", "loaded"),
    [
        (["a", "b", "c"], "3 of 3 layers with weights loaded; by order: conv from a, hidden from b, head from c", 3),
        (["conv", "hidden", "head"], "3 of 3 layers with weights loaded", 3),
        (
            ["a", "c"],
            "1 of 3 layers with weights loaded; by order: conv from a; initialized, because shapes differ: hidden "
            "(kernel: (18, 3) here, (3, 4) in the file); initialized, because the file has none: head",
            1,
        ),
        (
            ["a", "b", "c", "d"],
            "3 of 3 layers with weights loaded; by order: conv from a, hidden from b, head from c; only in the file: d",
            3,
        ),
    ],
)
def test_layers_are_paired_by_order(file, said, loaded):
    """The k-th layer with weights here gets those of the k-th in the file, whatever their names."""
    source = [(name.partition("/")[2], tensor + 1) for name, tensor in network().tensors().items()]
    sources = {"a": source[:2], "b": source[2:4], "c": source[4:], "d": source[4:]}
    sources |= {"conv": source[:2], "hidden": source[2:4], "head": source[4:]}
    there = {f"{layer}/{own}": tensor for layer in file for own, tensor in sources[layer]}
    made = network()
    before = {name: tensor.copy() for name, tensor in made.tensors().items()}
    assert str(transfer(made, there, "order")) == said
    pairs = list(zip(made.tensors().items(), there.values(), strict=False))[: 2 * loaded]
    for (name, tensor), given in pairs:
        np.testing.assert_array_equal(tensor, given, err_msg=name)
    for name in list(made.tensors())[2 * loaded :]:
        np.testing.assert_array_equal(made.tensor(name), before[name])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("old", [1, 3])
def test_the_first_convolution_responds_to_equal_channels_as_before(channels, old):
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, old, 5)).astype(np.float32)
    made = fitted(kernel, (3, 3, channels, 5))
    assert made.shape == (3, 3, channels, 5)
    assert made.dtype == np.float32
    if channels % old == 0 or channels == 1:
        np.testing.assert_allclose(made.sum(axis=2), kernel.sum(axis=2), atol=1e-5)
    for channel in range(channels if channels > 1 else 0):
        np.testing.assert_allclose(made[:, :, channel], kernel[:, :, channel % old] * old / channels, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 5, 3, 5), (3, 3, 3, 6), (3, 5), (3, 3, 1, 5)])
def test_a_kernel_that_differs_otherwise_is_not_adapted(shape):
    kernel = np.zeros(shape, np.float32)
    assert fitted(kernel, (3, 3, 1, 5)) is kernel


def test_a_network_for_grey_images_starts_from_one_for_colors():
    there = network().tensors()
    made = network(channels=1)
    assert str(transfer(made, there)) == "3 of 3 layers with weights loaded; conv adapted from 3 to 1 channels"
    np.testing.assert_array_equal(made.tensor("conv/kernel"), there["conv/kernel"].sum(axis=2, keepdims=True))
    np.testing.assert_array_equal(made.tensor("conv/bias"), there["conv/bias"])


def test_a_file_of_which_nothing_fits_is_refused():
    message = (
        "no layer's weights fit: 0 of 3 layers with weights loaded; initialized, because the file has none: conv, "
    )
    "hidden, head; only in the file: x; if the names differ, `{file: …, by: order}` pairs layers by their order"
    with pytest.raises(CnncliError, match=re.escape(message)):
        transfer(network(), {"x/kernel": np.zeros(3, np.float32)})
