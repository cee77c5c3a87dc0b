"""The formats that a model can be exported to, by name."""

from __future__ import annotations

from headfit.errors import UnknownNameError
from headfit.exports.formats.format import Format
from headfit.exports.formats.keras import PlainKeras
from headfit.exports.formats.litert import LiteRT
from headfit.exports.formats.onnx import Onnx
from headfit.exports.formats.openvino import OpenVINO
from headfit.exports.formats.saved_model import SavedModel

_ALL: tuple[Format, ...] = (Onnx(), OpenVINO(), LiteRT(), SavedModel(), PlainKeras())
FORMATS = {each.name: each for each in _ALL}
"""Name → format."""


def find_format(name: str) -> Format:
    """Find a format.

    Raises:
        UnknownNameError: if there is none; lists those that there are.
    """
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS)
    return FORMATS[name]
