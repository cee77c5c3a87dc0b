"""SavedModel and LiteRT: what they hold gives what headfit gives, read by their own runtimes."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest

from exported import agrees, parsed
from headfit.errors import EngineError, ModelFileError, UsageError
from headfit.exports.formats.litert import LiteRT
from headfit.exports.formats.runtime import Runtime
from headfit.exports.formats.saved_model import RECORD, SavedModel
from headfit.exports.snippets.program import write_programs
from headfit.util import child
from jobs_child import FunctionCall


def test_a_saved_model_gives_what_headfit_gives(on_tensorflow, expected):
    """Its weights are stored in half precision."""
    outputs = np.load(on_tensorflow.folder / "outputs.npy")
    np.testing.assert_allclose(outputs, expected, atol=2e-3)
    assert not np.array_equal(outputs, expected.astype(np.float32))


def test_a_litert_file_gives_what_headfit_gives(litert, pixels, expected):
    predict = LiteRT().open(litert, threads=1)
    np.testing.assert_allclose(predict(pixels), expected, atol=1e-5)
    np.testing.assert_allclose(predict(pixels[:1]), expected[:1], atol=1e-5)


@pytest.mark.parametrize(("precision", "most"), [("float16", 2e-3), ("int8", 0.1)])
def test_litert_in_lower_precision_stays_near(on_tensorflow, precision, most, pixels, expected):
    outputs = LiteRT().open(on_tensorflow.folder / f"{precision}.tflite")(pixels)
    expected = expected[:, : outputs.shape[1]]  # int8 has no outlier score
    np.testing.assert_allclose(outputs, expected, atol=most)
    assert np.abs(outputs - expected).max() > 1e-6


def test_both_hold_the_record(saved_model, litert, record):
    assert SavedModel().read_record(saved_model) == record
    assert LiteRT().read_record(litert) == record
    with zipfile.ZipFile(litert) as archive:
        assert archive.read("labels.txt").decode() == "\n".join(record.classes)


def test_a_file_without_a_record_is_refused(tmp_path):
    (tmp_path / "other.tflite").write_bytes(b"TFL3" * 9)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match=r"no headfit\.json is appended"):
        LiteRT().read_record(tmp_path / "other.tflite")
    with pytest.raises(ModelFileError, match=RECORD):
        SavedModel().read_record(tmp_path / "empty")


def test_a_damaged_file_is_refused_by_its_runtime(litert, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(litert.read_bytes()[:200])
    with pytest.raises(EngineError, match=r"broken\.tflite' cannot be run"):
        LiteRT().open(broken)


def test_a_runtime_that_refused_images_takes_the_next(litert, pixels, expected):
    predict = LiteRT().open(litert)
    with pytest.raises(EngineError, match="cannot be run"):
        predict(pixels[:2].reshape(2, -1))
    np.testing.assert_allclose(predict(pixels[:2]), expected[:2], atol=1e-5)


def test_a_runtime_ends_with_its_last_reference(litert):
    runtime = Runtime("litert", litert)
    process = runtime._process
    del runtime
    assert process.poll() is not None


def test_without_tensorflow_one_sentence_names_the_command(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    for format_ in (SavedModel(), LiteRT()):
        with pytest.raises(UsageError, match=r"Run: pip install 'headfit\[tensorflow\]'") as caught:
            format_.check()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", ["jax", "openvino"])
def test_children_on_another_backend_do_not_import_tensorflow(backend):
    answer = child.call(FunctionCall("tensorflow_child:importable", {}), backend=backend)
    assert answer == {"importable": False, "installed": find_spec("tensorflow") is not None}


def test_the_program_for_litert_agrees(litert, record, model_path, photos, tmp_path):
    _, program = write_programs(record, {"litert": litert.name}, tmp_path)
    command = [sys.executable, program, photos[1], litert]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert agrees(parsed(done.stdout), model_path, photos[1])


def test_the_program_for_a_saved_model_agrees(on_tensorflow, model_path, photos):
    assert agrees(on_tensorflow.printed, model_path, photos[0])
