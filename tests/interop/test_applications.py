"""The networks of configs/networks are those of keras.applications: parameters, and outputs with the same weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cnncli.graph.network import Network
from cnncli.spec.spec import load
from tests.fixtures.applications import image, weight

ROOT = Path(__file__).parent.parent.parent
FIXTURE = ROOT / "tests" / "fixtures" / "applications.npz"
STAGES = ((2, 3), (3, 4), (4, 6), (5, 3))
"""Of ResNet-50: the number in Keras' names, and how many blocks."""


def resnet50() -> Iterator[str]:
    yield from ("conv1_conv", "conv1_bn")
    for stage, blocks in STAGES:
        for block in range(1, blocks + 1):
            for number in range(0 if block == 1 else 1, 4):
                yield f"conv{stage}_block{block}_{number}_conv"
                yield f"conv{stage}_block{block}_{number}_bn"
    yield "predictions"


def resnet50v2() -> Iterator[str]:
    yield "conv1_conv"
    for stage, blocks in STAGES:
        for block in range(1, blocks + 1):
            parts = ["preact_bn", *(["0_conv"] if block == 1 else []), "1_conv", "1_bn", "2_conv", "2_bn", "3_conv"]
            yield from (f"conv{stage}_block{block}_{part}" for part in parts)
    yield from ("post_bn", "predictions")


def mobilenetv1() -> Iterator[str]:
    yield from ("conv1", "conv1_bn")
    for block in range(1, 14):
        for kind in ("dw", "pw"):
            yield from (f"conv_{kind}_{block}", f"conv_{kind}_{block}_bn")
    yield "conv_preds"


def mobilenetv2() -> Iterator[str]:
    yield from ("Conv1", "bn_Conv1")
    for block in range(17):
        prefix = f"block_{block}_" if block else "expanded_conv_"
        for part in ("expand", "depthwise", "project") if block else ("depthwise", "project"):
            yield from (f"{prefix}{part}", f"{prefix}{part}_BN")
    yield from ("Conv_1", "Conv_1_bn", "predictions")


def mobilenetv3small() -> Iterator[str]:
    yield from ("conv", "conv_bn")
    for block in range(11):
        prefix = f"expanded_conv_{block}_" if block else "expanded_conv_"
        yield from (f"{prefix}expand", f"{prefix}expand_bn") if block else ()
        yield from (f"{prefix}depthwise", f"{prefix}depthwise_bn")
        if block not in (1, 2):
            yield from (f"{prefix}squeeze_excite_conv", f"{prefix}squeeze_excite_conv_1")
        yield from (f"{prefix}project", f"{prefix}project_bn")
    yield from ("conv_1", "conv_1_bn", "conv_2", "logits")


def efficientnetb0() -> Iterator[str]:
    yield from ("stem_conv", "stem_bn")
    for stage, blocks in enumerate((1, 2, 2, 3, 3, 4, 1), start=1):
        for block in "abcd"[:blocks]:
            parts = ["expand_conv", "expand_bn"] if stage > 1 else []
            parts += ["dwconv", "bn", "se_reduce", "se_expand", "project_conv", "project_bn"]
            yield from (f"block{stage}{block}_{part}" for part in parts)
    yield from ("top_conv", "top_bn", "predictions")


def densenet121() -> Iterator[str]:
    yield from ("conv1_conv", "conv1_bn")
    for stage, blocks in ((2, 6), (3, 12), (4, 24), (5, 16)):
        for block in range(1, blocks + 1):
            yield from (f"conv{stage}_block{block}_{part}" for part in ("0_bn", "1_conv", "1_bn", "2_conv"))
        yield from (f"pool{stage}_bn", f"pool{stage}_conv") if stage < 5 else ()
    yield from ("bn", "predictions")


def xception() -> Iterator[str]:
    for name in ("block1_conv1", "block1_conv2"):
        yield from (name, f"{name}_bn")
    for block in range(2, 15):
        if block in (2, 3, 4, 13):
            number = {2: "", 3: "_1", 4: "_2", 13: "_3"}[block]
            yield from (f"conv2d{number}", f"batch_normalization{number}")
        for part in range(1, 3 if block in (2, 3, 4, 13, 14) else 4):
            yield from (f"block{block}_sepconv{part}", f"block{block}_sepconv{part}_bn")
    yield "predictions"


def vgg16() -> Iterator[str]:
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
        yield from (f"block{block}_conv{number}" for number in range(1, count + 1))
    yield from ("fc1", "fc2", "predictions")


def convnexttiny() -> Iterator[str]:
    prefix = "convnext_tiny_"
    yield from (f"{prefix}stem_conv", f"{prefix}stem_layernorm")
    for stage, blocks in enumerate((3, 3, 9, 3)):
        yield from (f"{prefix}downsampling_{part}_{stage - 1}" for part in ("layernorm", "conv")) if stage else ()
        for block in range(blocks):
            parts = ("depthwise_conv", "layernorm", "pointwise_conv_1", "pointwise_conv_2", "layer_scale")
            yield from (f"{prefix}stage_{stage}_block_{block}_{part}" for part in parts)
    yield from (f"{prefix}head_layernorm", f"{prefix}head_dense")


NAMES = {
    builder.__name__: builder
    for builder in (
        *(resnet50, resnet50v2, mobilenetv1, mobilenetv2, mobilenetv3small),
        *(efficientnetb0, densenet121, xception, vgg16, convnexttiny),
    )
}
"""For each network the names of Keras' layers with weights, in the order of the spec."""
WITHOUT_NORMALIZATION = {"efficientnetb0": 7}
"""Statistics of Keras' Normalization, which changes nothing before it has been adapted."""


def network(name: str, *changes: str) -> Network:
    spec = load(ROOT / "configs" / "networks" / f"{name}.yaml", changes)
    return Network(spec.model, spec.compile.loss, batch_size=1)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_has_the_parameters_of_keras_applications(name):
    with np.load(FIXTURE) as arrays:
        expected = int(arrays[f"{name}/parameters"]) - WITHOUT_NORMALIZATION.get(name, 0)
    assert sum(array.size for array in network(name).tensors().values()) == expected


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_with_the_same_weights_a_network_has_the_outputs_of_keras_applications(name):
    given = image(name)
    shape = f"model.input_shape={list(given.shape[1:])}"
    made = network(name, shape, "data.dataset.synthetic.train=1000", "model.layers.predictions.activation=linear")
    layers = dict.fromkeys(key.rpartition("/")[0] for key in made.tensors())
    keras = dict(zip(layers, NAMES[name](), strict=True))
    for key, array in made.tensors().items():
        layer, _, kind = key.rpartition("/")
        array[...] = weight(keras[layer], kind, array.shape)
    made.inputs[...] = given
    made.predict(1)
    (outputs,) = made.predictions.values()
    with np.load(FIXTURE) as arrays:
        expected = arrays[f"{name}/outputs"]
    np.testing.assert_allclose(outputs[0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())
