"""Inspect a backbone or a saved model: what it is made of, and what other heads would cost.

The network is built or loaded in a child process. Nothing is downloaded and nothing is stored.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.backbones.catalog import find_named
from headfit.errors import EngineError, ModelFileError, UsageError
from headfit.heads.chain import Head, parse_head
from headfit.heads.pooling import MapShape
from headfit.inspection.inspection import Inspection
from headfit.util import child, not_a_model

PUBLISHED_CLASSES = 1000
ALTERNATIVES = (
    *("gap", "gmp", "avgmax", "gem", "spp", "flatten", "gap-1024-1024-512", "flatten-4096-4096"),
)
_SUFFIXES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True)
class BackboneInspection(child.Request):
    """Describe a backbone under a head.

    Attributes:
        name: of the backbone.
        size: side of the square input in pixels.
        head: a chain, or ``"own"`` for the top that it was published with.
        classes: K.
    """

    function = "headfit.inspection.describe_child:describe_backbone"
    name: str
    size: int
    head: str
    classes: int


@dataclass(frozen=True)
class FileInspection(child.Request):
    """Describe a saved model, and find its mistakes.

    Attributes:
        path: a ``.keras`` or ``.h5`` file.
        size: side of the input in pixels where the model leaves it open; 224 if None.
        classes: how many classes the data have; None if unknown.
    """

    function = "headfit.inspection.describe_child:describe_file"
    opens = "path"
    path: str
    size: int | None = None
    classes: int | None = None


def inspect(
    model: str | os.PathLike[str],
    *,
    size: int | None = None,
    classes: int | None = None,
    head: str | None = None,
) -> Inspection:
    """Take a backbone or a saved model apart, and count what other heads would need.

    Args:
        model: name of a backbone, or a ``.keras`` or ``.h5`` file.
        size: side of the square input in pixels; the network's own if None.
        classes: number of classes; that of the model if None, or 1,000 for a backbone by name and
            for a file without a classification layer.
        head: a chain to compare with instead of the usual alternatives; a backbone by name is then
            shown with it instead of the top that it was published with.

    Returns:
        The properties of the model; ``to_dict()`` gives the JSON of docs/inspect.md.

    Raises:
        UnknownNameError: if there is no such backbone or head.
        UsageError: if a number is out of range, or the file does not exist.
        ModelFileError: if the file is not a model that can be taken apart.
        EngineError: if Keras cannot build the network.

    Example:

    ```python
    hf.inspect("VGG16", size=300, classes=10).parameters
    ```
    """
    for name, value, least in (("classes", classes, 2), ("size", size, 1)):
        if value is not None and value < least:
            raise UsageError.invalid(name, value, f"an integer of at least {least}")
    chosen = parse_head(head) if head is not None else None
    if _is_file(model):
        facts = _of_file(FileInspection(os.fspath(model), size, classes))
    else:
        facts = _of_name(str(model), size, classes, chosen)
    return _inspection(os.fspath(model), facts, classes, chosen)


def _of_file(request: FileInspection) -> dict[str, Any]:
    try:
        return _call(request)
    except EngineError as error:
        path = f"'{request.path}'"
        text = str(error)
        raise ModelFileError(text if path in text else f"{path} cannot be used: {text}") from None


def _of_name(name: str, size: int | None, classes: int | None, head: Head | None) -> dict[str, Any]:
    spec = find_named(name)
    side, chain = spec.contract(size).height, head.name if head else "own"
    request = BackboneInspection(spec.name, side, chain, classes or PUBLISHED_CLASSES)
    facts = _call(request)
    return facts | {"size_assumed": False, "findings": [], "unseen": []}


def _inspection(
    model: str, facts: dict[str, Any], classes: int | None, chosen: Head | None
) -> Inspection:
    height, width, _ = facts["input_shape"]
    units = classes or facts["units"] or PUBLISHED_CLASSES
    assumed = ["size"] * facts["size_assumed"]
    assumed += ["classes"] * (classes is None and facts["units"] is None)
    shape: MapShape = tuple(facts["map_shape"])
    parts = facts["parameters"]
    heads = [chosen] if chosen else [parse_head(chain) for chain in ALTERNATIVES]
    others = [
        _alternative(each, shape, units, parts["backbone"])
        for each in heads
        if chosen or min(shape[:2]) >= each.pooling.min_side
    ]
    return Inspection(
        model=model,
        backbone=facts["backbone"],
        input_size=height if height == width else (height, width),
        classes=units,
        assumed=assumed,
        map_shape=shape,
        parameters=parts,
        memory=facts["memory"],
        multiply_adds=facts["multiply_adds"],
        layers=facts["layers"],
        alternatives=others,
        findings=facts["findings"],
        unseen=facts["unseen"],
    )


def _alternative(head: Head, shape: MapShape, classes: int, backbone: int) -> dict[str, Any]:
    parameters = head.parameters(shape, classes)
    return {
        "head": head.name,
        "features": head.pooling.width(shape),
        "parameters": {"head": parameters, "total": backbone + parameters},
    }


def _is_file(model: str | os.PathLike[str]) -> bool:
    """Tell a file from a name.

    Raises:
        UsageError: if it looks like a file, and there is none.
    """
    path = Path(model)
    if path.suffix.lower() in _SUFFIXES or len(path.parts) > 1 or path.is_dir():
        if path.exists():
            not_a_model.refuse(path)
            return True
        raise UsageError(
            f"'{path}' does not exist. Expected a .keras or .h5 file, or the name of a backbone "
            f"(headfit backbones lists them)."
        )
    return path.is_file()


def _call(request: child.Request) -> dict[str, Any]:
    return child.call(request, backend=child.FAST_BACKEND, fallback=child.default_backend())
