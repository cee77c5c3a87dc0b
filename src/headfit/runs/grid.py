"""The grid of a comparison: backbones with their weights, input sizes and cuts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.backbones import catalog
from headfit.backbones.engines.interface import JOIN, MULTI, OWN_END, is_joined
from headfit.backbones.weights import check_weights
from headfit.errors import HeadfitError, UsageError
from headfit.heads.chain import Head


@dataclass(frozen=True)
class GridPoint:
    """A backbone at one input size and one cut: where feature maps come from.

    Attributes:
        spec: the backbone.
        weights: ``"imagenet"``, ``"random"`` or a path.
        size: side of the input in pixels; the backbone's own if None.
        cut: the layer that it ends at; empty for its own end.
        extra: whether it is there for heads on several layers only.
    """

    spec: catalog.BackboneSpec
    weights: str
    size: int | None = None
    cut: str = ""
    extra: bool = False


def grid(
    backbone: object,
    weights: object,
    preprocessing: str | None,
    size: object,
    cut: object,
    heads: Sequence[Head],
) -> list[GridPoint]:
    """Read arguments of :func:`headfit.compare`, and make every point of their grid.

    Raises:
        UsageError: names the argument, the value received and what is expected.
    """
    pairs = backbones_with_weights("backbone", backbone, weights, preprocessing)
    names = [spec.name for spec, _ in pairs]
    if repeated := _repeated([spec for spec, _ in pairs]):
        raise UsageError.invalid(
            "backbone", backbone, "backbones that differ", f"Remove one {repeated.name}."
        )
    if repeated := _repeated(names):
        remedy = f"Two are called {repeated}: rename one of the files."
        raise UsageError.invalid("backbone", backbone, "backbones with different names", remedy)
    sizes, ends = _sizes(size), _ends(_cuts(cut), heads)
    points = [
        GridPoint(spec, checked, pixels, end, extra)
        for spec, checked in pairs
        for pixels in sizes
        for end, extra in ends
    ]
    for point in points:
        point.spec.contract(point.size)
    return points


def backbones_with_weights(
    argument: str,
    backbones: object,
    weights: object,
    preprocessing: str | None,
    unusable: Callable[[str, HeadfitError], None] | None = None,
) -> list[tuple[catalog.BackboneSpec, str]]:
    """Give each backbone its weights.

    Args:
        argument: what the caller calls the backbones.
        backbones: one name or file, a text with several between commas, or a list.
        weights: likewise, one for all backbones or one for each.
        preprocessing: of own models.
        unusable: is told of a model that cannot be a backbone, which is then left out; if None,
            its error is raised.

    Raises:
        UsageError: if a backbone or weights do not exist, or their numbers do not agree.
    """
    specs = catalog.find_all(_names(argument, backbones), preprocessing, unusable)
    listed = [check_weights(text) for text in _names("weights", weights)]
    if len(listed) not in (1, len(specs)):
        expected = f"one for all backbones, or one for each of the {len(specs)}"
        raise UsageError.invalid("weights", weights, expected)
    each = listed * len(specs) if len(listed) == 1 else listed
    return [
        (spec, check_weights(text, spec))
        for spec, text in zip(specs, each, strict=True)
        if spec is not None
    ]


def _ends(cuts: list[str], heads: Sequence[Head]) -> list[tuple[str, bool]]:
    """Give the cuts, and beside them one for heads on several layers, if there are any."""
    several = [head.pooling.several_layers for head in heads]
    ends = [(cut, False) for cut in cuts if not all(several)]
    if any(several) and not any(map(is_joined, cuts)):
        joined = JOIN.join(cut or OWN_END for cut in cuts) if len(cuts) > 1 else MULTI
        ends.append((joined, True))
    return ends or [(cut, False) for cut in cuts if is_joined(cut)]


def _names(argument: str, value: object) -> list[str]:
    """Read one or several names or paths."""
    if isinstance(value, str | os.PathLike) and _is_file(value):  # a path may hold a comma
        return [os.fspath(value)]
    texts = [] if value is None else _texts(value)
    if not texts or not all(text and _is_file(text) is not None for text in texts):
        raise UsageError.invalid(argument, value, "a name or a path, or several of them")
    return texts


def _sizes(size: object) -> list[int | None]:
    if size is None:
        return [None]
    texts = _texts(size)
    if not texts or not all(text.isascii() and text.isdigit() for text in texts):
        expected = "a number of pixels or a list of them, such as 224 or '96,160'"
        raise UsageError.invalid("size", size, expected)
    return list(dict.fromkeys(map(int, texts)))


def _cuts(cut: object) -> list[str]:
    if cut is None:
        return [""]
    texts = _texts(cut)
    named = isinstance(cut, str) or (isinstance(cut, Iterable) and _all_texts(cut))
    if not named or not texts or not all(all(text.split(JOIN)) for text in texts):
        raise UsageError.invalid(
            "cut",
            cut,
            "a layer or a list of them, such as 'block4_pool' or 'block3_pool,block5_pool', or "
            "'block3_pool+block5_pool' for both joined",
        )
    return list(dict.fromkeys("" if text == OWN_END else text for text in texts))


def _texts(value: Any) -> list[str]:
    """Give the parts of a text with commas, the items of a list, or what is neither by itself."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    several = isinstance(value, Iterable) and not isinstance(value, bytes)
    return [str(each) for each in value] if several else [str(value)]


def _all_texts(items: Iterable[Any]) -> bool:
    return all(isinstance(each, str) for each in items)


def _is_file(path: str | os.PathLike[str]) -> bool | None:
    """Say whether a path is that of a file; None if it cannot be a path."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # for instance many names with commas, which is too long
        return None


def _repeated(items: list[Any]) -> Any:
    """Give the first item that is there twice; None if there is none."""
    return next((item for item in items if items.count(item) > 1), None)
