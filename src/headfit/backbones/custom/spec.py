"""Custom backbones: a model file, a function, or a KerasHub preset.

A child process inspects the model (its size, whether it scales pixels itself, whether it can be
built for other sizes), so the caller needs no Keras. The result is cached under a digest of the
file or preset. A function may return another model at each call: it is called once a run, and its
weights are cached under their digest for the rest of the run.
"""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headfit.backbones.spec import IDENTITY, MODES, BackboneSpec, Preprocessing
from headfit.errors import ModelFileError, UsageError
from headfit.util import child, digests, not_a_model
from headfit.util.cache import BACKBONES

SUFFIXES = (".keras", ".h5", ".hdf5")
HUB = child.PRESET
LEAST_SIZE = 8
_FUNCTION = re.compile(r"((?:[^\W\d]\w*\.)*[^\W\d]\w*:[^\W\d]\w*)(?:@([0-9a-f]{32}))?")


@dataclass(frozen=True)
class PlaceRequest(child.Request):
    """Describe the model of a file or a preset, ``place``."""

    function = "headfit.backbones.custom.describe_child:describe_place"
    opens = "place"
    place: str


@dataclass(frozen=True)
class FunctionRequest(child.Request):
    """Describe the model that ``place``, a ``module:function``, gives, and keep its weights."""

    function = "headfit.backbones.custom.describe_child:describe_function"
    place: str


def is_custom(text: str) -> bool:
    """Tell a custom backbone from a name of the catalogue."""
    return ":" in text or is_file(text)


def is_file(text: str) -> bool:
    """Tell a file, or what may be mistaken for one, from a name and from a function."""
    path = Path(text)
    looks = path.suffix.lower() in SUFFIXES or (path / "saved_model.pb").is_file()
    return looks or (path.is_file() and bool(path.suffix))


def find(text: str, preprocessing: str | None) -> BackboneSpec:
    """Inspect a custom backbone; see :func:`headfit.backbones.catalog.find`."""
    if preprocessing is not None and preprocessing not in MODES:
        raise UsageError.invalid("preprocessing", preprocessing, f"one of {', '.join(MODES)}")
    if is_file(text):
        name, place, facts = _file(text)
    elif text.startswith(HUB):
        name, place, facts = _preset(text.removeprefix(HUB))
    else:
        name, place, facts = _function(text)
    pixels, notes = _preprocessing(name, facts, preprocessing)
    if facts["unloadable"]:
        notes += (
            f"Keras cannot load some layers of {name} without their code "
            f"({', '.join(facts['unloadable'])}). Heads can be compared, but only a program that "
            f"imports that code can load model.keras.",
        )
    return BackboneSpec(
        name,
        pixels,
        size=facts["size"],
        min_size=min(LEAST_SIZE, facts["size"]),
        channels_first=facts["channels_first"],
        place=place,
        digest=facts["digest"],
        pinned=facts["pinned"],
        bound_to=facts["bound_to"],
        notes=notes,
    )


def weights_file(digest: str) -> Path:
    """Give the path of the weights that a function returned, ``.npz``."""
    return BACKBONES.path(digest) / "weights.npz"


Inspected = tuple[str, str, dict[str, Any]]
"""Name, place, and what the child process reports."""


def _file(text: str) -> Inspected:
    path = Path(text).resolve()
    if not path.exists():
        expected = "a .keras or .h5 file with a whole model"
        raise UsageError.invalid("backbone", text, expected, "There is no such file.")
    not_a_model.refuse(path)
    return path.stem, str(path), _inspected(str(path), {"file": digests.of_file(path)})


def _preset(preset: str) -> Inspected:
    if importlib.util.find_spec("keras_hub") is None:
        raise UsageError(
            f"The backbone {HUB}{preset} needs KerasHub, which is not installed. Run: pip install "
            f'"headfit[hub]"'
        )
    path = Path(preset)
    content: Any = preset  # presets of a name are fixed by the version of KerasHub
    if path.is_dir():
        preset = str(path.resolve())
        inside = sorted(each for each in path.rglob("*") if each.is_file())
        content = [(str(each.relative_to(path)), digests.of_file(each)) for each in inside]
    facts = _inspected(f"{HUB}{preset}", {"preset": content, "keras-hub": version("keras-hub")})
    return Path(preset).name, f"{HUB}{preset}", facts


def _function(text: str) -> Inspected:
    parts = _FUNCTION.fullmatch(text)
    if parts is None:
        expected = "module:function, such as models:build for build() in models.py"
        raise UsageError.invalid("backbone", text, expected)
    place, digest = parts.groups()
    name = place.partition(":")[2]
    if digest is None:
        return name, place, _ask(FunctionRequest(place)) | {"pinned": True}
    facts = _of_function(digest)
    if facts is None:
        raise ModelFileError(
            f"The weights of {text} are no longer in the cache. Start again with {place}."
        )
    return name, place, facts | {"pinned": True}


def _inspected(place: str, content: dict[str, Any]) -> dict[str, Any]:
    """Inspect a model, unless one of this content was inspected before."""
    content = {**content, "format": BACKBONES.format, "keras": version("keras")}
    digest = digests.of_data(content)
    facts: dict[str, Any] | None = BACKBONES.read(digest)
    if facts is None:
        facts = _ask(PlaceRequest(place))
        BACKBONES.write(digest, facts)
    return facts | {"digest": digest, "pinned": False}


def _of_function(digest: str) -> dict[str, Any] | None:
    """Read the facts of a function's model; None if its weights are no longer cached."""
    folder = BACKBONES.find(digest)
    if folder is None:
        return None
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text("utf-8"))
    return facts


def _ask(request: child.Request) -> dict[str, Any]:
    return child.call(request, backend=child.FAST_BACKEND, fallback=child.default_backend())


def _preprocessing(
    name: str, facts: dict[str, Any], mode: str | None
) -> tuple[Preprocessing, tuple[str, ...]]:
    """Choose the preprocessing; notes for the user come with it."""
    scaled = ", ".join(facts["scaled_by"])
    if mode is not None:
        twice = scaled and mode != "none"
        note = f"Pixels are scaled twice: by `preprocessing={mode!r}`, then by {name} ({scaled})."
        return MODES[mode], (note,) if twice else ()
    if facts["preprocessing"]:
        scale, offset = (tuple(facts["preprocessing"][key]) for key in ("scale", "offset"))
        return Preprocessing(scale, offset), ()
    note = (
        f"{name} does not scale pixels, so it gets 0 to 255. If it was trained on another range, "
        f"set `preprocessing` to tf (-1 to 1), torch or caffe."
    )
    return IDENTITY, () if scaled else (note,)
