"""An ONNX file that decodes by itself: what it reads as headfit does, and what it refuses."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import headfit as hf
from exportable import Exportable
from exported import agrees, run
from headfit.errors import EngineError, UsageError
from headfit.exports.arguments import formats_of
from headfit.exports.card import card
from headfit.exports.contents import Contents
from headfit.exports.export import score_of
from headfit.exports.exported import ExportedFile
from headfit.exports.formats import format as format_module
from headfit.exports.formats.onnx import QuantiseOnnxRequest
from headfit.exports.formats.onnx_bytes import FROM_BYTES, OnnxBytes, Serve, says_so
from headfit.exports.formats.onnx_child import quantise
from headfit.exports.formats.onnx_decoding import DOMAIN, REFUSAL, with_decoder
from headfit.exports.from_bytes import Decoding, prove_from_bytes
from headfit.exports.golden import golden_images
from headfit.exports.proof import Agreement
from headfit.exports.record import IMAGES, KEY
from headfit.exports.snippets.program import write_programs
from headfit.images.decode import decode

HEIGHT, WIDTH = 24, 40
REFUSED = {"grey.jpg", "cmyk.jpg", "alpha.png", "16-bit.png", "picture.webp"}


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """What the graph decodes, uint8 (24, 40, 3)."""
    shape = ["batch", HEIGHT, WIDTH, 3]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, shape)
        for name in (IMAGES, "out")
    ]
    node = onnx.helper.make_node("Identity", [IMAGES], ["out"])
    graph = onnx.helper.make_graph([node], "same", ends[:1], ends[1:])
    opset = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    path = tmp_path_factory.mktemp("pixels") / "same.onnx"
    onnx.save(with_decoder(model, HEIGHT, WIDTH, IMAGES), str(path))
    return OnnxBytes().serve(path)


def picture() -> Image.Image:
    y, x = np.mgrid[0:45, 0:75]
    waves = np.stack([np.sin(x / 17 + y / 9), np.cos(x / 7), np.sin(x * y / 900)], -1)
    return Image.fromarray((127 + 120 * waves).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def close(pixels: Serve, data: bytes, most: int = 1) -> bool:
    apart = np.abs(pixels(data).astype(int) - decode(data, HEIGHT, WIDTH))
    return bool(apart.max() <= most)


@pytest.mark.parametrize("orientation", range(9))
def test_files_are_turned_upright(pixels: Serve, orientation: int) -> None:
    for order in "<>":
        exif = Image.Exif()
        exif.endian = order
        exif[0x0112] = orientation
        data = encoded(picture(), "JPEG", exif=exif.tobytes(), quality=92, subsampling=0)
        assert close(pixels, data)
        assert close(pixels, encoded(picture(), "PNG", exif=exif))


def test_every_kind_of_opaque_png_gives_the_same_pixels(pixels: Serve) -> None:
    kinds = (picture(), picture().convert("L"), picture().convert("1"), picture().quantize(32))
    assert all(close(pixels, encoded(each, "PNG")) for each in kinds)
    assert close(pixels, encoded(picture().resize((300, 180)), "PNG"))


def test_photographs_differ_by_little(pixels: Serve) -> None:
    assert close(pixels, encoded(picture(), "JPEG", quality=92), 6)
    assert close(pixels, encoded(picture(), "JPEG", progressive=True), 6)
    assert close(pixels, encoded(picture().resize((300, 180)), "JPEG", quality=92), 12)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_the_decoder_gets_wrong_is_refused(pixels: Serve, name: str) -> None:
    with pytest.raises(EngineError, match=REFUSAL):
        pixels(golden_images()[name])


def interlaced() -> bytes:
    data = bytearray(encoded(picture(), "PNG"))
    data[28] = 1
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"abc", interlaced(), encoded(picture().quantize(8), "PNG", transparency=3)],
    ids=["empty", "short", "interlaced", "transparent colour"],
)
def test_what_is_no_plain_image_is_refused(pixels: Serve, data: bytes) -> None:
    with pytest.raises(EngineError, match=REFUSAL):
        pixels(data)


def test_a_cut_file_neither_hangs_nor_ends_the_process(pixels: Serve) -> None:
    cut = encoded(picture(), "JPEG", quality=92)[:-300]
    assert pixels(cut).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(EngineError):
        pixels(encoded(picture(), "PNG")[:-300])


def proved(
    path: Path, exportable: Exportable, precision: str = "float32"
) -> tuple[Agreement, np.ndarray, Decoding]:
    record, run = OnnxBytes().read_record(path), OnnxBytes().serve(path)
    expected = says_so(exportable.record)
    return prove_from_bytes(run, record, expected, exportable.reference, precision)


def test_the_proof_says_how_far_it_agrees(from_bytes: Path, exportable: Exportable) -> None:
    agreement, outputs, decoding = proved(from_bytes, exportable)
    assert agreement.problem == "" and agreement.images == 2 + 48
    assert agreement.top1_agreement == 1
    assert {name for name, apart in decoding.golden.items() if apart is None} == REFUSED
    assert np.isnan(outputs).any(axis=1).sum() == len(REFUSED)
    assert decoding.median_difference is not None and decoding.median_difference < 1e-3
    assert decoding.images_per_second is not None and decoding.images_per_second > 0


def swap_channels(model: onnx.ModelProto) -> None:
    (order,) = [
        tensor
        for tensor in model.graph.initializer
        if onnx.numpy_helper.to_array(tensor).tolist() == [2, 1, 0]
    ]
    order.CopyFrom(onnx.numpy_helper.from_array(np.array([0, 1, 2]), order.name))


def refuse_everything(model: onnx.ModelProto) -> None:
    (node,) = [node for node in model.graph.node if node.name == REFUSAL]
    (end,) = [each for each in model.graph.initializer if each.name == node.input[0]]
    end.CopyFrom(onnx.numpy_helper.from_array(np.zeros((0, 2), np.uint8), end.name))


@pytest.mark.parametrize("change", [swap_channels, refuse_everything])
def test_a_broken_decoder_is_caught(
    change: Callable[[onnx.ModelProto], None],
    from_bytes: Path,
    exportable: Exportable,
    tmp_path: Path,
) -> None:
    model = onnx.load(str(from_bytes))
    change(model)
    onnx.save(model, str(tmp_path / "broken.onnx"))
    assert proved(tmp_path / "broken.onnx", exportable)[0].problem


def test_images_of_the_run_that_it_cannot_read_are_a_problem(
    from_bytes: Path, exportable: Exportable
) -> None:
    reference = exportable.reference
    webp = replace(reference.pictures[-1], read=lambda: golden_images()["picture.webp"])
    odd = replace(reference, pictures=[*reference.pictures[:-1], webp])
    record, run = OnnxBytes().read_record(from_bytes), OnnxBytes().serve(from_bytes)
    agreement, _, _ = prove_from_bytes(run, record, record, odd, "float32")
    assert f"it cannot read 1 of 48 images of the run, such as '{webp.name}'" in agreement.problem


def test_the_record_says_that_decoding_is_inside(from_bytes: Path, exportable: Exportable) -> None:
    model = onnx.load(str(from_bytes))
    onnx.checker.check_model(model, full_check=True)
    (image,) = model.graph.input
    assert (image.name, len(image.type.tensor_type.shape.dim)) == ("image", 1)
    assert {each.domain for each in model.opset_import} == {"", DOMAIN}
    record = OnnxBytes().read_record(from_bytes)
    assert record.from_bytes == FROM_BYTES and exportable.record.from_bytes is None


def test_a_program_of_ten_lines_runs_it(
    from_bytes: Path, exportable: Exportable, photos: list[Path], tmp_path: Path
) -> None:
    record = OnnxBytes().read_record(from_bytes)
    (program,) = write_programs(record, {"onnx_bytes": str(from_bytes)}, tmp_path)
    assert program.name == "predict_onnx_bytes.py"
    assert "PIL" not in program.read_text("utf-8")
    printed = run([sys.executable, program.name, str(photos[0])], tmp_path)
    assert agrees(printed, exportable.model, photos[0], 0.02)


def test_the_card_says_what_is_refused(exportable: Exportable) -> None:
    decoding = Decoding({"exif.jpg": 0.012, "grey.jpg": None}, 3e-4, 90.0)
    made = ExportedFile(
        "onnx_bytes",
        Path("model_bytes.onnx"),
        1,
        "float32",
        50,
        0.012,
        1.0,
        90.0,
        decoding=decoding,
    )
    text = card(says_so(exportable.record), Contents("", (made,)), None)
    assert 'library_name: "onnx"' in text
    assert "largest difference 0.01 for exif.jpg" in text and "error: grey.jpg" in text
    assert FROM_BYTES["refuses"] in text


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_options_of_a_file_from_bytes_go_together(
    precision: str, model_path: Path, exportable: Exportable, tmp_path: Path
) -> None:
    """One matrix product for the head and an outlier score, in lower precision."""
    options: dict[str, Any] = {"from_bytes": True, "fuse": True, "outlier_score": True}
    images = exportable.photos
    export = hf.export(model_path, precision=precision, images=images, out=tmp_path, **options)
    assert export.agrees, export.exports
    (made,) = export.exports
    assert (made.precision, made.outlier_score, made.images) == (precision, True, 2 + 48)
    model = onnx.load(str(made.path))
    assert [output.name for output in model.graph.output] == ["probabilities", "outlier_score"]
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    stored = {"float16": onnx.TensorProto.FLOAT16, "int8": onnx.TensorProto.INT8}
    assert stored[precision] in kinds
    assert made.path is not None
    row = OnnxBytes().serve(made.path)(encoded(picture(), "PNG"))
    assert row.shape == (4,) and row[:3].sum() == pytest.approx(1, abs=1e-3)


def test_a_file_from_bytes_in_8_bits_keeps_its_accuracy(
    exportable: Exportable, tmp_path: Path
) -> None:
    pixels, network = tmp_path / "pixels.npy", tmp_path / "int8.onnx"
    np.save(pixels, exportable.evidence.calibration(exportable.record.contract))
    quantise(QuantiseOnnxRequest(str(exportable.onnx), str(pixels), str(network)))
    model = onnx.load(str(network))
    onnx.helper.set_model_props(model, {KEY: says_so(exportable.record).to_json()})
    path = tmp_path / OnnxBytes.file
    onnx.save(with_decoder(model, 32, 32, IMAGES), str(path))
    agreement, outputs, _ = proved(path, exportable, "int8")
    scores, problem = score_of(exportable.reference, outputs, 0.05)
    assert (agreement.problem, problem) == ("", "")
    assert scores["before"] > 0.9


def test_it_is_exported_and_proved(
    exportable: Exportable, from_bytes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(self: OnnxBytes, subject: object, path: Path) -> None:
        path.write_bytes(from_bytes.read_bytes())

    monkeypatch.setattr(OnnxBytes, "write", copy)  # the conversion has its own tests
    export = hf.export(
        exportable.model, from_bytes=True, images=exportable.photos, out=tmp_path / "out"
    )
    assert export.agrees, export.exports
    (document,) = export.to_dict()["exports"]
    assert document["format"] == "onnx_bytes" and document["images_per_second"] > 0
    assert document["decoding"]["golden"]["picture.webp"] is None
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"model_bytes.onnx", "predict_onnx_bytes.py", "MODEL_CARD.md"}


def test_only_onnx_and_only_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="Only ONNX files can decode"):
        formats_of("onnx,openvino", from_bytes=True)
    present = format_module.find_spec
    missing = "onnxruntime_extensions"
    monkeypatch.setattr(
        format_module, "find_spec", lambda name: None if name == missing else present(name)
    )
    with pytest.raises(UsageError, match=r"from_bytes=True.*headfit\[from-bytes\]"):
        OnnxBytes().check()
