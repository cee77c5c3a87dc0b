"""Nested cross-validation of a linear head, by the solver of its kind of target."""

from __future__ import annotations

from headfit.fitting.exact import penalties, regression
from headfit.fitting.exact.choices import Choices, Unit
from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.problem import Problem
from headfit.progress import SILENT, Progress


def choose(
    coordinates: Coordinates, problem: Problem, units: list[Unit], progress: Progress = SILENT
) -> Choices:
    """Choose a penalty for each unit, and fit it on its whole training part with that.

    Args:
        coordinates: of the n images.
        problem: targets, folds and penalties; a fold of −1 leaves an image out of a repeat.
        units: repeat and outer fold.
        progress: reports the fraction done.
    """
    solve = regression.choose if problem.kind.rows is None else penalties.choose
    return solve(coordinates, problem, units, progress)
