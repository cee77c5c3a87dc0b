"""The settings of a comparison, and their checks."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.backbones import catalog
from headfit.backbones.engines.engine import ENGINES, FLOAT32, INT8, PRECISIONS
from headfit.backbones.graphs import int8
from headfit.backbones.weights import IMAGENET
from headfit.errors import UsageError
from headfit.features.store import DTYPES
from headfit.fitting.problem import NUMBER_LOSSES, SQUARED
from headfit.heads.chain import Head, parse_heads
from headfit.heads.presets import DEFAULT_HEADS
from headfit.images.overview import NOUNS
from headfit.images.per_class import FEWEST_FOLDS
from headfit.images.sources import DEFAULTS
from headfit.images.sources.labelling import check_target
from headfit.images.targets import CLASS, SEPARATOR
from headfit.model.metadata import kept_path
from headfit.runs.grid import GridPoint, grid
from headfit.study.comparison.compare import check_rope

HeadLike = str | Callable[..., Any]


@dataclass(frozen=True)
class Protocol:
    """How much is spent on one question.

    Attributes:
        repeats: how often the folds are drawn.
        folds: number of folds, where the classes have enough images.
        quick: one trial instead of three for heads trained by gradient descent.
    """

    repeats: int
    folds: int
    quick: bool = False


PROTOCOLS = {
    "quick": Protocol(1, 5, quick=True),
    "standard": Protocol(5, 10),
    "thorough": Protocol(10, 10),
}
BALANCED, AUTO = "balanced", "auto"
CLASS_WEIGHTS = (AUTO, BALANCED, "none")
MIN_FOLDS = FEWEST_FOLDS
MAX_SEED = 2**32 - 1
LONGEST_NAME = 200  # of a file, so that it can be written anywhere
_CHOICES = {
    "protocol": tuple(PROTOCOLS),
    "class_weight": CLASS_WEIGHTS,
    "number_loss": NUMBER_LOSSES,
    "engine": ENGINES,
    "precision": PRECISIONS,
    "feature_dtype": DTYPES,
}
_LISTS = ("backbone", "heads", "keep", "weights", "size", "cut", "label_column")
_INTEGERS = ("folds", "repeats", "seed")
_SWITCHES = (
    *("near_duplicates", "where", "curve", "claims"),
    *("follow_links", "skip_empty_classes", "strict"),
)


@dataclass(frozen=True)
class Options:
    """The settings of :func:`headfit.compare`, which documents each of them.

    A test holds that names, types and defaults are the same there.
    """

    backbone: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = catalog.DEFAULT
    heads: HeadLike | Iterable[HeadLike] | None = None
    keep: str | Iterable[str] | None = None
    weights: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = IMAGENET
    preprocessing: str | None = None
    size: int | str | Iterable[int] | None = None
    cut: str | Iterable[str] | None = None
    protocol: str = "standard"
    folds: int | None = None
    repeats: int | None = None
    seed: int = 0
    rope: float = 0.01
    class_weight: str = AUTO
    number_loss: str = SQUARED
    groups: str | os.PathLike[str] | None = None
    near_duplicates: bool = True
    where: bool = True
    curve: bool = True
    claims: bool = False
    engine: str = "auto"
    precision: str = FLOAT32
    feature_dtype: str = "float16"
    splits: bool | None = None
    follow_links: bool = False
    skip_empty_classes: bool = False
    path_column: str | None = None
    label_column: str | Iterable[str] | None = None
    split_column: str | None = None
    group_column: str | None = None
    weight_column: str | None = None
    target: str | None = None
    label_separator: str = SEPARATOR
    root: str | os.PathLike[str] | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        for name in _LISTS:  # an iterator could be read only once
            value = getattr(self, name)
            if isinstance(value, Iterable) and not (
                isinstance(value, str | bytes) or callable(value)
            ):
                object.__setattr__(self, name, tuple(value))
        # numpy's integers would not go into JSON, nor would a Path
        for name in _INTEGERS:
            value = getattr(self, name)
            if hasattr(value, "__index__") and not isinstance(value, bool):
                object.__setattr__(self, name, operator.index(value))
        if isinstance(self.groups, os.PathLike):
            object.__setattr__(self, "groups", os.fspath(self.groups))

    @property
    def reading(self) -> dict[str, Any]:
        """How a source is read, as :func:`headfit.images.sources.open_source` takes it."""
        return {name: getattr(self, name) for name in DEFAULTS}

    def check_index(self) -> None:
        """Refuse what says how a source is read: an index has been read already."""
        for name, default in DEFAULTS.items():
            value = getattr(self, name)
            if value != default and name != "skip_empty_classes":
                expected = "left out: the index has been read already"
                raise UsageError.invalid(name, value, expected)

    def check_targets(self, kind: str) -> None:
        """Refuse what does not suit the kind of the targets."""
        if self.class_weight == BALANCED and kind != CLASS:
            expected = f"'{AUTO}' or 'none' for {NOUNS[kind][1]}: images have no one class"
            raise UsageError.invalid("class_weight", self.class_weight, expected)

    @property
    def rounds(self) -> int:
        """How often the folds are drawn."""
        return PROTOCOLS[self.protocol].repeats if self.repeats is None else self.repeats

    @property
    def max_folds(self) -> int:
        """Number of folds, where the classes have enough images."""
        return PROTOCOLS[self.protocol].folds if self.folds is None else self.folds

    @property
    def min_folds(self) -> int:
        """The fewest folds that will do, and images that each class must have."""
        return MIN_FOLDS if self.folds is None else self.folds

    @property
    def quick(self) -> bool:
        """Whether heads trained by gradient descent get one trial."""
        return PROTOCOLS[self.protocol].quick

    def check(self) -> tuple[list[GridPoint], list[Head]]:
        """Refuse what cannot work, before anything is done.

        Returns:
            Every backbone at every size and cut, and the heads.

        Raises:
            UsageError: names the argument, the value received and what is expected.
        """
        self._check_choices()
        self._check_integers()
        check_target(self.target, self.label_separator)
        if self.target is not None:
            self.check_targets(self.target)
        for name in ("heads", "keep"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, str | tuple) or callable(value)):
                raise UsageError.invalid(name, value, "a head, or several in a list")
        heads = parse_heads(DEFAULT_HEADS if self.heads is None else self.heads)
        points = grid(self.backbone, self.weights, self.preprocessing, self.size, self.cut, heads)
        self.heads_to_keep(heads)
        if isinstance(self.rope, bool) or not isinstance(self.rope, int | float):
            raise UsageError.invalid("rope", self.rope, "a number between 0 and 1")
        check_rope(self.rope)
        if not (self.groups is None or (isinstance(self.groups, str) and self.groups)):
            expected = "the path of a CSV file, or a regular expression on image paths"
            raise UsageError.invalid("groups", self.groups, expected)
        if self.precision == INT8:
            if self.engine == "keras":
                remedy = "8-bit integers run on OpenVINO only."
                raise UsageError.invalid("engine", "keras", "'auto' or 'openvino'", remedy)
            int8.check_installed()
        return points, heads

    def heads_to_keep(self, heads: Sequence[Head]) -> list[str]:
        """Give the names of the heads that become models beside the recommended one.

        Args:
            heads: all that are compared.

        Raises:
            UsageError: if one is not among them.
        """
        if self.keep is None:
            return []
        names = [head.name for head in parse_heads(self.keep)]
        compared = [head.name for head in heads]
        for name in names:
            if name not in compared:
                raise UsageError.invalid(
                    "keep",
                    self.keep,
                    f"heads that are compared: {', '.join(compared)}",
                    f"Add {name} to `heads`.",
                )
            if len(kept_path(Path(), name).name) > LONGEST_NAME:
                raise UsageError.invalid(
                    "keep",
                    self.keep,
                    f"heads with names of at most {LONGEST_NAME} characters",
                    "Give the head a shorter name: write it as a function of your own.",
                )
        return names

    def _check_choices(self) -> None:
        for name, valid in _CHOICES.items():
            if (value := getattr(self, name)) not in valid:
                raise UsageError.invalid(name, value, f"one of {', '.join(valid)}")
        for name in _SWITCHES:
            if not isinstance(value := getattr(self, name), bool):
                raise UsageError.invalid(name, value, "True or False")
        if not (self.splits is None or isinstance(self.splits, bool)):
            raise UsageError.invalid("splits", self.splits, "True, False or None")

    def _check_integers(self) -> None:
        """Check folds, repeats and seed; None stands for the protocol's."""
        bounds = {"folds": MIN_FOLDS, "repeats": 1, "seed": 0}
        for name, least in bounds.items():
            value = getattr(self, name)
            if value is None and name != "seed":
                continue
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or value < least:
                raise UsageError.invalid(name, value, f"an integer of at least {least}")
        if self.seed > MAX_SEED:
            raise UsageError.invalid("seed", self.seed, f"an integer of at most {MAX_SEED}")
