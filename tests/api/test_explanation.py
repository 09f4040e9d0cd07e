"""`Model.explain`: arrays that agree with `predict`, with the network's own, and with what was asked for."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnncli.errors import CnncliError, UsageError
from cnncli.graph.model import Model, only
from cnncli.graph.network import Network


@pytest.fixture
def image(place):
    return (255 * np.load(place / "bars.npz")["x_train"][0] / 2.5).astype(np.uint8)


def test_it_has_what_was_predicted_and_what_the_network_saw(model, image):
    found, predictions = model.explain(image), model.predict(image)
    np.testing.assert_allclose(found.probabilities, predictions.probabilities[0], rtol=1e-6)
    assert found.classes[found.predicted] == predictions.labels[0]
    assert found.cls == found.predicted
    np.testing.assert_array_equal(found.original, image[..., None])
    np.testing.assert_allclose(found.input[..., 0] / found.white, image / 255, rtol=1e-6)


def test_all_methods_have_the_size_of_the_input(model, image):
    found = model.explain(image)
    assert list(found.gradcam) == list(found.feature_maps) == ["conv2d"]
    for map_ in (*found.gradcam.values(), found.saliency, found.occlusion):
        assert (map_.shape, map_.dtype) == ((8, 8), np.float32)
    assert found.gradcam["conv2d"].max() in (0, 1)
    assert found.saliency.max() > 0
    assert found.filtered == "conv2d"
    np.testing.assert_array_equal(found.filters, model.weights()["conv2d/kernel"])


def test_feature_maps_are_the_outputs_of_a_network_that_ends_there(model, image):
    found = model.explain(image, layer=["max_pooling2d", "conv2d"], methods=["maps"])
    nodes = model.spec.model.nodes
    for count, layer in enumerate(("conv2d", "max_pooling2d"), 1):
        assert nodes[count - 1].name == layer
        cut = Network(Model((8, 8, 1), nodes[:count]), model.spec.compile.loss, batch_size=1)
        cut.load({name: model.weights()[name] for name in cut.tensors()})
        cut.inputs[0] = found.input
        cut.predict(1)
        np.testing.assert_allclose(found.feature_maps[layer], only(cut.predictions)[0], rtol=1e-5, atol=1e-6)
    assert (found.saliency, found.occlusion, found.filters, dict(found.gradcam)) == (None, None, None, {})


def test_the_scores_of_all_classes_are_the_logits_of_their_probabilities(model, image):
    by_class = [model.explain(image, cls=cls, methods=["saliency"]) for cls in (0, 1)]
    assert [found.cls for found in by_class] == [0, 1]
    shares = np.exp([found.score for found in by_class])
    np.testing.assert_allclose(shares / shares.sum(), by_class[0].probabilities, rtol=1e-4)
    assert model.explain(image, cls="1", methods=["saliency"]).score == by_class[1].score


def test_files_pictures_and_arrays_are_explained_alike(model, image, tmp_path):
    Image.fromarray(image).save(tmp_path / "bar.png")
    np.save(tmp_path / "bar.npy", image)
    first, *others = (
        model.explain(given)
        for given in (image, tmp_path / "bar.png", str(tmp_path / "bar.npy"), Image.fromarray(image), image[..., None])
    )
    for found in others:
        np.testing.assert_array_equal(found.saliency, first.saliency)
        np.testing.assert_array_equal(found.occlusion, first.occlusion)
        np.testing.assert_array_equal(found.original.reshape(8, 8), image)


def test_the_original_is_kept_as_it_was_before_it_is_prepared(model, tmp_path):
    large = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(large).save(tmp_path / "large.png")
    found = model.explain(tmp_path / "large.png", methods=["saliency"], invert=True)
    np.testing.assert_array_equal(found.original, large)
    assert found.input.shape == (8, 8, 1)


def test_what_it_has_not_is_refused(model, image, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'conv2d'"):
        model.explain(image, layer="conv2")
    with pytest.raises(UsageError, match="class must be a name or a number below 2"):
        model.explain(image, cls=7)
    with pytest.raises(UsageError, match="one image at a time; received 2"):
        model.explain(np.stack([image, image]))
    (tmp_path / "empty.png").touch()
    with pytest.raises(CnncliError, match=r"empty\.png: an image must not be empty"):
        model.explain(tmp_path / "empty.png")
    with pytest.raises(UsageError, match="images must be paths"):
        model.explain(3)


def test_an_image_whose_outputs_are_not_finite_is_unusable(model, image):
    weights = {name: 1e20 * np.sign(weight).astype(np.float32) for name, weight in model.weights().items()}
    model.file = replace(model.file, weights=weights)
    with pytest.raises(CnncliError, match="the model's outputs for it are not finite numbers"):
        model.explain(image)
