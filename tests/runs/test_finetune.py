"""Fine-tuning end to end, on a tiny backbone whose last stage is worth training."""

from __future__ import annotations

import copy
import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headfit as hf
import tunable
from headfit.cli.main import main
from headfit.finetuning.method import FineTuning
from headfit.images.decode import decode
from headfit.runs import finetune as module
from headfit.runs.tuned_model import TunedModel
from headfit.runs.tuning import Tuning, parts_of
from headfit.util.cache import TUNING
from listener import Listener

SETTINGS: dict[str, Any] = {
    **{"preprocessing": "tf", "augment": "hflip,shift0.1", "views": 2, "tta": True},
    **{"folds": 3, "epochs": 24, "batch_size": 8, "learning_rate": 1e-2},
}
ROWS = ["gap", "gap+views", "gap+last"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    tunable.save(folder / "tiny.keras")
    tunable.write_folder(folder / "photos", 24, split="train")
    tunable.write_folder(folder / "photos", 6, split="test", seed=1)
    return folder


@pytest.fixture(scope="module")
def told() -> Listener:
    return Listener()


@pytest.fixture(scope="module")
def made() -> list[tuple[TunedModel, Any, Any]]:
    """What the recommended row became, with its tuning and the comparison."""
    return []


@pytest.fixture(scope="module")
def states() -> list[Path]:
    """What the run left in the cache of fine-tuning."""
    return []


@pytest.fixture(scope="module")
def study(root: Path, told: Listener, made: list[Any], states: list[Path]) -> Iterator[hf.Study]:
    of = TunedModel.of

    def noted(comparison: Any, tuning: Any, *rest: Any) -> TunedModel:
        made.append((of(comparison, tuning, *rest), tuning, comparison))
        return made[-1][0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.TunedModel, "of", noted)
        before = set(TUNING.folder.glob("*.npz"))
        found = run(root, callbacks=told)
        states += set(TUNING.folder.glob("*.npz")) - before
        yield found


@pytest.fixture(scope="module")
def saved(study: hf.Study, root: Path) -> Path:
    return study.save(root / "run")


def run(root: Path, **changes: Any) -> hf.Study:
    settings = {"backbone": root / "tiny.keras", **SETTINGS, **changes}
    return hf.finetune(root / "photos", **settings)


def rows(study: hf.Study) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in study.results["candidates"]}


def test_every_row_is_there_on_the_same_folds(study: hf.Study, told: Listener) -> None:
    averaged = ["gap+views+tta", "gap+last+tta"]
    assert list(rows(study)) == [*ROWS, *averaged]
    assert [score.name for score in told.scores] == ROWS
    folds = study.folds
    assert folds.shape == (1, 72) and set(folds[0]) == {0, 1, 2}
    for row in study.results["candidates"]:
        assert len(row["balanced_accuracy"]["folds"]) == 3
        assert row["head"] == "gap" and row["map_shape"] == [4, 4, 12]
    parts = {name: each["parameters"] for name, each in rows(study).items()}
    assert parts["gap"]["head"] == parts["gap+views"]["head"] == 39
    assert parts["gap+last"]["trained"] == 39 + 9 * 8 * 12 + 2 * 12  # kernel, γ and β
    json.dumps(study.results, allow_nan=False)


def test_the_verdict_says_whether_it_pays_and_what_it_costs(study: hf.Study) -> None:
    answer = study.results["verdict"]["finetune"]
    assert set(answer) >= {"word", "sentence", "difference", "train_seconds_ratio", "name"}
    assert set(answer["difference"]) >= {"mean", "low", "high", "p_value"}
    scores = {name: row["balanced_accuracy"]["mean"] for name, row in rows(study).items()}
    lead = scores["gap+last"] - scores["gap"]
    assert answer["name"] == "gap+last" and answer["difference"]["mean"] == pytest.approx(lead)
    assert lead > 0.05
    assert answer["train_seconds_ratio"] > 1.5
    verb = "brings" if answer["holm_p_value"] < 0.05 else "makes no clear difference:"
    assert answer["sentence"].startswith(f"Fine-tuning the last stage {verb} +")
    assert str(study).startswith(answer["sentence"])
    assert study.results["verdict"]["sentence"] == study.verdict.sentence == str(study)
    gains = study.results["finetune"]["gains"]
    assert [each["name"] for each in gains] == ROWS[1:]
    assert study.results["verdict"]["flatten"] not in ("necessary", "ahead", "not_necessary")
    starts = {each["name"]: each["start"] for each in study.results["finetune"]["parts"]}
    assert starts == {"last": "relu1"}


def test_the_tuned_row_is_recommended_and_averaged_rows_never_are(study: hf.Study) -> None:
    assert study.recommended == "gap+last"
    assert "gap" in repr(study)
    html = study._repr_html_()
    assert all(name in html for name in rows(study))
    assert len(study.table()) == 5


