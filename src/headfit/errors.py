"""Everything that headfit raises on purpose.

    HeadfitError                    exit 1   it could not be done
    ├── UsageError                  exit 2   the call itself is wrong
    │   └── UnknownNameError        exit 2   a backbone, head or data set that does not exist
    ├── DataError                   exit 1   the images cannot answer the question
    │   └── ImageError              exit 1   one image cannot be read (skipped in a run)
    ├── WeightsError                exit 1   weights are absent, damaged or of another model
    ├── EngineError                 exit 1   the forward pass cannot be built or run
    ├── ModelFileError              exit 1   a saved classifier cannot be used
    └── WriteError                  exit 1   the disk is full or read-only

A message is one line: what was found, what was expected, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HeadfitError(Exception):
    """Base of all errors that are about the user's input or machine, never about a bug."""

    exit_code = 1


class UsageError(HeadfitError):
    """The call itself is wrong: an option, a value or a path that cannot be meant."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not registered; lists what is, the nearest first.

    Args:
        kind: what the name was to be, for instance ``"backbone"``.
        name: the name received.
        valid: the names that exist.
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        names = sorted(valid)
        lowered = {known.lower(): known for known in names}
        near = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.5)
        hint = f" Did you mean '{lowered[near[0]]}'?" if near else ""
        super().__init__(f"Unknown {kind} '{name}'.{hint} Valid: {', '.join(names)}.")
        self.kind, self.name, self.valid = kind, name, names


class DataError(HeadfitError):
    """The folder holds no usable answer: no images, one class, too few of a class."""


class ImageError(DataError):
    """One image that cannot be read; a run lists it, skips it and goes on."""


class WeightsError(HeadfitError):
    """Pretrained weights are not there, are damaged, or belong to another model."""


class EngineError(HeadfitError):
    """No engine can run this backbone here."""


class ModelFileError(HeadfitError):
    """A file is not a classifier that headfit can load."""


class WriteError(HeadfitError):
    """A result could not be written; nothing half-written is left behind."""
