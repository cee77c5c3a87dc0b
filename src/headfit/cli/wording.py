"""Messages of the library in the words of the command line.

The library names its arguments as Python does: ```` `folds` must be an integer of at least 3.
Received: folds=2. ```` Here they become the options and arguments of the command that runs. The
names are read off the command itself, so the two cannot drift apart.
"""

from __future__ import annotations

import ast
import contextlib
import re
import shlex
from collections.abc import Iterator

import click

from headfit.errors import HeadfitError
from headfit.progress import CallbackList

# code in backticks, at the edge of a word: the name of a file may hold backticks too
_CODE = re.compile(r"(?<![\w/`])`([^`\n]+)`(?![\w/`])")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:=(.+))?")
_RECEIVED = re.compile(r"\bReceived: ([A-Za-z_]\w*)=")
_PATH = re.compile(r"\b(?:Posix|Windows)Path\((['\"].*?['\"])\)")


def in_command_line_words(message: str, command: click.Command | None = None) -> str:
    """Name options instead of Python's arguments.

    Args:
        message: of an error or a callback.
        command: whose options are meant; the one that runs if None. Without any, the message
            stays as it is.

    Example:

    >>> folds = click.Command("compare", params=[click.Option(["--folds"])])
    >>> in_command_line_words("`folds` must be at least 3. Received: folds=2.", folds)
    '--folds must be at least 3. Received: 2.'
    """
    if command is None:
        context = click.get_current_context(silent=True)
        if context is None:
            return message
        command = context.command
    parameters = {each.name: each for each in command.params if each.name}

    def received(match: re.Match[str]) -> str:
        return "Received: " if match[1] in parameters else match[0]

    def code(match: re.Match[str]) -> str:
        assignment = _ASSIGNMENT.fullmatch(match[1])
        parameter = parameters.get(assignment[1]) if assignment else None
        if assignment is None or parameter is None:
            return match[1]
        return _option(parameter, assignment[2])

    message = _PATH.sub(r"\1", _RECEIVED.sub(received, message))
    return _CODE.sub(code, message)


@contextlib.contextmanager
def command_line_errors(command: click.Command | None = None) -> Iterator[None]:
    """Reword the errors that leave this context."""
    try:
        yield
    except HeadfitError as error:
        error.args = (in_command_line_words(str(error), command),)
        raise


class CommandLineWords(CallbackList):
    """Passes every call on, and messages in the words of the command that runs."""

    def on_message(self, message: str) -> None:
        """Reword it and pass it on."""
        super().on_message(in_command_line_words(message))


def _option(parameter: click.Parameter, value: str | None) -> str:
    """Write a parameter, with its value if there is one, as on the command line."""
    if isinstance(parameter, click.Argument):
        name = parameter.human_readable_name
        return name if value is None else f"{name} {_shell(value)}"
    name = parameter.opts[0]
    if value is None or value == "True":
        return name
    if value == "False":
        return parameter.secondary_opts[0] if parameter.secondary_opts else f"no {name}"
    return f"{name} {_shell(value)}"


def _shell(value: str) -> str:
    """Write a value of Python's as a word of the command line."""
    try:
        literal = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    items = literal if isinstance(literal, list | tuple) else [literal]
    return shlex.quote(",".join(map(str, items)))
