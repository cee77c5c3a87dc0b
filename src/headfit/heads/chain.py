"""A head written as a chain, ``gap-1024-dropout0.5-512:gelu``, and the head that it stands for.

    head   = chain | own
    chain  = preset | pooling ("-" step)*
    step   = units [":" activation]  |  "dropout" rate  |  "bn"

The softmax layer over the classes is implied; a layer is ReLU unless said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import headfit.heads.layers  # noqa: F401  (registers the poolings)
from headfit.errors import UnknownNameError, UsageError
from headfit.heads.body import (
    ACTIVATIONS,
    BATCH_NORM_EPSILON,
    BatchNorm,
    Dense,
    Dropout,
    Step,
)
from headfit.heads.custom.pooling import find_own, is_own, is_saved
from headfit.heads.pooling import MapShape, Pooling, Tensor, find_pooling, pooling_names
from headfit.heads.presets import PRESETS
from headfit.heads.trained import TrainedPooling

MAX_UNITS = 65536
_KINDS = {Dense: "dense", BatchNorm: "bn", Dropout: "dropout"}
_DENSE = re.compile(r"([0-9]{1,9})(?::([a-z_]+))?")
_DROPOUT = re.compile(r"dropout([0-9]+\.?[0-9]*|\.[0-9]+)")


@dataclass(frozen=True)
class Head:
    """A pooling, what follows it, and a softmax layer over the classes.

    Attributes:
        pooling: what turns the map into a vector.
        body: the layers between the vector and the softmax layer.

    Raises:
        UsageError: if layers follow a pooling whose output already is one logit for each class.
    """

    pooling: Pooling
    body: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if self.readout and self.body:
            raise UsageError(
                f"Head '{self.name}': '{self.pooling.name}' gives one number for each class, and "
                f"no layer can follow it. Use '{self.pooling.name}' alone."
            )

    @property
    def name(self) -> str:
        """The canonical spelling, which ``parse_head`` reads back."""
        return "-".join([self.pooling.name, *map(_spell, self.body)])

    def __str__(self) -> str:
        return self.name

    @property
    def linear(self) -> bool:
        """Whether only the softmax layer is trained, so that its fit is convex, solved exactly."""
        return not self.body and self.trained is None

    @property
    def trained(self) -> TrainedPooling | None:
        """The pooling if it has weights of its own, which are trained with the rest."""
        return self.pooling if isinstance(self.pooling, TrainedPooling) else None

    @property
    def readout(self) -> bool:
        """Whether the pooling gives the logits but for their bias."""
        return self.trained is not None and self.trained.readout

    @property
    def hidden(self) -> bool:
        """Whether layers with matrices come before the softmax layer."""
        if self.trained is not None and self.trained.hidden:
            return True
        return any(isinstance(step, Dense) for step in self.body)

    @property
    def identity(self) -> str | list[str]:
        """What tells its fits from those of other heads, plain data: most often its name."""
        if self.trained is None or self.trained.identity == self.trained.name:
            return self.name
        return [self.name, *self.trained.identity]

    def on(self, map_shape: MapShape, seed: int) -> Head:
        """Give the same for maps of one shape, which a head of the user's own is opened for.

        Args:
            map_shape: height, width and channels of the feature map.
            seed: of the weights that its training starts from.

        Raises:
            UsageError: if a head of the user's own fails on such maps.
        """
        pooling = self.pooling if self.trained is None else self.trained.on(map_shape, seed)
        return self if pooling is self.pooling else replace(self, pooling=pooling)

    @property
    def position_aware(self) -> bool:
        """Whether the head can tell where in the map a feature lies."""
        return self.pooling.position_aware

    def parameters(self, map_shape: MapShape, classes: int, bias: bool = True) -> int:
        """Count the trainable numbers, as Keras does.

        Of a batch normalisation these are γ and β; its mean and variance are not trained.

        Args:
            map_shape: height, width and channels of the feature map.
            classes: at least 2.
            bias: False leaves out the bias of the softmax layer only.

        Raises:
            UsageError: if the map or the number of classes does not suit the head.
        """
        _check_classes(classes)
        if self.trained is None:
            total = self.pooling.own_parameters(map_shape)
        else:
            total = self.trained.own_parameters(map_shape, classes)
        width = self.pooling.width(map_shape)
        for step in self.body:
            if isinstance(step, Dense):
                total, width = total + (width + 1) * step.units, step.units
            elif isinstance(step, BatchNorm):
                total += 2 * width
        return total + (width + bias) * classes

    def build(
        self,
        x: Tensor,
        classes: int,
        shape: float | None = None,
        data_format: str | None = None,
        scale: float = 1.0,
    ) -> Tensor:
        """Append the head to a Keras graph.

        Layers are called ``head_pool``, ``head_dense_1``, ``head_bn_1``, ``head_dropout_1``, …,
        ``head_softmax``.

        Args:
            x: Keras tensor, the feature map.
            classes: K, at least 2.
            shape: what the pooling's shape parameter starts from; its default if None.
            data_format: order of the axes of ``x``; Keras' setting if None.
            scale: what the maps are multiplied by, in a layer ``head_scale`` unless it is 1.

        Returns:
            Keras tensor (batch, K), the probabilities, float32 under mixed precision too.

        Raises:
            UsageError: if the map, the classes or the shape parameter does not suit the head.
        """
        from keras import layers  # noqa: PLC0415  (heavy)

        _check_classes(classes)
        if scale != 1.0:
            x = layers.Rescaling(scale, name="head_scale")(x)
        if self.trained is None:
            x = self.pooling.layer(x, shape, "head_pool", data_format)
        else:
            x = self.trained.layer(x, shape, "head_pool", data_format, classes)
        numbers: Counter[str] = Counter()
        for step in self.body:
            kind = _KINDS[type(step)]
            numbers[kind] += 1
            name = f"head_{kind}_{numbers[kind]}"
            if isinstance(step, Dense):
                layer = layers.Dense(step.units, step.activation, name=name)
            elif isinstance(step, BatchNorm):
                layer = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=name)
            else:
                layer = layers.Dropout(step.rate, name=name)
            x = layer(x)
        # Half precision would round the probabilities of many classes to nothing.
        if self.readout:
            from headfit.heads.keras_layers.biased_softmax import BiasedSoftmax  # noqa: PLC0415

            return BiasedSoftmax(dtype="float32", name="head_softmax")(x)
        return layers.Dense(classes, "softmax", dtype="float32", name="head_softmax")(x)


def parse_head(text: str | Callable[..., Any]) -> Head:
    """Read a chain, the name of a preset, or a head of the user's own.

    Args:
        text: for instance ``"gap-1024:gelu-dropout0.5"``; case and outer blanks do not matter. Or
            see :mod:`headfit.heads.custom.pooling`.

    Raises:
        UnknownNameError: if it starts with no pooling that exists.
        UsageError: if a step cannot be read, or a head of the user's own is not there.
    """
    if not isinstance(text, str):
        return Head(find_own(text))
    if is_own(text.strip()):
        return Head(find_own(text.strip()))
    chain = text.strip().lower()
    first, *steps = PRESETS.get(chain, chain).split("-")
    if first not in pooling_names():
        raise UnknownNameError("head", first, [*pooling_names(), *PRESETS])
    return Head(find_pooling(first), tuple(_parse_step(step, chain) for step in steps))


def parse_heads(
    text: str | Callable[..., Any] | Iterable[str | Callable[..., Any]],
) -> list[Head]:
    """Read several heads: chains, separated by commas or in several strings; callables.

    A head that is there twice, in whatever spelling, is kept where it comes first.

    Raises:
        UsageError: if there is none, one cannot be read, or two are called the same.
    """
    given = [text] if isinstance(text, str) or callable(text) else text
    parts = [part for item in given for part in _split(item)]
    if not parts:
        raise UsageError("No head is named. Expected at least one, for example 'gap,flatten'.")
    heads = list(dict.fromkeys(map(parse_head, parts)))
    names = [head.name for head in heads]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"Two different heads are called '{twice[0]}'. Rename one's function.")
    return heads


def _split(item: str | Callable[..., Any]) -> list[str | Callable[..., Any]]:
    if not isinstance(item, str) or is_saved(item):  # a path may hold a comma
        return [item]
    return [part for part in item.split(",") if part.strip()]


def _parse_step(step: str, chain: str) -> Step:
    if step == _KINDS[BatchNorm]:
        return BatchNorm()
    if (found := _DROPOUT.fullmatch(step)) and (rate := float(found[1])) < 1:
        return Dropout(rate)
    if found := _DENSE.fullmatch(step):
        units, activation = int(found[1]), found[2] or "relu"
        if 1 <= units <= MAX_UNITS and activation in ACTIVATIONS:
            return Dense(units, activation)
    raise UsageError(
        f"Head '{chain}': step '{step}' is neither a layer, <units>[:activation] with 1 to "
        f"{MAX_UNITS} units and one of {', '.join(ACTIVATIONS)}, nor dropout<rate> with "
        f"0 <= rate < 1, nor bn. For example 'gap-dropout0.5-512:gelu'."
    )


def _spell(step: Step) -> str:
    if isinstance(step, BatchNorm):
        return _KINDS[BatchNorm]
    if isinstance(step, Dropout):
        return "dropout" + np.format_float_positional(step.rate, trim="-")
    return str(step.units) if step.activation == "relu" else f"{step.units}:{step.activation}"


def _check_classes(classes: int) -> None:
    if classes < 2:
        raise UsageError(f"A head needs at least 2 classes, got {classes}.")
