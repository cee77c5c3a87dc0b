"""Refusals: the one text that a client gets, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse, PlainTextResponse, Response

NAME = "headfit"
"""What the header ``Server`` says: no version."""
SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer that has no others by these names."""


class RefusalError(Exception):
    """A request that is refused.

    Args:
        status: of the answer.
        text: why, and what to do; never a path of this machine.
        headers: of the answer.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, dict(headers or {})

    def response(self, *, as_json: bool) -> Response:
        """Make the answer: one line of text, or ``{"error": text}``."""
        if as_json:
            return JSONResponse({"error": self.text}, self.status, self.headers)
        body = f"{self.text}\n".encode("utf-8", "backslashreplace")
        return PlainTextResponse(body, self.status, self.headers)


def phrase(status: int) -> str:
    """Give the words of a status, for instance "Not Found"."""
    return HTTPStatus(status).phrase
