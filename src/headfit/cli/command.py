"""What all commands have in common: help in groups, and errors that name options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from headfit.cli.wording import command_line_errors
from headfit.errors import UsageError

_WORDS = re.compile(r"\[default: \((.+)\)(?:; [^]]*)?\]$")
_RANGE = re.compile(r"; (?:\d+<=)?x[<>]=\d+(?=\]$)|  \[(?:\d+<=)?x[<>]=\d+\]$")
OUTPUT = "Output"
"""The group of options that stands last; ``--help`` is one of it."""


class Option(click.Option):
    """An option in a group of the help, whose wrong values are errors like those of the library.

    Args:
        *args: as for click.
        group: title in the help.
        **attributes: as for click.
    """

    def __init__(self, *args: Any, group: str = OUTPUT, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Write names and help, with the default in plain words."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        return record[0], _RANGE.sub("", _WORDS.sub(r"[default: \1]", record[1]))

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Read the value; say what is expected if that fails."""
        try:
            return super().type_cast_value(ctx, value)
        except click.BadParameter:
            shown = int(value) if str(value).lstrip("-").isdecimal() else value
            raise UsageError.invalid(str(self.name), shown, _expected(self.type)) from None


class Command(click.Command):
    """A command that shows its options in groups, and names them in its errors."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the options."""
        with command_line_errors(self):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        with command_line_errors(self):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group under its title, in the order in which they first appear."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx) if isinstance(each, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(each, "group", OUTPUT), []).append(record)
        last = groups.pop(OUTPUT, [])
        for title, records in [*groups.items(), (OUTPUT, last)]:
            with formatter.section(title):
                formatter.write_dl(records)


def describe_click_error(error: click.ClickException) -> str:
    """Put an error of click's into one line of ours."""
    context = getattr(error, "ctx", None)
    help_hint = f" See {context.command_path} --help." if context is not None else ""
    if isinstance(error, click.NoSuchOption):
        near = _or(error.possibilities or ())
        return f"Unknown option '{error.option_name}'.{near}{help_hint}"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        option = isinstance(error.param, click.Option)
        name = error.param.opts[0] if option else error.param.human_readable_name
        return f"{name} is missing.{help_hint}"
    if isinstance(error, click.BadOptionUsage):
        return f"{error.option_name} needs a value.{help_hint}"
    return f"{error.format_message().rstrip('.')}.{help_hint}"


def _or(names: Sequence[str]) -> str:
    words = " or ".join(f"'{name}'" for name in sorted(names))
    return f" Did you mean {words}?" if words else ""


def _expected(kind: click.ParamType[Any]) -> str:
    """Say what values a type takes, after "must be"."""
    if isinstance(kind, click.Choice):
        return f"one of {', '.join(map(str, kind.choices))}"
    if isinstance(kind, click.IntRange):
        if kind.max is None:
            return f"an integer of at least {kind.min}"
        return f"an integer from {kind.min} to {kind.max}"
    if isinstance(kind, click.FloatRange):
        return f"a number of at least {kind.min:g}"
    return "an integer" if kind is click.INT else "a number"
