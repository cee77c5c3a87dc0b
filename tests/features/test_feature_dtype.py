"""Feature maps stored in half the space lead to the same answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import headfit as hf
from headfit.samples.catalog import write_sample

DTYPES = ("float16", "float32")
BARE: dict[str, Any] = {"size": 64, "where": False, "curve": False}  # no part of the verdict


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> hf.ImageIndex:
    """Handwritten digits, 337 of ten classes: hard enough for doubtful probabilities."""
    index = hf.ImageIndex.from_directory(
        write_sample("digits", tmp_path_factory.mktemp("digits") / "x")
    )
    trained = np.flatnonzero([split != "test" for split in index.splits])
    return index.subset(trained[::4])


@pytest.mark.slow
def test_float16_gives_the_verdict_and_the_probabilities_of_float32(
    digits: hf.ImageIndex,
) -> None:
    half, single = (
        hf.compare(digits, heads="gap,flatten,gem", folds=3, repeats=2, feature_dtype=dtype, **BARE)
        for dtype in DTYPES
    )
    assert half.recommended == single.recommended
    assert half.verdict.flatten == single.verdict.flatten
    assert 0.6 < single.results["candidates"][0]["accuracy"]["mean"] < 0.99
    np.testing.assert_allclose(half.out_of_fold, single.out_of_fold, rtol=0, atol=2e-3)
    # two stores, not one read twice
    assert not np.array_equal(half.out_of_fold, single.out_of_fold)
    for study, dtype in ((half, "float16"), (single, "float32")):
        assert study.results["settings"]["feature_dtype"] == dtype
        assert f"--feature-dtype {dtype}" in study.results["settings"]["command"]
