"""How much may wait: images and bytes of all requests together. Used in the event loop alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headfit.serve.errors import Busy, Refused
from headfit.serve.limits import Limits

MOST_SECONDS = 60.0  # of Retry-After


class Admission:
    """Counts what is accepted and not yet answered.

    Args:
        limits: ``queue`` and ``held_bytes``.

    Attributes:
        images: accepted and not yet answered.
        held: bytes of bodies that are received and not yet answered.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.images = self.held = 0
        self._interval = 0.0
        self._empty = asyncio.Event()
        self._empty.set()

    def check(self) -> None:
        """Refuse a request before its body is read, if there is no room for a single image.

        Raises:
            Busy: if so many images wait.
        """
        if self.images >= self._limits.queue:
            raise self._busy(self.images * self._interval)

    @contextlib.contextmanager
    def take(self, images: int, interval: float | None, deadline: float) -> Iterator[None]:
        """Accept the images of a request for as long as it takes.

        Args:
            images: how many.
            interval: seconds from one image to the next when many wait; None if unknown.
            deadline: the ``time.monotonic()`` by which all must be done.

        Raises:
            Refused: if these are more than may ever wait.
            Busy: if too many wait already.
        """
        if images > self._limits.queue:
            raise Refused(
                f"A request may have {self._limits.queue} images. Received: {images}.", 413
            )
        self._interval = interval or 0.0
        seconds = self._interval * (self.images + images)
        left = deadline - time.monotonic()
        if self.images + images > self._limits.queue or seconds > left:
            raise self._busy(seconds)
        self.images += images
        self._empty.clear()
        try:
            yield
        finally:
            self.images -= images
            if not self.images:
                self._empty.set()

    def _busy(self, seconds: float) -> Busy:
        """Say so to a client whose images would take some seconds."""
        again = min(MOST_SECONDS, max(1.0, seconds / 2))
        return Busy(f"Too many images are waiting ({self.images}). Try again later.", 429, again)

    async def until_empty(self) -> None:
        """Wait until everything that was accepted is answered."""
        await self._empty.wait()


class BoundedBodies:
    """An ASGI application around another: bounds the bodies that are in memory.

    Args:
        app: the application.
        admission: counts their bytes.
        limits: ``held_bytes``.
    """

    def __init__(self, app: ASGIApp, admission: Admission, limits: Limits) -> None:
        self._app, self._admission, self._most = app, admission, limits.held_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what it sends counts until it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        admission, held = self._admission, 0

        async def counted() -> Message:
            nonlocal held
            message = await receive()
            size = len(message.get("body", b""))
            if admission.held + size > self._most:
                raise Busy("Too many requests are being read. Try again later.", 429)
            admission.held += size
            held += size
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            admission.held -= held
