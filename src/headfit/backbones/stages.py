"""The stages of a backbone, and the part of it that fine-tuning trains.

A backbone can be divided at a layer through whose map everything passes: what follows depends on
the image through this map only. A stage is the part of one resolution, and begins where little is
passed on: before the layers that widen the map for its first step. Imports Keras.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from headfit.backbones.construction import no_drawing
from headfit.errors import UsageError
from headfit.heads.pooling import MapShape

PIXELS = ""
LAST, ALL = "last", "all"
_COARSER = 1.5  # how much smaller the side of the next resolution is, at least
_KERNEL_DIMENSIONS = 2


@dataclass(frozen=True)
class Stage:
    """A part of a backbone.

    Attributes:
        start: the layer whose map enters it; empty for the first, which preprocessed pixels enter.
        map_shape: height, width and channels of this map.
        layers: names of its layers, in the order of the graph.
        parameters: number of weights in them.
    """

    start: str
    map_shape: MapShape
    layers: tuple[str, ...]
    parameters: int

    def __str__(self) -> str:
        return self.start or ALL


@dataclass(frozen=True)
class _Step:
    """One call in the graph; ``divides`` if everything later depends on the image through it."""

    name: str
    operation: Any
    shape: tuple[int, ...]
    divides: bool

    @property
    def values(self) -> int:
        return math.prod(self.shape)

    @property
    def has_kernel(self) -> bool:
        weights = getattr(self.operation, "weights", ())
        return any(len(weight.shape) >= _KERNEL_DIMENSIONS for weight in weights)

    @property
    def has_weights(self) -> bool:
        return bool(getattr(self.operation, "weights", ()))


def stages(model: keras.Model) -> list[Stage]:
    """Divide a backbone into stages.

    Args:
        model: from preprocessed images to a feature map, channels last.

    Returns:
        From the pixels to the map.

    Example:

    >>> from headfit.backbones.build import build
    >>> from headfit.backbones.catalog import find
    >>> [stage.start for stage in stages(build(find("VGG16"), 64, "random"))]
    ['', 'block1_pool', 'block2_pool', 'block3_pool', 'block4_pool']
    """
    steps = _steps(model)
    places = [0, *_boundaries(steps)]
    found = []
    for place, end in zip(places, [*places[1:], len(steps) - 1], strict=True):
        operations = {id(step.operation): step.operation for step in steps[place + 1 : end + 1]}
        found.append(
            Stage(
                steps[place].name if place else PIXELS,
                steps[place].shape,  # type: ignore[arg-type]
                tuple(operation.name for operation in operations.values()),
                sum(map(_parameters, operations.values())),
            )
        )
    return found


def starting_at(model: keras.Model, unfreeze: str | int) -> str:
    """Find where training starts.

    Args:
        model: from preprocessed images to a feature map, channels last.
        unfreeze: ``"last"`` for the last stage, the number of last stages, ``"all"``, or the name
            of a layer, after which training starts.

    Returns:
        The name of the layer before the part that is trained; empty for all of it.

    Raises:
        UsageError: if there are fewer stages, no such layer, or a path around it.
    """
    parts = stages(model)
    if unfreeze == ALL:
        return PIXELS
    if unfreeze == LAST:
        unfreeze = 1
    if isinstance(unfreeze, str) and unfreeze.isdecimal():
        unfreeze = int(unfreeze)
    if isinstance(unfreeze, int):
        if 1 <= unfreeze <= len(parts):
            return parts[-unfreeze].start
        expected = f"from 1 to {len(parts)}, the number of stages of {model.name}"
        raise UsageError.invalid("unfreeze", unfreeze, expected, _listed(parts))
    steps = _steps(model)
    matching = [step for step in steps[1:-1] if step.name == unfreeze]
    if matching and matching[0].divides and len(matching) == 1:
        return unfreeze
    if not any(step.name == unfreeze for step in steps):
        reason = "There is no such layer."
    elif unfreeze == steps[-1].name:
        reason = "Nothing follows this layer."
    else:
        reason = "Other paths lead around this layer, or it gives no single map."
    expected = f"'last', 'all', a number of stages, or a layer of {model.name} that divides it"
    raise UsageError.invalid("unfreeze", unfreeze, expected, f"{reason} {_listed(parts)}")


def tail(model: keras.Model, start: str) -> keras.Model:
    """Give the part of a backbone after a layer.

    Args:
        model: from preprocessed images to a feature map.
        start: what :func:`starting_at` returned.

    Returns:
        A model from the map of this layer, or from preprocessed images, to the feature map. Its
        layers are copies with the same names and weights.
    """
    source = model.get_layer(start).output if start else model.inputs[0]
    inputs = keras.Input(source.shape[1:], name="maps" if start else "images")
    values, copies = {id(source): inputs}, dict[int, Any]()
    with no_drawing():
        for node in nodes(model):
            if all(id(tensor) in values for tensor in node.input_tensors):
                operation = copies.get(id(node.operation)) or _copied(node.operation)
                copies[id(node.operation)] = operation
                args, kwargs = node.arguments.fill_in(values)
                results = keras.tree.flatten(operation(*args, **kwargs))
                values |= {id(x): y for x, y in zip(node.outputs, results, strict=True)}
    ending = keras.Model(inputs, values[id(model.outputs[0])], name=model.name)
    for layer in ending.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights() if layer.weights else [])
    return ending


def unfreeze(model: keras.Model) -> None:
    """Make all layers trainable, whatever they were."""
    model.trainable = False  # on TensorFlow nothing happens if the model says so already
    model.trainable = True


def layers_after(model: keras.Model, start: str) -> set[str]:
    """Name the layers that depend on a layer, or all if ``start`` is empty.

    Raises:
        ValueError: if there is no such layer.
    """
    source = model.get_layer(start).output if start else model.inputs[0]
    reached, names = {id(source)}, set()
    for node in nodes(model):
        if any(id(tensor) in reached for tensor in node.input_tensors):
            reached |= {id(tensor) for tensor in node.outputs}
            names.add(node.operation.name)
    return names


def nodes(model: keras.Model) -> Iterator[Any]:
    """Yield the calls of a functional graph, each after those that it depends on."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def _copied(operation: Any) -> Any:
    if isinstance(operation, keras.layers.Layer):
        return type(operation).from_config(operation.get_config())
    return operation


