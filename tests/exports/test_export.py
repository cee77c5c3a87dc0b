"""What an export writes, and what it refuses, with nothing left behind."""

from __future__ import annotations

import errno
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

import headfit as hf
import small_models
from classifiers import CORNERS
from exportable import Exportable
from headfit.errors import DataError, ModelFileError, UnknownNameError, UsageError, WriteError
from headfit.exports.arguments import formats_of
from headfit.exports.evidence import Evidence
from headfit.exports.export import score_of
from headfit.exports.formats import FORMATS
from headfit.exports.formats.onnx import HalfRequest, Onnx, OnnxRequest, QuantiseOnnxRequest
from headfit.exports.formats.onnx_child import halve, quantise, write_onnx
from headfit.exports.proof import Agreement, by_contract, prove
from headfit.exports.record import ExportRecord
from headfit.images.contract import Contract
from trained_model import Trained

EMPTY = ExportRecord((), Contract(16, 16, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))


def test_each_format_is_written_and_agrees(exportable: Exportable) -> None:
    document = exportable.export.to_dict()
    assert document["schema"] == "headfit.export/1"
    assert exportable.export.agrees
    assert [each["format"] for each in document["exports"]] == ["onnx", "openvino", "keras"]
    for each in document["exports"]:
        assert each["images"] == 7 + 48
        assert each["max_abs_difference"] < 2e-6
        assert each["top1_agreement"] == 1
        assert each["bytes"] > 0 and each["images_per_second"] > 0
        assert each["problem"] is None


def test_nothing_but_the_exports_is_in_the_folder(exportable: Exportable) -> None:
    names = {path.name for path in exportable.export.out.iterdir()}
    assert names >= {"model.onnx", "openvino", "model.keras"}
    assert not any(name.startswith(".tmp") for name in names)


@pytest.mark.parametrize("name", ["onnx", "openvino", "keras"])
def test_every_file_holds_the_record(name: str, exportable: Exportable) -> None:
    (path,) = [each.path for each in exportable.export.exports if each.format == name]
    assert path is not None
    record = FORMATS[name].read_record(path)
    assert record == exportable.record
    assert record.classes == CORNERS
    assert ExportRecord.from_json(record.to_json()) == record


def test_the_onnx_file_has_open_batch_and_the_promised_names(exportable: Exportable) -> None:
    model = onnx.shape_inference.infer_shapes(
        onnx.load(str(exportable.onnx)), strict_mode=True, data_prop=True
    )
    onnx.checker.check_model(model, full_check=True)
    (images,), (p,) = model.graph.input, model.graph.output
    assert (images.name, p.name) == ("images", "probabilities")
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    sides = [dim.dim_value or dim.dim_param for dim in images.type.tensor_type.shape.dim]
    assert sides == ["batch", 32, 32, 3]
    assert {each.domain for each in model.opset_import} == {""}
    assert [node.op_type for node in model.graph.node].count("Conv") == 2
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_pooling_within_the_backbone_and_gem_become_onnx(tmp_path: Path) -> None:
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    x = keras.layers.MaxPooling2D(3, 2, padding="same")(x)
    x = keras.layers.AveragePooling2D(3, 1, padding="same")(x)
    x = hf.layers.GeM()(keras.layers.ReLU()(keras.layers.MaxPooling2D(2)(x)))
    model = keras.Model(image, keras.layers.Dense(3, "softmax")(x))
    model.save(tmp_path / "model.keras")
    record = replace(EMPTY, classes=("a", "b", "c")).to_json()
    target = tmp_path / "model.onnx"
    write_onnx(OnnxRequest(str(tmp_path / "model.keras"), record, False, False, str(target)))
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    expected = np.asarray(model(images.astype(np.float32)))
    np.testing.assert_allclose(FORMATS["onnx"].open(target)(images), expected, atol=1e-5)


