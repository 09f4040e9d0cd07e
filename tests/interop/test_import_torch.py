"""State dicts of torchvision's networks come in with their outputs: their weights' names tell which network it is."""

from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.api.importing import import_model
from cnncli.errors import UsageError
from cnncli.interop.incoming import tensors
from cnncli.interop.torch.reading import draft
from cnncli.layers.normalization import BatchNormalization
from tests.interop.test_import_keras import outputs_of

FOLDER = Path(__file__).parent.parent / "fixtures" / "states"
NAMES = sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def with_weights(spec):
    return [node for node in spec.model.nodes if "trainable" in node.layer.fields]


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_has_the_outputs_of_torchvision(name, tmp_path):
    side = 96 if name == "alexnet" else 64
    found = import_model(FOLDER / f"{name}.safetensors", tmp_path / "imported", image_size=(side, side))
    with np.load(FOLDER / "outputs.npz") as arrays:
        expected = arrays[name]
    x = np.random.default_rng(7).standard_normal((1, 3, side, side)).astype(np.float32)
    np.testing.assert_allclose(outputs_of(found.path, x.transpose(0, 2, 3, 1)), expected, atol=1e-5, rtol=1e-5)
    data = found.spec.data
    assert (data.rescale, data.normalize["mean"]) == ("auto", (0.485, 0.456, 0.406))
    assert found.spec.compile.loss.from_logits
    for node in with_weights(found.spec):
        assert node.layer.trainable is not isinstance(node.layer, BatchNormalization)
    assert all(node.layer.trainable for node in with_weights(cnncli.load(found.path).spec))  # for init --base


def test_weights_of_other_networks_are_refused():
    arrays = dict(tensors.read(FOLDER / "resnet18.safetensors"))
    extra = {**arrays, "layer1.0.attention.weight": np.zeros((2, 2), "f4")}
    lacking = {name: array for name, array in arrays.items() if name != "layer2.0.bn1.bias"}
    flat = {**arrays, "layer1.0.conv1.weight": np.zeros((2, 2), "f4")}
    for weights, why in (
        (extra, "is no ResNet of torchvision: it has no place for layer1.0.attention.weight"),
        (lacking, "the weight layer2.0.bn1.bias is missing"),
        (flat, "the weight layer1.0.conv1.weight is missing, or has not 4 axes"),
        ({"conv.weight": arrays["conv1.weight"]}, "their names are of none of torchvision's ResNet, DenseNet"),
    ):
        with pytest.raises(UsageError, match=why):
            draft("test", weights, None)
