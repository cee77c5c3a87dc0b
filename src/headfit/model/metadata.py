"""What headfit adds to a ``.keras`` file: names, preprocessing, a proof, thresholds.

A ``.keras`` file is a zip archive. Keras reads the members that it knows, so plain
``keras.models.load_model`` opens ours; :class:`ModelRecord` is one more member, ``headfit.json``.
Its arrays are in another, ``headfit.f32``: nothing but little-endian float32 numbers, one array
after the other, whose names and shapes the JSON lists. There is no format in it to be attacked, and
its length is checked before it is read.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from headfit.errors import ModelFileError
from headfit.images.contract import Contract
from headfit.images.targets import CLASS, KINDS, LABELS, NOUNS, NUMBER
from headfit.model.provenance import Provenance
from headfit.study.reliability.model_reliability import (
    Arrays,
    LabelReliability,
    ModelReliability,
    NumberReliability,
    Reliabilities,
    read_reliability,
)
from headfit.util import html, not_a_model, saved_model
from headfit.util.model_parts import ARRAYS, RECORD, check_archive, parse
from headfit.util.nouns import counted

SCHEMA = "headfit.model/1"
EXPORT = "export"  # in an exported file: headfit.exports.record as plain data
KEPT = "heads"
SHOWN = 20  # names of classes in a notebook
RELIABILITY: dict[str, type[Reliabilities]] = {
    CLASS: ModelReliability,
    LABELS: LabelReliability,
    NUMBER: NumberReliability,
}
"""What a model of each kind knows of itself."""
_FLOAT = np.dtype("<f4")


@dataclass(frozen=True)
class ModelRecord:
    """What a model needs beside its network.

    Attributes:
        classes: names of the classes, labels or numbers, in the order of the outputs.
        contract: how a file becomes the pixels (0–255) that the network takes.
        head: the head's chain.
        backbone: the backbone's name.
        probe: what the network must give for the probe images, (2, K); any engine that loads the
            file is checked against it.
        version: the headfit that wrote it.
        reliability: temperatures, thresholds, intervals, as the kind has them; None in files that
            were written without.
        provenance: verdict, origin of the weights, digest of the data; None likewise.
        kind: what is predicted: ``"class"``, ``"labels"`` or ``"number"``.
    """

    classes: tuple[str, ...]
    contract: Contract
    head: str
    backbone: str
    probe: tuple[tuple[float, ...], ...]
    version: str
    reliability: Reliabilities | None = None
    provenance: Provenance | None = None
    kind: str = CLASS

    @property
    def spread(self) -> np.ndarray:
        """What a difference of each output is measured against, float64 (K,).

        1 for probabilities. Numbers have units of their own: half of what the probe images differ
        by, or the width of an interval, and no less than a hundredth of their size.
        """
        probe = np.array(self.probe, np.float64)
        if self.kind != NUMBER:
            return np.ones(len(self.classes))
        apart = np.maximum(np.ptp(probe, axis=0) / 2, np.abs(probe).max(axis=0) / 100)
        if isinstance(self.reliability, NumberReliability):
            known = np.isfinite(self.reliability.half_widths)
            apart = np.maximum(apart, np.where(known, self.reliability.half_widths, 0.0))
        return np.where(apart > 0, apart, 1.0)

    def append_to(self, path: Path, more: Mapping[str, Any] | None = None) -> None:
        """Add the record to a ``.keras`` file.

        Args:
            path: the file.
            more: entries beside its own, plain data.
        """
        data = {
            "classes": self.classes,
            "contract": self.contract.to_dict(),
            "head": self.head,
            "backbone": self.backbone,
            "probe": self.probe,
            "version": self.version,
            "schema": SCHEMA,
            **({} if self.kind == CLASS else {"kind": self.kind}),
            **(more or {}),
        }
        if self.provenance is not None:
            data["provenance"] = self.provenance.to_dict()
        arrays: Arrays = {}
        if self.reliability is not None:
            data["reliability"], arrays = self.reliability.to_data()
            data["arrays"] = {name: list(array.shape) for name, array in arrays.items()}
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(RECORD, json.dumps(data, indent=1, allow_nan=False))
            if arrays:
                archive.writestr(ARRAYS, b"".join(_bytes(array) for array in arrays.values()))

    @classmethod
    def read(cls, path: Path) -> ModelRecord:
        """Read the record of a ``.keras`` file; nothing in it is executed.

        Raises:
            ModelFileError: if the file is not a zip, has no record, or one that is damaged.
        """
        not_a_model.refuse(path)
        if not_a_model.is_hdf5(path):
            saved_model.read(path)  # may know better what it is
            raise _no_record(path)
        try:
            with zipfile.ZipFile(path) as archive:
                check_archive(archive, path)
                data = parse(_member(archive, path), RECORD, path)
                return cls._from_data(data, _reliability(data, archive))
        except ModelFileError:
            raise
        except KeyError as error:
            raise ModelFileError(f"'{path}' is damaged: its {RECORD} lacks {error}.") from None
        except Exception as error:  # a zip or JSON of whatever content can raise anything
            raise ModelFileError(
                f"'{path}' is not a .keras model that headfit can read: {error}."
            ) from None

    def to_html(self, caption: str) -> str:
        """Write a table for notebooks."""
        listed = ", ".join(self.classes[:SHOWN])
        more = len(self.classes) - SHOWN
        rows = [
            ("backbone", self.backbone),
            ("head", self.head),
            ("input", f"{self.contract.height} × {self.contract.width} px, RGB 0–255"),
            (
                counted(len(self.classes), *NOUNS[self.kind]),
                f"{listed} and {more} more" if more > 0 else listed,
            ),
            *_trust(self.reliability),
            ("written by", f"headfit {self.version}"),
        ]
        return html.table((), rows, caption, numbers=False)

    @classmethod
    def _from_data(cls, data: Any, reliability: Reliabilities | None) -> ModelRecord:
        classes, probe, kind = data["classes"], data["probe"], data.get("kind", CLASS)
        if kind not in KINDS:
            raise ValueError(f"its kind is {kind!r}, expected one of {', '.join(KINDS)}")
        if any(len(row) != len(classes) for row in probe):
            raise ValueError(f"its {NOUNS[kind][1]} and its probe do not match")
        if len(classes) < (2 if kind == CLASS else 1):
            raise ValueError(f"it has {counted(len(classes), *NOUNS[kind])}")
        if reliability is not None:
            _check_reliability(reliability, kind, len(classes))
        return cls(
            tuple(map(str, classes)),
            Contract.from_dict(data["contract"]),
            str(data["head"]),
            str(data["backbone"]),
            tuple(tuple(map(float, row)) for row in probe),
            str(data["version"]),
            reliability,
            _provenance(data),
            kind,
        )


def kept_path(run: Path, head: str) -> Path:
    """Say where the model of a head lies that a run keeps beside the recommended one."""
    return run / KEPT / f"{quote(head, safe='')}.keras"


def kept_models(run: Path) -> list[Path]:
    """List the models that a run keeps beside the recommended one; a stranger's file is none."""
    models = []
    for path in sorted((run / KEPT).glob("*.keras")):
        try:
            if kept_path(run, ModelRecord.read(path).head) == path:
                models.append(path)
        except ModelFileError:
            continue
    return models


