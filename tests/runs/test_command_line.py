"""Command lines that results carry."""

from __future__ import annotations

import shlex

from headfit.runs.provenance import command_line


def test_arguments_become_options_that_a_shell_reads_back() -> None:
    options = {
        "heads": ["gap", "spp"],
        "groups": r"patient(\d+) of",
        "size": None,
        "near_duplicates": False,
        "curve": None,
        "splits": True,
    }
    line = command_line("compare", "my photos", options)
    assert shlex.split(line) == [
        *("headfit", "compare", "my photos", "--heads", "gap,spp"),
        *("--groups", r"patient(\d+) of", "--no-near-duplicates", "--splits"),
    ]
