"""torchvision's networks by the names of their weights: the layers that a state dict does not say."""

from collections.abc import Callable, Mapping

from cnncli.interop.incoming.draft import UnsupportedError
from cnncli.interop.torch.state import State

Builder = Callable[[State], None]
MOBILE_STRIDES = {2: 2, 4: 2, 7: 2, 14: 2}
"""Blocks of MobileNetV2 that halve the image; the others keep its size."""


def resnet(state: State) -> None:
    """ResNet, ResNeXt and Wide ResNet (torchvision/models/resnet.py)."""
    state.conv("conv1", strides=2, padding=3)
    state.norm("bn1")
    state.layer("ReLU", "relu")
    state.pool("maxpool", 3, 2, 1)
    for stage in range(1, 5):
        for block in state.numbers(f"layer{stage}."):
            _residual(state, f"layer{stage}.{block}", strides=2 if stage > 1 and block == 0 else 1)
    state.layer("GlobalAveragePooling2D", "avgpool")
    state.dense("fc")


def _residual(state: State, name: str, *, strides: int) -> None:
    x = state.last
    deep = f"{name}.conv3.weight" in state.weights
    y = state.conv(f"{name}.conv1", x, strides=1 if deep else strides)
    channels = len(state.weights.get(f"{name}.bn1.weight", ()))
    state.norm(f"{name}.bn1", y)
    state.layer("ReLU", f"{name}.relu1")
    per_group = state.weights[f"{name}.conv2.weight"].shape[1] if f"{name}.conv2.weight" in state.weights else 1
    state.conv(f"{name}.conv2", strides=strides if deep else 1, groups=max(1, channels // max(1, per_group)))
    y = state.norm(f"{name}.bn2")
    if deep:
        state.layer("ReLU", f"{name}.relu2")
        state.conv(f"{name}.conv3")
        y = state.norm(f"{name}.bn3")
    if f"{name}.downsample.0.weight" in state.weights:
        x = state.norm(f"{name}.downsample.1", state.conv(f"{name}.downsample.0", x, strides=strides))
    state.layer("Add", f"{name}.add", y, x)
    state.layer("ReLU", f"{name}.relu")


def vgg(state: State) -> None:
    """VGG-11 to VGG-19, with or without batch normalization (torchvision/models/vgg.py)."""
    numbers = state.numbers("features.")
    place, pools = 0, 0
    while numbers:
        if place < numbers[0]:  # what has no weights and is no activation is a pool
            state.pool(f"features.{place}", 2, 2)
            place, pools = place + 1, pools + 1
            continue
        state.conv(f"features.{place}")
        place += 1
        if f"features.{place}.running_mean" in state.weights:
            state.norm(f"features.{place}")
            place += 1
        state.layer("ReLU", f"features.{place}")
        place += 1
        numbers = state.numbers("features.")
    state.pool(f"features.{place}", 2, 2)
    if pools != 4:
        raise UnsupportedError("it is no VGG: it has not five stages")
    state.layer("AdaptiveAveragePooling2D", "avgpool", output_size=7)
    state.layer("Flatten", "flatten")
    for number in (0, 3):
        state.dense(f"classifier.{number}", image=(7, 7) if number == 0 else None)
        state.layer("ReLU", f"classifier.{number + 1}")
        state.layer("Dropout", f"classifier.{number + 2}", rate=0.5)
    state.dense("classifier.6")


def alexnet(state: State) -> None:
    """AlexNet (torchvision/models/alexnet.py)."""
    for number, strides, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
        state.conv(f"features.{number}", strides=strides, padding=padding)
        state.layer("ReLU", f"features.{number + 1}")
        if number in (0, 3, 10):
            state.pool(f"features.{number + 2}", 3, 2)
    state.layer("AdaptiveAveragePooling2D", "avgpool", output_size=6)
    state.layer("Flatten", "flatten")
    for number in (1, 4):
        state.layer("Dropout", f"classifier.{number - 1}", rate=0.5)
        state.dense(f"classifier.{number}", image=(6, 6) if number == 1 else None)
        state.layer("ReLU", f"classifier.{number + 1}")
    state.dense("classifier.6")


def mobilenet_v2(state: State) -> None:
    """MobileNetV2 (torchvision/models/mobilenetv2.py)."""
    *blocks, last = state.numbers("features.")[1:]
    _normalized(state, "features.0", strides=2)
    for block in blocks:
        x, name = state.last, f"features.{block}.conv"
        strides = MOBILE_STRIDES.get(block, 1)
        number = 0
        if f"{name}.1.0.weight" in state.weights:
            _normalized(state, f"{name}.0")
            number = 1
        _normalized(state, f"{name}.{number}", strides=strides, apart=True)
        y = state.conv(f"{name}.{number + 1}")
        y = state.norm(f"{name}.{number + 2}", y)
        if strides == 1 and _channels(state, x) == _channels(state, y):
            state.layer("Add", f"features.{block}.add", x, y)
    _normalized(state, f"features.{last}")
    state.layer("GlobalAveragePooling2D", "pool")
    state.layer("Dropout", "classifier.0", rate=0.2)
    state.dense("classifier.1")


def _normalized(state: State, name: str, *, strides: int = 1, apart: bool = False) -> None:
    """A convolution with normalization and relu6; `apart`: of each channel by itself."""
    groups = len(state.weights.get(f"{name}.1.weight", ())) if apart else 1
    state.conv(f"{name}.0", strides=strides, groups=groups)
    state.norm(f"{name}.1")
    state.layer("ReLU", f"{name}.2", max_value=6.0)


def _channels(state: State, name: str) -> int:
    """The channels of a normalization, or of the sum of two."""
    entry = next(entry for entry in state.entries if entry.name == name)
    return len(entry.weights["gamma"]) if entry.kind == "BatchNormalization" else _channels(state, entry.inputs[-1])


def densenet(state: State) -> None:
    """DenseNet-121 to DenseNet-201 (torchvision/models/densenet.py)."""
    state.conv("features.conv0", strides=2, padding=3)
    state.norm("features.norm0")
    state.layer("ReLU", "features.relu0")
    x = state.pool("features.pool0", 3, 2, 1)
    for stage in range(1, 5):
        name = f"features.denseblock{stage}.denselayer"
        for number in state.numbers(name):
            for part in ("1", "2"):
                state.norm(f"{name}{number}.norm{part}", x if part == "1" else "")
                state.layer("ReLU", f"{name}{number}.relu{part}")
                y = state.conv(f"{name}{number}.conv{part}")
            x = state.layer("Concatenate", f"{name}{number}.concatenate", x, y)
        if f"features.transition{stage}.conv.weight" in state.weights:
            name = f"features.transition{stage}"
            state.norm(f"{name}.norm", x)
            state.layer("ReLU", f"{name}.relu")
            state.conv(f"{name}.conv")
            x = state.layer("AveragePooling2D", f"{name}.pool", pool_size=2)
    state.norm("features.norm5", x)
    state.layer("ReLU", "features.relu5")
    state.layer("GlobalAveragePooling2D", "pool")
    state.dense("classifier")


NETWORKS: Mapping[str, tuple[Builder, frozenset[str]]] = {
    "ResNet": (resnet, frozenset({"layer1.0.conv1.weight", "layer4.0.bn1.weight", "fc.weight"})),
    "DenseNet": (densenet, frozenset({"features.denseblock1.denselayer1.norm1.weight", "classifier.weight"})),
    "MobileNetV2": (mobilenet_v2, frozenset({"features.1.conv.0.0.weight", "features.2.conv.1.0.weight"})),
    "AlexNet": (alexnet, frozenset({"features.10.weight", "features.8.weight", "classifier.1.weight"})),
    "VGG": (vgg, frozenset({"features.0.weight", "classifier.0.weight", "classifier.6.weight"})),
}
"""Builders of networks, each with names that only its weights have."""
