"""Why a request is refused: an HTTP status and a sentence, worded alike in every protocol."""

from __future__ import annotations

from headfit.errors import HeadfitError


class Refused(HeadfitError):  # noqa: N818  (its subclasses read better)
    """A request that is answered with an error.

    Args:
        message: what happened, the value received, what is expected; no path of this machine.
        status: the HTTP status.
        retry_after: seconds after which the same request may succeed; None if it never will.
    """

    def __init__(self, message: str, status: int = 400, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class Busy(Refused):
    """More is waiting than may wait (429), or the server is starting or stopping (503)."""

    def __init__(self, message: str, status: int = 429, retry_after: float = 1.0) -> None:
        super().__init__(message, status, retry_after)


class Late(Refused):
    """The answer was not ready before the deadline of its request (504)."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The answer was not ready within {seconds:g} s. Send fewer images at once, or try "
            f"again later.",
            504,
            1.0,
        )
