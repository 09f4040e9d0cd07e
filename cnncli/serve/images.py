"""Images in the bodies of requests."""

import base64
import binascii
from io import BytesIO

from PIL import Image

from cnncli.datasets.sources.image_files import READERS, UnusableError, read_errors


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


def decoded(text: object) -> bytes:
    """The bytes of base64, also of a data URL. Raises UnusableError."""
    if not isinstance(text, str):
        raise UnusableError(f"an image in JSON must be base64, as a string; received {type(text).__name__}")
    try:
        return base64.b64decode(text.partition("base64,")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError):
        raise UnusableError("an image in JSON must be base64; it has other characters, or has been cut off") from None
