"""The networks that `cnncli init` offers: the lines of a spec's `model` section, fitted to images and classes."""

import re
from collections.abc import Iterator

from cnncli.datasets.files import shipped

SHIPPED = {"vgg": "vgg_small", "resnet20": "resnet20", "mobilenet": "mobilenet_small"}
"""Those that are in `configs/`, by the name that --model has for them."""
MODELS = ("small", *SHIPPED)
SETTLED = "BatchNormalization: {momentum: 0.9}"
"""Keras' momentum, 0.99, takes some hundred batches; a folder may have ten an epoch."""
STAGE = f"""\
  blocks:
    stage:                       # looks around, and halves the image
      parameters: [filters]
      layers:
        - Conv2D: {{filters: $filters, kernel_size: 3, padding: same, use_bias: false}}
        - {SETTLED}
        - ReLU
        - MaxPooling2D""".splitlines()
HEAD = ("    - Flatten", "    - Dropout: {rate: 0.3}", "    - Dense: {units: 128, activation: relu}")
LEAST_PHOTO, LEAST_DEEP = 40, 64
"""Pixels of the shorter side from which on the small network has three stages, and four."""
LARGEST_FLAT = 64
"""Pixels of a side from which on a VGG's last maps are averaged: Flatten would make millions of weights."""


def network(model: str, size: tuple[int, int], output: str) -> list[str]:
    """The lines under `model:` for images of `size`, at least 8 × 8; `output`: the last layer's arguments."""
    return _small(size, output) if model not in SHIPPED else _shipped(SHIPPED[model], size, output)


def _small(size: tuple[int, int], output: str) -> list[str]:
    """The seed network for digits and the like; for larger images a stage for each halving, with normalization."""
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
    text = (shipped("configs") / f"{name}.yaml").read_text(encoding="utf-8")
    section = text.partition("\nmodel:\n")[2].partition("\ncompile:\n")[0]
    section = re.sub(r"^  input_shape: .*\n", "", section, flags=re.MULTILINE)
    section = re.sub(r"Dense: \{units: \d+, activation: softmax\}", f"Dense: {output}", section)
    section = re.sub(r"BatchNormalization(: \{momentum: 0.9\}.*)?$", SETTLED, section, flags=re.MULTILINE)
    if max(size) > LARGEST_FLAT:
        section = section.replace("    - Flatten", "    - GlobalAveragePooling2D")
    return section.rstrip().splitlines()
