"""The arguments of an export, checked before any work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import UsageError
from headfit.exports import foreign
from headfit.exports.formats import find_format
from headfit.exports.formats.format import PRECISIONS, Format
from headfit.exports.formats.onnx_bytes import OnnxBytes
from headfit.util import files

DEFAULT_MAX_DROP = 0.01
FOLDER = "export"


@dataclass(frozen=True)
class ExportArguments:
    """What an export is asked for; see :func:`headfit.exports.export.export`."""

    model: Path
    formats: Sequence[Format]
    out: Path
    precision: str
    fuse: bool
    outlier_score: bool
    max_drop: float
    images: Any
    classes: Sequence[str] | None
    preprocessing: str | None

    def check(self) -> None:
        """Refuse what cannot be done: arguments first, then the model file, then missing packages.

        Raises:
            UsageError: names the argument.
            ModelFileError: if the file is no model, or damaged.
            WriteError: if the folder cannot be written to.
        """
        if not self.model.is_file():
            raise UsageError(
                f"'{self.model}' is not a file. Expected a saved model, .keras or .h5."
            )
        if self.precision not in PRECISIONS:
            one_of = f"one of {', '.join(PRECISIONS)}"
            raise UsageError.invalid("precision", self.precision, one_of)
        if not 0 <= self.max_drop <= 1:
            raise UsageError.invalid("max_drop", self.max_drop, "a number from 0 to 1")
        for each in self.formats:
            if self.precision not in each.precisions:
                listed = ", ".join(each.precisions)
                raise UsageError(
                    f"{each.name} is written in {listed} only. Received: "
                    f"precision='{self.precision}'. Leave {each.name} out of `to`."
                )
            if self.outlier_score and not each.outlier_score:
                raise UsageError(
                    f"{each.name} has no `outlier_score`. Leave it out, or {each.name} out of `to`."
                )
        foreign.check(self.model, self.classes, self.preprocessing)
        for each in self.formats:
            each.check(self.precision)
        files.check_writable(self.out)
        for each in self.formats:
            target = self.out / each.file
            if target.exists() and target.samefile(self.model):
                raise UsageError(
                    f"'{target}' is the model itself, which an export does not replace. Set `out` "
                    f"to another folder."
                )


def formats_of(to: str | Iterable[str], *, from_bytes: bool = False) -> list[Format]:
    """Read ``"onnx,openvino"`` or a list of names.

    Args:
        to: the names.
        from_bytes: whether the files decode by themselves, which only ONNX can.

    Raises:
        UsageError: if there is none, or one is unknown.
    """
    names = to.split(",") if isinstance(to, str) else list(to)
    names = list(dict.fromkeys(name.strip().lower() for name in names if name.strip()))
    if not names:
        raise UsageError.invalid("to", to, "one format or more, such as 'onnx,openvino'")
    if from_bytes:
        if names != ["onnx"]:
            raise UsageError(
                f"Only ONNX files can decode images by themselves. Received: from_bytes=True with "
                f"to='{','.join(names)}'. Set to='onnx'."
            )
        return [OnnxBytes()]
    return [find_format(name) for name in names]
