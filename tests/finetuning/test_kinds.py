"""Fine-tuning for several labels and for numbers: units, losses, and a whole run of each."""

from __future__ import annotations

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import headfit as hf
import tunable
from headfit.backbones.stages import tail
from headfit.features.views import Views
from headfit.finetuning.inputs import Pixels
from headfit.finetuning.losses import guessing, loss_of, wanted_of, watched_loss
from headfit.finetuning.recipe import Recipe
from headfit.finetuning.task import Task
from headfit.finetuning.training import Trainer
from headfit.finetuning.units import Units
from headfit.heads.chain import parse_head
from headfit.images.augment import Augmentation
from headfit.images.contract import Contract
from headfit.images.targets import LABELS, NUMBER, Targets
from headfit.study.comparison.label_change import label_change

SIDE, IMAGES = tunable.SIDE, 40
CONTRACT = Contract(SIDE, SIDE, (1 / 127.5,) * 3, (-1.0,) * 3)
DRAWN = np.arange(IMAGES) % 3
TARGETS = {
    LABELS: Targets(("blob", "lines"), np.stack([DRAWN == 0, DRAWN > 0], 1).astype("i1"), LABELS),
    NUMBER: Targets.of_numbers(
        ["year", "share"], np.stack([2000.0 + 5 * DRAWN, 0.01 * (DRAWN == 1)], axis=1)
    ),
}


@pytest.fixture(scope="module")
def inputs() -> Pixels:
    rng = np.random.default_rng(0)
    drawn = np.stack([tunable.draw(int(kind), rng)[:SIDE, :SIDE] for kind in DRAWN])
    views = Views(Augmentation.parse("none"), 1)
    return Pixels(drawn, list(map(str, range(IMAGES))), views, CONTRACT)


@pytest.mark.parametrize("chain", ["gap", "gap-4", "low_rank"])
def test_a_head_in_standard_units_gives_the_same_numbers(chain: str) -> None:
    units = Units.of(TARGETS[NUMBER], np.arange(30))
    assert units is not None
    head, rng = parse_head(chain), np.random.default_rng(0)
    maps = keras.Input((4, 4, 6))
    model = keras.Model(maps, head.build(maps, 2, activation="linear"))
    weights = [rng.normal(size=each.shape).astype("f4") for each in model.weights]
    x = rng.normal(size=(5, 4, 4, 6)).astype("f4")
    outputs = []
    for arrays in (weights, units.divided(head, weights)):
        model.set_weights(list(arrays))
        outputs.append(np.asarray(model(x), np.float64))
    np.testing.assert_allclose(units.own(outputs[1]), outputs[0], rtol=1e-4, atol=1e-2)
    again = units.multiplied(head, units.divided(head, weights))
    for array, expected in zip(again, weights, strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_training_lowers_the_loss_and_predicts_in_the_numbers_own_units(
    kind: str, inputs: Pixels
) -> None:
    targets, train = TARGETS[kind], np.arange(30)
    recipe = Recipe((1e-2,), epochs=12, batch_size=10)
    part = tail(tunable.network(), "")
    trainer = Trainer(part, parse_head("gap"), 2, recipe, kind=kind)
    middle = targets.values[train].mean(axis=0) if kind == NUMBER else np.zeros(2)
    head = (np.zeros((12, 2), "f4"), middle.astype("f4"))
    task = Task(inputs, targets, train, head, 1e-2, 12, (0, 1), watch=np.arange(30, 40))
    history = trainer.train(task)
    assert not history.diverged
    # the start knows nothing: the loss of guessing
    assert history.watched[0] == pytest.approx(guessing(kind, 2), rel=0.2)
    assert history.losses[-1] < 0.7 * history.losses[0]
    predicted = trainer.predict(inputs, train)
    assert targets.kind != NUMBER or 1990 < predicted[:, 0].mean() < 2020
    # the folded weights, loaded again, give the same
    layers, weights = trainer.layers(), trainer.head_weights()
    trainer.load(layers, weights)
    np.testing.assert_allclose(trainer.predict(inputs, train), predicted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_the_watched_loss_is_that_which_keras_trains(kind: str) -> None:
    targets, images = TARGETS[kind], np.arange(20)
    units, rng = Units.of(targets, images), np.random.default_rng(0)
    outputs = rng.uniform(0.1, 0.9, (20, 2))
    predictions = outputs if units is None else units.own(outputs)
    trained = float(loss_of(kind, 0.0)(wanted_of(targets, images, units), outputs))
    assert watched_loss(predictions, targets, images, units) == pytest.approx(trained, rel=1e-4)


def test_a_flip_that_changes_a_position_is_clear_and_one_that_does_not_is_not() -> None:
    rng = np.random.default_rng(0)
    targets = Targets.of_numbers(["x"], rng.uniform(0, 1, (60, 1)))
    noise = rng.normal(0, 0.05, (2, 60, 1))
    seen = targets.values + noise[0]
    assert label_change(seen, 1 - seen, targets).is_clear
    assert not label_change(seen, targets.values + noise[1], targets).is_clear
    labels = TARGETS[LABELS]
    right = labels.values.astype(float)
    assert label_change(right, right[:, ::-1], labels).is_clear
    assert not label_change(right, right, labels).is_clear


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, images, and a table with a cell of labels and two columns of numbers."""
    folder = tmp_path_factory.mktemp("tuned")
    tunable.save(folder / "tiny.keras")
    rng = np.random.default_rng(0)
    with (folder / "images.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "x", "y"])
        for number in range(45):
            kind = number % 3
            Image.fromarray(tunable.draw(kind, rng)).save(folder / f"{number}.png")
            label = ("round", "grid;lines", "lines")[kind]
            rows.writerow([f"{number}.png", label, 100 + 10 * kind, rng.normal() + kind])
    return folder


@pytest.mark.parametrize("kind", [LABELS, NUMBER])
def test_a_whole_run_ends_in_a_model_that_predicts_what_training_ended_with(
    kind: str, table: Path, tmp_path: Path
) -> None:
    column = {"label_column": "label"} if kind == LABELS else {"label_column": ["x", "y"]}
    study = hf.finetune(
        table / "images.csv",
        backbone=str(table / "tiny.keras"),
        target=kind,
        **{"preprocessing": "tf", "augment": "hflip", "views": 2, "near_duplicates": False},
        **{"folds": 3, "epochs": 6, "batch_size": 8, "learning_rate": 1e-2},
        **column,
    )
    metric = {LABELS: "macro_average_precision", NUMBER: "r2"}[kind]
    assert study.results["verdict"]["metric"] == metric
    names = [row["name"] for row in study.results["candidates"]]
    assert names == ["gap", "gap+views", "gap+last"]
    study.save(tmp_path / "run")
    classifier = hf.Classifier(tmp_path / "run" / "model.keras")
    assert classifier.kind == kind
    outputs = classifier.outputs([table / f"{number}.png" for number in range(6)])
    assert np.isfinite(outputs).all()
    if kind == NUMBER:
        assert 80 < outputs[:, 0].mean() < 140


def test_smoothing_of_numbers_is_refused_before_anything_is_computed(table: Path) -> None:
    with pytest.raises(hf.UsageError, match="`label_smoothing` must be 0 for numbers"):
        hf.finetune(
            table / "images.csv",
            backbone=str(table / "tiny.keras"),
            **{"preprocessing": "tf", "target": NUMBER, "label_column": ["x", "y"]},
            label_smoothing=0.1,
        )
