"""What an exported file says of itself: one typed record, as JSON in its metadata.

Whoever runs the file finds there how an image becomes its input, what its outputs are called, and
how far they can be trusted. The card, the snippets and the server read the same record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from headfit.errors import ModelFileError
from headfit.images.contract import DECODER, Contract
from headfit.images.targets import CLASS
from headfit.model.metadata import ModelRecord
from headfit.model.provenance import WEIGHTS, Provenance

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
"""Names of the input and the outputs, in every format."""


@dataclass(frozen=True)
class ExportRecord:
    """All that travels with an exported model, beside its network.

    Attributes:
        classes: names of the classes, in the order of the probabilities.
        contract: how an image file becomes the input, uint8 RGB of its height and width. Its
            ``scale``, ``offset`` and ``bgr`` are done already, within the file: they are there to
            be read, not to be applied.
        head: the head's chain; empty if headfit did not make the model.
        backbone: its name; empty likewise.
        target: what is predicted: ``"class"``.
        temperature: what logits are divided by to calibrate them; None if it is not known.
        prediction_set: ``level`` and ``quantile`` of prediction sets, or None.
        outlier_threshold: above which score an image is unlike the training images, or None.
        outputs: names of the outputs, ``probabilities`` first.
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

    @classmethod
    def of(cls, model: ModelRecord, *, outlier_score: bool = False) -> ExportRecord:
        """Take over what a model file of headfit's says.

        Args:
            model: its record.
            outlier_score: whether the export has the second output.
        """
        reliability, origin = model.reliability, model.provenance or Provenance()
        return cls(
            classes=model.classes,
            contract=model.contract,
            head=model.head,
            backbone=model.backbone,
            temperature=reliability.temperature if reliability else None,
            prediction_set=(
                {"level": reliability.level, "quantile": reliability.quantile}
                if reliability
                else None
            ),
            # the score is relative to its threshold
            outlier_threshold=1.0 if outlier_score else None,
            outputs=(PROBABILITIES, OUTLIER_SCORE) if outlier_score else (PROBABILITIES,),
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
            fields = {name: data[name] for name in cls.__dataclass_fields__}
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
