"""Shared by all tests: a home of their own, and a Keras backend."""

from __future__ import annotations

import os
import tempfile

# before anything imports Keras
os.environ.setdefault("KERAS_BACKEND", "jax")
# graphs of backbones are kept for the whole session; nothing of the user's is read or written
os.environ["HEADFIT_HOME"] = tempfile.mkdtemp(prefix="headfit-tests-")
