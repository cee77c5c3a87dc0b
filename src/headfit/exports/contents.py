"""What lies in a folder of exports, of this export and of earlier ones.

The card is replaced by each export into a folder, but speaks of all that lie there. What it says of
each is in its front matter too, as JSON, from where the next export takes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headfit.exports.exported import ExportedFile
from headfit.exports.formats import FORMATS
from headfit.exports.formats.format import PRECISIONS
from headfit.exports.formats.onnx_bytes import OnnxBytes
from headfit.util import digests, files

CARD = "MODEL_CARD.md"
ENTRY = "headfit"
"""Name of the entry in the card's front matter."""
FILES = {**{name: each.file for name, each in FORMATS.items()}, OnnxBytes.name: OnnxBytes.file}
"""Format → what it is called in the folder."""
MOST = 4_000_000  # bytes that are read of a card


@dataclass(frozen=True)
class Contents:
    """The exports in a folder.

    Attributes:
        model: digest of the model file that they are of.
        exports: of this model, in the order of the formats.
        others: names of those that are not, or of which nothing is known.
    """

    model: str = ""
    exports: tuple[ExportedFile, ...] = ()
    others: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path, model: Path, made: Sequence[ExportedFile]) -> Contents:
        """Look what lies there once an export is done.

        Args:
            folder: with the files.
            model: what was exported.
            made: the result; what was not kept does not count.
        """
        digest = digests.of_file(model)
        known = {each.format: each for each in _of_card(folder, digest)}
        known |= {each.format: each for each in made if each.path is not None}
        exports = tuple(known[name] for name in FILES if name in known)
        names = {each.path.name for each in exports if each.path is not None}
        lying = [name for name in FILES.values() if (folder / name).exists()]
        return cls(digest, exports, tuple(name for name in lying if name not in names))

    def to_json(self) -> str:
        """Give what the next export reads in the card; no path of the user's is in it."""
        exports = [{**each.to_dict(), "path": FILES[each.format]} for each in self.exports]
        for each in exports:
            del each["images_per_second"]  # of this machine
        return json.dumps({"model": self.model, "exports": exports})


def size(path: Path) -> int:
    """Give the bytes of a file, or of the files of a folder together."""
    parts = path.rglob("*") if path.is_dir() else [path]
    return sum(part.stat().st_size for part in parts if part.is_file())


def _of_card(folder: Path, digest: str) -> list[ExportedFile]:
    """Give the exports of a model that a card in the folder speaks of, if they lie there."""
    try:
        text = files.read_regular(folder / CARD, MOST).decode("utf-8")
        front = text.split("\n---\n")[0].splitlines()
        entry = next(line for line in front if line.startswith(f"{ENTRY}: "))
        stored = json.loads(entry.removeprefix(f"{ENTRY}: "))
        if stored["model"] != digest:
            return []
        rows = [_row(each, folder) for each in stored["exports"]]
    except Exception:  # there is none, or it is not headfit's, or was changed
        return []
    return [row for row in rows if row.path is not None and _lies_there(row)]


def _row(stored: dict[str, Any], folder: Path) -> ExportedFile:
    row = ExportedFile.from_dict({**stored, "images_per_second": None})
    if row.precision not in PRECISIONS:
        raise ValueError(row.precision)
    return replace(row, path=folder / FILES[row.format])


def _lies_there(row: ExportedFile) -> bool:
    assert row.path is not None
    return row.path.exists() and size(row.path) == row.bytes
