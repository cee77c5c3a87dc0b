"""Exports of models for several labels and for numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import classifiers
import headfit as hf
from headfit.exports.evidence import Evidence
from headfit.exports.export import score_of
from headfit.exports.formats import FORMATS
from headfit.exports.proof import by_contract, prove
from headfit.exports.record import ExportRecord
from headfit.exports.reference import Reference
from headfit.images.contract import Contract
from headfit.images.index import ImageIndex
from headfit.images.sources import open_source
from headfit.images.targets import LABELS, NUMBER, Targets
from headfit.model.metadata import ModelRecord

KINDS = (LABELS, NUMBER)
ENDING = {LABELS: "sigmoid", NUMBER: "linear"}
OUTPUT = {LABELS: "probabilities", NUMBER: "values"}


@pytest.fixture(scope="module", params=KINDS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, hf.Export]:
    """The kind, a model of it and its export."""
    folder = tmp_path_factory.mktemp(request.param)
    path = classifiers.corner_predictor("flatten", folder / "model.keras", request.param)
    return request.param, path, hf.export(path, "onnx,openvino,keras", fuse=True)


def test_every_format_agrees(exported: tuple[str, Path, hf.Export]) -> None:
    _, _, export = exported
    assert export.agrees
    for each in export.exports:
        assert each.max_abs_difference is not None and each.max_abs_difference < 1e-5
        assert each.top1_agreement == 1


def test_the_record_says_what_the_outputs_are(exported: tuple[str, Path, hf.Export]) -> None:
    kind, path, export = exported
    session = onnxruntime.InferenceSession(export.out / "model.onnx")
    assert [each.name for each in session.get_outputs()] == [OUTPUT[kind]]
    stored = json.loads(session.get_modelmeta().custom_metadata_map["headfit"])
    assert (stored["target"], stored["activation"]) == (kind, ENDING[kind])
    if kind == LABELS:
        assert (stored["thresholds"], stored["temperatures"]) == ([0.5, 0.4], [2.0, 0.5])
    else:
        assert stored["intervals"] == {"level": 0.9, "half_widths": [4.0, 0.5]}
    record = ExportRecord.of(ModelRecord.read(path))
    for each in export.exports:
        assert FORMATS[each.format].read_record(export.out / FORMATS[each.format].file) == record


def test_a_record_of_an_earlier_version_is_of_classes() -> None:
    contract = ExportRecord(("a", "b"), Contract(32, 32, (1.0,) * 3, (0.0,) * 3))
    data = contract.to_dict()
    for name in ("activation", "temperatures", "thresholds", "intervals"):
        del data[name]
    assert ExportRecord.from_dict(data) == contract


def test_the_program_beside_it_prints_labels_or_numbers(
    exported: tuple[str, Path, hf.Export], tmp_path: Path
) -> None:
    kind, path, export = exported
    images, corners = classifiers.corner_images(1, seed=8)
    image = tmp_path / "image.png"
    Image.fromarray(images[3]).save(image)
    assert corners[3] == 3
    program = [sys.executable, "predict_onnx.py", str(image)]
    done = subprocess.run(program, cwd=export.out, capture_output=True, text=True, check=True)
    printed = dict(line.split() for line in done.stdout.splitlines())
    expected = dict(
        zip(classifiers.NAMES[kind], hf.Classifier(path).outputs([image])[0], strict=True)
    )
    assert {name: float(text) for name, text in printed.items()} == pytest.approx(
        expected, rel=1e-3
    )


@pytest.mark.parametrize("kind", ["class", *KINDS])
def test_a_readout_is_right_for_every_image_of_a_batch(kind: str, tmp_path: Path) -> None:
    path = classifiers.random_classifier("low_rank", tmp_path / "model.keras", kind=kind)
    export = hf.export(path, "openvino,onnx,keras")
    assert [each.problem for each in export.exports] == ["", "", ""]


def evidence_of(kind: str, folder: Path) -> Evidence:
    """Images of a run with such targets."""
    images, corners = classifiers.corner_images(6, seed=4)
    for number, (pixels, corner) in enumerate(zip(images, corners, strict=True)):
        target = folder / str(corner) / f"{number:02}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target)
    index = ImageIndex.from_source(open_source(folder))
    values = classifiers.corner_values(corners, kind)
    return Evidence(replace(index, targets=Targets(classifiers.NAMES[kind], values, kind)))


def test_images_of_the_run_are_scored_by_the_metric_of_the_kind(
    exported: tuple[str, Path, hf.Export], tmp_path: Path
) -> None:
    kind, path, export = exported
    evidence = evidence_of(kind, tmp_path / "images")
    reference = Reference.of(hf.Classifier(path), evidence, outlier_score=False)
    assert len(reference.labelled) == 24
    onnx = FORMATS["onnx"]
    file = export.out / onnx.file
    record = onnx.read_record(file)
    run = by_contract(onnx.open(file), record.contract)
    agreement, outputs = prove(run, record, record, reference, "int8")
    assert (agreement.problem, agreement.images) == ("", 24 + 7)
    scores, problem = score_of(reference, outputs, 0.01)
    assert scores["metric"] == {LABELS: "macro_average_precision", NUMBER: "r2"}[kind]
    assert scores["after"] == pytest.approx(scores["before"], abs=1e-6)
    assert scores["before"] > 0.7
    _, problem = score_of(reference, outputs[::-1], 0.01)
    assert {LABELS: "macro average precision", NUMBER: "R²"}[kind] in problem
    wrong = np.where(np.arange(2) == 1, outputs[::-1], outputs)
    agreement, _ = prove(lambda c: wrong[: len(c)], record, record, reference, "float32")
    assert "its outputs differ" in agreement.problem and agreement.top1_agreement < 1


def test_a_table_that_the_user_names_is_read_as_what_the_model_predicts(tmp_path: Path) -> None:
    images, corners = classifiers.corner_images(2, seed=4)
    rows = {kind: classifiers.corner_values(corners, kind).astype(float).tolist() for kind in KINDS}
    lines = ["path,label,top,right,x,y"]
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        (top, right), (x, y) = rows[LABELS][number], rows[NUMBER][number]
        tags = ";".join(name for name, has in (("top", top), ("right", right)) if has)
        lines.append(f"{number}.png,{tags},{int(top)},{int(right)},{x},{y}")
    (tmp_path / "all.csv").write_text("\n".join(lines), "utf-8")
    for kind in KINDS:
        evidence = Evidence.of_source(tmp_path / "all.csv", kind, classifiers.NAMES[kind])
        found = [each.values for each in evidence.held_out()]
        wanted = [dict(zip(classifiers.NAMES[kind], row, strict=True)) for row in rows[kind]]
        assert len(found) == len(wanted)
        assert all(each in wanted for each in found)
