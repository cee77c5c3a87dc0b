"""Feature maps of augmented views: each computed once and stored, like those of images as they are.

View 0 is the image as it is: its map lies in the store that every comparison uses. The other views
of a backbone, a cut and an augmentation share a store of their own, whose rows are named
``DIGEST/NUMBER``. A view depends on neither their number nor other images (see
:mod:`headfit.images.augment`), so more views later add to those that are there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.errors import UsageError
from headfit.features.store import FeatureMaps, FeatureStore
from headfit.images.augment import Augmentation
from headfit.util import digests
from headfit.util.cache import FEATURES


@dataclass(frozen=True)
class Views:
    """Which views of each image are asked for.

    Attributes:
        augmentation: how they are drawn.
        count: their number, at least 1; the first is the image as it is.

    Raises:
        UsageError: the count is not a whole number of at least 1, or the augmentation has fewer
            different views.
    """

    augmentation: Augmentation
    count: int

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 1:
            raise UsageError.invalid("views", self.count, "a whole number of at least 1")
        most = self.augmentation.most_views
        if most is not None and self.count > most:
            raise UsageError.invalid(
                "views",
                self.count,
                f"at most {most} with `augment={str(self.augmentation)!r}`",
                "All others would be copies; another step, such as shift0.05, makes them differ.",
            )

    @property
    def identity(self) -> dict[str, Any]:
        """Plain data that decides all views, for the keys of caches."""
        return {"augmentation": self.augmentation.identity, "count": self.count}


@dataclass(frozen=True, eq=False)
class ViewMaps:
    """Feature maps of all views of n images.

    Attributes:
        maps: of n · views rows; row i · views + k is view k of image i.
        views: number of views of each image.
    """

    maps: FeatureMaps
    views: int

    def __len__(self) -> int:
        return len(self.maps) // self.views

    def rows(self, images: np.ndarray) -> np.ndarray:
        """Number the rows of some images, int (m,), in their order: int (m · views,)."""
        return (np.asarray(images)[:, None] * self.views + np.arange(self.views)).reshape(-1)

    def of(self, images: np.ndarray) -> ViewMaps:
        """Give all views of some images, in the order of ``images``, int (m,)."""
        return ViewMaps(self.maps.subset(self.rows(images)), self.views)

    def view(self, number: int) -> FeatureMaps:
        """Give one view of every image: n maps. Number 0 is the images as they are."""
        return self.maps.subset(np.arange(number, len(self.maps), self.views))


@dataclass(frozen=True)
class ViewStores:
    """Where the maps of one backbone and cut are stored.

    Attributes:
        plain: of images as they are.
        others: of their other views, under one augmentation.
    """

    plain: FeatureStore
    others: FeatureStore

    @classmethod
    def open(cls, key: str, augmentation: Augmentation) -> ViewStores:
        """Open the stores.

        Args:
            key: of images as they are, see :func:`headfit.features.store.feature_key`.
            augmentation: how the other views are drawn.
        """
        other = digests.of_data({"maps": key, "augmentation": augmentation.identity})
        return cls(FeatureStore(FEATURES.path(key)), FeatureStore(FEATURES.path(other)))

    def holds(self, image: str, number: int) -> bool:
        """Whether a view of an image, given by its digest, is stored."""
        return row_name(image, number) in (self.others if number else self.plain)

    def maps(self, images: Sequence[str], count: int) -> ViewMaps:
        """Return the maps of views, in the order of the images.

        Args:
            images: digests of images whose first ``count`` views are stored.
            count: number of views of each.
        """
        plain = self.plain.maps(images)
        if count == 1:
            return ViewMaps(plain, 1)
        names = [row_name(image, number) for image in images for number in range(1, count)]
        others = self.others.maps(names)
        after = others.places + np.array([len(plain.blocks), 0])
        places = np.concatenate(
            [plain.places[:, None], after.reshape(len(images), count - 1, 2)], axis=1
        )
        return ViewMaps(FeatureMaps((*plain.blocks, *others.blocks), places.reshape(-1, 2)), count)


def row_name(image: str, number: int) -> str:
    """Name the row of a view in its store: the digest of the file, and the number from 1."""
    return f"{image}/{number}" if number else image


def bytes_of_views(
    map_shapes: Sequence[tuple[int, int, int]], images: int, views: int, dtype: str = "float16"
) -> int:
    """Estimate what maps of views take on the disk.

    Args:
        map_shapes: (H, W, C) at each cut.
        images: their number.
        views: number of views of each.
        dtype: how maps are stored.
    """
    values = sum(math.prod(shape) for shape in map_shapes)
    return images * views * values * np.dtype(dtype).itemsize
