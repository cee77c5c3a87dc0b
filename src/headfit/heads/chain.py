"""A head and its text form, a chain such as ``gap-1024-dropout0.5-512:gelu``.

    head   = chain | custom
    chain  = preset | pooling ("-" step)*
    step   = units [":" activation]  |  "dropout" rate  |  "bn"

The softmax layer over the classes is implied; the default activation is ReLU.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import headfit.heads.layers  # noqa: F401  (registers the poolings)
from headfit.errors import UnknownNameError, UsageError
from headfit.heads.body import ACTIVATIONS, BATCH_NORM_EPSILON, BatchNorm, Dense, Dropout, Step
from headfit.heads.custom.pooling import find_custom, is_custom, is_file
from headfit.heads.pooling import MapShape, Pooling, find_pooling, pooling_names
from headfit.heads.presets import PRESETS
from headfit.heads.trained import TrainedPooling

MAX_UNITS = 65536
POOL, SOFTMAX = "head_pool", "head_softmax"
LAST = {name: f"head_{name}" for name in ("softmax", "sigmoid", "linear")}
"""By its activation, what the last layer of a model is called."""
Tensor = Any
"""A Keras tensor; Keras carries no types."""
_DENSE = re.compile(r"([0-9]{1,9})(?::([a-z_]+))?")
_DROPOUT = re.compile(r"dropout([0-9]+\.?[0-9]*|\.[0-9]+)")


@dataclass(frozen=True)
class Head:
    """A pooling, the layers that follow it, and a softmax layer over the classes.

    Attributes:
        pooling: what turns the map into a vector.
        body: the layers between the vector and the softmax layer.

    Raises:
        UsageError: if layers follow a readout, a pooling whose output is one logit for each class.

    Example:

    >>> head = parse_head("gap-1024:gelu-dropout0.5")
    >>> head.linear, head.position_aware
    (False, False)
    >>> head.parameters((7, 7, 512), classes=10)
    535562
    """

    pooling: Pooling
    body: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if self.readout and self.body:
            raise UsageError(
                f"Head '{self.name}': no layer can follow '{self.pooling.name}', whose output is "
                f"one number for each class. Use '{self.pooling.name}' alone."
            )

    @property
    def name(self) -> str:
        """The canonical chain, which ``parse_head`` reads back."""
        return "-".join([self.pooling.name, *map(str, self.body)])

    def __str__(self) -> str:
        return self.name

    @property
    def linear(self) -> bool:
        """Whether only the softmax layer is trained: a convex problem, which is solved exactly."""
        return not self.body and self.trained is None

    @property
    def trained(self) -> TrainedPooling | None:
        """The pooling if it has weights, which are trained with the rest; None otherwise."""
        return self.pooling if isinstance(self.pooling, TrainedPooling) else None

    @property
    def readout(self) -> bool:
        """Whether the pooling gives the logits without their bias."""
        return self.trained is not None and self.trained.readout

    @property
    def hidden(self) -> bool:
        """Whether there are matrices before the softmax layer."""
        if self.trained is not None and self.trained.hidden:
            return True
        return any(isinstance(step, Dense) for step in self.body)

    @property
    def identity(self) -> str | list[str]:
        """What distinguishes its fits from those of other heads, JSON data; mostly its name."""
        if self.trained is None or self.trained.identity == self.trained.name:
            return self.name
        return [self.name, *self.trained.identity]

    def on(self, map_shape: MapShape, seed: int) -> Head:
        """Give this head prepared for maps of one shape: a custom head is compiled for it.

        Args:
            map_shape: height, width and channels of the feature map.
            seed: of the initial weights.

        Raises:
            UsageError: if a custom head fails on such maps.
        """
        pooling = self.pooling if self.trained is None else self.trained.on(map_shape, seed)
        return self if pooling is self.pooling else replace(self, pooling=pooling)

    @property
    def position_aware(self) -> bool:
        """Whether the output depends on where in the map a feature is."""
        return self.pooling.position_aware

    @property
    def layers(self) -> dict[str, Step]:
        """The layers of the body by name: ``head_dense_1``, ``head_bn_1``, ``head_dropout_1``, …"""
        numbers: Counter[str] = Counter()
        named: dict[str, Step] = {}
        for step in self.body:
            numbers[step.kind] += 1
            named[f"head_{step.kind}_{numbers[step.kind]}"] = step
        return named

    @property
    def variables(self) -> dict[str, tuple[str, ...]]:
        """Names of the arrays of each layer, both in the order of the weights.

        The shape parameter of a pooling is not among them: it is set when the layer is made.

        Example:

        >>> parse_head("gap-64").variables
        {'head_dense_1': ('kernel', 'bias'), 'head_softmax': ('kernel', 'bias')}
        """
        pooling = {POOL: self.trained.variables} if self.trained else {}
        body = {name: step.variables for name, step in self.layers.items() if step.variables}
        return pooling | body | {SOFTMAX: ("bias",) if self.readout else Dense.variables}

    def name_weights(self, weights: Iterable[Any]) -> dict[str, Any]:
        """Give the arrays of a fit by their names, ``layer/variable`` as in a saved model.

        Args:
            weights: the arrays of each layer in turn.

        Raises:
            ValueError: if their number is wrong.
        """
        names = [f"{layer}/{each}" for layer, own in self.variables.items() for each in own]
        arrays = list(weights)
        if len(arrays) != len(names):
            raise ValueError(
                f"Head '{self.name}' has {len(names)} arrays. Received: {len(arrays)}."
            )
        return dict(zip(names, arrays, strict=True))

    def parameters(self, map_shape: MapShape, classes: int, bias: bool = True) -> int:
        """Count the trainable parameters, as Keras does.

        For batch normalisation these are γ and β; mean and variance are not trained.

        Args:
            map_shape: height, width and channels of the feature map.
            classes: number of outputs, at least 1.
            bias: False leaves out the bias of the softmax layer.

        Raises:
            UsageError: if the map or the number of classes does not suit the head.
        """
        _check_classes(classes)
        total = self.pooling.parameters(map_shape, classes)
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
        activation: str = "softmax",
    ) -> Tensor:
        """Append the head to a Keras graph.

        The layers are called ``head_pool``, ``head_dense_1``, …, ``head_softmax``.

        Args:
            x: Keras tensor, the feature map.
            classes: K, the number of outputs, at least 1.
            shape: initial value of the pooling's shape parameter; its default if None.
            data_format: order of the axes of ``x``; Keras' setting if None.
            scale: factor of the maps, in a layer ``head_scale`` unless it is 1.
            activation: of the last layer, which is called after it: ``"softmax"`` for classes,
                ``"sigmoid"`` for several labels, ``"linear"`` for numbers.

        Returns:
            Keras tensor (batch, K), probabilities or numbers, float32 under mixed precision too.

        Raises:
            UsageError: if the map, the classes or the shape parameter does not suit the head.

        Example:

        >>> import keras
        >>> maps = keras.Input((7, 7, 512))
        >>> model = keras.Model(maps, parse_head("gap-64").build(maps, classes=10))
        """
        from keras import layers  # noqa: PLC0415  (heavy)

        from headfit.heads.keras_layers.registry import append_pooling  # noqa: PLC0415
        from headfit.heads.keras_layers.trained import (  # noqa: PLC0415  (imports Keras)
            BiasedActivation,
            BiasedSoftmax,
        )

        _check_classes(classes)
        if scale != 1.0:
            x = layers.Rescaling(scale, name="head_scale")(x)
        x = append_pooling(
            self.pooling, x, shape, name=POOL, data_format=data_format, classes=classes
        )
        for name, step in self.layers.items():
            if isinstance(step, Dense):
                layer = layers.Dense(step.units, step.activation, name=name)
            elif isinstance(step, BatchNorm):
                layer = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=name)
            else:
                layer = layers.Dropout(step.rate, name=name)
            x = layer(x)
        # half precision would round the probabilities of many classes to 0
        last = {"dtype": "float32", "name": LAST[activation]}
        if not self.readout:
            return layers.Dense(classes, activation, **last)(x)
        if activation == "softmax":
            return BiasedSoftmax(**last)(x)
        return BiasedActivation(activation, **last)(x)


def parse_head(text: str | Callable[..., Any]) -> Head:
    """Parse a chain, the name of a preset, or a custom head.

    Args:
        text: for example ``"gap-1024:gelu-dropout0.5"``, ignoring case and surrounding spaces; for
            custom heads see :mod:`headfit.heads.custom.pooling`.

    Raises:
        UnknownNameError: if it starts with an unknown pooling.
        UsageError: if a step is invalid, or a custom head does not exist.

    Example:

    >>> parse_head("GAP-512:relu").name
    'gap-512'
    """
    if not isinstance(text, str):
        return Head(find_custom(text))
    if is_custom(text.strip()):
        return Head(find_custom(text.strip()))
    chain = text.strip().lower()
    first, *steps = PRESETS.get(chain, chain).split("-")
    if first not in pooling_names():
        raise UnknownNameError("head", first, [*pooling_names(), *PRESETS])
    return Head(find_pooling(first), parse_body(steps, chain))


def parse_body(steps: Iterable[str], chain: str) -> tuple[Step, ...]:
    """Parse what follows the pooling.

    Args:
        steps: the parts of the chain after the pooling.
        chain: the whole chain, for messages.

    Raises:
        UsageError: if a step is invalid.
    """
    return tuple(_parse_step(step, chain) for step in steps)


def parse_heads(text: str | Callable[..., Any] | Iterable[str | Callable[..., Any]]) -> list[Head]:
    """Parse several heads: chains, separated by commas or in several strings, and callables.

    Repeated heads, in whatever spelling, are listed once.

    Raises:
        UsageError: if there is none, one is invalid, or two different ones have the same name.

    Example:

    >>> [head.name for head in parse_heads("gap, flatten-256:relu, GAP")]
    ['gap', 'flatten-256']
    """
    items = [text] if isinstance(text, str) or callable(text) else text
    parts = [part for item in items for part in _split(item)]
    if not parts:
        raise UsageError("`heads` must name at least one head, for example 'gap,flatten'.")
    heads = list(dict.fromkeys(map(parse_head, parts)))
    names = [head.name for head in heads]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(
            f"Two different heads are called '{twice[0]}'. Rename the function of one of them."
        )
    return heads


def _split(item: str | Callable[..., Any]) -> list[str | Callable[..., Any]]:
    if not isinstance(item, str) or is_file(item):  # a path may contain a comma
        return [item]
    return [part for part in item.split(",") if part.strip()]


def _parse_step(step: str, chain: str) -> Step:
    if step == BatchNorm.kind:
        return BatchNorm()
    if (match := _DROPOUT.fullmatch(step)) and (rate := float(match[1])) < 1:
        return Dropout(rate)
    if match := _DENSE.fullmatch(step):
        units, activation = int(match[1]), match[2] or "relu"
        if 1 <= units <= MAX_UNITS and activation in ACTIVATIONS:
            return Dense(units, activation)
    raise UsageError(
        f"Head '{chain}': step '{step}' is invalid. A step is <units>[:activation] with 1 to "
        f"{MAX_UNITS} units and one of {', '.join(ACTIVATIONS)}; or dropout<rate> with "
        f"0 <= rate < 1; or bn. For example 'gap-dropout0.5-512:gelu'."
    )


def _check_classes(classes: int) -> None:
    if classes < 1:
        raise UsageError.invalid("classes", classes, "an integer of at least 1")
