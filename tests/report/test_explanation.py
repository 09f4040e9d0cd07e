"""The sheet of explanations, tile by tile."""

from types import MappingProxyType

import numpy as np
import pytest

from cnncli.report.pictures.colormap import BLUE_RED, INFERNO, VIRIDIS, colored
from cnncli.report.plots.explanation import MOST_MAPS, SIDE, explanation_sheet, headline, input_pixels
from cnncli.training.explanation import Explanation

RANDOM = np.random.default_rng(0)


def explanation(shape=(8, 8, 1), **changes):
    """An explanation of class 1 by all methods."""
    height, width, channels = shape
    given = {
        "name": "some/place/one.png",
        "original": RANDOM.integers(0, 256, (height, width)).astype(np.uint8),
        "input": RANDOM.random(shape).astype(np.float32),
        "white": 1.0,
        "classes": ("cat", "dog"),
        "probabilities": np.array([0.25, 0.75], np.float32),
        "cls": 1,
        "score": 2.5,
        "gradcam": MappingProxyType({"conv": RANDOM.random((height, width)).astype(np.float32)}),
        "saliency": RANDOM.random((height, width)).astype(np.float32),
        "occlusion": RANDOM.normal(size=(height, width)).astype(np.float32),
        "feature_maps": MappingProxyType({"conv": RANDOM.random((4, 4, 9)).astype(np.float32)}),
        "filters": RANDOM.normal(size=(3, 3, channels, 9)).astype(np.float32),
        "filtered": "conv",
    }
    return Explanation(**{**given, **changes})


def tiles(each):
    """By their first caption: the images, as arrays, and the other captions."""
    return {
        tile.captions[0]: (np.asarray(tile.image), list(tile.captions[1:])) for tile in explanation_sheet([each]).tiles
    }


def at(tile, row, column, rows, columns):
    """The color in the middle of a pixel of what is shown as `rows` × `columns` in a tile."""
    height, width = tile.shape[:2]
    return tile[int((row + 0.5) * height / rows), int((column + 0.5) * width / columns), :3]


def test_the_title_says_what_was_predicted_and_which_other_class_is_explained():
    assert headline(explanation()) == explanation_sheet([explanation()]).title == "one.png: predicted dog (75.0 %)"
    assert headline(explanation(cls=0)) == "one.png: predicted dog (75.0 %); explained cat (25.0 %)"
    without = explanation(classes=(), probabilities=np.zeros(0, np.float32), cls=None, score=None)
    assert headline(without) == "one.png"


def test_every_tile_has_its_captions():
    found = tiles(explanation(occlusion=np.array([[0.25, -0.003] * 4] * 8, np.float32)))
    assert {name: captions for name, (_, captions) in found.items()} == {
        "Original": ["8 × 8 pixels"],
        "What the network saw": ["8 × 8, 1 channel"],
        "Grad-CAM": ["conv"],
        "Saliency": [],
        "Occlusion": ["probability −25 … +0.3 points"],
        "Feature maps": ["conv", "9 channels"],
        "Filters": ["conv", "9 filters, 3 × 3 × 1"],
    }


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 4, 3), (5, 20, 2), (500, 300, 3)])
def test_all_tiles_have_the_shape_of_the_input_with_a_longer_side_of_fixed_length(shape):
    original = RANDOM.integers(0, 256, (30, 20, 3)).astype(np.uint8)
    sizes = {image.shape for image, _ in tiles(explanation(shape, original=original)).values()}
    height, width, _ = shape
    scale = SIDE / max(height, width)
    assert sizes == {(round(height * scale), round(width * scale), 4)}


def test_small_images_are_enlarged_pixel_by_pixel():
    each = explanation()
    tile, _ = tiles(each)["Original"]
    assert {tuple(at(tile, y, x, 8, 8)) for y in range(8) for x in range(8)} == set(
        map(tuple, tile.reshape(-1, 4)[:, :3])
    )
    for y, x in np.ndindex(8, 8):
        np.testing.assert_array_equal(at(tile, y, x, 8, 8), [each.original[y, x]] * 3)


