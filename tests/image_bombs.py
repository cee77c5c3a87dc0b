"""Small image files that would keep a decoder busy for minutes, or take gigabytes."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def png(width: int, height: int, kind: tuple[int, int], before: bytes = b"") -> bytes:
    """A plain image, black; ``kind`` is bits and type of colour."""
    bits, colour = kind
    row = 1 + -(-width * bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] // 8)
    packer = zlib.compressobj(1)
    rows = bytes(row * 1000)
    pixels = [packer.compress(rows) for _ in range(height // 1000)]
    pixels += [packer.compress(bytes(row * (height % 1000))), packer.flush()]
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before
    return start + chunk(b"IDAT", b"".join(pixels)) + chunk(b"IEND", b"")


def jpeg(segments: bytes = b"", size: int = 32, **options: object) -> bytes:
    """A photograph with some segments at its start."""
    pixels = np.random.default_rng(0).integers(0, 256, (size // 8, size // 8, 3), np.uint8)
    image = Image.fromarray(pixels).resize((size, size))
    data = encoded(image, "JPEG", **options)
    return data[:2] + segments + data[2:]


def scans(count: int, size: int = 32) -> bytes:
    """A progressive JPEG whose last scan is there so many times."""
    data = jpeg(b"", size, progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def gif(blocks: bytes) -> bytes:
    data = encoded(Image.new("P", (8, 8)), "GIF")
    start = 13 + (6 << (data[10] & 7) if data[10] & 128 else 0)
    return data[:start] + blocks + data[start:]


def tiff(tags: list[tuple[int, int, int, int]], more: bytes = b"") -> bytes:
    """A TIFF of some tags: number, type, count, and value or offset."""
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4) + more


def bmp_of_runs(width: int, height: int) -> bytes:
    """A BMP that is packed, in the worst way: a pair of bytes for each pixel."""
    pixels = b"\1\7" * (width * height)
    header = struct.pack("<IiiHHIIIIII", 40, width, height, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    start = 14 + 40 + 1024
    head = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
    return head + header + bytes(range(256)) * 4 + pixels


def webp(frames: int) -> bytes:
    data = encoded(Image.new("RGB", (8, 8)), "WEBP")
    header = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + b"\7\0\0" * 2
    anim = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    inner = bytes(6) + b"\7\0\0" * 2 + bytes(4) + data[12:]
    frame = b"ANMF" + struct.pack("<I", len(inner)) + inner
    body = b"WEBP" + header + anim + frame * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif(items: int) -> bytes:
    """An AVIF with a table of so many items that do not exist."""
    entry = box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 1, 0) + b"av01\0")
    numbered = b"".join(entry[:12] + struct.pack(">H", n) + entry[14:] for n in range(1, items))
    table = box(b"iinf", bytes(4) + struct.pack(">H", items) + numbered)
    handler = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    return box(b"ftyp", b"avif\0\0\0\0avifmif1miaf") + box(b"meta", bytes(4) + handler + table)
