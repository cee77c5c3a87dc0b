"""Damaged and hostile files of a run folder: each is one line that names the file."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stored_kinds
import stored_run
from headfit.cli.main import main
from headfit.errors import DataError, HeadfitError
from headfit.images.read_ahead import ImageLike
from headfit.model.prediction import Prediction
from headfit.model.prediction_file import PredictionFile
from headfit.model.prediction_formats import format_of
from headfit.monitor.folder import RunFolder
from headfit.monitor.record import Recorder
from headfit.monitor.site import Site
from headfit.progress import Callback, HeadScore
from headfit.report.view import paths_in, read_predictions
from headfit.study.protocol.ledger import Ledger
from headfit.util import cache, files
from headfit.util.records import parse_json

DAMAGED = [
    b"",
    b"{",
    b"null",
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 200_000,
    b'{"schema": NaN}',
    b'{"schema": 1e999}',
    b'{"schema": ' + b"9" * 400 + b"}",
    b'{"schema": ' + b"9" * 9999 + b"}",
    "{}".encode("utf-16"),
]
VALUES: list[Any] = [None, "x", -1, True, 10**300, 1e308, [], {}, [[]], {"a": [1]}]


@pytest.mark.parametrize("data", [each for each in DAMAGED if each != b"null"])
def test_what_is_no_json_of_ours_is_one_error_that_names_the_file(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^'run/results\.json' is not valid JSON: [^\n]{1,200}$"):
        parse_json(data, Path("run/results.json"))


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of all values, of lists only the first."""
    inner: list[Any] = []
    if isinstance(data, dict):
        inner = list(data)
    elif isinstance(data, list) and data:
        inner = [0]
    return [path, *(each for key in inner for each in places(data[key], (*path, key)))]


def changed(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    data = inner = copy.deepcopy(data)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


def predict(images: Iterable[ImageLike]) -> Iterator[Prediction]:
    return (Prediction(str(image), None, "") for image in images)


def one_line_or_none(call: Callable[[], object]) -> None:
    try:
        call()
    except HeadfitError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("candidates",), []),  # StopIteration
        (("verdict", "recommended"), "nobody"),
        (("candidates", 0, "parameters", "total"), 0),  # ZeroDivisionError
        (("candidates", 0, "balanced_accuracy", "mean"), 10**300),
        (("candidates", 0, "map_shape"), [10**9, 10**9, 1]),
        (("reliability", "confusion"), [["x"]]),
        (("settings",), None),
        (("where",), [[1]]),
    ],
)
def test_results_that_the_page_cannot_show_are_one_line(
    at: tuple[Any, ...], value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = changed(stored_run.results(), at, value)
    (tmp_path / "results.json").write_text(json.dumps(results), "utf-8")
    code = main(["report", str(tmp_path)])
    error = capsys.readouterr().err
    assert code in (0, 1)
    if code:
        assert error.startswith(f"Error: '{tmp_path}/results.json' lacks values that the page")
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("made", "at", "value"),
    [
        (stored_kinds.labels, ("targets", "kind"), "<b>"),
        (stored_kinds.labels, ("targets", "kind"), "number"),
        (stored_kinds.labels, ("verdict", "metric"), "r3"),
        (stored_kinds.labels, ("reliability", "labels", 0, "threshold"), "x"),
        (stored_kinds.labels, ("reliability", "cooccurrence"), [[1e308]]),
        (stored_kinds.numbers, ("targets", "names"), []),
        (stored_kinds.numbers, ("reliability", "intervals", "half_widths"), [None]),
        (stored_kinds.numbers, ("reliability", "points", "true"), [[1, 2, 3]]),
        (stored_kinds.numbers, ("reliability", "points", "true"), [[[[]]]] * 600),
        (stored_kinds.numbers, ("reliability", "columns", 0, "std"), 0),
        (stored_kinds.numbers, ("reliability", "suspects", 0, "label"), "<script>"),
        (stored_kinds.numbers, ("candidates", 0, "r2", "mean"), -1e300),
    ],
)
def test_results_of_other_targets_are_shown_or_one_line(
    made: Callable[[], stored_kinds.Made],
    at: tuple[Any, ...],
    value: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = changed(made().results, at, value)
    (tmp_path / "results.json").write_text(json.dumps(results), "utf-8")
    code = main(["report", str(tmp_path)])
    error = capsys.readouterr().err
    assert code in (0, 1) and error.count("\n") == code
    assert code == 0 or error.startswith(f"Error: '{tmp_path}/results.json' lacks values")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text.replace("path", "file", 1),
        lambda text: text + "\x00,\n",
        lambda text: text + '"' + "x" * 200_000,  # csv.Error: field larger than field limit
        lambda text: text + "a,b\n",
        lambda text: text.replace("0.", "nan", 1).replace("0.", "7.", 5),
    ],
)
def test_predictions_of_no_run_are_one_error(damage: Callable[[str], str]) -> None:
    text = damage(stored_run.predictions_csv())
    classes = list(stored_run.results()["images"]["classes"])
    with pytest.raises(DataError, match=r"^predictions\.csv does not belong to this run"):
        read_predictions(text, classes)
    one_line_or_none(lambda: paths_in(text, 20))