def _steps(model: keras.Model) -> list[_Step]:
    """List the input and then the calls of a graph, with those that divide it."""
    calls = list(nodes(model))
    last_use = {id(tensor): len(calls) for tensor in model.outputs}
    for place, node in enumerate(calls):
        for tensor in node.input_tensors:
            last_use[id(tensor)] = max(last_use.get(id(tensor), 0), place)
    source = model.inputs[0]
    found = [_Step(PIXELS, None, tuple(source.shape[1:]), True)]
    live = {id(source)}
    for place, node in enumerate(calls):
        outputs = {id(tensor) for tensor in node.outputs}
        live = {tensor for tensor in live | outputs if last_use.get(tensor, -1) > place}
        shape = tuple(node.outputs[0].shape[1:])
        divides = live == outputs and len(outputs) == 1 and len(shape) == 3 and None not in shape
        divides &= isinstance(node.operation, keras.layers.Layer)  # others have no lasting name
        found.append(_Step(node.operation.name, node.operation, shape, divides))
    return found


def _boundaries(steps: list[_Step]) -> list[int]:
    """Find the last step before each stage but the first."""
    dividing = [place for place, step in enumerate(steps) if step.divides]
    dividing = [place for place in dividing if not _pads(steps[place])]
    found: list[int] = []
    resolution = steps[0].shape[0]
    for before, place in itertools.pairwise(dividing):
        if steps[place].shape[0] * _COARSER > resolution:
            continue
        resolution = steps[place].shape[0]
        boundary = _narrowest(steps, dividing, before, found[-1] if found else 0)
        if boundary and any(step.has_weights for step in steps[boundary + 1 :]):
            found.append(boundary)
    return found


def _narrowest(steps: list[_Step], dividing: list[int], before: int, previous: int) -> int:
    """Find where fewest values pass, around a change of resolution; 0 for nowhere.

    Args:
        steps: of the graph.
        dividing: places of those that divide it.
        before: the last of these at the former resolution.
        previous: where the stage begins that could end here.
    """
    candidates = []
    for place in dividing:
        kernels = sum(step.has_kernel for step in steps[place + 1 : before + 1])
        own = any(step.has_kernel for step in steps[previous + 1 : place + 1])
        follows = place > before and not any(s.has_weights for s in steps[before + 1 : place + 1])
        # back to before the layer that widens the map, on to after a pooling
        if own and (follows or (place <= before and kernels <= 1)):
            candidates.append(place)
    return min(candidates, key=lambda place: (steps[place].values, -place), default=0)


def _pads(step: _Step) -> bool:
    return isinstance(step.operation, keras.layers.ZeroPadding2D | keras.layers.Cropping2D)


def _parameters(operation: Any) -> int:
    return sum(math.prod(weight.shape) for weight in getattr(operation, "weights", ()))


def _listed(parts: list[Stage]) -> str:
    starts = ", ".join(stage.start for stage in parts[1:])
    return f"The stages after the first start at {starts}." if starts else "There is one stage."
