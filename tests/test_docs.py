"""What the documents say of commands, options and files is held against the code."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from headfit.backbones import catalog
from headfit.cli.main import COMMANDS, group
from headfit.heads.pooling import pooling_names
from headfit.heads.presets import PRESETS
from headfit.samples.catalog import names as sample_names

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}


def _commands() -> list[tuple[str, str]]:
    found = []
    for page, text in TEXT.items():
        for block in re.findall(r"```(?:bash|sh|console)?\n(.*?)```", text, re.DOTALL):
            found += [(page.name, line) for line in re.findall(r"(?m)^headfit .*$", block)]
    return found


@pytest.mark.parametrize(("page", "line"), _commands())
def test_every_command_in_the_documents_exists_with_its_options(page: str, line: str) -> None:
    words = line.split("#")[0].split()
    if words[1].startswith("-"):
        return
    context = click.Context(group)
    command = group.get_command(context, words[1])
    if isinstance(command, click.Group) and not words[2].startswith("-"):
        command = command.get_command(context, words[2])
    assert command is not None, line
    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    for word in words[2:]:
        if word.startswith("--") and word != "--help":
            assert word.split("=")[0] in known, f"{page}: {line}"


def test_every_option_is_documented() -> None:
    text = "\n".join(TEXT.values())
    context = click.Context(group)
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        parts = command.commands.values() if isinstance(command, click.Group) else ()
        for option in (option for each in (command, *parts) for option in each.params):
            if isinstance(option, click.Option):
                assert option.opts[-1] in text, f"{name} {option.opts[-1]}"


@pytest.mark.parametrize("kind", ["heads", "presets", "samples", "backbones"])
def test_every_name_is_documented(kind: str) -> None:
    names = {
        "heads": list(pooling_names()),
        "presets": list(PRESETS),
        "samples": list(sample_names()),
        "backbones": catalog.names(),
    }[kind]
    text = "\n".join(TEXT.values())
    assert [name for name in names if f"`{name}`" not in text] == []


def test_links_between_the_documents_lead_somewhere() -> None:
    for page, text in TEXT.items():
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
