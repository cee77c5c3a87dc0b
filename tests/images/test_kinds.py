"""Kinds of files that people report trouble with: shown as in a viewer, or called what they are."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headfit.errors import ImageError
from headfit.images.decode import decode
from headfit.images.depth import Depth
from headfit.images.first_look import look
from headfit.report.text.features import depth_lines

GREY = (np.mgrid[0:40, 0:50].sum(axis=0) * 255 // 88).astype(np.uint8)


def png_of_16_bits(values: np.ndarray) -> bytes:
    """A PNG of 16-bit colour, (rows, columns, 3), which Pillow cannot write."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff(bands: int, bits: int, values: np.ndarray = GREY) -> bytes:
    """A TIFF that repeats the picture in every band."""
    dtype = "<u2" if bits == 16 else "u1"
    body = np.repeat((values.astype(int) * (257 if bits == 16 else 1))[..., None], bands, axis=2)
    data = body.astype(dtype).tobytes()
    height, width = values.shape
    extra = 8 + len(data)
    shorts = struct.pack(f"<{bands}H", *[bits] * bands) + bytes(2 * bands)
    fields = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, bands, extra),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, bands),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
    ]
    if bands > 5:  # fewer would fit into the field itself
        fields.append((338, 3, bands - 3, extra + 2 * bands))
    entries = b"".join(struct.pack("<HHII", *each) for each in fields)
    offset = extra + len(shorts)
    header = b"II*\0" + struct.pack("<I", offset)
    return header + data + shorts + struct.pack("<H", len(fields)) + entries + bytes(4)


@pytest.mark.parametrize("write", [png_of_16_bits, lambda values: tiff(3, 16)])
def test_colour_of_16_bits_is_shown(write) -> None:
    pixels = decode(write(np.repeat(GREY[..., None].astype(int) * 257, 3, axis=2)), 40, 50)
    assert np.abs(pixels.astype(int) - GREY[..., None]).max() <= 1


@pytest.mark.parametrize("bits", [8, 12, 13])
def test_colour_of_fewer_bits_in_16_is_unsupported_and_not_black(bits: int) -> None:
    values = np.repeat(GREY[..., None].astype(int) * (2**bits - 1) // 255, 3, axis=2)
    if bits == 8:  # nothing is left of it in the upper 8 bits
        values += 256
    with pytest.raises(ImageError, match=r"^unsupported: colour of 16 bits that uses"):
        decode(png_of_16_bits(values), 8, 8)


@pytest.mark.parametrize("bits", [8, 16])
def test_many_bands_are_unsupported_and_not_damaged(bits: int, caplog) -> None:
    with pytest.raises(ImageError, match=f"^unsupported TIFF: 13 bands of {bits} bits"):
        decode(tiff(13, bits), 8, 8)
    assert not caplog.records


def test_heic_needs_a_package_that_its_reason_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif")
    import pillow_heif  # noqa: PLC0415

    file = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 30, 30))).save(file, quality=90)
    assert np.abs(decode(file.getvalue(), 8, 8).astype(int) - (200, 30, 30)).max() <= 3
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"^HEIC needs pillow-heif: pip install 'headfit\[heif\]'"):
        decode(file.getvalue(), 8, 8)


CASES = Path(__file__).parents[2].parent / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the repository")
def test_all_kinds_of_the_cases_are_shown_or_called_what_they_are(tmp_path: Path) -> None:
    script = CASES / "images_of_all_kinds.py"
    subprocess.run([sys.executable, script, tmp_path / "kinds"], check=True, cwd=CASES)
    paths = sorted((tmp_path / "kinds").iterdir())
    found = look([path.name for path in paths], lambda row: paths[row].open("rb"))
    assert found.depth == Depth(integers=(0, 65535), floats=(0, 4095))
    assert (found.integers, found.floats) == (6, 2)
    assert "need 8 bits, those of others 16" in depth_lines(found)[-1]
    reasons = {}
    for path in paths:
        try:
            decode(path.read_bytes(), 70, 100, found.depth)
        except ImageError as error:
            reasons[path.name] = str(error)
    assert reasons == {
        "bands13_16.tif": "unsupported TIFF: 13 bands of 16 bits; export three as RGB",
        "empty.jpg": "empty file",
        "html.jpg": "a web page, not an image",
        "jp2_named.jpg": "JPEG 2000 is not supported",
        "truncated.jpg": "truncated JPEG",
    }
