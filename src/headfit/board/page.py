"""A board as a page: one file that loads nothing, in the style of the report."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from importlib.resources import files as resources
from typing import Any

from headfit import __version__
from headfit.board.markdown import link, sentences
from headfit.report import inline
from headfit.report.plots.board import forest, height
from headfit.report.templates import environment
from headfit.report.text.board import cells, columns, explained, failures

WIDTH = 7.0  # of a plot, inches
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(board: Mapping[str, Any]) -> str:
    """Give the page as HTML.

    Args:
        board: content of ``board.json``.
    """
    style = (resources("headfit.report") / "style.css").read_text("utf-8")
    template = (resources("headfit.board") / "page.html.j2").read_text("utf-8")
    groups = [
        {
            "heading": group["heading"],
            "columns": columns(group),
            "rows": [(link(row["name"]), cells(row, group)) for row in group["rows"]],
            "picture": _picture(number, group),
            "sentences": sentences(group),
            "explained": explained(group),
        }
        for number, group in enumerate(board["groups"], 1)
    ]
    return (
        environment()
        .from_string(template)
        .render(
            groups=groups,
            failed=board["failed"],
            failures=failures(board["failed"]),
            style=style,
            policy=POLICY,
            version=__version__,
        )
    )


def _picture(number: int, group: Mapping[str, Any]) -> inline.Picture | None:
    if not any(row["difference"] for row in group["rows"]):
        return None
    return inline.drawing(f"forest-{number}", partial(forest, group), (WIDTH, height(group)))


def picture_file(board: Mapping[str, Any]) -> str:
    """Draw all groups below each other as one SVG file, on white."""
    import matplotlib as mpl  # noqa: PLC0415  (heavy)
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    groups = board["groups"]
    heights = [height(group) + 0.4 for group in groups] or [1.0]
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "headfit", "font.size": 10.0})
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        FigureCanvasSVG(figure)
        if groups:
            axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
            for group, ax in zip(groups, axes, strict=True):
                forest(group, ax)
        stream = io.StringIO()
        figure.savefig(
            stream, format="svg", facecolor="white", metadata=dict.fromkeys(("Creator", "Date"))
        )
    return stream.getvalue()
