"""``headfit ui``: look on while a run goes on, from another terminal."""

from __future__ import annotations

from pathlib import Path

import click

from headfit.cli.command import Command

EXAMPLES = """\b
Examples:
  headfit ui headfit-run                  the run that compare --out headfit-run is making
  headfit ui headfit-run --port 8642      the same address each time
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="To listen on.  [default: any that is free]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any but the default lets others look on.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(run: Path, port: int | None, host: str, debug: bool) -> None:
    """Serve the page of RUN, the folder of a run that goes on or is done, until Ctrl-C.

    While the run goes on, the page shows its progress by stage and the scores of each head as they
    come; then it becomes report.html.
    """
    from headfit.cli.watching import until_interrupted  # noqa: PLC0415  (heavy)
    from headfit.monitor.folder import RunFolder  # noqa: PLC0415
    from headfit.monitor.server import is_loopback, serving  # noqa: PLC0415
    from headfit.monitor.site import Site  # noqa: PLC0415

    site = Site(RunFolder(run).progress, run)
    with serving(site, host, port or 0) as address:
        if not is_loopback(host):
            click.echo(
                f"WARNING: on {host} everyone who can reach this machine sees the run, its report "
                f"and the images in it.",
                err=True,
            )
        click.echo(f"Watch: {address}", err=True)
        until_interrupted()
