"""Where the backbone ends and the head begins: the last spatial map before pooling or flatten."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headfit.backbones.graphs.trace import Call, Tensor, Trace
from headfit.errors import ModelFileError

GLOBAL_POOLING = ("GlobalAveragePooling2D", "GlobalMaxPooling2D", "AdaptiveAveragePooling2D")
# of a token for the class, and another for distillation (DeiT)
SPECIAL_TOKENS = (0, 1, 2)
LEAST_SIDE = 2  # of a grid of tokens
_PLAIN = ("Reshape", "TimeDistributed")


@dataclass(frozen=True)
class Boundary:
    """The cut through a model.

    Attributes:
        map: the tensor of the feature map, (batch, H, W, C), or of tokens, (batch, T, C).
        head: numbers of the calls behind it, in the order of the trace.
        special: how many tokens stand before those of the positions.
    """

    map: Tensor
    head: tuple[int, ...]
    special: int = 0

    @property
    def tokens(self) -> bool:
        """Whether the map is a sequence of tokens, row by row."""
        return len(self.map.shape) == 3

    @property
    def map_shape(self) -> tuple[int | None, int | None, int | None]:
        """Height, width and channels."""
        if self.tokens:
            _, length, channels = self.map.shape
            side = math.isqrt(length - self.special)
            return side, side, channels
        _, height, width, channels = self.map.shape
        return height, width, channels


def find_boundary(trace: Trace) -> Boundary:
    """Walk back from the output to the tensor of rank 4 that all of it is made from.

    A tensor of 1×1 positions is not the map if it was pooled from a larger one. Tokens that stand
    for a square grid of positions are one too.

    Raises:
        ModelFileError: if there is none, or several.
    """
    maps: dict[int, Tensor] = {}
    head: set[int] = set()
    seen: set[int] = set()
    no_grid: list[Tensor] = []
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
        if _are_tokens(trace, tensor):
            if _special(trace, tensor) is not None:
                maps[id(tensor)] = tensor
                continue
            no_grid.append(tensor)
        number = trace.maker(tensor)
        if number is not None:
            head.add(number)
            waiting += trace.calls[number].inputs
    if len(maps) != 1:
        what = "no spatial feature map" if not maps else f"{len(maps)} feature maps"
        raise ModelFileError(f"{what} before its head; expected one, (batch, height, width, C)")
    end = next(iter(maps.values()))
    special = (_special(trace, end) or 0) if len(end.shape) == 3 else 0
    boundary = Boundary(end, tuple(sorted(head)), special)
    _check_no_more(trace, boundary, no_grid)
    return boundary


def special_tokens(length: int, registers: int = 0) -> int | None:
    """Give how many of so many tokens stand before a square grid of the others.

    Args:
        length: T, of all tokens.
        registers: how many the model says to have besides that of the class.

    Returns:
        The number; None if the others are no square of at least 2 × 2.
    """
    for count in (registers + 1, registers) if registers else SPECIAL_TOKENS:
        side = math.isqrt(max(length - count, 0))
        if side >= LEAST_SIDE and side * side == length - count:
            return count
    return None


def _check_no_more(trace: Trace, end: Boundary, no_grid: list[Tensor]) -> None:
    """Refuse a map behind which there are more tokens than it has positions.

    Then the map is of the patches that go into a transformer, and not what comes out.
    """
    positions = math.prod(length or 0 for length in end.map_shape[:2])
    for tokens in no_grid:
        if trace.maker(end.map) is None or tokens.shape[1] > positions:
            raise ModelFileError(
                f"its {tokens.shape[1]} tokens are no square of positions, with up to "
                f"{SPECIAL_TOKENS[-1]} for the class in front of them"
            )


def _are_tokens(trace: Trace, tensor: Tensor) -> bool:
    """Whether a tensor is a sequence of tokens, (batch, T, C), T known."""
    sequence = len(tensor.shape) == 3 and tensor.shape[1] is not None
    return sequence and _of_positions(trace, tensor)


def _special(trace: Trace, tensor: Tensor) -> int | None:
    """Give the number of special tokens; None if the others are no grid."""
    layers = [call.layer for call in trace.calls]
    registers = max((int(getattr(x, "num_register_tokens", 0) or 0) for x in layers), default=0)
    return special_tokens(tensor.shape[1], registers)


def _of_positions(trace: Trace, tensor: Tensor) -> bool:
    """Whether the second axis can stand for positions: a way back to the image never leaves them.

    Rows of a map for a recurrent layer, or a vector that was folded, are no tokens.
    """
    waiting, seen = [trace.resolve(tensor)], set()
    while waiting:
        at = waiting.pop()
        number = trace.maker(at)
        if number is None:
            return True
        if id(at) in seen:
            continue
        seen.add(id(at))
        call = trace.calls[number]
        for before in map(trace.resolve, call.inputs):
            rank = len(before.shape)
            if rank == 4 and len(at.shape) == 3 and call.kind in _PLAIN:
                positions = before.shape[1] * before.shape[2] if None not in before.shape[1:] else 0
                if at.shape[1] != positions:
                    continue
            if rank >= 3:
                waiting.append(before)
    return False


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
