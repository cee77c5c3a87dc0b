"""Shared by all tests: a home of their own, and a Keras backend."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from trained import Trained

# before anything imports Keras
os.environ.setdefault("KERAS_BACKEND", "jax")
# graphs of backbones are kept for the whole session; nothing of the user's is read or written
os.environ["HEADFIT_HOME"] = tempfile.mkdtemp(prefix="headfit-tests-")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A small model with thresholds, really trained: half a minute, once."""
    from trained import train  # noqa: PLC0415  (imports headfit)

    return train(tmp_path_factory.mktemp("trained"))