def _member(archive: zipfile.ZipFile, path: Path) -> bytes:
    if RECORD not in archive.namelist():
        raise _no_record(path)
    return archive.read(RECORD)


def _no_record(path: Path) -> ModelFileError:
    return ModelFileError(
        f"'{path}' has no class names: it lacks {RECORD}, which headfit adds to a model.keras and "
        f"which is lost when Keras saves the model again. Use the file that headfit wrote."
    )


def _reliability(data: Any, archive: zipfile.ZipFile) -> Reliabilities | None:
    if not isinstance(data, dict):
        raise ValueError(f"its {RECORD} holds no object")
    if data.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {data.get('schema')!r}, expected {SCHEMA!r}")
    reliability = data.get("reliability")
    if reliability is None:
        return None
    if not isinstance(reliability, dict):
        raise ValueError("its reliability is no object")
    return read_reliability(reliability, _read_arrays(data["arrays"], archive))


def _check_reliability(reliability: Reliabilities, kind: str, count: int) -> None:
    """Make sure that it is of the kind of the model, and of as many names."""
    if not isinstance(reliability, RELIABILITY[kind]):
        raise ValueError(f"its reliability is not that of kind {kind!r}")
    lengths = {
        LabelReliability: ("thresholds", "temperatures"),
        NumberReliability: ("half_widths",),
    }.get(type(reliability), ())
    for name in lengths:
        if len(getattr(reliability, name)) != count:
            raise ValueError(f"its {name} are not {count}")


def _trust(reliability: Reliabilities | None) -> list[tuple[str, str]]:
    """Give the row of a notebook's table that says what the model knows of itself."""
    if isinstance(reliability, LabelReliability):
        return [("thresholds", ", ".join(f"{each:.2f}" for each in reliability.thresholds[:SHOWN]))]
    if isinstance(reliability, NumberReliability):
        listed = ", ".join(f"± {each:.3g}" for each in reliability.half_widths[:SHOWN])
        return [(f"{100 * reliability.level:.0f} % intervals", listed)]
    return [("temperature", f"{reliability.temperature:.2f}" if reliability else "none")]


def _provenance(data: dict[str, Any]) -> Provenance | None:
    stored = data.get("provenance")
    return None if stored is None else Provenance.from_dict(stored)


def _bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, _FLOAT).tobytes()


def _read_arrays(shapes: dict[str, list[int]], archive: zipfile.ZipFile) -> Arrays:
    """Read arrays of these shapes, if the member is exactly as long as they are together."""
    sizes = {}
    for name, shape in shapes.items():
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError(f"its array '{name}' has the shape {shape}")
        sizes[name] = math.prod(shape)
    expected = _FLOAT.itemsize * sum(sizes.values())
    length = archive.getinfo(ARRAYS).file_size if ARRAYS in archive.namelist() else 0
    if length != expected:
        raise ValueError(f"its {ARRAYS} has {length} bytes, expected {expected}")
    numbers = np.frombuffer(archive.read(ARRAYS), _FLOAT)
    if not np.isfinite(numbers).all():
        raise ValueError(f"its {ARRAYS} holds numbers that are not finite")
    arrays, start = {}, 0
    for name, shape in shapes.items():
        arrays[name] = numbers[start : start + sizes[name]].reshape(shape)
        start += sizes[name]
    return arrays
