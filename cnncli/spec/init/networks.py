"""The networks of `cnncli init`: the lines of a spec's `model` section, adapted to the image size and classes."""

import re
from collections.abc import Iterator

from cnncli.datasets.files import shipped

SHIPPED = {"vgg": "vgg_small", "resnet20": "resnet20", "mobilenet": "mobilenet_small"}
"""Networks from `configs/`, by their --model name."""
MODELS = ("small", *SHIPPED)
SETTLED = "BatchNormalization: {momentum: 0.9}"
"""Keras' default momentum, 0.99, needs hundreds of batches; a folder may have ten per epoch."""
STAGE = f"""\
  blocks:
    stage:                       # extracts features and halves the image size
      parameters: [filters]
      layers:
        - Conv2D: {{filters: $filters, kernel_size: 3, padding: same, use_bias: false}}
        - {SETTLED}
        - ReLU
        - MaxPooling2D""".splitlines()
HEAD = ("    - Flatten", "    - Dropout: {rate: 0.3}", "    - Dense: {units: 128, activation: relu}")
LEAST_PHOTO, LEAST_DEEP = 40, 64
"""Shorter side in pixels from which the small network has three and four stages."""
LARGEST_FLAT = 64
"""Side in pixels above which a VGG uses global average pooling: Flatten would add millions of weights."""


def network(model: str, size: tuple[int, int], output: str) -> list[str]:
    """The lines under `model:` for images of `size`, at least 8 × 8; `output`: the arguments of the last layer."""
    return _small(size, output) if model not in SHIPPED else _shipped(SHIPPED[model], size, output)


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
    section = re.sub(r"Dense: \{units: \d+, activation: softmax\}", f"Dense: {output}", section)
    section = re.sub(r"BatchNormalization(: \{momentum: 0.9\}.*)?$", SETTLED, section, flags=re.MULTILINE)
    if max(size) > LARGEST_FLAT:
        section = section.replace("    - Flatten", "    - GlobalAveragePooling2D")
    return section.splitlines()


def _section(name: str) -> list[str]:
    """The lines under `model:` of a shipped spec, without input_shape."""
    text = (shipped("configs") / f"{name}.yaml").read_text(encoding="utf-8")
    section = text.partition("\nmodel:\n")[2].partition("\ncompile:\n")[0]
    return re.sub(r"^  input_shape: .*\n", "", section, flags=re.MULTILINE).rstrip().splitlines()
