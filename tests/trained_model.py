"""A small model, really trained, with temperature and thresholds; and images of the same kind."""

from __future__ import annotations

import contextlib
import json
import shutil
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


def train(root: Path, shared: Path) -> Trained:
    """Give a copy of what the first worker trained.

    Args:
        root: the copy, a folder that is not there yet.
        shared: where all workers look for it.
    """
    if not shared.is_dir():
        own = root.with_name("own")
        _train(own)
        with contextlib.suppress(OSError):  # another worker was as quick
            own.rename(shared)
    shutil.copytree(shared, root)
    reliability = json.loads((root / "reliability.json").read_text("utf-8"))
    fresh, strangers = (sorted((root / name).rglob("*.png")) for name in ("fresh", "strangers"))
    return Trained(root, root / "model.keras", reliability, fresh, strangers)


def _train(root: Path) -> None:
    """Compare heads on pictures of discs, and write the best with its thresholds."""
    write_discs(root / "fresh", 20, seed=1)
    write_strangers(root / "strangers")
    folder = write_discs(root / "discs", 40, seed=0)
    study = hf.compare(
        folder, heads="gap,flatten", size=SIZE, protocol="quick", where=False, curve=False
    )
    study.blueprint.write(root / "model.keras")
    (root / "reliability.json").write_text(json.dumps(study.results["reliability"]), "utf-8")
