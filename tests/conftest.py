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
    *("test_documents_run.py", "test_notebooks.py", "test_engine.py", "test_compare.py"),
    *("test_examples.py", "test_finetune_backbones.py", "test_finetune.py", "test_grid.py"),
    *("test_convert.py", "test_build.py", "test_inspection.py", "test_calibration.py"),
    *("test_findings.py", "test_real_data.py", "test_export.py", "test_tensorflow_formats.py"),
    *("test_other_backends.py", "test_main.py", "test_custom_heads.py", "test_layers.py"),
    *("test_custom_models.py", "test_int8.py", "test_rank.py", "test_models.py"),
    *("test_explain.py", "test_int8_check.py", "test_watch.py", "test_golden.py"),
    *("test_lr_find.py", "test_training.py", "test_quality.py", "test_end_to_end.py"),
    *("test_classifier.py", "test_network.py", "test_tracking.py", "test_gradient.py"),
    *("test_descent.py", "test_predict_to_file.py", "test_feature_dtype.py", "test_papers.py"),
)
# they show or measure what users get, or train large layers, and are compiled as for users. All
# others compile many programs and run each a few times on small arrays: optimising takes a third of
# their time and saves less
AS_FOR_USERS = (
    *("tests/test_examples.py", "tests/test_notebooks.py", "tests/test_real_data.py"),
    *("features/test_feature_dtype.py", "runs/test_finetune.py", "runs/test_golden.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, one of each to a worker."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_unconfigure() -> None:
    """Leave nothing behind: a session writes gigabytes."""
    if forked := sys.modules.get("forked"):
        forked.PARENTS.end()
    for folder in (HOME, COMPILED, *([] if IS_WORKER else [SHARED])):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_end_with_their_file(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let go of what JAX has compiled, which no other file uses: gigabytes by the end."""
    quickly = not request.path.as_posix().endswith(AS_FOR_USERS)
    with pytest.MonkeyPatch.context() as patch:
        if quickly:  # read when JAX is imported, here or in a child
            patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
        if jax := sys.modules.get("jax"):
            jax.config.update("jax_disable_most_optimizations", quickly)
        yield
    if jax := sys.modules.get("jax"):
        jax.clear_caches()
        gc.collect()
        jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(autouse=True, scope="module")
def children_are_forked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Spare children their imports, but for those of tests about children and strangers' models."""
    from forked import FORKING  # noqa: PLC0415  (imports headfit)

    with pytest.MonkeyPatch.context() as patch:
        if sys.platform == "linux" and not {"util", "hostile"} & set(request.path.parts):
            patch.setattr(child, "subprocess", FORKING)
        yield


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
