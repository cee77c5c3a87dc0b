"""Plots of ``results.json``: each takes the results and, optionally, axes, and returns its axes.

``plots.scores(results)`` makes a new figure, ``plots.scores(results, ax)`` draws into existing
axes. Results are ``study.results`` or the content of ``results.json``. A plot whose numbers the run
did not measure raises ``UsageError`` and names the argument that measures them.
"""

from headfit.report.plots.calibration import calibration
from headfit.report.plots.classes import classes
from headfit.report.plots.confusion import confusion
from headfit.report.plots.cost import cost
from headfit.report.plots.learning_curve import learning_curve
from headfit.report.plots.maps import maps
from headfit.report.plots.overfit import overfit
from headfit.report.plots.posterior import posterior
from headfit.report.plots.scores import scores
from headfit.report.plots.spectrum import spectrum

__all__ = [
    "calibration",
    "classes",
    "confusion",
    "cost",
    "learning_curve",
    "maps",
    "overfit",
    "posterior",
    "scores",
    "spectrum",
]
