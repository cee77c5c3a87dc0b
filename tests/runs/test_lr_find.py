"""``headfit lr-find`` suggests a rate, draws it, and leaves a training that follows as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import headfit as hf
from headfit.cli.main import main
from listener import Listener
from own_models import functional
from photos import write_folder

STEPS = 12
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and a backbone of two stages with a dropout in it."""
    folder = tmp_path_factory.mktemp("lr-find")
    write_folder(folder / "photos", 12)
    functional().save(folder / "tiny.keras")
    return folder


def settings(world: Path, **more: Any) -> dict[str, Any]:
    tiny = {
        "backbone": world / "tiny.keras",
        "preprocessing": "tf",
        "folds": 3,
        "views": 2,
        "engine": "keras",
    }
    return {**tiny, "head": "gap-dropout0.3", "batch_size": 8, **more}


def lasting(results: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs from run to run, and how many maps were stored before."""
    verdict = dict(results["verdict"])
    gain = {k: v for k, v in verdict.pop("finetune").items() if k not in ("sentence",)}
    gain.pop("train_seconds_ratio")
    scores = [[c["name"], c["log_loss"], c["balanced_accuracy"]] for c in results["candidates"]]
    return {"gain": gain, "scores": scores, "reliability": results["reliability"]}


def test_it_suggests_a_rate_within_the_sweep(world: Path) -> None:
    listener = Listener()
    rates = hf.lr_find(
        world / "photos", **settings(world), unfreeze="all", steps=STEPS, callbacks=listener
    )
    results = rates.results
    assert results["schema"] == "headfit.lr_find/1"
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    tried = [step["learning_rate"] for step in rates.table()]
    assert tried == sorted(tried)
    assert len(tried) <= STEPS
    assert tried[0] == pytest.approx(1e-6)
    assert rates.suggested is None or rates.suggested in tried
    assert results["images"] == 24  # of 36, a third is held out
    assert results["part"]["start"] is None
    assert str(rates) == results["sentence"]


def test_it_sweeps_training_from_scratch(world: Path) -> None:
    given = {**settings(world), "scratch": True, "steps": STEPS}
    rates = hf.lr_find(world / "photos", **given)
    part = rates.results["part"]
    assert (part["name"], part["start"]) == ("scratch", None)
    pretrained = hf.lr_find(world / "photos", **settings(world), unfreeze="all", steps=STEPS)
    assert rates.table()[0]["loss"] != pretrained.table()[0]["loss"]
    with pytest.raises(hf.UsageError, match="`unfreeze` must be left out with `scratch`"):
        hf.lr_find(world / "photos", **given, unfreeze=2)


def test_a_training_that_follows_is_unchanged(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for first in (False, True):
        monkeypatch.setenv("HEADFIT_HOME", str(world / f"home-{first}"))
        if first:
            hf.lr_find(world / "photos", **settings(world), unfreeze="all", steps=STEPS)
        study = hf.finetune(world / "photos", **settings(world), unfreeze="all", epochs=1)
        results.append(lasting(study.results))
        tuned = [path.name for path in sorted((world / f"home-{first}").glob("tuning/*/*.npz"))]
        results[-1]["entries"] = tuned
    assert results[0]["entries"]
    assert results[0] == results[1]


def test_the_steps_are_forgotten(world: Path) -> None:
    from headfit.finetuning.recipe import Recipe  # noqa: PLC0415
    from headfit.finetuning.task import Task  # noqa: PLC0415
    from headfit.finetuning.training import Trainer  # noqa: PLC0415
    from headfit.heads.chain import parse_head  # noqa: PLC0415
    from headfit.images.targets import Targets  # noqa: PLC0415

    rng = np.random.default_rng(0)
    maps = rng.normal(size=(20, 4, 4, 3)).astype("float32")

    class Maps:
        views = 1

        def take(self, images: np.ndarray, views: np.ndarray) -> np.ndarray:
            return maps[images]

    image = keras.Input((4, 4, 3))
    part = keras.Model(image, layers.ReLU()(layers.Conv2D(5, 3, name="conv")(image)))
    targets = Targets.of_classes(["a", "b"] * 10)
    head = [rng.normal(size=(5, 2)).astype("float32"), np.zeros(2, "float32")]
    task = Task(Maps(), targets, np.arange(20), head, 1e-2, 2)
    trained = []
    for sweeps in (0, 2):
        trainer = Trainer(part, parse_head("gap-dropout0.5"), 2, Recipe(batch_size=5))
        for _ in range(sweeps):
            trainer.sweep(task, np.geomspace(1e-4, 10, 20).tolist())
        trainer.train(task)
        trained.append([*trainer.layers()["conv"], *trainer.head_weights()])
    for one, other in zip(*trained, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_command_prints_a_table_and_draws(world: Path, capsys: Capture) -> None:
    words = ["lr-find", str(world / "photos"), "--backbone", str(world / "tiny.keras")]
    words += ["--preprocessing", "tf", "--folds", "3", "--views", "1", "--unfreeze", "all"]
    words += ["--engine", "keras", "--steps", str(STEPS), "--out", str(world / "out")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "learning rate" in shown
    assert "1.0e-6" in shown
    assert (world / "out" / "lr-find.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (world / "out" / "lr-find.svg").read_text("utf-8")
    assert main([*words, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert len(results["steps"]) <= STEPS


def test_several_parts_are_refused(world: Path, capsys: Capture) -> None:
    with pytest.raises(hf.UsageError, match="`unfreeze` must be one part"):
        hf.lr_find(world / "photos", **settings(world), unfreeze="last,all")
    words = ["lr-find", str(world / "photos"), "--out", str(world / "no")]
    assert main([*words, "--highest", "1e-9"]) == 2
    assert "--highest must be a number above --lowest" in capsys.readouterr().err
