"""What a check looks at, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from headfit.backbones.graphs.boundary import Boundary
from headfit.backbones.graphs.trace import Call, Trace
from headfit.util.saved_model import Saved


@dataclass(frozen=True)
class Remark:
    """A likely mistake, or one that the file cannot show.

    Attributes:
        code: which mistake; stable.
        message: what is wrong and what to do, or why the file cannot show it.
    """

    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """As it goes into JSON."""
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True)
class InspectedModel:
    """A saved model, taken apart.

    Attributes:
        trace: all its calls.
        boundary: where its head begins.
        saved: what the file says of compiling and of the optimizer.
    """

    trace: Trace
    boundary: Boundary
    saved: Saved

    @property
    def head(self) -> list[Call]:
        """The calls behind the map."""
        return [self.trace.calls[number] for number in self.boundary.head]

    @property
    def backbone(self) -> list[Call]:
        """All other calls."""
        head = set(self.boundary.head)
        return [call for number, call in enumerate(self.trace.calls) if number not in head]


def named(calls: list[Call], most: int = 3) -> str:
    """Name layers, the first few of many."""
    names = list(dict.fromkeys(f"'{call.layer.name}'" for call in calls))
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
