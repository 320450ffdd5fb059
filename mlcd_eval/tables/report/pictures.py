"""A picture of a page: a WebP file in its address."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from mlcd_eval.tables.report.examples import Picture


def as_picture(name: str, alt: str, pixels: np.ndarray) -> Picture:
    """A WebP file as a picture. pixels: (h, w, 3), uint8."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=75)
    uri = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(name, alt, uri, (pixels.shape[1], pixels.shape[0]))
