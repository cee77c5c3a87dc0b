"""A model that headfit did not write, wrapped into one that it can open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.spec import MODES
from headfit.conversion.record import read_record
from headfit.errors import ModelFileError, UsageError
from headfit.images.contract import Contract
from headfit.model.metadata import ModelRecord
from headfit.util import child, saved_model
from headfit.util.child import Request


@dataclass(frozen=True)
class WrapRequest(Request):
    """Write a model with its preprocessing, from pixels to probabilities.

    Attributes:
        path: a ``.keras`` or ``.h5`` file.
        classes: how many it must have.
        preprocessing: ``scale``, ``offset`` and ``bgr`` of a contract.
        target: the ``.keras`` file to write.
    """

    function = "headfit.exports.foreign_child:wrap"
    opens = "path"
    path: str
    classes: int
    preprocessing: dict[str, Any]
    target: str


def check(model: Path, classes: Sequence[str] | None, preprocessing: str | None) -> None:
    """Look at a file, before Keras does, and at what is said of it.

    Args:
        model: the file.
        classes: names of the classes of a foreign model.
        preprocessing: of a foreign model, one of its modes.

    Raises:
        UsageError: if an argument is missing, or does not apply.
        ModelFileError: if it is no model, or not a safe one, or its record is damaged.
    """
    saved_model.read(model)
    if read_record(model) is not None:
        for name, value in (("classes", classes), ("preprocessing", preprocessing)):
            if value is not None:
                raise UsageError(
                    f"'{model}' was written by headfit and holds its classes and preprocessing. "
                    f"Leave `{name}` out."
                )
        return
    if classes is None or preprocessing is None:
        raise UsageError(
            f"'{model}' was not written by headfit, so neither its classes nor its preprocessing "
            f"are known. Set `classes` to their names, in the order of its outputs, and "
            f"`preprocessing` to one of {', '.join(MODES)} (none if it scales pixels itself)."
        )
    if preprocessing not in MODES:
        one_of = f"one of {', '.join(MODES)}"
        raise UsageError.invalid("preprocessing", preprocessing, one_of)
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise UsageError.invalid("classes", list(classes), "two different names or more")


def opened(
    model: Path,
    classes: Sequence[str] | None,
    preprocessing: str | None,
    folder: Path,
    tell: Callable[[str], None],
) -> Path:
    """Give a file that headfit can open: the model itself, or one that wraps it.

    Args:
        model: the file.
        classes, preprocessing: as :func:`check` let them pass.
        folder: for temporary files.
        tell: called with what was added to a foreign model.

    Raises:
        ModelFileError: if the model is no classifier of images.
    """
    if classes is None or preprocessing is None:
        return model  # headfit's own
    pixels, target = MODES[preprocessing], folder / "wrapped.keras"
    plain = {"scale": list(pixels.scale), "offset": list(pixels.offset), "bgr": pixels.bgr}
    request = WrapRequest(str(model), len(classes), plain, str(target))
    facts = child.call(request, backend=child.default_backend())
    for line in facts["added"]:
        tell(line)
    height, width = facts["input"]
    contract = Contract(height, width, pixels.scale, pixels.offset, pixels.bgr)
    probe = tuple(tuple(map(float, row)) for row in facts["probe"])
    if not np.isfinite(facts["probe"]).all():
        raise ModelFileError(f"'{model}' gives outputs that are not finite.")
    record = ModelRecord(tuple(classes), contract, "", facts["name"], probe, version("headfit"))
    record.append_to(target)
    return target
