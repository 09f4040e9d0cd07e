"""Images in the bodies of requests, and what the network is fed of them."""

import base64
import binascii
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import Image

from cnncli.datasets.images.decode import Form, pixels
from cnncli.datasets.sources.image_files import READERS, UnusableError, read_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray


def opened(content: bytes, most_pixels: int) -> Image.Image:
    """An encoded image, of which only the header has been read. Raises UnusableError."""
    if not content:
        raise UnusableError("an image must not be empty; received 0 bytes")
    with read_errors():
        image = Image.open(BytesIO(content), formats=READERS)
        if image.width * image.height > most_pixels:
            raise UnusableError(
                f"an image must have at most {most_pixels:,} pixels; it has {image.width * image.height:,}"
            )
        return image


def prepared(content: bytes, most_pixels: int, form: Form) -> "NDArray[Any]":
    """An encoded image as the model takes it, uint8 or float32 (H, W, C). Raises UnusableError."""
    with read_errors(), opened(content, most_pixels) as image:
        found: NDArray[Any] = pixels(image, form)
        return found


def decoded(text: object) -> bytes:
    """The bytes of base64, also of a data URL. Raises UnusableError."""
    if not isinstance(text, str):
        raise UnusableError(f"an image in JSON must be base64, as a string; received {type(text).__name__}")
    try:
        return base64.b64decode(text.partition("base64,")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError):
        raise UnusableError("an image in JSON must be base64; it has other characters, or has been cut off") from None
