"""The user's own models as backbones: a file, a function, a KerasHub preset.

What has to be known of one (its size, whether it scales pixels itself, whether it can be built for
other sizes) is found out in a child process, so whoever asks needs no Keras. Of files and presets
it is remembered under a digest of their content. A function may give another model at each call:
so it is called once a run, and its weights are kept under their digest for all that follows.
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
from headfit.util import child, digests
from headfit.util.cache import BACKBONES

SUFFIXES = (".keras", ".h5", ".hdf5")
HUB = "hub:"
LEAST_SIZE = 8
_FUNCTION = re.compile(r"((?:[^\W\d]\w*\.)*[^\W\d]\w*:[^\W\d]\w*)(?:@([0-9a-f]{32}))?")


@dataclass(frozen=True)
class PlaceRequest(child.Request):
    """Describe the model of a file or a preset, ``place``."""

    function = "headfit.backbones.custom.describe_child:describe_place"
    place: str


@dataclass(frozen=True)
class FunctionRequest(child.Request):
    """Describe the model that ``place``, a ``module:function``, gives, and keep its weights."""

    function = "headfit.backbones.custom.describe_child:describe_function"
    place: str


def is_own(text: str) -> bool:
    """Tell an own model from a name of the catalogue."""
    return ":" in text or Path(text).suffix.lower() in SUFFIXES


def find(text: str, preprocessing: str | None) -> BackboneSpec:
    """Look into an own model; see :func:`headfit.backbones.catalog.find`."""
    if preprocessing is not None and preprocessing not in MODES:
        raise UsageError(f"--preprocessing '{preprocessing}' is none of {', '.join(MODES)}.")
    if Path(text).suffix.lower() in SUFFIXES:
        name, place, facts = _file(text)
    elif text.startswith(HUB):
        name, place, facts = _preset(text.removeprefix(HUB))
    else:
        name, place, facts = _function(text)
    wanted, notes = _preprocessing(name, facts, preprocessing)
    if facts["unloadable"]:
        notes += (
            f"{name} has layers that Keras cannot load from a file without their code "
            f"({', '.join(facts['unloadable'])}): heads can be compared, but model.keras is of use "
            f"only to a program that imports that code first.",
        )
    return BackboneSpec(
        name,
        wanted,
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
    """Where the weights are kept that a function gave, ``.npz``."""
    return BACKBONES.path(digest) / "weights.npz"


Found = tuple[str, str, dict[str, Any]]
"""Name, place, and what the child process found out."""


def _file(text: str) -> Found:
    path = Path(text).resolve()
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(
            f"--backbone '{text}' {found}. Expected a .keras or .h5 file that holds a whole model."
        )
    return path.stem, str(path), _known(str(path), {"file": digests.of_file(path)})


def _preset(preset: str) -> Found:
    if importlib.util.find_spec("keras_hub") is None:
        raise UsageError(
            f"--backbone {HUB}{preset} needs KerasHub, which is not installed. Run: pip install "
            f'"headfit[hub]"'
        )
    path = Path(preset)
    content: Any = preset  # presets of a name are fixed by the version of KerasHub
    if path.is_dir():
        preset = str(path.resolve())
        inside = sorted(each for each in path.rglob("*") if each.is_file())
        content = [(str(each.relative_to(path)), digests.of_file(each)) for each in inside]
    facts = _known(f"{HUB}{preset}", {"preset": content, "keras-hub": version("keras-hub")})
    return Path(preset).name, f"{HUB}{preset}", facts


def _function(text: str) -> Found:
    found = _FUNCTION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--backbone '{text}' is no module:function. Expected for instance models:build for a "
            f"function build in models.py here."
        )
    place, digest = found.groups()
    name = place.partition(":")[2]
    if digest is None:
        return name, place, _ask(FunctionRequest(place)) | {"pinned": True}
    facts = _of_function(digest)
    if facts is None:
        raise ModelFileError(f"The weights of {text} are no longer kept; run again with {place}.")
    return name, place, facts | {"pinned": True}


def _known(place: str, content: dict[str, Any]) -> dict[str, Any]:
    """Give what is remembered of a model of this content, or find it out and remember it."""
    content = {**content, "format": BACKBONES.format, "keras": version("keras")}
    digest = digests.of_data(content)
    facts: dict[str, Any] | None = BACKBONES.read(digest)
    if facts is None:
        facts = _ask(PlaceRequest(place))
        BACKBONES.write(digest, facts)
    return facts | {"digest": digest, "pinned": False}


def _of_function(digest: str) -> dict[str, Any] | None:
    """Read what was found out when a function was called; None if its weights are gone."""
    folder = BACKBONES.find(digest)
    if folder is None:
        return None
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text("utf-8"))
    return facts


def _ask(request: child.Request) -> dict[str, Any]:
    return child.call(request, backend=child.FAST_BACKEND, fallback=child.default_backend())


def _preprocessing(
    name: str, facts: dict[str, Any], asked: str | None
) -> tuple[Preprocessing, tuple[str, ...]]:
    """Choose the preprocessing, and say what the user has to know of it."""
    scaled = ", ".join(facts["scaled_by"])
    if asked is not None:
        twice = scaled and asked != "none"
        note = f"{name} scales pixels itself ({scaled}), and --preprocessing {asked} before that."
        return MODES[asked], (note,) if twice else ()
    if facts["preprocessing"]:
        scale, offset = (tuple(facts["preprocessing"][key]) for key in ("scale", "offset"))
        return Preprocessing(scale, offset), ()
    note = (
        f"{name} scales no pixels itself: they go in as they are, 0 to 255. If it was trained on "
        f"others, say which: --preprocessing tf (-1 to 1), torch or caffe."
    )
    return IDENTITY, () if scaled else (note,)
