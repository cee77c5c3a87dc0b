"""What a format must be able to do: write a model, run what it wrote, read its record.

To add one: a class with these members in a module of its own, and an entry in
:data:`headfit.exports.formats.FORMATS`. What imports Keras goes to a module that ends in ``_child``
and runs through a typed request (:mod:`headfit.util.child`); there
:func:`headfit.exports.network_child.network` opens the model that is exported, whatever its head:
raw pixels in, probabilities and, if asked for, the outlier score out.

:mod:`headfit.exports.export` relies on this: ``check`` comes before any work; ``write`` fills a
path in a scratch folder, which is moved to its name only after :mod:`headfit.exports.proof` has run
``open`` on it; a format never writes elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from headfit.errors import UsageError
from headfit.exports.record import ExportRecord

FLOAT32, FLOAT16, INT8 = "float32", "float16", "int8"
PRECISIONS = (FLOAT32, FLOAT16, INT8)
Predict = Callable[[np.ndarray], np.ndarray]
"""uint8 (n, H, W, 3) → float32 (n, K), or (n, K + 1) with the outlier score last."""


@dataclass(frozen=True)
class Subject:
    """What is exported, and how.

    Attributes:
        path: a ``model.keras`` that headfit can open; a foreign one is wrapped into one first.
        record: what the file is to say of itself.
        outlier_score: whether there is a second output, ``outlier_score``.
        precision: one of :data:`PRECISIONS`.
        fuse: whether pooling, scaling and linear head become one matrix product.
        calibration: gives the images that 8-bit ranges are taken from, uint8 (n, H, W, 3).
        tell: called with a line of text when something takes long or falls back.
    """

    path: Path
    record: ExportRecord
    outlier_score: bool
    precision: str
    fuse: bool
    calibration: Callable[[], np.ndarray]
    tell: Callable[[str], None]


class Format(Protocol):
    """One format; the properties are plain attributes of its class.

    Attributes:
        name: what ``to`` calls it, for instance ``"onnx"``.
        file: what the export is called, a file such as ``"model.onnx"`` or a folder.
        precisions: those that it can be written in.
        outlier_score: whether it can have the second output.
    """

    @property
    def name(self) -> str:
        """What ``to`` calls it."""

    @property
    def file(self) -> str:
        """What the export is called."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that it can be written in."""

    @property
    def outlier_score(self) -> bool:
        """Whether it can have the second output."""

    def check(self, precision: str = FLOAT32) -> None:
        """Raise :class:`UsageError` where a package is missing; one sentence that names it."""

    def write(self, subject: Subject, path: Path) -> None:
        """Write the file, or the folder, at ``path``.

        Raises:
            UsageError: if the model holds a layer that has no counterpart in this format; names it.
            EngineError: if it cannot be written.
        """

    def open(self, path: Path, threads: int | None = None) -> Predict:
        """Open a written file in its own runtime, with nothing of headfit's engine.

        Args:
            path: what :meth:`write` wrote.
            threads: how many the runtime may use; its own choice if None.

        Raises:
            EngineError: if the runtime refuses it.
        """

    def read_record(self, path: Path) -> ExportRecord:
        """Read the record from the file's own metadata.

        Raises:
            ModelFileError: if there is none, or it is damaged.
        """


def require(extra: str, what: str, *modules: str) -> None:
    """Refuse a format whose packages are missing.

    Args:
        extra: of headfit, which installs them.
        what: the value of ``to`` or of another argument that needs them.
        modules: that must be importable.

    Raises:
        UsageError: names the missing packages, and the command that installs them.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        listed = " and ".join(missing)
        verb = "is" if len(missing) == 1 else "are"
        raise UsageError(
            f"{what} needs {listed}, which {verb} not installed. Run: pip install "
            f"'headfit[{extra}]'."
        )
