"""A small model with thresholds, and what is exported of it: once for all files of a worker."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import classifiers
from exportable import Exportable, make
from exported import OnTensorFlow, parsed, write
from headfit.exports.formats.format import FLOAT16
from headfit.exports.formats.litert import LiteRT
from headfit.exports.formats.onnx_bytes import OnnxBytes, says_so
from headfit.exports.formats.onnx_decoding import with_decoder
from headfit.exports.formats.saved_model import SavedModel
from headfit.exports.record import IMAGES, KEY, ExportRecord
from headfit.exports.snippets.program import write_programs
from headfit.model.classifier import Classifier
from headfit.model.metadata import ModelRecord
from headfit.study.reliability.model_reliability import ModelReliability
from headfit.study.reliability.outliers import fit_detector
from headfit.util import child
from jobs_child import FunctionCall

CHANNELS, CLASSES = 6, 3


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of 32×32 pixels and three classes, with an outlier detector."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), 4)  # so few that three directions are left over
    features = np.abs(rng.normal(size=(len(labels), CHANNELS))).astype(np.float32)
    detector = fit_detector(features, labels, np.arange(len(labels)) % 3)
    reliability = ModelReliability(1.3, 0.9, 0.5, detector)
    path = tmp_path_factory.mktemp("small") / "model.keras"
    return classifiers.random_classifier("gap", path, reliability)


@pytest.fixture(scope="session")
def record(model_path: Path) -> ExportRecord:
    return ExportRecord.of(ModelRecord.read(model_path), outlier_score=True)


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """uint8 (40, 32, 32, 3): more than a runtime is given at once."""
    images, _ = classifiers.corner_images(10, seed=3)
    return images


@pytest.fixture(scope="session")
def expected(model_path: Path, pixels: np.ndarray) -> np.ndarray:
    """What headfit gives: probabilities, then the outlier score."""
    classifier = Classifier(model_path)
    return np.column_stack([classifier.predict_proba(pixels), classifier.outlier_scores(pixels)])


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A JPEG that lies on its side and is decoded at a smaller scale, and a transparent PNG."""
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[0:180, 0:300]
    waves = np.stack([np.sin(x / 17 + y / 29), np.cos(x / 7), np.sin(x * y / 3000)], -1)
    image = Image.fromarray((127 + 120 * waves).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "side.jpg", quality=92, exif=exif)
    image.putalpha(Image.fromarray(((x + y) % 256).astype(np.uint8)))
    image.save(folder / "clear.png")
    return [folder / "side.jpg", folder / "clear.png"]


@pytest.fixture(scope="session")
def saved_model(
    model_path: Path, record: ExportRecord, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A SavedModel in half precision."""
    if find_spec("tensorflow") is None:
        pytest.skip("needs the extra tensorflow")
    return write(SavedModel(), model_path, record, tmp_path_factory.mktemp("saved"), FLOAT16)


@pytest.fixture(scope="session")
def litert(
    model_path: Path, record: ExportRecord, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    if find_spec("tensorflow") is None or find_spec("ai_edge_litert") is None:
        pytest.skip("needs the extra tensorflow")
    return write(LiteRT(), model_path, record, tmp_path_factory.mktemp("litert"))


@pytest.fixture(scope="session")
def on_tensorflow(
    model_path: Path,
    record: ExportRecord,
    saved_model: Path,
    pixels: np.ndarray,
    photos: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> OnTensorFlow:
    folder = tmp_path_factory.mktemp("on_tensorflow")
    calibration, _ = classifiers.corner_images(5, seed=1)
    np.save(folder / "calibration.npy", calibration)
    np.save(folder / "pixels.npy", pixels)
    _, program = write_programs(record, {"saved_model": saved_model.name}, folder)
    request = {"path": str(model_path), "record": record.to_json()}
    request |= {"fuse": False, "pixels": str(folder / "calibration.npy")}
    arguments = {
        "requests": [
            {
                **request,
                "precision": precision,
                "outlier_score": score,
                "target": str(folder / f"{precision}.tflite"),
            }
            for precision, score in (("float16", True), ("int8", False))
        ],
        "saved_model": str(saved_model),
        "pixels": str(folder / "pixels.npy"),
        "outputs": str(folder / "outputs.npy"),
        "command": [str(program), str(photos[0]), str(saved_model)],
    }
    answer = child.call(FunctionCall("tensorflow_child:work", arguments), backend="tensorflow")
    return OnTensorFlow(folder, parsed(answer["printed"]))


@pytest.fixture(scope="session")
def exportable(tmp_path_factory: pytest.TempPathFactory) -> Exportable:
    """A classifier of corners with its exports, made once."""
    shared = Path(os.environ["HEADFIT_TESTS_SHARED"]) / "exportable"
    return make(tmp_path_factory.mktemp("exportable") / "copy", shared)


@pytest.fixture(scope="session")
def from_bytes(exportable: Exportable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file of :func:`exportable` with the decoder in front."""
    path = tmp_path_factory.mktemp("from_bytes") / OnnxBytes.file
    network = onnx.load(str(exportable.onnx))
    onnx.helper.set_model_props(network, {KEY: says_so(exportable.record).to_json()})
    onnx.save(with_decoder(network, 32, 32, IMAGES), str(path))
    return path
