"""The proof passes what agrees, and catches every way in which an export goes wrong."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from exportable import Exportable
from headfit.exports.formats import FORMATS
from headfit.exports.golden import golden_images
from headfit.exports.proof import Agreement, by_contract, prove
from headfit.exports.record import PROBABILITIES, ExportRecord

FORMAT = FORMATS["onnx"]


def agreement_of(path: Path, exportable: Exportable) -> Agreement:
    """Prove a file as an export does."""
    record = FORMAT.read_record(path)
    run = by_contract(FORMAT.open(path), record.contract)
    return prove(run, record, exportable.record, exportable.reference, "float32")[0]


def test_a_sound_file_agrees_on_golden_and_held_out_images(exportable: Exportable) -> None:
    agreement = agreement_of(exportable.onnx, exportable)
    assert agreement.problem == ""
    assert agreement.images == 7 + 48
    assert agreement.max_abs_difference < 2e-6
    assert agreement.top1_agreement == 1


def feed(model: onnx.ModelProto, old: str, new: str) -> None:
    """Let everything that reads one tensor read another."""
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new


def swap_channels(model: onnx.ModelProto) -> None:
    (cast,) = [node for node in model.graph.node if node.op_type == "Cast"]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 1, 0]), "reversed"))
    feed(model, cast.output[0], "bgr")
    gather = onnx.helper.make_node("Gather", [cast.output[0], "reversed"], ["bgr"], axis=3)
    model.graph.node.insert(1, gather)


def skip(kind: str, which: int) -> Callable[[onnx.ModelProto], None]:
    """Leave out an operator of a kind."""

    def change(model: onnx.ModelProto) -> None:
        node = [each for each in model.graph.node if each.op_type == kind][which]
        feed(model, node.output[0], node.input[0])
        model.graph.node.remove(node)

    return change


def permute_classes(model: onnx.ModelProto) -> None:
    (last,) = [node for node in model.graph.node if PROBABILITIES in node.output]
    last.output[0] = "in_order"
    order = onnx.numpy_helper.from_array(np.array([1, 0, 2, 3]), "order")
    model.graph.initializer.append(order)
    gather = onnx.helper.make_node("Gather", ["in_order", "order"], [PROBABILITIES], axis=1)
    model.graph.node.append(gather)


BROKEN = {
    "swapped channels": swap_channels,
    "no scaling": skip("Mul", 0),
    "permuted classes": permute_classes,
    "a lost layer": skip("Relu", -1),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_broken_network_is_caught(
    change: Callable[[onnx.ModelProto], None], exportable: Exportable, tmp_path: Path
) -> None:
    model = onnx.load(str(exportable.onnx))
    change(model)
    onnx.save(model, str(tmp_path / "broken.onnx"))
    problem = agreement_of(tmp_path / "broken.onnx", exportable).problem
    assert "differ from headfit's by up to" in problem, problem


def test_another_way_of_resizing_is_caught(exportable: Exportable) -> None:
    predict, side = FORMAT.open(exportable.onnx), exportable.record.contract.height

    def nearest(contents: list[bytes]) -> np.ndarray:
        images = [Image.open(io.BytesIO(content)).convert("RGB") for content in contents]
        small = [image.resize((side, side), Image.Resampling.NEAREST) for image in images]
        return predict(np.stack([np.asarray(image) for image in small]))

    record = exportable.record
    agreement, _ = prove(nearest, record, record, exportable.reference, "float32")
    assert "differ from headfit's by up to" in agreement.problem


def changed_record(record: ExportRecord, what: str) -> ExportRecord:
    if what == "size":
        return replace(record, contract=replace(record.contract, height=24))
    return replace(record, classes=record.classes[::-1])


@pytest.mark.parametrize("what", ["size", "classes"])
def test_another_record_is_caught(what: str, exportable: Exportable, tmp_path: Path) -> None:
    model = onnx.load(str(exportable.onnx))
    text = changed_record(exportable.record, what).to_json()
    onnx.helper.set_model_props(model, {"headfit": text})
    onnx.save(model, str(tmp_path / "broken.onnx"))
    assert "record" in agreement_of(tmp_path / "broken.onnx", exportable).problem


def test_outputs_that_are_not_finite_or_of_another_shape_are_caught(exportable: Exportable) -> None:
    record = exportable.record
    for outputs in (np.full((64, 4), np.nan, np.float32), np.zeros((64, 5), np.float32)):
        agreement, _ = prove(
            lambda contents, rows=outputs: rows[: len(contents)],
            *(record, record, exportable.reference, "float32"),
        )
        assert "it gives outputs of shape" in agreement.problem


def test_classes_that_headfit_cannot_tell_apart_count_as_the_same(exportable: Exportable) -> None:
    count = len(exportable.reference.outputs)
    level = replace(exportable.reference, outputs=np.full((count, 4), 0.25))
    nearly = np.tile(np.array([0.25, 0.250001, 0.25, 0.249999], np.float32), (count, 1))
    agreement, _ = prove(
        lambda contents: nearly[: len(contents)],
        *(exportable.record, exportable.record, level, "float32"),
    )
    assert (agreement.problem, agreement.top1_agreement) == ("", 1.0)


def test_golden_images_are_of_every_kind() -> None:
    kinds = {}
    for name, content in golden_images().items():
        with Image.open(io.BytesIO(content)) as image:
            kinds[name] = (image.format, image.mode, image.getexif().get(0x0112, 1))
    assert kinds == {
        "exif.jpg": ("JPEG", "RGB", 6),
        "grey.jpg": ("JPEG", "L", 1),
        "cmyk.jpg": ("JPEG", "CMYK", 1),
        "alpha.png": ("PNG", "RGBA", 1),
        "palette.png": ("PNG", "P", 1),
        "16-bit.png": ("PNG", "I;16", 1),
        "picture.webp": ("WEBP", "RGB", 1),
    }
