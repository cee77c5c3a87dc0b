"""The requests that docs/serve.md shows are answered by a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import classifiers
import headfit as hf
from conformance.own_server import small_model
from documented import Snippet, blocks
from headfit.model.metadata import kept_path
from photos import write_photo
from serving import served

PAGE = "docs/serve.md"
ADDRESS = re.compile(r"(http://)?(127\.0\.0\.1|gpu-box):8000")
STARTS = ("headfit ", "HEADFIT_TOKEN=")  # servers, which other tests start


def of_page(language: str) -> list[Snippet]:
    return [block for block in blocks(language) if block.page == PAGE]


def with_curl() -> list[Snippet]:
    found = []
    for block in of_page("bash"):
        lines = [line for line in block.text.splitlines() if not line.startswith(STARTS)]
        if any("curl " in line for line in lines):
            found.append(Snippet(block.page, block.line, "\n".join(lines)))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documented")
    run = folder / "headfit-run"
    (run / "heads").mkdir(parents=True)
    small_model(folder).rename(run / "model.keras")
    classifiers.random_classifier("flatten", kept_path(run, "flatten"))
    rng = np.random.default_rng(0)
    for number, name in enumerate(("photo.jpg", "new.jpg")):
        write_photo(folder / name, number, rng)
    (folder / "token").write_text("secret", "utf-8")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with served(hf.serve.create_app(folder / "headfit-run")) as url:
        yield url


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
@pytest.mark.parametrize("block", with_curl(), ids=str)
def test_curl_is_answered(block: Snippet, folder: Path, url: str):
    strict = 'set -euo pipefail\ncurl() { command curl -sS --fail-with-body "$@"; }\n'
    script = strict + ADDRESS.sub(url, block.text)
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"error":"' not in done.stdout


def test_the_page_shows_curl_for_both_protocols():
    text = "\n".join(block.text for block in with_curl())
    assert "/v1/predict" in text
    assert "/infer" in text


@pytest.mark.parametrize("block", of_page("py"), ids=str)
def test_the_client_of_the_page_is_answered(
    block: Snippet,
    folder: Path,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(folder)
    code = ADDRESS.sub(url.removeprefix("http://"), block.text)
    exec(compile(code, str(block), "exec"), {})
    assert "(2, 3)" in capsys.readouterr().out
