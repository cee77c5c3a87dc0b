"""Tells the price of a comparison once, as early as it can be known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from headfit.backbones.engines.engine import Joint
from headfit.errors import ImageError, UsageError
from headfit.features.store import FeatureStore
from headfit.fitting.problem import Problem
from headfit.heads.chain import Head
from headfit.heads.pooling import MapShape
from headfit.images.decode import read_bytes
from headfit.images.index import TEST, ImageIndex
from headfit.progress import Callback
from headfit.runs import estimate as price
from headfit.runs.candidates import Entry
from headfit.runs.map_source import MapSource
from headfit.runs.options import Options
from headfit.util import digests

LOOKED_AT = 200  # images, to estimate how many need a pass


@dataclass
class Announcer:
    """Says what the run will cost: when a backbone's speed is known, or before training.

    Args:
        options: the settings.
        heads: all heads.
        places: how many combinations of backbone, size and cut there are.
        callback: is told.
    """

    options: Options
    heads: Sequence[Head]
    places: int
    callback: Callback
    done: bool = field(default=False, init=False)

    def opened(
        self,
        source: MapSource,
        index: ImageIndex,
        passes: int,
        joint: Joint,
        store: FeatureStore,
    ) -> None:
        """Hear that an engine was opened.

        Args:
            source: whose engine it is.
            index: the images.
            passes: over the images in all.
            joint: the engine.
            store: holds the images that need no pass.
        """
        if self.done:
            return
        count = max(1, round(_unknown(index, store) * len(index))) * passes
        rate = price.pass_rate(joint.engine, source.contract.height, source.contract.width)
        trained = len(index) - index.splits.count(TEST)
        shapes = [part.map_shape for part in joint.parts]
        folds = self.options.most_folds
        self._say(self.heads, shapes, trained, len(index.classes), folds, (count, count / rate))

    def training(self, entry: Entry, heads: Sequence[Head], problem: Problem) -> None:
        """Hear that training begins.

        Args:
            entry: the first backbone.
            heads: those that suit its maps.
            problem: labels and folds.
        """
        ledger = entry.ledger(problem)
        methods = {head: entry.method(head, problem) for head in heads}
        missing = [h for h, method in methods.items() if ledger.cross_validation(method) is None]
        if not self.done and missing:
            shapes = [entry.found.info.map_shape]
            images, folds = len(problem.labels), problem.splits.folds
            self._say(missing, shapes, images, problem.classes, folds, None)

    def _say(
        self,
        heads: Sequence[Head],
        shapes: Sequence[MapShape],
        images: int,
        classes: int,
        folds: int,
        passing: tuple[int, float] | None,
    ) -> None:
        """Say it, as if the maps of all places were those of the first pass."""
        self.done, options = True, self.options
        total: dict[str, float] = {}
        for shape in shapes:
            suited = [head for head in heads if _suits(head, shape)]
            each = price.heads_seconds(
                suited,
                shape,
                images,
                classes,
                folds=folds,
                repeats=options.rounds,
                quick=options.quick,
            )
            for name, seconds in each.items():
                total[name] = total.get(name, 0.0) + seconds * self.places / len(shapes)
        if total:
            extras = price.extras_seconds(heads, shapes[0], images, classes, folds, options)
            self.callback.on_message(price.sentence(total, extras, passing, options, folds))


def _unknown(index: ImageIndex, store: FeatureStore) -> float:
    """Give the share of images that are not in the store; of many, that among some."""
    step = max(1, len(index) // LOOKED_AT)
    missing = []
    for number in range(0, len(index), step):
        try:
            missing.append(digests.of_bytes(read_bytes(index.path(number))) not in store)
        except ImageError:
            continue
    return sum(missing) / len(missing) if missing else 1.0


def _suits(head: Head, shape: MapShape) -> bool:
    try:
        head.pooling.check(shape)
    except UsageError:
        return False
    return True
