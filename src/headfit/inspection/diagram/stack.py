"""The feature map as a stack of slices, one for each channel."""

from __future__ import annotations

from headfit.heads.pooling import MapShape
from headfit.inspection.diagram.palette import Palette
from headfit.inspection.diagram.svg import Canvas, text_width

SIDE = 104.0  # of the longer side of a slice
SHORTEST = 16.0
STEP_X, STEP_Y = 13.0, 9.0  # from one slice to the one behind it
SLICES = 6
MAX_LINES = 20  # a finer grid would be grey
SIZE = 14.0


def draw_stack(canvas: Canvas, colours: Palette, shape: MapShape, x: float, top: float) -> float:
    """Draw the stack with its three lengths, and give the y below it.

    Args:
        canvas: to draw on.
        colours: to draw with.
        shape: (H, W, C).
        x: left edge; the whole takes less than 270.
        top: upper edge.
    """
    height, width, channels = shape
    longer = max(height, width)
    tall, wide = (max(SHORTEST, SIDE * side / longer) for side in (height, width))
    shown = min(channels, SLICES)
    left = x + text_width(f"{height:,}", SIZE) + 8
    front = top + (shown - 1) * STEP_Y + 6
    for number in reversed(range(shown)):
        dx, dy = number * STEP_X, number * STEP_Y
        canvas.shape(
            "rect",
            x=left + dx,
            y=front - dy,
            width=wide,
            height=tall,
            fill=colours.map,
            stroke=colours.line,
            stroke_width=1.2,
        )
    grid = [f"M{left + wide * n / width:.6g} {front:.6g}v{tall:.6g}" for n in range(1, width)] * (
        width <= MAX_LINES
    ) + [f"M{left:.6g} {front + tall * n / height:.6g}h{wide:.6g}" for n in range(1, height)] * (
        height <= MAX_LINES
    )
    if grid:
        canvas.shape("path", d="".join(grid), stroke=colours.line, stroke_width=0.7, fill="none")
    back = left + wide + (shown - 1) * STEP_X
    # no more slices than channels; dots say that there are more of them
    for number in range(3 if channels > shown else 0):
        away = 7 + number * 6
        canvas.shape(
            "circle",
            cx=back - wide / 2 + away,
            cy=top + 2 - number * 4,
            r=1.6,
            fill=colours.text,
        )
    # height, width, channels: left of the stack, below it, and along its depth
    _length(canvas, colours, height, left - 6, front + tall / 2 + 5, "end")
    _length(canvas, colours, width, left + wide / 2, front + tall + 17, "middle")
    deep = (shown - 1) / 2
    at = left + wide + deep * STEP_X + 10, front + tall - deep * STEP_Y + 8
    _length(canvas, colours, channels, *at, "start")
    return front + tall + 24


def _length(canvas: Canvas, colours: Palette, value: int, x: float, y: float, anchor: str) -> None:
    canvas.text(x, y, f"{value:,}", size=SIZE, fill=colours.text, anchor=anchor)
