"""What the layers of sizes refuse, in words, and the sizes they give."""

import pytest

from cnncli.errors import ShapeError
from cnncli.layers.declarations.validation_errors import ValidationError
from cnncli.layers.layer import LAYERS
from cnncli.layers.vocabulary import layers
from cnncli.ops.builder import Builder
from cnncli.ops.ir import Value
from tests.layers.harness import LayerHarness

layers()


def output_shape(name, arguments, image):
    return LayerHarness(LAYERS.parse({name: arguments}), [image], batch=1, dtype="float32", training=False).output_shape


def test_a_crop_that_leaves_nothing_is_refused():
    layer = LAYERS.parse({"Cropping2D": {"cropping": [[1, 2], [0, 0]]}})
    with pytest.raises(ShapeError, match=r"at least one row .* cropping=\[\[1, 2\], \[0, 0\]\] for an image of 3×5"):
        layer.lower(Builder(), Value((3, 5, 1)))


@pytest.mark.parametrize("name", ["ZeroPadding2D", "Cropping2D"])
@pytest.mark.parametrize("sides", [-1, [1, 2, 3], [[1, 2], [3, -4]], [[1, 2, 3], 4], "1", None, [1], True])
def test_sides_are_one_number_a_pair_or_a_pair_of_pairs(name, sides):
    argument = "padding" if name == "ZeroPadding2D" else "cropping"
    with pytest.raises(
        ValidationError, match=r"must be .* \[height, width\], or \[\[top, bottom\], \[left, right\]\]$"
    ):
        LAYERS.parse({name: {argument: sides}})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strides": 2, "dilation_rate": 2}, "strides > 1 can't be combined with dilation_rate > 1"),
        ({"strides": 2, "output_padding": 2}, "must be less than strides; received output_padding=[2, 2]"),
        (
            {"kernel_size": 2, "strides": 2, "padding": "same", "output_padding": 0},
            "≥ 1 if padding is 'same'",
        ),
    ],
)
def test_a_transposed_convolution_says_what_does_not_go_together(arguments, message):
    with pytest.raises(ValidationError) as caught:
        LAYERS.parse({"Conv2DTranspose": {"filters": 1, "kernel_size": 3, **arguments}})
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["DepthwiseConv2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "ZeroPadding2D"])
def test_what_is_no_image_is_refused(name):
    arguments = {"kernel_size": 3} if name == "DepthwiseConv2D" else {}
    with pytest.raises(ShapeError, match="must be an image"):
        output_shape(name, arguments, (7,))


def test_a_window_larger_than_its_image_is_refused():
    with pytest.raises(ShapeError, match="a window of 5×5 for an image of 4×4"):
        output_shape("SeparableConv2D", {"filters": 2, "kernel_size": 5}, (4, 4, 1))


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({"strides": 2, "padding": "same"}, (8, 10)),
        ({"strides": 2}, (9, 11)),
        ({"strides": 4, "kernel_size": 2}, (16, 20)),
        ({"strides": 2, "padding": "same", "output_padding": 0}, (7, 9)),
        ({"dilation_rate": 2}, (8, 9)),
    ],
)
def test_the_size_of_a_transposed_convolution_is_kerass(arguments, size):
    assert output_shape("Conv2DTranspose", {"filters": 3, "kernel_size": 3, **arguments}, (4, 5, 2)) == (*size, 3)
