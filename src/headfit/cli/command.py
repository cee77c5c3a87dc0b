"""What all commands have in common: help in groups, errors in the words of the command line."""

from __future__ import annotations

from typing import Any

import click

from headfit.cli.wording import command_line_errors


class Command(click.Command):
    """A command whose errors name its options."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        with command_line_errors(self):
            return super().invoke(ctx)
