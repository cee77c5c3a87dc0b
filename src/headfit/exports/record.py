"""What an exported file says of itself: one typed record, as JSON in its metadata.

Whoever runs the file finds there how an image becomes its input, what its outputs are called, and
how far they can be trusted. The card, the snippets and the server read the same record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from headfit.errors import ModelFileError
from headfit.fitting.kinds import KINDS
from headfit.images.contract import DECODER, Contract
from headfit.images.targets import CLASS, NUMBER
from headfit.model.metadata import ModelRecord
from headfit.model.provenance import WEIGHTS, Provenance
from headfit.study.reliability.model_reliability import (
    LabelReliability,
    ModelReliability,
    NumberReliability,
)

SCHEMA = "headfit.contract/1"
KEY = "headfit"
"""Under which name a format's metadata hold the record."""
DECODING = {
    DECODER: {
        "orientation": "upright, by EXIF",
        "colour": "RGB of 8 bits",
        "transparency": "white behind it",
        "jpeg_draft": "at least twice the size of the input",
        "resize": "bilinear",
        "antialias": True,
    }
}
"""What a contract's ``decoder`` stands for, spelled out in the file for whoever reads it there."""
IMAGES, PROBABILITIES, OUTLIER_SCORE = "images", "probabilities", "outlier_score"
VALUES = "values"  # the output of numbers
"""Names of the input and the outputs, in every format."""


_LATER = ("activation", "temperatures", "thresholds", "intervals")
"""Fields that files of earlier versions, all of classes, do not have."""


@dataclass(frozen=True)
class ExportRecord:
    """All that travels with an exported model, beside its network.

    Attributes:
        classes: names of the classes, labels or numbers, in the order of the outputs.
        contract: how an image file becomes the input, uint8 RGB of its height and width. Its
            ``scale``, ``offset`` and ``bgr`` are done already, within the file: they are there to
            be read, not to be applied.
        head: the head's chain; empty if headfit did not make the model.
        backbone: its name; empty likewise.
        target: what is predicted: ``"class"``, ``"labels"`` or ``"number"``.
        activation: what the network ends in: ``"softmax"``, ``"sigmoid"`` or ``"linear"``, in the
            numbers' own units.
        temperature: what logits are divided by to calibrate them; None if it is not known.
        prediction_set: ``level`` and ``quantile`` of prediction sets, or None.
        temperatures: what the logit of each label is divided by to calibrate it, or None.
        thresholds: the probability from which on an image has each label, or None.
        intervals: of numbers ``level`` and ``half_widths``, to be taken off and added; None in
            place of a width that is not known, and None where nothing is.
        outlier_threshold: above which score an image is unlike the training images, or None.
        outputs: names of the outputs, ``probabilities`` or, of numbers, ``values`` first.
        verdict: the sentence of the comparison that chose the head; empty if there was none.
        weights: ``name``, ``origin`` and ``licence`` of the backbone's weights.
        data: digest of the training images; empty if it is not known.
        from_bytes: of a file that decodes by itself: its ``input``, its ``decoder``, what that
            ``reads``, ``refuses`` and in what it ``differs`` from the contract; else None.
        version: of the headfit that exported it.

    Example:

    ```python
    record = ExportRecord.of(ModelRecord.read(path))
    record.contract.height, record.classes
    ```
    """

    classes: tuple[str, ...]
    contract: Contract
    head: str = ""
    backbone: str = ""
    target: str = CLASS
    temperature: float | None = None
    prediction_set: Mapping[str, float] | None = None
    outlier_threshold: float | None = None
    outputs: tuple[str, ...] = (PROBABILITIES,)
    verdict: str = ""
    weights: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(WEIGHTS, ""))
    data: str = ""
    from_bytes: Mapping[str, str] | None = None
    version: str = ""
    activation: str = "softmax"
    temperatures: tuple[float, ...] | None = None
    thresholds: tuple[float, ...] | None = None
    intervals: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, model: ModelRecord, *, outlier_score: bool = False) -> ExportRecord:
        """Take over what a model file of headfit's says.

        Args:
            model: its record.
            outlier_score: whether the export has the second output.
        """
        origin = model.provenance or Provenance()
        main = VALUES if model.kind == NUMBER else PROBABILITIES
        return cls(
            classes=model.classes,
            contract=model.contract,
            head=model.head,
            backbone=model.backbone,
            target=model.kind,
            activation=KINDS[model.kind].activation,
            **_known(model),
            # the score is relative to its threshold
            outlier_threshold=1.0 if outlier_score else None,
            outputs=(main, OUTLIER_SCORE) if outlier_score else (main,),
            verdict=origin.verdict,
            weights=dict(origin.weights),
            data=origin.data,
            version=version("headfit"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        plain = {**asdict(self), "contract": self.contract.to_dict()}
        return {
            "schema": SCHEMA,
            **plain,
            "decoding": DECODING[self.contract.decoder],
            "classes": list(self.classes),
            "outputs": [*self.outputs],
        }

    def to_json(self) -> str:
        """Give the text that a format's metadata hold."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExportRecord:
        """Rebuild from :meth:`to_dict`.

        Raises:
            ModelFileError: if something is missing, or of another schema.
        """
        try:
            if data["schema"] != SCHEMA:
                raise ValueError(f"its schema is {str(data['schema'])[:40]!r}, expected {SCHEMA!r}")
            names = [n for n in cls.__dataclass_fields__ if n in data or n not in _LATER]
            fields = {name: data[name] for name in names}
            for name in ("temperatures", "thresholds"):
                if fields.get(name) is not None:
                    fields[name] = tuple(map(float, fields[name]))
            lists = {name: tuple(map(str, data[name])) for name in ("classes", "outputs")}
            return cls(**{**fields, **lists, "contract": Contract.from_dict(data["contract"])})
        except (KeyError, TypeError, ValueError) as error:
            missing = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ModelFileError(
                f"The record of an exported model is damaged: {missing}."
            ) from None

    @classmethod
    def from_json(cls, text: str | bytes) -> ExportRecord:
        """Rebuild from :meth:`to_json`.

        Raises:
            ModelFileError: as :meth:`from_dict`, and if it is no JSON.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ModelFileError(f"The record of an exported model is no JSON: {error}.") from None
        return cls.from_dict(data)


def _known(model: ModelRecord) -> dict[str, Any]:
    """Give what the model knows of its reliability, by the names of the record."""
    known = model.reliability
    if isinstance(known, ModelReliability):
        sets = {"level": known.level, "quantile": known.quantile}
        return {"temperature": known.temperature, "prediction_set": sets}
    if isinstance(known, LabelReliability):
        return {
            "temperatures": tuple(known.temperatures.tolist()),
            "thresholds": tuple(known.thresholds.tolist()),
        }
    if isinstance(known, NumberReliability):
        widths = [width if math.isfinite(width) else None for width in known.half_widths.tolist()]
        return {"intervals": {"level": known.level, "half_widths": widths}}
    return {}