def test_a_progress_file_of_any_content_is_shown_or_refused(tmp_path: Path) -> None:
    score = {"mean": 0.9, "low": 0.8, "high": 0.95, "folds": [0.9]}
    with Recorder(tmp_path, "photos") as recorder:
        recorder.on_stage_begin("Fitting", 5, "images")
        recorder.on_progress(2)
        recorder.on_head_end(HeadScore("gap", score, score, 10, 1.0))
        recorder.on_message("a message")
    path = tmp_path / "progress.json"
    sound = json.loads(path.read_text("utf-8"))

    def show() -> None:
        site = Site(RunFolder(tmp_path).progress, tmp_path)
        for page in ("/", "/progress.json"):
            site.answer(page)

    show()
    variants = [changed(sound, at, value) for at in places(sound)[1:] for value in VALUES]
    for data in [*DAMAGED, *(json.dumps(each).encode() for each in variants)]:
        path.write_bytes(data)
        one_line_or_none(show)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_journal_of_any_content_is_continued_or_refused(suffix: str, tmp_path: Path) -> None:
    model, out = tmp_path / "model.keras", tmp_path / f"p{suffix}"
    model.write_bytes(b"")

    def write() -> None:
        form = format_of(out, ("a", "b"), 1)
        PredictionFile(out, model, form).write([], predict, Callback(), False)

    form = format_of(out, ("a", "b"), 1)
    file = PredictionFile(out, model, form)
    sound = {**file._facts, "images": 3, "bytes": 9, "names": "x", "unreadable": 0}
    sound |= {"classes": {"a": 3}, "complete": False, "model": "m"}
    for data in [
        *DAMAGED,
        *(json.dumps(changed(sound, at, v)).encode() for at in places(sound)[1:] for v in VALUES),
    ]:
        out.with_name(f"{out.name}.json").write_bytes(data)
        out.with_name(f"{out.name}.partial").write_bytes(b"damaged, at length")
        one_line_or_none(write)


def test_predictions_are_not_written_through_a_link(tmp_path: Path) -> None:
    """In a folder from a stranger, ``predictions.csv.partial`` may lead to a file of the user's."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "p.csv.partial").symlink_to(tmp_path / "mine")
    (tmp_path / "m").touch()
    file = PredictionFile(tmp_path / "p.csv", tmp_path / "m", format_of(Path("p.csv"), ("a",), 1))
    with pytest.raises(HeadfitError, match="Cannot write"):
        file.write([], predict, Callback(), False)
    assert (tmp_path / "mine").read_text() == "mine"


def test_damaged_fits_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    np.savez(path, facts=np.frombuffer(b"{}", np.uint8), probabilities=np.ones((9, 2)))
    sound, ledger, rng = path.read_bytes(), Ledger.__new__(Ledger), np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(sound)
        data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(bytes(data))
        found = ledger._read(path)
        assert found is None or set(found[0]) <= {"probabilities"}
        cache.damage(path)
    for facts in (b"[" * 200_000, b"[]", b"\xff"):
        np.savez(path, facts=np.frombuffer(facts, np.uint8))
        assert ledger._read(path) is None


def test_a_deep_record_of_a_cache_is_damaged(tmp_path: Path) -> None:
    files.write_text(tmp_path / "x.json", "[" * 200_000)
    assert cache.damage(tmp_path / "x.json") == ["x.json"]
