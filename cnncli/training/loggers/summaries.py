"""What TensorBoard's pages read, as the protobuf messages of its plugins: tensorflow's summary.proto, graph.proto, and
tensorboard/plugins/hparams/plugin_data.proto.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cnncli.datasets.images.as_image import as_image
from cnncli.graph.model import INPUT, Model, lower
from cnncli.protobuf import put_bytes, put_double, put_integer
from cnncli.training.events import WrongImage

Array = np.ndarray[Any, Any]
FLOAT, DOUBLE, STRING = 1, 2, 7
"""Data types of tensors."""
SCALARS, TENSORS, BLOBS = 1, 2, 3
"""Data classes of summaries."""
BUCKETS = 30
"""Of a histogram, as many as Keras' has."""
NARROWEST, LINE, LETTERS = 192, 16, 11
"""Pixels: of the width of an image, below which it is enlarged, and of its title's height and letters."""


def scalar(tag: str, value: float) -> bytes:
    """A number: a Summary.Value."""
    tensor = put_integer(1, FLOAT) + _shape(()) + put_bytes(5, np.float32(value).astype("<f4").tobytes())
    return _value(tag, "scalars", SCALARS, tensor)


def histogram(tag: str, values: Array) -> bytes:
    """The distribution of the finite ones of `values`: rows of (left, right, count)."""
    finite = values[np.isfinite(values)]
    counts, edges = np.histogram(finite, BUCKETS, None if finite.size else (0, 1))
    rows = np.stack([edges[:-1], edges[1:], counts], 1).astype("<f8")
    tensor = put_integer(1, DOUBLE) + _shape(rows.shape) + put_bytes(4, rows.tobytes())
    return _value(tag, "histograms", TENSORS, tensor)


def images(tag: str, pictures: Sequence[WrongImage], description: str) -> bytes:
    """Images, all of one size, with their titles, as PNG; `description` is Markdown."""
    drawn = list(map(_titled, pictures))
    strings: list[str | bytes] = [str(drawn[0].width), str(drawn[0].height), *map(_png, drawn)]
    tensor = put_integer(1, STRING) + _shape((len(strings),)) + b"".join(put_bytes(8, one) for one in strings)
    return _value(tag, "images", BLOBS, tensor, description)


def graph(model: Model) -> bytes:
    """The layers as a GraphDef."""
    outputs = lower(model).outputs
    nodes = [_node(INPUT, "Input", (), model.input_shape)]
    nodes += [
        _node(node.name, type(node.layer).__name__, node.inputs, outputs[node.name].shape) for node in model.nodes
    ]
    return b"".join(put_bytes(1, node) for node in nodes)


def session_start(name: str, values: Mapping[str, float | str | bool], began: float) -> bytes:
    """The hyperparameters of a run, which begins."""
    entries = (put_bytes(1, put_bytes(1, key) + put_bytes(2, _any(value))) for key, value in values.items())
    return _hparams("session_start_info", 3, b"".join(entries) + put_bytes(4, name) + put_double(5, began))


def session_end(ended: float, *, success: bool) -> bytes:
    """The end of a run."""
    return _hparams("session_end_info", 4, put_integer(1, 1 if success else 2) + put_double(2, ended))


def _hparams(what: str, field: int, message: bytes) -> bytes:
    content = put_bytes(field, message)
    return put_bytes(1, f"_hparams_/{what}") + put_bytes(
        9, put_bytes(1, put_bytes(1, "hparams") + put_bytes(2, content))
    )


def _value(tag: str, plugin: str, kind: int, tensor: bytes, description: str = "") -> bytes:
    """A Summary.Value with a tensor."""
    metadata = (
        put_bytes(1, put_bytes(1, plugin)) + (put_bytes(3, description) if description else b"") + put_integer(4, kind)
    )
    return put_bytes(1, tag) + put_bytes(8, tensor) + put_bytes(9, metadata)


def _shape(shape: Sequence[int]) -> bytes:
    """A tensor's shape, as its field."""
    return put_bytes(2, _dimensions(shape))


def _dimensions(shape: Sequence[int]) -> bytes:
    return b"".join(put_bytes(2, put_integer(1, length)) for length in shape)


def _node(name: str, operation: str, inputs: Sequence[str], shape: Sequence[int]) -> bytes:
    """A NodeDef with the shape of its output, for any batch size."""
    shapes = put_bytes(1, put_bytes(7, _dimensions((-1, *shape))))
    attribute = put_bytes(1, "_output_shapes") + put_bytes(2, shapes)
    return (
        put_bytes(1, name)
        + put_bytes(2, operation)
        + b"".join(put_bytes(3, one) for one in inputs)
        + put_bytes(5, attribute)
    )


def _any(value: float | str | bool) -> bytes:
    """A google.protobuf.Value."""
    if isinstance(value, bool):
        return put_integer(4, value)
    return put_bytes(3, value) if isinstance(value, str) else put_double(2, value)


def _titled(picture: WrongImage) -> Image.Image:
    """The image, enlarged if it is small, below its title."""
    image = as_image(picture.image)
    factor = -(-NARROWEST // image.width)
    width, height = image.width * factor, image.height * factor
    sheet = Image.new("RGB", (width, height + LINE), "white")
    sheet.paste(image.resize((width, height), Image.Resampling.NEAREST), (0, LINE))
    ImageDraw.Draw(sheet).text((2, 1), picture.title, "black", ImageFont.load_default(LETTERS))
    return sheet


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "png")
    return content.getvalue()
