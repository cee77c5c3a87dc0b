"""Records finished runs; which libraries there are, and what is said if one is missing."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

from headfit.errors import UnknownNameError, UsageError, WriteError
from headfit.tracking import mlflow, tensorboard, wandb
from headfit.tracking.record import RunRecord

LIBRARIES = {"mlflow": mlflow, "tensorboard": tensorboard, "wandb": wandb}
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
LONGEST = 300  # characters of the reason of a failure


class Tracker:
    """Records runs in MLflow, TensorBoard or Weights & Biases.

    Make it before the run, so that a missing library is known before the work is done. Nothing is
    sent to another machine unless the library's own environment variables say so.

    Args:
        libraries: ``"mlflow"``, ``"tensorboard"`` or ``"wandb"``; several in a list or separated
            by commas.

    Raises:
        UnknownNameError: there is no such library.
        UsageError: a library is not installed, or none is named.

    Example:

    ```python
    tracker = hf.Tracker("tensorboard")
    folder = hf.compare("photos").save("headfit-run")
    print(tracker.log(folder))
    ```
    """

    def __init__(self, libraries: str | Iterable[str]) -> None:
        several = libraries.split(",") if isinstance(libraries, str) else libraries
        self.libraries = tuple(dict.fromkeys(name.strip() for name in several if name.strip()))
        if not self.libraries:
            names = ", ".join(LIBRARIES)
            raise UsageError(f"Name a library to track runs with: one or more of {names}.")
        for name in self.libraries:
            if name not in LIBRARIES:
                raise UnknownNameError("tracking library", name, LIBRARIES)
            missing = [each for each in LIBRARIES[name].packages() if not _is_installed(each)]
            if missing:
                raise UsageError(
                    f"Tracking with {name} needs packages that are not installed: "
                    f"{', '.join(missing)}. Run: pip install 'headfit[{name}]'"
                )

    def log(
        self, run: str | os.PathLike[str], *, warn: Callable[[str], object] | None = None
    ) -> dict[str, str]:
        """Record a run: parameters, scores of every head and fold, plots and models.

        Images and tables of images are not recorded.

        Args:
            run: the folder that :meth:`headfit.Study.save` wrote.
            warn: called with a line for each library that failed, instead of an error.

        Returns:
            For each library that succeeded, where the run was written.

        Raises:
            UsageError: the folder holds no run.
            DataError: its results are damaged.
            WriteError: a library failed. The others were tried all the same.
        """
        record = RunRecord.read(Path(run))
        places, failures = {}, []
        for name in self.libraries:
            try:
                with warnings.catch_warnings():  # of the library's own dependencies
                    warnings.simplefilter("ignore")
                    places[name] = _without_password(LIBRARIES[name].write(record))
            except Exception as error:  # of whatever the library raises
                failures.append(f"{name} did not record the run: {_reason(error)}")
        if warn is not None:
            for line in failures:
                warn(line)
        elif failures:
            written = "".join(f" Written by {name}: {place}." for name, place in places.items())
            raise WriteError(f"{' '.join(failures)}{written} The run itself is in '{run}'.")
        return places


def _is_installed(package: str) -> bool:
    # a folder of this name is a package without code: the libraries make folders named so
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def _reason(error: Exception) -> str:
    line = _without_password(" ".join(str(error).split()))
    short = line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
    return f"{type(error).__name__}{f': {short}' if short else ''}"


def _without_password(text: str) -> str:
    return _PASSWORD.sub("", text)
