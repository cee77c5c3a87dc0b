"""The settings of fine-tuning, and their checks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from headfit.backbones import catalog
from headfit.backbones.weights import IMAGENET
from headfit.errors import UsageError
from headfit.features.views import Views
from headfit.finetuning.recipe import Recipe
from headfit.heads.layers.plain import GAP
from headfit.images.augment import Augmentation
from headfit.images.sources import DEFAULTS
from headfit.images.sources.source import ImageSource
from headfit.images.targets import SEPARATOR
from headfit.runs.grid import GridPoint
from headfit.runs.options import Options
from headfit.runs.provenance import command_line

FOLDS, REPEATS = 5, 1
MOST_PARTS = 5  # that are trained in one run
NOTHING = "none"
SHARED = (
    *("weights", "preprocessing", "size", "folds", "repeats", "seed", "rope", "class_weight"),
    *("groups", "near_duplicates", "engine", "feature_dtype", *DEFAULTS),
)
"""Settings that are those of a comparison."""


@dataclass(frozen=True)
class FinetuneOptions:
    """The settings of :func:`headfit.finetune`, which documents each of them."""

    backbone: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = catalog.DEFAULT
    head: str = GAP.name
    unfreeze: str | int | Iterable[str | int] = "last"
    scratch: bool = False
    augment: str = "light"
    views: int = 4
    tta: bool = False
    learning_rate: float | Iterable[float] | None = None
    epochs: int = 5
    batch_size: int = 32
    label_smoothing: float = 0.0
    mixup: float = 0.0
    weights: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = IMAGENET
    preprocessing: str | None = None
    size: int | None = None
    folds: int = FOLDS
    repeats: int = REPEATS
    seed: int = 0
    rope: float = 0.01
    class_weight: str = "auto"
    groups: str | os.PathLike[str] | None = None
    near_duplicates: bool = True
    engine: str = "auto"
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
        for name in ("backbone", "weights", "unfreeze", "learning_rate", "label_column"):
            value = getattr(self, name)
            if isinstance(value, Iterator):  # which could be read only once
                object.__setattr__(self, name, tuple(value))

    def comparison(self) -> Options:
        """Give the settings of the comparison that the frozen head takes part in."""
        shared: dict[str, Any] = {name: getattr(self, name) for name in SHARED}
        return Options(
            backbone=self.backbone, heads=(self.head,), where=False, curve=False, **shared
        )

    def check(self) -> tuple[list[GridPoint], Recipe, Views]:
        """Refuse what cannot work, before anything is done.

        Returns:
            The backbones, how they are trained, and which views of the images.

        Raises:
            UsageError: names the argument, the value received and what is expected.
        """
        points, heads = self.comparison().check()
        if len(heads) != 1:
            raise UsageError.invalid("head", self.head, "one head")
        for name in ("scratch", "tta"):
            if not isinstance(value := getattr(self, name), bool):
                raise UsageError.invalid(name, value, "True or False")
        alone = self.scratch and self._named == [NOTHING]
        if not (alone or 1 <= len(self.parts) <= MOST_PARTS):
            raise UsageError.invalid("unfreeze", self.unfreeze, f"one to {MOST_PARTS} parts")
        recipe = Recipe(
            learning_rates=self._rates(),
            epochs=self.epochs,
            batch_size=self.batch_size,
            label_smoothing=self.label_smoothing,
            mixup=self.mixup,
        )
        augmentation = Augmentation.parse(self.augment, self.seed)
        count = self.views if augmentation.steps else 1
        views = Views(augmentation, count)
        if self.tta and views.count == 1:
            raise UsageError.invalid(
                "tta", True, "False with one view", "Ask for more `views`, or set `augment`."
            )
        return points, recipe, views

    def command(self, source: ImageSource, folds: int, size: int | None) -> str:
        """Write the command line that repeats a run, with every setting.

        Args:
            source: of the images.
            folds: number of folds.
            size: side of the input in pixels; None for the backbones' own.
        """
        settings = {name: getattr(self, name) for name in self.__dataclass_fields__}
        settings = {name: value for name, value in settings.items() if name not in DEFAULTS}
        switches = {name: settings[name] or None for name in ("scratch", "tta")}
        settings |= {
            **switches,
            "unfreeze": self.parts or NOTHING,
            "learning_rate": self._rates(),
            "size": size,
            "folds": folds,
            "near_duplicates": None if self.near_duplicates else False,
            "skip_empty_classes": self.skip_empty_classes or None,
        }
        return command_line("finetune", source.argument, {**settings, **source.options})

    @property
    def parts(self) -> list[str]:
        """What is trained: ``last``, ``all``, numbers of stages, or layers; empty for nothing."""
        return [] if self._named == [NOTHING] else self._named

    @property
    def _named(self) -> list[str]:
        given = self.unfreeze
        if isinstance(given, int | str):
            given = str(given).split(",")
        return list(dict.fromkeys(str(each).strip() for each in given if str(each).strip()))

    def _rates(self) -> tuple[float, ...]:
        given = self.learning_rate
        if given is None:
            return Recipe.learning_rates
        if isinstance(given, int | float):
            given = (given,)
        try:
            return tuple(map(float, given))
        except (TypeError, ValueError):
            raise UsageError.invalid("learning_rate", given, "numbers above 0") from None
