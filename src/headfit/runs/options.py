"""Settings of a comparison, and their checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.backbones import catalog
from headfit.backbones.engines.engine import ENGINES, FLOAT32, INT8, PRECISIONS
from headfit.backbones.engines.interface import JOIN, MULTI, OWN_END, is_joined
from headfit.backbones.graphs import int8
from headfit.backbones.weights import IMAGENET, check_weights
from headfit.errors import UsageError
from headfit.features.store import DTYPES
from headfit.heads.chain import Head, parse_heads
from headfit.heads.presets import DEFAULT_HEADS
from headfit.model.metadata import kept_path
from headfit.study.comparison.compare import check_rope


@dataclass(frozen=True)
class Protocol:
    """How much is spent on one question.

    Attributes:
        repeats: how often the folds are drawn.
        folds: of the cross-validation, where the classes have enough images.
        quick: one trial instead of three for heads trained by gradient descent.
    """

    repeats: int
    folds: int
    quick: bool = False


PROTOCOLS = {
    "quick": Protocol(1, 5, quick=True),
    "standard": Protocol(5, 10),
    "thorough": Protocol(10, 10),
}
LEAST_FOLDS = 3
LONGEST_NAME = 200  # of a file, so that it can be written anywhere


@dataclass(frozen=True)
class Place:
    """One point of the grid of a comparison: where feature maps come from.

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


