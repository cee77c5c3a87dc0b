"""Puts the description together."""

from __future__ import annotations

from typing import Any

from headfit.serve.limits import Limits
from headfit.serve.openapi import inference, predict

TITLE = "headfit"
TOKEN = "token"


def document(model: str, limits: Limits) -> dict[str, Any]:
    """Describe the server in OpenAPI 3.1.

    Args:
        model: a name of a model, for examples.
        limits: what the server takes at most.

    Example:

    >>> document("cats", Limits())["openapi"]
    '3.1.0'
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": "1",
            "description": "Image classifiers that headfit made, behind HTTP.",
        },
        "paths": {**predict.paths(model, limits), **inference.paths(model)},
        "components": {
            "schemas": {**predict.SCHEMAS, **inference.SCHEMAS},
            "securitySchemes": {TOKEN: {"type": "http", "scheme": "bearer"}},
        },
        # a server without a token asks for none
        "security": [{TOKEN: []}, {}],
    }