def test_what_the_network_saw_goes_from_black_to_the_value_of_white():
    values = np.array([[[0.0], [63.75]], [[127.5], [255.0]]], np.float32)
    seen = input_pixels(explanation((2, 2, 1), input=values, white=255.0))
    np.testing.assert_array_equal(seen[..., 0], [[0, 64], [128, 255]])
    beyond = input_pixels(explanation((2, 2, 1), input=values - 127.5, white=127.5))
    np.testing.assert_array_equal(beyond[..., 0], [[0, 64], [128, 255]])
    of_two = input_pixels(explanation((1, 1, 2), input=np.array([[[0.2, 1.0]]], np.float32)))
    np.testing.assert_array_equal(of_two, [[[51] * 3]])
    of_four = input_pixels(explanation((1, 1, 4), input=np.array([[[0.2, 1.0, 0.4, 0.5]]], np.float32)))
    np.testing.assert_array_equal(of_four, [[[51, 255, 102]]])


def test_grad_cam_leaves_the_gray_image_where_it_is_0_and_nearly_covers_it_where_it_is_1():
    values = np.full((2, 2, 3), [0.2, 0.4, 0.6], np.float32)
    cam = np.array([[0, 1], [0, 0]], np.float32)
    tile, _ = tiles(explanation((2, 2, 3), input=values, gradcam={"conv": cam}))["Grad-CAM"]
    gray = np.full(3, 102)
    np.testing.assert_array_equal(at(tile, 0, 0, 2, 2), gray)
    np.testing.assert_allclose(at(tile, 0, 1, 2, 2), 0.15 * gray + 0.85 * INFERNO[-1], atol=1)


def test_occlusion_is_red_where_the_probability_falls_and_faint_where_it_hardly_changes():
    values = np.zeros((1, 3, 1), np.float32)
    of_much = tiles(explanation((1, 3, 1), input=values, occlusion=np.array([[0.5, 0, -0.5]], np.float32)))
    tile, _ = of_much["Occlusion"]
    np.testing.assert_allclose(at(tile, 0, 0, 1, 3), 0.85 * BLUE_RED[-1], atol=1)
    np.testing.assert_array_equal(at(tile, 0, 1, 1, 3), [0, 0, 0])
    np.testing.assert_allclose(at(tile, 0, 2, 1, 3), 0.85 * BLUE_RED[0], atol=1)
    little = tiles(explanation((1, 3, 1), input=values, occlusion=np.array([[0.0005, 0, 0]], np.float32)))
    assert at(little["Occlusion"][0], 0, 0, 1, 3).max() < 30


def test_saliency_is_brightest_at_its_greatest_and_one_outlier_does_not_darken_it():
    values = np.full((20, 20), 0.5, np.float32)
    values[0, 0] = 100
    tile, _ = tiles(explanation((20, 20, 1), saliency=values))["Saliency"]
    np.testing.assert_array_equal(at(tile, 10, 10, 20, 20), INFERNO[-1])
    nothing, _ = tiles(explanation((20, 20, 1), saliency=np.zeros((20, 20), np.float32)))["Saliency"]
    np.testing.assert_array_equal(at(nothing, 10, 10, 20, 20), INFERNO[0])


