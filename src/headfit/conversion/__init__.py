"""Give a trained model another top: ``gap``, ``flatten`` or ``low_rank`` in place of its own."""

from __future__ import annotations

from headfit.conversion.make import convert

__all__ = ["convert"]
