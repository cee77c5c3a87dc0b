"""What a conversion is asked for, and what cannot be meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headfit.backbones.spec import MODES, Preprocessing
from headfit.errors import UsageError
from headfit.util import files

TARGETS = ("gap", "flatten", "low_rank")


@dataclass(frozen=True)
class Request:
    """What is asked for: the arguments of :func:`headfit.conversion.convert`."""

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
        """Refuse what cannot be meant, before anything is done.

        Raises:
            UsageError: names the option, what was found and what is expected.
        """
        if self.to not in TARGETS:
            raise UsageError(f"--to '{self.to}' is none of {', '.join(TARGETS)}.")
        if not self.model.is_file():
            what = "is a folder" if self.model.is_dir() else "does not exist"
            raise UsageError(f"'{self.model}' {what}. Expected a .keras or .h5 file.")
        for option, given in (("--rank", self.rank is not None), ("--shared", self.shared)):
            if given and self.to != "low_rank":
                raise UsageError(f"{option} goes with --to low_rank only; leave it out.")
        prepared = self.preprocessing is not None
        for option, given in (("--refit", self.refit), ("--preprocessing", prepared)):
            if given and self.data is None:
                raise UsageError(f"{option} needs images: say which with --data FOLDER.")
        if self.preprocessing is not None and self.preprocessing not in MODES:
            valid = ", ".join(MODES)
            raise UsageError(f"--preprocessing '{self.preprocessing}' is none of {valid}.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed {self.seed} must be from 0 to {2**32 - 1}.")
        if self.out.suffix != ".keras":
            raise UsageError(f"--out '{self.out}' must end in .keras, the format that is saved.")
        self.check_free()
        files.check_writable(self.out.parent)

    def check_free(self) -> None:
        """Make sure that nothing is overwritten.

        Raises:
            UsageError: if the file to write exists.
        """
        if self.out.exists():
            raise UsageError(
                f"'{self.out}' exists, and nothing is overwritten. Choose another name with --out."
            )
