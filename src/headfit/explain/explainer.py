"""Explain what a saved classifier makes of images: a number for each position and class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headfit.errors import EngineError, ModelFileError, UnknownNameError, UsageError
from headfit.explain.affine import is_affine, joined
from headfit.explain.contributions import Case, Floats, Rule, rule_of
from headfit.explain.source import Rows, Source
from headfit.fitting.softmax import softmax
from headfit.heads.chain import Head, parse_head
from headfit.heads.custom.pooling import is_own
from headfit.heads.pooling import MapShape
from headfit.model.metadata import ModelRecord

HIRESCAM = "HiResCAM"
TOLERANCE = 1e-3
"""Share of the sum of all contributions' sizes by which exact ones may miss the logit."""
LEAST_SIDE, LEAST_CHANNELS = 4, 8
"""A map that any pooling takes."""
AT_ONCE = 32  # images whose maps are in memory, in float64
BY_CHILD = 256  # likewise in float32: each time a process starts


@dataclass(frozen=True)
class Explained:
    """What each position adds to the logit of one class, for one image.

    Attributes:
        map: float32 (H, W), in logits; negative where a position speaks against the class.
        target: number of the class.
        probability: of the class.
        logit: of the class, as the network gives it.
        bias: what the logit is without the map: the bias of the class where contributions are
            exact; with HiResCAM, its logit for a map of nothing but zeros.
        method: ``"HiResCAM"``, or in what sense the contributions are exact.
    """

    map: Rows
    target: int
    probability: float
    logit: float
    bias: float
    method: str

    @property
    def completeness_error(self) -> float:
        """By how much the map's sum and the bias miss the logit: sum + bias − logit."""
        return float(self.map.sum(dtype=np.float64)) + self.bias - self.logit


class Explainer:
    """A saved classifier that says where it looks.

    Args:
        path: a ``model.keras`` that headfit wrote.
        tell: called with a line of text when something takes long or falls back.

    Attributes:
        record: what the file says of itself.

    Raises:
        UsageError: if the file does not exist.
        ModelFileError: if it is not such a model, or its head has no positions.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        if not path.is_file():
            raise UsageError(f"'{path}' is not a file; expected a model.keras that headfit wrote.")
        self.path = path
        self.record = ModelRecord.read(path)
        self._source = Source(path, self.record, tell)
        if self._head is not None and self._head.pooling.several_layers:
            raise ModelFileError(
                f"'{path}': its head '{self.record.head}' is given averages, which have no "
                f"position. Explain a model with another head, for instance 'gap'."
            )
        if self._head is not None and self._rule is None and _forgets_lengths(self._head):
            raise ModelFileError(
                f"'{path}': its head '{self.record.head}' brings every position to length 1, so "
                f"that gradient × map is 0 everywhere. Explain a model with another head, for "
                f"instance '{self._head.pooling.name}' without hidden layers."
            )

    @property
    def map_shape(self) -> MapShape:
        """Height, width and channels of the feature map."""
        return self._source.map_shape

    def target(self, name: str) -> int:
        """Find a class by its name.

        Raises:
            UnknownNameError: if there is none; lists those that exist.
        """
        if name not in self.record.classes:
            raise UnknownNameError("class", name, self.record.classes)
        return self.record.classes.index(name)

    def explain(
        self, pixels: np.ndarray, targets: Sequence[int] | int | None = None
    ) -> list[Explained]:
        """Explain images.

        Args:
            pixels: RGB 0–255, (n, height, width, 3) of the contract's size.
            targets: number of the class to explain, one for all or one for each image; that with
                the largest logit if None.

        Raises:
            UsageError: if the pixels have another shape.
            EngineError: if the model does not compute here what its file says.
        """
        contract = self.record.contract
        expected = (contract.height, contract.width, 3)
        if pixels.ndim != 4 or pixels.shape[1:] != expected:
            wanted = f"(n, {contract.height}, {contract.width}, 3)"
            raise UsageError(f"images have shape {pixels.shape}; expected {wanted}.")
        found: list[Explained] = []
        size = BY_CHILD if self._rule is None else AT_ONCE
        for start in range(0, len(pixels), size):
            part = slice(start, start + size)
            own = targets[part] if isinstance(targets, Sequence) else targets
            found += self._explain(pixels[part], own)
        return found

    def probabilities(self, pixels: np.ndarray) -> npt.NDArray[np.float64]:
        """Give the probability of each class, float64 (n, K); pixels as for :meth:`explain`."""
        return softmax(self._source.run(pixels)[0])

    def _explain(self, pixels: np.ndarray, given: Sequence[int] | int | None) -> list[Explained]:
        logits, maps = self._source.run(pixels)
        targets = logits.argmax(axis=1) if given is None else np.broadcast_to(given, len(logits))
        rows = np.arange(len(logits))
        own, shares = logits[rows, targets], softmax(logits)[rows, targets]
        method, sums, biases = self._contributions(maps, targets)
        found = [
            Explained(
                each.astype(np.float32),
                int(target),
                float(share),
                float(logit),
                float(bias),
                method,
            )
            for each, target, share, logit, bias in zip(
                sums, targets, shares, own, biases, strict=True
            )
        ]
        if method != HIRESCAM:
            for one in found:
                self._check(one)
        return found

    def _contributions(
        self, maps: Rows, targets: npt.NDArray[np.int64]
    ) -> tuple[str, npt.NDArray[np.floating], Floats]:
        """Give the method, the contributions (n, H, W) and the biases (n,)."""
        if self._rule is None:
            sums, baseline = self._source.hirescam(maps, targets)
            return HIRESCAM, sums, baseline[targets]
        method, rule = self._rule
        matrix, bias = self._after
        flat = maps.reshape(len(maps), -1, maps.shape[3]).astype(np.float64)
        weights = np.zeros((len(maps), 0)) if matrix is None else matrix.T[targets]
        case = Case(flat, weights, targets, self._pool, self._source.shape, self._source.map_shape)
        return method, rule(case).reshape(maps.shape[:3]), bias[targets]

    def _check(self, one: Explained) -> None:
        allowed = TOLERANCE * max(1.0, float(np.abs(one.map).sum()), abs(one.logit))
        if not abs(one.completeness_error) <= allowed:
            raise EngineError(
                f"'{self.path}': the contributions miss the logit by {one.completeness_error:.2g}, "
                f"expected at most {allowed:.2g}. The model file is damaged: compare anew."
            )

    @cached_property
    def _head(self) -> Head | None:
        """The head, None for one of the user's own, whose formula the file does not hold."""
        return None if is_own(self.record.head) else parse_head(self.record.head)

    @cached_property
    def _rule(self) -> tuple[str, Rule] | None:
        """How contributions are computed; None where the logit is no sum over positions."""
        head = self._head
        return rule_of(head.pooling) if head is not None and is_affine(head.body) else None

    @cached_property
    def _pool(self) -> list[Floats]:
        return self._source.arrays("pool")

    @cached_property
    def _after(self) -> tuple[Floats | None, Floats]:
        return joined(self._head.body if self._head else (), self._source.arrays("body"))


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
