"""The arguments of a conversion, checked before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headfit.backbones.spec import MODES, Preprocessing
from headfit.errors import UsageError
from headfit.util import files

TARGETS = ("gap", "flatten", "low_rank")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The arguments of :func:`headfit.convert`; ``out`` has its default."""

    model: Path
    to: str
    out: Path
    rank: int | None
    shared: bool
    data: Path | None
    refit: bool
    preprocessing: str | None
    seed: int

    @property
    def pixels(self) -> Preprocessing:
        """What turns pixels into the model's input."""
        return MODES[self.preprocessing or "none"]

    def check(self) -> None:
        """Refuse arguments that cannot be used.

        Raises:
            UsageError: names the argument, its value and what is expected.
        """
        if self.to not in TARGETS:
            raise UsageError.invalid("to", self.to, f"one of {', '.join(TARGETS)}")
        if not self.model.is_file():
            what = "is a folder" if self.model.is_dir() else "does not exist"
            raise UsageError(f"'{self.model}' {what}. Expected a .keras or .h5 file.")
        for name, unset in (("rank", self.rank is None), ("shared", not self.shared)):
            if not unset and self.to != "low_rank":
                raise UsageError(f"`{name}` applies to `to='low_rank'` only. Leave it out.")
        images = (("refit", not self.refit), ("preprocessing", self.preprocessing is None))
        for name, unset in images:
            if not unset and self.data is None:
                raise UsageError(f"`{name}` needs images. Set `data` to a folder of them.")
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
