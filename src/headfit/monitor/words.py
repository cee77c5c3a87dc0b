"""How progress is put into words; ``live.js`` says the same in the browser."""

from __future__ import annotations

from typing import Any

WORDS = {
    "running": "Comparing heads",
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Failed",
}


def headline(progress: dict[str, Any]) -> str:
    """Say in one line how a run stands."""
    state, silent = progress["state"], progress["silent"]
    if state == "failed":
        return progress["error"] or "The run failed."
    if state == "stopped":
        if silent:
            return f"The process is gone without a word, {duration(silent)} ago. {_AGAIN}"
        return f"The run was interrupted. {_AGAIN}"
    if state == "done":
        return "The run is done; it has no page of its own."
    if silent:
        return f"No sign of life for {duration(silent)}: the run is suspended, or cannot write."
    stages = progress["stages"]
    return stages[-1]["name"] if stages else "The run is about to begin."


_AGAIN = "What was computed is kept: the same command goes on from there."


def amount(stage: dict[str, Any]) -> str:
    """Say how far a stage is: images, their rate, what was skipped, how long it took."""
    parts = []
    if stage["unit"]:
        parts.append(f"{stage['done']:,.0f} of {stage['total']:,.0f} {stage['unit']}")
        if stage["rate"] is not None:
            parts.append(f"{stage['rate']:,.1f} {stage['unit']}/s")
    elif stage["total"] > 1:
        parts.append(f"{int(stage['done'])} of {stage['total']:.0f}")
    if stage["skipped"]:
        parts.append(f"{stage['skipped']} skipped")
    if stage["detail"] and not stage["over"]:
        parts.append(stage["detail"])
    parts.append(duration(stage["seconds"]))
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Put seconds into words: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
