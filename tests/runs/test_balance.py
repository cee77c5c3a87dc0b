"""Classes that differ strongly in size, and images that do not count alike."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import headfit as hf
from headfit.cli.compare import command
from photos import write_photo

QUICK = {"size": 32, "heads": "gap", "where": False, "curve": False, "near_duplicates": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of 44 pictures of one class and 4 of another."""
    folder = tmp_path_factory.mktemp("uneven")
    rng = np.random.default_rng(0)
    for kind, (name, count) in enumerate((("many", 44), ("rare", 4))):
        for number in range(count):
            write_photo(folder / name / f"{number:02}.jpg", kind, rng, 40)
    return folder


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "run"
    arguments = ["--size", "32", "--heads", "gap,flatten", "--quick", "--no-where", "--no-curve"]
    outcome = CliRunner().invoke(
        command, [str(folder), *arguments, "--no-near-duplicates", "--out", str(out)]
    )
    assert outcome.exit_code == 0, outcome.output
    return outcome.output, json.loads((out / "results.json").read_text("utf-8"))


def test_a_strong_imbalance_balances_the_loss_and_says_so(run):
    output, results = run
    assert results["images"]["class_balanced_loss"]
    assert results["images"]["imbalance"] == 11
    assert "class-balanced" in output
    assert "11 to 1" in output


def test_a_rare_class_is_tested_in_as_many_folds_as_it_has_images(run):
    output, results = run
    assert results["settings"]["folds"] == 5
    assert results["images"]["rare"] == {"rare": 4}
    assert "rare (4)" in output


def test_a_balanced_loss_finds_the_rare_class_more_often(folder):
    kept = {
        choice: hf.compare(folder, class_weight=choice, protocol="quick", **QUICK)
        for choice in ("balanced", "none")
    }
    rare = {name: study.out_of_fold[-4:, 1].mean() for name, study in kept.items()}
    assert rare["balanced"] > rare["none"]
    assert not kept["none"].results["images"]["class_balanced_loss"]


def test_weights_of_the_index_reach_losses_and_scores(folder):
    index = hf.ImageIndex.from_directory(folder)
    weights = np.ones(len(index))
    weights[:11] = 3.0
    weighted = hf.compare(
        replace(index, targets=replace(index.targets, weights=weights)),
        class_weight="none",
        protocol="quick",
        **QUICK,
    )
    plain = hf.compare(index, class_weight="none", protocol="quick", **QUICK)
    effective = weights.sum() ** 2 / np.square(weights).sum()
    assert weighted.results["images"]["effective_images"] == pytest.approx(effective)
    assert not np.allclose(weighted.out_of_fold, plain.out_of_fold)


def test_classes_of_similar_size_change_nothing(folder, tmp_path):
    for name in ("many", "rare"):
        (tmp_path / name).mkdir()
        for path in sorted((folder / name).iterdir())[:4]:
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    results = hf.compare(tmp_path, protocol="quick", **QUICK).results
    assert results["images"]["rare"] == {}
    assert not results["images"]["class_balanced_loss"]
    assert results["settings"]["folds"] == 4


def test_an_unknown_class_weight_is_refused(folder):
    with pytest.raises(hf.UsageError, match="`class_weight` must be one of auto, balanced, none"):
        hf.compare(folder, class_weight="equal")
