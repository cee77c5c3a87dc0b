"""A run in MLflow, TensorBoard and Weights & Biases: written by them, and read back."""

from __future__ import annotations

import json
import os
import re
import struct
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import stored_run
from headfit.cli.main import main
from headfit.cli.tracking import record, tracker_for
from headfit.errors import DataError, UnknownNameError, UsageError, WriteError
from headfit.tracking import tracker
from headfit.tracking.record import RunRecord
from headfit.tracking.tracker import Tracker

pytestmark = pytest.mark.slow
LIBRARIES = ("mlflow", "tensorboard", "wandb")
FIGURES = {"scores", "posterior", "spectrum", "cost", "overfit", "learning_curve"}
FIGURES |= {"calibration", "classes", "confusion"}
MODEL = b"the model " * 100


@pytest.fixture(scope="module", autouse=True)
def nothing_of_the_users() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith(("MLFLOW_", "WANDB_"))]:
            if not name.endswith("_DIR"):
                patch.delenv(name)
        yield


def write_run(folder: Path, results: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results), "utf-8")
    (folder / "model.keras").write_bytes(MODEL)
    (folder / "predictions.csv").write_text(stored_run.predictions_csv(), "utf-8")
    return folder


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The stored run, recorded by all three; where, and where they say it is."""
    for package in ("alembic", "mlflow", "sqlalchemy", "tensorboardX", "wandb"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("tracked")
    run = write_run(folder / "run", stored_run.results())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        before = dict(os.environ)
        places = Tracker(LIBRARIES).log(run)
        variables = {name for name in os.environ if name.startswith(("MLFLOW_", "WANDB_"))}
        # wandb itself notes its process; any other would send the user's own runs elsewhere
        assert variables <= {*before, "WANDB_SERVICE"}
    return folder, places


def gap() -> dict[str, Any]:
    return next(row for row in stored_run.results()["candidates"] if row["name"] == "gap")


def test_mlflow_has_scores_folds_settings_plots_and_the_model(
    tracked: tuple[Path, dict[str, str]],
) -> None:
    folder, places = tracked
    mlflow = pytest.importorskip("mlflow")
    uri, number = places["mlflow"].split(", run ")
    assert uri == f"sqlite:///{folder}/mlflow.db"
    client, score = mlflow.MlflowClient(uri), gap()["balanced_accuracy"]
    run = client.get_run(number)
    assert run.info.status == "FINISHED" and run.info.run_name == "run"
    metrics = run.data.metrics
    names = ("balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high")
    ends = [score[end] for end in ("mean", "low", "high")]
    assert [metrics[f"{name}/gap"] for name in names] == ends
    assert metrics["recommended/parameters_head"] == gap()["parameters"]["head"]
    history = client.get_metric_history(number, "balanced_accuracy_folds/gap")
    assert [point.value for point in sorted(history, key=lambda p: p.step)] == score["folds"]
    curve = client.get_metric_history(number, "learning_curve/flatten")
    assert [point.step for point in curve] == [25, 35, 50]
    results = stored_run.results()
    parameters = run.data.params
    assert parameters["fingerprint_data"] == results["fingerprint"]["data"]
    assert parameters["version_keras"] == results["settings"]["versions"]["keras"]
    assert (parameters["protocol"], parameters["size"], parameters["seed"]) == ("quick", "64", "0")
    assert run.data.tags["headfit.command"] == results["settings"]["command"]
    (home,) = folder.glob(f"mlruns/*/{number}/artifacts")
    files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.png" for name in FIGURES}
    assert files == {"model/model.keras", "results.json", *figures}
    assert (home / "model/model.keras").read_bytes() == MODEL


def test_tensorboard_has_scores_folds_settings_and_plots(
    tracked: tuple[Path, dict[str, str]],
) -> None:
    folder, places = tracked
    events = pytest.importorskip("tensorboardX.proto.event_pb2")
    assert Path(places["tensorboard"]).parent == folder / "run" / "tensorboard"
    (path,) = Path(places["tensorboard"]).iterdir()
    scalars, images, others = defaultdict(list), set(), {}
    data = path.read_bytes()
    while data:  # length, its checksum, the event, its checksum
        (length,) = struct.unpack("<Q", data[:8])
        event = events.Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]
        for value in event.summary.value:
            kind = value.WhichOneof("value")
            if kind == "simple_value":
                scalars[value.tag].append((event.step, value.simple_value))
            elif kind == "image":
                images.add(value.tag)
            else:
                others[value.tag] = str(value)
    folds = gap()["balanced_accuracy"]["folds"]
    assert scalars["balanced_accuracy_folds/gap"] == [
        (number, pytest.approx(value, abs=1e-6)) for number, value in enumerate(folds)
    ]
    assert images == {f"figures/{name}" for name in FIGURES}
    assert stored_run.results()["fingerprint"]["data"] in others["_hparams_/session_start_info"]
    assert f"{folder}/run/model.keras" in others["files/text_summary"]


def wandb_records(path: Path) -> Iterator[Any]:
    """Read a run's file: blocks of 32 KiB with pieces of records, as in a log of LevelDB."""
    protocol = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    data, position, record = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield protocol.Record.FromString(record)
            record = b""


