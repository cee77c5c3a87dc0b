"""Which reader an image file needs, by its content and never by its name.

The readers are called directly, not through ``Image.open``, which tries every reader and reports
oversized pictures through ``warnings``, whose filters belong to the whole process.
"""

from __future__ import annotations

from typing import IO

from PIL import Image, ImageFile, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from headfit.errors import ImageError
from headfit.images.structure import Look, look

START = 512  # bytes that say what a file is
_BITS, _BANDS, _PLANES = 258, 277, 284  # TIFF tags
MAX_BANDS = 6

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
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_OTHERS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b"version https://git-lfs",), "a Git LFS pointer, not the image: run git lfs pull"),
    ((b"<!doctype html", b"<html", b"<head"), "a web page, not an image"),
    ((b"<?xml", b"<svg"), "XML, such as an SVG drawing, not an image of pixels"),
    ((b"\0\0\0\x0cjp  ", b"\xff\x4f\xff\x51"), "JPEG 2000 is not supported"),
    ((b"%pdf-",), "a PDF document, not an image"),
    ((b"pk\x03\x04",), "a ZIP archive, not an image"),
    ((b"\x93numpy",), "a NumPy array, not an image"),
)
_UNSUPPORTED = ("unknown pixel mode", "unsupported", "not available")


def open_image(stream: IO[bytes]) -> ImageFile.ImageFile:
    """Read the header of an image file, and no pixels.

    Args:
        stream: its content, at the start.

    Raises:
        ImageError: it is not an image that can be decoded; the message is a short reason.
    """
    reader, _ = examine(stream)
    return open_as(reader, stream)


def examine(stream: IO[bytes]) -> tuple[type[ImageFile.ImageFile], Look]:
    """Find the reader for a file, and look at the parts of it.

    Args:
        stream: its content, at the start, to which it returns.

    Raises:
        ImageError: it is not an image that can be decoded, or has too many parts.
    """
    reader = find_reader(stream.read(START))
    return reader, look(stream, str(reader.format))


def open_as(reader: type[ImageFile.ImageFile], stream: IO[bytes]) -> ImageFile.ImageFile:
    """Read the header of a file that was examined."""
    try:
        if reader is TiffImageFile:
            _check_tiff(stream)
        return reader(stream)
    except ImageError:
        raise
    # on hostile bytes readers raise anything: struct.error, KeyError, MemoryError, ...
    except Exception as error:
        raise ImageError(reason(str(reader.format), error)) from error


def find_reader(start: bytes) -> type[ImageFile.ImageFile]:
    """Find the reader for a file that starts so.

    Raises:
        ImageError: says what the file is, if it is no image that can be decoded.
    """
    if not start:
        raise ImageError("empty file")
    for signature, reader in _READERS:
        if start.startswith(signature) and (signature != b"RIFF" or start[8:12] == b"WEBP"):
            return reader
    if start[4:8] == b"ftyp":
        brands = start[8:12], start[16:64]
        if b"avif" in brands[0] + brands[1] or brands[0] == b"avis":
            if not features.check("avif"):
                raise ImageError(
                    "AVIF needs a Pillow that was built with it: pip install -U pillow"
                )
            return AvifImageFile
        if brands[0] in _HEIC_BRANDS:
            return _heif_reader()
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginnings, name in _OTHERS:
        if start.lower().startswith(beginnings) or text.startswith(beginnings):
            raise ImageError(name)
    if start[128:132] == b"DICM":
        raise ImageError("DICOM is not supported: export it as PNG or TIFF of 16 bits")
    if not start.strip(b"\0"):
        raise ImageError("nothing but zeros: a damaged copy")
    raise ImageError("not a JPEG, PNG, WEBP, AVIF, HEIC, BMP, GIF or TIFF file")


def _heif_reader() -> type[ImageFile.ImageFile]:
    try:
        from pillow_heif import HeifImageFile  # noqa: PLC0415  (an extra)
    except ImportError:
        raise ImageError("HEIC needs pillow-heif: pip install 'headfit[heif]'") from None
    return HeifImageFile


def tiff_layout(stream: IO[bytes]) -> tuple[int, int, bool]:
    """Read how many bands a TIFF has, how many bits the first of them, and whether each is apart.

    Args:
        stream: its content, at the start, to which it returns.
    """
    tags = ImageFileDirectory_v2(stream.read(8))
    stream.seek(tags.next)
    tags.load(stream)
    stream.seek(0)
    bits = tags.get(_BITS, 1)
    bits = bits[0] if isinstance(bits, tuple) else bits
    return int(tags.get(_BANDS, 1)), int(bits), tags.get(_PLANES) == 2


def _check_tiff(stream: IO[bytes]) -> None:
    bands, bits, apart = tiff_layout(stream)
    # Pillow would report the bands of satellites through ``logging`` too
    if bands > MAX_BANDS:
        raise ImageError(f"unsupported TIFF: {bands} bands of {bits} bits; export three as RGB")
    if bands > 1 and bits > 8 and apart:  # which Pillow takes for 8 bits
        raise ImageError(
            f"unsupported TIFF: {bits} bits in separate planes; save it with interleaved colours"
        )


def reason(kind: str, error: Exception) -> str:
    """Say in a few words why a file of a kind cannot be decoded."""
    text = " ".join(str(error).split())
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too many pixels for one {kind}"
    if isinstance(error, MemoryError):
        return f"too large: not enough memory for this {kind}"
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"truncated {kind}"
    if any(words in text.lower() for words in _UNSUPPORTED):
        return f"unsupported {kind} ({text[:80]})"
    return f"damaged {kind} ({text[:80] or type(error).__name__})"