def test_feature_maps_stand_in_rows_each_as_large_as_they_may_be_together():
    maps = np.zeros((2, 2, 4), np.float32)
    maps[..., 1], maps[..., 2] = 1, 0.5
    tile, _ = tiles(explanation(feature_maps={"conv": maps}))["Feature maps"]
    for number, value in enumerate((0, 1, 0.5, 0)):
        color = colored(np.array(value), VIRIDIS)
        np.testing.assert_array_equal(at(tile, number // 2, number % 2, 2, 2), color)
    assert (tile[SIDE // 2, :, 3] == 0).all()  # what is between them is transparent


def test_feature_maps_with_negative_values_are_blue_and_red():
    maps = np.array([[[-2.0, 2.0, 0.0, 0.0]]], np.float32)
    tile, _ = tiles(explanation(feature_maps={"conv": maps}))["Feature maps"]
    colors = [at(tile, number // 2, number % 2, 2, 2) for number in range(3)]
    np.testing.assert_array_equal(colors, BLUE_RED[[0, -1, 5]])


def test_of_many_channels_and_filters_the_first_are_shown():
    maps, filters = np.ones((2, 2, 100), np.float32), np.ones((1, 1, 3, 65), np.float32)
    found = tiles(explanation(feature_maps={"conv": maps}, filters=filters))
    assert found["Feature maps"][1][1] == f"{MOST_MAPS} of 100 channels"
    assert found["Filters"][1][1] == f"{MOST_MAPS} of 65 filters, 1 × 1 × 3"


def test_the_maps_of_wide_images_are_as_close_as_those_of_others():
    maps = np.ones((2, 8, 6), np.float32)
    tile, _ = tiles(explanation((2, 8, 1), feature_maps={"conv": maps}))["Feature maps"]
    colors = (tile[..., :3] == VIRIDIS[-1]).all(axis=-1) & (tile[..., 3] == 255)
    for axis in (0, 1):
        places = np.flatnonzero(colors.any(axis=axis))
        assert set(np.diff(places)) == {1, 9}  # the gap is eight pixels wide
    assert colors.sum() == 6 * 122 * 30  # three in a row, whose width (384 + 8) / 3 − 8 bounds them


@pytest.mark.parametrize(("layers", "columns"), [(0, 3), (1, 4), (2, 3), (3, 3), (4, 4), (5, 4)])
def test_few_tiles_stand_in_one_row_or_in_two_of_nearly_equal_length(layers, columns):
    maps = {f"conv{number}": np.ones((2, 2, 1), np.float32) for number in range(layers)}
    each = explanation(gradcam={}, saliency=None, occlusion=None, feature_maps=maps)
    assert explanation_sheet([each]).columns == columns


def test_several_images_share_heads_and_filters():
    sheet = explanation_sheet([explanation(name="a.png"), explanation(name="b.png", cls=0)])
    assert list(sheet.heads) == [
        "Original",
        "What the network saw",
        "Grad-CAM",
        "Saliency",
        "Occlusion",
        "Feature maps",
    ]
    assert (sheet.columns, len(sheet.tiles)) == (6, 13)
    assert list(sheet.tiles[0].captions) == ["a.png", "predicted dog (75.0 %)"]
    assert list(sheet.tiles[6].captions) == ["b.png", "predicted dog (75.0 %)", "explained cat (25.0 %)"]
    assert sheet.tiles[12].captions[0] == "Filters"


def test_control_characters_in_names_are_escaped():
    each = explanation(name="a\x1b[31m.png", classes=("cat", "d\nog"))
    assert headline(each) == r"a\x1b[31m.png: predicted d\nog (75.0 %)"


def test_an_escaped_name_keeps_both_of_its_quotes():
    assert headline(explanation(name=r"'some/a\x1b[31m.png'")) == r"'some/a\x1b[31m.png': predicted dog (75.0 %)"


def test_where_nothing_matters_the_captions_say_so():
    none = np.zeros((8, 8), np.float32)
    found = tiles(explanation(gradcam=MappingProxyType({"conv": none}), saliency=none, occlusion=none))
    assert found["Grad-CAM"][1] == ["conv", "nothing raises the score"]
    assert found["Saliency"][1] == ["no pixel changes the score"]
    assert found["Occlusion"][1] == ["changes nothing"]


@pytest.mark.parametrize(
    ("most", "least", "caption"),
    [
        (0.0997, -0.00097, "probability −10 … +0.1 points"),
        (0.00001, 0.0, "probability 0 … 0 points"),
        (0.0004, -0.0009, "probability −0.04 … +0.09 points"),
    ],
)
def test_changes_are_rounded_alike_and_nothing_has_no_sign(most, least, caption):
    found = tiles(explanation(occlusion=np.array([[most, least] * 4] * 8, np.float32)))
    assert found["Occlusion"][1] == [caption]
