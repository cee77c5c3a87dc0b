"""The main job, end to end, with the embedded backbone at a small size."""

from __future__ import annotations

import copy
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headfit as hf
from headfit.model.metadata import kept_path
from headfit.util.cache import FITS
from listener import Listener
from photos import CLASSES, write_folder
from plain_keras import run_plain

SIZE = 64
QUICK: dict[str, Any] = {
    "size": SIZE,
    "protocol": "quick",
    "folds": 3,
    "where": False,
    "curve": False,
}
PLAIN = ["gap", "flatten", "gap-16", "avgmax", "flatten-8-dropout0.2"]
METRICS = ("balanced_accuracy", "accuracy", "macro_f1", "log_loss", "brier", "auroc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    write_folder(root, 12, split="train")
    write_folder(root, 5, split="test", seed=1)
    (root / "train" / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff not really")
    (root / "train" / "red" / "notes.txt").write_text("no image")
    return root


@pytest.fixture(scope="module")
def study(folder: Path) -> hf.Study:
    return hf.compare(folder, heads="gap,flatten,gem,gap-16", **QUICK)


def test_results_hold_what_the_interface_promises(study: hf.Study) -> None:
    results = study.results
    assert results["schema"] == "headfit.results/2"
    assert set(results["verdict"]) >= {
        *("flatten", "sentence", "recommended", "difference"),
        *("minimal_detectable", "images_needed", "expected_score"),
    }
    assert set(results["timings"]) >= {
        *("audit", "decode_and_extract", "heads", "statistics", "total")
    }
    assert [c["name"] for c in results["candidates"]] == ["gap", "flatten", "gem", "gap-16"]
    for candidate in results["candidates"]:
        assert candidate["map_shape"] == [2, 2, 1280]
        assert candidate["input_size"] == SIZE
        parts = candidate["parameters"]
        assert parts["total"] == parts["head"] + parts["backbone"]
        assert parts["backbone"] == 3_413_024
        for metric in METRICS:
            assert len(candidate[metric]["folds"]) == 3
        assert candidate["latency_ms"] > 0
    (chosen,) = [c for c in results["candidates"] if c["name"] == study.recommended]
    temperature = results["reliability"]["temperature"]
    assert chosen["ece"] == {
        "mean": temperature["ece_before"],
        "expected": temperature["ece_expected"],
    }
    json.dumps(results, allow_nan=False)


def test_every_image_is_accounted_for(study: hf.Study) -> None:
    images = study.results["images"]
    assert images["classes"] == dict.fromkeys(CLASSES, 17)
    assert images["used"] == images["cached"] + images["computed"] == 51
    assert images["found"] == images["used"] + images["skipped"]
    assert [s["path"] for s in study.results["skipped"]] == [
        "train/red/broken.jpg",
        "train/red/notes.txt",
    ]


def test_same_seed_gives_the_same_results_and_no_second_pass(study: hf.Study, folder: Path) -> None:
    shutil.rmtree(FITS.folder)  # fitted again, with the same result
    listener = Listener()
    again = hf.compare(folder, heads="gap,flatten,gem,gap-16", callbacks=listener, **QUICK)
    assert again.results["images"]["computed"] == 0
    assert any("no backbone pass was needed" in line for line in listener.lines)
    assert [each.name for each in listener.scores] == ["gap", "flatten", "gem", "gap-16"]
    for score, row in zip(listener.scores, again.results["candidates"], strict=True):
        assert (score.score, score.log_loss) == (row["balanced_accuracy"], row["log_loss"])
        assert score.parameters == row["parameters"]["head"]
    assert _timeless(again.results) == _timeless(study.results)


def test_a_repeated_run_fits_nothing_and_writes_nothing_twice(
    study: hf.Study, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.save(tmp_path)
    written = (tmp_path / "model.keras").read_bytes()
    for method in ("exact.method.Exact", "methods.Descent"):
        for function in ("cross_validate", "refit"):
            monkeypatch.delattr(f"headfit.fitting.{method}.{function}")
    monkeypatch.delattr("headfit.util.child.start")
    again = hf.compare(folder, heads="gap,flatten,gem,gap-16", **QUICK)
    again.save(tmp_path)
    assert _timeless(again.results) == _timeless(study.results)
    assert (tmp_path / "model.keras").read_bytes() == written


def test_a_model_file_that_is_not_the_one_written_is_written_again(
    study: hf.Study, tmp_path: Path
) -> None:
    study.save(tmp_path)
    (tmp_path / "model.keras").write_bytes(b"something else")
    study.save(tmp_path)
    assert hf.Classifier.load(tmp_path / "model.keras").classes == CLASSES


def test_another_seed_draws_other_folds(study: hf.Study, folder: Path) -> None:
    other = hf.compare(folder, heads="gap", seed=7, **QUICK)
    assert not np.array_equal(other.folds, study.folds)


def test_the_test_split_is_scored_but_never_trained_on(
    study: hf.Study, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "train", tmp_path / "train")
    alone = hf.compare(tmp_path, heads="gap,flatten,gem,gap-16", **QUICK)
    assert alone.results["test"] is None
    for mine, theirs in zip(alone.results["candidates"], study.results["candidates"], strict=True):
        assert mine["log_loss"] == theirs["log_loss"]
    test = study.results["test"]
    assert test["images"] == 15
    assert test["accuracy"] > 2 * test["majority_accuracy"]


def test_predictions_have_a_row_for_each_training_image(study: hf.Study) -> None:
    rows = list(csv.DictReader(study.predictions_csv().splitlines()))
    assert len(rows) == 36
    accuracy = study.results["reliability"]["confidence"]["accuracy"]
    assert np.mean([float(row["right"]) for row in rows]) == pytest.approx(accuracy)
    assert {row["label"] for row in rows} == set(CLASSES)
    for row in rows:
        p = [float(row[f"p_{name}"]) for name in CLASSES]
        assert sum(p) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == CLASSES[int(np.argmax(p))]
        assert row["fold_1"] in {"0", "1", "2"}


def test_heads_that_are_kept_become_models_beside_the_recommended_one(
    study: hf.Study, folder: Path, tmp_path: Path
) -> None:
    """With all that a model has: its own probabilities and its own thresholds."""
    others = [name for name in ("gap", "flatten") if name != study.recommended]
    keep = [study.recommended, *others]
    kept = hf.compare(folder, heads="gap,flatten,gem,gap-16", keep=keep, **QUICK)
    assert list(kept.other_models) == others
    assert kept.results["settings"]["keep"] == keep
    assert f"--keep {','.join(keep)}" in kept.results["settings"]["command"]
    kept.save(tmp_path)
    (written,) = [kept_path(tmp_path, others[0])]
    assert list((tmp_path / "heads").iterdir()) == [written]
    model = hf.Classifier.load(written)
    assert model.record.head == others[0]
    assert model.record.reliability is not None
    paths = [folder / path for path in study.index.paths[:4]]
    assert model.predict(paths).tolist() == [Path(path).parent.name for path in paths]
    assert np.abs(kept.other_models[others[0]].probe - kept.blueprint.probe).max() > 1e-6
    with pytest.raises(hf.UsageError, match=r"`head` must be one of .*name this head in `keep`"):
        kept.classifier("gem")
    with pytest.raises(
        hf.UsageError,
        match=r"`keep` must be heads that are compared: gap, flatten.*Add gmp to `heads`",
    ):
        hf.compare(folder, heads="gap,flatten", keep="gmp", **QUICK)
    stranger = tmp_path / "heads" / "mine.keras"
    stranger.write_bytes(b"a head of the user's own")
    study.save(tmp_path)  # which keeps none: nothing of another run may stand beside it
    assert list((tmp_path / "heads").iterdir()) == [stranger]


def test_copies_of_an_image_stay_in_one_fold(tmp_path: Path) -> None:
    write_folder(tmp_path, 9)
    for number in (3, 4):
        shutil.copy(tmp_path / "red" / "00.jpg", tmp_path / "red" / f"copy{number}.jpg")
    listener = Listener()
    study = hf.compare(tmp_path, heads="gap", callbacks=listener, **QUICK)
    assert any("2 files are copies" in line for line in listener.lines)
    rows = [i for i, p in enumerate(study.index.paths) if p.startswith(("red/copy", "red/00"))]
    assert len(rows) == 3
    assert len(set(study.folds[0, rows])) == 1


def test_copies_of_training_images_in_the_test_split_are_said(tmp_path: Path) -> None:
    write_folder(tmp_path, 4, split="train")
    write_folder(tmp_path, 2, split="test", seed=1)
    shutil.copy(tmp_path / "train" / "red" / "00.jpg", tmp_path / "test" / "red" / "again.jpg")
    listener = Listener()
    hf.compare(tmp_path, heads="gap", callbacks=listener, **QUICK)
    assert [line for line in listener.lines if "1 test image is a copy" in line]
    assert any("test/red/again.jpg" in line for line in listener.lines)


@pytest.mark.slow
def test_a_model_is_written_by_the_users_backend_if_the_fast_one_cannot(
    study: hf.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headfit.util.child.FAST_BACKEND", "no_such_backend")
    study.save(tmp_path)
    assert hf.Classifier.load(tmp_path / "model.keras").classes == CLASSES


def test_random_weights_are_said_loudly(tmp_path: Path) -> None:
    write_folder(tmp_path, 4)
    listener = Listener()
    hf.compare(tmp_path, heads="gap", weights="random", callbacks=listener, **QUICK)
    assert any("RANDOM" in line for line in listener.lines)


def test_heads_that_do_not_suit_the_map_are_refused_before_the_pass(
    tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADFIT_HOME", str(fresh_home))
    write_folder(tmp_path / "photos", 4)
    with pytest.raises(hf.UsageError, match="spp"):
        hf.compare(tmp_path / "photos", heads="gap,spp", **QUICK)
    assert not list(fresh_home.rglob("block-*"))


def test_default_heads_that_do_not_suit_the_map_are_left_out_aloud(folder: Path) -> None:
    listener = Listener()
    study = hf.compare(folder, callbacks=listener, **QUICK)
    heads = [candidate["head"] for candidate in study.results["candidates"]]
    assert heads == ["gap", "flatten", "gmp", "avgmax", "spatial_prior"]
    assert listener.has_line("Left out: Head 'spp' needs a feature map of at least 4×4")


def test_a_misspelt_argument_is_pythons_own_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="backbnoe"):
        hf.compare(tmp_path, backbnoe="MobileNet")  # type: ignore[call-arg]


def test_a_study_shows_itself(study: hf.Study) -> None:
    assert [row["head"] for row in study.table()].count(study.recommended) == 1
    assert study.recommended in repr(study)
    assert study.verdict.sentence in study._repr_html_().replace("&#x27;", "'")


@pytest.fixture(scope="module")
def plain(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of each head, of one run, and what plain Keras predicts by it, in one process."""
    root = tmp_path_factory.mktemp("plain")
    np.save(root / "pixels.npy", np.stack([_stretched(path) for path in _one_of_each(folder)]))
    study = hf.compare(folder, heads=",".join(PLAIN), keep=PLAIN, **QUICK)
    study.save(root)
    (root / "model.keras").rename(root / "heads" / f"{study.recommended}.keras")
    run_plain(
        "import keras, numpy as np, sys\n"
        "pixels = np.load('pixels.npy').astype('float32')\n"
        "for head in sys.argv[1:]:\n"
        "    m = keras.models.load_model(f'heads/{head}.keras', safe_mode=True)\n"
        "    np.save(f'{head}.npy', m.predict(pixels, verbose=0))\n"
        "assert 'headfit' not in sys.modules\n",
        root,
        *PLAIN,
    )
    return root


@pytest.mark.slow
@pytest.mark.parametrize("head", PLAIN)
def test_plain_keras_gives_what_headfit_predicts(head: str, folder: Path, plain: Path) -> None:
    classifier = hf.Classifier.load(plain / "heads" / f"{head}.keras")
    paths = _one_of_each(folder)
    mine = classifier.predict_proba(paths)
    np.testing.assert_allclose(np.load(plain / f"{head}.npy"), mine, atol=1e-3)
    pixels = np.load(plain / "pixels.npy")
    np.testing.assert_allclose(classifier.predict_proba(pixels), mine, atol=1e-3)
    assert classifier.predict(paths).tolist() == [CLASSES[i] for i in mine.argmax(axis=1)]


@pytest.mark.slow
def test_five_lines_from_a_folder_to_a_classifier(folder: Path, tmp_path: Path) -> None:
    index = hf.ImageIndex.from_directory(folder)
    study = hf.compare(index, heads="gem", **QUICK)
    classifier = study.classifier()
    saved = classifier.save(tmp_path / "mine.keras")
    again = hf.Classifier.load(saved)  # gem is a layer of headfit's own
    assert again.classes == CLASSES
    paths = [folder / "test" / "red" / f"{n:02}.jpg" for n in range(5)]
    np.testing.assert_array_equal(classifier.predict_proba(paths), again.predict_proba(paths))
    assert again.predict(paths).tolist().count("red") >= 4
    floats = np.stack([_stretched(path) for path in paths]).astype(np.float32)
    np.testing.assert_allclose(
        again.model.predict(floats, verbose=0), again.predict_proba(paths), atol=1e-3
    )


def _timeless(results: dict[str, Any]) -> dict[str, Any]:
    """All of ``results`` that a second run must repeat."""
    timeless = copy.deepcopy(results)
    del timeless["timings"], timeless["images"]["cached"], timeless["images"]["computed"]
    for candidate in timeless["candidates"]:
        del candidate["train_seconds"], candidate["latency_ms"], candidate["pareto"]["latency"]
    return timeless


def _one_of_each(folder: Path) -> list[Path]:
    return [folder / "test" / name / "00.jpg" for name in CLASSES]


def _stretched(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
