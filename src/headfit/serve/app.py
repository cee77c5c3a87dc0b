"""The application: routes, refusals and the life of the models, for any ASGI server."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headfit.model.runner import Tell
from headfit.serve.admission import BoundedBodies
from headfit.serve.errors import Refused
from headfit.serve.inference import routes as inference
from headfit.serve.limits import Limits
from headfit.serve.logs import Observed
from headfit.serve.models import Models
from headfit.serve.routes import description, metrics, page, predict
from headfit.serve.service import Service
from headfit.web.guard import Guard
from headfit.web.hosts import Hosts

FREE = ("/", "/v2/health/live", "/v2/health/ready")
"""Paths that need no token: the page, which asks for it, and what watches over servers."""
ADVICE = "Call it by that address, or allow this name when the server is started."


def create_app(
    models: Models,
    *,
    token: str | None = None,
    hosts: Hosts | None = None,
    limits: Limits | None = None,
    tell: Tell = lambda _: None,
    watch: bool = True,
) -> Starlette:
    """Make an ASGI application that serves saved models, for a server of your own.

    The models are opened when the server starts the application, not before.

    Args:
        models: paths of ``.keras`` files or run folders, each also as ``"name=path"``; or a
            mapping from names to paths.
        token: what clients must send as ``Authorization: Bearer …``; None for no check. Whether
            the server is alive and ready is told to everybody.
        hosts: names by which clients may call the server; None for any.
        limits: what it takes at most.
        tell: called with a line of text when something takes long or falls back.
        watch: whether a model is opened again when its file changes.

    Returns:
        The application; its ``state.service`` is the
        :class:`~headfit.serve.service.Service`.

    Raises:
        UsageError: if a file does not exist, or a name is invalid or taken twice.

    Example:

    ```python
    app = hf.serve.create_app("headfit-run/model.keras")
    # uvicorn.run(app, host="127.0.0.1", port=8000)
    ```
    """
    service = Service(models, limits, tell, watch=watch)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = Starlette(
        routes=[
            *predict.routes(service),
            *inference.routes(service),
            *metrics.routes(service),
            *description.routes(service),
            *page.routes(service.limits),
        ],
        lifespan=lifespan,
        exception_handlers={Refused: refuse, HTTPException: refuse_address},
        middleware=[
            Middleware(Observed, metrics=service.metrics),
            Middleware(BoundedBodies, admission=service.admission, limits=service.limits),
            Middleware(
                Guard,
                token=token,
                hosts=hosts,
                free=FREE,
                advice=ADVICE,
                body_bytes=service.limits.body_bytes,
            ),
        ],
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


async def refuse(request: Request, error: Exception) -> Response:
    """Answer with the status and the sentence of a refusal."""
    assert isinstance(error, Refused)
    return JSONResponse({"error": str(error)}, error.status, headers=headers_of(error))


async def refuse_address(request: Request, error: Exception) -> Response:
    """Answer to an address that there is not, or not with this method."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def headers_of(error: Refused) -> dict[str, str]:
    """Give ``Retry-After``, in whole seconds, if the request may succeed later."""
    if error.retry_after is None:
        return {}
    return {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
