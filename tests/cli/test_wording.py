"""Arguments of Python become options of the command line."""

from __future__ import annotations

import inspect
from importlib import import_module

import click
import pytest

import headfit as hf
from headfit.cli.main import COMMANDS
from headfit.cli.wording import CommandLineWords, command_line_errors, in_command_line_words
from headfit.errors import UsageError
from listener import Listener

COMPARE = import_module("headfit.cli.compare").command


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "`folds` must be an integer of at least 3. Received: folds=2.",
            "--folds must be an integer of at least 3. Received: 2.",
        ),
        ("Set `near_duplicates=False` to keep them.", "Set --no-near-duplicates to keep them."),
        ("Set `where=True`.", "Set --where."),
        ("`feature_dtype='float32'` takes more.", "--feature-dtype float32 takes more."),
        ("Try `size=[96, 160]` or `cut='a b'`.", "Try --size 96,160 or --cut 'a b'."),
        ("`images` must be a folder.", "SOURCE must be a folder."),
        ("`watch=False`", "no --watch"),
        # what is no option of the command is only written without its marks
        ("Run `pip install headfit[int8]`.", "Run pip install headfit[int8]."),
        ("`lambda_` is large. Received: lambda_=2.", "lambda_ is large. Received: lambda_=2."),
        ("'photos/`folds`/a.jpg' cannot be read.", "'photos/`folds`/a.jpg' cannot be read."),
        ("`out` must be new. Received: out=PosixPath('a')", "--out must be new. Received: 'a'"),
        ("Nothing to change: folds=2, 5 × 10 folds", "Nothing to change: folds=2, 5 × 10 folds"),
    ],
)
def test_names_of_arguments_become_options(message: str, words: str) -> None:
    assert in_command_line_words(message, COMPARE) == words
    assert in_command_line_words(words, COMPARE) == words


def test_without_a_command_a_message_stays() -> None:
    assert in_command_line_words("`folds` is 2") == "`folds` is 2"


def test_errors_keep_their_type_and_their_parts() -> None:
    with pytest.raises(UsageError) as caught, command_line_errors(COMPARE):
        raise UsageError.invalid("folds", 2, "at least 3")
    assert str(caught.value) == "--folds must be at least 3. Received: 2."
    assert (caught.value.argument, caught.value.received) == ("folds", "2")


def test_messages_reach_callbacks_in_the_words_of_the_command_that_runs() -> None:
    listener = Listener()
    with click.Context(COMPARE):
        CommandLineWords(listener).on_message("`rope=0.02` is wider.")
    assert listener.lines == ["--rope 0.02 is wider."]


SURFACE = {"as_json", "debug", "out", "quick", "track", "watch"}
"""What the command line has beside the arguments of the function."""


@pytest.mark.parametrize("command", ["compare", "rank", "convert", "inspect"])
def test_options_have_the_names_of_the_arguments_in_python(command: str) -> None:
    arguments = set(inspect.signature(getattr(hf, command)).parameters) - {"callbacks"}
    parameters = {each.name for each in import_module(f"headfit.cli.{command}").command.params}
    assert arguments <= parameters <= arguments | SURFACE


def test_every_command_can_be_worded() -> None:
    for name in COMMANDS:
        command = import_module(f"headfit.cli.{name.replace('-', '_')}").command
        for parameter in command.params:
            assert "`" not in in_command_line_words(f"`{parameter.name}`", command)
