"""The proof of a file that decodes by itself: how far it agrees, and what it cannot read.

Its decoder is not headfit's, so some difference is expected: it is measured, image by image, and
told. What the file refuses among the golden images is listed as its limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from headfit.errors import HeadfitError
from headfit.exports.formats.format import INT8
from headfit.exports.proof import TOLERANCE, Agreement
from headfit.exports.record import ExportRecord
from headfit.exports.reference import OTHER, Reference

LEAST_AGREEMENT = 0.99
"""Share of the run's images that must have the same most probable class, labels or numbers."""
EXACT, MOST_APART = "palette.png", 0.02
"""The golden image whose pixels it must give as headfit does, and how far outputs may be apart."""
MUST_READ = ("exif.jpg", EXACT)


@dataclass(frozen=True)
class Decoding:
    """How decoding inside a file compares with headfit's.

    Attributes:
        golden: the largest difference of an output, by golden image; None if the file refuses it.
        median_difference: of the images of the run; None if there are none.
        images_per_second: one by one, from their bytes.
    """

    golden: Mapping[str, float | None] = field(default_factory=dict)
    median_difference: float | None = None
    images_per_second: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return {"golden": dict(self.golden), "median_difference": self.median_difference}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Decoding:
        """Rebuild from :meth:`to_dict`.

        Raises:
            KeyError, TypeError, ValueError: if a value is missing, or not what it should be.
        """
        median, golden = data["median_difference"], data["golden"].items()
        apart = {str(name): value if value is None else float(value) for name, value in golden}
        return cls(apart, median if median is None else float(median))


def prove_from_bytes(
    run: Callable[[bytes], np.ndarray],
    record: ExportRecord,
    expected: ExportRecord,
    reference: Reference,
    precision: str,
) -> tuple[Agreement, np.ndarray, Decoding]:
    """Compare a file that decodes by itself with headfit.

    Args:
        run: from the content of an image file to a row of outputs; raises for what it refuses.
        record: what the file says of itself.
        expected: what it should say.
        reference: what headfit gives.
        precision: of the file.

    Returns:
        The agreement on the images that it reads, its outputs (NaN where it refuses), and what
        decoding changes.
    """
    outputs = np.full(reference.outputs.shape, np.nan)
    if record != expected:
        problem = "its record is not the one that was written"
        return Agreement(0, np.inf, 0.0, problem), outputs, Decoding()
    seconds, reason = 0.0, ""
    for row, picture in enumerate(reference.pictures):
        content, start = picture.read(), time.perf_counter()
        try:
            outputs[row] = run(content)
        except (HeadfitError, ValueError) as error:  # ValueError: outputs of another shape
            reason = reason or str(error)
        else:
            seconds += time.perf_counter() - start
    return _compare(outputs, reference, precision, seconds, reason)


def _compare(
    outputs: np.ndarray, reference: Reference, precision: str, seconds: float, reason: str
) -> tuple[Agreement, np.ndarray, Decoding]:
    apart = reference.apart(outputs).max(axis=1)
    read = np.isfinite(apart)
    if not read.any():
        return Agreement(0, np.inf, 0.0, f"it cannot be run: {reason}"), outputs, Decoding()
    own = np.array([picture.label is not None for picture in reference.pictures])
    same = reference.same(outputs, TOLERANCE[precision] if precision != INT8 else 0.0)
    names = [picture.name for picture in reference.pictures]
    golden = {names[row]: float(apart[row]) if read[row] else None for row in np.flatnonzero(~own)}
    counted = read & own if (read & own).any() else read
    decoding = Decoding(
        golden,
        float(np.median(apart[read & own])) if (read & own).any() else None,
        float(read.sum() / seconds),
    )
    agreement = Agreement(int(read.sum()), float(apart[read].max()), float(same[counted].mean()))
    refused = [names[row] for row in np.flatnonzero(own & ~read)]
    problem = _problem(refused, int(own.sum()), golden, precision)
    if not problem and precision != INT8 and agreement.top1_agreement < LEAST_AGREEMENT:
        problem = (
            f"it predicts {OTHER[reference.record.kind]} for {1 - agreement.top1_agreement:.1%} of "
            f"the images; at most {1 - LEAST_AGREEMENT:.0%} is expected"
        )
    return replace(agreement, problem=problem), outputs, decoding


def _problem(
    refused: list[str], own: int, golden: Mapping[str, float | None], precision: str
) -> str:
    if refused:
        return (
            f"it cannot read {len(refused):,} of {own:,} images of the run, such as "
            f"'{refused[0]}': files from bytes take JPEG in colour and PNG of up to 8 bits without "
            f"transparency"
        )
    for name in MUST_READ:
        if golden.get(name, 0.0) is None:
            return f"it cannot read '{name}', a golden image"
    most = max(MOST_APART, TOLERANCE[precision])
    if (golden.get(EXACT) or 0.0) > most:
        return (
            f"its outputs differ from headfit's by {golden[EXACT]:.2g} for '{EXACT}', whose pixels "
            f"are the same; at most {most:g} is expected"
        )
    return ""
