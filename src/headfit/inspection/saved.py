"""What is written in a saved model beside its layers, read without building anything.

Both formats keep the configuration as JSON and the optimizer's state as HDF5 arrays: ``.keras`` in
a zip archive, ``.h5`` in attributes and groups of one file. Nothing in them is executed.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import ModelFileError

EXPECTED = "expected a whole model saved by Keras, .keras or .h5"
_ZIP, _HDF5 = b"PK", b"\x89HDF"


@dataclass(frozen=True)
class Saved:
    """The records of a saved model.

    Attributes:
        config: the model's configuration.
        compiled: what ``compile`` was told: ``optimizer`` and ``loss``; None if it was not.
        slots: shapes of the optimizer's arrays, scalars left out; empty if it never ran.
    """

    config: dict[str, Any]
    compiled: dict[str, Any] | None
    slots: tuple[tuple[int, ...], ...]

    @property
    def optimizer(self) -> str:
        """Class name of the optimizer, or ``""``."""
        found = (self.compiled or {}).get("optimizer") or {}
        return str(found.get("class_name", "")) if isinstance(found, dict) else str(found)


def read_saved(path: Path) -> Saved:
    """Read the records of a ``.keras`` or ``.h5`` file.

    Raises:
        ModelFileError: if it is no whole model, or holds code.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
        if start[:2] == _ZIP:
            saved = _read_zip(path)
        elif start == _HDF5:
            saved = _read_hdf5(path)
        else:
            raise ModelFileError(f"'{path}' is neither a zip archive nor HDF5; {EXPECTED}.")
    except ModelFileError:
        raise
    except Exception as error:  # a damaged file can make zip, HDF5 and JSON raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelFileError(f"'{path}' cannot be read ({reason}); {EXPECTED}.") from None
    # Keras refuses them too; said here since its message is about an argument that is not ours
    if any(entry == "Lambda" for entry in _class_names(saved.config)):
        raise ModelFileError(
            f"'{path}' holds a Lambda layer, which is code, and code in a file is not run. Save "
            f"the model with a layer class or keras.ops in its place."
        )
    return saved


def _read_zip(path: Path) -> Saved:
    import h5py  # noqa: PLC0415  (comes with Keras; only the child process needs it)

    with zipfile.ZipFile(path) as archive:
        if "config.json" not in archive.namelist():
            raise ModelFileError(f"'{path}' is a zip archive without config.json; {EXPECTED}.")
        config = json.loads(archive.read("config.json"))
        slots: tuple[tuple[int, ...], ...] = ()
        if "model.weights.h5" in archive.namelist():
            with archive.open("model.weights.h5") as stream, h5py.File(stream, "r") as weights:
                slots = _shapes(weights.get("optimizer"))
    return Saved(config, config.get("compile_config") or None, slots)


def _read_hdf5(path: Path) -> Saved:
    import h5py  # noqa: PLC0415

    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ModelFileError(f"'{path}' holds weights only; {EXPECTED}.")
        config = json.loads(file.attrs["model_config"])
        training = file.attrs.get("training_config")
        slots = _shapes(file.get("optimizer_weights"))
    compiled = json.loads(training) if training is not None else None
    if compiled and "optimizer" not in compiled:
        compiled["optimizer"] = compiled.get("optimizer_config")
    return Saved(config, compiled, slots)


def _shapes(group: Any) -> tuple[tuple[int, ...], ...]:
    found: list[tuple[int, ...]] = []
    if group is not None:
        group.visititems(
            lambda _, item: found.append(item.shape) if hasattr(item, "shape") else None
        )
    return tuple(shape for shape in found if shape)


def _class_names(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        yield str(config.get("class_name"))
        for value in config.values():
            yield from _class_names(value)
    elif isinstance(config, list):
        for value in config:
            yield from _class_names(value)
