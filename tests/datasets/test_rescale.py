"""What images are multiplied by, where the model scales them itself and where it does not."""

import pytest

from cnncli.datasets.rescale import rescale_for, rescaled_again, rescaling_layer
from cnncli.graph.model import INPUT, Model, Node
from cnncli.layers.layer import LAYERS
from cnncli.layers.vocabulary import layers

layers()
RESCALING = {"Rescaling": {"scale": "1/255"}}
HALF = {"Rescaling": {"scale": 0.5}}
CONV = {"Conv2D": {"filters": 1, "kernel_size": 1}}


def model(*entries):
    nodes = tuple(Node(name, LAYERS.parse(entry), inputs) for name, entry, inputs in entries)
    return Model((4, 4, 2), nodes)


def chain(*entries):
    names = [INPUT, *(f"l{number}" for number in range(len(entries)))]
    return model(*((names[i + 1], entry, (names[i],)) for i, entry in enumerate(entries)))


TWICE = model(("a", RESCALING, (INPUT,)), ("b", RESCALING, (INPUT,)), ("c", "Add", ("a", "b")))
PADDED = model(
    ("a", "ZeroPadding2D", (INPUT,)), ("b", RESCALING, ("a",)), ("c", RESCALING, ("a",)), ("d", "Add", ("b", "c"))
)
BESIDE = model(("a", RESCALING, (INPUT,)), ("b", "Add", ("a", INPUT)))
BEHIND = model(
    ("a", "ZeroPadding2D", (INPUT,)), ("b", RESCALING, ("a",)), ("c", CONV, ("a",)), ("d", "Add", ("b", "c"))
)
JOINED = model(("a", "Cropping2D", (INPUT,)), ("b", "Concatenate", ("a", INPUT)), ("c", RESCALING, ("b",)))
LARGEST = model(("a", "Cropping2D", (INPUT,)), ("b", "Maximum", ("a", INPUT)), ("c", RESCALING, ("b",)))


@pytest.mark.parametrize(
    "which",
    [
        *(TWICE, PADDED, JOINED, LARGEST, chain(RESCALING, "Flatten"), chain(HALF, CONV, RESCALING)),
        *(
            chain(before, RESCALING)
            for before in (
                *("Flatten", "ZeroPadding2D", "UpSampling2D", "MaxPooling2D", "GlobalMaxPooling2D"),
                *("GlobalAveragePooling2D", {"AveragePooling2D": {"pool_size": 2}}, {"Cropping2D": {"cropping": 1}}),
                *({"UpSampling2D": {"interpolation": "bilinear"}}, {"Activation": {"activation": "linear"}}),
                {"Dropout": {"rate": 0.5}},
            )
        ),
        chain("ZeroPadding2D", "MaxPooling2D", "Flatten", RESCALING),
    ],
)
def test_auto_leaves_images_where_nothing_changes_their_scale_before_all_rescale(which):
    assert rescale_for(which, "auto") == 1.0
    assert rescaling_layer(which) == "Rescaling"
    assert rescaled_again(which) is None


@pytest.mark.parametrize(
    ("which", "again"),
    [
        (BESIDE, "a"),
        (BEHIND, "b"),
        (chain(CONV, RESCALING), "l1"),
        (chain({"Activation": {"activation": "tanh"}}, RESCALING), "l1"),
        (chain("BatchNormalization", "Flatten", {"Rescaling": {"scale": "-1/127.5"}}), "l2"),
        (chain(CONV, HALF), None),  # within a network scales like this are usual
        (chain(CONV, "Flatten"), None),
        (chain("Flatten"), None),
    ],
)
def test_auto_scales_what_does_not_begin_with_rescaling_and_notices_one_that_looks_like_it(which, again):
    assert rescale_for(which, "auto") == "auto"
    found = rescaled_again(which)
    assert (found and found.name) == again


def test_a_number_that_is_said_counts_even_so():
    assert rescale_for(TWICE, 0.25) == 0.25
