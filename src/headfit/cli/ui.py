"""``headfit ui``: serve the live page of a run, from another terminal."""

from __future__ import annotations

from pathlib import Path

import click

from headfit.cli.command import Command
from headfit.cli.console import tell, until_interrupted
from headfit.cli.options import DEBUG, PATH, option

EXAMPLES = """\b
Examples:
  headfit ui headfit-run                  the run of compare --out headfit-run
  headfit ui headfit-run --port 8642      the same address each time
"""
SERVER = "Server"


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("run", type=PATH)
@option(
    SERVER,
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    show_default="any free port",
    help="Port to listen on.",
)
@option(
    SERVER,
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Address to listen on. Any other than the default lets other machines see the run.",
)
@DEBUG
def command(run: Path, port: int | None, host: str, debug: bool) -> None:
    """Serve the page of RUN, the folder of a run, until Ctrl-C.

    During the run the page shows its progress and the scores of each head as they come. When the
    run is done, it becomes report.html.
    """
    from headfit.monitor.folder import RunFolder  # noqa: PLC0415  (heavy)
    from headfit.monitor.server import serving  # noqa: PLC0415
    from headfit.monitor.site import Site  # noqa: PLC0415
    from headfit.monitor.token import token_of  # noqa: PLC0415
    from headfit.web.hosts import is_loopback  # noqa: PLC0415

    site = Site(RunFolder(run).progress, run)
    with serving(site, token_of(run), host, port or 0) as address:
        if not is_loopback(host):
            tell(
                "WARNING: the run, its report and the images in it leave this machine unencrypted: "
                "whoever reads the traffic, or is given the address, can see them."
            )
        tell(f"Watch: {address}")
        until_interrupted()
