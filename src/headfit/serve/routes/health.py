"""Whether the process lives, and whether it takes requests."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headfit.serve.service import Service


def routes(service: Service) -> list[Route]:
    """Give the addresses ``/health/live`` and ``/health/ready``."""

    async def live(request: Request) -> Response:
        return _answer("live", service.live)

    async def ready(request: Request) -> Response:
        return _answer("ready", service.ready)

    return [Route("/health/live", live), Route("/health/ready", ready)]


def _answer(word: str, value: bool) -> Response:
    return JSONResponse({word: value}, 200 if value else 503)
