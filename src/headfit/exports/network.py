"""What a child process is asked to write: the base of every format's request."""

from __future__ import annotations

from dataclasses import dataclass

from headfit.util.child import Request


@dataclass(frozen=True)
class NetworkRequest(Request):
    """Write a classifier in another format; subclasses name the function that does.

    Attributes:
        path: the ``model.keras``.
        record: :class:`~headfit.exports.record.ExportRecord` as JSON.
        outlier_score: whether there is a second output.
        fuse: whether pooling, scaling and linear head become one matrix product.
        target: the file or folder to write.
    """

    opens = "path"
    path: str
    record: str
    outlier_score: bool
    fuse: bool
    target: str
