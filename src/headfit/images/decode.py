"""Image files to RGB pixels, by the decoding rules ``pillow-draft/1``.

The rules, each of which changes pixels: the first frame or page; EXIF orientation applied; a JPEG
is decoded at the smallest of its built-in scales (1, 1/2, 1/4, 1/8) that is at least twice the
target; transparent pixels over white; 16-bit grey reduced to 8 bits; bilinear, antialiased resizing
to the target. Colour profiles are not applied. A change of any rule needs a new decoder version.

Safe to call from many threads: Pillow releases the GIL, and nothing global is changed. The readers
are called directly, not through ``Image.open``, which tries every reader and reports oversized
pictures through ``warnings``, whose filters belong to the whole process.
Pillow still warns of damaged metadata through ``warnings``; a program can ignore the warnings of
module ``PIL`` once, at its start.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import Resampling, Transpose
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from headfit.errors import ImageError
from headfit.images.contract import check_side

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
)
MAX_BYTES = 200_000_000
MAX_PIXELS = 200_000_000
# a strip one pixel wide passes MAX_PIXELS, but resizing it would need gigabytes
MAX_SIDE = 100_000

# the allow-list; an MPO (stereo pair, phone panorama) is a JPEG that is followed by others
_READERS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"RIFF", WebPImageFile),
    (b"GIF8", GifImageFile),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
    (b"II+\0", TiffImageFile),
    (b"MM\0+", TiffImageFile),
)

_ORIENTATION_TAG = 0x0112
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
        file = path if isinstance(path, Path) else Path(path)
        status = file.stat()
        # before opening, which would wait for the writer of a FIFO
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a regular file")
        if status.st_size > max_bytes:
            raise ImageError(f"too large: {status.st_size:,} bytes; the limit is {max_bytes:,}")
        with file.open("rb", buffering=0) as stream:
            return stream.readall()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise ImageError(getattr(error, "strerror", None) or str(error)) from error


def decode(data: bytes, height: int, width: int) -> np.ndarray:
    """Decode an image file to the size that a network takes.

    Args:
        data: the file's content: JPEG, PNG, WEBP, BMP, GIF or TIFF.
        height: rows to return, in pixels.
        width: columns to return, in pixels.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageError: the content cannot be decoded. The message is a short reason.
        UsageError: height or width is not from 1 to 4096.
    """
    check_side("height", height)
    check_side("width", width)
    reader = _find_reader(data)
    try:
        return _decode(reader, data, height, width)
    except ImageError:
        raise
    # on hostile bytes decoders raise anything: struct.error, KeyError, MemoryError, ...
    except Exception as error:
        raise ImageError(_reason(str(reader.format), error)) from error


def resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    """Bring a Pillow image to the size that a network takes, as :func:`decode` does a file.

    Only the first step is left out: a large JPEG is not decoded at a smaller scale.

    Args:
        image: in any mode.
        height: rows to return, in pixels.
        width: columns to return, in pixels.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageError: the image cannot be decoded; the message is a short reason.
    """
    try:
        _check_size(*image.size)
        return _resize(image, height, width)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(_reason(str(image.format or "image"), error)) from error


def _find_reader(data: bytes) -> type[ImageFile.ImageFile]:
    if not data:
        raise ImageError("empty file")
    for start, reader in _READERS:
        if data.startswith(start) and (start != b"RIFF" or data[8:12] == b"WEBP"):
            return reader
    raise ImageError("not a JPEG, PNG, WEBP, BMP, GIF or TIFF file")


def _reason(kind: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too many pixels for one {kind}"
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"truncated {kind}"
    return f"damaged {kind} ({text[:80] or type(error).__name__})"


def _decode(reader: type[ImageFile.ImageFile], data: bytes, height: int, width: int) -> np.ndarray:
    image = reader(io.BytesIO(data))
    _check_size(*image.size)
    if reader is JpegImageFile:
        stored_width, stored_height = _stored_size(_orientation(image), width, height)
        image.draft(None, (2 * stored_width, 2 * stored_height))
    return _resize(image, height, width)


def _resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    image.load()
    # only now, since Pillow itself turns a TIFF upright while it loads, and drops the tag
    orientation = _orientation(image)
    flat = _flatten(image)
    # resized before turned: turning the few pixels of the target costs nothing
    small = flat.resize(_stored_size(orientation, width, height), Resampling.BILINEAR)
    if orientation in _UPRIGHT:
        small = small.transpose(_UPRIGHT[orientation])
    return np.array(small.convert("RGB") if small.mode != "RGB" else small)


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError("no pixels")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"too many pixels: {width} × {height}; the limits are {MAX_PIXELS:,} pixels "
            f"and {MAX_SIDE:,} on a side"
        )


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if the metadata are damaged."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        return 1
    return value if value in _UPRIGHT else 1


def _stored_size(orientation: int, width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of the target before the image is turned upright."""
    return (height, width) if orientation >= 5 else (width, height)


def _flatten(image: Image.Image) -> Image.Image:
    """Return the image in mode RGB or L, 8 bits, opaque."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode))
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    if image.mode in ("RGB", "L"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _over_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Reduce grey (rows, columns) of more than 8 bits to uint8; infinite and missing values: 0."""
    if mode == "F":
        values = np.where(np.isfinite(values), values, 0)
    low, high = _span(float(values.min()), float(values.max()), mode)
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    rounded: np.ndarray = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return rounded


def _span(lowest: float, peak: float, mode: str) -> tuple[float, float]:
    """Return the values of black and of white in a Pillow mode.

    ``I;16*`` spans 16 bits. ``I`` does not tell what it spans: 8 bits if nothing exceeds 255, else
    16 bits, else up to its own maximum. ``F`` is 0 to 1 or 0 to 255 if it stays within, else it is
    stretched from its minimum to its maximum.
    """
    if mode.startswith("I;16"):
        return 0.0, 65535.0
    tops = (1.0, 255.0) if mode == "F" else (255.0, 65535.0)
    if mode == "F" and (lowest < 0 or peak > tops[-1]):
        return lowest, peak if peak > lowest else lowest + 1
    return 0.0, next((top for top in tops if peak <= top), peak)
