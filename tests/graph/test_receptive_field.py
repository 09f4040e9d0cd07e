"""Receptive fields: by hand, and against what changes in a network's output when one pixel of its input does."""

import numpy as np
import pytest

from cnncli.graph.model import Model, Node, lower, only
from cnncli.graph.network import Network
from cnncli.graph.receptive_field import receptive_fields
from cnncli.layers.layer import LAYERS
from cnncli.layers.losses import LOSSES
from cnncli.layers.vocabulary import layers
from tests.ops.declared import SqueezeAndExcite

layers()


def graph(shape, *entries):
    """A model of (name, inputs, layer, arguments); without inputs, each reads the one before."""
    nodes, previous = [], "input"
    for name, inputs, kind, arguments in entries:
        layer = LAYERS.parse({kind: arguments}) if isinstance(kind, str) else kind
        nodes.append(Node(name, layer, inputs or (previous,)))
        previous = name
    return Model(shape, tuple(nodes))


def chain(*entries, shape=(32, 32, 1)):
    return graph(shape, *((f"{kind}_{number}", (), kind, given) for number, (kind, given) in enumerate(entries)))


def conv(size, **options):
    return "Conv2D", {"filters": 1, "kernel_size": size, "use_bias": False, "padding": "same", **options}


def fields(model):
    return list(receptive_fields(lower(model)).values())


def test_a_small_vgg_sees_what_is_computed_by_hand():
    pool = "MaxPooling2D", {}
    model = chain(conv(3), conv(3), pool, conv(3), conv(3), pool, conv(3), ("Flatten", {}), ("Dense", {"units": 2}))
    # r grows by (k − 1) · j, and the distance j of neighbors doubles with each pooling.
    by_hand = [1, 3, 5, 5 + 1, 6 + 2 * 2, 10 + 2 * 2, 14 + 2, 16 + 2 * 4]
    assert fields(model) == [*((r, r) for r in by_hand), None, None]


def test_dilation_and_strides_count_along_each_axis():
    model = chain(conv(3, dilation_rate=[2, 1]), conv([1, 5], strides=[2, 1]), conv(3, strides=[1, 3]), conv([3, 3]))
    assert fields(model) == [(1, 1), (5, 3), (5, 7), (5 + 2 * 2, 7 + 2), (9 + 2 * 2, 9 + 2 * 3)]


def test_a_residual_block_sees_what_its_longer_way_sees():
    model = graph(
        (16, 16, 1),
        ("a", (), *conv(3)),
        ("b", (), *conv(5)),
        ("c", (), *conv(3)),
        ("add", ("c", "a"), "Add", {}),
        ("early", ("a", "input"), "Concatenate", {}),
    )
    found = receptive_fields(lower(model))
    assert found == {"input": (1, 1), "a": (3, 3), "b": (7, 7), "c": (9, 9), "add": (9, 9), "early": (3, 3)}


def test_layers_made_of_known_operations_need_nothing_of_their_own():
    model = graph(
        (8, 8, 4),
        ("conv", (), "Conv2D", {"filters": 4, "kernel_size": 3}),
        ("each pixel", (), "LayerNormalization", {}),
        ("all pixels", (), "GroupNormalization", {"groups": 2}),
        ("excited", ("each pixel",), SqueezeAndExcite(), {}),
        ("again", ("each pixel",), "Conv2D", {"filters": 1, "kernel_size": 3}),
    )
    found = receptive_fields(lower(model))
    assert list(found.values()) == [(1, 1), (3, 3), (3, 3), None, None, (5, 5)]


def test_a_layer_that_rearranges_its_weights_sees_what_the_one_before_sees():
    assert fields(chain(conv(3), ("PReLU", {"shared_axes": [1, 2]}), conv(3))) == [(1, 1), (3, 3), (3, 3), (5, 5)]


def test_ways_that_advance_differently_have_no_common_receptive_field():
    model = graph(
        (8, 8, 1),
        ("strided", (), *conv(3, strides=2)),
        ("cropped", ("input",), "Cropping2D", {"cropping": 2}),
        ("add", ("strided", "cropped"), "Add", {}),
    )
    assert fields(model) == [(1, 1), (3, 3), (1, 1), None]


@pytest.mark.parametrize("kind", ["GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten"])
def test_after_a_global_pooling_there_is_none(kind):
    assert fields(chain(conv(3), (kind, {}), ("Dense", {"units": 1})))[-2:] == [None, None]