def test_headfit_predicts_with_the_plain_keras_file(exportable: Exportable) -> None:
    plain = hf.Classifier(exportable.export.out / "model.keras")
    golden = exportable.reference.outputs[7:]
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    assert plain.predict_proba(pixels).shape == (2, golden.shape[1])


def test_an_outlier_score_is_a_second_output(trained: Trained, tmp_path: Path) -> None:
    export = hf.export(trained.model, "openvino", out=tmp_path, outlier_score=True)
    assert export.agrees, export.exports
    run = FORMATS["openvino"].open(tmp_path / "openvino")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    expected = hf.Classifier(trained.model).outlier_scores(pixels)
    np.testing.assert_allclose(run(pixels)[:, -1], expected, rtol=1e-4)
    record = FORMATS["openvino"].read_record(tmp_path / "openvino")
    assert record.outputs == ("probabilities", "outlier_score")
    assert record.weights["licence"] == "Apache-2.0"
    assert record.verdict and record.data and record.temperature


def proved(path: Path, exportable: Exportable, precision: str) -> tuple[Agreement, np.ndarray]:
    record = FORMATS["onnx"].read_record(path)
    run = by_contract(FORMATS["onnx"].open(path), record.contract)
    return prove(run, record, exportable.record, exportable.reference, precision)


def test_int8_is_calibrated_on_the_images(exportable: Exportable, tmp_path: Path) -> None:
    pixels, target = tmp_path / "pixels.npy", tmp_path / "int8.onnx"
    np.save(pixels, exportable.evidence.calibration(exportable.record.contract))
    quantise(QuantiseOnnxRequest(str(exportable.onnx), str(pixels), str(target)))
    kinds = {node.op_type for node in onnx.load(str(target)).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} < kinds
    agreement, outputs = proved(target, exportable, "int8")
    scores, problem = score_of(exportable.reference, outputs, 0.05)
    assert (agreement.problem, problem) == ("", "")
    assert scores["before"] > 0.9


def test_float16_halves_the_weights(exportable: Exportable, tmp_path: Path) -> None:
    target = tmp_path / "half.onnx"
    halve(HalfRequest(str(exportable.onnx), str(target)))
    agreement, _ = proved(target, exportable, "float16")
    assert agreement.problem == ""
    assert 1e-7 < agreement.max_abs_difference < 2e-2
    files = (onnx.load(str(path)) for path in (exportable.onnx, target))
    sizes = [sum(len(each.raw_data) for each in file.graph.initializer) for file in files]
    assert sizes[1] < 0.6 * sizes[0]


def test_accuracy_that_falls_too_far_is_a_problem(exportable: Exportable) -> None:
    reference = exportable.reference
    assert score_of(reference, reference.outputs, 0.0)[1] == ""
    wrong = np.roll(reference.outputs, 1, axis=1)
    scores, problem = score_of(reference, wrong, 0.01)
    assert scores["after"] < 0.1
    assert problem.startswith("accuracy on 48 images falls from ")


