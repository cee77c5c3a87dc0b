"""One line of JSON for each request, to the logger ``headfit.serve``; and what is counted of it."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headfit.serve.metrics import Metrics
from headfit.web.guard import REQUEST_ID

OTHER = "other"  # any address that there is not
FIELDS = ("request", "method", "route", "status", "seconds", "bytes", "model", "reason")
_log = logging.getLogger("headfit.serve")


class Observed:
    """An ASGI application around another: logs and counts each request.

    Args:
        app: the application.
        metrics: the counters.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and note how."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, received = time.perf_counter(), 499, 0  # 499: the client has gone

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, counted, noted)
        finally:
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", OTHER)
            self._metrics.requests.labels(route, status).inc()
            self._metrics.latency.labels(route).observe(seconds)
            facts = {
                "request": scope.get("state", {}).get(REQUEST_ID),
                "method": scope["method"],
                "route": route,
                "status": status,
                "seconds": round(seconds, 6),
                "bytes": received,
            }
            _log.info("%s %s %s", facts["method"], route, status, extra=facts)


class JsonLines(logging.Formatter):
    """Writes a log record as one line of JSON.

    Example:

    ```python
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.getLogger("headfit.serve").addHandler(handler)
    ```
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level and text, and what is known of the request."""
        when = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "text": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)
