from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time

import pytest

import jobs_child as jobs
from headfit import errors
from headfit.util import child


def run(request, backend="numpy"):
    return child.call(request, backend=backend)


def test_the_request_arrives_and_the_answer_returns():
    fields = {"text": "ü \udcff\n", "numbers": [1, 2.5, None], "deep": {"a": [True]}}
    answer = run(jobs.Surroundings(**fields), backend="openvino")
    assert answer["request"] == fields
    assert answer["backend"] == "openvino"
    assert answer["pid"] != os.getpid()
    assert answer["child"] == child.__file__


def test_a_function_that_returns_nothing_gives_an_empty_answer():
    assert run(jobs.Silence()) == {}


@pytest.mark.parametrize(
    "name", ["UsageError", "DataError", "WeightsError", "EngineError", "UnknownNameError"]
)
def test_the_very_same_error_arrives(name):
    with pytest.raises(errors.HeadfitError) as here:
        jobs.fail(jobs.Failure(name))
    with pytest.raises(errors.HeadfitError) as there:
        run(jobs.Failure(name))
    assert type(there.value) is type(here.value)
    assert str(there.value) == str(here.value)
    for fact in ("argument", "received", "expected", "remedy"):
        assert getattr(there.value, fact) == getattr(here.value, fact)


def test_any_other_error_is_named():
    with pytest.raises(errors.EngineError, match=r"^ZeroDivisionError: by nought$"):
        run(jobs.Crash())
    with pytest.raises(errors.EngineError, match="no_such_module"):
        run(jobs.Nowhere())


def test_a_child_that_dies_says_its_last_line():
    with pytest.raises(errors.EngineError, match=r"die ended with code 3: out of memory$"):
        run(jobs.Death(3))


def test_another_backend_is_tried_where_the_first_cannot():
    request = jobs.NotOn("openvino")
    assert child.call(request, backend="openvino", fallback="jax") == {"backend": "jax"}
    assert child.call(request, backend="numpy", fallback="jax") == {"backend": "numpy"}
    for fallback in ("openvino", ""):
        with pytest.raises(errors.EngineError, match="not on openvino"):
            child.call(request, backend="openvino", fallback=fallback)


def test_a_usage_error_is_the_same_on_every_backend(monkeypatch):
    started = []
    start = child.start
    monkeypatch.setattr(child, "start", lambda *a, **k: started.append(k) or start(*a, **k))
    with pytest.raises(errors.UsageError):
        child.call(jobs.Failure("UsageError"), backend="numpy", fallback="jax")
    assert len(started) == 1


@pytest.mark.skipif(not shutil.which("false"), reason="needs the program 'false'")
@pytest.mark.parametrize(
    ("program", "message"),
    [(shutil.which("false"), "ended with code 1: no message"), ("absent", "cannot be started")],
)
def test_a_child_that_never_lives_is_an_engine_error(monkeypatch, program, message):
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(errors.EngineError, match=message):
        run(jobs.Surroundings("x" * 1_000_000))  # more than a pipe holds


def test_children_that_print_a_lot_do_not_block_each_other():
    running = [child.start(jobs.Chatter(), backend="numpy") for _ in range(2)]
    assert [job.result() for job in running] == [{"characters": 2_000_000}] * 2


def test_modules_of_the_current_folder_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "decoy_in_the_current_folder.py").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.EngineError, match="No module named 'decoy"):
        run(jobs.ImportDecoy())


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_call_leaves_no_child(tmp_path):
    mark = tmp_path / "pid"

    def interrupt_once_it_runs():
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_once_it_runs, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(jobs.Sleep(str(mark)))
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_a_cancelled_job_leaves_no_child(tmp_path):
    job = child.start(jobs.Sleep(str(tmp_path / "pid")), backend="numpy")
    job.cancel()
    assert job.process.returncode is not None
    job.cancel()  # twice does no harm


IMPORTS_KERAS = """
import sys
import keras
ASKED = {"jax.numpy", "matplotlib.pyplot", "pandas.core", "sklearn.base", "scipy.stats"}
AFTER_KERAS = ASKED & sys.modules.keys()
def imported(_):
    import pandas, scipy, sklearn.linear_model
    scipy.signal.get_window("hann", 4)
    pandas.DataFrame()
    return {"after_keras": sorted(AFTER_KERAS), "backend": keras.backend.backend()}
"""
INSISTS = """
import sklearn
def imported(_):
    return {"version": sklearn.__version__}
"""


def test_keras_imports_little_in_a_child_and_whoever_needs_more_gets_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "imports_keras.py").write_text(IMPORTS_KERAS)
    (tmp_path / "insists.py").write_text(INSISTS)
    for backend, needed in (("openvino", []), ("jax", ["jax.numpy"])):
        found = run(jobs.KerasImport(), backend)
        assert found == {"after_keras": needed, "backend": backend}
    assert run(jobs.SklearnImport(), "openvino")["version"]
