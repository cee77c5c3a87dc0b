"""The models of a server: what they are called, and how each is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headfit.errors import UsageError
from headfit.images.contract import Contract
from headfit.model.classifier import Classifier
from headfit.model.prediction import Prediction, describe
from headfit.model.runner import Tell

PathLike = str | os.PathLike[str]
Models = PathLike | Iterable[PathLike] | Mapping[str, PathLike]
MODEL_FILE = "model.keras"  # of a run folder
NAME = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,100}")
_NAMED = re.compile(rf"({NAME.pattern})=(.+)", re.DOTALL)


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model that is open; never changed, only replaced by another one of its name.

    Attributes:
        name: what it is called in addresses.
        path: its file.
        classifier: the same, opened.
        version: always "1".
    """

    name: str
    path: Path
    classifier: Classifier
    version: str = "1"

    @classmethod
    def open(cls, name: str, path: Path, tell: Tell = lambda _: None) -> ServedModel:
        """Open a model file and see that it gives the outputs that it was written with.

        Raises:
            UsageError: if the file does not exist.
            ModelFileError: if headfit did not write it.
            EngineError: if nothing here can run it.
        """
        classifier = Classifier(path, tell)
        classifier.runner.open()
        return cls(name, path, classifier)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes, labels or numbers, in the order of the outputs."""
        return self.classifier.classes

    @property
    def kind(self) -> str:
        """What it predicts: ``"class"``, ``"labels"`` or ``"number"``."""
        return self.classifier.kind

    @property
    def contract(self) -> Contract:
        """How a file becomes pixels."""
        return self.classifier.contract

    def outliers(self, rows: np.ndarray) -> np.ndarray:
        """Say which rows of outputs, (n, K + C), are of images unlike those of the training."""
        reliability = self.classifier.record.reliability
        if reliability is None:
            return np.zeros(len(rows), bool)
        outliers: np.ndarray = reliability.detector.scores(rows[:, len(self.classes) :]) > 1
        return outliers

    def describe(self, name: str, row: np.ndarray) -> Prediction:
        """Make a prediction of one row of outputs, float32 (K + C,)."""
        return describe(name, row, self.classifier.record)


def parse_models(models: Models) -> dict[str, Path]:
    """Find the files of the models and their names.

    Args:
        models: paths of ``.keras`` files or run folders, each also as ``"name=path"``; or a
            mapping from names to paths. A file is called as it is without its ending, a run like
            its folder.

    Returns:
        Name → file.

    Raises:
        UsageError: if there are none, a file does not exist, or a name is invalid or taken twice.

    Example:

    >>> parse_models([])
    Traceback (most recent call last):
    headfit.errors.UsageError: `models` must name at least one model file or run folder.
    """
    if isinstance(models, Mapping):
        pairs = [(name, Path(path)) for name, path in models.items()]
    else:
        single = isinstance(models, str | os.PathLike)
        listed: Iterable[PathLike] = [models] if single else models  # type: ignore[assignment, list-item]
        pairs = [_pair(os.fspath(each)) for each in listed]
    if not pairs:
        raise UsageError("`models` must name at least one model file or run folder.")
    files: dict[str, Path] = {}
    for name, path in pairs:
        if not NAME.fullmatch(name):
            expected = "up to 100 letters, digits, '.', '_' and '-' as the name of a model"
            raise UsageError.invalid("models", name, expected)
        if name in files:
            raise UsageError(
                f"`models` has two models named '{name}': '{files[name]}' and '{path}'. Name one "
                f"of them, as in {name}-2={path}."
            )
        files[name] = _file(path)
    return files


def _pair(text: str) -> tuple[str, Path]:
    path = Path(text)
    if not path.exists() and (match := _NAMED.fullmatch(text)):
        return match[1], Path(match[2])
    whole = path.resolve()
    plain = whole.name if path.is_dir() else whole.name.removesuffix(".keras")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip(".") or "model", path


def _file(path: Path) -> Path:
    file = path / MODEL_FILE if path.is_dir() else path
    if not file.is_file():
        expected = "a .keras file that headfit wrote, or a run folder that holds a model.keras"
        raise UsageError(f"'{path}' is not a model: expected {expected}.")
    return file
