"""A small run gives what it gave before the code was moved: words, counts, choices, scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import golden


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """List where two results differ; the images are told apart with certainty, so scores are exact.

    Fields that were added since are no difference.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        absent = [f"{at}.{key} is gone" for key in old.keys() - new.keys()]
        shared = [key for key in old if key in new]
        return absent + [
            d for key in shared for d in differences(old[key], new[key], f"{at}.{key}")
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [d for number, (a, b) in pairs for d in differences(a, b, f"{at}[{number}]")]
    if isinstance(old, float) and isinstance(new, float | int):
        return [] if new == pytest.approx(old, rel=1e-6) else [f"{at}: {old} became {new}"]
    return [] if old == new else [f"{at}: {old!r} became {new!r}"]


@pytest.mark.slow
def test_the_golden_results_are_equal(tmp_path: Path) -> None:
    stored = json.loads(golden.STORED.read_text("utf-8"))
    assert differences(golden.comparable(stored), golden.comparable(golden.run(tmp_path))) == []
