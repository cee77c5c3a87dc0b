"""What a comparison will cost, in seconds, said before it starts.

Estimates from counts of operations and one short matrix product on this machine; good to about a
factor of two. Constants were measured on two cores with 190 GFLOP/s (see benchmarks/README.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import cache

import numpy as np

from headfit.backbones.engines.engine import Engine
from headfit.backbones.engines.probe import probe_images
from headfit.fitting.descent.budget import Schedule, trials_for
from headfit.fitting.problem import inner_pairs
from headfit.fitting.threads import one_thread
from headfit.heads.chain import Head
from headfit.heads.layers.spatial_prior import TAUS
from headfit.heads.pooling import MapShape
from headfit.runs.options import PROTOCOLS, Options
from headfit.util.processors import usable_cores

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
CURVE_FITS = 100
DECODED = 0.8  # of the engine's speed is left with decoding and writing
BATCHES = 12


def pass_rate(engine: Engine, height: int, width: int) -> float:
    """Measure images a second of an engine, on a few images."""
    images = probe_images(height, width)
    start = time.perf_counter()
    for _ in engine.run((number, images[number % 2, None]) for number in range(BATCHES)):
        pass
    return DECODED * BATCHES / (time.perf_counter() - start)


def heads_seconds(
    heads: Sequence[Head],
    map_shape: MapShape,
    images: int,
    classes: int,
    *,
    folds: int,
    repeats: int,
    quick: bool,
) -> dict[str, float]:
    """Estimate what each head takes to train, all folds, repeats and settings."""
    slow = REFERENCE / _sgemm_rate()
    found = {}
    for head in heads:
        if head.linear:
            seconds = _linear(head, map_shape, images, classes, folds, repeats)
        else:
            trials = trials_for(head.body, quick=quick, hidden=head.hidden)
            shown = repeats * folds * (len(trials) + 1) * Schedule().epochs * images
            size = head.parameters(map_shape, classes)
            seconds = COMPILING + 6.0 * shown * size / NETWORK_RATE
            if head.trained is not None:
                seconds += PER_TRAINED_VALUE * shown * math.prod(map_shape)
        found[head.name] = slow * seconds
    return found


def extras_seconds(
    heads: Sequence[Head], map_shape: MapShape, images: int, classes: int, folds: int, o: Options
) -> float:
    """Estimate what the measurements beside the scores take."""
    names = {head.name for head in heads}
    slow, seconds = REFERENCE / _sgemm_rate(), 0.0
    if o.where and {"gap", "flatten"} <= names:
        n = min(images, WHERE_IMAGES)
        seconds += len(TAUS) * (_fits(folds, 1) * PER_FIT * n * n * classes + PER_CUBE * n**3)
        seconds += 3.0
    if o.curve and {"gap", "flatten"} & names:
        seconds += CURVE_FITS * PER_FIT * images * min(images, 2000) * classes + 1.0
    return slow * seconds


def sentence(
    each: dict[str, float],
    extras: float,
    passing: tuple[int, float] | None,
    options: Options,
    folds: int,
) -> str:
    """Say it in words.

    Args:
        each: seconds of each head.
        extras: seconds of the measurements beside the scores.
        passing: how many images go through the backbone, and the seconds; None if none do.
        options: the protocol.
        folds: of the cross-validation.
    """
    heads, through = sum(each.values()), passing[1] if passing else 0.0
    parts = [f"{passing[0]:,} images through the backbone {_time(passing[1])}"] if passing else []
    parts.append(f"{options.rounds} × {folds} folds {_time(heads)}")
    parts += [f"position and learning curve {_time(extras)}"] if extras else []
    said = f"About {_time(through + heads + extras)}: {', '.join(parts)}."
    worst = max(each, key=lambda name: each[name])
    if each[worst] > 60 and each[worst] > 0.5 * heads and len(each) > 1:
        said += f" {worst} alone is {_time(each[worst])} of it; leave it out with --heads."
    if options.protocol != "quick" and heads > 30:
        protocol = PROTOCOLS["quick"]
        said += f" --protocol quick ({protocol.repeats} × {protocol.folds} folds) is a first look."
    return said


def _linear(
    head: Head, map_shape: MapShape, images: int, classes: int, folds: int, repeats: int
) -> float:
    height, width, channels = map_shape
    wide = head.pooling.width(map_shape)
    rank = min(images, wide)
    seconds = PER_VALUE * images * height * width * channels
    seconds += PER_FIT * _fits(folds, repeats) * images * rank * classes
    shapes = len(head.pooling.shapes)
    n = min(images, SCREENED)
    seconds += shapes * 4 * PER_CUBE * n**3
    if wide >= images:
        kinds = min(2, max(1, shapes))
        seconds += kinds * (float(images) ** 2 * wide / REFERENCE + PER_CUBE * images**3)
    return seconds


def _fits(folds: int, repeats: int) -> int:
    """Models on the path of penalties, and those that are scored."""
    return repeats * (len(inner_pairs(folds)) + 2 * folds)


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
