"""NVIDIA's public client talks to the real server, and gets what the classifier gives."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

import classifiers
import headfit as hf
from conformance.own_server import MODEL, small_model
from serving import served


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def classifier(path: Path) -> hf.Classifier:
    return hf.Classifier(path)


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[InferenceServerClient]:
    with served(hf.serve.create_app(path)) as url:
        client = InferenceServerClient(url.removeprefix("http://"))
        yield client
        client.close()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    images, _ = classifiers.corner_images(2, seed=5)
    return images


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Image files of other sizes and several formats."""
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[0:90, 0:150]
    waves = np.stack([np.sin(x / 7), np.cos(y / 9), np.sin(x * y / 900)], -1)
    image = Image.fromarray((127 + 120 * waves).astype(np.uint8))
    names = ("a.jpg", "b.png", "c.webp")
    for number, name in enumerate(names):
        image.rotate(40 * number).save(folder / name)
    return [folder / name for name in names]


def tensor(values: np.ndarray, binary: bool) -> InferInput:
    """The input `images` for pixels, and `bytes` for files."""
    is_files = values.dtype == object
    name, datatype = ("bytes", "BYTES") if is_files else ("images", "UINT8")
    found = InferInput(name, list(values.shape), datatype)
    found.set_data_from_numpy(values, binary_data=binary)
    return found


def files(paths: list[Path]) -> np.ndarray:
    return np.array([path.read_bytes() for path in paths], object)


def equal(result: InferResult, expected: np.ndarray) -> None:
    found = result.as_numpy("probabilities")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_it_finds_the_server_and_the_model(client: InferenceServerClient):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready("another")
    assert not client.is_model_ready(MODEL, "2")


def test_it_reads_metadata(client: InferenceServerClient, classifier: hf.Classifier):
    assert client.get_server_metadata()["name"] == "headfit"
    metadata = client.get_model_metadata(MODEL, "1")
    assert metadata["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
    assert metadata["outputs"][0] == {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": [-1, 3],
    }
    assert metadata["classes"] == list(classifier.classes)


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False])
def test_pixels_give_the_probabilities_of_the_classifier(
    client: InferenceServerClient,
    classifier: hf.Classifier,
    pixels: np.ndarray,
    binary_input: bool,
    binary_output: bool,
):
    outputs = [InferRequestedOutput("probabilities", binary_data=binary_output)]
    inputs = [tensor(pixels, binary_input)]
    result = client.infer(MODEL, inputs, outputs=outputs, request_id="a 1")
    equal(result, classifier.predict_proba(pixels))
    assert result.get_response()["id"] == "a 1"
    assert result.get_response()["model_version"] == "1"


def test_files_give_the_probabilities_of_the_classifier(
    client: InferenceServerClient, classifier: hf.Classifier, photos: list[Path]
):
    result = client.infer(MODEL, [tensor(files(photos), binary=True)], model_version="1")
    equal(result, classifier.predict_proba(photos))


def test_all_outputs_come_without_asking(
    client: InferenceServerClient, classifier: hf.Classifier, photos: list[Path]
):
    result = client.infer(MODEL, [tensor(files(photos), binary=True)])
    classes = [text.decode() for text in result.as_numpy("classes")]
    assert classes == list(classifier.predict(photos))
    # of six channels little lies outside of the directions, and that is divided by how little
    expected = classifier.outlier_scores(photos)
    np.testing.assert_allclose(result.as_numpy("outlier_score"), expected, rtol=0.02)


def test_classes_come_as_json(client: InferenceServerClient, pixels: np.ndarray):
    outputs = [InferRequestedOutput("classes", binary_data=False)]
    result = client.infer(MODEL, [tensor(pixels, binary=True)], outputs=outputs)
    assert set(result.get_output("classes")["data"]) <= {"a", "b", "c"}


def test_no_images_give_no_rows(client: InferenceServerClient):
    result = client.infer(MODEL, [tensor(np.empty((0, 32, 32, 3), np.uint8), binary=True)])
    assert result.as_numpy("probabilities").shape == (0, 3)


def test_its_timeout_and_priority_are_taken(client: InferenceServerClient, pixels: np.ndarray):
    """They are parameters of other extensions, which change no answer."""
    client.infer(MODEL, [tensor(pixels, binary=True)], priority=1, timeout=5_000_000)


def test_it_is_told_which_file_cannot_be_read(client: InferenceServerClient, photos: list[Path]):
    broken = np.array([photos[0].read_bytes(), b"no image", photos[1].read_bytes()], object)
    with pytest.raises(InferenceServerException, match="Element 1 of 'bytes'") as error:
        client.infer(MODEL, [tensor(broken, binary=True)])
    assert error.value.status() == "400"


def test_it_is_told_the_shape_that_is_expected(client: InferenceServerClient):
    with pytest.raises(InferenceServerException, match=r"\[-1, 32, 32, 3\]"):
        client.infer(MODEL, [tensor(np.zeros((1, 8, 8, 3), np.uint8), binary=True)])


def test_a_class_count_is_refused(client: InferenceServerClient, pixels: np.ndarray):
    """The classification extension would answer with other values."""
    outputs = [InferRequestedOutput("probabilities", class_count=2)]
    with pytest.raises(InferenceServerException, match="classification"):
        client.infer(MODEL, [tensor(pixels, binary=True)], outputs=outputs)


def test_a_compressed_request_is_refused(client: InferenceServerClient, pixels: np.ndarray):
    with pytest.raises(InferenceServerException, match="compressed") as error:
        client.infer(MODEL, [tensor(pixels, binary=True)], request_compression_algorithm="gzip")
    assert error.value.status() == "415"


def test_many_requests_at_once_each_get_their_own_answer(
    path: Path, classifier: hf.Classifier, pixels: np.ndarray
):
    expected = classifier.predict_proba(pixels)
    with served(hf.serve.create_app(path)) as url:
        client = InferenceServerClient(url.removeprefix("http://"), concurrency=8)
        asked = [
            client.async_infer(MODEL, [tensor(pixels[[row % 8]], binary=bool(row % 3))])
            for row in range(40)
        ]
        for row, answer in enumerate(asked):
            np.testing.assert_allclose(
                answer.get_result().as_numpy("probabilities")[0], expected[row % 8], rtol=1e-3
            )
        client.close()


def test_a_png_in_memory_is_a_file(
    client: InferenceServerClient, classifier: hf.Classifier, pixels: np.ndarray
):
    """As a client without a disk sends it: lossless, so that its pixels are those of the array."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[0]).save(buffer, "png")
    content = np.array([buffer.getvalue()], object)
    equal(client.infer(MODEL, [tensor(content, binary=True)]), classifier.predict_proba(pixels[:1]))
