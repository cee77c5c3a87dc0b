"""Settings of a comparison, and their checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headfit.backbones import catalog, int8
from headfit.backbones.engine import ENGINES, FLOAT32, INT8, PRECISIONS
from headfit.backbones.weights import IMAGENET, check_weights
from headfit.errors import UsageError
from headfit.features.store import DTYPES
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
        precision: of the backbone's arithmetic, ``"float32"`` or ``"int8"``.
        feature_dtype: how feature maps are stored, ``"float16"`` or ``"float32"``.
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
    precision: str = FLOAT32
    feature_dtype: str = "float16"

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
        self._check_precision()
        if self.feature_dtype not in DTYPES:
            raise UsageError(
                f"--feature-dtype '{self.feature_dtype}' is none of {', '.join(DTYPES)}."
            )
        return spec, parse_heads(DEFAULT_HEADS if self.heads is None else self.heads)

    def _check_precision(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision '{self.precision}' is none of {', '.join(PRECISIONS)}.")
        if self.precision == INT8 and self.engine == "keras":
            raise UsageError(
                "--precision int8 runs on OpenVINO only: leave out --engine keras, or int8."
            )
        if self.precision == INT8:
            int8.check_installed()
