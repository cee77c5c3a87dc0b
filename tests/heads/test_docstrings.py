"""The examples in the docstrings of heads and of ``headfit.layers`` do what they print."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import keras

import headfit.heads

# programs are made with JAX alone
JAX_ONLY = ("build_child", "programs")
MODULES = [
    module.name
    for module in pkgutil.walk_packages(headfit.heads.__path__, "headfit.heads.")
    if keras.backend.backend() == "jax" or not module.name.endswith(JAX_ONLY)
]


def test_examples_do_what_they_print():
    results = [doctest.testmod(importlib.import_module(name)) for name in MODULES]
    assert sum(result.attempted for result in results) > 30
    assert sum(result.failed for result in results) == 0
