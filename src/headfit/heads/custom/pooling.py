"""A head of the user's own: a function from a Keras tensor to a Keras tensor, or a saved model.

    own  = module ":" function  |  file ".keras"  |  a callable, in Python

It is given the feature map (batch, H, W, C), channels last, and gives a vector for each image,
(batch, d); the softmax layer over the classes follows. What is known of it depends on the map:
:mod:`headfit.heads.custom.store` finds it out in a child process, so nothing here imports Keras.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from headfit.heads.custom import lookup as own_find
from headfit.heads.custom import store as own_open
from headfit.heads.custom.store import Opened, Origin
from headfit.heads.pooling import Floats, MapShape, Tensor, Vectors, pooling_names
from headfit.heads.trained import Array, Labels, TrainedPooling, Weight

SUFFIX = ".keras"
TOGETHER = 64
_FUNCTION = re.compile(r"((?:[^\W\d]\w*\.)*[^\W\d]\w*):([^\W\d]\w*)")
NOWHERE = Origin("")
_Key = tuple[MapShape, int]


@dataclass(frozen=True)
class OwnPooling(TrainedPooling):
    """Whatever the user's head does with a map.

    Attributes:
        origin: where it comes from.
        opened: what is known of it for maps of one shape; None until :meth:`on`.
    """

    data_start: ClassVar[bool] = True

    origin: Origin = NOWHERE
    opened: Opened | None = None
    _known: dict[_Key, Opened] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, origin: Origin, opened: Opened | None = None) -> OwnPooling:
        """Make one of what is known of it."""
        aware = opened is not None and opened.position_aware
        return cls(origin.name, "your own", "yours", aware, origin=origin, opened=opened)

    def on(self, map_shape: MapShape, seed: int) -> OwnPooling:
        """Give the same for maps of one shape; see :meth:`TrainedPooling.on`."""
        opened = self._facts(map_shape, seed)
        return replace(self, opened=opened, position_aware=opened.position_aware)

    @property
    def identity(self) -> str | list[str]:
        """What tells its fits from those of others, whatever its name."""
        return self.name if self.opened is None else [self.name, self.opened.digest]

    @property
    def scaled(self) -> bool:
        """Whether it is given scaled maps; the weights of a saved model are meant for raw ones."""
        return self.origin.file is None

    @property
    def hidden(self) -> bool:
        """Whether it has matrices to train."""
        return self.opened is not None and any(w.decay for w in self.opened.arrays)

    @property
    def probed(self) -> bool:
        """Matrices at random are to be trained together with the layer after them."""
        return not self.hidden

    def settles(self, map_shape: MapShape) -> bool:
        """Whether some layer needs the statistics of the training images."""
        return bool(self._facts(map_shape).settled)

    def own_parameters(self, map_shape: MapShape, classes: int | None = None) -> int:
        """Count the trainable numbers; frozen layers and statistics are none."""
        return sum(w.size for w in self._facts(map_shape).arrays if w.trained)

    def initial(
        self,
        map_shape: MapShape,
        classes: int | None,
        seed: int,
        maps: Vectors | None = None,
        labels: Labels | None = None,
    ) -> list[Vectors]:
        """Give what training starts from: what Keras drew, or the weights in the file.

        With maps, statistics over the batch are those of the maps; see :class:`TrainedPooling`.
        """
        opened = self._facts(map_shape, seed)
        if maps is None or not len(maps):
            return opened.start()
        return opened.settled_start(maps.reshape(-1, *map_shape))

    def forward(self, xp: Any, maps: Array, weights: Sequence[Array]) -> Array:
        """Pool maps (n, P, C) with JAX, in inference."""
        opened, count = self.bound, len(maps)
        if xp is np:  # of few sizes, since JAX compiles for each
            maps = np.resize(maps, (-(-count // TOGETHER) * TOGETHER, *maps.shape[1:]))
        maps = maps.reshape(-1, *opened.map_shape)
        pooled, _ = opened.program("infer")(list(weights), maps, np.zeros(2, np.uint32))
        return pooled[:count]

    @property
    def bound(self) -> Opened:
        """What is known of it.

        Raises:
            ValueError: if it has not been asked for maps of one shape.
        """
        if self.opened is None:
            raise ValueError(f"Head '{self.name}' is for maps of any shape: ask 'on' first.")
        return self.opened

    def layer(
        self,
        x: Tensor,
        shape: float | None = None,
        name: str = "head_pool",
        data_format: str | None = None,
        classes: int | None = None,
    ) -> Tensor:
        """Append it to a Keras graph, as a model in the model; see :meth:`Pooling.layer`."""
        from keras import layers  # noqa: PLC0415  (heavy)

        from headfit.heads.custom.build_child import load_kept  # noqa: PLC0415  (imports Keras)

        self._value(shape)
        order = self._axes(x, data_format)
        if order == "channels_first":
            x = layers.Permute((2, 3, 1), name=f"{name}_channels_last")(x)
        opened = self._facts((x.shape[1], x.shape[2], x.shape[3]))
        return load_kept(opened, name)(x)

    @property
    def fixed_size(self) -> bool:
        """Nothing says that it works at other sizes."""
        return True

    def _facts(self, map_shape: MapShape, seed: int | None = None) -> Opened:
        if self.opened is not None and self.opened.suits(map_shape, seed):
            return self.opened
        height, width, channels = map_shape
        key = (height, width, channels), seed or 0
        if key not in self._known:
            self._known[key] = own_open.open_own(self.origin, *key)
        return self._known[key]

    def _width(self, map_shape: MapShape) -> int:
        return self._facts(map_shape).width

    def _weights(self, map_shape: MapShape, classes: int) -> tuple[Weight, ...]:
        return self._facts(map_shape).arrays

    def _initial(
        self,
        shapes: Sequence[tuple[int, ...]],
        rng: np.random.Generator,
        maps: Vectors | None,
        labels: Labels | None,
    ) -> Sequence[Floats]:
        raise NotImplementedError  # initial, its only caller, knows the start

    def _keras_layer(self, name: str, data_format: str, classes: int) -> Any:
        raise NotImplementedError  # layer, its only caller, loads the model


def is_saved(text: str) -> bool:
    """Tell the path of a saved model, which may hold a comma, from several heads."""
    return Path(text).suffix.lower() == SUFFIX and Path(text).is_file()


def is_own(text: str) -> bool:
    """Tell a head of the user's own from a chain."""
    if Path(text).suffix.lower() == SUFFIX:
        return True
    found = _FUNCTION.fullmatch(text)
    return found is not None and found[1] not in pooling_names()


def find_own(given: str | Callable[..., Any]) -> OwnPooling:
    """Find a head of the user's own, without running any of its code.

    Args:
        given: a text for which :func:`is_own` holds, or a callable.

    Raises:
        UsageError: if there is no such file, module or function.
    """
    if not isinstance(given, str):
        return OwnPooling.of(own_find.of_callable(given))
    if Path(given).suffix.lower() == SUFFIX:
        return OwnPooling.of(own_find.of_file(given))
    return OwnPooling.of(own_find.of_place(given))


def kept_own(name: str, folder: Path) -> OwnPooling:
    """Give a head that was opened before, by the folder in which all of it lies."""
    return OwnPooling.of(Origin(name), Opened.kept(folder))
