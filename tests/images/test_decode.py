from __future__ import annotations

import io
import os
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headfit.errors import ImageError, UsageError
from headfit.images.decode import IMAGE_SUFFIXES, decode, read_bytes

pillow_heif.register_heif_opener()  # of the files here; headfit asks for no such thing
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF")


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene(width=64, height=48) -> Image.Image:
    """A smooth picture without any symmetry: red grows to the right, green downwards."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = columns * 255 // (width - 1), rows * 255 // (height - 1)
    return Image.fromarray(np.stack([red, green, red // 2], -1).astype(np.uint8))


def mean_difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left.astype(float) - right).mean())


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body
    return start + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\0IDAT"


@pytest.mark.parametrize("kind", [*FORMATS, "MPO"])
def test_every_format_gives_rgb_bytes_of_the_size_asked_for(kind):
    pixels = decode(encoded(scene(), kind), 24, 32)
    expected = np.asarray(scene().resize((32, 24), Image.Resampling.BILINEAR))
    assert (pixels.shape, pixels.dtype, pixels.flags.writeable) == ((24, 32, 3), np.uint8, True)
    assert mean_difference(pixels, expected) < ({"GIF": 8, "HEIF": 4, "AVIF": 4}.get(kind, 2))


def grey(mode: str, dtype: str, *values: float) -> Image.Image:
    image = Image.fromarray(np.array([values] * 4).astype(dtype))
    assert image.mode == mode
    return image


def palette_with_hole() -> Image.Image:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (0, 0, 2, 4))
    return image


RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


@pytest.mark.parametrize(
    ("image", "kind", "options", "left", "right"),
    [
        (Image.new("L", (4, 4), 77), "PNG", {}, (77,) * 3, (77,) * 3),
        (Image.new("1", (4, 4), 1), "PNG", {}, WHITE, WHITE),
        (palette_with_hole(), "PNG", {}, RED, BLACK),
        (palette_with_hole(), "PNG", {"transparency": 0}, RED, WHITE),
        (palette_with_hole(), "PNG", {"transparency": b"\x00\xff"}, RED, WHITE),
        (palette_with_hole(), "GIF", {"transparency": 0}, RED, WHITE),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG", {}, WHITE, WHITE),
        (Image.new("RGBA", (4, 4), (*RED, 255)), "WEBP", {"lossless": True}, RED, RED),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 51)), "TIFF", {}, (204,) * 3, (204,) * 3),
        (Image.new("LA", (4, 4), (0, 51)), "PNG", {}, (204,) * 3, (204,) * 3),
        (Image.new("RGB", (4, 4), RED), "PNG", {"transparency": RED}, WHITE, WHITE),
        (grey("I;16", "<u2", 0, 0, 25700, 25700), "PNG", {}, BLACK, (100,) * 3),
        (grey("I;16", "<u2", 257, 257, 65535, 65535), "TIFF", {}, (1,) * 3, WHITE),
        (grey("I;16B", ">u2", 0, 0, 25700, 25700), "TIFF", {}, BLACK, (100,) * 3),
        (grey("F", "<f4", 0, 0, 0.4, 0.4), "TIFF", {}, BLACK, (102,) * 3),
        (grey("F", "<f4", 1, 1, 0, 0), "TIFF", {}, WHITE, BLACK),
        (grey("F", "<f4", np.nan, np.nan, 1, 1), "TIFF", {}, BLACK, WHITE),
    ],
)
def test_every_kind_of_pixel_looks_as_it_would_on_a_white_page(image, kind, options, left, right):
    pixels = decode(encoded(image, kind, **options), 4, 4)
    assert tuple(pixels[0, 0]) == left
    assert tuple(pixels[3, 3]) == right


def test_transparency_is_laid_over_white_before_the_resize():
    # Black hides under the transparent half; had it been mixed in, the middle would be dark.
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((0, 0), (*WHITE, 255))
    assert decode(encoded(image, "PNG"), 1, 8).min() == 255


@pytest.mark.parametrize("colour", [(200, 30, 30), (20, 160, 40), (250, 250, 250), (5, 5, 5)])
def test_cmyk_jpeg_has_its_colours_and_not_their_negative(colour):
    data = encoded(Image.new("RGB", (64, 64), colour).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data  # the marker that says: stored inverted
    assert mean_difference(decode(data, 8, 8), np.array(colour)) < 3


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLACK)]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("PNG", {})):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert tuple(decode(data, 2, 2)[0, 0]) == RED, kind


@pytest.mark.parametrize("target", [(24, 40), (224, 224), (700, 500)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_fast_jpeg_path_equals_the_full_decode(target, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(scene(900, 600), "JPEG", quality=90, exif=exif)
    full = Image.open(io.BytesIO(data)).convert("RGB")
    full = full.transpose(Image.Transpose.ROTATE_270) if orientation == 6 else full
    expected = np.asarray(full.resize(target[::-1], Image.Resampling.BILINEAR))
    assert mean_difference(decode(data, *target), expected) < 1


TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_every_exif_orientation_gives_the_same_upright_picture(kind, orientation):
    upright = scene(400, 300)
    stored = upright.transpose(TURNED[orientation]) if orientation in TURNED else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, kind, exif=exif)
    assert mean_difference(decode(data, 30, 50), decode(encoded(upright, "PNG"), 30, 50)) < 2


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_picture():
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0")
    assert mean_difference(decode(data, 24, 32), decode(encoded(scene(), "PNG"), 24, 32)) < 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "^empty file$"),
        (b"<html>not found</html>", "^a web page, not an image$"),
        (b"\n <!DOCTYPE html><html>", "^a web page"),
        (b"\xef\xbb\xbf<!doctype HTML>", "^a web page"),
        (b"<?xml version='1.0'?><svg/>", "^XML, such as an SVG drawing"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "^a Git LFS pointer"),
        (b"%PDF-1.7", "^a PDF document"),
        (b"PK\x03\x04", "^a ZIP archive"),
        (bytes(128) + b"DICM", "^DICOM is not supported"),
        (bytes(900), "^nothing but zeros"),
        (encoded(scene(), "JPEG2000"), "^JPEG 2000 is not supported$"),
        (b"\0\0\0\x1cftypisom\0\0\x02\0isomiso2mp41", "^not a JPEG, PNG, WEBP, AVIF, HEIC, BMP"),
        (b"RIFF\0\0\0\0WAVEfmt ", "^not a JPEG, PNG, WEBP, AVIF, HEIC, BMP, GIF or TIFF file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "^not a JPEG, PNG, WEBP, AVIF, HEIC, BMP, GIF or TIFF file"),
        (encoded(scene(), "JPEG")[:-300], "^truncated JPEG$"),
        (encoded(scene(), "PNG")[:60], "^(truncated|damaged) PNG"),
        (b"\xff\xd8\xff", "^(truncated|damaged) JPEG"),
        (b"GIF89a\x01\0\x01\0\0\0\0;", "^(truncated|damaged) GIF"),
        (png_header(100_000, 100_000), "^too many pixels: 100000 × 100000"),
        (png_header(2_000_000, 1), "^too many pixels"),
        (png_header(12_000, 12_000), "^(truncated|damaged) PNG"),
        (
            b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 50_000, 50_000, 1, 24) + bytes(99),
            "^too many",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_quickly_with_a_short_reason(data, reason):
    start = time.perf_counter()
    with pytest.raises(ImageError, match=reason) as caught:
        decode(data, 224, 224)
    assert time.perf_counter() - start < 2
    assert len(str(caught.value)) < 130
    assert "\n" not in str(caught.value)


def decodes_or_refuses(data: bytes) -> None:
    try:
        assert decode(data, 8, 8).shape == (8, 8, 3)
    except ImageError as error:
        assert str(error)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_cut_gets_past_image_error(kind):
    data = encoded(scene(9, 7), kind)
    for end in range(len(data)):
        decodes_or_refuses(data[:end])


SMALL = {kind: encoded(scene(16, 12), kind) for kind in FORMATS}


@settings(deadline=None)
@given(st.data())
def test_no_damage_gets_past_image_error(draws):
    data = bytearray(SMALL[draws.draw(st.sampled_from(FORMATS))])
    places = st.integers(0, len(data) - 1)
    for place in draws.draw(st.lists(places, min_size=1, max_size=12)):
        data[place] = draws.draw(st.integers(0, 255))
    decodes_or_refuses(bytes(data))


STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF0000WEBPVP8 ",
    b"GIF89a",
    b"BM",
    b"II*\0",
]


@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_no_noise_gets_past_image_error(start, noise):
    decodes_or_refuses(start + noise)


def test_threads_get_what_one_thread_gets():
    files = [encoded(scene(40 + i, 60), kind) for i in range(8) for kind in FORMATS]
    alone = [decode(data, 16, 16) for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: decode(data, 16, 16), files))
    assert np.array_equal(alone, together)


@pytest.mark.parametrize("size", [(0, 8), (8, 4097), (8.0, 8)])
def test_an_impossible_target_is_the_callers_fault(size):
    with pytest.raises(UsageError, match="must be a whole number from 1"):
        decode(encoded(scene(), "PNG"), *size)


def test_read_bytes_reads_files_and_links(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "b").symlink_to("a")
    assert read_bytes(tmp_path / "a") == read_bytes(str(tmp_path / "b"), max_bytes=3) == b"123"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "^No such file or directory$"),
        ("", "^not a regular file$"),
        ("fifo", "^not a regular file$"),
        ("big", "^too large: 11 bytes; the limit is 10$"),
        ("zero\0byte", "null"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="FIFOs and their messages are posix")
def test_read_bytes_says_why_not(tmp_path, name, reason):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "big").write_bytes(bytes(11))
    with pytest.raises(ImageError, match=reason):
        read_bytes(tmp_path / name, max_bytes=10)


def test_suffixes_are_lower_case_with_their_dot():
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in IMAGE_SUFFIXES)
