"""Where the backbone ends and the head begins: the last spatial map before pooling or flatten."""

from __future__ import annotations

from dataclasses import dataclass

from headfit.backbones.trace import Call, Tensor, Trace
from headfit.errors import ModelFileError

GLOBAL_POOLING = ("GlobalAveragePooling2D", "GlobalMaxPooling2D", "AdaptiveAveragePooling2D")


@dataclass(frozen=True)
class Boundary:
    """The cut through a model.

    Attributes:
        map: the tensor of the feature map, (batch, H, W, C).
        head: numbers of the calls behind it, in the order of the trace.
    """

    map: Tensor
    head: tuple[int, ...]

    @property
    def map_shape(self) -> tuple[int | None, int | None, int | None]:
        """Height, width and channels."""
        _, height, width, channels = self.map.shape
        return height, width, channels


def find_boundary(trace: Trace) -> Boundary:
    """Walk back from the output to the tensor of rank 4 that all of it is made from.

    A tensor of 1×1 positions is not the map if it was pooled from a larger one.

    Raises:
        ModelFileError: if there is none, or several.
    """
    maps: dict[int, Tensor] = {}
    head: set[int] = set()
    seen: set[int] = set()
    waiting = [trace.output]
    while waiting:
        tensor = trace.resolve(waiting.pop())
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if len(tensor.shape) == 4:
            tensor, behind = _before_pooling(trace, tensor)
            maps[id(tensor)] = tensor
            head |= behind
            continue
        number = trace.maker(tensor)
        if number is not None:
            head.add(number)
            waiting += trace.calls[number].inputs
    if len(maps) != 1:
        found = "no spatial feature map" if not maps else f"{len(maps)} feature maps"
        raise ModelFileError(f"{found} before its head; expected one, (batch, height, width, C)")
    return Boundary(next(iter(maps.values())), tuple(sorted(head)))


def _before_pooling(trace: Trace, tensor: Tensor) -> tuple[Tensor, set[int]]:
    """Step back over a pooling that kept the axes (1×1), and what follows it."""
    behind: set[int] = set()
    at = tensor
    while tuple(at.shape[1:3]) == (1, 1) and not trace.ends_nested(at):
        number = trace.maker(at)
        if number is None:
            break
        call = trace.calls[number]
        behind.add(number)
        if _pools_to_one(call):
            return trace.resolve(call.inputs[0]), behind
        spatial = [t for t in call.inputs if len(t.shape) == 4]
        if len(spatial) != 1:
            break
        at = trace.resolve(spatial[0])
    return tensor, set()


def _pools_to_one(call: Call) -> bool:
    shape = call.inputs[0].shape
    larger = len(shape) == 4 and tuple(shape[1:3]) != (1, 1)
    return call.kind in GLOBAL_POOLING or (call.kind == "AveragePooling2D" and larger)
