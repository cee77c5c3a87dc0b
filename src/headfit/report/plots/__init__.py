"""Plots of ``results.json``: each takes the results and, optionally, axes, and returns its axes.

``plots.scores(results)`` makes a new figure, ``plots.scores(results, ax)`` draws into existing
axes. Results are ``study.results`` or the content of ``results.json``. A plot whose numbers the run
did not measure raises ``UsageError`` and names the argument that measures them.
"""

from headfit.report.plots.curves import learning_curve, maps, posterior, spectrum
from headfit.report.plots.gains import gains
from headfit.report.plots.heads import cost, overfit, scores
from headfit.report.plots.reliability import calibration, classes, confusion

__all__ = [
    "calibration",
    "classes",
    "confusion",
    "cost",
    "gains",
    "learning_curve",
    "maps",
    "overfit",
    "posterior",
    "scores",
    "spectrum",
]
