"""One pass of a backbone, the maps of one cut or several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import Engine, EngineInfo, Tagged
from headfit.backbones.graphs.compiled import split


@dataclass(frozen=True)
class Joint:
    """An engine whose results hold the maps of every cut.

    Attributes:
        engine: with several cuts, its results are rows (1, ΣHWC).
        parts: facts about each cut.
        only: gives the engine of one cut by its number.
    """

    engine: Engine
    parts: Sequence[EngineInfo]
    only: Callable[[int], Engine]

    @classmethod
    def of(cls, engine: Engine) -> Joint:
        """Give the pass of an engine of one cut."""
        return cls(engine, [engine.info], lambda _: engine)

    def run(self, images: Iterable[Tagged]) -> Iterator[tuple[Any, list[np.ndarray]]]:
        """Run the network.

        Args:
            images: pairs of any tag and one uint8 image (1, height, width, 3), RGB.

        Yields:
            Pairs of the tag and a float32 map (1, H, W, C) for each cut.
        """
        if len(self.parts) == 1:
            yield from ((tag, [maps]) for tag, maps in self.engine.run(images))
            return
        shapes = [part.map_shape for part in self.parts]
        for tag, row in self.engine.run(images):
            yield tag, split(row, shapes)
