"""The arguments of a conversion, checked before anything is done, and its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headfit.backbones.spec import MODES, Preprocessing
from headfit.errors import UsageError
from headfit.images.read_ahead import PathLike
from headfit.images.sources import DEFAULTS
from headfit.util import files, not_a_model

SCHEMA = "headfit.conversion/1"
TARGETS = ("gap", "flatten", "low_rank")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The arguments of :func:`headfit.convert`; ``out`` has its default.

    ``reading`` holds those that say how ``data`` is read.
    """

    model: Path
    to: str
    out: Path
    rank: int | None
    shared: bool
    data: PathLike | None
    refit: bool
    preprocessing: str | None
    seed: int
    reading: dict[str, Any]

    @property
    def pixels(self) -> Preprocessing:
        """The preprocessing from pixels to the model's input."""
        return MODES[self.preprocessing or "none"]

    def check(self) -> None:
        """Refuse arguments that cannot be used.

        Raises:
            UsageError: names the argument, its value and what is expected.
        """
        if self.to not in TARGETS:
            raise UsageError.invalid("to", self.to, f"one of {', '.join(TARGETS)}")
        if not self.model.is_file():
            not_a_model.refuse(self.model)
        for name, unset in (("rank", self.rank is None), ("shared", not self.shared)):
            if not unset and self.to != "low_rank":
                raise UsageError(f"`{name}` applies to `to='low_rank'` only. Leave it out.")
        images = (
            ("refit", not self.refit),
            ("preprocessing", self.preprocessing is None),
            *((name, value == DEFAULTS[name]) for name, value in self.reading.items()),
        )
        for name, unset in images:
            if not unset and self.data is None:
                raise UsageError(f"`{name}` needs images. Set `data` to where they are.")
        if self.preprocessing is not None and self.preprocessing not in MODES:
            raise UsageError.invalid(
                "preprocessing", self.preprocessing, f"one of {', '.join(MODES)}"
            )
        if not 0 <= self.seed < 2**32:
            raise UsageError.invalid("seed", self.seed, f"an integer from 0 to {2**32 - 1}")
        if self.out.suffix != ".keras":
            raise UsageError.invalid("out", str(self.out), "a file name that ends in .keras")
        self.check_free()
        files.check_writable(self.out.parent)

    def check_free(self) -> None:
        """Make sure that no file is overwritten.

        Raises:
            UsageError: if ``out`` exists.
        """
        if self.out.exists():
            raise UsageError(
                f"'{self.out}' exists already, and headfit does not overwrite models. Set `out` "
                f"to another name."
            )


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
        exact: whether the conversion loses nothing.
        parameters: ``before`` and ``after``, each with ``top`` and ``total``.
        change: the largest change on two test pictures, of a ``logit`` and of an ``output``.
        data: the accuracies on images, see docs/convert.md; None without images.
        headfit: whether headfit wrote the model.
        remarks: notes for the user.
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
