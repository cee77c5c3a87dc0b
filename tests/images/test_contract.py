from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headfit.errors import ModelFileError, UsageError
from headfit.images.contract import Contract
from headfit.images.depth import Depth

PLAIN = {"height": 4, "width": 6, "scale": (1 / 127.5,) * 3, "offset": (-1.0,) * 3}
numbers = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"height": 0}, "height=0"),
        ({"width": 4097}, "width=4097"),
        ({"width": 224.0}, "width=224.0"),
        ({"height": True}, "height=True"),
        ({"scale": (1.0, 1.0)}, "scale"),
        ({"scale": "abc"}, "scale"),
        ({"offset": (0.0, 0.0, float("nan"))}, "offset"),
        ({"bgr": 1}, "bgr=1"),
        ({"resize": "crop"}, "'stretch'"),
        ({"decoder": "opencv/1"}, "'pillow-draft/1'"),
    ],
)
def test_impossible_values_are_named_when_built_and_when_loaded(change, named):
    with pytest.raises(UsageError, match=named):
        Contract(**{**PLAIN, **change})
    with pytest.raises(ModelFileError, match=named):
        Contract.from_dict({**Contract(**PLAIN).to_dict(), **change})


@given(st.integers(1, 4096), st.tuples(numbers, numbers, numbers), st.booleans())
def test_survives_json_unchanged(side, triple, bgr):
    contract = Contract(side, 224, triple, triple[::-1], bgr)
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


def test_a_depth_of_more_than_8_bits_is_kept_and_one_of_8_leaves_no_trace():
    plain = Contract(**PLAIN)
    assert "depth" not in plain.to_dict()
    deep = plain.with_depth(Depth(integers=(0, 4095), floats=(-1, 1)))
    record = json.loads(json.dumps(deep.to_dict()))
    assert record == {
        **plain.to_dict(),
        "depth": {"integers": [0.0, 4095.0], "floats": [-1.0, 1.0]},
    }
    assert Contract.from_dict(record) == deep != plain
    with pytest.raises(ModelFileError, match="black below white"):
        Contract.from_dict({**record, "depth": {"integers": [9, 9]}})


def test_equal_contracts_have_equal_text():
    whole, floats = Contract(2, 2, (1, 1, 1), [0, 0, 0]), Contract(2, 2, (1.0,) * 3, (0.0,) * 3)
    assert json.dumps(whole.to_dict()) == json.dumps(floats.to_dict())


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({**Contract(**PLAIN).to_dict(), "mean": 1}, "unknown keys: 'mean'"),
        ({"height": 4, "width": 6}, "missing keys: 'bgr'"),
        ([1, 2], "list"),
    ],
)
def test_a_record_must_be_complete_and_hold_nothing_else(data, named):
    with pytest.raises(ModelFileError, match=named):
        Contract.from_dict(data)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("bgr", [False, True])
def test_apply_is_scale_then_offset_then_channel_order(dtype, bgr):
    contract = Contract(1, 1, (1.0, 2.0, 3.0), (0.5, 0.25, -1.0), bgr)
    result = contract.apply(np.array([[[[10, 20, 30]]]], dtype))
    expected = [10.5, 40.25, 89.0]
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert result.ravel().tolist() == (expected[::-1] if bgr else expected)


def test_apply_maps_bytes_to_minus_one_to_one():
    pixels = np.full((2, 4, 6, 3), 255, np.uint8)
    pixels[0] = 0
    np.testing.assert_allclose(Contract(**PLAIN).apply(pixels)[:, 0, 0, 0], [-1, 1], atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6, 3), (1, 6, 4, 3), (1, 4, 6, 1)])
def test_apply_refuses_other_shapes(shape):
    with pytest.raises(UsageError, match="must have shape"):
        Contract(**PLAIN).apply(np.zeros(shape))
