"""The networks of `cnncli init`: the lines of a spec's `model` section, adapted to the image size and classes."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cnncli.datasets.files import shipped


class Choice(NamedTuple):
    """`file`: the spec in `configs/` whose network it is; "" for one that is adapted to the images.

    `about`: what it is, and what to try. `least`: the shortest side of an image, in pixels.
    """

    file: str
    about: str
    least: int = 8


MODELS: dict[str, Choice] = {
    "small": Choice("", "Two to four convolutions. Try more filters, another stage, or --model resnet20."),
    "vgg": Choice("vgg_small", "Six 3 × 3 convolutions. Try fewer filters, or BatchNormalization after each Conv2D."),
    "resnet20": Choice("resnet20", "ResNet-20. Try more repeats of a stage, or twice as many filters."),
    "mobilenet": Choice("mobilenet_small", "A small MobileNet. Try more repeats of the last block, or wider ones."),
    "resnet18": Choice("networks/resnet18", "ResNet-18: residual blocks of two 3 × 3 convolutions.", 32),
    "resnet50": Choice("networks/resnet50", "ResNet-50: residual blocks with bottlenecks.", 32),
    "resnet50v2": Choice("networks/resnet50v2", "ResNet-50 with normalization before convolutions.", 32),
    "mobilenetv1": Choice("networks/mobilenetv1", "MobileNet: depthwise separable convolutions.", 32),
    "mobilenetv2": Choice("networks/mobilenetv2", "MobileNetV2: inverted residuals; few parameters.", 32),
    "mobilenetv3small": Choice("networks/mobilenetv3small", "MobileNetV3-Small: the fastest of these networks.", 32),
    "efficientnetb0": Choice("networks/efficientnetb0", "EfficientNet-B0: accurate for its parameters.", 32),
    "densenet121": Choice("networks/densenet121", "DenseNet-121: layers read all earlier ones.", 32),
    "xception": Choice("networks/xception", "Xception: separable convolutions with residuals.", 71),
    "convnexttiny": Choice("networks/convnexttiny", "ConvNeXt-Tiny: large depthwise kernels; slow, accurate.", 32),
    "vgg16": Choice("networks/vgg16", "VGG-16: 3 × 3 convolutions; many parameters.", 32),
}
"""By their --model name."""
RATES = Path(__file__).with_name("rates.json")
"""Images/s that the networks of MODELS train, and the "machine": written when docs/benchmarks.md is measured."""
UNET = "A small U-Net (Ronneberger, Fischer, Brox 2015); try more filters, or one more step down and up."
NORMALIZATION = re.compile(r"(?m)BatchNormalization(?:: \{([^}]*)\})?(?: *#.*)?$")
MOMENTUM = "momentum: 0.9"
"""Keras' default momentum, 0.99, needs hundreds of batches; a folder may have ten per epoch."""
STAGE = f"""\
  blocks:
    stage:                       # extracts features and halves the image size
      parameters: [filters]
      layers:
        - Conv2D: {{filters: $filters, kernel_size: 3, padding: same, use_bias: false}}
        - BatchNormalization: {{{MOMENTUM}}}
        - ReLU
        - MaxPooling2D""".splitlines()
HEAD = ("    - Flatten", "    - Dropout: {rate: 0.3}", "    - Dense: {units: 128, activation: relu}")
LEAST_PHOTO, LEAST_DEEP = 40, 64
"""Shorter side in pixels from which the small network has three and four stages."""
LARGEST_FLAT = 64
"""Side in pixels above which a VGG uses global average pooling: Flatten would add millions of weights."""


def rates() -> tuple[str, Mapping[str, float]]:
    """The machine on which training has been timed, and the images/s by --model name."""
    found = json.loads(RATES.read_text(encoding="utf-8"))
    return found["machine"], found["images_per_second"]


def network(model: str, size: tuple[int, int], output: str) -> list[str]:
    """The lines under `model:` for images of `size`, at least 8 × 8; `output`: the arguments of the last layer."""
    file = MODELS[model].file
    return _shipped(file, size, output) if file else _small(size, output)


def unet(output: str) -> list[str]:
    """The lines under `model:` for masks: the U-Net of configs/segmentation.yaml."""
    *lines, _ = _section("segmentation")
    return [*lines, f"    - Conv2D: {output}"]


def _small(size: tuple[int, int], output: str) -> list[str]:
    """Two convolutions for small images; for larger images one stage per halving, with batch normalization."""
    if min(size) < LEAST_PHOTO:
        return ["  layers:", *_convolutions(32, 64), *HEAD, f"    - Dense: {output}"]
    filters = (32, 64, 128) if min(size) < LEAST_DEEP else (16, 32, 64, 128)
    stages = [f"    - stage: {{filters: {number}}}" for number in filters]
    pooled = ["    - GlobalAveragePooling2D", "    - Dropout: {rate: 0.3}", f"    - Dense: {output}"]
    return [*STAGE, "  layers:", *stages, *pooled]


def _convolutions(*filters: int) -> Iterator[str]:
    for number in filters:
        yield f"    - Conv2D: {{filters: {number}, kernel_size: 3, padding: same, activation: relu}}"
        yield "    - MaxPooling2D"


def _shipped(name: str, size: tuple[int, int], output: str) -> list[str]:
    section = "\n".join(_section(name))
    section = re.sub(r"Dense: \{(name: predictions, )?units: \d+, activation: softmax\}", f"Dense: {output}", section)
    section = NORMALIZATION.sub(_settled, section)
    if max(size) > LARGEST_FLAT:
        section = section.replace("    - Flatten", "    - GlobalAveragePooling2D")
    return section.splitlines()


def _settled(found: re.Match[str]) -> str:
    """The normalization with another momentum, and its other arguments."""
    kept = [part for part in (found[1] or "").split(", ") if part and not part.startswith("momentum")]
    return f"BatchNormalization: {{{', '.join([*kept, MOMENTUM])}}}"


def _section(name: str) -> list[str]:
    """The lines under `model:` of a shipped spec, without input_shape."""
    text = (shipped("configs") / f"{name}.yaml").read_text(encoding="utf-8")
    section = text.partition("\nmodel:\n")[2].partition("\ncompile:\n")[0]
    return re.sub(r"^  input_shape: .*\n", "", section, flags=re.MULTILINE).rstrip().splitlines()
