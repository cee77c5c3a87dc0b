"""Image files to RGB pixels, by the decoding rules ``pillow-draft/1``.

The rules, each of which changes pixels: the first frame or page; EXIF orientation applied; a JPEG
is decoded at the smallest of its built-in scales (1, 1/2, 1/4, 1/8) that is at least twice the
target; transparent pixels over white; grey and colour of more than 8 bits by the depth of the data
set;
bilinear, antialiased resizing to the target. Colour profiles are not applied. A change of any rule
needs a new decoder version.

Safe to call from many threads: Pillow releases the GIL, and nothing global is changed.
Pillow warns of damaged metadata through ``warnings``; a program can ignore the warnings of
module ``PIL`` once, at its start.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.Image import Transpose
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from headfit.errors import ImageError
from headfit.images.budget import MEMORY, ORIENTATION_TAG, memory_of
from headfit.images.contract import check_side
from headfit.images.depth import PLAIN, Depth
from headfit.images.flatten import load, shrink
from headfit.images.gate import MAX_BYTES, Work, check_size, let_through, safely
from headfit.images.helper import decode_apart
from headfit.images.structure import Look, check_exif

EIGHT_BIT_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".bmp", ".gif"})
IMAGE_SUFFIXES = EIGHT_BIT_SUFFIXES | {".png", ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif"}

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def read_bytes(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file; links are followed.
        max_bytes: the largest size that is accepted.

    Raises:
        ImageError: the file does not exist, is not readable, is too large, or is a folder, FIFO or
            device. The message is the reason alone, without the path.
    """
    try:
        with open_file(path, max_bytes) as stream:
            return stream.readall()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error


def open_file(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> io.FileIO:
    """Open a regular file, and raise an error as :func:`read_bytes` does."""
    try:
        file = path if isinstance(path, Path) else Path(path)
        status = file.stat()
        # before opening, which would wait for the writer of a FIFO
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a regular file")
        if status.st_size > max_bytes:
            raise ImageError(f"too large: {status.st_size:,} bytes; the limit is {max_bytes:,}")
        return file.open("rb", buffering=0)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise ImageError(getattr(error, "strerror", None) or str(error)) from error


def decode(data: bytes, height: int, width: int, depth: Depth = PLAIN) -> np.ndarray:
    """Decode an image file to the size that a network takes.

    Args:
        data: the file's content: JPEG, PNG, WEBP, AVIF, HEIC, BMP, GIF or TIFF.
        height: rows to return, in pixels.
        width: columns to return, in pixels.
        depth: black and white in images of more than 8 bits, of the data set.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageError: the content cannot be decoded. The message is a short reason.
        UsageError: height or width is not from 1 to 4096.
    """
    check_side("height", height)
    check_side("width", width)
    return _decode(data, height, width, depth, apart=True)


def decode_here(data: bytes, height: int, width: int, depth: Depth = PLAIN) -> np.ndarray:
    """Decode an image file as :func:`decode` does, in this process however long it takes."""
    return _decode(data, height, width, depth, apart=False)


def resize(image: Image.Image, height: int, width: int, depth: Depth = PLAIN) -> np.ndarray:
    """Bring a Pillow image to the size that a network takes, as :func:`decode` does a file.

    Only the first step is left out: a large JPEG is not decoded at a smaller scale.

    Args:
        image: in any mode.
        height: rows to return, in pixels.
        width: columns to return, in pixels.
        depth: black and white in images of more than 8 bits, of the data set.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageError: the image cannot be decoded; the message is a short reason.
    """
    check_size(*image.size)
    memory = safely(image, lambda each: memory_of(each, Look(), 0, max(height, width)))
    with MEMORY.take(memory):
        return safely(image, lambda each: _resize(each, height, width, depth))


def _decode(data: bytes, height: int, width: int, depth: Depth, *, apart: bool) -> np.ndarray:
    def prepare(image: ImageFile) -> int:
        if isinstance(image, JpegImageFile):
            columns, rows = _stored_size(_orientation(image), width, height)
            image.draft(None, (2 * columns, 2 * rows))
        return max(height, width)  # it may have to be turned

    work = Work(
        prepare,
        lambda image: _resize(image, height, width, depth),
        lambda memory: decode_apart(data, height, width, depth, memory),
    )
    return let_through(data, work, apart=apart)


def _resize(image: Image.Image, height: int, width: int, depth: Depth) -> np.ndarray:
    values = load(image)
    # only now, since Pillow itself turns a TIFF upright while it loads, and drops the tag
    orientation = _orientation(image)
    # resized before turned: turning the few pixels of the target costs nothing
    small = shrink(image, values, _stored_size(orientation, width, height), depth)
    if orientation in _UPRIGHT:
        small = small.transpose(_UPRIGHT[orientation])
    return np.array(small.convert("RGB") if small.mode != "RGB" else small)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if the metadata are damaged."""
    try:
        check_exif(image.info.get("exif", b""))
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:
        return 1
    return value if value in _UPRIGHT else 1


def _stored_size(orientation: int, width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of the target before the image is turned upright."""
    return (height, width) if orientation >= 5 else (width, height)
