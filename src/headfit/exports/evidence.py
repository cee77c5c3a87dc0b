"""The images that an export is proved and calibrated with: golden ones, and those of the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from headfit.errors import DataError, ImageError, UsageError
from headfit.exports.golden import golden_images
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.index import ImageIndex
from headfit.images.read_ahead import ReadAhead
from headfit.images.sources import find_source, open_source
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.runs.earlier import NAME
from headfit.runs.written import was_written_here
from headfit.util import records

ENOUGH = 500
"""Images of the run that a proof takes, if there are as many."""
MOST_CALIBRATION = 300


@dataclass(frozen=True)
class ProofImage:
    """An image to prove an export with.

    Attributes:
        name: for messages.
        read: gives the content of its file.
        label: its class, labels or numbers as text; None if that is not known.
        kind: of the targets.
        values: by name, 1 or 0 for a class or label, or the number.
    """

    name: str
    read: Callable[[], bytes]
    label: str | None = None
    kind: str = CLASS
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """Where the images come from.

    Attributes:
        index: those of the run, or those that the user named; None if there are none to be had.
        reason: why there are none.
    """

    index: ImageIndex | None = None
    reason: str = ""
    _golden: dict[str, bytes] = field(default_factory=golden_images, repr=False)

    @classmethod
    def of_source(
        cls, source: str | os.PathLike[str], kind: str = CLASS, names: Sequence[str] = ()
    ) -> Evidence:
        """Take the images of a source that the user names, as ``compare`` takes them.

        Args:
            source: a folder, a table, an archive or a data set.
            kind: of the targets of the model.
            names: of its labels or numbers, which are columns of the table; labels may be in one
                column, as texts.
        """
        if kind == CLASS:
            return cls(ImageIndex.from_source(open_source(source)))
        columns = {"target": kind, "label_column": list(names)}
        if kind == LABELS:
            try:
                return cls(ImageIndex.from_source(open_source(source, target=kind)))
            except (UsageError, DataError):  # a column for each label
                pass
        return cls(ImageIndex.from_source(open_source(source, **columns)))

    @classmethod
    def of_run(cls, model: Path) -> Evidence:
        """Find the images of the run that a model lies in, if this machine wrote it."""
        for folder in (model.absolute().parent, model.absolute().parent.parent):
            file = folder / NAME
            if file.is_file():
                return cls._of_results(file)
        return cls(reason="the model does not lie in the folder of a run")

    @classmethod
    def _of_results(cls, file: Path) -> Evidence:
        with records.reading(file, "lacks values that an export needs"):
            results = records.read_json(file)
            stored = results["settings"]["source"]
        if not was_written_here(results):
            return cls(reason="its run was not written on this machine")
        source = find_source(stored)
        if source is None:
            return cls(reason="the images of its run are gone")
        return cls(ImageIndex.from_source(source))

    def golden(self) -> list[ProofImage]:
        """Give the golden images."""
        return [ProofImage(name, partial(bytes, content)) for name, content in self._golden.items()]

    def held_out(self, most: int = ENOUGH) -> Iterator[ProofImage]:
        """Give images of the run: of the test split, then others, evenly spaced.

        Those that ranges of 8-bit integers are taken from come last.
        """
        if self.index is None:
            return
        index = self.index
        calibrating = set(self._calibration_rows().tolist())
        training = [row for row in index.training.tolist() if row not in calibrating]
        rows = _spaced(index.test, most).tolist()
        for more in (np.array(training, int), np.array(sorted(calibrating), int)):
            rows += _spaced(more, most - len(rows)).tolist()
        for row in rows:
            targets = index.targets
            values = targets.values if targets.kind == NUMBER else targets.mentions
            of_row = dict(zip(targets.names, map(float, values[row]), strict=True))
            read = partial(index.read_bytes, row)
            yield ProofImage(index.paths[row], read, targets.label(row), targets.kind, of_row)

    def calibration(self, contract: Contract) -> np.ndarray:
        """Give training images for the ranges of 8-bit integers, uint8 (n, H, W, 3).

        Raises:
            UsageError: if there are no images.
            DataError: if none can be read.
        """
        if self.index is None:
            raise UsageError(
                f"`precision='int8'` is calibrated on the images of the run, but {self.reason}. "
                f"Set `images` to the folder or table of the images."
            )
        index = self.index
        decoded = ReadAhead(
            self._calibration_rows().tolist(),
            index.read_bytes,
            partial(decode, height=contract.height, width=contract.width, depth=contract.depth),
        )
        pixels = [each for _, each in decoded if not isinstance(each, ImageError)]
        if not pixels:
            raise DataError(
                f"`precision='int8'` is calibrated on the images of the run, but none in "
                f"'{index.source.name}' can be read. Set `images` to the place where they are."
            )
        return np.stack(pixels)

    def _calibration_rows(self) -> np.ndarray:
        assert self.index is not None
        training = self.index.training
        # half of few images, so that others are left to see what the integers cost
        return _spaced(training, min(MOST_CALIBRATION, max(1, len(training) // 2)))


def _spaced(rows: np.ndarray, most: int) -> np.ndarray:
    count = max(0, min(most, len(rows)))
    chosen: np.ndarray = rows[np.arange(count) * len(rows) // max(count, 1)]
    return chosen
