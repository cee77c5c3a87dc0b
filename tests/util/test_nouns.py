from __future__ import annotations

from headfit.util.nouns import counted


def test_one_is_singular() -> None:
    assert counted(1, "image") == "1 image"
    assert counted(1000, "class", "classes") == "1,000 classes"
