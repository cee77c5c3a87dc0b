"""Everything that headfit raises on purpose.

    HeadfitError                    exit 1   the call is right, but it failed
    ├── UsageError                  exit 2   the call itself is wrong
    │   └── UnknownNameError        exit 2   a backbone, head or data set that does not exist
    ├── DataError                   exit 1   the images cannot answer the question
    │   └── ImageError              exit 1   one image cannot be read (skipped in a run)
    ├── WeightsError                exit 1   weights are absent, damaged or of another model
    ├── EngineError                 exit 1   the forward pass cannot be built or run
    ├── ModelFileError              exit 1   a saved classifier cannot be used
    └── WriteError                  exit 1   the disk is full or read-only

A message is one line: what happened, the value received, what is expected, what to do. It names
arguments as Python does, in backticks: ```` `folds` must be at least 3. Received: folds=2. ````
The command line rewrites these names as its options (see :mod:`headfit.cli.wording`), so no other
package ever writes ``--folds``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HeadfitError(Exception):
    """Base of all errors that are about the user's input or machine, never about a bug.

    Args:
        message: the whole message, on one line.
        argument: name of the argument that is wrong, if it is one.
        received: its value, as ``repr`` gives it.
        expected: what is valid, as in "an integer of at least 3".
        remedy: what to do, a sentence.
    """

    exit_code = 1

    def __init__(
        self,
        message: str = "",
        *,
        argument: str = "",
        received: str = "",
        expected: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(message)
        self.argument, self.received = argument, received
        self.expected, self.remedy = expected, remedy


class UsageError(HeadfitError):
    """The call itself is wrong: an option, a value or a path that cannot be meant."""

    exit_code = 2

    @classmethod
    def invalid(
        cls, argument: str, received: object, expected: str, remedy: str = ""
    ) -> UsageError:
        """Make the error of an argument with a value that cannot be used.

        Args:
            argument: its name in Python.
            received: its value.
            expected: what is valid, so that "must be …" reads well.
            remedy: what to do, a sentence; empty if that is plain.

        Example:

        >>> print(UsageError.invalid("folds", 2, "an integer of at least 3"))
        `folds` must be an integer of at least 3. Received: folds=2.
        """
        shown, text = _as_typed(received), repr(received)
        message = f"`{argument}` must be {expected}. Received: {argument}={shown}. {remedy}"
        return cls(
            message.rstrip(), argument=argument, received=text, expected=expected, remedy=remedy
        )


def _as_typed(value: object) -> str:
    """Write a value as ``repr`` does, but texts without doubled backslashes."""
    if isinstance(value, str) and value.isprintable():
        return repr(value).replace("\\\\", "\\")
    return repr(value)


class UnknownNameError(UsageError):
    """A name that is not registered; lists what is, the nearest first.

    Args:
        kind: what the name was to be, for instance ``"backbone"``.
        name: the name received.
        valid: the names that exist.
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        names = sorted(valid)
        by_lower_case = {each.lower(): each for each in names}
        near = difflib.get_close_matches(name.lower(), list(by_lower_case), n=1, cutoff=0.5)
        hint = f" Did you mean '{by_lower_case[near[0]]}'?" if near else ""
        listed = ", ".join(names)
        message = f"Unknown {kind} '{name}'.{hint} Valid: {listed}."
        super().__init__(message, received=repr(name), expected=f"one of {listed}")
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
