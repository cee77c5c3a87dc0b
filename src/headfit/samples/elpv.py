"""Photographs of solar cells, linked from the installed package ``elpv-dataset``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headfit.errors import DataError

CLASSES = ("functional", "defective")


class _Cell(NamedTuple):
    image: Path
    probability: float  # of a defect: 0, 1/3, 2/3 or 1
    module: str  # mono or poly


def fill(folder: Path, seed: int) -> None:
    """Link or copy the 2,624 photographs into ``folder``, 75 % to train and 25 % to test.

    The split is stratified by defect probability and module type.

    Args:
        folder: an empty folder.
        seed: of the split.

    Raises:
        DataError: the package is missing or damaged.
    """
    cells = _read_cells(_data_folder())
    tested = _draw_test(cells, seed)
    for split in ("train", "test"):
        for label in CLASSES:
            (folder / split / label).mkdir(parents=True)
    for number, cell in enumerate(cells):
        split = "test" if number in tested else "train"
        label = CLASSES[cell.probability > 0.5]
        _place(cell.image, folder / split / label / cell.image.name)


def _data_folder() -> Path:
    try:
        import elpv_dataset  # noqa: PLC0415
    except ImportError as error:
        raise DataError(
            "The photographs of solar cells need the package elpv-dataset, which is not installed. "
            "Run: pip install 'headfit[demo]'."
        ) from error
    return Path(*elpv_dataset.__path__).resolve() / "data"


def _read_cells(data: Path) -> list[_Cell]:
    """Read ``labels.csv``: path, probability and module type, separated by spaces."""
    try:
        lines = (data / "labels.csv").read_text("utf-8").splitlines()
        rows = [line.split() for line in lines if line.strip()]
        cells = [_Cell(data / path, float(chance), module) for path, chance, module in rows]
    except (OSError, ValueError) as error:
        raise DataError(_damaged(data / "labels.csv")) from error
    for cell in cells:
        if not cell.image.is_file():
            raise DataError(_damaged(cell.image))
    return cells


def _damaged(path: Path) -> str:
    return (
        f"The package elpv-dataset is damaged: '{path}' is missing or unreadable. "
        "Run: pip install --force-reinstall elpv-dataset."
    )


def _draw_test(cells: list[_Cell], seed: int) -> frozenset[int]:
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    strata = [f"{cell.probability:.2f} {cell.module}" for cell in cells]
    numbers = np.arange(len(cells))
    _, test = train_test_split(numbers, test_size=0.25, stratify=strata, random_state=seed)
    return frozenset(test.tolist())


def _place(source: Path, target: Path) -> None:
    """Link a file, or copy it where the file system has no links."""
    for link in (os.link, os.symlink):
        try:
            link(source, target)
        except (OSError, NotImplementedError):  # another disk, another owner, Windows
            continue
        return
    shutil.copyfile(source, target)
