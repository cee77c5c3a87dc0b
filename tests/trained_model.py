"""A small model, really trained, with temperature and thresholds; and images of the same kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import headfit as hf
from headfit.samples import shapes

SIZE = 64


def write_discs(folder: Path, per_class: int, seed: int) -> Path:
    """Write pictures of patterned discs, a folder for each pattern."""
    rng = np.random.default_rng([seed, 1])
    counts = dict.fromkeys(shapes.PATTERNS, 0)
    for path, disc in shapes.plan("what", seed):
        name = Path(path).parent.name
        if counts[name] < per_class:
            counts[name] += 1
            target = folder / name / f"{counts[name]:02}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shapes.render(disc, rng).save(target)
    return folder


def write_strangers(folder: Path) -> Path:
    """Write noise and plain colours."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(4):
        noise = rng.integers(0, 256, (90, 70, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"noise{number}.png")
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        Image.new("RGB", (50, 80), colour).save(folder / f"plain{number}.png")
    return folder


@dataclass(frozen=True)
class Trained:
    """Where a model lies, and what was found out about it.

    Attributes:
        root: a folder of its own.
        model: the file.
        reliability: what its held-out predictions told, as in results.
        fresh: images of the kind that it was trained on, and that it has not seen.
        strangers: images of another kind.
    """

    root: Path
    model: Path
    reliability: dict[str, Any]
    fresh: list[Path]
    strangers: list[Path]


def train(root: Path) -> Trained:
    """Compare heads on pictures of discs, and write the best with its thresholds."""
    folder, model = write_discs(root / "discs", 40, seed=0), root / "model.keras"
    fresh = sorted(write_discs(root / "fresh", 20, seed=1).rglob("*.png"))
    strangers = sorted(write_strangers(root / "strangers").iterdir())
    study = hf.compare(
        folder, heads="gap,flatten", size=SIZE, protocol="quick", where=False, curve=False
    )
    study.blueprint.write(model)
    return Trained(root, model, study.results["reliability"], fresh, strangers)
