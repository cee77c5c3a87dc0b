"""What a server takes at most; beyond it a request is refused with a clear answer."""

from __future__ import annotations

from dataclasses import dataclass, fields

from headfit.errors import UsageError
from headfit.util.machine import usable_cores


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server takes at most.

    Attributes:
        file_bytes: bytes of one image file.
        body_bytes: bytes of the body of a request.
        held_bytes: bytes of all bodies together that are received and not yet answered.
        files: images in a request.
        queue: images that are accepted and not yet answered, all models together.
        batch: images that a model is given at once, if batches are faster here.
        delay: seconds that an image waits for others that are being decoded, if Keras runs the
            model; OpenVINO lets none wait.
        deadline: seconds from the end of a request's headers to its answer.
        decoders: threads that decode; the number of cores if 0.

    Raises:
        UsageError: if a value is negative or, other than ``delay`` and ``decoders``, 0.

    Example:

    ```python
    app = hf.serve.create_app("headfit-run", limits=hf.serve.Limits(queue=64, deadline=5))
    ```
    """

    file_bytes: int = 32_000_000
    body_bytes: int = 64_000_000
    held_bytes: int = 512_000_000
    files: int = 128
    queue: int = 256
    batch: int = 32
    delay: float = 0.002
    deadline: float = 30.0
    decoders: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, may_be_zero = getattr(self, field.name), field.name in ("delay", "decoders")
            if not value >= 0 or (value == 0 and not may_be_zero):
                raise UsageError.invalid(field.name, value, "a positive number")

    @property
    def decoding_threads(self) -> int:
        """Number of threads that decode."""
        return self.decoders or max(2, usable_cores())