def test_scores_are_of_the_images_as_they_are(study: hf.Study) -> None:
    (row,) = (row for row in study.results["candidates"] if row["name"] == "gap+last")
    table = list(csv.DictReader(study.predictions_csv().splitlines()))
    assert len(table) == 72
    right = [each["predicted"] == each["label"] for each in table]
    assert np.mean(right) == pytest.approx(row["accuracy"]["mean"], abs=1e-9)
    for each, fold in zip(table, study.folds[0], strict=True):
        assert int(each["fold_1"]) == fold
        assert sum(float(each[f"p_{name}"]) for name in tunable.CLASSES) == pytest.approx(
            1, abs=1e-5
        )


def test_the_test_split_is_scored_with_the_tuned_backbone(study: hf.Study, root: Path) -> None:
    test = study.results["test"]
    assert (test["head"], test["images"]) == ("gap+last", 18)
    paths = sorted((root / "photos" / "test").rglob("*.png"))
    right = study.classifier().predict(paths) == [path.parent.name for path in paths]
    assert test["accuracy"] == pytest.approx(right.mean())


def test_the_model_predicts_what_the_trained_network_does(
    study: hf.Study, made: list[Any], saved: Path
) -> None:
    """Through the file: decoding, preprocessing, the tuned stages and the head."""
    model, tuning, comparison = made[0]
    method = tuning.method(
        next(p for p in parts_of(tuning.source, ["last"], scratch=False)),
        next(fit for fit in reversed(comparison.backbones[0].fits) if not fit.trained),
    )
    trainer = method.loaded(model.blueprint.fitted)
    some = np.arange(0, 72, 7)
    expected = trainer.predict(method.inputs, some)
    paths = [study.index.source.root / study.index.paths[row] for row in some]
    classifier = hf.Classifier.load(saved / "model.keras")
    assert classifier.classes == tunable.CLASSES
    # maps are stored in half precision where training starts
    np.testing.assert_allclose(classifier.predict_proba(paths), expected, atol=2e-3)
    contract = tuning.source.contract
    pixels = np.stack([decode(p.read_bytes(), 32, 32, contract.depth) for p in paths])
    from headfit.backbones.cut import build_cut  # noqa: PLC0415  (Keras)

    cut = build_cut(tuning.source.spec, 32, tuning.source.weights, ["relu1"])
    exact = trainer.predict_maps(np.asarray(cut([contract.apply(pixels)])))
    np.testing.assert_allclose(classifier.predict_proba(paths), exact, atol=1e-4)


def test_outliers_are_judged_by_maps_of_the_tuned_backbone(study: hf.Study, root: Path) -> None:
    """Few images of the kind that it was trained on are, which tells that thresholds belong."""
    classifier = study.classifier()
    fresh = sorted(tunable.write_folder(root / "fresh", 12, seed=9).rglob("*.png"))
    training = [root / "photos" / path for path in study.index.paths]
    for paths, most in ((training, 0.15), (fresh, 0.35)):
        found = [each.outlier for each in classifier.iter_predictions(paths)]
        assert None not in found and np.mean(np.array(found, float)) < most


