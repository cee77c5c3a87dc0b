"""Regular expressions end, whatever the names that they are searched in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from headfit.errors import UsageError
from headfit.images.groups import read_groups
from headfit.images.index import ImageIndex
from photos import touch


@pytest.mark.parametrize("expression", [r"/(a|aa)+[!-#]", r"/(\w|aa)*_"])
def test_an_expression_that_backtracks_is_refused_in_time(tmp_path: Path, expression: str) -> None:
    names = [f"{folder}/{'a' * 40}{number}.jpg" for folder in "ab" for number in "xyz"]
    index = ImageIndex.from_directory(touch(tmp_path, *names))
    start = time.process_time()
    with pytest.raises(UsageError, match=r"`groups` must be .* at most 1 s .* of time on 'a/aaa"):
        read_groups(expression, index)
    assert time.process_time() - start < 4  # twice the deadline, for two looks


@pytest.mark.parametrize("expression", ["{e}", r"a\d(", r"\d{e<1"])
def test_an_expression_that_is_not_valid_is_shown_as_typed(tmp_path: Path, expression: str) -> None:
    """Also where only the module ``regex`` refuses it."""
    index = ImageIndex.from_directory(touch(tmp_path, "a/1.jpg", "b/2.jpg"))
    with pytest.raises(UsageError, match="as an expression it is not valid") as caught:
        read_groups(expression, index)
    assert f"Received: groups='{expression}'. There is" in str(caught.value)


def test_names_of_any_length_are_searched_at_once(tmp_path: Path) -> None:
    index = ImageIndex.from_directory(touch(tmp_path, f"a/{'7' * 200}.jpg", f"b/{'8' * 200}.jpg"))
    groups = read_groups(r"/(\d)\d*", index)
    assert groups.names == ("7", "8")
