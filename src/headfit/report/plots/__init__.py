"""Plots of ``results.json``: each takes the results and, optionally, axes, and returns its axes.

``plots.scores(results)`` makes a new figure, ``plots.scores(results, ax)`` draws into existing
axes. Results are ``study.results`` or the content of ``results.json``. A plot whose numbers the run
did not measure raises ``UsageError`` and names the argument that measures them; so does a plot of
classes where a run predicts numbers.
"""

from headfit.report.plots.curves import learning_curve, maps, posterior, spectrum
from headfit.report.plots.gains import gains
from headfit.report.plots.heads import cost, overfit, scores
from headfit.report.plots.labels import cooccurrence, labels
from headfit.report.plots.numbers import predicted_true, residuals
from headfit.report.plots.reliability import calibration, classes, confusion
from headfit.report.plots.two_classes import precision_recall, roc

__all__ = [
    "calibration",
    "classes",
    "confusion",
    "cooccurrence",
    "cost",
    "gains",
    "labels",
    "learning_curve",
    "maps",
    "overfit",
    "posterior",
    "precision_recall",
    "predicted_true",
    "residuals",
    "roc",
    "scores",
    "spectrum",
]
