"""What a child process is asked for an inspection."""

from __future__ import annotations

from dataclasses import dataclass

from headfit.util.child import Request


@dataclass(frozen=True)
class BackboneInspection(Request):
    """Describe a backbone under a head.

    Attributes:
        name: of the backbone.
        size: side of the square input in pixels.
        head: a chain, or ``"own"`` for the top that it was published with.
        classes: K.
    """

    function = "headfit.inspection.describe_child:describe_backbone"
    name: str
    size: int
    head: str
    classes: int


@dataclass(frozen=True)
class FileInspection(Request):
    """Describe a saved model, and find its mistakes.

    Attributes:
        path: a ``.keras`` or ``.h5`` file.
        size: side of the input in pixels where the model leaves it open; 224 if None.
        classes: how many classes the data have; None if unknown.
    """

    function = "headfit.inspection.describe_child:describe_file"
    path: str
    size: int | None = None
    classes: int | None = None