def test_a_softmax_over_rows_sees_all_of_them():
    assert fields(chain(("Softmax", {"axis": 1}), conv(3), shape=(6, 6, 6))) == [(1, 1), None, None]
    assert fields(chain(("Softmax", {"axis": -1}), shape=(6, 6, 6))) == [(1, 1), (1, 1)]


CASES = {
    "convolutions": chain(conv(3), conv(5, padding="valid"), conv([1, 4])),
    "strides": chain(conv(3, strides=2), conv(2, strides=2), conv(3)),
    "dilation": chain(conv(3, dilation_rate=3), conv(2, dilation_rate=2)),
    "depthwise": chain(("DepthwiseConv2D", {"kernel_size": [5, 3], "padding": "same"}), conv(3, strides=3)),
    "max pooling": chain(conv(3), ("MaxPooling2D", {"pool_size": 3, "strides": 2}), conv(3)),
    "average pooling": chain(("AveragePooling2D", {"pool_size": 2}), conv(3), ("AveragePooling2D", {"pool_size": 2})),
    "padding": chain(("ZeroPadding2D", {"padding": [[1, 4], [2, 0]]}), conv(3, padding="valid", strides=2), conv(3)),
    "cropping": chain(("Cropping2D", {"cropping": [[5, 2], [1, 0]]}), conv(3, strides=3)),
    "nearest": chain(conv(3, strides=3), ("UpSampling2D", {"size": [2, 3]}), conv(3)),
    "bilinear": chain(conv(2, strides=2), ("UpSampling2D", {"size": [2, 3], "interpolation": "bilinear"}), conv(2)),
    "transposed": chain(conv(2, strides=2), ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2})),
    "far transposed": chain(
        conv(3, strides=2),
        ("Conv2DTranspose", {"filters": 1, "kernel_size": 5, "strides": 2, "padding": "same", "use_bias": False}),
        conv(3, strides=2),
    ),
    "up and down": chain(
        ("UpSampling2D", {"size": 3}), conv(3), ("AveragePooling2D", {"pool_size": 2}), ("UpSampling2D", {"size": 2})
    ),
    "u": graph(
        (32, 32, 1),
        ("down", (), *conv(3)),
        ("half", (), "MaxPooling2D", {}),
        ("bottom", (), *conv(3)),
        ("up", (), "Conv2DTranspose", {"filters": 1, "kernel_size": 2, "strides": 2, "use_bias": False}),
        ("both", ("down", "up"), "Concatenate", {}),
        ("end", (), *conv(3)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_pixel_changes_what_sees_it(name):
    model = CASES[name]
    rows, columns = receptive_fields(lower(model))[model.outputs[0]]
    changed = changes(model)
    assert (extent(changed.any(axis=(1, 3))), extent(changed.any(axis=(0, 2)))) == (rows, columns)


def changes(model):
    """Whether each output pixel changes with each input pixel: (rows, columns) of the output, then of the input."""
    height, width, _ = model.input_shape
    network = Network(model, LOSSES.parse("mean_squared_error"), batch_size=height * width + 1)
    random = np.random.default_rng(1)
    network.load(
        {name: random.uniform(0.5, 1, array.shape).astype(np.float32) for name, array in network.tensors().items()}
    )
    images = np.ones((height * width + 1, height * width), np.float32)
    images[:-1] += 1000 * np.eye(height * width, dtype=np.float32)  # the last image is as it was
    network.inputs[:] = images.reshape(network.inputs.shape)
    network.predict(len(images))
    outputs = only(network.predictions)
    seen = (outputs[:-1] != outputs[-1]).any(axis=-1)
    return np.moveaxis(seen.reshape(height, width, *outputs.shape[1:3]), (0, 1), (2, 3))


def extent(seen):
    """The most input rows between the first and the last one that an output row sees."""
    places = [np.flatnonzero(row) for row in seen]
    return max(place[-1] - place[0] + 1 for place in places if len(place))


@pytest.mark.parametrize("name", layers())
def test_every_layer_on_an_image_has_one_or_none(name):
    for example in layers()[name].examples:
        images = [shape for shape in example.inputs if len(shape) == 3]
        if len(images) == len(example.inputs) and len(set(images)) == 1:
            node = Node("layer", layers()[name](**example.arguments), ("input",) * len(images))
            found = receptive_fields(lower(Model(images[0], (node,))))["layer"]
            assert found is None or min(found) >= 1
