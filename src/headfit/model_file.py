"""What headfit adds to a ``.keras`` file: classes, preprocessing and a proof, as JSON.

A ``.keras`` file is a zip archive. Keras reads the members that it knows, so plain
``keras.models.load_model`` opens ours; :class:`ModelRecord` is one more member, ``headfit.json``.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headfit.errors import ModelFileError
from headfit.images.contract import Contract

SCHEMA = "headfit.model/1"
MEMBER = "headfit.json"
MAX_RECORD_BYTES = 16 * 1024**2


@dataclass(frozen=True)
class ModelRecord:
    """What a classifier needs beside its network.

    Attributes:
        classes: names of the classes, in the order of the probabilities.
        contract: how a file becomes the pixels (0–255) that the network takes.
        head: the head's chain.
        backbone: the backbone's name.
        probe: probabilities that the network must give for the probe images, (2, K); whoever loads
            the file on another engine checks against them.
        version: the headfit that wrote it.
    """

    classes: tuple[str, ...]
    contract: Contract
    head: str
    backbone: str
    probe: tuple[tuple[float, ...], ...]
    version: str

    def append_to(self, path: Path) -> None:
        """Add the record to a ``.keras`` file."""
        data = {**asdict(self), "contract": self.contract.to_dict(), "schema": SCHEMA}
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(MEMBER, json.dumps(data, indent=1))

    @classmethod
    def read(cls, path: Path) -> ModelRecord:
        """Read the record of a ``.keras`` file; nothing in it is executed.

        Raises:
            ModelFileError: if the file is not a zip, has no record, or one that is damaged.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                return cls._from_data(json.loads(_member(archive, path)))
        except KeyError as error:
            raise ModelFileError(f"'{path}': its {MEMBER} lacks {error}.") from None
        except (OSError, zipfile.BadZipFile, ValueError, TypeError) as error:
            raise ModelFileError(
                f"'{path}' is not a .keras model that headfit can read: {error}."
            ) from None

    @classmethod
    def _from_data(cls, data: Any) -> ModelRecord:
        if not isinstance(data, dict):
            raise ValueError(f"its {MEMBER} holds no object")
        if data.get("schema") != SCHEMA:
            raise ValueError(f"its schema is {data.get('schema')!r}, expected {SCHEMA!r}")
        classes, probe = data["classes"], data["probe"]
        if len(classes) < 2 or any(len(row) != len(classes) for row in probe):
            raise ValueError("its classes and its probe do not match")
        return cls(
            tuple(map(str, classes)),
            Contract.from_dict(data["contract"]),
            str(data["head"]),
            str(data["backbone"]),
            tuple(tuple(map(float, row)) for row in probe),
            str(data["version"]),
        )


def _member(archive: zipfile.ZipFile, path: Path) -> bytes:
    if MEMBER not in archive.namelist():
        raise ModelFileError(
            f"'{path}' carries no class names ({MEMBER}): expected a model.keras that headfit "
            f"wrote. A model saved anew by Keras loses them: keep headfit's own file."
        )
    if archive.getinfo(MEMBER).file_size > MAX_RECORD_BYTES:
        raise ModelFileError(f"'{path}': its {MEMBER} is too large to be true.")
    return archive.read(MEMBER)
