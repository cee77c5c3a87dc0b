"""Which plots a run has numbers for, and the same as image files."""

from __future__ import annotations

import io
from typing import Any

from headfit.images.targets import CLASS, LABELS
from headfit.report.inline import Plot, height
from headfit.report.text.targets import kind_of

DPI = 150


def drawable(results: dict[str, Any]) -> dict[str, Plot]:
    """List the plots of the page that these results have numbers for, by name."""
    from headfit.report import plots  # noqa: PLC0415  (scipy)
    from headfit.report.plots.curves import has_noise  # noqa: PLC0415

    kind, reliability = kind_of(results), results["reliability"]
    points = bool(reliability.get("points"))
    wanted: dict[str, tuple[Plot, bool]] = {
        "gains": (plots.gains, bool(results.get("finetune"))),
        "scores": (plots.scores, True),
        "posterior": (plots.posterior, has_noise(results) is not None),
        "spectrum": (plots.spectrum, bool(results["where"])),
        "cost": (plots.cost, True),
        "maps": (plots.maps, len(results["backbones"]) > 1 and not results.get("finetune")),
        "overfit": (plots.overfit, True),
        "learning_curve": (plots.learning_curve, bool(results["learning_curve"])),
        "calibration": (plots.calibration, bool(reliability.get("bins"))),
        "classes": (plots.classes, kind == CLASS),
        "roc": (plots.roc, bool(reliability.get("curves"))),
        "precision_recall": (plots.precision_recall, bool(reliability.get("curves"))),
        "labels": (plots.labels, kind == LABELS),
        "predicted_true": (plots.predicted_true, points),
        "residuals": (plots.residuals, points),
    }
    return {key: plot for key, (plot, able) in wanted.items() if able}


def pngs(results: dict[str, Any]) -> dict[str, bytes]:
    """Draw them, and the matrix of classes or labels, as PNG files, by name.

    Args:
        results: as in ``results.json``.
    """
    import matplotlib as mpl  # noqa: PLC0415  (heavy)
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    from headfit.report import plots  # noqa: PLC0415  (scipy)

    files = {}
    # files look alike whatever the user's matplotlib settings are
    with mpl.rc_context():
        mpl.rcdefaults()
        matrices = {CLASS: {"confusion": plots.confusion}}
        matrices[LABELS] = {"cooccurrence": plots.cooccurrence}
        for key, plot in {**drawable(results), **matrices.get(kind_of(results), {})}.items():
            figure = Figure(figsize=(4.6, height(key, results)), layout="constrained")
            FigureCanvasAgg(figure)
            plot(results, figure.add_subplot())
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=DPI, bbox_inches="tight")
            files[key] = stream.getvalue()
    return files
