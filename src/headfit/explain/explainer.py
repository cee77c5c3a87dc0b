"""Explain the predictions of a model: one number for each position of the map and output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from headfit.errors import EngineError, ModelFileError, UnknownNameError, UsageError
from headfit.explain.contributions import Case, Floats, Rule, is_affine, joined, rule_of
from headfit.fitting.kinds import KINDS
from headfit.heads.chain import Head, parse_head
from headfit.heads.custom.pooling import is_custom
from headfit.heads.pooling import MapShape
from headfit.images.contract import Contract
from headfit.images.targets import NOUNS, NUMBER

Rows = npt.NDArray[np.float32]
HIRESCAM = "HiResCAM"
TOLERANCE = 1e-3
"""Share of the sum of all contributions' sizes by which exact ones may miss the logit."""
LEAST_SIDE, LEAST_CHANNELS = 4, 8
"""A map that any pooling can take."""
AT_ONCE = 32  # images whose maps are in memory, in float64
BY_CHILD = 256  # likewise in float32: each time a process starts


@dataclass(frozen=True)
class Explained:
    """What each position adds to one output, for one image.

    An output is the logit of a class or label, or a number in its own units.

    Attributes:
        map: float32 (H, W), in logits or those units; negative where a position lowers it.
        target: which output.
        probability: of the class or label; None for a number.
        logit: the output, as the network gives it.
        bias: the output without the map: its bias where contributions are exact; with HiResCAM,
            what a map of zeros gives.
        method: ``"HiResCAM"``, or in what sense the contributions are exact.
    """

    map: Rows
    target: int
    probability: float | None
    logit: float
    bias: float
    method: str

    @property
    def completeness_error(self) -> float:
        """The error of the map's sum: sum + bias − output."""
        return float(self.map.sum(dtype=np.float64)) + self.bias - self.logit


class MapModel(Protocol):
    """A model opened at its feature map.

    Attributes:
        path: its file.
        head: the chain of its head.
        classes: names of the classes, labels or numbers.
        kind: of the targets.
        contract: how a file becomes pixels.
    """

    path: Path
    head: str
    classes: tuple[str, ...]
    kind: str
    contract: Contract

    @property
    def map_shape(self) -> MapShape:
        """Height, width and channels of the map."""
        ...

    @property
    def shape(self) -> float:
        """The pooling's parameter that is not among its arrays; 0 if there is none."""
        ...

    def run(self, pixels: np.ndarray) -> tuple[Floats, Rows]:
        """Give logits or numbers, float64 (n, K), and maps, float32 (n, H, W, C), of RGB 0–255."""
        ...

    def arrays(self, kind: str) -> list[Floats]:
        """Give the arrays of the ``"pool"`` or of the ``"body"`` that follows it."""
        ...

    def hirescam(self, maps: Rows, targets: npt.NDArray[np.int64]) -> tuple[Rows, Floats]:
        """Give gradient × map (n, H, W), and the outputs (K,) of a map of zeros."""
        ...


