"""The page: one file with everything in it, and nothing to fetch."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from headfit import __version__
from headfit.images.sources.source import ImageSource
from headfit.report import view
from headfit.report.hover import printable
from headfit.report.inline import Picture, Plot, depiction, depiction_colours, picture
from headfit.report.looks import looks
from headfit.report.predictions import read_predictions
from headfit.report.text.numbers import percent
from headfit.report.thumbnails import thumbnails
from headfit.util import digests, files

NAME = "report.html"
HERE = Path(__file__).parent
SCRIPTS = ("page.js", "hover.js")
FORMAT = 3
# two runs with one seed differ in these alone; a page for either tells the same
PASSING = {"timings", "train_seconds", "latency_ms", "latency", "cached", "computed", "setting"}


def write_report(
    path: Path,
    results: dict[str, Any],
    predictions: str,
    images: ImageSource | None,
    *,
    anew: bool = False,
) -> bool:
    """Write the page, whole or not at all; not again if it already tells the same.

    Args:
        path: the file.
        results: as in ``results.json``.
        predictions: the content of ``predictions.csv``; empty if there is none.
        images: their source, for thumbnails; None to show names alone.
        anew: write it in any case.

    Returns:
        Whether it was written.

    Raises:
        DataError: if the predictions are not those of the results.
        WriteError: if it cannot be written.
    """
    parts = [FORMAT, __version__, _lasting(results), predictions, images is not None]
    source = digests.of_data(parts)
    if not anew and _tells(path, source):
        return False
    files.write_text(path, render(results, predictions, images, source=source))
    return True


def render(
    results: dict[str, Any],
    predictions: str,
    images: ImageSource | None,
    *,
    source: str = "",
) -> str:
    """Give the page as HTML; see :func:`write_report`."""
    import jinja2  # noqa: PLC0415  (heavy)

    classes = [row["name"] for row in results["reliability"]["classes"]]
    rows = read_predictions(predictions, classes) if predictions else []
    wrong = view.wrong(rows)
    cells = view.cells(results, rows)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    script = "".join((HERE / name).read_text("utf-8") for name in SCRIPTS)
    style = (HERE / "style.css").read_text("utf-8")
    for name, dark in (("LIGHT", False), ("DARK", True)):
        style = style.replace(f"/* {name} DEPICTION */", f"{depiction_colours(dark)};")
    return environment.get_template("template.html.j2").render(
        results=results,
        verdict=results["verdict"],
        source=source,
        version=__version__,
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        candidates=view.candidates(results),
        pictures=pictures(results),
        depictions=[
            depiction(place["map_shape"], len(classes), place["subject"])
            for place in view.places(results)
        ],
        classes=classes,
        matrix=view.matrix(results),
        cells=cells,
        wrong=wrong,
        has_predictions=bool(rows),
        thumbnails=thumbnails(images, view.pictured(results, wrong, cells)),
        looks=looks(results, images),
        listed=view.LISTED,
    )


def pictures(results: dict[str, Any]) -> dict[str, Picture]:
    """Draw all plots that these results have numbers for, by name."""
    from headfit.report import plots  # noqa: PLC0415  (scipy)
    from headfit.report.plots.posterior import has_noise  # noqa: PLC0415

    wanted: dict[str, tuple[Plot, bool]] = {
        "scores": (plots.scores, True),
        "posterior": (plots.posterior, has_noise(results) is not None),
        "spectrum": (plots.spectrum, bool(results["where"])),
        "cost": (plots.cost, True),
        "maps": (plots.maps, len(results["backbones"]) > 1),
        "overfit": (plots.overfit, True),
        "learning_curve": (plots.learning_curve, bool(results["learning_curve"])),
        "calibration": (plots.calibration, bool(results["reliability"].get("bins"))),
        "classes": (plots.classes, True),
    }
    return {key: picture(key, plot, results) for key, (plot, able) in wanted.items() if able}


def _lasting(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _lasting(value) for key, value in data.items() if key not in PASSING}
    return [_lasting(value) for value in data] if isinstance(data, list) else data


def _tells(path: Path, source: str) -> bool:
    try:
        with path.open("rb") as stream:
            return f'content="{source}"'.encode() in stream.read(2000)
    except OSError:
        return False


def _printable(value: Any) -> Any:
    # names of files may hold what a page cannot; Markup must stay what it is
    if type(value) is not str:
        return value
    return printable(value)
