"""Give a trained model another top: ``gap``, ``flatten`` or ``low_rank`` instead of its own."""

from __future__ import annotations

from headfit.conversion.conversion import Conversion
from headfit.conversion.convert import convert

__all__ = ["Conversion", "convert"]
