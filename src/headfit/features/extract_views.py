"""The pass of augmented views: every missing view through the frozen backbone once.

As in the pass of images as they are, files are decoded ahead and maps written behind. Views are
drawn between the two, in threads, and few wait.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headfit.backbones.engines.engine import Joint
from headfit.errors import ImageError, WriteError
from headfit.features.extract import Extraction, collect, run_pass_with
from headfit.features.reader import Reader, sample_digests
from headfit.features.views import ViewMaps, Views, ViewStores, bytes_of_views, row_name
from headfit.features.writer import Writer
from headfit.images.augment import Augmentation
from headfit.images.contract import Contract
from headfit.images.index import ImageIndex
from headfit.images.read_ahead import ReadAhead
from headfit.progress import Callback
from headfit.util.machine import in_words
from headfit.util.nouns import counted


def extract_views(
    index: ImageIndex,
    contract: Contract,
    stores: Sequence[ViewStores],
    views: Views,
    open_joint: Callable[[], Joint],
    callback: Callback | None = None,
    *,
    dtype: str = "float16",
) -> list[tuple[Extraction, ViewMaps]]:
    """Compute the feature maps of all views that the stores lack, and return all of them.

    A file is decoded once for all of its views that are missing, and not at all if none is. After
    an interruption the stores hold what was computed.

    Args:
        index: the images.
        contract: how they are decoded and preprocessed.
        stores: those of each cut.
        views: which views.
        open_joint: opens the engine that returns the maps of the same cuts; called only if a view
            is missing.
        callback: is told the progress, in images.
        dtype: how new maps are stored, see :func:`headfit.features.extract.extract`.

    Returns:
        For each cut what :func:`headfit.features.extract.extract` gives, and the maps of the views
        of the images that could be read.

    Raises:
        DataError: no image can be read.
        EngineError, WeightsError: the backbone cannot run.
        WriteError: a store cannot be written, or what is missing does not fit on the disk.
    """
    plain, numbers = [each.plain for each in stores], range(views.count)
    reader = Reader(index.paths, index.read_bytes, contract, _Whole(stores, numbers), callback)

    def opening() -> Joint:
        joint = open_joint()
        shapes = [part.map_shape for part in joint.parts]
        _check_space(_Missing.of(index, stores, shapes, dtype), stores, len(index), views.count)
        return joint

    def compute(joint: Joint, images: Iterator[tuple[str, np.ndarray]]) -> int:
        wanted = _Wanted(images, stores, numbers)
        _compute(joint, wanted, views.augmentation, dtype, reader.hashes)
        return wanted.images

    computed, facts = run_pass_with(compute, reader, contract, plain, opening)
    extractions = collect(index, plain, reader, computed, facts)
    return [
        (extraction, each.maps(extraction.digests, views.count))
        for extraction, each in zip(extractions, stores, strict=True)
    ]


class _View(NamedTuple):
    """One view to be drawn."""

    image: str
    number: int
    pixels: np.ndarray


@dataclass(frozen=True)
class _Whole:
    """The images of which every store holds all views."""

    stores: Sequence[ViewStores]
    numbers: range

    def __contains__(self, image: Any) -> bool:
        return all(each.holds(image, number) for each in self.stores for number in self.numbers)


class _Wanted:
    """The views of images that a store lacks.

    Attributes:
        images: how many images were taken so far.
        stores: those of each cut.
    """

    def __init__(
        self, source: Iterator[tuple[str, np.ndarray]], stores: Sequence[ViewStores], numbers: range
    ) -> None:
        self.images, self.stores = 0, stores
        self._source, self._numbers = source, numbers

    def __iter__(self) -> Iterator[_View]:
        for image, pixels in self._source:
            self.images += 1
            for number in self._numbers:
                if not all(each.holds(image, number) for each in self.stores):
                    yield _View(image, number, pixels[0])


def _compute(
    joint: Joint,
    wanted: _Wanted,
    augmentation: Augmentation,
    dtype: str,
    hashes: Mapping[str, int],
) -> None:
    """Draw views in threads, and send them through the backbone into the stores."""

    def draw(view: _View) -> np.ndarray:
        return augmentation.view(view.pixels, view.image, view.number)

    with contextlib.ExitStack() as opened:
        writers = [
            [opened.enter_context(Writer(store, dtype)) for store in (each.plain, each.others)]
            for each in wanted.stores
        ]
        ahead = opened.enter_context(contextlib.closing(iter(ReadAhead(wanted, _same, draw))))
        batches = ((view[:2], _drawn(pixels)[None]) for view, pixels in ahead)
        for (image, number), parts in joint.run(batches):
            perceptual = None if number else hashes[image]
            for store, (plain, others), maps in zip(wanted.stores, writers, parts, strict=True):
                if not store.holds(image, number):
                    writer = others if number else plain
                    writer.add(row_name(image, number), maps, perceptual)


@dataclass(frozen=True)
class _Missing:
    """What some images lack, to estimate what all of them need.

    Attributes:
        images: digests of some images.
        stores: those of each cut.
        sizes: bytes of a map at each cut.
    """

    images: Sequence[str]
    stores: Sequence[ViewStores]
    sizes: Sequence[int]

    @classmethod
    def of(
        cls,
        index: ImageIndex,
        stores: Sequence[ViewStores],
        shapes: Sequence[tuple[int, int, int]],
        dtype: str,
    ) -> _Missing:
        sizes = [bytes_of_views([shape], 1, 1, dtype) for shape in shapes]
        return cls(sample_digests(len(index), index.read_bytes), stores, sizes)

    def bytes_of_image(self, count: int) -> float:
        """Bytes that an image needs on average for this number of views."""
        missing = sum(
            size * sum(not store.holds(image, number) for number in range(count))
            for store, size in zip(self.stores, self.sizes, strict=True)
            for image in self.images
        )
        return missing / max(1, len(self.images))


def _check_space(missing: _Missing, stores: Sequence[ViewStores], images: int, count: int) -> None:
    """See to it that what is missing fits on the disk.

    Raises:
        WriteError: it does not.
    """
    folder = _existing(stores[0].others.folder)
    free = shutil.disk_usage(folder).free
    needed = int(images * missing.bytes_of_image(count))
    if needed <= free:
        return
    fitting = (k for k in range(count - 1, 0, -1) if images * missing.bytes_of_image(k) <= free)
    most = next(fitting, 0)
    fewer = f"Set `views={most}` or fewer, or set" if most else "Set"
    raise WriteError(
        f"The feature maps of {counted(count, 'view')} of {counted(images, 'image')} need "
        f"{in_words(needed)} more, and the disk of '{folder}' has {in_words(free)} free. {fewer} "
        f"the environment variable HEADFIT_HOME to a folder on a larger disk."
    )


def _existing(folder: Path) -> Path:
    """Give the nearest folder that exists."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _same(view: _View) -> _View:
    return view


def _drawn(pixels: np.ndarray | ImageError) -> np.ndarray:
    if isinstance(pixels, ImageError):  # drawing reads nothing, so there is none
        raise pixels
    return pixels
