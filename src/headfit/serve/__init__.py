"""Saved models behind HTTP: files or pixels in, predictions out, batched, bounded, observed."""

from __future__ import annotations

from headfit.serve.app import create_app
from headfit.serve.limits import Limits

__all__ = ["Limits", "create_app"]
