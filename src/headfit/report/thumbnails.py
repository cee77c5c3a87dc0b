"""Thumbnails inside the page, as the network sees images: stretched to a square."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath, PureWindowsPath

from PIL import Image

from headfit.errors import ImageError
from headfit.images.decode import decode
from headfit.images.sources.source import ImageSource

SIDE = 96
QUALITY = 70
MOST = 120
"""Thumbnails in a page; each takes about 4 kB and a few milliseconds."""


def thumbnails(
    source: ImageSource | None, paths: Iterable[str], side: int = SIDE
) -> dict[str, str]:
    """Make data URIs of the first 120 images.

    Args:
        source: source of the images; None if it is unknown or gone.
        paths: paths within the source; those that lead out of it or cannot be read are left out.
        side: side of the thumbnails in pixels.

    Returns:
        For each path its ``data:image/jpeg;base64,…``.
    """
    if source is None:
        return {}
    wanted = [path for path in dict.fromkeys(paths) if _inside(path)][:MOST]
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda path: _thumbnail(source, path, side), wanted)
        return {path: uri for path, uri in zip(wanted, made, strict=True) if uri}


def _inside(path: str) -> bool:
    # results may come from anywhere, and name any file
    kinds = (PurePosixPath(path), PureWindowsPath(path))
    return not any(kind.anchor or ".." in kind.parts for kind in kinds)


def _thumbnail(source: ImageSource, path: str, side: int) -> str:
    try:
        pixels = decode(source.read_bytes(path), side, side)
    except ImageError:
        return ""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
