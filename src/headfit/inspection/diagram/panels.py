"""The two heads side by side: the vector that each makes, and its weights, drawn to scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headfit.heads.pooling import MapShape
from headfit.inspection.diagram.counts import Counts, Side
from headfit.inspection.diagram.palette import Palette
from headfit.inspection.diagram.svg import Canvas, text_width
from headfit.util.nouns import counted

SIDE = 104.0  # of the longer side of a slice
SLICE_SHORTEST = 16.0
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
    tall, wide = (max(SLICE_SHORTEST, SIDE * side / longer) for side in (height, width))
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
            "circle", cx=back - wide / 2 + away, cy=top + 2 - number * 4, r=1.6, fill=colours.text
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


WIDTH, GAP, INSET = 342.0, 16.0, 16.0
INNER = WIDTH - 2 * INSET
STRIP = 22.0  # height of a vector
LONGEST_ALONE = 110.0  # gap's vector where Flatten's is no longer
SHORTEST = 3.0  # gap's vector; where that is too long for Flatten's to fit, Flatten's is cut
CUT_VECTOR = 5.0  # gap's vector then
CUT = 26.0  # width of the break
SQUARE = 150.0  # side of the larger square of weights
RINGED = 8.0  # squares below this get a ring around them
BODY, SMALL = 15.0, 14.0


@dataclass(frozen=True)
class Scale:
    """How lengths and areas are drawn.

    Attributes:
        vector: length of gap's vector; Flatten's is as many times that as there are positions.
        cut: whether Flatten's does not fit and is cut.
        parameter: area of one parameter.
    """

    vector: float
    cut: bool
    parameter: float


def scale_of(counts: Counts) -> Scale:
    """Choose the largest scale at which all that is not cut fits."""
    vector = min(LONGEST_ALONE, INNER / counts.positions)
    cut = vector < SHORTEST
    larger = max(counts.flatten.parameters, counts.gap.parameters)
    return Scale(CUT_VECTOR if cut else vector, cut, SQUARE**2 / larger)


def draw_panels(canvas: Canvas, colours: Palette, counts: Counts, x: float, top: float) -> float:
    """Draw both heads, row by row so that rows are level, and give the y below them."""
    scale = scale_of(counts)
    lefts = (x + INSET, x + WIDTH + GAP + INSET)
    panels = _Panels(canvas, colours, counts, lefts)
    y = panels.rows(top + INSET, ("Flatten", "Global average pooling"), 18, bold=True)
    text = ("lays all numbers in a row", "averages each channel")
    y = panels.rows(y + 4, text, BODY)
    y = panels.rows(y, _made(counts), BODY)
    _strips(canvas, colours, counts, scale, lefts, y + 12)
    y = panels.rows(y + 12 + STRIP + 6, _vectors(counts, scale), SMALL, soft=True)
    sides = (counts.flatten, counts.gap)
    y = panels.rows(y + 16, (counts.layer, counts.layer), BODY)
    y = panels.rows(y + 2, tuple(f"{side.parameters:,} parameters" for side in sides), 17, True)
    y = panels.rows(y, tuple(_product(side, counts.classes) for side in sides), SMALL, soft=True)
    tints = (colours.flatten, colours.gap)
    for left, side, tint in zip(lefts, sides, tints, strict=True):
        _square(canvas, colours, math.sqrt(side.parameters * scale.parameter), tint, left, y + 12)
    y = panels.rows(y + 12 + SQUARE + 14, _meanings(counts), BODY)
    for left, tint in zip(lefts, tints, strict=True):
        canvas.shape("rect", x=left - INSET, y=top, width=WIDTH, height=4, fill=tint)
    return y + INSET


@dataclass(frozen=True)
class _Panels:
    canvas: Canvas
    colours: Palette
    counts: Counts
    lefts: tuple[float, float]

    def rows(
        self,
        top: float,
        texts: tuple[str, ...],
        size: float,
        bold: bool = False,
        soft: bool = False,
    ) -> float:
        """Write a paragraph into each panel, and give the y below the longer one."""
        fill = self.colours.soft if soft else self.colours.text
        return max(
            self.canvas.paragraph(left, top, INNER, text, size=size, fill=fill, bold=bold)
            for left, text in zip(self.lefts, texts, strict=True)
        )


def _made(counts: Counts) -> tuple[str, str]:
    height, width, channels = counts.map_shape
    return (
        f"{height}×{width}×{channels} → {counts.flatten.features:,}",
        f"{height}×{width}×{channels} → 1×1×{channels}",
    )


def _vectors(counts: Counts, scale: Scale) -> tuple[str, str]:
    features, positions = counts.flatten.features, counts.positions
    few = _numbers(counts.gap.features)
    if positions == 1:
        return few, f"{few}: the same as there"
    text = f"{_numbers(features)}, {counts.gap.features:,} for each of {positions:,} positions"
    if scale.cut:
        times = positions * scale.vector / INNER
        shown = f"{times:,.1f}" if times < 10 else f"{times:,.0f}"
        text += f". Cut: in full it would be {shown} times as long"
    return text, f"{few}, to the same scale"


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count:,} numbers"


def _product(side: Side, classes: int) -> str:
    return f"= {side.features:,} × {classes:,} weights + {counted(classes, 'bias', 'biases')}"


def _meanings(counts: Counts) -> tuple[str, str]:
    if counts.positions == 1:
        same = "One position only: there is no where to keep or to lose."
        return same, same
    return (
        "Keeps where each feature lies, and learns a weight for every place.",
        "Keeps what is there and how much of it on average; loses where.",
    )


def _strips(
    canvas: Canvas,
    colours: Palette,
    counts: Counts,
    scale: Scale,
    lefts: tuple[float, float],
    y: float,
) -> None:
    left, right = lefts
    end = left + min(INNER, counts.positions * scale.vector)
    if not scale.cut:
        _pieces(canvas, colours, scale.vector, left, end, y)
    else:
        # a whole number of pieces on both sides of the break
        after = 3 * scale.vector
        before = math.floor((INNER - after - CUT) / scale.vector) * scale.vector
        _pieces(canvas, colours, scale.vector, left, left + before, y)
        _pieces(canvas, colours, scale.vector, end - after, end, y)
        _break(canvas, colours, left + before, end - after, y)
    canvas.shape("rect", x=right, y=y, width=scale.vector, height=STRIP, fill=colours.gap)


def _pieces(
    canvas: Canvas, colours: Palette, length: float, left: float, right: float, y: float
) -> None:
    """Draw a part of Flatten's vector: one piece for each position, as long as gap's vector."""
    canvas.shape("rect", x=left, y=y, width=right - left, height=STRIP, fill=colours.flatten)
    count = round((right - left) / length)
    second = [
        f"M{left + n * length:.6g} {y:.6g}h{length:.6g}v{STRIP:.6g}h-{length:.6g}z"
        for n in range(1, count, 2)
    ]
    if second:
        canvas.shape("path", d="".join(second), fill=colours.flatten_soft)


def _break(canvas: Canvas, colours: Palette, left: float, right: float, y: float) -> None:
    """Draw two jagged edges, and dots between them."""
    quarter = STRIP / 4
    for x in (left + 4, right - 4):
        jag = f"M{x:.6g} {y - 3:.6g}l4 {quarter + 1.5:.6g}l-8 {quarter:.6g}l8 {quarter:.6g}"
        jag += f"l-4 {quarter + 1.5:.6g}"
        canvas.shape("path", d=jag, fill="none", stroke=colours.text, stroke_width=1.6)
    for n in (-1, 0, 1):
        x = (left + right) / 2 + n * 4
        canvas.shape("circle", cx=x, cy=y + STRIP / 2, r=1.1, fill=colours.text)


def _square(
    canvas: Canvas, colours: Palette, side: float, tint: str, left: float, top: float
) -> None:
    """Draw the weights as a square whose area is to scale, standing on the common ground."""
    if side >= RINGED:
        canvas.shape("rect", x=left, y=top + SQUARE - side, width=side, height=side, fill=tint)
        return
    middle, radius = top + SQUARE - 12, 12.0
    canvas.shape(
        "circle",
        cx=left + radius,
        cy=middle,
        r=radius,
        fill="none",
        stroke=colours.text,
        stroke_width=1.5,
    )
    corner = {"x": left + radius - side / 2, "y": middle - side / 2}
    canvas.shape("rect", width=side, height=side, fill=tint, **corner)
    text = "in the ring, to scale" if side >= 0.5 else "in the ring: too small to see at this scale"
    place = left + 2 * radius + 8
    canvas.text(place, middle + 5, text, size=SMALL, fill=colours.soft)
