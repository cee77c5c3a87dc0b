from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from headfit.images.targets import Targets
from headfit.study.reliability.assessment import Reliability, assess
from headfit.study.reliability.model_reliability import ModelReliability

CLASSES = ("a", "b", "c")


def inputs(n: int = 300, repeats: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)
    logits = rng.normal(0, 1, (repeats, n, 3))
    logits[:, np.arange(n), labels] += 3
    labels[:40] = (labels[:40] + 1) % 3
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return {
        "predictions": p,
        "targets": Targets(CLASSES, labels),
        "splits": np.stack([rng.permutation(n) % 5 for _ in range(repeats)]),
        "paths": [f"{i}.jpg" for i in range(n)],
        "features": rng.random((n, 40), np.float32) + np.eye(3, 40, dtype=np.float32)[labels],
        "seed": 0,
    }


@pytest.fixture(scope="module")
def found() -> Reliability:
    return assess(**inputs())  # type: ignore[arg-type]


def test_the_summary_holds_what_results_json_promises(found: Reliability) -> None:
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(data) == {
        *(
            "kind",
            "temperature",
            "confidence",
            "bins",
            "conformal",
            "outliers",
            "classes",
            "confusion",
        ),
        *("suspects", "suspects_found", "suspects_expected"),
    }
    assert set(data["temperature"]) == {
        *("value", "fitted", "p_value", "ece_before", "ece_expected", "ece_after"),
        *("log_loss_before", "log_loss_after"),
    }
    assert set(data["conformal"]) == {
        *("level", "quantile", "coverage", "coverage_low", "coverage_high", "mean_size"),
    }
    assert set(data["outliers"]) >= {"method", "threshold"}
    assert [c["name"] for c in data["classes"]] == list(CLASSES)
    assert np.sum(data["confusion"]) == 300
    assert len(data["suspects"]) == min(20, data["suspects_found"])
    rows = found.suspects_csv().splitlines()
    assert len(rows) == 1 + data["suspects_found"] > 21


def test_figures_agree_with_each_other(found: Reliability) -> None:
    given = inputs()
    right = np.asarray(given["predictions"]).argmax(axis=2) == given["targets"].values
    assert np.trace(found.confusion) == pytest.approx(right.sum(axis=1).mean())
    assert found.confidence.accuracy == pytest.approx(right.mean())
    hits = sum(each.images * (each.recall or 0) for each in found.classes)
    assert hits == pytest.approx(np.trace(found.confusion))


def test_the_same_seed_gives_the_same(found: Reliability) -> None:
    again = assess(**inputs())  # type: ignore[arg-type]
    assert again.to_dict() == found.to_dict()


def test_the_model_carries_the_thresholds(found: Reliability) -> None:
    data, arrays = found.for_model().to_data()
    again = ModelReliability.from_data(json.loads(json.dumps(data)), arrays)
    assert again.temperature == found.calibration.value
    assert again.quantile == found.conformal.quantile
    features = np.asarray(inputs()["features"])
    np.testing.assert_array_equal(again.detector.scores(features), found.detector.scores(features))


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": float("inf")},
        {"conformal": {"level": 0.9, "quantile": 1.5}},
        {"conformal": {"level": 1, "quantile": 0.5}},
    ],
)
def test_thresholds_that_cannot_be_are_refused(
    found: Reliability, change: dict[str, object]
) -> None:
    data, arrays = found.for_model().to_data()
    with pytest.raises(ValueError, match="are out of range"):
        ModelReliability.from_data({**data, **change}, arrays)


@pytest.mark.parametrize(
    "change",
    [
        {"paths": ["one.jpg"]},
        {"targets": Targets(("a", "b"), np.zeros(300, int))},
        {"features": np.zeros((299, 40), np.float32)},
        {"features": np.full((300, 40), np.nan, np.float32)},
        {"predictions": np.full((2, 300, 3), np.nan)},
    ],
)
def test_inputs_that_do_not_match_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"shapes|finite"):
        assess(**{**inputs(), **change})  # type: ignore[arg-type]


def test_two_thousand_images_take_about_a_second_at_most() -> None:
    given = inputs(2000, repeats=5)
    rng = np.random.default_rng(1)
    given["features"] = rng.random((2000, 1280), np.float32)
    assess(**inputs())  # type: ignore[arg-type]  # what is done once
    start = time.process_time()
    assess(**given)  # type: ignore[arg-type]
    assert time.process_time() - start < 1.5  # 0.3 where nothing else runs
