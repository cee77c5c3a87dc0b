"""How long each stage of a run takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.seconds[name], self.last = round(now - self.last, 3), now

    def total(self) -> dict[str, float]:
        """Give the seconds of all stages, and their total."""
        return {**self.seconds, "total": round(time.perf_counter() - self.start, 3)}
