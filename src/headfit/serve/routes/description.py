"""``GET /openapi.json``: the description of all addresses."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headfit.serve.openapi.document import document
from headfit.serve.service import Service


def routes(service: Service) -> list[Route]:
    """Give the address ``/openapi.json``."""
    text = document(service.names[0], service.limits)

    async def description(request: Request) -> Response:
        return JSONResponse(text)

    return [Route("/openapi.json", description)]