def test_wandb_has_scores_folds_settings_plots_and_the_model_offline(
    tracked: tuple[Path, dict[str, str]],
) -> None:
    folder, places = tracked
    home = Path(places["wandb"].partition(" (to send it: wandb sync ")[0])
    assert home.parent == folder / "wandb" and home.name.startswith("offline-run-")
    (path,) = home.glob("*.wandb")
    config, summary, history, artifacts = {}, {}, defaultdict(list), []
    for entry in wandb_records(path):
        kind = entry.WhichOneof("record_type")
        if kind == "run":
            config |= {item.key: json.loads(item.value_json) for item in entry.run.config.update}
            assert (entry.run.project, entry.run.job_type) == ("headfit", "compare")
            assert not entry.run.host
        elif kind == "summary":
            for item in entry.summary.update:
                summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
        elif kind == "history":
            for item in entry.history.item:
                name = "/".join(item.nested_key) or item.key
                history[name].append(json.loads(item.value_json))
        elif kind == "artifact":
            artifacts += [file.path for file in entry.artifact.manifest.contents]
    score = gap()["balanced_accuracy"]
    assert summary["balanced_accuracy/gap"] == score["mean"]
    assert summary["balanced_accuracy_low/gap"] == score["low"]
    assert history["balanced_accuracy_folds/gap"] == score["folds"]
    assert history["fold"] == [0, 1, 2]
    assert config["fingerprint_data"] == stored_run.results()["fingerprint"]["data"]
    assert set(artifacts) == {"model.keras", "results.json"}
    figures = {name.split("/")[1] for name in history if name.startswith("figures/")}
    assert figures == FIGURES


def test_a_fine_tuning_has_gains_and_names_that_every_library_takes(tmp_path: Path) -> None:
    results = stored_run.tuned()
    names = ["a:b/../c d", "a_b/_/c?d"]
    for row, name in zip(results["candidates"][1:], names, strict=False):
        old, row["name"] = row["name"], name
        for gain in results["finetune"]["gains"]:
            gain["name"] = name if gain["name"] == old else gain["name"]
    run = RunRecord.read(write_run(tmp_path / "run", results))
    assert (run.kind, "gains" in run.figures) == ("finetune", True)
    assert run.metrics["gain/a_b/_/c_d"] == pytest.approx(0.04)
    assert run.metrics["gain_low/a_b/_/c_d_2"] == pytest.approx(-0.01)


@pytest.mark.parametrize(
    ("libraries", "error", "words"),
    [
        ("mlfow", UnknownNameError, "Did you mean 'mlflow'"),
        ("tensorboard,comet", UnknownNameError, "Valid: mlflow, tensorboard, wandb"),
        (" , ", UsageError, "one or more of mlflow, tensorboard, wandb"),
        ([], UsageError, "one or more of"),
    ],
)
def test_a_wrong_library_is_one_sentence(
    libraries: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Tracker(libraries)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=rf"Run: pip install 'headfit\[{library}\]'"):
        Tracker(library)


def test_a_folder_with_the_name_of_a_library_is_not_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "offline_runs_of_nothing").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert not tracker._is_installed("offline_runs_of_nothing")
    assert tracker._is_installed("json")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    with pytest.raises(UsageError, match=r"must be the folder of a run.*results\.json"):
        Tracker("tensorboard").log(tmp_path)
    run = write_run(tmp_path / "run", {"schema": "headfit.results/2"})
    with pytest.raises(DataError, match="lacks values that are recorded"):
        Tracker("tensorboard").log(run)


def test_a_failure_is_an_error_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://ann:secret@example.org")
    run = write_run(tmp_path / "run", stored_run.results())
    with pytest.raises(WriteError, match="mlflow did not record the run: ") as error:
        Tracker("mlflow").log(run)
    assert "secret" not in str(error.value) and str(run) in str(error.value)


def test_on_the_command_line_a_failure_is_a_line_and_the_others_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("tensorboardX")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://example.org")
    out = write_run(tmp_path / "out", stored_run.results())
    record(tracker_for("mlflow,tensorboard"), out)
    failure, success = capsys.readouterr().err.splitlines()
    assert failure.startswith("mlflow did not record the run: ")
    assert success.startswith(f"Recorded with tensorboard: {out}")
    (out / "results.json").unlink()
    record(tracker_for("tensorboard"), out)
    assert capsys.readouterr().err.startswith("The run is not recorded: ")


@pytest.mark.parametrize("command", ["compare", "finetune"])
def test_a_wrong_library_is_an_error_before_the_run(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([command, str(tmp_path), "--out", str(out), "--track", "comet"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "comet" in line]
    assert len(lines) == 1 and "Unknown tracking library 'comet'" in lines[0]
    assert not out.exists()


def test_the_page_shows_what_is_printed(tracked: tuple[Path, dict[str, str]]) -> None:
    """Lines of the output in the document, but for folders, times and numbers of runs."""
    folder, places = tracked

    def general(line: str) -> str:
        line = line.replace(str(folder / "run"), "headfit-run").replace(str(folder), "/home/ann")
        line = line.replace("/home/ann/headfit-run", "headfit-run")
        line = re.sub(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", "TIME", line)
        line = re.sub(r"offline-run-\d{8}_\d{6}-\w{8}", "RUN", line)
        return re.sub(r"[0-9a-f]{32}", "NUMBER", line)

    page = (Path(__file__).parents[2] / "docs" / "track.md").read_text("utf-8")
    shown = [general(line) for line in page.splitlines() if line.startswith("Recorded with")]
    assert shown == [general(f"Recorded with {name}: {place}") for name, place in places.items()]
