"""A look at the parts of an image file before a reader takes them: how many has it?

Readers take each segment, chunk, block or tag in Python, some in time that grows with the square of
their number, and Ctrl-C has to wait for them. So parts are counted first, by a walk along their
lengths that steps as Pillow does and ends at the limit. Photographs have dozens of parts.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass
from typing import IO

from headfit.errors import ImageError

MAX_SEGMENTS = 1_000
"""Segments of a JPEG; ICC profiles and depth maps fill a hundred."""
MAX_LONG_SEGMENTS = 64
"""Segments of EXIF, or of Photoshop, in a JPEG; most have one."""
MAX_SCANS = 100
"""Passes over a JPEG; progressive ones have about ten."""
MAX_PADDING = 100_000
"""Bytes between the segments of a JPEG."""
MAX_CHUNKS = 1_000
"""Chunks of a PNG other than pixels."""
MAX_COMPRESSED = 64
"""Chunks of a PNG that are unpacked: texts and profiles."""
MAX_PIXEL_CHUNKS = 100_000
"""Chunks of pixels in a PNG."""
MAX_BLOCKS = 100_000
"""Blocks of a GIF before its first frame."""
MAX_FRAMES = 10_000
"""Chunks of a WebP, of which every frame is one."""
MAX_TAGS = 1_000
"""Tags of a TIFF."""
MAX_STRIPS = 200_000
"""Strips or tiles of a TIFF."""
_SLACK = 65_536  # bytes of tags that may lie on one another
_SMALL_EXIF = 16_384  # of which all tags there is room for stand for 20 MB
_EASY_BOXES = 65_536  # bytes of tables in an AVIF, whose reader takes the square of their number
_EASY_RUNS = 1_000_000  # bytes of a run-length encoded BMP, which Pillow reads in Python
_EASY_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)  # none, fax, LZW, JPEG, Deflate, PackBits
_HEIF_BYTES = 16  # a pixel that libheif decodes takes


@dataclass(frozen=True)
class Look:
    """What a look at an image file says.

    Attributes:
        hard: whether no count bounds the time of decoding it.
        passes: how often its pixels are visited.
        buffer: bytes that its decoder takes besides the image.
    """

    hard: bool = False
    passes: int = 1
    buffer: int = 0


def look(stream: IO[bytes], kind: str) -> Look:
    """Count the parts of an image file.

    Args:
        stream: its content, which returns to its start.
        kind: the format, as Pillow calls it.

    Raises:
        ImageError: there are too many; the message says of what.
    """
    stream.seek(0)
    seen = _LOOKS[kind](stream)
    stream.seek(0)
    return seen


def check_exif(exif: bytes) -> None:
    """Raise an ``ImageError`` if the tags of EXIF metadata stand for more bytes than there are."""
    if len(exif) > _SMALL_EXIF:
        _tags(io.BytesIO(exif.removeprefix(b"Exif\0\0")), 65_535)


def _check(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise ImageError(f"damaged or hostile: more than {limit:,} {what}")


def _jpeg(stream: IO[bytes]) -> Look:
    data = stream.read()
    place, padding, segments, photoshop = 2, 0, 0, 0
    exif: list[bytes] = []
    frame, progressive = b"", False
    while place + 3 < len(data):
        marker = data[place + 1]
        if data[place] != 0xFF or marker in (0, 0xFF):
            place += 1
            padding += 1
            _check(padding, MAX_PADDING, "bytes between segments")
            continue
        start = place + 4
        place += 2
        if marker not in _ALONE:
            place += max(2, data[place] << 8 | data[place + 1])
        segments += max(1, (place - start) // 65) if marker == 0xDB else 1  # each of its tables
        _check(segments, MAX_SEGMENTS, "segments")
        if marker == 0xE1 and data.startswith(b"Exif\0\0", start):
            exif.append(data[start + 6 : place])
            _check(len(exif), MAX_LONG_SEGMENTS, "segments of EXIF")
        elif marker == 0xED:
            photoshop += 1
            _check(photoshop, MAX_LONG_SEGMENTS, "segments of Photoshop")
        elif marker in _FRAMES:
            frame, progressive = data[start:place], marker in (0xC2, 0xC6, 0xCA, 0xCE)
        elif marker == 0xDA:
            check_exif(b"".join(exif))
            if not progressive and frame[5:6] == data[start : start + 1]:  # one of all colours
                return Look()
            return Look(passes=_scans(data, place), buffer=_coefficients(frame))
    return Look()


_ALONE = frozenset({0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})  # without a length
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _coefficients(frame: bytes) -> int:
    """Count the bytes that decoding a JPEG of several scans holds: two for each of all samples."""
    if len(frame) < 9:
        return 0
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    factors = [(each >> 4, each & 15) for each in frame[7::3]]
    most = max(across * down for across, down in factors) or 1
    return 2 * width * height * sum(across * down for across, down in factors) // most


def _scans(data: bytes, place: int) -> int:
    """Count the scans of a JPEG; ``place`` is after the header of the first."""
    most = 1 + data.count(b"\xff\xda", place)
    if most <= MAX_SCANS:
        return most
    scans, segments = 1, 0
    while (found := _MARKER.search(data, place)) and found[0] != b"\xff\xd9":
        scans += found[0] == b"\xff\xda"
        segments += 1
        _check(scans, MAX_SCANS, "scans")
        _check(segments, MAX_SEGMENTS, "segments")
        size = int.from_bytes(data[found.end() : found.end() + 2])
        place = found.end() + (0 if found[0][1] in _ALONE else size)
    return scans


_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def _png(stream: IO[bytes]) -> Look:
    stream.seek(8)
    pixels = others = compressed = 0
    animated = False
    while len(start := stream.read(8)) == 8 and (kind := start[4:]) != b"IEND":
        if kind == b"fcTL" and animated and pixels:  # the next frame, which is not read
            break
        animated = animated or kind == b"acTL"
        pixels += kind in (b"IDAT", b"fdAT")
        others += kind not in (b"IDAT", b"fdAT")
        compressed += kind in (b"zTXt", b"iTXt", b"iCCP")
        _check(pixels, MAX_PIXEL_CHUNKS, "chunks of pixels")
        _check(others, MAX_CHUNKS, "chunks")
        _check(compressed, MAX_COMPRESSED, "compressed chunks")
        stream.seek(int.from_bytes(start[:4]) + 4, io.SEEK_CUR)
    return Look()


def _gif(stream: IO[bytes]) -> Look:
    header = stream.read(13)
    if len(header) == 13 and header[10] & 128:
        stream.seek(6 << (header[10] & 7), io.SEEK_CUR)
    blocks = 0

    def block() -> bytes:
        nonlocal blocks
        blocks += 1
        _check(blocks, MAX_BLOCKS, "blocks")
        size = stream.read(1)
        return stream.read(size[0]) if size else b""

    while (start := stream.read(1)) and start not in b",;":
        _check(blocks := blocks + 1, MAX_BLOCKS, "blocks")
        if start == b"!":
            label = stream.read(1)
            first = block()
            if label == b"\xfe" and not first:
                continue
            if label == b"\xff" and first.startswith(b"NETSCAPE2.0"):
                block()
            while block():
                pass
    return Look()


def _webp(stream: IO[bytes]) -> Look:
    stream.seek(12)
    chunks = 0
    while len(start := stream.read(8)) == 8:
        _check(chunks := chunks + 1, MAX_FRAMES, "frames")
        size = int.from_bytes(start[4:], "little")
        stream.seek(size + size % 2, io.SEEK_CUR)
    return Look()


def _bmp(stream: IO[bytes]) -> Look:
    header = stream.read(34)
    if header[14:15] == b"\x0c" or header[30:31] not in (b"\1", b"\2"):
        return Look()
    width, height = struct.unpack_from("<Ii", header.ljust(34, b"\0"), 18)
    # a byte a pixel three times: as they are read, as bytes and as an image
    return Look(stream.seek(0, io.SEEK_END) > _EASY_RUNS, buffer=3 * width * abs(height))


def _avif(stream: IO[bytes]) -> Look:
    tables = 0
    while tables <= _EASY_BOXES and len(start := stream.read(8)) == 8:
        size, wide = int.from_bytes(start[:4]), 0
        if size == 1:
            size, wide = int.from_bytes(stream.read(8)), 8
        tables += 0 if start[4:] == b"mdat" else size
        if size < 8 + wide:
            break
        stream.seek(size - 8 - wide, io.SEEK_CUR)
    return Look() if tables <= _EASY_BOXES else _unbounded(stream)


def _unbounded(stream: IO[bytes]) -> Look:
    """Look for the largest image in a file of boxes, whose number, or how they refer, is free."""
    stream.seek(0)
    sizes = [struct.unpack(">II", each[1]) for each in _EXTENT.finditer(stream.read())]
    pixels = max((width * height for width, height in sizes), default=0)
    return Look(hard=True, buffer=_HEIF_BYTES * pixels)


_EXTENT = re.compile(rb"ispe\0\0\0\0(.{8})", re.DOTALL)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_STRIP_OFFSETS, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 273, 322, 323, 324
_INNER = (34665, 34853, 40965)  # EXIF, GPS and interoperability, which Pillow reads besides


def _tiff(stream: IO[bytes]) -> Look:
    tags = _tags(stream, MAX_TAGS)
    for tag in _INNER:
        if tag in tags:
            _tags(stream, MAX_TAGS, tags[tag][1])
    for tag in (_STRIP_OFFSETS, _TILE_OFFSETS):
        _check(tags.get(tag, (0, 0))[0], MAX_STRIPS, "strips or tiles")
    width, height, compression, bands, rows = (
        tags.get(tag, (1, default))[1]
        for tag, default in ((256, 0), (257, 0), (259, 1), (277, 1), (278, 2**32))
    )
    if _TILE_OFFSETS in tags:
        area = tags.get(_TILE_WIDTH, (1, 0))[1] * tags.get(_TILE_HEIGHT, (1, 0))[1]
    else:
        area = width * min(rows, height)
    count, value = tags.get(258, (1, 8))
    bits = 16 if count * 2 > 4 else value  # out of line: of several bands, at most 16 bits each
    buffer = 0 if compression == 1 else area * bands * max(8, bits) // 8
    if compression in _EASY_COMPRESSIONS:
        return Look(buffer=buffer)
    return Look(hard=True, buffer=buffer + 8 * width * height)


def _tags(stream: IO[bytes], limit: int, offset: int | None = None) -> dict[int, tuple[int, int]]:
    """Read a directory of TIFF or EXIF, the first if ``offset`` is None.

    Returns:
        tag → how many values it has, and the first, or where they are.
    """
    length = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    start = stream.read(16)
    order = "<" if start[:2] == b"II" else ">"
    big = start[2:4] in (b"+\0", b"\0+")
    head, entry = (order + "Q", order + "HHQ8s") if big else (order + "H", order + "HHI4s")
    try:
        if offset is None:
            (offset,) = struct.unpack(
                order + ("Q" if big else "I"), start[8:] if big else start[4:8]
            )
        stream.seek(min(offset, length))
        (count,) = struct.unpack(head, stream.read(struct.calcsize(head)))
    except struct.error:
        return {}
    _check(count, limit, "tags")
    body = stream.read(count * struct.calcsize(entry))
    body = body[: len(body) // struct.calcsize(entry) * struct.calcsize(entry)]
    tags: dict[int, tuple[int, int]] = {}
    total = 0
    for tag, kind, number, data in struct.iter_unpack(entry, body):
        unit = _SIZES.get(kind, 0)
        apart = unit * number > len(data)
        where = "Q" if big else "I"
        short = {1: "B", 2: "H", 4: "I", 8: "Q"}.get(unit, where)
        form = order + (where if apart or struct.calcsize(order + short) > len(data) else short)
        (value,) = struct.unpack_from(form, data)
        tags.setdefault(tag, (number, value))
        if apart and value + unit * number <= length:  # of others no reader takes anything
            total += unit * number
        if total > length + _SLACK:
            raise ImageError("damaged or hostile: its tags stand for more bytes than it has")
    return tags


_LOOKS = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "BMP": _bmp,
    "TIFF": _tiff,
    "AVIF": _avif,
    "HEIF": _unbounded,
}
