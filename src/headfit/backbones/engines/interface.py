"""The interface of an engine: pixels in, feature maps out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from headfit.errors import EngineError

FLOAT32, INT8 = "float32", "int8"
PRECISIONS = (FLOAT32, INT8)
JOIN = "+"  # between the layers of a joined cut
OWN_END = "end"  # the word for a backbone's own end
MULTI = "multi"  # the word for the last layers at the last resolutions, joined
Tagged = tuple[Any, np.ndarray]
Run = Callable[[np.ndarray], np.ndarray]


def is_joined(cut: str) -> bool:
    """Whether a cut joins the averages of several layers."""
    return cut == MULTI or JOIN in cut


@dataclass(frozen=True)
class EngineInfo:
    """Facts about an engine, as they are written into results.

    Attributes:
        name: ``"openvino"`` or ``"keras"``.
        map_shape: (H, W, C) of one feature map.
        parameters: number of weights of the backbone.
        weights_digest: digest of all weights.
        cosine: the lowest on the probe images: of float32 against Keras (1 for Keras itself), of
            int8 against float32.
        note: why another engine than the requested one runs; empty if it is the requested one.
        device: what it runs on: ``"cpu"``, or the graphics processor as its framework names it.
        precision: of the arithmetic, ``"float32"`` or ``"int8"``.
        calibrated_on: images that the ranges of int8 were taken from; 0 for float32.
        speedup: how many times as fast as float32 it was when its graph was made.
        setting: how it was set to run here: ``batch``, and for OpenVINO ``hint``.
        layers: those whose averages the map is made of; empty if it is the map of one.
    """

    name: str
    map_shape: tuple[int, int, int]
    parameters: int
    weights_digest: str
    cosine: float
    note: str = ""
    device: str = "cpu"
    precision: str = FLOAT32
    calibrated_on: int = 0
    speedup: float = 1.0
    setting: dict[str, Any] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return {**asdict(self), "map_shape": list(self.map_shape)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EngineInfo:
        """Rebuild from :meth:`to_dict`; fields that came later may be absent."""
        height, width, channels = data["map_shape"]
        return cls(**{**data, "map_shape": (height, width, channels)})


@dataclass(frozen=True)
class Lanes:
    """How threads keep a network busy, each with a lane of its own.

    Attributes:
        count: threads that keep it busy.
        batch: images that a lane is best given at once.
        open: makes a lane, for one thread at a time: uint8 (n, height, width, 3) to float32 (n, …).
    """

    count: int
    batch: int
    open: Callable[[], Run]


class Engine(Protocol):
    """Runs a frozen network over images."""

    @property
    def info(self) -> EngineInfo:
        """What is known of the engine."""
        ...

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """Run the network.

        Args:
            batches: pairs of any tag and one uint8 image (1, height, width, 3), RGB.

        Yields:
            Pairs of the tag and the float32 result (1, …), in whatever order they are ready.
        """
        ...


class ServingEngine(Engine, Protocol):
    """An engine that can also serve several threads."""

    def lanes(self) -> Lanes:
        """Give the lanes of the network."""
        ...


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


def split(rows: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Cut rows in which several maps lie side by side.

    Args:
        rows: float32 (n, ΣHWC).
        shapes: (H, W, C) of each map.

    Returns:
        A map (n, H, W, C) for each shape, views where that can be had.

    Raises:
        EngineError: if the rows are of another length.
    """
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    if rows.ndim != 2 or rows.shape[1] != ends[-1]:
        raise EngineError(f"the graph gives {rows.shape[1:]}, expected ({ends[-1]},)")
    parts = np.split(rows, ends[:-1], axis=1)
    return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


PROBES = 2


def probe_images(height: int, width: int, count: int = PROBES) -> np.ndarray:
    """Make the images on which a graph must agree with Keras.

    Args:
        height: in pixels.
        width: in pixels.
        count: how many; other numbers give other images.

    Returns:
        uint8 array (count, height, width, 3): smooth colour waves with noise, so that both edges
        and flat parts, dark and bright, pass through the network.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1, 3))
    waves = np.sin(2 * np.pi * (3 * y + 2 * x)[None, :, :, None] * [1, 2, 3] + phase)
    noise = rng.normal(0, 0.15, (count, height, width, 3))
    images: np.ndarray = np.clip(127.5 * (1 + 0.8 * waves + noise), 0, 255).astype(np.uint8)
    return images
