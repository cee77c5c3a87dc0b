"""The version of the statistics: numbers of different versions are not put side by side."""

from __future__ import annotations

STATISTICS = 1
"""Raise it with every change that moves scores, intervals, p-values or verdicts of the same run."""
