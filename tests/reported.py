"""A real run whose classes have names that a page must not believe."""

from __future__ import annotations

from pathlib import Path

import headfit as hf
from photos import write_folder

HOSTILE = "<img src=x onerror=alert(1)>"


def run_of(root: Path) -> Path:
    """Compare three heads on pictures of three colours, and save the run."""
    images = root / "photos"
    write_folder(images, 12)
    first = sorted(path for path in images.iterdir())[0]
    first.rename(images / HOSTILE)
    (images / HOSTILE / "<b>broken<b>.jpg").write_bytes(b"\xff\xd8\xff not really")
    # one label that is plainly wrong, so that there is something to look at
    second = sorted(path for path in images.iterdir())[1]
    odd = sorted((images / HOSTILE).glob("0*"))[0]
    odd.rename(second / f"odd{odd.suffix}")
    study = hf.compare(images, heads="gap,flatten,gmp", size=64, protocol="quick", folds=3)
    return study.save(root / "run")
