"""Finished fits, kept on disk: a run that is repeated, stopped or extended does none of them twice.

An entry is one ``.npz`` file, named by a digest of all that its fits depend on: feature maps, their
order, labels, folds, budget, the head, and the versions of the code. It is written whole, zip
checks every byte of it, and one that cannot be read counts as absent.
"""

from __future__ import annotations

import json
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headfit.fitting.fitted import FittedHead
from headfit.heads.chain import Head
from headfit.study.protocol.problem import Outcome, Problem
from headfit.util import cache, digests, files

PACKAGES = ("headfit", "numpy", "scipy", "jax")
FACTS = "facts"  # the member that holds JSON


class Ledger:
    """The fits of one problem.

    Args:
        folder: where entries lie; made when the first is kept.
        features: what identifies the feature maps and their order, plain data.
        problem: labels, folds and budget.
    """

    def __init__(self, folder: Path, features: Any, problem: Problem) -> None:
        self.folder = folder
        self._base = {
            "format": cache.FITS.format,
            "features": features,
            "labels": problem.labels.tolist(),
            "folds": problem.splits.assignment.tolist(),
            "penalties": list(problem.penalties),
            "quick": problem.quick,
            "seed": problem.seed,
            "versions": {name: version(name) for name in PACKAGES},
        }

    def outcome(self, head: Head) -> tuple[Outcome, float] | None:
        """Give the cross-validation of a head and the seconds that it took, if it was kept."""
        found = self._read(self._path("outcome", head.identity))
        if found is None:
            return None
        arrays, facts = found
        seconds = facts.pop("seconds")
        return Outcome(arrays["probabilities"], arrays["train_scores"], **facts), seconds

    def keep_outcome(self, head: Head, outcome: Outcome, seconds: float) -> None:
        """Keep the cross-validation of a head.

        Raises:
            WriteError: if it cannot be written.
        """
        facts = {
            "choices": outcome.choices,
            "final": outcome.final,
            "warnings": outcome.warnings,
            "seconds": seconds,
        }
        arrays = {"probabilities": outcome.probabilities, "train_scores": outcome.train_scores}
        _write(self._path("outcome", head.identity), arrays, facts)

    def fitted(self, head: Head, settings: dict[str, Any]) -> FittedHead | None:
        """Give a head fitted on all images with these settings, if it was kept."""
        found = self._read(self._path("fitted", head.identity, settings))
        if found is None:
            return None
        arrays, facts = found
        weights = tuple(arrays[str(number)] for number in range(len(arrays)))
        return FittedHead(head, facts["shape"], weights, facts["scale"])

    def keep_fitted(self, settings: dict[str, Any], fitted: FittedHead) -> None:
        """Keep a fitted head.

        Raises:
            WriteError: if it cannot be written.
        """
        arrays = {str(number): weight for number, weight in enumerate(fitted.weights)}
        path = self._path("fitted", fitted.head.identity, settings)
        _write(path, arrays, {"shape": fitted.shape, "scale": fitted.scale})

    def facts(self, name: str, given: Any) -> dict[str, Any] | None:
        """Give a finding that was kept, plain data.

        Args:
            name: what was measured.
            given: all that it depends on beside the problem, plain data.
        """
        found = self._read(self._path("facts", name, given))
        return None if found is None else found[1]

    def keep_facts(self, name: str, given: Any, found: dict[str, Any]) -> None:
        """Keep a finding.

        Raises:
            WriteError: if it cannot be written.
        """
        _write(self._path("facts", name, given), {}, found)

    def _path(self, *what: Any) -> Path:
        return self.folder / f"{digests.of_data([self._base, *what])}.npz"

    def _read(self, path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        cache.note_use(path)
        try:
            # opened here: numpy leaves a file open that turns out not to be a zip
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as entry:
                arrays = {name: entry[name] for name in entry.files}
            facts: dict[str, Any] = json.loads(arrays.pop(FACTS).tobytes())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return arrays, facts


def _write(path: Path, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    members = {**arrays, FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    files.write_file(path, lambda temporary: np.savez(temporary, **members))  # type: ignore[arg-type]
