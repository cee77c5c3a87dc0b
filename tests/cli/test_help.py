"""The help of each command: in groups, with the choices that the library has."""

from __future__ import annotations

from importlib import import_module

import click
import pytest

from headfit.backbones.engines.engine import ENGINES, PRECISIONS
from headfit.backbones.spec import MODES
from headfit.cli.command import OUTPUT, Command, Option
from headfit.cli.main import COMMANDS, main
from headfit.conversion.conversion import TARGETS
from headfit.features.store import DTYPES
from headfit.heads.presets import DEFAULT_HEADS
from headfit.runs.options import PROTOCOLS, Options

ALL = {name: import_module(f"headfit.cli.{name.replace('-', '_')}").command for name in COMMANDS}


def option(command: str, name: str) -> click.Option:
    (found,) = [each for each in ALL[command].params if each.name == name]
    assert isinstance(found, click.Option)
    return found


def leaves() -> list[click.Command]:
    groups = [each.commands.values() for each in ALL.values() if isinstance(each, click.Group)]
    plain = [each for each in ALL.values() if not isinstance(each, click.Group)]
    return [*plain, *(each for group in groups for each in group)]


def test_every_option_has_a_group_and_a_sentence() -> None:
    for command in leaves():
        assert isinstance(command, Command)
        for each in command.params:
            if isinstance(each, click.Option):
                assert isinstance(each, Option), each.name
                assert (each.help or "").endswith(".") or each.name == "protocol", each.name


def test_help_is_in_groups_and_output_is_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    groups = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["Data:", "Backbone:", "Heads:", "Protocol:", f"{OUTPUT}:"]
    output = lines[lines.index(f"{OUTPUT}:") :]
    assert [line.split()[0] for line in output[1:7]] == [
        *("--out", "--watch", "--track", "--json", "--debug", "-h,"),
    ]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("command", "name", "choices"),
    [
        ("compare", "protocol", PROTOCOLS),
        ("compare", "engine", ENGINES),
        ("compare", "precision", PRECISIONS),
        ("compare", "preprocessing", MODES),
        ("compare", "feature_dtype", DTYPES),
        ("convert", "to", TARGETS),
        ("convert", "preprocessing", MODES),
        ("rank", "engine", ENGINES),
    ],
)
def test_choices_are_those_of_the_library(command: str, name: str, choices: object) -> None:
    kind = option(command, name).type
    assert isinstance(kind, click.Choice)
    assert list(kind.choices) == list(choices)  # type: ignore[call-overload]


@pytest.mark.parametrize("command", ["compare", "demo"])
def test_defaults_are_those_of_the_library(command: str) -> None:
    for name, field in Options.__dataclass_fields__.items():
        assert option(command, name).to_info_dict()["default"] in (field.default, None), name
    assert option(command, "heads").show_default == ",".join(DEFAULT_HEADS)
