"""Finished fits, stored on disk: a run that is repeated, stopped or extended repeats none of them.

An entry is one ``.npz`` file, named by a digest of everything its fits depend on: feature maps,
their order, targets, folds, budget, the head, and the versions of the code. It is written
atomically, its bytes are checked by zip, and an entry that cannot be read counts as absent.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headfit.fitting.fitted import FittedHead
from headfit.fitting.methods import Method
from headfit.fitting.problem import SQUARED, CrossValidation, Problem, Settings
from headfit.util import cache, digests, files
from headfit.util.records import DAMAGE

PACKAGES = ("headfit", "numpy", "scipy", "jax")
FACTS = "facts"  # the member that holds JSON


class Ledger:
    """The fits of one problem.

    Args:
        folder: where entries are stored; created with the first.
        features: what identifies the feature maps and their order, plain data.
        problem: targets, folds and budget.
    """

    def __init__(self, folder: Path, features: Any, problem: Problem) -> None:
        self.folder = folder
        self._base = {
            "format": cache.FITS.format,
            "features": features,
            "targets": [problem.targets.kind, problem.targets.values.tolist()],
            "folds": problem.splits.assignment.tolist(),
            "penalties": list(problem.penalties),
            "quick": problem.quick,
            "seed": problem.seed,
            "versions": {name: version(name) for name in PACKAGES},
        }
        self._kind = problem.targets.kind
        if problem.loss != SQUARED:
            self._base["loss"] = problem.loss
        # named only where there are any, so that fits stored without them are found
        if (weights := problem.targets.loss_weights) is not None:
            self._base["weights"] = [weights.tolist(), problem.targets.weights is not None]

    def cross_validation(self, method: Method) -> CrossValidation | None:
        """Look up the cross-validation of a head; None if it is not stored."""
        entry = self._read(self._path("cross-validation", method.identity))
        if entry is None:
            return None
        arrays, facts = entry
        return CrossValidation(
            method.head, arrays["probabilities"], arrays["train_scores"], **facts
        )

    def store_cross_validation(self, method: Method, fit: CrossValidation) -> None:
        """Store the cross-validation of a head.

        Raises:
            WriteError: if it cannot be written.
        """
        arrays = {"probabilities": fit.probabilities, "train_scores": fit.train_scores}
        names = ("choices", "final", "notes", "seconds")
        facts = {name: getattr(fit, name) for name in names}
        _write(self._path("cross-validation", method.identity), arrays, facts)

    def fitted(self, method: Method, settings: Settings) -> FittedHead | None:
        """Look up a head fitted on all images with these settings; None if it is not stored."""
        entry = self._read(self._path("fitted", method.identity, settings))
        if entry is None:
            return None
        arrays, facts = entry
        shape, weights, scale = facts["shape"], tuple(arrays.values()), facts["scale"]
        return FittedHead(method.head, shape, weights, scale, self._kind)

    def store_fitted(self, method: Method, settings: Settings, fitted: FittedHead) -> None:
        """Store a fitted head.

        Raises:
            WriteError: if it cannot be written.
        """
        arrays = fitted.head.name_weights(fitted.weights)
        path = self._path("fitted", method.identity, settings)
        _write(path, arrays, {"shape": fitted.shape, "scale": fitted.scale})

    def facts(self, name: str, depends_on: Any) -> dict[str, Any] | None:
        """Look up a measurement, plain data; None if it is not stored.

        Args:
            name: what was measured.
            depends_on: all that it depends on beside the problem, plain data.
        """
        entry = self._read(self._path("facts", name, depends_on))
        return None if entry is None else entry[1]

    def store_facts(self, name: str, depends_on: Any, facts: dict[str, Any]) -> None:
        """Store a measurement.

        Raises:
            WriteError: if it cannot be written.
        """
        _write(self._path("facts", name, depends_on), {}, facts)

    def _path(self, *what: Any) -> Path:
        return self.folder / f"{digests.of_data([self._base, *what])}.npz"

    def _read(self, path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        cache.note_use(path)
        try:
            # opened here: numpy leaves a file open that turns out not to be a zip
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as entry:
                arrays = {name: entry[name] for name in entry.files}
            facts: dict[str, Any] = json.loads(arrays.pop(FACTS).tobytes())
        except DAMAGE:
            return None
        return (arrays, facts) if isinstance(facts, dict) else None


def _write(path: Path, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    members = {**arrays, FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    files.write_file(path, lambda temporary: np.savez(temporary, **members))  # type: ignore[arg-type]
