"""``MODEL_CARD.md``: front matter that Hugging Face reads, numbers of the run, programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import stored_kinds
import stored_run
from headfit.exports.card import CLASSES, Run, card, find_run, plain, write_card
from headfit.exports.contents import FILES, Contents
from headfit.exports.exported import ExportedFile
from headfit.exports.from_bytes import Decoding
from headfit.exports.record import ExportRecord
from headfit.exports.snippets.program import programs
from headfit.images.contract import Contract
from headfit.report.text.numbers import score
from headfit.util import digests


@pytest.fixture
def record() -> ExportRecord:
    contract = Contract(96, 96, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    outputs = ("probabilities", "outlier_score")
    return ExportRecord(("a", "b", "c"), contract, "gap", "MobileNet", outputs=outputs)


def made(format: str, folder: Path, **values: Any) -> ExportedFile:
    """An export whose file lies in a folder."""
    path = folder / FILES[format]
    path.write_bytes(bytes(1000))
    numbers = {"images": 507, "max_abs_difference": 3.2e-7, "top1_agreement": 1.0}
    rest = {"path": path, "bytes": 1000, "precision": "float32", "images_per_second": 100.0}
    return ExportedFile(**{"format": format, **rest, **numbers, **values})


@pytest.fixture
def exports(tmp_path) -> Contents:
    (tmp_path / "secret").mkdir()
    several = (made(name, tmp_path / "secret", outlier_score=True) for name in ("onnx", "litert"))
    return Contents("f" * 32, tuple(several))


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
    assert facts["library_name"] == "onnx"
    assert facts["headfit"]["exports"][1]["path"] == "model.tflite"
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
    assert "| `model.onnx` | onnx | float32 | 0.0 | 3e-07 | 100.0 % of 507 |" in text
    for part in ("## Scores by class", "## Trust", "## Limits", "## Origin"):
        assert part in text


def test_the_card_holds_the_programs_as_they_are_written(record, exports):
    text = card(record, exports, None)
    files = programs(record, {"onnx": "model.onnx", "litert": "model.tflite"})
    for name in ("decode.py", "predict_onnx.py", "predict_litert.py"):
        assert text.count(f"```python\n{files[name].rstrip()}\n```") == 1


def test_a_later_export_leaves_the_earlier_ones_in_the_card(record, tmp_path):
    model = tmp_path / "model.h5"
    model.write_bytes(b"one")
    first = made("openvino", tmp_path, max_abs_difference=2e-8, outlier_score=True)
    write_card(record, Contents.of(tmp_path, model, [first]), None, tmp_path)
    problem = made("litert", tmp_path, path=None, problem="it differs")
    decoding = Decoding({"exif.jpg": 0.01, "grey.jpg": None}, 1e-3)
    second = [made("onnx_bytes", tmp_path, decoding=decoding), problem]
    contents = Contents.of(tmp_path, model, second)
    assert [each.format for each in contents.exports] == ["openvino", "onnx_bytes"]
    assert contents.exports[0] == replace(first, images_per_second=None)
    text = card(record, contents, None)
    assert "| `openvino` | openvino | float32 | 0.0 | 2e-08 | 100.0 % of 507 |" in text
    assert "| input `image` of `model_bytes.onnx` |" in text and "| input `images` |" in text
    assert "output `outlier_score`, in `openvino` only" in text
    assert "`model_bytes.onnx`: Decoded within the file" in text
    assert "Of another export, and not described here: `model.tflite`." in text
    assert "`predict_openvino.py`" in text and "`predict_onnx_bytes.py`" in text


def test_what_is_gone_replaced_or_of_another_model_leaves_the_card(record, tmp_path):
    model = tmp_path / "model.h5"
    model.write_bytes(b"one")
    several = [made(name, tmp_path) for name in ("onnx", "openvino", "saved_model")]
    write_card(record, Contents.of(tmp_path, model, several), None, tmp_path)
    (tmp_path / "model.onnx").unlink()
    (tmp_path / "openvino").write_bytes(b"something else")
    kept = Contents.of(tmp_path, model, [])
    assert [each.format for each in kept.exports] == ["saved_model"]
    assert kept.others == ("openvino",)
    model.write_bytes(b"two")
    assert Contents.of(tmp_path, model, []).exports == ()


@pytest.mark.parametrize("value", ["1", "{", '{"model": "M", "exports": [{"format": "../x"}]}'])
def test_a_card_that_was_changed_is_not_believed(value, tmp_path):
    model = tmp_path / "model.h5"
    model.write_bytes(b"one")
    value = value.replace("M", digests.of_file(model))
    (tmp_path / "MODEL_CARD.md").write_text(f"---\nheadfit: {value}\n---\n", "utf-8")
    assert Contents.of(tmp_path, model, []).exports == ()


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


@pytest.mark.parametrize(
    ("kind", "made", "metrics", "words"),
    [
        (
            "labels",
            stored_kinds.labels,
            ["average_precision", "f1"],
            ("macro average precision | 8", "## Scores by label", "4 labels", "same labels"),
        ),
        (
            "number",
            stored_kinds.numbers,
            ["r_squared", "rmse", "mae"],
            ("| R² | 0.", "## Scores by number", "numbers x and y", "in the numbers' own units"),
        ),
    ],
)
def test_a_card_of_labels_or_numbers_has_their_scores(kind, made, metrics, words, record, exports):
    results = made().results
    row = next(row for row in results["candidates"] if row["name"] == "flatten")
    outputs = ("values",) if kind == "number" else ("probabilities",)
    names = tuple(results["targets"]["names"])
    record = replace(record, classes=names, target=kind, outputs=outputs, head="flatten")
    text = card(record, exports, Run(results, row, True))
    facts = front_matter(text)
    assert facts["metrics"] == metrics
    values = [each["value"] for each in facts["model-index"][0]["results"][0]["metrics"]]
    assert round(row[results["verdict"]["metric"]]["mean"], 4) in values
    for each in (*words, f"output `{outputs[0]}`", "Another 30 images"):
        assert each in text, each
    for absent in ("confused", "taken for", "balanced accuracy", "classes"):
        assert absent not in text.partition("## Files")[0], absent
