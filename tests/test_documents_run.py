"""Every command and every block of Python in the documents runs, on small inputs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from documented import Snippet, blocks, commands, small, write_world
from headfit.cli.main import main
from headfit.heads.chain import parse_head
from headfit.samples import shapes, targets

# they serve until they are interrupted: tests/monitor starts and stops them
SERVES = ("--watch", "headfit ui")
# a block that shows what to write, in the page on its left, and not what to run
SHOWN = {"docs/backbones.md": "MyLayer"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the files that the documents speak of, and the run that most of them start from."""
    folder = tmp_path_factory.mktemp("documented")
    write_world(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = small("headfit compare photos --keep gap,flatten --out headfit-run")
        assert main(words) == 0
        assert main(["board", "board.toml"]) == 0
    run = folder / "headfit-run"
    # the documents speak of a run that recommends flatten and keeps gap beside it
    (other,) = (run / "heads").iterdir()
    models = {other.stem: other.read_bytes()}
    models[({"gap", "flatten"} - {other.stem}).pop()] = (run / "model.keras").read_bytes()
    other.unlink()
    (run / "model.keras").write_bytes(models["flatten"])
    (run / "heads" / "gap.keras").write_bytes(models["gap"])
    for head, model in models.items():
        shutil.copytree(run, folder / f"{head}-run")
        (folder / f"{head}-run" / "model.keras").write_bytes(model)
    for name in ("run-1", "run-2"):
        shutil.copytree(run, folder / name)
    return folder


def distinct() -> list[Snippet]:
    """List the commands, of those that come to the same the first.

    First those with cuts: the graph that they build serves the whole backbone as well.
    """
    first: dict[tuple[str, ...], Snippet] = {}
    for command in commands():
        first.setdefault(tuple(small(command.text)), command)
    return sorted(first.values(), key=lambda command: "--cut" not in command.text)


def test_the_heads_of_the_commands_exist() -> None:
    """With their own numbers, smaller ones of which the commands below are run with."""
    values = [re.findall(r"--heads (\S+)", command.text) for command in commands()]
    names = {name for value in values for name in ",".join(value).split(",")}
    names = {name for name in names if name and ":" not in name and not name.endswith(".keras")}
    assert len(names) > 5
    for name in names:
        assert parse_head(name)


def needed(command: str) -> None:
    """Skip what needs a package that is not installed."""
    if "hub:" in command:
        pytest.importorskip("keras_hub")
    if "hf:" in command:
        pytest.importorskip("datasets")
    if "--track" in command:
        for package in ("alembic", "mlflow", "sqlalchemy", "tensorboardX", "wandb"):
            pytest.importorskip(package)
    if "int8" in command:
        pytest.importorskip("nncf")


def served_and_stopped(words: list[str]) -> int:
    """Start a server as the command does, but on a free port; stop it once it answers."""
    words = [sys.executable, "-m", "headfit", *words, "--port", "0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout and json.loads(server.stdout.readline())["url"]
            server.terminate()
            return server.wait(60)
        finally:
            server.kill()


@pytest.mark.parametrize("command", distinct(), ids=str)
def test_every_command_runs(
    command: Snippet,
    world: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    needed(command.text)
    if any(word in command.text for word in SERVES):
        pytest.skip("serves until it is interrupted")
    monkeypatch.chdir(world)
    monkeypatch.setattr(shapes, "PER_CLASS", {"train": 12, "test": 2})  # of the demo
    monkeypatch.setattr(targets, "COUNTS", {"train": 48, "test": 8})
    if command.text.startswith("headfit serve") and "--prepare" not in command.text:
        assert served_and_stopped(small(command.text)) == 0
        return
    code = main(small(command.text))
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize("page", sorted({block.page for block in blocks("python")}))
def test_every_block_of_python_runs(
    page: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page run in turn and share their names, as for a reader who types them."""
    monkeypatch.chdir(world)
    monkeypatch.setattr(sys, "path", [str(world), *sys.path])
    import headfit as hf  # noqa: PLC0415  (what the pages call it)
    from headfit.model.classifier import Classifier  # noqa: PLC0415

    compare, rank = hf.compare, hf.rank
    fast = {"protocol": "quick", "size": 64, "weights": "random", "curve": False}
    monkeypatch.setattr(hf, "compare", lambda *a, **k: compare(*a, **{**fast, **k}))
    monkeypatch.setattr(
        hf, "rank", lambda *a, **k: rank(*a, **{"size": 64, "weights": "random", **k})
    )
    small = {"backbone": "my-model.keras", "engine": "keras", "folds": 3, "views": 2}
    finetune, lr_find = hf.finetune, hf.lr_find
    monkeypatch.setattr(hf, "finetune", lambda *a, **k: finetune(*a, **{**small, "epochs": 1, **k}))
    monkeypatch.setattr(hf, "lr_find", lambda *a, **k: lr_find(*a, **{**small, "steps": 10, **k}))
    classifier = Classifier.load(world / "headfit-run" / "model.keras")
    contract = classifier.contract
    names = {
        "hf": hf,
        "paths": [world / "new.jpg", world / "photo.jpg"],
        "labels": ["two", "five"],
        "pixels": np.zeros((2, contract.height, contract.width, 3), np.uint8),
    }
    for block in blocks("python"):
        if block.page == page and SHOWN.get(page, "\0") not in block.text:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                exec(compile(block.text, str(block), "exec"), names)
