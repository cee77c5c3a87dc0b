"""What enters the part of a backbone that is trained: stored maps, or preprocessed pixels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from headfit.features.views import ViewMaps, Views
from headfit.images.contract import Contract
from headfit.util.machine import usable_cores

Ints = npt.NDArray[np.integer[Any]]


class Inputs(Protocol):
    """Views of n images, as the trained part takes them."""

    @property
    def views(self) -> int:
        """Number of views of each image; the first is the image as it is."""
        ...

    def take(self, images: Ints, views: Ints) -> np.ndarray:
        """Give one view of each of some images.

        Args:
            images: int (m,).
            views: int (m,), the number of the view of each.

        Returns:
            float32 (m, height, width, channels).
        """
        ...


@dataclass(frozen=True)
class StoredMaps:
    """Maps at the layer where training starts, read from the store."""

    maps: ViewMaps

    @property
    def views(self) -> int:
        """See :class:`Inputs`."""
        return self.maps.views

    def take(self, images: Ints, views: Ints) -> np.ndarray:
        """See :class:`Inputs`."""
        return self.maps.maps.read(np.asarray(images) * self.maps.views + views)


class Pixels:
    """Preprocessed pixels, for training from the first layer; views are drawn when asked for.

    Args:
        pixels: uint8 (n, height, width, 3), RGB, in memory or mapped.
        digests: of the n images' files, which decide their views.
        views: which views.
        contract: the preprocessing.
    """

    def __init__(
        self, pixels: np.ndarray, digests: Sequence[str], views: Views, contract: Contract
    ) -> None:
        self._pixels, self._digests, self._views = pixels, digests, views
        self._contract = contract
        self._threads = ThreadPoolExecutor(usable_cores())

    @property
    def views(self) -> int:
        """See :class:`Inputs`."""
        return self._views.count

    def take(self, images: Ints, views: Ints) -> np.ndarray:
        """See :class:`Inputs`."""
        drawn = list(self._threads.map(self._draw, images.tolist(), views.tolist()))
        return self._contract.apply(np.stack(drawn))

    def _draw(self, image: int, view: int) -> np.ndarray:
        pixels = np.asarray(self._pixels[image])
        return self._views.augmentation.view(pixels, self._digests[image], view)
