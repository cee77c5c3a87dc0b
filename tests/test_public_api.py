"""The public names and their signatures, as they are written down in ``data/public_api.txt``."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import headfit
from headfit.runs.options import Options

SNAPSHOT = Path(__file__).parent / "data" / "public_api.txt"
RENEW = "python tests/test_public_api.py"


def public_api() -> str:
    """Write every public name with its signature, one parameter a line."""
    return "\n\n".join("\n".join(_lines(n, getattr(headfit, n))) for n in headfit.__all__) + "\n"


def _lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, ModuleType):
        yield f"module {name}"
        yield from (f"    {each}" for each in sorted(value.__all__))
    elif inspect.isclass(value):
        bases = [base.__name__ for base in value.__bases__ if base is not object]
        yield f"class {name}({', '.join(bases)})" if bases else f"class {name}"
        for member, content in sorted(vars(value).items()):
            if member == "__init__" or not member.startswith("_"):
                yield from (f"    {line}" for line in _member(member, content))
    elif callable(value):
        yield from _signature(name, value)
    else:
        yield f"{name}: {type(value).__name__}"


def _member(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, property | functools.cached_property):
        getter = value.fget if isinstance(value, property) else value.func
        yield f"{name}: {_hint(inspect.signature(getter).return_annotation)}"  # type: ignore[arg-type]
    elif isinstance(value, classmethod | staticmethod):
        yield f"@{type(value).__name__}"
        yield from _signature(name, value.__func__)
    elif inspect.isfunction(value):
        yield from _signature(name, value)
    else:  # the default of a dataclass' field, or a constant
        yield f"{name} = {value!r}"


def _signature(name: str, function: Any) -> Iterator[str]:
    """Write a function on one line, or with one parameter a line if that is too long."""
    signature = inspect.signature(function)
    parts: list[str] = []
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        hint = "" if each.annotation is each.empty else f": {_hint(each.annotation)}"
        parts.append(f"{each.name}{hint}{_default(each)}")
    returned = signature.return_annotation
    end = ")" if returned is signature.empty else f") -> {_hint(returned)}"
    line = f"def {name}({', '.join(parts)}{end}"
    yield from [line] if len(line) < 100 else [f"def {name}(", *(f"    {p}," for p in parts), end]


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is parameter.empty:
        return ""
    return f" = {value.__name__ if inspect.isfunction(value) else repr(value)}"


def _hint(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "None")


def test_public_names_and_signatures_are_those_that_are_written_down() -> None:
    before, now = SNAPSHOT.read_text("utf-8"), public_api()
    diff = "\n".join(
        difflib.unified_diff(before.splitlines(), now.splitlines(), SNAPSHOT.name, "now", n=8)
    )
    assert before == now, (
        f"The public API has changed:\n{diff}\n\n"
        f"If you mean it to, note it in CHANGELOG.md and renew {SNAPSHOT.name} with: {RENEW}"
    )


def test_compare_and_its_options_are_one() -> None:
    """Same names, types and defaults: the function that users call and the settings of a run."""
    keywords = dict(inspect.signature(headfit.compare).parameters)
    del keywords["images"], keywords["callbacks"]
    options = inspect.signature(Options).parameters
    assert list(keywords) == list(options)
    for name, keyword in keywords.items():
        assert (keyword.annotation, keyword.default) == (
            options[name].annotation,
            options[name].default,
        ), name
        assert keyword.kind is keyword.KEYWORD_ONLY
        assert f"        {name}: " in str(headfit.compare.__doc__), name


def test_rank_takes_what_compare_takes_by_the_same_name_type_and_default() -> None:
    compare, rank = (inspect.signature(f).parameters for f in (headfit.compare, headfit.rank))
    shared = set(compare) & set(rank) - {"size"}  # one size: the ranking has no grid
    assert shared == set(rank) - {"backbones", "size"}
    for name in shared:
        assert compare[name].annotation == rank[name].annotation, name
        assert compare[name].default == rank[name].default, name


if __name__ == "__main__":
    SNAPSHOT.write_text(public_api(), "utf-8")
