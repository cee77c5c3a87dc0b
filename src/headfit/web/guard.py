"""What stands before a server: whom it answers, and what no answer says."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headfit.web.answers import SECURITY, RefusalError
from headfit.web.hosts import Hosts

HEADERS = 64
HEADER_BYTES = 16_384
"""Number of header fields of a request, and bytes of them together with its path."""
REQUEST_ID = "request_id"
"""Where ``scope["state"]`` holds the request's id."""
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE = ("GET", "HEAD")
_log = logging.getLogger("headfit.web")


class Guard:
    """An ASGI application around another: checks each request, and adds to each answer.

    Refused are requests with too many or too large headers, with another ``Host``, from other
    websites, without the token, and with too large a body. Every answer gets security headers and
    the id of its request; an unexpected error is logged and answered without its text.

    Args:
        app: the application.
        hosts: names of the server; None if whoever runs it checks the header ``Host``.
        token: what ``Authorization: Bearer`` has to hold; None if nothing is asked for.
        free: paths that need no token.
        body_bytes: the most that the body of a request may have; None for any number.
        as_json: whether refusals are JSON, ``{"error": text}``, or plain text.
        advice: a sentence for whoever used another name of the server.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Hosts | None = None,
        token: str | None = None,
        free: Collection[str] = (),
        body_bytes: int | None = None,
        as_json: bool = True,
        advice: str = "",
    ) -> None:
        self._app, self._hosts, self._free = app, hosts, frozenset(free)
        self._token = None if token is None else _digest(token.encode())
        self._body_bytes, self._as_json, self._advice = body_bytes, as_json, advice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        number = _request_id(headers)
        scope.setdefault("state", {})[REQUEST_ID] = number
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _complete(message, number)
            await send(message)

        try:
            self._check(scope, headers)
            limited = receive if self._body_bytes is None else _limited(receive, self._body_bytes)
            await self._app(scope, limited, guarded)
            return
        except ClientDisconnect:
            return  # nobody is left to be answered
        except RefusalError as error:
            refusal = error
        except HTTPException as error:
            refusal = RefusalError(error.status_code, error.detail, error.headers)
        except Exception as error:
            _log.error("a request failed", exc_info=error, extra={"request": number})
            refusal = RefusalError(
                500, f"Internal error. It was logged with the request id {number}."
            )
        if started:
            raise refusal  # the server closes the connection: the answer is incomplete
        await refusal.response(as_json=self._as_json)(scope, receive, guarded)

    def _check(self, scope: Scope, headers: Headers) -> None:
        _check_size(scope)
        if scope["http_version"] not in ("1.0", "1.1", "2"):
            raise RefusalError(505, "HTTP Version Not Supported: use HTTP/1.1.")
        if "transfer-encoding" in headers and "content-length" in headers:
            raise RefusalError(
                400, "Bad Request: use Transfer-Encoding or Content-Length, not both."
            )
        self._check_host(scope, headers)
        _check_origin(scope, headers)
        self._check_token(scope, headers)
        length = headers.get("content-length", "0")
        if self._body_bytes is not None and _number(length) > self._body_bytes:
            raise _too_large(self._body_bytes)

    def _check_host(self, scope: Scope, headers: Headers) -> None:
        if self._hosts is None:
            return
        hosts, port = headers.getlist("host"), (scope.get("server") or ("", 80))[1]
        if len(hosts) != 1 or not self._hosts.accepts(hosts[0], port):
            shown = repr(", ".join(hosts)[:100])
            text = f"{shown} is not this server, {self._hosts.url(port)}/. {self._advice}"
            raise RefusalError(403, text.rstrip())

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        if self._token is None or scope["path"] in self._free:
            return
        kind, _, value = ", ".join(headers.getlist("authorization")).partition(" ")
        right = hmac.compare_digest(_digest(value.strip().encode("latin-1")), self._token)
        if kind.lower() != "bearer" or not right:
            text = "This server asks for its token, as in Authorization: Bearer TOKEN."
            raise RefusalError(401, text, {"WWW-Authenticate": 'Bearer realm="headfit"'})


def _request_id(headers: Headers) -> str:
    """Take the id that a proxy gave a request, or make one."""
    given = headers.get("x-request-id", "")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def _complete(message: Message, number: str) -> None:
    """Add the headers that every answer has."""
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY.items():
        headers.setdefault(name, value)
    headers["X-Request-Id"] = number


def _check_size(scope: Scope) -> None:
    target = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    size = target + sum(len(name) + len(value) for name, value in scope["headers"])
    if len(scope["headers"]) > HEADERS or size > HEADER_BYTES:
        raise RefusalError(
            431, f"More than {HEADERS} header fields, or {HEADER_BYTES:,} bytes of them."
        )


def _check_origin(scope: Scope, headers: Headers) -> None:
    """Refuse what the pages of other websites ask for; links to a page of ours may be followed."""
    site = headers.get("sec-fetch-site", "").strip().lower()
    safe = scope["method"] in _SAFE
    followed = safe and headers.get("sec-fetch-dest", "").strip().lower() == "document"
    if site == "cross-site" and not followed:
        raise RefusalError(403, "Another website asked for this page. Open its address directly.")
    origins = headers.getlist("origin")
    if not origins or safe:
        return
    host = headers.get("host", "").lower()
    # the scheme may be another: a proxy that ends TLS
    if len(origins) > 1 or not host or origins[0].partition("://")[2].lower() != host:
        raise RefusalError(403, "Another website sent this request. Use the page of this server.")


def _limited(receive: Receive, most: int) -> Receive:
    """Count the bytes of a body while it is read."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise _too_large(most)
        return message

    return counted


def _number(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"The body of this request has more than {most:,} bytes.")


def _digest(value: bytes) -> bytes:
    """Hash a token, so that comparing takes the same time for any length."""
    return hashlib.sha256(value).digest()
