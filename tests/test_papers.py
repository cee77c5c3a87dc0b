"""The papers at the door speak of what is there: files, tests, the order of the packages."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from test_structure import LAYERS

ROOT = Path(__file__).parent.parent
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
RECORDS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
PACKAGE = ROOT / "src" / "headfit"


def section(title: str) -> str:
    """Give a section of ARCHITECTURE.md."""
    return ARCHITECTURE.split(f"## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_every_decision_names_tests_that_exist(record: Path) -> None:
    text = record.read_text("utf-8")
    assert len(text.splitlines()) < 60, "a page at most"
    guards = re.findall(r"- `(tests/[^`:]+)::(\w+)`", text.split("## Guarded by")[1])
    assert guards
    for file, name in guards:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, file


def test_every_decision_is_listed() -> None:
    listed = re.findall(r"\((0\S+\.md)\)", (RECORDS[0].parent / "index.md").read_text("utf-8"))
    assert listed == [record.name for record in RECORDS]


@pytest.mark.parametrize(
    ("title", "most"), [("From image bytes to the report", 45), ("From gap-1024 to predict", 30)]
)
def test_the_journeys_pass_through_files_that_exist(title: str, most: int) -> None:
    files = re.findall(r"(?m)^\d+\. `([^`]+)`", section(title))
    assert 10 < len(files) <= most
    assert [file for file in files if not (PACKAGE / file).is_file()] == []


def test_the_order_of_the_packages_is_that_of_the_test() -> None:
    rows = re.findall(r"(?m)^\| ([`\w, ]+) \|", section("Packages, from low to high"))
    order = [tuple(re.findall(r"`(\w+)`", row)) for row in rows]
    assert [names for names in order if names] == [
        names for names in LAYERS if names != ("__main__",)
    ]


def test_the_readme_has_the_same_order() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    block = text.split("<!-- order -->")[1].split("<!-- end -->")[0]
    flat = [name for names in LAYERS for name in names if name != "__main__"]
    assert re.findall(r"`(\w+)`", block) == flat


@pytest.mark.slow
def test_the_documentation_site_builds_strictly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "reference" / "api" / "index.html").is_file()
