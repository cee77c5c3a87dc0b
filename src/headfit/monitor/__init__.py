"""Follow a run: its progress in a file, and a live page of it on this machine."""

from headfit.monitor.record import Recorder

__all__ = ["Recorder"]
