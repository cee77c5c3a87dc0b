"""What the benchmarks print: Markdown tables, ratios with their targets, the machine."""

from __future__ import annotations

import operator
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from interleave import package_version

PACKAGES = ("headfit", "keras", "jax", "openvino", "tensorflow-cpu", "onnxruntime", "scikit-learn")
PACKAGES += ("numpy", "scipy", "pillow")


@dataclass(frozen=True)
class Target:
    """A ratio, measured in every round, and what it should be.

    Attributes:
        what: the two things that are compared.
        ratios: one a round.
        sign: ``">="`` or ``"<="``.
        bound: what the median should reach; None if nothing is asked.
    """

    what: str
    ratios: tuple[float, ...]
    sign: str = ">="
    bound: float | None = None

    def row(self) -> list[str]:
        """Give the cells of a line of the table."""
        middle = median(self.ratios)
        span = f"{_short(min(self.ratios))}–{_short(max(self.ratios))}"
        if self.bound is None:
            return [self.what, _short(middle), span, "", ""]
        met = {">=": operator.ge, "<=": operator.le}[self.sign](middle, self.bound)
        symbol = {">=": "≥", "<=": "≤"}[self.sign]
        verdict = "met" if met else "missed"
        return [self.what, _short(middle), span, f"{symbol} {_short(self.bound)}", verdict]


def ratio(what: str, top: Sequence[float], bottom: Sequence[float], *aim: object) -> Target:
    """Divide round by round; ``aim`` is the sign and the bound of the target, if there is one."""
    return Target(what, tuple(a / b for a, b in zip(top, bottom, strict=True)), *aim)


def targets_table(targets: Iterable[Target]) -> str:
    """Write the ratios beside what they should be."""
    return markdown(["ratio", "median", "min–max", "target", ""], [t.row() for t in targets])


def rates_table(rates: dict[str, list[float]], against: str, unit: str = "items/s") -> str:
    """Write medians, ranges and ratios (median over rounds of the ratio in that round)."""
    rows = []
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(values, rates[against], strict=True)]
        span = f"{_short(min(values))}–{_short(max(values))}"
        rows.append([name, _short(median(values)), span, f"{median(ratios):.2f}"])
    return markdown(["contestant", f"median {unit}", "min–max", f"against {against}"], rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def machine() -> str:
    """Describe the machine and the versions, one line each."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = found[0].split(":")[1].strip() if found else model
    versions = [f"{name} {found}" for name in PACKAGES if (found := package_version(name))]
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
        f"\n{', '.join(versions)}"
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
