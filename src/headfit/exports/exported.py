"""What an export gives back: what was written, and how it compares with headfit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.exports.from_bytes import Decoding
from headfit.util import html

SCHEMA = "headfit.export/1"


@dataclass(frozen=True)
class ExportedFile:
    """One format.

    Attributes:
        format: its name.
        path: the file or folder; None if it was not kept, since it disagrees.
        bytes: its size.
        precision: ``"float32"``, ``"float16"`` or ``"int8"``.
        images: how many were compared.
        max_abs_difference: the largest of any output, of numbers as a share of their spread; None
            if it could not run.
        top1_agreement: share of the images of the same most probable class, the same labels, or
            the same numbers to 2 % of their spread.
        images_per_second: in its own runtime, in batches of 32; None if it could not run.
        fused: whether pooling, scaling and head are one matrix product.
        accuracy: ``before`` and ``after`` on labelled images, and the ``metric`` if it is another;
            None without 8-bit integers.
        decoding: what a decoder of its own changes; None if the file takes pixels.
        problem: why it was not kept; empty if it was.
        outlier_score: whether it has the second output.
    """

    format: str
    path: Path | None
    bytes: int
    precision: str
    images: int
    max_abs_difference: float | None
    top1_agreement: float
    images_per_second: float | None
    fused: bool = False
    accuracy: Mapping[str, Any] | None = None
    decoding: Decoding | None = None
    problem: str = ""
    outlier_score: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return {
            "format": self.format,
            "path": None if self.path is None else str(self.path),
            "bytes": self.bytes,
            "precision": self.precision,
            "images": self.images,
            "max_abs_difference": self.max_abs_difference,
            "top1_agreement": self.top1_agreement,
            "images_per_second": self.images_per_second,
            "fused": self.fused,
            "outlier_score": self.outlier_score,
            "accuracy": None if self.accuracy is None else dict(self.accuracy),
            "decoding": None if self.decoding is None else self.decoding.to_dict(),
            "problem": self.problem or None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExportedFile:
        """Rebuild from :meth:`to_dict`; the path is as it is there.

        Raises:
            KeyError, TypeError, ValueError: if a value is missing, or not what it should be.
        """
        path, decoding, accuracy = data["path"], data["decoding"], data["accuracy"]
        return cls(
            format=str(data["format"]),
            path=None if path is None else Path(path),
            bytes=int(data["bytes"]),
            precision=str(data["precision"]),
            images=int(data["images"]),
            max_abs_difference=_number(data["max_abs_difference"]),
            top1_agreement=float(data["top1_agreement"]),
            images_per_second=_number(data["images_per_second"]),
            fused=bool(data["fused"]),
            accuracy=accuracy and _scores(accuracy),
            decoding=decoding and Decoding.from_dict(decoding),
            problem=str(data["problem"] or ""),
            outlier_score=bool(data["outlier_score"]),
        )


def _scores(data: Mapping[str, Any]) -> dict[str, Any]:
    named = {"metric": str(data["metric"])} if "metric" in data else {}
    return {**named, **{name: float(data[name]) for name in ("before", "after")}}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


@dataclass(frozen=True)
class Export:
    """The result of :func:`headfit.export`.

    Attributes:
        model: the model that was exported.
        out: the folder.
        exports: each format, in the order in which they were asked for.

    Example:

    ```python
    export = hf.export("headfit-run/model.keras", "onnx,openvino")
    export.agrees, export.exports[0].path
    ```
    """

    model: Path
    out: Path
    exports: tuple[ExportedFile, ...]

    @property
    def agrees(self) -> bool:
        """Whether every file gives what headfit predicts; those that do not were not kept."""
        return not any(each.problem for each in self.exports)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON of docs/export.md."""
        return {"schema": SCHEMA, "exports": [each.to_dict() for each in self.exports]}

    def __repr__(self) -> str:
        names = ", ".join(each.format for each in self.exports)
        return f"<Export of {self.model.name} to {names}>"

    def _repr_html_(self) -> str:
        rows = [
            (each.format, f"{each.bytes / 1e6:.1f} MB", f"{each.top1_agreement:.1%}")
            for each in self.exports
        ]
        return html.table(("format", "size", "agreement"), rows, str(self.out))
