"""On TensorFlow and torch, where installed, training gives what it gives on JAX.

A backend is chosen before Keras is imported, so each runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tunable
import tuned_here
from headfit.cli.main import main

TESTS = Path(tuned_here.__file__).parent
OTHERS = [
    pytest.param(name, marks=pytest.mark.skipif(not find_spec(name), reason=f"no {name} here"))
    for name in ("tensorflow", "torch")
]
ROWS = ["gap", "gap+last", "gap+scratch"]

pytestmark = pytest.mark.slow


def run_on(backend: str, *arguments: str) -> str:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    call = [sys.executable, *arguments]
    done = subprocess.run(call, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def on_jax() -> dict[str, np.ndarray]:
    return tuned_here.trainings()


@pytest.mark.parametrize("backend", OTHERS)
def test_losses_and_outputs_are_those_on_jax(
    backend: str, on_jax: dict[str, np.ndarray], tmp_path: Path
) -> None:
    run_on(backend, str(TESTS / "tuned_here.py"), str(tmp_path / "here.npz"))
    found = np.load(tmp_path / "here.npz")
    assert found["backend"] == backend
    for kind in tuned_here.KINDS:
        for name in ("losses", "predicted", "first"):  # the first stage has a rate of its own
            np.testing.assert_allclose(found[f"{kind}/{name}"], on_jax[f"{kind}/{name}"], atol=1e-4)
        np.testing.assert_allclose(found[f"{kind}/resumed"], found[f"{kind}/predicted"], atol=1e-5)


@pytest.mark.parametrize("backend", OTHERS)
def test_the_command_trains_on_it(backend: str, tmp_path: Path) -> None:
    tunable.save(tmp_path / "tiny.keras")
    photos = tunable.write_folder(tmp_path / "photos", 8)
    out = tmp_path / "tuned"
    arguments = ["finetune", str(photos), "--backbone", str(tmp_path / "tiny.keras"), "--json"]
    arguments += ["--preprocessing", "tf", "--views", "1", "--folds", "3"]
    arguments += ["--unfreeze", "last", "--scratch", "--epochs", "1", "--batch-size", "8"]
    on = json.loads(run_on(backend, "-m", "headfit", *arguments, "--out", str(out)))
    assert [row["name"] for row in on["candidates"] if "views" not in row["name"]] == ROWS
    assert main(["predict", str(out / "model.keras"), str(photos / "blob" / "00.png")]) == 0
