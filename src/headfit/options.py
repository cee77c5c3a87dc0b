"""Settings of a comparison, and their checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headfit.backbones import catalog
from headfit.backbones.engine import ENGINES
from headfit.backbones.weights import IMAGENET, check_weights
from headfit.errors import UsageError
from headfit.heads.chain import Head, parse_heads
from headfit.heads.presets import DEFAULT_HEADS
from headfit.study.compare import check_rope


@dataclass(frozen=True)
class Options:
    """Settings of a comparison, checked.

    Attributes:
        backbone: any spelling of its name.
        heads: chains; those of the default that do not suit the maps are left out, said aloud.
        weights: ``"imagenet"``, ``"random"`` or a path.
        size: side of the input in pixels; the backbone's own if None.
        folds: of the cross-validation.
        repeats: how often the folds are drawn; None stands for 3, or 1 if ``quick``.
        seed: of folds, first weights and batches.
        quick: one repeat, and one trial instead of three for heads trained by gradient descent.
        rope: a difference that does not matter, as a fraction of balanced accuracy.
        engine: ``"auto"``, ``"openvino"`` or ``"keras"``.
    """

    backbone: str = catalog.DEFAULT
    heads: str | Iterable[str] | None = None
    weights: str = IMAGENET
    size: int | None = None
    folds: int = 5
    repeats: int | None = None
    seed: int = 0
    quick: bool = False
    rope: float = 0.01
    engine: str = "auto"

    @property
    def rounds(self) -> int:
        """Repeats in force."""
        if self.repeats is None:
            return 1 if self.quick else 3
        return self.repeats

    def check(self) -> tuple[catalog.BackboneSpec, list[Head]]:
        """Refuse what cannot work, before anything is done.

        Raises:
            UsageError: names the option, what was found and what is expected.
        """
        spec = catalog.find(self.backbone)
        spec.contract(self.size)
        check_weights(self.weights)
        check_rope(self.rope)
        if self.folds < 3:
            raise UsageError(
                f"--folds {self.folds} is too small: it must be at least 3, one to test on, one to "
                f"choose settings on, one to train on."
            )
        if self.rounds < 1:
            raise UsageError(f"--repeats {self.repeats} is too small: it must be at least 1.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed {self.seed} must be from 0 to {2**32 - 1}.")
        if self.engine not in ENGINES:
            raise UsageError(f"--engine '{self.engine}' is none of {', '.join(ENGINES)}.")
        return spec, parse_heads(DEFAULT_HEADS if self.heads is None else self.heads)
