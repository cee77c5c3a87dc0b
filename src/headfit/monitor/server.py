"""A small read-only server for three addresses, below a token that only its user knows."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Iterator

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headfit.errors import HeadfitError
from headfit.monitor.site import Site
from headfit.web import listener
from headfit.web.answers import RefusalError
from headfit.web.connection import Bounds
from headfit.web.guard import Guard
from headfit.web.hosts import LOOPBACK, Hosts

BOUNDS = Bounds(connections=32, surplus=0, head=5, body=5, answer=30, idle=5)
"""Connections, and how long a client may take for its request and for reading the answer."""
ADVICE = "Open the address that headfit printed."


@contextlib.contextmanager
def serving(
    site: Site, token: str, host: str = LOOPBACK, port: int = 0, *, bounds: Bounds = BOUNDS
) -> Iterator[str]:
    """Serve in a separate thread as long as the context lasts.

    Args:
        site: what is served.
        token: what the address holds so that nobody else can open it.
        host: the address to listen on.
        port: 0 for any free one.
        bounds: what clients may take.

    Yields:
        The address of the page.

    Raises:
        UsageError: if the port is taken, or the host is not an address of this machine.
    """
    sock = listener.listen(host, port)
    hosts = Hosts.of(host)
    with listener.serving(create_app(site, token, hosts), sock, bounds):
        yield f"{hosts.url(sock.getsockname()[1])}/{token}/"


def create_app(site: Site, token: str, hosts: Hosts) -> ASGIApp:
    """Make the application that answers with a site.

    Args:
        site: what is served.
        token: the first part of each path.
        hosts: names of the server.
    """
    return Guard(_App(site, token), hosts=hosts, as_json=False, advice=ADVICE)


class _App:
    def __init__(self, site: Site, token: str) -> None:
        self._site, self._prefix = site, f"/{token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(scope["method"], scope["path"].encode("utf-8", "replace"))
        await response(scope, receive, send)

    async def _answer(self, method: str, path: bytes) -> Response:
        if method not in ("GET", "HEAD"):
            raise RefusalError(405, "Only GET and HEAD are allowed.", {"Allow": "GET, HEAD"})
        if not hmac.compare_digest(path[: len(self._prefix) + 1], self._prefix + b"/"):
            raise RefusalError(403, f"This address lacks the token of the page. {ADVICE}")
        page = path[len(self._prefix) :].decode()
        try:
            answer = await run_in_threadpool(self._site.answer, page)
        except HeadfitError as error:
            raise RefusalError(503, str(error)) from error
        except Exception as error:  # the terminal belongs to the run
            raise RefusalError(500, f"{type(error).__name__}: {error}") from error
        if answer is None:
            raise RefusalError(404, f"Not found. {ADVICE}")
        policy = {} if answer.policy is None else {"Content-Security-Policy": answer.policy}
        return Response(answer.body, 200, policy, f"{answer.kind}; charset=utf-8")
