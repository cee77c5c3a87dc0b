"""The numbers of a diagram: a feature map, what each head makes of it, and what that costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from headfit.errors import UsageError
from headfit.heads.chain import parse_head
from headfit.heads.pooling import MapShape
from headfit.util.nouns import counted

MAX_SIDE = 4096
MAX_CHANNELS = 1_000_000
MAX_CLASSES = 1_000_000


@dataclass(frozen=True)
class Side:
    """One of the two heads on a feature map.

    Attributes:
        features: length of the vector that it makes of the map.
        parameters: number of weights of its last layer, biases included.
    """

    features: int
    parameters: int


@dataclass(frozen=True)
class Counts:
    """The numbers of a diagram.

    Attributes:
        map_shape: (H, W, C).
        classes: K.
        flatten: the head ``flatten``.
        gap: the head ``gap``.
        kind: ``"class"``; ``"labels"`` or ``"number"`` where ``classes`` counts these.
    """

    map_shape: MapShape
    classes: int
    flatten: Side
    gap: Side
    kind: str = "class"

    @property
    def outputs(self) -> str:
        """What is predicted: ``10 classes``, ``3 labels``, ``1 number``."""
        return counted(self.classes, *_NOUNS[self.kind])

    @property
    def layer(self) -> str:
        """The last layer of both heads, in words."""
        return f"{_LAYERS[self.kind]} {self.outputs}"

    @property
    def positions(self) -> int:
        """H·W, which is also how many times as long Flatten's vector is."""
        return self.map_shape[0] * self.map_shape[1]

    @property
    def ratio(self) -> float:
        """How many times as many parameters Flatten's head has."""
        return self.flatten.parameters / self.gap.parameters

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        shown = {**asdict(self), "map_shape": list(self.map_shape), "ratio": self.ratio}
        if self.kind == "class":
            del shown["kind"]
        return shown


_NOUNS = {"class": ("class", "classes"), "labels": ("label",), "number": ("number",)}
_LAYERS = {
    "class": "Softmax layer over",
    "labels": "Sigmoid layer over",
    "number": "Linear layer for",
}


def count(map_shape: MapShape, classes: int, kind: str = "class") -> Counts:
    """Count what both heads make of a map.

    Args:
        map_shape: height, width and channels of the feature map.
        classes: K, of labels or numbers too.
        kind: ``"class"``, ``"labels"`` or ``"number"``.

    Raises:
        UsageError: a side, the channels or the classes are out of range.
    """
    height, width, channels = map_shape
    if min(height, width) < 1 or max(height, width) > MAX_SIDE:
        raise UsageError.invalid("map_shape", map_shape, f"1 to {MAX_SIDE:,} positions a side")
    if not 1 <= channels <= MAX_CHANNELS:
        raise UsageError.invalid("map_shape", map_shape, f"1 to {MAX_CHANNELS:,} channels")
    least = 2 if kind == "class" else 1
    if not least <= classes <= MAX_CLASSES:
        raise UsageError.invalid("classes", classes, f"from {least} to {MAX_CLASSES:,}")
    sides = {}
    for name in ("flatten", "gap"):
        head = parse_head(name)
        features = head.pooling.width(map_shape)
        sides[name] = Side(features, head.parameters(map_shape, classes))
    return Counts(map_shape, classes, **sides, kind=kind)