def test_the_same_call_trains_nothing_again(
    study: hf.Study, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headfit.finetuning.training.Trainer._epoch", None)
    again = run(root)
    assert timeless(again.results) == timeless(study.results)
    np.testing.assert_array_equal(again.out_of_fold, study.out_of_fold)
    assert again.blueprint._digest() == study.blueprint._digest()


def timeless(results: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(results)
    for row in found["candidates"]:
        del row["latency_ms"], row["train_seconds"], row["pareto"]
    for row in (found["verdict"]["finetune"], *found["finetune"]["gains"]):
        for name in ("train_seconds_ratio", "sentence"):
            row.pop(name, None)  # one of them is in both places
    for row in (found["settings"]["engine"], *(each["engine"] for each in found["backbones"])):
        row.pop("images_per_second", None)
    for row in found["backbones"]:
        del row["latency_ms"], row["engine"]
    del found["timings"], found["verdict"]["sentence"], found["settings"]["engine"]
    del found["images"]["cached"], found["images"]["computed"]
    return found


def test_the_command_of_the_settings_repeats_the_run(study: hf.Study) -> None:
    command = study.results["settings"]["command"]
    assert command.startswith("headfit finetune ")
    for words in ("--unfreeze last", "--views 2", "--tta", "--learning-rate 0.01"):
        assert words in command


def test_only_folds_remain_in_the_cache(study: hf.Study, states: list[Path]) -> None:
    assert len(states) == 3 + 1  # a file for each fold, and the state of the final model


def test_a_choice_among_rates_is_made_without_the_held_out_fold(root: Path) -> None:
    """Its images get other labels in another run; what is chosen for the fold is the same."""
    chosen: dict[str, Any] = {}
    of = FineTuning.cross_validate

    def noted(self: FineTuning, problem: Any, *rest: Any) -> Any:
        found = of(self, problem, *rest)
        chosen["choices"], chosen["problem"] = found.choices, problem
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FineTuning, "cross_validate", noted)
        study = run(root, learning_rate=(1e-2, 1e-4), tta=False, views=1, epochs=3)
    rates = [each["learning_rate"] for each in chosen["choices"]]
    assert set(rates) <= {1e-2, 1e-4} and len(rates) == 3
    assert study.results["settings"]["recipe"]["learning_rates"] == (1e-2, 1e-4)
    assert replace(chosen["problem"]).splits.assignment.tolist() == study.folds.tolist()


@pytest.mark.usefixtures("study")
def test_preprocessing_that_is_there_twice_is_an_error(made: list[tuple[Any, Tuning, Any]]) -> None:
    _, tuning, _ = made[0]
    (part,) = parts_of(tuning.source, ["all"], scratch=False)
    tuning.make_trainer(part)(None, 1.0)
    once = tuning.source.contract
    scale, offset = np.array(once.scale), np.array(once.offset)
    twice = replace(once, scale=tuple(scale**2), offset=tuple(scale * offset + offset))
    wrong = replace(tuning, source=replace(tuning.source, contract=twice))
    with pytest.raises(hf.EngineError, match="does not give the feature maps of the frozen"):
        wrong.make_trainer(part)(None, 1.0)


def test_images_without_a_label_are_said_to_be_left_out(root: Path) -> None:
    flat = root / "flat"
    shutil.copytree(root / "photos" / "train", flat / "train")
    images = sorted((root / "photos" / "test" / "blob").iterdir())[:2]
    (flat / "test").mkdir()
    for image in images:
        shutil.copyfile(image, flat / "test" / image.name)
    listener = Listener()
    settings = {**SETTINGS, "tta": False, "views": 1, "epochs": 1}
    study = hf.finetune(flat, backbone=root / "tiny.keras", callbacks=listener, **settings)
    assert listener.has_line("Left out: 2 images without a label.")
    assert len(study.index) == 72 and study.results["unlabelled"] is None


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "{model}", "{image}", "--json"],
        ["explain", "{model}", "{image}", "--out", "{root}/maps"],
        ["inspect", "{model}", "--json"],
        ["report", "{run}"],
        ["convert", "{model}", "--to", "flatten", "--out", "{root}/converted.keras"],
    ],
    ids=lambda command: command[0],
)
def test_other_commands_take_the_model(
    command: list[str], saved: Path, root: Path, capsys: Capture
) -> None:
    image = next((root / "photos" / "test" / "blob").iterdir())
    places = {"model": saved / "model.keras", "image": image, "root": root, "run": saved}
    assert main([word.format(**places) for word in command]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    if command[0] == "predict":
        (found,) = json.loads(out)["predictions"]
        expected = hf.Classifier.load(saved / "model.keras").predict([image])
        assert found["class"] == expected[0]
    if command[0] == "report":
        page = (saved / "report.html").read_text("utf-8")
        assert "ine-tuning" in page


def test_a_diverged_part_is_said_and_is_no_answer(root: Path) -> None:
    listener = Listener()
    study = run(root, learning_rate=10.0, tta=False, views=1, epochs=4, callbacks=listener)
    assert listener.has_line("gap+last: training diverged in 3 folds, where the frozen head was")
    assert study.recommended == "gap"
    assert any("diverged" in line for line in rows(study)["gap+last"]["warnings"])
    answer = study.results["verdict"]["finetune"]
    assert answer["word"] == "undecided"
    assert answer["sentence"].startswith("Fine-tuning the last stage diverged in every fold")


def test_a_flip_that_changes_the_class_is_warned_of(root: Path, told: Listener) -> None:
    """Ramps that rise to the right and to the left; other images above may be flipped."""
    assert not told.has_line("WARNING: Flipping")
    rng = np.random.default_rng(0)
    for name, order in (("left", slice(None, None, -1)), ("right", slice(None))):
        (root / "ramps" / name).mkdir(parents=True)
        for number in range(20):
            ramp = np.tile((np.arange(40) + rng.integers(8)) % 8 * 28.0, (40, 1))[:, order]
            noisy = (ramp[..., None] + rng.normal(0, 20, (40, 40, 3))).clip(0, 255)
            image = Image.fromarray(noisy.astype(np.uint8))
            image.save(root / "ramps" / name / f"{number}.png")
    listener = Listener()
    changes = {"scratch": True, "tta": False, "epochs": 1, "augment": "hflip"}
    settings = {"backbone": root / "tiny.keras", **SETTINGS, **changes}
    study = hf.finetune(root / "ramps", callbacks=listener, **settings)
    assert listener.has_line("WARNING: Flipping left to right lowers the accuracy of the")
    # all of it is trained from random weights too, which is no answer on fine-tuning
    assert rows(study)["gap+scratch"]["parameters"]["trained"] > 1000
    assert study.results["verdict"]["finetune"]["name"] == "gap+last"