class Explainer:
    """Explains what a model makes of images, position by position.

    Args:
        model: it, opened at its feature map.

    Attributes:
        path: the file of the model.
        classes: names of the classes, labels or numbers.
        kind: of the targets.
        contract: how a file becomes pixels.
        head: the chain of the head.

    Raises:
        ModelFileError: if the head has no positions, or its gradients vanish.
    """

    def __init__(self, model: MapModel) -> None:
        self.path, self.head = model.path, model.head
        self.classes, self.kind, self.contract = model.classes, model.kind, model.contract
        self._model = model
        if self._chain is not None and self._chain.pooling.several_layers:
            raise ModelFileError(
                f"'{self.path}' cannot be explained: its head '{self.head}' takes averages, which "
                f"have no position. Explain a model with another head, such as 'gap'."
            )
        if self._chain is not None and self._rule is None and _forgets_lengths(self._chain):
            raise ModelFileError(
                f"'{self.path}' cannot be explained: its head '{self.head}' scales every position "
                f"to length 1, so gradient × map is 0 everywhere. Explain a model with another "
                f"head, such as '{self._chain.pooling.name}' without hidden layers."
            )

    @property
    def map_shape(self) -> MapShape:
        """Height, width and channels of the feature map."""
        return self._model.map_shape

    @property
    def exact(self) -> bool:
        """Whether a formula gives the contributions, and no gradient is needed."""
        return self._rule is not None

    def target(self, name: str) -> int:
        """Find a class, label or number by its name.

        Raises:
            UnknownNameError: if there is none; lists those that exist.
        """
        if name not in self.classes:
            raise UnknownNameError(NOUNS[self.kind][0], name, self.classes)
        return self.classes.index(name)

    def explain(
        self, pixels: np.ndarray, targets: Sequence[int] | int | None = None
    ) -> list[Explained]:
        """Explain images.

        Args:
            pixels: RGB 0–255, (n, height, width, 3) of the contract's size.
            targets: which output to explain, one for all or one for each image; if None that
                with the largest logit, or the first number.

        Raises:
            UsageError: if the pixels have another shape.
            EngineError: if the model does not compute here what its file says.
        """
        height, width = self.contract.height, self.contract.width
        if pixels.ndim != 4 or pixels.shape[1:] != (height, width, 3):
            raise UsageError(
                f"`images` must have shape (n, {height}, {width}, 3). Received: {pixels.shape}."
            )
        explained: list[Explained] = []
        size = BY_CHILD if self._rule is None else AT_ONCE
        for start in range(0, len(pixels), size):
            part = slice(start, start + size)
            some = targets[part] if isinstance(targets, Sequence) else targets
            explained += self._explain(pixels[part], some)
        return explained

    def predictions(self, pixels: np.ndarray) -> npt.NDArray[np.float64]:
        """Give probabilities or numbers, float64 (n, K); pixels as for :meth:`explain`."""
        return KINDS[self.kind].link(self._model.run(pixels)[0])

    def default_targets(self, outputs: Floats) -> npt.NDArray[np.int64]:
        """Choose what to explain of each image, by its logits or numbers (n, K)."""
        if self.kind == NUMBER:  # none of several numbers is the main one
            return np.zeros(len(outputs), np.int64)
        best: npt.NDArray[np.int64] = outputs.argmax(axis=1)
        return best

    def _explain(self, pixels: np.ndarray, classes: Sequence[int] | int | None) -> list[Explained]:
        logits, maps = self._model.run(pixels)
        targets = self.default_targets(logits)
        if classes is not None:
            targets = np.broadcast_to(classes, len(maps))
        rows = np.arange(len(logits))
        chosen, shares = logits[rows, targets], KINDS[self.kind].link(logits)[rows, targets]
        method, sums, biases = self._contributions(maps, targets)
        explained = [
            Explained(
                each.astype(np.float32),
                int(target),
                None if self.kind == NUMBER else float(share),
                float(logit),
                float(bias),
                method,
            )
            for each, target, share, logit, bias in zip(
                sums, targets, shares, chosen, biases, strict=True
            )
        ]
        if method != HIRESCAM:
            for one in explained:
                self._check(one)
        return explained

    def _contributions(
        self, maps: Rows, targets: npt.NDArray[np.int64]
    ) -> tuple[str, npt.NDArray[np.floating], Floats]:
        """Give the method, the contributions (n, H, W) and the biases (n,)."""
        if self._rule is None:
            sums, baseline = self._model.hirescam(maps, targets)
            return HIRESCAM, sums, baseline[targets]
        method, rule = self._rule
        matrix, bias = self._after
        flat = maps.reshape(len(maps), -1, maps.shape[3]).astype(np.float64)
        weights = np.zeros((len(maps), 0)) if matrix is None else matrix.T[targets]
        case = Case(flat, weights, targets, self._pool, self._model.shape, self._model.map_shape)
        return method, rule(case).reshape(maps.shape[:3]), bias[targets]

    def _check(self, one: Explained) -> None:
        # a logit of a thousandth is next to nothing, a number of that size need not be
        least = abs(one.bias) if self.kind == NUMBER else 1.0
        allowed = TOLERANCE * max(least, float(np.abs(one.map).sum()), abs(one.logit))
        if not abs(one.completeness_error) <= allowed:
            raise EngineError(
                f"'{self.path}' is damaged: its contributions miss the output by "
                f"{one.completeness_error:.2g}, more than the {allowed:.2g} that rounding can "
                f"explain. Write it again with headfit compare."
            )

    @cached_property
    def _chain(self) -> Head | None:
        """The head; None for a custom one, whose formula the file does not hold."""
        return None if is_custom(self.head) else parse_head(self.head)

    @cached_property
    def _rule(self) -> tuple[str, Rule] | None:
        """How contributions are computed; None where the logit is no sum over positions."""
        head = self._chain
        return rule_of(head.pooling) if head is not None and is_affine(head.body) else None

    @cached_property
    def _pool(self) -> list[Floats]:
        return self._model.arrays("pool")

    @cached_property
    def _after(self) -> tuple[Floats | None, Floats]:
        return joined(self._chain.body if self._chain else (), self._model.arrays("body"))


def _forgets_lengths(head: Head) -> bool:
    """Whether a position's length makes no difference, found by trying."""
    pooling = head.trained
    if pooling is None or pooling.readout:
        return False
    shape = (LEAST_SIDE, LEAST_SIDE, LEAST_CHANNELS)
    weights = pooling.initial(shape, None, 0)
    maps = np.random.default_rng(0).uniform(1, 2, (1, LEAST_SIDE**2, LEAST_CHANNELS))
    once, twice = (pooling.forward(np, factor * maps, weights) for factor in (1, 2))
    return np.allclose(once, twice, rtol=1e-3, atol=1e-3)
