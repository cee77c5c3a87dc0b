"""``GET /metrics``: counters in the format of Prometheus."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headfit.serve.metrics import CONTENT_TYPE
from headfit.serve.service import Service


def routes(service: Service) -> list[Route]:
    """Give the address ``/metrics``."""

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return [Route("/metrics", metrics)]
