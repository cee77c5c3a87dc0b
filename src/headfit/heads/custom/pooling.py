"""A custom head: a function from a Keras tensor to a Keras tensor, or a saved Keras model.

    custom = module ":" function  |  file ".keras"  |  a callable, in Python

It receives the feature map (batch, H, W, C), channels last, and returns a vector for each image,
(batch, d); the softmax layer over the classes follows. Its properties depend on the map:
:mod:`headfit.heads.custom.store` determines them in a child process, so nothing here imports Keras.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from headfit.heads.custom.origin import Origin, from_callable, from_file, from_place
from headfit.heads.custom.store import CompiledHead, compile_head
from headfit.heads.pooling import Floats, MapShape, Vectors, pooling_names
from headfit.heads.trained import Array, Sample, Shapes, TrainedPooling, Weight

SUFFIX = ".keras"
TOGETHER = 64
_FUNCTION = re.compile(r"((?:[^\W\d]\w*\.)*[^\W\d]\w*):([^\W\d]\w*)")
NOWHERE = Origin("")
_Key = tuple[MapShape, int]


@dataclass(frozen=True)
class CustomPooling(TrainedPooling):
    """Whatever the user's head does with a map.

    Attributes:
        origin: where it comes from.
        compiled: the head for maps of one shape; None until :meth:`on`.
    """

    data_start: ClassVar[bool] = True

    origin: Origin = NOWHERE
    compiled: CompiledHead | None = None
    _cache: dict[_Key, CompiledHead] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, origin: Origin, compiled: CompiledHead | None = None) -> CustomPooling:
        """Make the pooling of a head, compiled or not."""
        aware = compiled is not None and compiled.position_aware
        return cls(origin.name, "your own", "yours", aware, origin=origin, compiled=compiled)

    def on(self, map_shape: MapShape, seed: int) -> CustomPooling:
        """Compile it for maps of one shape; see :meth:`TrainedPooling.on`."""
        compiled = self.compiled_for(map_shape, seed)
        return replace(self, compiled=compiled, position_aware=compiled.position_aware)

    @property
    def identity(self) -> str | list[str]:
        """What distinguishes its fits from those of others, whatever its name."""
        return self.name if self.compiled is None else [self.name, self.compiled.digest]

    @property
    def scaled(self) -> bool:
        """Whether its maps are scaled; the weights of a saved model are meant for raw maps."""
        return self.origin.file is None

    @property
    def hidden(self) -> bool:
        """Whether it has matrices to train."""
        return self.compiled is not None and any(w.decay for w in self.compiled.arrays)

    @property
    def probed(self) -> bool:
        """Random matrices are to be trained together with the next layer."""
        return not self.hidden

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the arrays; layers of one name in several models within it are numbered."""
        times: Counter[str] = Counter()
        names = []
        # they are the same for maps of every shape
        compiled = self.compiled or next(iter(self._cache.values()), None) or self.bound
        for array in compiled.arrays:
            times[array.name] += 1
            number = times[array.name]
            names.append(array.name if number == 1 else f"{array.name}_{number}")
        return tuple(names)

    @property
    def bound(self) -> CompiledHead:
        """The compiled head.

        Raises:
            ValueError: if it has not been compiled for maps of one shape.
        """
        if self.compiled is None:
            raise ValueError(f"Head '{self.name}' has no map shape yet: call 'on' first.")
        return self.compiled

    def compiled_for(self, map_shape: MapShape, seed: int | None = None) -> CompiledHead:
        """Give the head compiled for maps of one shape; a ``seed`` of None accepts any weights.

        Raises:
            UsageError: if it cannot be built for such maps.
        """
        if self.compiled is not None and self.compiled.suits(map_shape, seed):
            return self.compiled
        height, width, channels = map_shape
        key = (height, width, channels), seed or 0
        if key not in self._cache:
            self._cache[key] = compile_head(self.origin, *key)
        return self._cache[key]

    def settles(self, map_shape: MapShape) -> bool:
        """Whether some layer needs the statistics of the training images."""
        return bool(self.compiled_for(map_shape).settled)

    def weights(self, map_shape: MapShape, classes: int | None = None) -> tuple[Weight, ...]:
        """List the arrays; frozen ones and statistics are not trained."""
        return self.compiled_for(map_shape).arrays

    def initial(
        self, map_shape: MapShape, classes: int | None, seed: int, sample: Sample | None = None
    ) -> list[Vectors]:
        """Give the initial weights: what Keras drew, or the weights in the file.

        With a sample, batch statistics are those of its maps; see :class:`TrainedPooling`.
        """
        compiled = self.compiled_for(map_shape, seed)
        if sample is None:
            return compiled.start()
        return compiled.settled_start(sample.maps.reshape(-1, *map_shape))

    def forward(self, xp: Any, maps: Array, weights: Sequence[Array]) -> Array:
        """Pool maps (n, P, C) with JAX, in inference mode."""
        compiled, count = self.bound, len(maps)
        if xp is np:  # of few sizes, since JAX compiles for each
            maps = np.resize(maps, (-(-count // TOGETHER) * TOGETHER, *maps.shape[1:]))
        maps = maps.reshape(-1, *compiled.map_shape)
        pooled, _ = compiled.program("infer")(list(weights), maps, np.zeros(2, np.uint32))
        return pooled[:count]

    @property
    def fixed_size(self) -> bool:
        """True: it may not work at other sizes."""
        return True

    def _width(self, map_shape: MapShape) -> int:
        return self.compiled_for(map_shape).width

    def _shapes(self, map_shape: MapShape, classes: int) -> Shapes:
        raise NotImplementedError  # weights, its only caller, reads the compiled head

    def _initial(
        self, shapes: Shapes, rng: np.random.Generator, sample: Sample | None
    ) -> Sequence[Floats]:
        raise NotImplementedError  # initial, its only caller, reads the compiled head


def is_file(text: str) -> bool:
    """Whether a text is the path of a saved model, which may contain a comma."""
    return Path(text).suffix.lower() == SUFFIX and Path(text).is_file()


def is_custom(text: str) -> bool:
    """Whether a text names a custom head, not a chain."""
    if Path(text).suffix.lower() == SUFFIX:
        return True
    match = _FUNCTION.fullmatch(text)
    return match is not None and match[1] not in pooling_names()


def find_custom(head: str | Callable[..., Any]) -> CustomPooling:
    """Find the custom head of a text or callable, without running any of its code.

    Raises:
        UsageError: if there is no such file, module or function.
    """
    if not isinstance(head, str):
        return CustomPooling.of(from_callable(head))
    if Path(head).suffix.lower() == SUFFIX:
        return CustomPooling.of(from_file(head))
    return CustomPooling.of(from_place(head))


def read_custom(origin: Origin, folder: Path) -> CustomPooling:
    """Give a head that was compiled before, from the folder that holds it."""
    return CustomPooling.of(origin, CompiledHead.read(folder))
