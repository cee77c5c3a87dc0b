"""Shared by all tests: a home of their own, a Keras backend, and an order for several workers."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headfit.util import child

if TYPE_CHECKING:
    from trained_model import Trained

# before anything imports Keras
os.environ.setdefault("KERAS_BACKEND", "jax")
# where TensorFlow is installed, Keras imports it to save a model: 7 s for each worker, and warnings
child.hide_tensorflow()
# graphs of backbones and a trained model are kept for the whole session and shared by the workers,
# who inherit the folder; nothing of the user's is read or written
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not IS_WORKER:
    os.environ["HEADFIT_TESTS_SHARED"] = tempfile.mkdtemp(prefix="headfit-shared-")
SHARED = Path(os.environ["HEADFIT_TESTS_SHARED"])
HOME = Path(tempfile.mkdtemp(prefix="headfit-tests-"))
(SHARED / "graphs").mkdir(mode=0o700, exist_ok=True)
(HOME / "graphs").symlink_to(SHARED / "graphs")
os.environ["HEADFIT_HOME"] = str(HOME)
for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
    os.environ[name] = str(HOME / "wandb")
# what JAX compiles is found by child processes; each worker has its own, for JAX does not write
# these files whole or not at all
COMPILED = tempfile.mkdtemp(prefix="headfit-compiled-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"  # writing takes time too

# a worker that begins one of these last would keep the others waiting; without
# --no-loadscope-reorder pytest-xdist begins with the files that have most tests, however short
LONGEST = (
    *("test_documents_run.py", "test_engine.py", "test_grid.py", "test_main.py"),
    *("test_compare.py", "test_examples.py", "test_calibration.py", "test_build.py"),
    "test_finetune.py",
    *("test_real_data.py", "test_convert.py", "test_notebooks.py", "test_custom_heads.py"),
    *("test_models.py", "test_custom_models.py", "test_hub.py", "test_inspection.py"),
    *("test_rank.py", "test_watch.py", "test_findings.py", "test_int8_check.py"),
    *("test_quality.py", "test_feature_dtype.py", "test_outliers.py", "test_golden.py"),
    *("test_papers.py",),
)
# they compile a program for each of many shapes or for a whole network, and run it once or twice on
# a few small arrays: optimising takes longer than it saves. What is trained, measured, or must be
# equal in every bit is compiled as for users.
RUN_ONCE = {
    *("test_layers.py", "test_trained.py", "test_trained_saved.py", "test_lse.py"),
    *("test_conversion.py", "test_engine.py", "test_cut.py", "test_custom_models.py"),
    *("test_efficientnet_lite.py", "test_classifier.py", "test_stages.py"),
    "test_plain_keras.py",
    *("test_depthwise.py", "test_network.py", "test_training.py", "test_method.py"),
    *("test_snippets.py", "test_tensorflow_formats.py"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, one of each to a worker."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_unconfigure() -> None:
    """Leave nothing behind: a session writes gigabytes."""
    for folder in (HOME, COMPILED, *([] if IS_WORKER else [SHARED])):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_end_with_their_file(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let go of what JAX has compiled, which no other file uses: gigabytes by the end."""
    quickly = request.path.name in RUN_ONCE
    if quickly:
        import jax  # noqa: PLC0415  (seconds, not paid by the files that need none)

        jax.config.update("jax_disable_most_optimizations", True)
    yield
    if jax := sys.modules.get("jax"):
        jax.clear_caches()
        gc.collect()
        if quickly:
            jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let Ctrl-C interrupt this process and those it starts, even in a job in the background."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture
def uninterruptible() -> Iterator[None]:
    """Ignore Ctrl-C in this process and those it starts, as a job in the background does."""
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture
def fresh_home(tmp_path: Path) -> Path:
    """A home that holds nothing but the graphs of backbones that have been built already."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "graphs").symlink_to(SHARED / "graphs")
    return home


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A small model with thresholds, really trained: half a minute, once for all workers."""
    from trained_model import train  # noqa: PLC0415  (imports headfit)

    return train(tmp_path_factory.mktemp("trained") / "copy", SHARED / "trained")
