"""`augment` under `data`: read, resolved and overridden like any other list of declarations."""

from cnncli.datasets.section import AUGMENTATIONS
from cnncli.spec.spec import parse

SPEC = """
data:
  dataset: mnist5k
  augment:
    - random_flip: {mode: horizontal}
    - RandomZoom: {height_factor: [0.2, -0.1]}
    - RandomCrop: {height: 28, width: 28, padding: [2, 1]}
model: {layers: [Flatten, Dense: {units: 10, activation: softmax}]}
compile: {optimizer: adam, loss: categorical_crossentropy}
"""


def test_names_may_be_keras_class_names_or_snake_case_and_ranges_are_sorted() -> None:
    flip, zoom, crop = parse(SPEC, "f.yaml").data.augment
    assert flip == AUGMENTATIONS.parse({"RandomFlip": {"mode": "horizontal"}})
    assert zoom.settings()["height_factor"] == (-0.1, 0.2)
    assert zoom.settings()["width_factor"] is None
    assert zoom.settings()["fill_mode"] == "reflect"
    assert crop.settings()["padding"] == ((2, 2), (1, 1))


def test_a_resolved_spec_says_the_same_again() -> None:
    spec = parse(SPEC, "f.yaml")
    again = parse(spec.to_yaml(), "f.yaml")
    assert again.data == spec.data
    assert again.to_yaml() == spec.to_yaml()


def test_an_override_reaches_an_argument() -> None:
    spec = parse(SPEC, "f.yaml", ["data.augment.0.mode=vertical", "data.augment.1.height_factor=0.3"])
    assert spec.data.augment[0].settings()["mode"] == "vertical"
    assert spec.data.augment[1].settings()["height_factor"] == 0.3
