"""Plots as SVG inside an HTML page, following its light and dark colours."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from headfit.heads.pooling import MapShape
from headfit.inspection.diagram.counts import count
from headfit.inspection.diagram.drawing import draw
from headfit.inspection.diagram.palette import DARK, LIGHT
from headfit.report.marks import marks_of, name_artists, with_marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Plot = Callable[[dict[str, Any], "Axes | None"], "Axes"]

WIDTH = 4.6  # of a plot, inches
# a colour that no plot uses; the page replaces it by the colour of its text
INK = "#010203"
_INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "headfit",
    "font.size": 10.0,
    **dict.fromkeys(_INKED, INK),
}


@dataclass(frozen=True)
class Picture:
    """A plot for the page.

    Attributes:
        key: name within the page.
        title: the result, one sentence.
        axes: what the axes show, for screen readers.
        svg: the drawing, an ``<svg>`` element.
        speaks: whether its marks have tooltips.
    """

    key: str
    title: str
    axes: str
    svg: str
    speaks: bool


def picture(key: str, plot: Plot, results: dict[str, Any]) -> Picture:
    """Draw a plot of a run without its title, which the page shows itself.

    Args:
        key: name within the page.
        plot: function that draws results into axes.
        results: as in ``results.json``.
    """
    heads = {row["name"] for row in results["candidates"]}
    return drawing(key, partial(plot, results), (WIDTH, height(key, results)), heads)


def drawing(
    key: str,
    plot: Callable[[Axes], Axes],
    size: tuple[float, float],
    heads: Collection[str] = (),
) -> Picture:
    """Draw a plot without its title.

    Args:
        key: name within the page.
        plot: function that draws into axes.
        size: its width and height in inches.
        heads: the candidates that have rows on the page.
    """
    import matplotlib as mpl  # noqa: PLC0415  (heavy)
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    # pages look alike whatever the user's matplotlib settings are
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        axes = plot(figure.add_subplot())
        title = " ".join(axes.get_title(loc="left").split()).replace(r"\$", "$")
        axes.set_title("", loc="left")
        marks = marks_of(axes)
        name_artists(marks)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
        svg = with_marks(_tidy(stream.getvalue(), key), key, figure, axes, marks, set(heads))
    label = " against ".join(part for part in (axes.get_ylabel(), axes.get_xlabel()) if part)
    return Picture(key, title, label, svg, bool(marks.data))


def depiction(map_shape: MapShape, classes: int, subject: str, kind: str = "class") -> str:
    """Draw what Flatten and gap make of this feature map, in colours that the page sets.

    Args:
        map_shape: (H, W, C).
        classes: K, of labels or numbers too.
        subject: where the map comes from.
        kind: of the targets.
    """
    svg = draw(count(map_shape, classes, kind), subject)
    for field in fields(LIGHT):
        svg = svg.replace(f'"{getattr(LIGHT, field.name)}"', f'"var(--d-{field.name})"')
    return _prefixed(svg, "depiction")


def depiction_colours(dark: bool) -> str:
    """Give the colours of the depiction as CSS declarations."""
    palette = DARK if dark else LIGHT
    return "; ".join(f"--d-{f.name}: {getattr(palette, f.name)}" for f in fields(palette))


def height(key: str, results: dict[str, Any]) -> float:
    """Give the height of a plot in inches, by its name and number of rows."""
    rows = {
        "scores": min(len(results["candidates"]), 21),
        "overfit": min(len(results["candidates"]), 21),
        "classes": min(len(results["reliability"].get("classes", ())), 30),
        "labels": min(len(results["reliability"].get("labels", ())), 30) + 1,
        "gains": 2 * len((results.get("finetune") or {"gains": ()})["gains"]),
    }
    if key in rows:
        return max(2.4, 0.9 + 0.26 * rows[key])
    return 3.4 if key in ("predicted_true", "residuals") else 2.9


def _tidy(svg: str, key: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL)
    # the page's own font and colour; the figure around it has the name
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", svg).replace(INK, "currentColor")
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', svg, count=1)
    return _prefixed(svg, key)


def _prefixed(svg: str, key: str) -> str:
    """Make ids unique within the page."""
    # within tags only: a class may be called id="x"
    return re.sub(r"<[^>]*>", lambda tag: _prefixed_tag(tag[0], key), svg)


def _prefixed_tag(tag: str, key: str) -> str:
    tag = re.sub(r'\bid="', f'id="{key}-', tag)
    tag = re.sub(r'href="#', f'href="#{key}-', tag)
    tag = re.sub(r"url\(#", f"url(#{key}-", tag)
    return re.sub(
        r'aria-labelledby="([^"]*)"',
        lambda m: f'aria-labelledby="{" ".join(f"{key}-{name}" for name in m[1].split())}"',
        tag,
    )
