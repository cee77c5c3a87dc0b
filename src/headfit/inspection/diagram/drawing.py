"""The whole drawing, from its title to its last sentence."""

from __future__ import annotations

from headfit.inspection.diagram.counts import Counts
from headfit.inspection.diagram.palette import DARK, LIGHT
from headfit.inspection.diagram.panels import GAP, WIDTH, draw_panels, draw_stack, scale_of
from headfit.inspection.diagram.photo import Tiles, draw_photo, shortened, weights_name
from headfit.inspection.diagram.svg import Canvas

MARGIN = 30.0
INNER = 2 * WIDTH + GAP
TEXT_LEFT = 310.0  # of what is said beside the stack


def draw(counts: Counts, subject: str = "", tiles: Tiles | None = None, dark: bool = False) -> str:
    """Draw the two approaches side by side.

    Args:
        counts: the numbers.
        subject: where the map comes from, for instance "VGG16 at 224 px"; may be empty.
        tiles: real feature maps to show as well.
        dark: draw for a dark page.

    Returns:
        An SVG document; the same numbers give the same bytes.
    """
    colours = DARK if dark else LIGHT
    height, width, channels = counts.map_shape
    shape = f"{height}×{width}×{channels}"
    canvas = Canvas(INNER + 2 * MARGIN)
    title = f"{subject or f'A feature map of {shape}'}, {counts.outputs}"
    body = Canvas(canvas.width)
    y = body.paragraph(MARGIN, 22, INNER, title, size=22, fill=colours.text, bold=True)
    y = body.paragraph(MARGIN, y, INNER, motto(counts), size=16, fill=colours.soft) + 16
    below = draw_stack(body, colours, counts.map_shape, MARGIN, y)
    each = (
        "its one position" if counts.positions == 1 else f"each of {counts.positions:,} positions"
    )
    words = (
        f"Feature map {shape}",
        f"Each slice is a channel, {channels:,} in all. It shows how strongly one feature responds "
        f"at {each}: {counts.flatten.features:,} numbers for each image.",
    )
    room = INNER + MARGIN - TEXT_LEFT
    beside = body.paragraph(TEXT_LEFT, y + 8, room, words[0], size=18, fill=colours.text, bold=True)
    beside = body.paragraph(TEXT_LEFT, beside + 4, room, words[1], size=15, fill=colours.text)
    y = max(below, beside) + 14
    if tiles:
        y = draw_photo(body, colours, tiles, MARGIN, y, INNER) + 14
    panels_top = y
    y = draw_panels(body, colours, counts, MARGIN, y)
    panels_bottom = y
    y = body.paragraph(MARGIN, y + 16, INNER, compared(counts), size=16, fill=colours.text)
    y = body.paragraph(MARGIN, y + 4, INNER, _scale_said(counts), size=14, fill=colours.soft)
    bottom = round(y + 20)
    canvas.shape("rect", x=0, y=0, width=canvas.width, height=bottom, fill=colours.paper)
    for left in (MARGIN, MARGIN + WIDTH + GAP):
        canvas.shape(
            "rect",
            x=left,
            y=panels_top,
            width=WIDTH,
            height=panels_bottom - panels_top,
            fill=colours.panel,
        )
    canvas.put(body)
    return canvas.render(bottom, title, described(counts, tiles))


def motto(counts: Counts) -> str:
    """Say in a few words what each of the two keeps."""
    if counts.positions == 1:
        return "With one position, Flatten and global average pooling are the same."
    return "Flatten keeps where; gap keeps what."


def compared(counts: Counts) -> str:
    """Say how many times as many parameters Flatten needs, and what for."""
    if counts.positions == 1:
        return f"Both heads have {counts.gap.parameters:,} parameters."
    times = f"{counts.ratio:,.1f}" if counts.ratio < 100 else f"{counts.ratio:,.0f}"
    return (
        f"Flatten's head has {times} times as many parameters. Flatten keeps where a feature lies; "
        f"gap keeps only what is there, wherever it lies."
    )


def described(counts: Counts, tiles: Tiles | None) -> str:
    """Describe the drawing for screen readers."""
    height, width, channels = counts.map_shape
    layer = f"{counts.layer[0].lower()}{counts.layer[1:]}"
    activation, _, _ = layer.partition(" ")
    text = (
        f"A feature map of {height:,} by {width:,} positions and {channels:,} channels. "
        f"Flatten makes a vector of {counts.flatten.features:,} numbers of it; its {layer} has "
        f"{counts.flatten.parameters:,} parameters. Global "
        f"average pooling makes 1 by 1 by {channels:,} of it; its {activation} layer has "
        f"{counts.gap.parameters:,} parameters. {compared(counts)}"
    )
    if tiles:
        listed = ", ".join(f"{channel:,}" for channel in tiles.channels)
        text += (
            f" Heat maps show channels {listed} of the photograph {shortened(tiles.path.name)}, "
            f"with {weights_name(tiles.weights)} weights."
        )
    return text


def _scale_said(counts: Counts) -> str:
    cut = " but for the cut" if scale_of(counts).cut else ""
    return f"To scale: lengths of the two vectors{cut}, areas of the two squares (parameters)."
