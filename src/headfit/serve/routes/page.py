"""``GET /``: a page on which people classify images."""

from __future__ import annotations

from importlib.resources import files as resources

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from headfit.report.policy import source
from headfit.report.templates import environment
from headfit.serve.limits import Limits

SCRIPTS = ("drawing.js", "page.js")


def routes(limits: Limits) -> list[Route]:
    """Give the address ``/``.

    The page names no model and needs no token: its script asks ``/v1/models`` with one.

    Args:
        limits: what the page tells people before they send too much.
    """
    style = _text("headfit.report", "style.css") + _text("headfit.serve.page", "page.css")
    script = "".join(_text("headfit.serve.page", name) for name in SCRIPTS)
    template = environment().from_string(_text("headfit.serve.page", "page.html.j2"))
    body = template.render(style=style, script=script, file_bytes=limits.file_bytes)
    headers = {"Content-Security-Policy": policy(style, script)}

    async def page(request: Request) -> Response:
        return HTMLResponse(body, headers=headers)

    return [Route("/", page)]


def policy(style: str, script: str) -> str:
    """Allow the page this style, this script, pictures that it holds itself, and its own server."""
    return (
        f"default-src 'none'; style-src {source(style)}; script-src {source(script)}; "
        "connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _text(package: str, name: str) -> str:
    return (resources(package) / name).read_text("utf-8")
