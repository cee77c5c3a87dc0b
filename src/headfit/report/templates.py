"""How pages are made from templates: one set-up of Jinja for the report and for the live page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headfit.images.targets import SEPARATOR
from headfit.report.text.finetune import times
from headfit.report.text.numbers import percent, significant
from headfit.util.html import printable
from headfit.util.nouns import counted

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """Set up Jinja: everything is escaped, an unknown name is an error, and odd characters go."""
    import jinja2  # noqa: PLC0415  (heavy)

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = percent
    made.filters["counted"] = counted
    made.filters["significant"] = significant
    made.filters["rounded"] = _rounded
    made.filters["times"] = times
    return made


def _rounded(text: str) -> str:
    """Round the numbers of an image, as tables hold them: ``61.1483;25.8`` to ``61.1; 25.8``."""
    return "; ".join(significant(float(number)) for number in text.split(SEPARATOR))


def _finalize(value: Any) -> Any:
    # a plain text may come from a file name; Markup, which is a subclass, stays what it is
    return printable(value) if type(value) is str else value
