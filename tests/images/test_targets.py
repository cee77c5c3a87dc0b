from __future__ import annotations

import numpy as np
import pytest

from headfit.errors import UsageError
from headfit.images.targets import Targets


def test_classes_are_numbered_in_the_order_of_their_names():
    targets = Targets.of_classes(["dog", "Zebra", "cat", "dog"])
    assert targets.names == ("Zebra", "cat", "dog")
    assert targets.values.tolist() == targets.strata.tolist() == [2, 0, 1, 2]
    assert (targets.kind, targets.count, len(targets)) == ("class", 3, 4)
    assert [targets.label(row) for row in range(4)] == ["dog", "Zebra", "cat", "dog"]


@pytest.mark.parametrize("rows", [[3, 0], np.array([3, 0]), np.array([1, 0, 0, 1], bool)])
def test_a_subset_keeps_the_names(rows):
    part = Targets.of_classes(["b", "a", "a", "b"]).subset(rows)
    assert part.counts() == {"a": 0, "b": 2}
    assert len(Targets.of_classes(["a"]).subset(np.array([], int))) == 0


def test_values_are_copied_and_cannot_be_changed():
    values = np.array([0, 1], np.int8)
    targets = Targets(("a", "b"), values)
    values[0] = 1
    assert targets.values.dtype == np.int64
    assert targets.values.tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        targets.values[0] = 1


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ([0, 2], "from 0 to 1.*Received: 0 to 2"),
        ([-1, 0], "Received: -1 to 0"),
        ([0.5, 1.0], r"integers of shape \(n,\).*float64"),
        ([[0], [1]], r"shape \(2, 1\)"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, match):
    with pytest.raises(UsageError, match=match):
        Targets(("a", "b"), np.array(values))


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError, match="`kind` must be one of class, labels, number"):
        Targets(("a",), np.array([0]), "words")
