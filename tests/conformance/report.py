"""The table at the end: each requirement, its section and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

LEVELS = ("must", "should", "extension")
_PLACE = re.compile(r"Section: (?P<section>[^\n]+)\. Level: (?P<level>[a-z]+)\.\Z", re.DOTALL)


@dataclass(frozen=True)
class Requirement:
    """What a test demands.

    Attributes:
        sentence: in words of ours.
        section: of the specification.
        level: one of :data:`LEVELS`.
    """

    sentence: str
    section: str
    level: str

    @classmethod
    def of(cls, docstring: str) -> Requirement:
        """Read the docstring of a test.

        Raises:
            ValueError: if it is not of the form that all have.
        """
        sentence, _, place = docstring.strip().partition("\n\n")
        match = _PLACE.search(" ".join(place.split()))
        if not match or match["level"] not in LEVELS:
            raise ValueError(f"no section or level: {docstring!r}")
        return cls(" ".join(sentence.split()), match["section"], match["level"])


@dataclass(frozen=True)
class Outcome:
    """What came of a requirement: passed, failed, or not applicable."""

    requirement: Requirement
    word: str
    reason: str = ""


def table(outcomes: list[Outcome]) -> list[str]:
    """Write all outcomes as a Markdown table, and their numbers by level."""
    lines = ["| requirement | section | level | outcome |", "|---|---|---|---|"]
    for each in outcomes:
        wanted = each.requirement
        word = f"{each.word}: {each.reason}" if each.reason else each.word
        lines.append(f"| {wanted.sentence} | {wanted.section} | {wanted.level} | {word} |")
    return [*lines, "", *summary(outcomes)]


def summary(outcomes: list[Outcome]) -> list[str]:
    """Count the outcomes by level, as a Markdown table."""
    words = ("passed", "failed", "not applicable")
    lines = ["| level | passed | failed | not applicable |", "|---|---|---|---|"]
    for level in LEVELS:
        of_level = [each.word for each in outcomes if each.requirement.level == level]
        counts = " | ".join(str(of_level.count(word)) for word in words)
        lines.append(f"| {level} | {counts} |")
    return lines
