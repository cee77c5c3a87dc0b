"""Checks of the last layer: softmax missing or doubled, wrong number of classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headfit.backbones.graphs.trace import Call
from headfit.heads.chain import LAST
from headfit.inspection.inspected_model import InspectedModel, Remark

# layers that may lie between the last layer with weights and the output
_PASSES = ("Activation", "Softmax", "Sigmoid", "Dropout", "Reshape", "Flatten", "Identity")
_CLASSIFIERS = ("Dense", "Conv2D")


@dataclass(frozen=True)
class LastLayer:
    """The last layer of a classifier.

    Attributes:
        layer: the last layer with weights.
        activations: its own and those after it, in order, without ``linear``.
    """

    layer: Call
    activations: tuple[str, ...]

    @property
    def units(self) -> int:
        """Number of outputs."""
        return int(self.layer.output.shape[-1])

    @property
    def is_of_numbers(self) -> bool:
        """Whether headfit made it for numbers, which are not probabilities."""
        return bool(self.layer.layer.name == LAST["linear"])

    @property
    def classes(self) -> int:
        """Number of classes; one sigmoid unit stands for two."""
        return 2 if self.units == 1 else self.units


@dataclass(frozen=True)
class Loss:
    """The loss that the model was compiled with.

    Attributes:
        name: its name in the file.
        kind: ``"categorical"``, ``"binary"`` or ``"other"``.
        from_logits: whether it applies softmax or sigmoid itself.
    """

    name: str
    kind: str
    from_logits: bool


def find_last_layer(subject: InspectedModel) -> LastLayer | None:
    """Find the layer that gives the classes; None if the model ends in features."""
    trace, tensor = subject.trace, subject.trace.output
    activations: list[str] = []
    if not subject.boundary.head:
        return None
    while (number := trace.maker(tensor)) is not None and number in subject.boundary.head:
        call = trace.calls[number]
        activations = _activations(call) + activations
        if call.kind in _CLASSIFIERS:
            return LastLayer(call, tuple(activations))
        if call.kind not in _PASSES or len(call.inputs) != 1:
            return None
        tensor = call.inputs[0]
    return None


def check_last_layer(subject: InspectedModel, classes: int | None) -> Iterator[Remark]:
    """Find a softmax that is missing or doubled, and a wrong number of classes.

    Args:
        subject: the model.
        classes: number of classes in the data; None if unknown.
    """
    last = find_last_layer(subject)
    if last is None:
        return
    loss = _loss(subject.saved.compiled)
    yield from _softmax(last, loss)
    yield from _class_count(last, classes)


def _softmax(last: LastLayer, loss: Loss | None) -> Iterator[Remark]:
    name = f"'{last.layer.layer.name}'"
    count = last.activations.count("softmax")
    squashed = count or "sigmoid" in last.activations[-1:]
    kind = "softmax" if count else "sigmoid"
    if count > 1:
        yield Remark(
            "softmax_doubled",
            f"{count} softmax activations follow one another after {name}: probabilities become "
            f"nearly equal and learn slowly. Keep one.",
        )
    elif squashed and loss and loss.from_logits:
        yield Remark(
            "softmax_doubled",
            f"{name} ends in {kind}, and the loss {loss.name} with from_logits=True applies it "
            f"again. Use from_logits=False, or remove the activation.",
        )
    elif not count and loss and loss.kind == "categorical" and not loss.from_logits:
        ends = last.activations[-1] if last.activations else "no activation"
        yield Remark(
            "softmax_missing",
            f"{name} ends in {ends}, but the loss {loss.name} expects probabilities. Add "
            f"activation='softmax', or use from_logits=True.",
        )
    elif not squashed and loss and loss.kind == "binary" and not loss.from_logits:
        yield Remark(
            "softmax_missing",
            f"{name} has no sigmoid, but the loss {loss.name} expects probabilities. Add "
            f"activation='sigmoid', or use from_logits=True.",
        )
    elif not last.activations and loss is None and last.units > 1 and not last.is_of_numbers:
        yield Remark(
            "softmax_missing",
            f"{name} gives raw scores, and the file has no loss that would apply softmax. Add "
            f"activation='softmax' if the output should be probabilities.",
        )


def _class_count(last: LastLayer, classes: int | None) -> Iterator[Remark]:
    name = f"'{last.layer.layer.name}'"
    if last.units == 1 and "softmax" in last.activations:
        yield Remark(
            "class_count",
            f"{name} has one unit with softmax, which always gives 1. Use sigmoid, or one unit for "
            f"each class.",
        )
    elif classes is not None and classes != last.classes:
        units = "1 unit (two classes)" if last.units == 1 else f"{last.units} units"
        yield Remark(
            "class_count",
            f"{name} has {units}, but there are {classes} classes. Give it {classes} units and "
            f"train it again.",
        )


def _activations(call: Call) -> list[str]:
    if call.kind in {"Softmax", "Sigmoid"}:
        return [call.kind.lower()]
    function = getattr(call.layer, "activation", None)
    name = getattr(function, "__name__", type(function).__name__.lower()) if function else "linear"
    return [] if name == "linear" else [name]


def _loss(compiled: dict[str, Any] | None) -> Loss | None:
    loss: Any = (compiled or {}).get("loss")
    while isinstance(loss, list | dict) and len(loss) == 1:
        loss = next(iter(loss.values() if isinstance(loss, dict) else loss))
    settings: Any = {}
    if isinstance(loss, dict):
        settings = loss.get("config")
        loss = settings if isinstance(settings, str) else loss.get("class_name")
    if not isinstance(loss, str):
        return None
    plain = loss.lower().replace("_", "")
    kinds = ("categorical", "binary")
    kind = next((k for k in kinds if k in plain and "entropy" in plain), "other")
    logits = isinstance(settings, dict) and bool(settings.get("from_logits"))
    return Loss(loss, kind, logits)
