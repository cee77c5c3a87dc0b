"""The state of a training that was stopped, so that it goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headfit.util import files
from headfit.util.records import DAMAGE

FACTS = "facts"


@dataclass(frozen=True)
class Checkpoint:
    """A file of arrays and plain data, written whole or not at all.

    Attributes:
        path: of the file, which ends in ``.npz``; None keeps nothing.
    """

    path: Path | None = None

    def save(self, arrays: Sequence[np.ndarray], facts: dict[str, Any]) -> None:
        """Write arrays and plain data in place of what was there.

        Raises:
            WriteError: the file cannot be written.
        """
        if self.path is None:
            return
        members = {f"array_{number:05}": array for number, array in enumerate(arrays)}
        members[FACTS] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        files.write_file(self.path, lambda temporary: np.savez(temporary, **members))  # type: ignore[arg-type]

    def load(self) -> tuple[list[np.ndarray], dict[str, Any]] | None:
        """Read what was written last; None if there is nothing, or it is damaged."""
        if self.path is None:
            return None
        try:
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as entry:
                names = sorted(set(entry.files) - {FACTS})
                arrays = [entry[name] for name in names]
                facts: dict[str, Any] = json.loads(entry[FACTS].tobytes())
        except DAMAGE:
            return None
        return arrays, facts

    def remove(self) -> None:
        """Remove the file, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
