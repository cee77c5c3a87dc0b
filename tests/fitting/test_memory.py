from __future__ import annotations

import numpy as np
import pytest

from headfit.fitting.exact.lbfgs_memory import PAIRS, PairMemory


def two_loop(gradient, pairs) -> np.ndarray:
    """Nocedal & Wright's algorithm 7.4, for one problem."""
    q, factors = gradient.copy(), []
    for step, change in reversed(pairs):
        factors.append((step @ q) / (step @ change))
        q -= factors[-1] * change
    if pairs:
        step, change = pairs[-1]
        q *= (step @ change) / (change @ change)
    for (step, change), factor in zip(pairs, reversed(factors), strict=True):
        q += (factor - (change @ q) / (step @ change)) * step
    return -q


@pytest.mark.parametrize("steps", [0, 1, PAIRS, 2 * PAIRS + 1])
def test_directions_are_those_of_the_two_loop_recursion(steps):
    rng = np.random.default_rng(0)
    bends = np.exp(rng.normal(size=(3, 12)))  # three quadratic problems
    place = rng.normal(size=(3, 12))
    memory, pairs = PairMemory(bends * place), [[], [], []]
    for _ in range(steps):
        direction, _ = memory.direction()
        length = rng.uniform(0.2, 1.0, 3)
        before, place = place, place + length[:, None] * direction
        memory.remember(length, direction, bends * place)
        for kept, step, bend in zip(pairs, place - before, bends, strict=True):
            kept.append((step, bend * step))
    direction, slope = memory.direction()
    for row, kept in enumerate(pairs):
        wanted = two_loop(bends[row] * place[row], kept[-PAIRS:])
        np.testing.assert_allclose(direction[row], wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(slope, np.vecdot(direction, bends * place), rtol=1e-6)
    assert (slope < 0).all()


def test_some_problems_go_on_as_if_they_were_alone():
    rng = np.random.default_rng(0)
    bends, place = np.exp(rng.normal(size=(3, 12))), rng.normal(size=(3, 12))
    memory = PairMemory(bends * place)
    direction, _ = memory.direction()
    place = place + 0.5 * direction
    memory.remember(np.full(3, 0.5), direction, bends * place)
    everyone, _ = memory.direction()
    memory.select(np.array([True, False, True]))
    some, _ = memory.direction()
    np.testing.assert_array_equal(some, everyone[[0, 2]])
