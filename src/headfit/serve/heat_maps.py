"""Heat maps of a served model and of the heads that its run kept: where each one looks."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from headfit.errors import HeadfitError
from headfit.explain.colours import overlay, scale_of
from headfit.explain.explainer import Explained, Explainer
from headfit.images.decode import decode
from headfit.model.maps import SavedMapModel
from headfit.model.metadata import ModelRecord, kept_models
from headfit.model.runner import Tell
from headfit.serve.errors import Refused
from headfit.serve.models import ServedModel
from headfit.serve.watch import stamp

LONGER_SIDE = 224
"""Pixels of the longer side of a picture."""
_log = logging.getLogger("headfit.serve")


@dataclass(frozen=True)
class HeatMap:
    """What each position of the map adds to the logit of a class, or to a number, by one head.

    Attributes:
        head: the head.
        class_: name of the class, label or number.
        explained: the map and the numbers of it.
        scale: the contribution with the full colour, the same for all heads of an image.
        size: height and width of the picture, in pixels.
    """

    head: str
    class_: str
    explained: Explained
    scale: float
    size: tuple[int, int]

    def picture(self) -> str:
        """Draw the map as a ``data:`` address of a PNG that can lie over the image."""
        height, width = self.size
        values = Image.fromarray(self.explained.map.astype(np.float32))
        smooth = np.asarray(values.resize((width, height), Image.Resampling.BILINEAR))
        stream = io.BytesIO()
        overlay(smooth, self.scale).save(stream, "PNG")
        return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


class HeatMaps:
    """Explains what a model and the heads kept beside it make of images.

    Args:
        model: the served model; its run keeps other heads in the folder ``heads`` beside it.
        tell: called with a line of text when something takes long or falls back.

    Attributes:
        heads: those that can be explained, the model's own first.
    """

    def __init__(self, model: ServedModel, tell: Tell = lambda _: None) -> None:
        self._name, self._contract = model.name, model.contract
        self._explainers: dict[str, Explainer] = {}
        self._stamps = {path: stamp(path) for path in (model.path, *kept_models(model.path.parent))}
        for path in self._stamps:
            try:
                record = ModelRecord.read(path)
                explainer = Explainer(SavedMapModel(path, record, tell))
            except HeadfitError:  # a head without positions, or a file that is gone
                continue
            same = (record.contract, record.classes, record.kind) == (
                model.contract,
                model.classes,
                model.kind,
            )
            # a gradient takes a process of its own
            if same and explainer.exact:
                self._explainers.setdefault(record.head, explainer)
        self.heads = tuple(self._explainers)

    def check(self, heads: Sequence[str]) -> None:
        """Refuse heads that cannot be explained here.

        Raises:
            Refused: lists those that can.
        """
        for head in heads:
            if head not in self._explainers:
                there = f"Heads: {', '.join(self.heads)}." if self.heads else "It has none."
                raise Refused(f"This model has no heat maps of head {head[:100]!r}. {there}")

    def open(self) -> None:
        """Open the networks of all heads now."""
        for explainer in self._explainers.values():
            explainer.map_shape  # noqa: B018

    def explain(
        self, files: Sequence[tuple[bytes, int]], heads: Sequence[str]
    ) -> list[list[HeatMap]]:
        """Explain image files; one thread at a time.

        Args:
            files: the content of each, and which output to explain.
            heads: heads that :meth:`check` accepts.

        Returns:
            For each file a heat map of each head.

        Raises:
            Refused: if a model file has changed meanwhile, or its maps cannot be computed here.
        """
        contract = self._contract
        size = contract.height, contract.width
        pixels = np.stack([decode(data, *size, contract.depth) for data, _ in files])
        targets = [target for _, target in files]
        columns: list[list[Explained]] = []
        try:
            for head in heads:
                explainer = self._explainers[head]
                self._check_unchanged(explainer.path)
                columns.append(explainer.explain(pixels, targets))
        except HeadfitError as error:
            if isinstance(error, Refused):
                raise
            _log.error("no heat maps", extra={"model": self._name, "reason": str(error)})
            raise Refused(
                "No heat maps can be computed now. The server logged why.", 503
            ) from error
        return [
            self._row(heads, [column[place] for column in columns]) for place in range(len(files))
        ]

    def _check_unchanged(self, path: Path) -> None:
        """Refuse to open a network of another file than that of the model that is served."""
        if stamp(path) != self._stamps[path]:
            raise Refused("The file of this model was replaced. Try again.", 503, 2.0)

    def _row(self, heads: Sequence[str], row: Sequence[Explained]) -> list[HeatMap]:
        scale = scale_of(each.map for each in row)
        height, width = self._contract.height, self._contract.width
        factor = LONGER_SIDE / max(height, width)
        size = max(1, round(height * factor)), max(1, round(width * factor))
        first = next(iter(self._explainers.values()))
        return [
            HeatMap(head, first.classes[each.target], each, scale, size)
            for head, each in zip(heads, row, strict=True)
        ]
