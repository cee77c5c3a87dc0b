"""Images moved by a few pixels: how much what gap and flatten put out changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from headfit.backbones.engines.engine import Tagged
from headfit.errors import ImageError
from headfit.heads.layers.plain import FLATTEN, GAP
from headfit.images.decode import decode
from headfit.images.index import ImageIndex
from headfit.images.targets import CLASS
from headfit.progress import Progress
from headfit.runs.example_images import FoldModels
from headfit.runs.map_source import MapSource
from headfit.study.position.perturbation import ShiftCurve

SHARES = (1 / 28, 1 / 14, 1 / 7)  # of the side: 8, 16 and 32 of 224 pixels
DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))
MOST_IMAGES, LEAST_IMAGES, PART = 64, 16, 8
POOLINGS = {"gap": GAP, "flatten": FLATTEN}


def choose_images(labels: np.ndarray, seed: int) -> np.ndarray:
    """Choose an eighth of the images, 16 to 64, the same number of each class: int (m,)."""
    count = min(len(labels), MOST_IMAGES, max(LEAST_IMAGES, len(labels) // PART))
    order = np.random.default_rng([seed, 5]).permutation(len(labels))
    # the first of each class come before the second of any
    place = np.empty(len(labels), int)
    for label in np.unique(labels):
        member = order[labels[order] == label]
        place[member] = np.arange(len(member))
    chosen: np.ndarray = np.sort(order[np.argsort(place[order], kind="stable")][:count])
    return chosen


def measure_shifts(
    source: MapSource,
    index: ImageIndex,
    folds: np.ndarray,
    models: Mapping[str, FoldModels],
    progress: Progress,
    kind: str = CLASS,
) -> dict[str, ShiftCurve]:
    """Move images, each in one of four directions, and see how the outputs of heads change.

    What moves out of the picture is lost, what moves in repeats the edge.

    Args:
        source: of feature maps.
        index: the m images.
        folds: int (m,), the fold that holds each out.
        models: of ``"gap"`` and ``"flatten"``, trained without these folds.
        progress: reports the fraction done.
        kind: of the targets.

    Raises:
        ImageError: if an image can no longer be read.
        EngineError, WeightsError: if the backbone cannot run.
    """
    side = min(source.contract.height, source.contract.width)
    pixels = sorted({max(1, round(share * side)) for share in SHARES})
    classes = next(iter(models.values())).biases.shape[1]
    logits = {name: np.empty((len(index), 1 + len(pixels), classes)) for name in models}

    def images() -> Iterator[Tagged]:
        for number in range(len(index)):
            image = _decoded(source, index, number)
            down, right = DIRECTIONS[number % len(DIRECTIONS)]
            for place, distance in enumerate([0, *pixels]):
                yield (number, place), moved(image, distance * down, distance * right)[None]

    for done, ((number, place), maps) in enumerate(source.open().run(images())):
        for name, model in models.items():
            kernel, bias = model.kernels[folds[number]], model.biases[folds[number]]
            logits[name][number, place] = POOLINGS[name].pool(maps) @ kernel + bias
        progress((done + 1) / (len(index) * (1 + len(pixels))))
    return {name: ShiftCurve.of(pixels, each, kind) for name, each in logits.items()}


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Move a picture, (H, W, 3), by some pixels; the edge is repeated where nothing is left."""
    height, width = image.shape[:2]
    y = np.clip(np.arange(height) - down, 0, height - 1)
    x = np.clip(np.arange(width) - right, 0, width - 1)
    result: np.ndarray = image[y[:, None], x]
    return result


def _decoded(source: MapSource, index: ImageIndex, number: int) -> np.ndarray:
    try:
        contract = source.contract
        return decode(index.read_bytes(number), contract.height, contract.width, contract.depth)
    except ImageError as error:
        raise ImageError(f"'{index.paths[number]}' can no longer be read: {error}.") from None
