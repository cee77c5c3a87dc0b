"""The notebooks among the examples run, and give what is stored in them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
LARGEST = 400_000  # bytes
SHARED = EXAMPLES.parent.parent / "shared"
MOBILENET = SHARED / "weights" / "mobilenet_1_0_224_no_top.weights.h5"
NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?")
# measured numbers, by their decimals: processors differ in the last digits of a feature map, and so
# now and then in the fate of an image, of which there are a few hundred
TOLERANCE = {1: 2.0, 2: 0.1, 3: 0.05}
TRAINED = 5  # times as much, after epochs of training all layers
# the last column of a study's table, seconds
TIMES = re.compile(r"<td[^>]*>(?:<b>)?[\d.]+(?:</b>)?</td></tr>")

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(cell: Any) -> Iterator[str]:
    """Yield what a cell put out: its text, and of a figure that there is one."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield f"{output.name}: {output.text}"
            continue
        assert output.output_type in ("display_data", "execute_result"), output
        if "image/png" in output.data:
            yield "a figure"
            continue
        page = output.data.get("text/html", output.data["text/plain"])
        yield TIMES.sub("</tr>", page) if "training, s" in page else page


def check_same(stored: str, fresh: str, times: float = 1) -> None:
    """Compare texts: words and counts exactly, measured numbers nearly."""
    # extrapolations and p-values magnify what is measured; times differ
    loose = re.compile(r"about [\d,]+ images|p (?:=|&lt;) [\d.]+|for [\w, ]+ training time")
    stored, fresh = loose.sub("…", stored), loose.sub("…", fresh)
    assert NUMBER.sub("#", stored) == NUMBER.sub("#", fresh)
    for one, other in zip(NUMBER.findall(stored), NUMBER.findall(fresh), strict=True):
        decimals = len(one.partition(".")[2])
        if not decimals:
            assert one == other
            continue
        expected, found = (float(text.replace(",", "")) for text in (one, other))
        assert found == pytest.approx(expected, abs=times * TOLERANCE[decimals]), (stored, fresh)


def test_it_is_stored_as_executed_and_tells_nothing_of_a_machine(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.encode()) < LARGEST
    outputs = json.dumps([cell.outputs for cell in code(read(path))])
    assert re.findall(r"(?:/home|/root|/tmp|/Users|[A-Z]:\\\\)[/\\]?\w*", outputs) == []
    assert '"stderr"' not in outputs
    assert outputs.count("image/png") >= 4
    cells = code(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@pytest.mark.slow
def test_it_gives_again_what_is_stored(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Jupyter's own files, so that they do not end in the user's home
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES), prepend=os.pathsep)
    if "MOBILENET_WEIGHTS" in path.read_text("utf-8"):
        if not MOBILENET.is_file():
            pytest.skip("needs MobileNet weights in ../shared")
        monkeypatch.setenv("MOBILENET_WEIGHTS", str(MOBILENET))
    stored, fresh = read(path), read(path)
    for cell in code(fresh):
        cell.outputs = []
    client = NotebookClient(
        fresh, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    for old, new in zip(code(stored), code(fresh), strict=True):
        for one, other in zip(said(old), said(new), strict=True):
            check_same(one, other, TRAINED if "MOBILENET" in str(stored) else 1)
