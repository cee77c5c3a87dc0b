"""Which names of folders mean a split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from headfit.images.sources.source import TEST, TRAIN, VALIDATION

_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validating", "dev"), VALIDATION),
    # never trained on: an evaluation set is the test set of as many data sets as it is not
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "holdout"), TEST),
    **dict.fromkeys(("pred", "predict", "prediction", "inference"), TEST),
}
# say nothing about what a folder is for
_PLAIN = re.compile(
    r"data(set)?s?|sets?|ima?ge?s?|pics?|pictures?|photos?|folders?|dirs?|splits?|part|raw|new|all|"
    r"final|the|of|and"
)
_UNKNOWN = re.compile(r"unknown|unlabell?ed|unclassified|none")
_BESIDE = re.compile(
    r"masks?|annotations?|labels?|gt|groundtruth|segmentations?|meta(data)?|docs?|bbox(es)?"
)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_JOINED = re.compile(
    "(?:data|image|img|photo)s?(?P<a>{0})|(?P<b>{0})(?:dataset|data|set|image|img|photo|folder)s?"
    .format("|".join(sorted(_WORDS, key=len, reverse=True)))
)  # fmt: skip


def split_roles(names: Iterable[str]) -> dict[str, str]:
    """Say which of some folders that lie side by side are named like splits.

    ``Training``, ``train_images``, ``TestSet`` and ``val2017`` are by themselves;
    ``flowers_train`` is if ``flowers_test`` lies beside it.

    Args:
        names: of the folders.

    Returns:
        name → ``"train"``, ``"validation"`` or ``"test"``, for those that are.

    Example:

    >>> split_roles(["seg_train", "seg_test", "Valid", "test tubes"])
    {'seg_train': 'train', 'seg_test': 'test', 'Valid': 'validation'}
    """
    read = {name: each for name in names if (each := _role(name)) is not None}
    by_rest: dict[frozenset[str], set[str]] = {}
    for role, rest in read.values():
        by_rest.setdefault(rest, set()).add(role)
    return {name: role for name, (role, rest) in read.items() if not rest or len(by_rest[rest]) > 1}


def says_nothing(name: str) -> bool:
    """Whether a folder in a split is likelier a wrapper than a class: ``images``, ``unknown``."""
    parts = _parts(name)
    return bool(parts) and all(
        each in _WORDS or _PLAIN.fullmatch(each) or _UNKNOWN.fullmatch(each) for each in parts
    )


def lies_beside(name: str) -> bool:
    """Whether a folder is one that data sets have beside their splits: ``masks``, ``labels``."""
    return any(map(_BESIDE.fullmatch, _parts(name)))


def _role(name: str) -> tuple[str, frozenset[str]] | None:
    """Return the split that a name holds, and what else it says."""
    if lies_beside(name):
        return None
    parts = [_unjoined(part) for part in _parts(name)]
    roles = {_WORDS[part] for part in parts if part in _WORDS}
    if len(roles) != 1:
        return None
    rest = (part for part in parts if part not in _WORDS and not _PLAIN.fullmatch(part))
    return roles.pop(), frozenset(rest)


def _unjoined(part: str) -> str:
    match = _JOINED.fullmatch(part)
    return part if match is None else match["a"] or match["b"]


def _parts(name: str) -> list[str]:
    """Split a name at its signs, digits and capitals, and fold case."""
    return [part.casefold() for part in _PART.findall(unicodedata.normalize("NFC", name))]
