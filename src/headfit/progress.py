"""How a run reports what it is doing; the stages themselves never print.

A :class:`Callback` follows a whole run, in the manner of Keras: stages, images, heads, messages. A
:class:`Progress` is what one piece of work reports the fraction done to; it can be split in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from headfit.errors import UsageError

IMAGES = "images"


@dataclass(frozen=True)
class HeadScore:
    """The scores of one head, reported as soon as its cross-validation ends.

    Attributes:
        name: as in ``results.json``, with the backbone, size and cut where there are several.
        score: the primary metric: ``mean``, ``low``, ``high`` of the 95 % interval, ``folds``.
        log_loss: the loss, likewise: of numbers it is the root of their mean squared error.
        parameters: number of weights of the head.
        seconds: time that its fits took when they were made.
        metric: what ``score`` is of: ``"balanced_accuracy"``, of several labels
            ``"macro_average_precision"``, of numbers ``"r2"``.
    """

    name: str
    score: dict[str, Any]
    log_loss: dict[str, Any]
    parameters: int
    seconds: float
    metric: str = "balanced_accuracy"


class Callback:
    """Follows a run. This base class does nothing: subclass it and override what you need.

    Example:

    ```python
    class Print(hf.Callback):
        def on_head_end(self, score):
            print(score.name, score.score["mean"])


    hf.compare("photos", callbacks=[Print()])
    ```
    """

    def on_stage_begin(self, name: str, total: float, unit: str = "") -> None:
        """Called when a stage begins.

        Args:
            name: what the stage does, in a few words.
            total: what ``done`` in :meth:`on_progress` adds up to; 0 if that is not known.
            unit: ``"images"``, or empty.
        """

    def on_progress(self, done: float, detail: str = "", skipped: int = 0) -> None:
        """Called while a stage runs.

        Args:
            done: how much of the stage's ``total`` is done.
            detail: what is being worked on, for instance the name of a head.
            skipped: number of images that could not be read so far.
        """

    def on_head_end(self, score: HeadScore) -> None:
        """Called when a head has been cross-validated."""

    def on_message(self, message: str) -> None:
        """Called with a line that the user should read: a warning, a fallback, an estimate."""


class CallbackList(Callback):
    """Passes every call on to several callbacks.

    Args:
        callbacks: one callback, several, or None.

    Raises:
        UsageError: if it is something else.
    """

    def __init__(self, callbacks: Callback | Iterable[Callback] | None = None) -> None:
        several = (callbacks,) if isinstance(callbacks, Callback) else callbacks or ()
        valid = isinstance(several, Iterable)
        self._callbacks: Sequence[Callback] = tuple(several) if valid else ()
        if not valid or not all(isinstance(each, Callback) for each in self._callbacks):
            expected = "a headfit.Callback, or several in a list"
            raise UsageError.invalid("callbacks", callbacks, expected)

    def on_stage_begin(self, name: str, total: float, unit: str = "") -> None:
        """Pass it on."""
        for each in self._callbacks:
            each.on_stage_begin(name, total, unit)

    def on_progress(self, done: float, detail: str = "", skipped: int = 0) -> None:
        """Pass it on."""
        for each in self._callbacks:
            each.on_progress(done, detail, skipped)

    def on_head_end(self, score: HeadScore) -> None:
        """Pass it on."""
        for each in self._callbacks:
            each.on_head_end(score)

    def on_message(self, message: str) -> None:
        """Pass it on."""
        for each in self._callbacks:
            each.on_message(message)


class Progress:
    """The fraction of a piece of work that is done, from 0 to 1.

    Args:
        report: called with the fraction of the whole; None reports to nobody.
        start: where this piece of work begins within the whole.
        end: where it ends.

    Example:

    >>> seen = []
    >>> progress = Progress(seen.append)
    >>> for number in range(2):
    ...     progress.part(number, 2)(0.5)
    >>> seen
    [0.25, 0.75]
    """

    def __init__(
        self, report: Callable[[float], object] | None = None, start: float = 0.0, end: float = 1.0
    ) -> None:
        self._report, self._start, self._end = report, start, end

    def __call__(self, fraction: float) -> None:
        """Report that this fraction of the work is done."""
        if self._report is not None:
            self._report(self._at(fraction))

    def part(self, number: int, of: int) -> Progress:
        """Give the progress of one of several equal parts, counted from 0."""
        return self.span(number / of, (number + 1) / of)

    def span(self, start: float, end: float) -> Progress:
        """Give the progress of the part that lies between two fractions."""
        return Progress(self._report, self._at(start), self._at(end))

    def _at(self, fraction: float) -> float:
        # exact at both ends, so that the last part ends at 1
        return (1.0 - fraction) * self._start + fraction * self._end


SILENT = Progress()
"""Reports to nobody."""
