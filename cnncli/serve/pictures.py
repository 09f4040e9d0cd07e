"""Pictures in answers."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def png(pixels: "np.ndarray[Any, Any]") -> str:
    """Uint8 (H, W, 3) as the data URL of a PNG file."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
