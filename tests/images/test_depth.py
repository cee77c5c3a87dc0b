"""Images of more than 8 bits: one scaling for a data set, as in shared/cases."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headfit.errors import ImageError, UsageError
from headfit.images.decode import decode
from headfit.images.depth import PLAIN, Depth, ends_of, span_of
from headfit.images.first_look import FirstLook, look
from headfit.report.text.features import depth_lines

EIGHT = (np.mgrid[0:40, 0:50].sum(axis=0) * 255 // 88).astype(np.uint8)  # 0 to 255


def saved(values: np.ndarray, kind: str = "TIFF") -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind)
    return file.getvalue()


def seen(files: Sequence[bytes], suffix: str = ".tif") -> FirstLook:
    return look([f"{n}{suffix}" for n in range(len(files))], lambda row: io.BytesIO(files[row]))


def bits(count: int, kind: str = "TIFF") -> bytes:
    """The picture, its whitest grey level needing so many bits."""
    return saved((EIGHT.astype(float) * (2**count - 1) / 255).round().astype(np.uint16), kind)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("count", [8, 9, 10, 12, 14, 16])
def test_grey_of_any_number_of_bits_in_16_looks_as_in_8(count: int, kind: str) -> None:
    found = seen([bits(count, kind)] * 3)
    assert found.depth == Depth(integers=(0, 2**count - 1))
    assert (found.integers, found.plain, found.bits) == (3, 0, (count, count))
    pixels = decode(bits(count, kind), 40, 50, found.depth)
    assert np.abs(pixels[..., 0].astype(int) - EIGHT).max() <= 1


@pytest.mark.parametrize(
    ("values", "depth"),
    [
        (EIGHT.astype(np.int32), Depth(integers=(0, 255))),
        (EIGHT / np.float32(255), Depth(floats=(0, 1))),
        (EIGHT * np.float32(1), Depth(floats=(0, 255))),
        (EIGHT * np.float32(16), Depth(floats=(0, 4095))),
        (EIGHT / np.float32(127.5) - 1, Depth(floats=(-1, 1))),
        (EIGHT.astype(np.int32) * 16 - 1024, Depth(integers=(-1024, 4095))),  # Hounsfield units
        (EIGHT * np.float32(1e-5), Depth(floats=(0, 2.0**-8))),
        (np.zeros((4, 4), np.uint16), Depth(integers=(0, 255))),
    ],
)
def test_black_and_white_of_other_kinds(values: np.ndarray, depth: Depth) -> None:
    assert seen([saved(values)]).depth == depth


def test_levels_far_from_black_are_spread_from_the_lowest_to_the_highest() -> None:
    kelvin = (280 + EIGHT / np.float32(10)).astype(np.float32)
    span = seen([saved(kelvin)]).depth.floats
    assert span is not None
    assert 265 < span[0] < 280 and 305.5 < span[1] < 320
    pixels = decode(saved(kelvin), 40, 50, Depth(floats=span))
    assert np.ptp(pixels) > 128


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf, -3.4e38])
def test_missing_floats_are_black_and_do_not_count(missing: float) -> None:
    values = EIGHT / np.float32(255)
    values[:5] = missing
    depth = seen([saved(values)]).depth
    assert depth == Depth(floats=(0, 1))
    assert decode(saved(values), 40, 50, depth)[0].max() == 0


def test_a_few_hot_pixels_do_not_make_the_rest_dark() -> None:
    values = np.full((200, 200), 1000, np.uint16)
    values[::2] = 3000
    values[0, :4] = 65535
    assert seen([saved(values)]).depth == Depth(integers=(0, 4095))
    values[0, :9] = 65535
    assert seen([saved(values)]).depth == Depth(integers=(0, 65535))


def test_one_scaling_holds_for_dark_and_bright_images_alike() -> None:
    dark, bright = saved(np.full((8, 8), 500, np.uint16)), saved(np.full((8, 8), 4000, np.uint16))
    depth = seen([dark, bright]).depth
    assert [decode(each, 4, 4, depth)[0, 0, 0] for each in (dark, bright)] == [31, 249]


def test_images_of_8_bits_have_no_depth_and_say_nothing() -> None:
    opened = []

    def open_one(row: int) -> io.BytesIO:
        opened.append(row)
        return io.BytesIO(saved(EIGHT, ("PNG", "TIFF", "JPEG")[row]))

    found = look(["a.png", "b.tif", "c.jpg"], open_one)
    assert (found.depth, found.plain) == (PLAIN, 3)
    assert opened == [0, 1]  # of a JPEG not even the header is needed
    assert depth_lines(found) == []


def test_images_that_cannot_be_read_are_left_to_the_run() -> None:
    broken = bits(12)[:40]
    found = seen([broken, b"", b"II*\0", bits(12)])
    assert found.depth == Depth(integers=(0, 4095))


def test_the_sample_is_bounded_and_the_same_every_time() -> None:
    read = []

    def open_one(row: int) -> io.BytesIO:
        read.append(row)
        return io.BytesIO(saved(np.full((2, 2), row + 1, np.uint16)))

    names = [f"{n}.tif" for n in range(500)]
    first = look(names, open_one)
    assert first.sampled == 64
    assert len(read) == 564
    assert look(names, open_one) == first


def test_a_mix_is_said() -> None:
    lines = depth_lines(seen([bits(8), bits(12), saved(EIGHT), saved(EIGHT / np.float32(255))]))
    assert lines[0].startswith("2 images of 16 or 32 bits: 0 is black and 4,095 white")
    assert lines[1].startswith("1 image of floating-point values: 0 is black and 1 white")
    assert "1 of 8 bits, 2 of 16 or 32 bits, 1 of floats" in lines[2]
    assert "need 8 bits, those of others 12" in lines[3]
    assert len(depth_lines(seen([bits(12), bits(11)]))) == 1


@pytest.mark.parametrize(
    ("values", "right"),
    [
        (np.full((4, 4), 65535, np.uint16), 255),
        (np.full((4, 4), 25700, np.uint16), 100),
        (np.full((4, 4), 0, np.uint16), 0),
        (np.full((4, 4), 0.4, np.float32), 102),
    ],
)
def test_a_model_of_8_bits_takes_what_fills_its_file(values: np.ndarray, right: int) -> None:
    assert decode(saved(values), 4, 4)[0, 0, 0] == right


@pytest.mark.parametrize(
    "values",
    [
        np.full((4, 4), 4095, np.uint16),
        np.full((4, 4), -5, np.int32),
        np.full((4, 4), 10**9, np.int32),
        np.full((4, 4), 200, np.float32),
        np.full((4, 4), -0.5, np.float32),
    ],
)
def test_a_model_of_8_bits_refuses_levels_of_unknown_scaling(values: np.ndarray) -> None:
    with pytest.raises(ImageError, match="unknown scaling"):
        decode(saved(values), 4, 4)


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(0, 1e9)), max_size=5), st.booleans())
def test_black_is_always_below_white_and_all_levels_lie_between(
    pairs: list[tuple[float, float]], whole: bool
) -> None:
    ends = [(round(low), round(low + more)) if whole else (low, low + more) for low, more in pairs]
    black, white = span_of(ends, whole=whole)
    assert black < white
    assert all(black <= low and high <= white for low, high in ends)
    assert Depth(integers=(black, white)).integers == (black, white)


def test_ends_of_values_that_are_all_missing_are_none() -> None:
    assert ends_of(np.full((3, 3), np.nan, np.float32)) is None


@pytest.mark.parametrize(
    "data", [{"integers": [5, 5]}, {"floats": [0, "1"]}, {"floats": [0, 1, 2]}, {"x": [0, 1]}, [1]]
)
def test_a_record_that_is_not_valid_is_refused(data: Any) -> None:
    with pytest.raises(UsageError):
        Depth.from_dict(data)
