"""The result of a conversion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = "headfit.conversion/1"


@dataclass(frozen=True)
class Conversion:
    """What :func:`headfit.convert` wrote, and what that changed.

    Attributes:
        model: the file that was converted.
        out: the file that was written.
        pooling: the pooling before: ``"gap"``, ``"flatten"`` or ``"spatial_prior"``.
        to: the pooling after: ``"gap"``, ``"flatten"`` or ``"low_rank"``.
        shared: whether all classes share one low rank.
        saved: ``"converted"`` or ``"refitted"``.
        replaced: names of the old layers: ``pooling`` and ``dense``.
        top: kinds and names of the new layers.
        map_shape: height, width and channels of the feature map.
        units: width of the dense layer.
        rank: of a low rank; else None.
        kept: share of the squared norm of the weights that is kept, 0 to 1.
        exact: whether nothing is lost.
        parameters: ``before`` and ``after``, each with ``top`` and ``total``.
        change: the largest change on two test pictures, of a ``logit`` and of an ``output``.
        data: what the images say, see docs/convert.md; None without images.
        headfit: whether headfit wrote the model.
        remarks: lines to read.
    """

    model: Path
    out: Path
    pooling: str
    to: str
    shared: bool
    saved: str
    replaced: dict[str, str]
    top: list[str]
    map_shape: tuple[int, int, int]
    units: int
    rank: int | None
    kept: float
    exact: bool
    parameters: dict[str, dict[str, int]]
    change: dict[str, float]
    data: dict[str, Any] | None
    headfit: bool
    remarks: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Give plain data, the JSON of docs/convert.md."""
        fields = asdict(self) | {"map_shape": list(self.map_shape)}
        files = {"model": str(fields.pop("model")), "out": str(fields.pop("out"))}
        return {"schema": SCHEMA, **files, "from": fields.pop("pooling"), **fields}
