"""The estimated time of a comparison, reported once, as early as possible.

Estimates from counts of operations and one short matrix product on this machine; good to about a
factor of two. Constants were measured on two cores with 190 GFLOP/s (see benchmarks/README.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from headfit.backbones.engines.engine import Engine, Joint
from headfit.backbones.engines.interface import probe_images
from headfit.errors import UsageError
from headfit.features.reader import sample_digests
from headfit.features.store import FeatureStore
from headfit.fitting.descent.budget import Schedule, trials_for
from headfit.fitting.problem import Problem, inner_pairs
from headfit.fitting.threads import one_thread
from headfit.heads.chain import Head
from headfit.heads.layers.spatial_prior import TAUS
from headfit.heads.pooling import MapShape
from headfit.images.index import ImageIndex
from headfit.progress import Callback
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.map_source import MapSource
from headfit.runs.options import PROTOCOLS, Options
from headfit.study.comparison.contrast import FLATTEN, GAP
from headfit.util.machine import usable_cores
from headfit.util.nouns import counted

REFERENCE = 190e9  # operations a second of the machine that these were measured on
PER_FIT = 1.1e-9  # of a logistic fit, for each image × coordinate × class
PER_CUBE = 1e-10  # of a decomposition, for each image cubed
PER_VALUE = 8e-9  # of reading and pooling, for each value of a map
NETWORK_RATE = 1.3e11  # operations a second of networks trained together
# of a pooling with weights of its own, for each value of a map, image, network and epoch; on 500
# maps of 7×7×1024 and 10 networks from 1e-9 (attention) to 6e-9 (covariance)
PER_TRAINED_VALUE = 4e-9
COMPILING = 4.0
SCREENED, WHERE_IMAGES = 2000, 2000
CURVE_FITS = 400
CLAIM_FITS = 2.0
DECODED = 0.8  # of the engine's speed is left with decoding and writing
BATCHES = 12
SLOW, LONG = 60.0, 30.0  # seconds of one head, and of all, above which a remedy is named


@dataclass(frozen=True)
class Workload:
    """What there is to train.

    Attributes:
        images: number of training images.
        classes: K.
        folds: number of cross-validation folds.
        options: the settings.
    """

    images: int
    classes: int
    folds: int
    options: Options


@dataclass
class Estimate:
    """Reports the estimated time once, when a backbone's speed is known or training begins.

    Args:
        options: the settings.
        heads: all heads.
        places: how many combinations of backbone, size and cut there are.
        callback: receives it as a message.
    """

    options: Options
    heads: Sequence[Head]
    places: int
    callback: Callback
    done: bool = field(default=False, init=False)

    def opened(
        self, source: MapSource, index: ImageIndex, passes: int, joint: Joint, store: FeatureStore
    ) -> None:
        """Take note that the engine of a source was opened, for the first of some passes."""
        if self.done:
            return
        count = max(1, round(_missing(index, store) * len(index))) * passes + len(index.unlabelled)
        rate = pass_rate(joint.engine, source.contract.height, source.contract.width)
        training = len(index.training)
        work = Workload(training, len(index.classes), self.options.max_folds, self.options)
        self._tell(self.heads, [part.map_shape for part in joint.parts], work, count, count / rate)

    def training(
        self, backbone: CandidateBackbone, heads: Sequence[Head], problem: Problem
    ) -> None:
        """Take note that the training of these heads begins."""
        ledger = backbone.ledger(problem)
        methods = {head: backbone.method(head, problem) for head in heads}
        missing = [h for h, method in methods.items() if ledger.cross_validation(method) is None]
        if not self.done and missing:
            folds = problem.splits.folds
            work = Workload(len(problem.targets), problem.targets.count, folds, self.options)
            self._tell(missing, [backbone.extraction.info.map_shape], work, 0, 0.0)

    def _tell(
        self,
        heads: Sequence[Head],
        shapes: Sequence[MapShape],
        work: Workload,
        passing: int,
        seconds: float,
    ) -> None:
        """Tell it, as if the maps of all places were those of the first pass."""
        self.done = True
        total: dict[str, float] = {}
        for shape in shapes:
            suitable = [head for head in heads if _suits(head, shape)]
            for name, each in heads_seconds(suitable, shape, work).items():
                total[name] = total.get(name, 0.0) + each * self.places / len(shapes)
        if total:
            extras = extras_seconds(heads, work)
            if work.options.claims:  # as often as this, the folds of the first repeat
                again = sum(total.get(name, 0.0) for name in (GAP, FLATTEN))
                extras += CLAIM_FITS * again / work.options.rounds
            self.callback.on_message(sentence(total, extras, work, passing, seconds))


def pass_rate(engine: Engine, height: int, width: int) -> float:
    """Measure images a second of an engine, on a few images."""
    images = probe_images(height, width)
    start = time.perf_counter()
    for _ in engine.run((number, images[number % 2, None]) for number in range(BATCHES)):
        pass
    return DECODED * BATCHES / (time.perf_counter() - start)


def heads_seconds(heads: Sequence[Head], map_shape: MapShape, work: Workload) -> dict[str, float]:
    """Estimate what each head takes to train, all folds, repeats and settings."""
    slow = REFERENCE / _sgemm_rate()
    return {head.name: slow * _head_seconds(head, map_shape, work) for head in heads}


def extras_seconds(heads: Sequence[Head], work: Workload) -> float:
    """Estimate what the measurements beside the scores take."""
    names = {head.name for head in heads}
    slow, seconds = REFERENCE / _sgemm_rate(), 0.0
    if work.options.where and {GAP, FLATTEN} <= names:
        n = min(work.images, WHERE_IMAGES)
        fits = _fits(work.folds, 1)
        seconds += len(TAUS) * (fits * PER_FIT * n * n * work.classes + PER_CUBE * n**3) + 3.0
    if work.options.curve and {GAP, FLATTEN} & names:
        images = work.images
        seconds += CURVE_FITS * PER_FIT * images * min(images, 2000) * work.classes + 1.0
    return slow * seconds


def sentence(
    each: dict[str, float], extras: float, work: Workload, passing: int, seconds: float
) -> str:
    """Put the estimate into words; ``passing`` images go through the backbone in ``seconds``."""
    heads, protocol = sum(each.values()), PROTOCOLS["quick"]
    images = counted(passing, "image")
    parts = [f"{images} through the backbone {_time(seconds)}"] if passing else []
    parts.append(f"{work.options.rounds} × {work.folds} folds {_time(heads)}")
    beside = "position, learning curve and mistakes"
    if not work.options.claims:
        beside = "position and learning curve"
    parts += [f"{beside} {_time(extras)}"] if extras else []
    text = f"Estimated time: about {_time(seconds + heads + extras)} ({', '.join(parts)})."
    slowest = max(each, key=lambda name: each[name])
    if each[slowest] > SLOW and each[slowest] > 0.5 * heads and len(each) > 1:
        text += (
            f" {slowest} alone takes {_time(each[slowest])}: leave it out of `heads` to be quick."
        )
    if work.options.protocol != "quick" and heads > LONG:
        folds = f"{protocol.repeats} × {protocol.folds} folds"
        text += f" For a first look, set `protocol='quick'` ({folds})."
    return text


def _head_seconds(head: Head, map_shape: MapShape, work: Workload) -> float:
    if head.linear:
        return _linear(head, map_shape, work)
    options = work.options
    trials = trials_for(head.body, quick=options.quick, hidden=head.hidden)
    fits = options.rounds * work.folds * (len(trials) + 1)
    shown = fits * Schedule().epochs * work.images
    size = head.parameters(map_shape, work.classes)
    seconds = COMPILING + 6.0 * shown * size / NETWORK_RATE
    if head.trained is not None:
        seconds += PER_TRAINED_VALUE * shown * math.prod(map_shape)
    return seconds


def _linear(head: Head, map_shape: MapShape, work: Workload) -> float:
    images, wide = work.images, head.pooling.width(map_shape)
    rank = min(images, wide)
    seconds = PER_VALUE * images * math.prod(map_shape)
    fits = _fits(work.folds, work.options.rounds)
    seconds += PER_FIT * fits * images * rank * work.classes
    shapes = len(head.pooling.shapes)
    n = min(images, SCREENED)
    seconds += shapes * 4 * PER_CUBE * n**3
    if wide >= images:
        kinds = min(2, max(1, shapes))
        seconds += kinds * (float(images) ** 2 * wide / REFERENCE + PER_CUBE * images**3)
    return seconds


def _fits(folds: int, repeats: int) -> int:
    """Count the models on the path of penalties, and those that are scored."""
    return repeats * (len(inner_pairs(folds)) + 2 * folds)


def _missing(index: ImageIndex, store: FeatureStore) -> float:
    """Give the share of images that are not in the store, estimated from some if there are many."""
    sampled = sample_digests(len(index), index.read_bytes)
    return sum(image not in store for image in sampled) / len(sampled) if sampled else 1.0


def _suits(head: Head, shape: MapShape) -> bool:
    try:
        head.pooling.check(shape)
    except UsageError:
        return False
    return True


@cache
def _sgemm_rate() -> float:
    """Operations a second of matrix products here, on all cores; it takes 50 ms to find out.

    One core is timed, and the best of a few taken: two that wait for each other on a busy machine
    can be ten times as slow, which says nothing about the minutes to come.
    """
    a = np.ones((512, 512), np.float32)
    seconds = []
    with one_thread():
        for _ in range(12):
            start = time.perf_counter()
            a @ a
            seconds.append(time.perf_counter() - start)
    return float(usable_cores() * 2 * 512**3 / min(seconds))


def _time(seconds: float) -> str:
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"
    return f"{round(seconds / 60)} min"
