from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from headfit import errors
from headfit.util import child as worker


@pytest.fixture(autouse=True)
def the_child_finds_this_file(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


# what the children run


def surroundings(**request):
    return {
        "request": request,
        "backend": os.environ["KERAS_BACKEND"],
        "pid": os.getpid(),
        "worker": worker.__file__,
    }


def fail(name):
    if name == "UnknownNameError":
        raise errors.UnknownNameError("backbone", "mobilnet", ["mobilenet"])
    raise getattr(errors, name)(f"{name} of 1 line: 'é'")


def crash():
    raise ZeroDivisionError("by\n nought")


def die(code):
    print("all is well so far", file=sys.stderr, flush=True)
    print("  out of memory  \n", file=sys.stderr, flush=True)
    os._exit(code)


def chatter():
    for stream in (sys.stdout, sys.stderr):
        stream.write("x" * 1_000_000)
    os.write(1, b"from below, without a line's end")
    return {"said": 2_000_000}


def import_decoy():
    import decoy_in_the_current_folder  # noqa: F401, PLC0415

    return {}


def sleep(mark):
    Path(mark).write_text(str(os.getpid()))
    time.sleep(60)
    return {}


def run(function, backend="numpy", **request):
    return worker.call(f"test_child:{function}", request, backend=backend)


# what is expected of them


def test_the_request_arrives_and_the_answer_returns():
    request = {"text": "ü \udcff\n", "numbers": [1, 2.5, None], "deep": {"a": [True]}}
    answer = run("surroundings", backend="openvino", **request)
    assert answer["request"] == request
    assert answer["backend"] == "openvino"
    assert answer["pid"] != os.getpid()
    assert answer["worker"] == worker.__file__


@pytest.mark.parametrize(
    "name", ["UsageError", "DataError", "WeightsError", "EngineError", "UnknownNameError"]
)
def test_the_very_same_error_arrives(name):
    with pytest.raises(errors.HeadfitError) as here:
        fail(name)
    with pytest.raises(errors.HeadfitError) as there:
        run("fail", name=name)
    assert type(there.value) is type(here.value)
    assert str(there.value) == str(here.value)


def test_any_other_error_is_named():
    with pytest.raises(errors.EngineError, match=r"^ZeroDivisionError: by nought$"):
        run("crash")
    with pytest.raises(errors.EngineError, match="no_such_module"):
        worker.call("no_such_module:f", {}, backend="numpy")


def test_a_child_that_dies_says_its_last_line():
    with pytest.raises(errors.EngineError, match=r"die ended with code 3: out of memory$"):
        run("die", code=3)


@pytest.mark.skipif(not shutil.which("false"), reason="needs the program 'false'")
@pytest.mark.parametrize(
    ("program", "said"),
    [(shutil.which("false"), "ended with code 1: no message"), ("absent", "cannot be started")],
)
def test_a_child_that_never_lives_is_an_engine_error(monkeypatch, program, said):
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(errors.EngineError, match=said):
        run("surroundings", text="x" * 1_000_000)  # more than a pipe holds


def test_children_that_print_a_lot_do_not_block_each_other():
    jobs = [worker.start("test_child:chatter", {}, backend="numpy") for _ in range(2)]
    assert [job.result() for job in jobs] == [{"said": 2_000_000}] * 2


def test_modules_of_the_current_folder_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "decoy_in_the_current_folder.py").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.EngineError, match="No module named 'decoy"):
        run("import_decoy")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupted_call_leaves_no_child(tmp_path):
    mark = tmp_path / "pid"

    def interrupt_once_it_runs():
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_once_it_runs, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run("sleep", mark=str(mark))
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_a_cancelled_job_leaves_no_child(tmp_path):
    job = worker.start("test_child:sleep", {"mark": str(tmp_path / "pid")}, backend="numpy")
    job.cancel()
    assert job.process.returncode is not None
    job.cancel()  # twice does no harm


IMPORTS_KERAS = """
import sys
import keras
ASKED = {"jax.numpy", "matplotlib.pyplot", "pandas.core", "sklearn.base", "scipy.stats"}
AFTER_KERAS = ASKED & sys.modules.keys()
def imported():
    import pandas, scipy, sklearn.linear_model
    scipy.signal.get_window("hann", 4)
    pandas.DataFrame()
    return {"after_keras": sorted(AFTER_KERAS), "backend": keras.backend.backend()}
"""
INSISTS = """
import sklearn
def imported():
    return {"version": sklearn.__version__}
"""


def test_keras_imports_little_in_a_child_and_whoever_needs_more_gets_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "imports_keras.py").write_text(IMPORTS_KERAS)
    (tmp_path / "insists.py").write_text(INSISTS)
    for backend, needed in (("openvino", []), ("jax", ["jax.numpy"])):
        found = worker.call("imports_keras:imported", {}, backend=backend)
        assert found == {"after_keras": needed, "backend": backend}
    assert worker.call("insists:imported", {}, backend="openvino")["version"]
