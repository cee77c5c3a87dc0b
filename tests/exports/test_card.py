"""``MODEL_CARD.md``: front matter that Hugging Face reads, numbers of the run, programs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

import stored_run
from headfit.exports.card import CLASSES, card, find_run, plain, write_card
from headfit.exports.exported import ExportedFile
from headfit.exports.record import ExportRecord
from headfit.exports.snippets.program import programs
from headfit.images.contract import Contract
from headfit.report.text.numbers import score


@pytest.fixture
def record() -> ExportRecord:
    contract = Contract(96, 96, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    outputs = ("probabilities", "outlier_score")
    return ExportRecord(("a", "b", "c"), contract, "gap", "MobileNet", outputs=outputs)


@pytest.fixture
def exports(tmp_path) -> list[ExportedFile]:
    names = {"onnx": "model.onnx", "litert": "model.tflite", "keras": None}
    return [
        ExportedFile(
            format=format,
            path=None if name is None else tmp_path / "secret" / name,
            bytes=14_200_000,
            precision="float32",
            images=507,
            max_abs_difference=3.2e-7,
            top1_agreement=1.0,
            images_per_second=100.0,
            problem="" if name else "it differs",
        )
        for format, name in names.items()
    ]


@pytest.fixture
def run_folder(tmp_path, record):
    """A run, the record of its model, and its results."""
    results = stored_run.results()
    results["test"] = {"images": 30, "balanced_accuracy": 0.9, "accuracy": 0.8, "macro_f1": 0.7}
    chosen = results["verdict"]["recommended"]
    head = next(row["head"] for row in results["candidates"] if row["name"] == chosen)
    classes = tuple(results["images"]["classes"])
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results), "utf-8")
    made = replace(record, classes=classes, head=head, data=results["fingerprint"]["data"])
    return folder, made, results


def front_matter(text: str) -> dict:
    return yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))


def test_the_front_matter_holds_the_scores_of_the_run(run_folder, exports):
    folder, record, results = run_folder
    weights = {"name": "MobileNet", "origin": "ImageNet", "licence": "Apache-2.0"}
    record = replace(record, weights=weights)
    facts = front_matter(card(record, exports, find_run(folder / "model.keras", record)))
    assert facts["license"] == "apache-2.0"
    assert facts["pipeline_tag"] == "image-classification"
    assert facts["library_name"] == "onnx"  # the Keras file was not kept
    assert {"headfit", "onnx", "litert"} <= set(facts["tags"])
    (entry,) = facts["model-index"]
    name = results["verdict"]["recommended"]
    (row,) = [row for row in results["candidates"] if row["name"] == name]
    first = entry["results"][0]["metrics"][0]
    assert first["value"] == pytest.approx(row["balanced_accuracy"]["mean"], abs=1e-4)


def test_the_card_says_what_the_results_say(run_folder, exports):
    folder, record, results = run_folder
    record = replace(record, verdict="Use it.")
    text = card(record, exports, find_run(folder / "model.keras", record))
    assert "\nUse it.\n" in text
    for row in results["reliability"]["classes"]:
        assert f"| {plain(row['name'])} | {row['images']:,} |" in text
    assert "Another 30 images were kept for the test split." in text
    (gap,) = [row for row in results["candidates"] if row["name"] == "gap"]
    assert f"| balanced accuracy | {score(gap['balanced_accuracy'])} | 90.0 % |" in text
    assert "| `model.onnx` | onnx | float32 | 14.2 | 3e-07 | 100.0 % of 507 |" in text
    for part in ("## Scores by class", "## Trust", "## Limits", "## Origin"):
        assert part in text


def test_the_card_holds_the_programs_as_they_are_written(record, exports):
    text = card(record, exports, None)
    files = programs(record, {"onnx": "model.onnx", "litert": "model.tflite"})
    assert f"```python\n{files['predict_onnx.py'].rstrip()}\n```" in text
    assert files["predict_litert.py"].partition("model = sys.argv")[2].rstrip() in text


def test_no_path_of_the_machine_is_in_the_card(run_folder, exports, tmp_path):
    folder, record, results = run_folder
    results["settings"]["source"] = {"kind": "folder", "path": str(tmp_path / "private")}
    (folder / "results.json").write_text(json.dumps(results), "utf-8")
    path = write_card(record, exports, find_run(folder / "model.keras", record), tmp_path)
    assert path.name == "MODEL_CARD.md"
    text = path.read_text("utf-8")
    assert str(tmp_path) not in text and "secret" not in text and "private" not in text


def test_without_a_run_the_model_file_speaks_for_itself(record, exports, tmp_path):
    assert find_run(tmp_path / "model.keras", record) is None
    text = card(replace(record, verdict="Flatten is not necessary."), exports, None)
    assert "Flatten is not necessary." in text
    assert "No scores are known" in text
    assert "model-index" not in text


def test_results_of_other_images_another_head_or_damaged_ones_are_not_taken(run_folder):
    folder, record, _ = run_folder
    model = folder / "model.keras"
    assert find_run(model, record)
    assert find_run(model, replace(record, data="0" * 32)) is None
    assert find_run(model, replace(record, head="other")) is None
    assert find_run(model, replace(record, classes=("x", "y"))) is None
    (folder / "results.json").write_text("{}", "utf-8")
    assert find_run(model, record) is None


def test_a_kept_head_has_its_own_scores_and_no_reliability(run_folder, exports):
    folder, record, results = run_folder
    (row,) = [each for each in results["candidates"] if each["name"] == "flatten"]
    record = replace(record, head="flatten")
    run = find_run(folder / "heads" / "flatten.keras", record)
    text = card(record, exports, run)
    assert f"{100 * row['balanced_accuracy']['mean']:.1f} %" in text
    assert "## Trust" not in text


def test_names_cannot_be_markup_and_many_classes_are_cut(record, exports):
    odd = "<script>|`*x*`\n# [a](b)"
    many = tuple(f"c{number}" for number in range(CLASSES + 7))
    text = card(replace(record, classes=(odd, *many), head=odd), exports, None)
    body = text.partition("\n---\n")[2]
    assert "\\<script\\>\\|\\`\\*x\\*\\` \\# \\[a\\](b)" in body
    assert "and 8 more" in body
    assert "\n# [a]" not in body
