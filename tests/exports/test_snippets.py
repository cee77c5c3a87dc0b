"""The programs beside an export print what ``headfit predict`` says, without headfit."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exported import agrees, run
from headfit.exports.record import ExportRecord
from headfit.exports.snippets.program import DECODER, RUNTIMES, WEB, WEB_DECODER, programs
from headfit.images.decode import decode
from headfit.images.depth import Depth

PACKAGES = {"onnxruntime-web": "1.30.0", "sharp": "0.35.5"}


@pytest.fixture(scope="module", autouse=True)
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """The packages of the program in JavaScript, installed while the other tests run."""
    folder = tmp_path_factory.mktemp("node")
    if shutil.which("npm") is None:
        yield subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
        return
    (folder / "package.json").write_text(json.dumps({"dependencies": PACKAGES, "type": "module"}))
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    process.folder = folder
    yield process
    process.kill()
    process.wait()


def test_an_export_leaves_its_programs_and_its_card(exportable):
    programs = {f"predict_{name}.py" for name in ("onnx", "openvino", "keras")}
    files = {"model.onnx", "openvino", "model.keras", "MODEL_CARD.md"} | programs
    files |= {WEB, DECODER, WEB_DECODER}
    assert {path.name for path in exportable.export.out.iterdir()} == files


@pytest.mark.parametrize("format", ["onnx", "openvino", "keras"])
def test_a_program_in_python_agrees_with_headfit(format, exportable, photos):
    for photo in photos[: 1 if format == "keras" else None]:  # it takes long to import
        command = [sys.executable, f"predict_{format}.py", str(photo)]
        assert agrees(run(command, exportable.export.out), exportable.model, photo)


def test_a_program_in_javascript_agrees_nearly(exportable, photos, node_modules):
    """Another JPEG decoder, and transparency over white rounded down: a grey level at most."""
    if node_modules.wait(300) != 0:
        pytest.skip("needs Node.js and the npm registry")
    for name in (WEB, WEB_DECODER):
        shutil.copy(exportable.export.out / name, node_modules.folder)
    for photo in photos:
        printed = run(["node", WEB, str(photo), str(exportable.onnx)], node_modules.folder)
        assert agrees(printed, exportable.model, photo, 0.02)


def decoder(record: ExportRecord) -> Callable[[Path, ExportRecord], np.ndarray]:
    """The function of ``decode.py``, of a record as a model's metadata hold it."""
    names: dict[str, Any] = {}
    exec(programs(record, {"litert": "model.tflite"})[DECODER], names)
    return lambda path, record: names["decode"](path, json.loads(record.to_json()))


def with_contract(record: ExportRecord, **values: Any) -> ExportRecord:
    return replace(record, contract=replace(record.contract, **values))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
def test_the_programs_decode_as_headfit_does(height, width, record, tmp_path):
    pixels, record = decoder(record), with_contract(record, height=height, width=width)
    for number, data in enumerate(files_of_every_kind()):
        path = tmp_path / f"{number}"
        path.write_bytes(data)
        expected = decode(data, height, width)
        np.testing.assert_array_equal(pixels(path, record)[0], expected, str(number))


def test_the_programs_scale_deep_images_as_the_training_images_were(record, tmp_path):
    pixels, depth = decoder(record), Depth(integers=(100.0, 4095.0), floats=(-1.0, 2.0))
    deep = with_contract(record, depth=depth)
    values = np.linspace(0, 5000, 48 * 64).reshape(48, 64)
    for name, array in (("a.png", values.astype(np.uint16)), ("b.tif", values.astype("f4") / 2e3)):
        Image.fromarray(array).save(tmp_path / name)
        expected = decode((tmp_path / name).read_bytes(), 32, 32, depth)
        np.testing.assert_array_equal(pixels(tmp_path / name, deep)[0], expected)
    with pytest.raises(SystemExit, match="more than 8 bits"):
        pixels(tmp_path / "a.png", record)


def test_a_program_has_ten_lines_and_the_decoder_is_the_same_for_all_models(record):
    models = dict.fromkeys(RUNTIMES, "model")
    texts = programs(record, models)
    assert programs(with_contract(record, height=24), models)[DECODER] == texts[DECODER]
    for name, text in texts.items():
        if name.startswith("predict_"):
            code = text.rpartition('"""')[2] if name.endswith(".py") else text
            lines = [line for line in code.splitlines() if line and not line.startswith("//")]
            assert len(lines) <= (13 if name == "predict_onnx_bytes.py" else 11), name
            assert max(map(len, lines)) <= 100


def files_of_every_kind() -> Iterator[bytes]:
    y, x = np.mgrid[0:90, 0:150]
    waves = np.stack([np.sin(x / 17 + y / 29), np.cos(x / 7), np.sin(x * y / 3000)], -1)
    image = Image.fromarray((127 + 120 * waves).astype(np.uint8))
    clear = image.copy()
    clear.putalpha(Image.fromarray(((x + y) % 256).astype(np.uint8)))
    hole = image.quantize(32)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield encoded(image, "JPEG", exif=exif)
        yield encoded(image, "PNG", exif=exif)
        yield encoded(image, "TIFF", tiffinfo={0x0112: orientation})
    yield encoded(image.convert("CMYK"), "JPEG")
    yield encoded(image.convert("L"), "JPEG")
    yield encoded(image.convert("1"), "PNG")
    yield encoded(hole, "PNG", transparency=3)
    for kind in ("PNG", "WEBP"):
        yield encoded(clear, kind)
    yield encoded(clear.convert("LA"), "PNG")
    yield encoded(image, "GIF")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_class_names_cannot_leave_their_text(record):
    odd = replace(record, classes=('"; process.exit()//', "b\\", "\u2028`${c}"))
    text = programs(odd, {"onnx": "model.onnx"})[WEB]
    (line,) = [line for line in text.splitlines() if line.startswith("const classes")]
    assert json.loads(line.removeprefix("const classes = ").removesuffix(";")) == list(odd.classes)
