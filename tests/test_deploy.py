"""The files for deployment: what they run exists, and they give no more rights than needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parent.parent / "deploy"
UNIT = (DEPLOY / "headfit.service").read_text("utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
STEPS = re.findall(r"(?m)^([A-Z]+) (.+(?:\n    .+)*)", DOCKERFILE)


def test_the_options_of_the_commands_exist() -> None:
    options = {
        name for each in import_module("headfit.cli.serve").command.params for name in each.opts
    }
    lines = [
        line
        for line in f"{UNIT}\n{DOCKERFILE}".splitlines()
        if re.search(r'headfit"?,? "?serve', line) and not line.startswith("#")
    ]
    used = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
    assert {"--prepare", "--read-only", "--port", "--host"} <= used <= options


def test_the_container_runs_without_rights_and_writes_nothing() -> None:
    names = [name for name, _ in STEPS]
    steps = dict(STEPS)
    assert steps["USER"].isdecimal() and int(steps["USER"]) > 0
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert '"--read-only"' in steps["ENTRYPOINT"]
    # nothing is fetched by address, and the shell is not the process that gets TERM
    assert "ADD" not in names and "http://1" not in steps["ENTRYPOINT"]
    assert steps["ENTRYPOINT"].startswith("[") and steps["CMD"].startswith("[")
    assert all(
        re.fullmatch(r"[\w./-]+:[\w.-]+( AS \w+)?", text) for n, text in STEPS if n == "FROM"
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_valid_and_exposed_little(tmp_path: Path) -> None:
    unit = tmp_path / "headfit.service"
    unit.write_text(UNIT.replace("/opt/headfit/bin/headfit", sys.executable), "utf-8")
    analyze = ["systemd-analyze", "--man=no"]
    found = subprocess.run(
        [*analyze, "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    found = subprocess.run(
        [*analyze, "security", "--offline=true", "--threshold=15", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-500:]
