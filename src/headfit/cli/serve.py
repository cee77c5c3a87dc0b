"""``headfit serve``: answer HTTP requests with saved models."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from headfit.cli.command import Command
from headfit.cli.console import output, tell
from headfit.cli.options import MODEL, REPORTING, option
from headfit.cli.tables import literal, plain_table
from headfit.errors import UsageError

if TYPE_CHECKING:
    from headfit.serve.models import ServedModel

EXAMPLES = """\b
Examples:
  headfit serve headfit-run
  headfit serve cats=run-1/model.keras birds=run-2/model.keras --port 8642
  HEADFIT_TOKEN=$(cat token) headfit serve headfit-run --host 0.0.0.0
  headfit serve headfit-run --prepare && headfit serve headfit-run --read-only
  curl -F images=@photo.jpg http://127.0.0.1:8000/v1/predict
"""
SERVER, SAFETY = "Server", "Safety"
TOKEN = "HEADFIT_TOKEN"
SHOWN = 5  # names of classes in a line


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@option(
    SERVER,
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Address to listen on. Any other than the default needs --token or --insecure.",
)
@option(
    SERVER,
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    metavar="N",
    help="Port to listen on; 0 for any free one.",
)
@option(
    SERVER,
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Another name by which clients call this server, such as that of a reverse proxy. May be "
    "repeated.",
)
@option(
    SAFETY,
    "--token",
    metavar="TEXT",
    envvar=TOKEN,
    show_default=f"{TOKEN} of the environment",
    help="What clients must send, as Authorization: Bearer TEXT. Other users of this machine can "
    "read command lines: prefer the environment variable.",
)
@option(
    SAFETY,
    "--insecure",
    is_flag=True,
    help="Let other machines ask without a token. Nothing is encrypted.",
)
@option(
    SAFETY,
    "--read-only",
    is_flag=True,
    help="Write no file anywhere, the cache included; needs one --prepare before.",
)
@option(
    MODEL,
    "--prepare",
    is_flag=True,
    help="Open the models, cache what opening them takes, and exit.",
)
@REPORTING
def command(
    models: tuple[str, ...],
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    token: str | None,
    insecure: bool,
    read_only: bool,
    prepare: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Serve each MODEL, a model.keras or a run folder, over HTTP until Ctrl-C.

    NAME=PATH gives a model another name. POST /v1/predict takes image files; the Open Inference
    Protocol is below /v2; a page for people is at /. On a hang-up (SIGHUP) the models are read
    again. With --json, {"url": ...} is printed once requests are answered.
    """
    _check(host, allow_host, token, insecure)
    os.environ.pop(TOKEN, None)  # not for the processes that decode images
    if read_only:
        write_nothing()

    from headfit.serve.app import create_app  # noqa: PLC0415  (heavy)
    from headfit.web import listener  # noqa: PLC0415
    from headfit.web.hosts import Hosts, is_loopback  # noqa: PLC0415

    hosts = Hosts.of(host, allow_host, ports=not is_loopback(host))
    if prepare:
        app = create_app(models, tell=tell)
        app.state.service.prepare()
        return
    app = create_app(models, token=token, hosts=hosts, tell=tell)
    sock = listener.listen(host, port)
    url = hosts.url(sock.getsockname()[1])

    def ready() -> None:
        if not is_loopback(host):
            tell("WARNING: images and answers leave this machine unencrypted.")
        if as_json:
            click.echo(json.dumps({"url": url}))  # a line: nobody has to guess where it ends
        else:
            _show(app.state.service.models.values(), url)
        sys.stdout.flush()

    with _logged():
        listener.run(app, sock, ready=ready, reload=app.state.service.reload)


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Write what is logged to standard error, a line of JSON for each request."""
    from headfit.serve.logs import JsonLines  # noqa: PLC0415

    handler, logger = logging.StreamHandler(), logging.getLogger("headfit")
    handler.setFormatter(JsonLines())
    former = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(former)


def write_nothing() -> None:
    """Keep this process and its children from writing files."""
    from headfit.util import cache  # noqa: PLC0415

    cache.forbid_writing()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def _check(host: str, names: tuple[str, ...], token: str | None, insecure: bool) -> None:
    from headfit.web.hosts import is_loopback, is_name  # noqa: PLC0415

    for name in names:
        if not is_name(name):
            expected = "the name of a host without a port, such as photos.example.org"
            raise UsageError.invalid("allow_host", name, expected)
    # its value is in no message
    if token is not None and not (token and token.isprintable() and " " not in token):
        raise UsageError("`token` must be a text of printable characters without spaces.")
    if token is None and not insecure and not is_loopback(host):
        raise UsageError(
            f"`host={host!r}` lets other machines ask this server. Set a `token`, or `insecure` if "
            "everybody who can reach it may ask."
        )


def _show(models: Any, url: str) -> None:
    table = plain_table(("model", "network", "predicts", "size"), ())
    for model in models:
        table.add_row(*map(literal, _cells(model)))
    console = output()
    console.print(table)
    console.print(f"Serving: {url}", markup=False, soft_wrap=True)
    tell("Press Ctrl-C to stop.")


def _cells(model: ServedModel) -> tuple[str, ...]:
    record, size, names = model.classifier.record, model.contract, model.classes
    more = f", … ({len(names)})" if len(names) > SHOWN else ""
    return (
        model.name,
        f"{record.backbone} + {record.head}",
        ", ".join(names[:SHOWN]) + more,
        f"{size.height} × {size.width} px",
    )