@dataclass(frozen=True)
class Options:
    """Settings of a comparison, checked.

    Attributes:
        backbone: any spelling of its name, or an own model: a ``.keras`` or ``.h5`` file,
            ``module:function`` or ``hub:preset``; several, separated by commas, are compared.
        heads: chains, ``module:function``, a ``.keras`` file, or callables; those of the default
            that do not suit the maps are left out, said aloud.
        keep: names of heads that become models beside the recommended one, on its backbone, in a
            list or separated by commas; they must be among those compared.
        weights: ``"imagenet"``, ``"random"`` or a path; one for all backbones, or one for each.
        preprocessing: of the pixels for an own model: ``"none"``, ``"tf"``, ``"caffe"`` or
            ``"torch"``; what the model brings, else none, if None.
        size: side of the input in pixels, the backbone's own if None; several, as a list or
            separated by commas, are compared.
        cut: layer that the backbone ends at, its own end if None; several, as a list or separated
            by commas, are compared, ``a+b`` joins two, ``end`` is its own end among others.
        protocol: ``"quick"`` (1×5 folds), ``"standard"`` (5×10) or ``"thorough"`` (10×10).
        folds: of the cross-validation; the protocol's if None, or fewer where a class has too few
            images.
        repeats: how often the folds are drawn; the protocol's if None.
        seed: of folds, first weights and batches.
        rope: a difference that does not matter, as a fraction of balanced accuracy.
        groups: a CSV file (path, group), or a regular expression on the path, that says which
            images belong together.
        near_duplicates: whether near-duplicates are found, and kept in one fold.
        where: whether it is measured how much position matters.
        curve: whether learning curves are measured.
        engine: ``"auto"``, ``"openvino"`` or ``"keras"``.
        precision: of the backbone's arithmetic, ``"float32"`` or ``"int8"``.
        feature_dtype: how feature maps are stored, ``"float16"`` or ``"float32"``.
    """

    backbone: str = catalog.DEFAULT
    heads: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None = None
    keep: str | Iterable[str] | None = None
    weights: str = IMAGENET
    preprocessing: str | None = None
    size: int | str | Iterable[int] | None = None
    cut: str | Iterable[str] | None = None
    protocol: str = "standard"
    folds: int | None = None
    repeats: int | None = None
    seed: int = 0
    rope: float = 0.01
    groups: str | None = None
    near_duplicates: bool = True
    where: bool = True
    curve: bool = True
    engine: str = "auto"
    precision: str = FLOAT32
    feature_dtype: str = "float16"

    @property
    def rounds(self) -> int:
        """Repeats in force."""
        return PROTOCOLS[self.protocol].repeats if self.repeats is None else self.repeats

    @property
    def most_folds(self) -> int:
        """Folds, where the classes have enough images for as many."""
        return PROTOCOLS[self.protocol].folds if self.folds is None else self.folds

    @property
    def least_folds(self) -> int:
        """Images that each class must have."""
        return LEAST_FOLDS if self.folds is None else self.folds

    @property
    def quick(self) -> bool:
        """Whether heads trained by gradient descent get one trial."""
        return PROTOCOLS[self.protocol].quick

    def check(self) -> tuple[list[Place], list[Head]]:
        """Refuse what cannot work, before anything is done.

        Returns:
            Every backbone at every size and cut, and the heads.

        Raises:
            UsageError: names the option, what was found and what is expected.
        """
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"--protocol '{self.protocol}' is none of {', '.join(PROTOCOLS)}.")
        heads = parse_heads(DEFAULT_HEADS if self.heads is None else self.heads)
        places = self._places(heads)
        self.kept(heads)
        check_rope(self.rope)
        if self.most_folds < LEAST_FOLDS:
            raise UsageError(
                f"--folds {self.folds} is too small: it must be at least 3, one to test on, one to "
                f"choose settings on, one to train on."
            )
        if self.rounds < 1:
            raise UsageError(f"--repeats {self.repeats} is too small: it must be at least 1.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed {self.seed} must be from 0 to {2**32 - 1}.")
        if self.engine not in ENGINES:
            raise UsageError(f"--engine '{self.engine}' is none of {', '.join(ENGINES)}.")
        self._check_precision()
        if self.feature_dtype not in DTYPES:
            raise UsageError(
                f"--feature-dtype '{self.feature_dtype}' is none of {', '.join(DTYPES)}."
            )
        return places, heads

    def kept(self, heads: Sequence[Head]) -> list[str]:
        """Give the names of the heads to keep.

        Args:
            heads: all that are compared.

        Raises:
            UsageError: if one is not among them.
        """
        if self.keep is None:
            return []
        names = [head.name for head in parse_heads(self.keep)]
        known = [head.name for head in heads]
        for name in names:
            if name not in known:
                raise UsageError(
                    f"--keep names {name}, which is not compared: add it to --heads, or choose of "
                    f"{', '.join(known)}."
                )
            if len(kept_path(Path(), name).name) > LONGEST_NAME:
                raise UsageError(
                    f"--keep names {name}, which is too long for the name of a file. Give the head "
                    f"a shorter name, as a function of your own."
                )
        return names

    def _places(self, heads: list[Head]) -> list[Place]:
        specs = catalog.find_all(self._backbone_names(), self.preprocessing)
        whole = Path(self.weights).is_file()  # a path may hold a comma
        weights = [check_weights(w) for w in ([self.weights] if whole else _parts(self.weights))]
        if not specs or len(weights) not in (1, len(specs)):
            raise UsageError(
                f"--backbone names {len(specs)}, --weights {len(weights)}: give one of weights for "
                f"all backbones, or one for each, in their order."
            )
        if len(set(specs)) < len(specs):
            raise UsageError(f"--backbone '{self.backbone}' names one twice: leave one out.")
        if len({spec.name for spec in specs}) < len(specs):
            raise UsageError(
                f"--backbone '{self.backbone}' holds two of one name, which could not be told "
                f"apart: rename one of the files."
            )
        weights = weights if len(weights) > 1 else weights * len(specs)
        each = [(spec, check_weights(w, spec)) for spec, w in zip(specs, weights, strict=True)]
        sizes, cuts = self._sizes(), self._cuts()
        ends = [(cut, False) for cut in cuts if not all(h.pooling.several_layers for h in heads)]
        if any(h.pooling.several_layers for h in heads) and not any(map(is_joined, cuts)):
            joined = JOIN.join(cut or OWN_END for cut in cuts) if len(cuts) > 1 else MULTI
            ends.append((joined, True))
        elif not ends:
            ends = [(cut, False) for cut in cuts if is_joined(cut)]
        places = [
            Place(spec, w, size, cut, extra)
            for spec, w in each
            for size in sizes
            for cut, extra in ends
        ]
        for place in places:
            place.spec.contract(place.size)
        return places

    def _backbone_names(self) -> list[str]:
        whole = Path(self.backbone).is_file()  # a path may hold a comma
        return [self.backbone] if whole else _parts(self.backbone)

    def _sizes(self) -> list[int | None]:
        if self.size is None:
            return [None]
        given = [self.size] if isinstance(self.size, int) else self.size
        texts = _parts(given) if isinstance(given, str) else [str(each) for each in given]
        if not texts or not all(text.isascii() and text.isdigit() for text in texts):
            raise UsageError(
                f"--size '{self.size}' is no list of sizes in pixels. For example 224, or "
                f"96,160,224."
            )
        return list(dict.fromkeys(map(int, texts)))

    def _cuts(self) -> list[str]:
        if self.cut is None:
            return [""]
        texts = _parts(self.cut) if isinstance(self.cut, str) else list(self.cut)
        if not texts or not all(all(text.split(JOIN)) for text in texts):
            raise UsageError(
                f"--cut '{self.cut}' is no list of layers. For example block4_pool, or "
                f"block3_pool,block5_pool, or block3_pool+block5_pool for both joined."
            )
        return list(dict.fromkeys("" if text == OWN_END else text for text in texts))

    def _check_precision(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision '{self.precision}' is none of {', '.join(PRECISIONS)}.")
        if self.precision == INT8 and self.engine == "keras":
            raise UsageError(
                "--precision int8 runs on OpenVINO only: leave out --engine keras, or int8."
            )
        if self.precision == INT8:
            int8.check_installed()


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
