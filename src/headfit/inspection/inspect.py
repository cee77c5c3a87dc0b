"""Inspect a backbone or a saved model: what it is made of, and what other heads would cost.

The network is built or loaded in a child process, so whoever asks needs no Keras; nothing is
downloaded and nothing is kept.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from headfit.backbones.catalog import find_named
from headfit.backbones.engines.interface import default_backend
from headfit.errors import EngineError, ModelFileError, UsageError
from headfit.heads.chain import Head, parse_head
from headfit.heads.pooling import MapShape
from headfit.inspection.words import sentences
from headfit.util import child as worker

SCHEMA = "headfit.inspection/1"
FAST_BACKEND = "openvino"  # builds a network in a third of the time that JAX takes
PUBLISHED_CLASSES = 1000
ALTERNATIVES = (
    *("gap", "gmp", "avgmax", "gem", "spp", "flatten", "gap-1024-1024-512", "flatten-4096-4096"),
)
_SUFFIXES = (".keras", ".h5", ".hdf5")


def inspect(
    model: str | os.PathLike[str],
    size: int | None = None,
    classes: int | None = None,
    head: str | None = None,
) -> dict[str, Any]:
    """Describe a backbone by name or a saved model, and each alternative head.

    Args:
        model: name of a backbone in any spelling, or a ``.keras`` or ``.h5`` file.
        size: side of the square input in pixels; the network's own if None.
        classes: K; if None what the model has; 1,000 for a name, and for a file without a layer
            for classes.
        head: a chain that takes the place of the usual alternatives; a backbone by name is also
            described with it in place of the top that it was published with.

    Returns:
        What ``headfit inspect --json`` prints; see docs/inspect.md.

    Raises:
        UnknownNameError: if there is no such backbone or head.
        UsageError: if a size or number of classes cannot be, or there is no such file.
        ModelFileError: if the file is no model that can be taken apart.
        EngineError: if Keras cannot build it.
    """
    if classes is not None and classes < 2:
        raise UsageError(f"--classes {classes} is too small: it must be at least 2.")
    if size is not None and size < 1:
        raise UsageError(f"--size {size} is too small: it must be at least 1.")
    chosen = parse_head(head) if head is not None else None
    if _is_file(model):
        request = {"path": os.fspath(model), "size": size, "classes": classes}
        found = _of_file(request)
    else:
        found = _of_name(str(model), size, classes, chosen)
    return _document(os.fspath(model), found, classes, chosen)


def _of_file(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return _call("headfit.inspection.describe:of_file", request)
    except EngineError as error:
        path = f"'{request['path']}'"
        known = path in str(error)
        raise ModelFileError(str(error) if known else f"{path} cannot be used: {error}") from None


def _of_name(name: str, size: int | None, classes: int | None, head: Head | None) -> dict[str, Any]:
    spec = find_named(name)
    request = {
        "name": spec.name,
        "size": spec.contract(size).height,
        "head": head.name if head else "own",
        "classes": classes or PUBLISHED_CLASSES,
    }
    found = _call("headfit.inspection.describe:of_name", request)
    return found | {"size_assumed": False, "findings": [], "unseen": []}


def _document(
    model: str, found: dict[str, Any], given: int | None, chosen: Head | None
) -> dict[str, Any]:
    height, width, _ = found["input_shape"]
    classes = given or found["units"] or PUBLISHED_CLASSES
    assumed = ["size"] * found["size_assumed"]
    assumed += ["classes"] * (given is None and found["units"] is None)
    shape: MapShape = tuple(found["map_shape"])
    parts = found["parameters"]
    heads = [chosen] if chosen else [parse_head(chain) for chain in ALTERNATIVES]
    others = [
        _alternative(each, shape, classes, parts["backbone"])
        for each in heads
        if chosen or min(shape[:2]) >= each.pooling.min_side
    ]
    document = {
        "schema": SCHEMA,
        "model": model,
        "backbone": found["backbone"],
        "input_size": height if height == width else [height, width],
        "classes": classes,
        "assumed": assumed,
        "map_shape": list(shape),
        "parameters": parts,
        "head_share": parts["head"] / parts["total"] if parts["total"] else 0.0,
        "memory": found["memory"],
        "multiply_adds": found["multiply_adds"],
        "layers": found["layers"],
        "alternatives": others,
        "findings": found["findings"],
        "unseen": found["unseen"],
    }
    return document | {"sentences": sentences(document)}


def _alternative(head: Head, shape: MapShape, classes: int, backbone: int) -> dict[str, Any]:
    own = head.parameters(shape, classes)
    return {
        "head": head.name,
        "features": head.pooling.width(shape),
        "parameters": {"head": own, "total": backbone + own},
    }


def _is_file(model: str | os.PathLike[str]) -> bool:
    """Tell a file from a name.

    Raises:
        UsageError: if it looks like a file, and there is none.
    """
    path = Path(model)
    if path.is_file():
        return True
    if path.suffix.lower() in _SUFFIXES or len(path.parts) > 1 or path.is_dir():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(
            f"'{path}' {found}. Expected a .keras or .h5 file, or the name of a backbone "
            f"(headfit backbones lists them)."
        )
    return False


def _call(function: str, request: dict[str, Any]) -> dict[str, Any]:
    """Run it on the fast backend, or on the user's if that one cannot build the network."""
    try:
        return worker.call(function, request, backend=FAST_BACKEND)
    except EngineError:
        return worker.call(function, request, backend=default_backend())
