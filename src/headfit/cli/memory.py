"""How much memory a run uses."""

from __future__ import annotations

import contextlib


class Memory:
    """Resident memory of this process and its children.

    Pages that processes share count in each of them.

    Attributes:
        now: bytes at the last measurement; None if unknown.
        peak: the most that was measured, bytes; None if unknown.
    """

    def __init__(self) -> None:
        self.now: int | None = None
        self.peak: int | None = None

    def measure(self) -> None:
        """Measure now; nothing changes where the system gives no answer."""
        import psutil  # noqa: PLC0415  (not for --help)

        # a child may end after it was listed, or belong to another user
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process()
            total = int(process.memory_info().rss)
            with contextlib.suppress(psutil.Error, OSError):
                for child in process.children(recursive=True):
                    with contextlib.suppress(psutil.Error, OSError):
                        total += int(child.memory_info().rss)
            self.now = total
            self.peak = max(total, self.peak or 0)


def in_words(size: int) -> str:
    """Give bytes as "85 MB" or "1.2 GB"."""
    return f"{size / 1e9:.1f} GB" if size >= 0.95e9 else f"{size / 1e6:.0f} MB"
