from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headfit.features.store import FeatureStore
from headfit.fitting.exact.method import Exact
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.heads.chain import parse_head
from headfit.images.targets import Targets
from headfit.study.protocol import crossval
from headfit.study.protocol.ledger import Ledger
from headfit.study.protocol.splits import make_splits
from numbered import numbered

HEAD = parse_head("gem")
FEATURES = ["key", ["a", "b"]]


@pytest.fixture
def problem() -> Problem:
    labels = np.arange(60) % 3
    return Problem(
        numbered(labels), make_splits(labels, folds=4, repeats=2, seed=0), (1e-1, 1e-2, 1e-3)
    )


@pytest.fixture
def method(tmp_path, problem) -> Exact:
    rng = np.random.default_rng(0)
    maps = np.abs(
        rng.normal(size=(3, 1, 1, 8))[problem.targets.values] + rng.normal(size=(60, 2, 2, 8))
    )
    store = FeatureStore(tmp_path / "store")
    names = [str(i) for i in range(60)]
    store.append(names, maps.astype(np.float32))
    return Exact(HEAD, PooledFeatures(store.maps(names), (HEAD.pooling,)))


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(Exact, "cross_validate", fail)
    monkeypatch.setattr(Exact, "refit", fail)


def test_a_second_run_finds_every_fit_of_the_first(tmp_path, method, problem, monkeypatch):
    ledger = Ledger(tmp_path, FEATURES, problem)
    first = crossval.cross_validate(method, problem, ledger=ledger)
    fitted = crossval.refit(method, problem, first.final, ledger)
    forbid(monkeypatch)
    ledger = Ledger(tmp_path, FEATURES, problem)
    again = crossval.cross_validate(method, problem, ledger=ledger)
    np.testing.assert_array_equal(again.probabilities, first.probabilities)
    np.testing.assert_array_equal(again.train_scores, first.train_scores)
    for name in ("head", "choices", "final", "notes", "seconds"):
        assert getattr(again, name) == getattr(first, name)
    stored = crossval.refit(method, problem, again.final, ledger)
    assert stored.shape == fitted.shape
    for weight, same in zip(stored.weights, fitted.weights, strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.mark.parametrize("kind", ["labels", "number"])
def test_a_stored_head_predicts_what_it_was_fitted_for(tmp_path, method, problem, kind):
    values = np.random.default_rng(1).integers(0, 2, (60, 3))
    problem = replace(problem, targets=Targets(("a", "b", "c"), values, kind))
    ledger = Ledger(tmp_path, FEATURES, problem)
    first = crossval.cross_validate(method, problem, ledger=ledger)
    fitted = crossval.refit(method, problem, first.final, ledger)
    stored = crossval.refit(method, problem, first.final, ledger)
    maps = np.random.default_rng(2).random((5, 2, 2, 8), np.float32)
    np.testing.assert_array_equal(stored.probabilities(maps), fitted.probabilities(maps))


def test_whatever_fits_depend_on_makes_another_entry(tmp_path, method, problem):
    ledger = Ledger(tmp_path, FEATURES, problem)
    crossval.cross_validate(method, problem, ledger=ledger)
    assert ledger.cross_validation(method) is not None
    assert ledger.cross_validation(Exact(parse_head("gap"), method.pooled)) is None
    others = [
        replace(problem, targets=numbered(problem.targets.values[::-1])),
        replace(problem, splits=make_splits(problem.targets.strata, folds=4, repeats=2, seed=1)),
        replace(problem, penalties=(1e-1, 1e-2)),
        replace(problem, quick=True),
        replace(problem, seed=1),
    ]
    for other in others:
        assert Ledger(tmp_path, FEATURES, other).cross_validation(method) is None
    assert Ledger(tmp_path, ["key", ["b", "a"]], problem).cross_validation(method) is None


@pytest.mark.parametrize("at", [0, 10, -10])
def test_a_damaged_entry_counts_as_absent(tmp_path, method, problem, at):
    ledger = Ledger(tmp_path / "fits", FEATURES, problem)
    crossval.cross_validate(method, problem, ledger=ledger)
    (entry,) = (tmp_path / "fits").iterdir()
    data = bytearray(entry.read_bytes())
    data[at] ^= 0xFF
    entry.write_bytes(data)
    found = ledger.cross_validation(method)
    whole = crossval.cross_validate(method, problem)
    # the last bytes of a zip are a comment's length and an offset: either way nothing false comes
    if found is not None:
        np.testing.assert_array_equal(found.probabilities, whole.probabilities)
    entry.write_bytes(data[: len(data) // 2])
    assert ledger.cross_validation(method) is None
    again = crossval.cross_validate(method, problem, ledger=ledger)
    np.testing.assert_array_equal(again.probabilities, whole.probabilities)
    assert ledger.cross_validation(method) is not None
