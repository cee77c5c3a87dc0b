from __future__ import annotations

import numpy as np
import pytest

from headfit.fitting.descent.adamw import LOSSES
from headfit.fitting.descent.trainers import WATCHED
from headfit.fitting.kinds import KINDS
from headfit.images import targets
from numbered import numbered

SCORES = np.random.default_rng(0).normal(size=(7, 3))
LABELS = numbered(np.arange(7) % 3)


def test_every_kind_of_target_has_its_mathematics():
    assert set(KINDS) == set(LOSSES) == set(WATCHED) == set(targets.KINDS)


def test_classes_are_encoded_one_column_each_and_decided_by_the_largest():
    kind = KINDS[targets.CLASS]
    encoded = kind.encode(LABELS)
    np.testing.assert_array_equal(encoded.sum(axis=1), 1)
    np.testing.assert_array_equal(kind.decide(encoded), LABELS.values)
    np.testing.assert_allclose(kind.link(SCORES).sum(axis=1), 1)
    assert kind.score(encoded, LABELS.values) == 1.0
    assert kind.primary in kind.metrics


@pytest.mark.parametrize("name", targets.KINDS)
def test_all_solvers_have_one_loss(name):
    kind, values = KINDS[name], LABELS.values
    expected = kind.losses(SCORES.T, values)
    assert kind.loss(kind.link(SCORES), values) == pytest.approx(expected.mean())
    np.testing.assert_allclose(LOSSES[name](SCORES, values), expected, rtol=1e-5)
    (watched,) = WATCHED[name](SCORES[None], values)
    np.testing.assert_allclose(watched, expected, rtol=1e-5)
    # the exact solver's, of one problem in which each row counts once
    rows = kind.rows(np.zeros((7, 1)), LABELS)
    total, _ = rows.losses(SCORES.T[None].copy(), np.ones((1, 7)))
    assert total[0] == pytest.approx(expected.sum())