def test_a_foreign_model_is_exported_with_its_classes(tmp_path: Path) -> None:
    model = small_models.save(small_models.classifier(last=small_models.dense(None)), tmp_path)
    told: list[str] = []

    class Listener(hf.Callback):
        def on_message(self, message: str) -> None:
            told.append(message)

    arguments: dict[str, Any] = {"classes": ["a", "b", "c"], "preprocessing": "tf"}
    export = hf.export(model, "openvino", out=tmp_path / "out", callbacks=Listener(), **arguments)
    assert export.agrees, export.exports
    assert any("a softmax is added" in line for line in told)
    record = FORMATS["openvino"].read_record(tmp_path / "out" / "openvino")
    assert record.classes == ("a", "b", "c")
    assert record.contract.offset == (-1.0, -1.0, -1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "Set `classes` to their names"),
        ({"classes": ["a", "b", "c"]}, "`preprocessing` to one of none, tf, caffe, torch"),
        ({"classes": ["a", "a", "b"], "preprocessing": "tf"}, "two different names or more"),
    ],
)
def test_a_foreign_model_without_its_facts_is_refused(
    arguments: dict[str, Any], said: str, tmp_path: Path
) -> None:
    model = small_models.save(small_models.classifier(), tmp_path)
    with pytest.raises(UsageError, match=said):
        hf.export(model, "openvino", out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_model_of_headfit_takes_no_classes(exportable: Exportable, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Leave `classes` out"):
        hf.export(exportable.model, "openvino", out=tmp_path / "out", classes=["a", "b"])


def test_unknown_formats_are_listed() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown format 'onx'\. Did you mean 'onnx'"):
        formats_of("onx,keras")
    with pytest.raises(UsageError, match="one format or more"):
        formats_of(" , ")
    assert [each.name for each in formats_of("KERAS, onnx,keras")] == ["keras", "onnx"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"precision": "int4"}, "`precision` must be one of float32, float16, int8"),
        ({"to": "keras", "precision": "int8"}, "keras is written in float32 only"),
        ({"to": "keras", "outlier_score": True}, "keras has no `outlier_score`"),
        ({"max_drop": 2.0}, "`max_drop` must be a number from 0 to 1"),
        ({"precision": "int8"}, "Set `images` to the folder or table of the images"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(
    arguments: dict[str, Any], said: str, exportable: Exportable, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        hf.export(exportable.model, **{"to": "openvino", "out": tmp_path / "out", **arguments})
    assert not (tmp_path / "out").exists()


def test_the_model_itself_is_not_replaced(exportable: Exportable) -> None:
    before = exportable.model.read_bytes()
    with pytest.raises(UsageError, match="is the model itself"):
        hf.export(exportable.model, "keras", out=exportable.model.parent)
    assert exportable.model.read_bytes() == before


def test_a_missing_package_is_one_sentence(
    exportable: Exportable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "headfit.exports.formats.format.find_spec",
        lambda name: None if name == "jax2onnx" else find(name),
    )
    with pytest.raises(UsageError) as caught:
        hf.export(exportable.model, "onnx", out=tmp_path)
    assert str(caught.value) == (
        "`to='onnx'` needs jax2onnx, which is not installed. Run: pip install 'headfit[onnx]'."
    )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"<html>not found</html>"])
def test_a_broken_model_file_is_said_before_missing_packages(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.keras").write_bytes(content)
    monkeypatch.setattr("headfit.exports.formats.format.find_spec", lambda name: None)
    with pytest.raises(ModelFileError, match=r"model\.keras' is "):
        hf.export(tmp_path / "model.keras", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_a_full_disk_leaves_nothing(
    exportable: Exportable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Onnx, subject: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Onnx, "write", full)
    with pytest.raises(WriteError, match="No space left on device"):
        hf.export(exportable.model, "onnx", out=tmp_path / "out" / "inner")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_one_line(exportable: Exportable, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises((UsageError, WriteError), match="out"):
        hf.export(exportable.model, "openvino", out=blocked)


def test_a_file_that_disagrees_is_not_kept(
    exportable: Exportable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = tmp_path / "model.onnx"
    former.write_bytes(b"of an earlier export")

    def other(self: Onnx, subject: Any, path: Path) -> None:
        model = onnx.load(str(exportable.onnx))
        node = next(each for each in model.graph.node if each.op_type == "Relu")
        node.op_type = "Neg"
        onnx.save(model, str(path))

    monkeypatch.setattr(Onnx, "write", other)
    export = hf.export(exportable.model, "onnx", out=tmp_path)
    assert not export.agrees and export.exports[0].path is None
    assert former.read_bytes() == b"of an earlier export"


def test_calibration_images_that_are_gone_are_an_error(exportable: Exportable) -> None:
    index = exportable.evidence.index
    assert index is not None
    gone = Evidence(replace(index, paths=tuple(f"{path}.gone" for path in index.paths)))
    with pytest.raises(DataError, match="none in 'photos' can be read"):
        gone.calibration(exportable.record.contract)
