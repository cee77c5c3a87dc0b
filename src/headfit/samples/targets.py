"""Generated images with a table beside them: numbers, or several labels, for each image.

``position``: a disc on a noisy ground; ``x`` and ``y`` say where its centre is, in pixels. Its
``colour`` is another number of the table: to predict that, the position must not matter.
``labels``: none to three shapes; ``labels`` names their forms and colours.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from headfit.samples.coloured import SIDE, Shape, colour_of, render

TABLE = "images.csv"
COUNTS = {"train": 240, "test": 60}
FORMS = ("circle", "cross", "square", "triangle")
HUES = {"blue": 0.62, "green": 0.33, "red": 0.0, "yellow": 0.15}
CELLS = 3  # places along each side, of which each holds one shape at most
Row = dict[str, Any]
Plan = Callable[[np.random.Generator], tuple[list[Shape], Row]]


def fill(task: str, folder: Path, seed: int) -> None:
    """Write the images of a task, and their table, into ``folder``.

    Args:
        task: ``"position"`` or ``"labels"``.
        folder: an empty folder.
        seed: of everything drawn.
    """
    (folder / "images").mkdir()
    noise = np.random.default_rng([seed, 1])
    rows = []
    for path, split, shapes, row in plan(task, seed):
        render(shapes, noise).save(folder / path, quality=90)
        rows.append({"path": path, "split": split, **row})
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def plan(task: str, seed: int) -> Iterator[tuple[str, str, list[Shape], Row]]:
    """Yield path (posix, relative), split, shapes and further columns of every image of a task."""
    rng = np.random.default_rng([seed, 0])
    draw = _PLANS[task]
    for split, count in COUNTS.items():
        for number in range(count):
            yield (f"images/{split}{number:04}.jpg", split, *draw(rng))


def _position(rng: np.random.Generator) -> tuple[list[Shape], Row]:
    """Draw a disc: place, size and colour do not depend on each other."""
    radius = rng.uniform(18, 28)
    x, y = rng.uniform(radius, SIDE - radius, 2).round(1).tolist()
    share = round(float(rng.uniform()), 3)
    # from blue over violet to red: no way around the circle of hues
    disc = Shape("circle", x, y, radius, colour_of(0.6 + 0.4 * share, rng))
    return [disc], {"x": x, "y": y, "colour": share}


def _labels(rng: np.random.Generator) -> tuple[list[Shape], Row]:
    """Draw none to three shapes in different places."""
    count = int(rng.choice(4, p=(0.1, 0.3, 0.35, 0.25)))
    places = rng.choice(CELLS * CELLS, count, replace=False).tolist()
    shapes, names = [], set()
    for place in places:
        form, hue = str(rng.choice(FORMS)), str(rng.choice(list(HUES)))
        x, y = ((each + rng.uniform(0.42, 0.58)) * SIDE / CELLS for each in divmod(place, CELLS))
        radius, angle = rng.uniform(24, 32), rng.uniform(-0.4, 0.4)
        shapes.append(Shape(form, x, y, radius, colour_of(HUES[hue], rng), angle))
        names |= {form, hue}
    return shapes, {"labels": ";".join(sorted(names))}


_PLANS: dict[str, Plan] = {"position": _position, "labels": _labels}
