"""Kinds of files that people report trouble with: shown as in a viewer, or called what they are."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from headfit.errors import ImageError
from headfit.images.decode import decode, resize
from headfit.images.depth import Depth
from headfit.images.first_look import look
from headfit.report.text.features import depth_lines

GREY = (np.mgrid[0:40, 0:50].sum(axis=0) * 255 // 88).astype(np.uint8)


def png_of_16_bits(values: np.ndarray) -> bytes:
    """A PNG of 16-bit grey and alpha, colour, or both, which Pillow cannot write."""
    height, width, bands = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)),
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


COLOURS = np.stack([GREY, GREY[::-1], GREY[:, ::-1], np.full_like(GREY, 255)], axis=2)


def tiff_of_16_bits(values: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="rgb", **options)
    return file.getvalue()


@pytest.mark.parametrize("bits", [8, 10, 12, 13, 16])
@pytest.mark.parametrize(
    ("write", "bands"),
    [
        (png_of_16_bits, (0, 1, 2)),
        (png_of_16_bits, (0, 1, 2, 3)),
        (png_of_16_bits, (0, 3)),
        (tiff_of_16_bits, (0, 1, 2)),
        (partial(tiff_of_16_bits, byteorder=">"), (0, 1, 2)),
        (partial(tiff_of_16_bits, compression="zlib", predictor=True), (0, 1, 2)),
        (partial(tiff_of_16_bits, extrasamples=["unassalpha"]), (0, 1, 2, 3)),
    ],
)
def test_colour_of_16_bits_is_scaled_by_what_the_data_set_uses(write, bands, bits) -> None:
    right = COLOURS[..., bands]
    values = np.rint(right * ((2**bits - 1) / 255)).astype(np.uint16)
    if 3 in bands:
        values[..., -1] = 65535  # opaque
    data = write(values)
    depth = look(["a.png"], lambda _: io.BytesIO(data)).depth
    assert depth == Depth(integers=(0, 2**bits - 1))
    shown = right[..., :1] if bands == (0, 3) else right[..., :3]
    np.testing.assert_array_equal(decode(data, 40, 50, depth), np.broadcast_to(shown, (40, 50, 3)))
    if bits < 14:
        with pytest.raises(ImageError, match=r"^values from 0 to .* of unknown scaling"):
            decode(data, 40, 50)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(resize(image, 40, 50, depth), decode(data, 40, 50, depth))


def test_colour_of_16_bits_over_white(tmp_path: Path) -> None:
    values = np.zeros((4, 4, 4), np.uint16)
    values[:2, :, :3], values[:2, :, 3] = 4095, 65535
    pixels = decode(png_of_16_bits(values), 4, 4, Depth(integers=(0, 4095)))
    assert (pixels == 255).all()


def test_separate_planes_of_16_bits_are_unsupported_and_not_noise() -> None:
    planes = np.moveaxis(COLOURS[..., :3].astype(np.uint16), 2, 0)
    with pytest.raises(ImageError, match=r"^unsupported TIFF: 16 bits in separate planes"):
        decode(tiff_of_16_bits(planes, planarconfig="separate"), 8, 8)


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
    assert (found.integers, found.floats) == (9, 2)  # six grey, three in colour
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
