"""A board: many comparisons from one list, kept as records and put side by side."""

from __future__ import annotations

from headfit.board.board import Board
from headfit.board.rendering import render
from headfit.board.running import run

__all__ = ["Board", "render", "run"]
