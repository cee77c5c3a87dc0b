"""How a comparison tells what it is doing; the stages themselves never print."""

from __future__ import annotations


class Watcher:
    """Is told how a comparison goes; this one is silent. Subclass it to show progress."""

    def stage(self, name: str, total: float) -> None:
        """A stage begins; ``total`` is what its progress will add up to."""

    def advance(self, done: float, detail: str = "") -> None:
        """So much of the stage is done."""

    def tell(self, message: str) -> None:
        """Something that the user should read: a fallback, a warning, what was cached."""
