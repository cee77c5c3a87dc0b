"""A small read-only server for three addresses, below a token that only its user knows."""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from headfit.errors import HeadfitError, UsageError
from headfit.monitor.site import Answer, Site

LOOPBACK = "127.0.0.1"
MOST_CONNECTIONS = 32
REQUEST_SECONDS, ANSWER_SECONDS = 5.0, 30.0
"""How long a client may take for its whole request, and then for reading the whole answer."""
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]+)(?::([0-9]+))?")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, host: str, port: int, site: Site, token: str) -> None:
        self.site, self.host, self.token = site, host, token
        self._deadlines: dict[Any, float] = {}
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)
        self._names = {"localhost", host.lower()}
        if is_loopback(host):
            self._names |= {LOOPBACK, "::1"}
        else:
            # asks the name service, which may take a while: once
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def server_bind(self) -> None:
        # that of the library asks the name service for our name
        if os.name == "posix":  # elsewhere it would let two servers share a port
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.host, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self.grant(request, REQUEST_SECONDS)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._deadlines.pop(request, None)
            self._free.release()

    def grant(self, request: Any, seconds: float) -> None:
        """Give a client this much time from now; then its connection is shut."""
        self._deadlines[request] = time.monotonic() + seconds

    def service_actions(self) -> None:
        """Shut the connections whose time is over; called ten times a second."""
        now = time.monotonic()
        for request in [each for each, end in list(self._deadlines.items()) if end < now]:
            with contextlib.suppress(OSError):  # it has just ended by itself
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: the client has gone, and other errors are part of the answer."""

    def accepts(self, host: str) -> bool:
        """Say whether a Host header names this machine, so that no other site can read along."""
        match = _HOST.fullmatch(host)
        # clients leave out the default port of HTTP
        if match is None or (match[2] or "80") != str(self.server_port):
            return False
        name = match[1].lower().strip("[]")
        return name in self._names or (not is_loopback(self.host) and _is_ip(name))

    @property
    def address(self) -> str:
        """The address of the page, token included."""
        return f"{self.origin}/{self.token}/"

    @property
    def origin(self) -> str:
        """The address without the token, which anybody may know."""
        shown = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def version_string(self) -> str:
        """Name the program alone, without its version and Python's."""
        return "headfit"

    def do_GET(self) -> None:
        """Answer with one of three files."""
        self.server.grant(self.connection, ANSWER_SECONDS)
        if refusal := self._refusal():
            self._say(HTTPStatus.FORBIDDEN, f"{refusal} Open the address that headfit printed.")
            return
        try:
            page = self.path.partition("?")[0].removeprefix(f"/{self.server.token}")
            answer = self.server.site.answer(page)
        except HeadfitError as error:
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
            return
        except Exception as error:
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}")
            return
        if answer is None:
            self._say(HTTPStatus.NOT_FOUND, "Not found. Open the address that headfit printed.")
            return
        self._send(HTTPStatus.OK, answer)

    def _refusal(self) -> str:
        """Say why this client may not see the page; empty if it may."""
        hosts = self.headers.get_all("Host", [""])
        if len(hosts) > 1 or not self.server.accepts(hosts[0]):
            return f"{', '.join(hosts)[:100]!r} is not this server, {self.server.origin}/."
        if self.headers.get("Sec-Fetch-Site", "").strip().lower() == "cross-site":
            return "Another website asked for this page."
        prefix = f"/{self.server.token}/".encode()
        if not hmac.compare_digest(self.path.encode("utf-8", "replace")[: len(prefix)], prefix):
            return "This address lacks the token of the page."
        return ""

    def do_HEAD(self) -> None:
        """Answer as for GET, without the body."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse an invalid request, without the page of the library."""
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:  # the answer of the library to any other method
            allowed = {"Allow": "GET, HEAD"}
            self._say(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.", allowed)
        else:
            self._say(HTTPStatus(code), HTTPStatus(code).phrase)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the terminal belongs to the run."""

    def _say(self, code: HTTPStatus, text: str, more: dict[str, str] | None = None) -> None:
        body = f"{text}\n".encode("utf-8", "backslashreplace")
        self._send(code, Answer(body, "text/plain"), more)

    def _send(self, code: HTTPStatus, answer: Answer, more: dict[str, str] | None = None) -> None:
        fields = _HEADERS | (more or {})
        fields["Content-Type"] = f"{answer.kind}; charset=utf-8"
        fields["Content-Length"] = str(len(answer.body))
        if answer.policy is not None:
            fields["Content-Security-Policy"] = answer.policy
        self.send_response(code)
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


@contextlib.contextmanager
def serving(site: Site, token: str, host: str = LOOPBACK, port: int = 0) -> Iterator[str]:
    """Serve in a separate thread as long as the context lasts.

    Args:
        site: what is served.
        token: what the address holds so that nobody else can open it.
        host: the address to listen on.
        port: 0 for any free one.

    Yields:
        The address of the page.

    Raises:
        UsageError: if the port is taken, or the host is not an address of this machine.
    """
    try:
        server = _Server(host, port, site, token)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if port:
            text = f"Cannot listen on {host} at `port={port}`: {reason}. Choose another port."
        else:
            text = f"Cannot listen on `host={host}`: {reason}. Use an address of this machine."
        raise UsageError(text) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield server.address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    return _is_ip(host) and ipaddress.ip_address(host).is_loopback


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
