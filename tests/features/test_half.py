from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headfit.features import half
from headfit.features.half import FLOAT16_MAX, largest, to_float16, to_float32

ALL = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
"""Every float16 without a sign."""


def narrowed(values: np.ndarray) -> np.ndarray:
    top, signed = largest(values)
    assert top <= FLOAT16_MAX
    out = np.empty(values.shape, np.float16)
    to_float16(values, out, signed=signed)
    return out


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    kind = np.uint16 if found.dtype == np.float16 else np.uint32
    np.testing.assert_array_equal(found.view(kind), expected.view(kind))


@pytest.mark.parametrize("sign", [1, -1])
def test_every_rounding_boundary_is_rounded_as_numpy_rounds_it(sign):
    exact = ALL.astype(np.float32)
    halfway = ((exact[:-1].astype(np.float64) + exact[1:]) / 2).astype(np.float32)
    around = np.concatenate([exact, halfway])[:, None].view(np.int32) + np.arange(-2, 3, dtype="i4")
    values = around.clip(0).view(np.float32).ravel()
    values = sign * values[values <= FLOAT16_MAX]
    assert_same_bits(narrowed(values), values.astype(np.float16))


def test_zeros_and_numbers_too_small_for_float32s_normal_range_keep_their_sign():
    values = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-38, -1e-40, 2.0**-25, -(2.0**-25)], np.float32)
    assert_same_bits(narrowed(values), values.astype(np.float16))


@given(arrays(np.float32, st.integers(1, 50), elements=st.floats(-65504, 65504, width=32)))
def test_any_values_are_narrowed_as_numpy_narrows_them(values):
    assert_same_bits(narrowed(values), values.astype(np.float16))


@pytest.mark.parametrize("signed", [False, True])
def test_every_float16_is_widened_exactly(signed):
    values = np.concatenate([ALL, -ALL]) if signed else ALL
    out = np.empty(values.shape, np.float32)
    to_float32(values, out)
    assert_same_bits(out, values.astype(np.float32))


def test_pieces_join_without_a_seam(monkeypatch):
    values = np.random.default_rng(0).normal(size=(7, 5, 3)).astype(np.float32)
    monkeypatch.setattr(half, "PIECE", 16)
    found, back = narrowed(values), np.empty_like(values)
    to_float32(found, back)
    assert_same_bits(found, values.astype(np.float16))
    assert_same_bits(back, values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 2, 0], (2, False)),
        ([0.5, -2, 0], (2, True)),
        ([0, -0.0], (0, True)),
        ([1, np.inf], (np.inf, False)),
        ([1, -np.inf], (np.inf, True)),
        ([1, np.nan], (np.nan, False)),
        ([-1, -np.nan], (np.nan, True)),
    ],
    ids=str,
)
def test_one_look_tells_magnitude_sign_and_what_is_not_finite(values, expected):
    np.testing.assert_equal(largest(np.array(values, np.float32)), expected)
