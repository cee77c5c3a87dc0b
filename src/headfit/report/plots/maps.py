"""Size of the feature map at each input size and depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.report.marks import say
from headfit.report.plots.style import BLUE, GREEN, GREY, ORANGE, finish, new_axes, plain
from headfit.report.text import titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES, MARKERS = (BLUE, ORANGE, GREEN, GREY), "osD^v<>"


def maps(results: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the positions of the feature map against the input size, a line for each depth.

    Args:
        results: as in ``results.json``; best of a run with several sizes or cuts.
        ax: axes to draw into; new ones if None.
    """
    ax = new_axes(ax)
    lines: dict[tuple[str, str], list[tuple[int, list[int]]]] = {}
    for each in results["backbones"]:
        key = each["backbone"], each["cut"] or "its end"
        lines.setdefault(key, []).append((each["input_size"], each["map_shape"]))
    several = len({backbone for backbone, _ in lines}) > 1
    for number, ((backbone, cut), points) in enumerate(lines.items()):
        points.sort()
        name = f"{backbone}, {cut}" if several else cut
        ax.plot(
            [size for size, _ in points],
            [shape[0] * shape[1] for _, shape in points],
            color=SHADES[number % len(SHADES)],
            marker=MARKERS[number % len(MARKERS)],
            label=f"{plain(name, 40)}: {points[0][1][2]:,} channels",
        )
        for size, shape in points:
            positions = shape[0] * shape[1]
            text = f"{backbone}, {cut}, {size} px: {_text(shape)}, {positions:,} positions"
            say(ax, text, (size, positions))
    sizes = sorted({each["input_size"] for each in results["backbones"]})
    ax.set_xticks(sizes)
    ax.set_yscale("log")
    shapes = [each["map_shape"] for each in results["backbones"]]
    counts = sorted({shape[0] * shape[1] for shape in shapes})
    named = {shape[0] * shape[1]: f"{shape[0]}×{shape[1]}" for shape in shapes}
    ax.set_yticks(counts, [named[count] for count in counts])
    ax.minorticks_off()
    ax.legend(fontsize="small", frameon=False)
    least = min(shapes, key=_positions)
    most = max(shapes, key=_positions)
    title = titles.maps(_text(least), _text(most))
    return finish(ax, title, "side of the input in pixels", "positions of the map, log scale")


def _positions(shape: list[int]) -> int:
    return shape[0] * shape[1]


def _text(shape: list[int]) -> str:
    return f"{shape[0]}×{shape[1]}×{shape[2]:,}"
