"""The page: one file with everything in it, which loads nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headfit import __version__
from headfit.images.sources.source import ImageSource
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.report import policy, view, view_labels, view_numbers
from headfit.report.figures import drawable
from headfit.report.images import depth_of, heat_maps, thumbnails
from headfit.report.inline import Picture, depiction, depiction_colours, picture
from headfit.report.templates import environment
from headfit.report.text import metrics, position, reliability, tested
from headfit.report.text.metrics import METRICS
from headfit.report.text.targets import counted_names, kind_of, names_of
from headfit.report.text.verdict import after_holm, evidence, headline
from headfit.report.view import read_predictions
from headfit.util import digests, files

NAME = "report.html"
HERE = Path(__file__).parent
FORMAT = 8
# two runs with the same seed differ only in these, and need no new page
PASSING = {"timings", "train_seconds", "latency_ms", "latency", "cached", "computed", "setting"}


def write_report(
    path: Path,
    results: dict[str, Any],
    predictions: str,
    images: ImageSource | None,
    *,
    force: bool = False,
) -> bool:
    """Write the page, whole or not at all; an up-to-date page is left alone.

    Args:
        path: the file.
        results: as in ``results.json``.
        predictions: the content of ``predictions.csv``; empty if there is none.
        images: source of the images, for thumbnails; None to show only names.
        force: write it in any case.

    Returns:
        Whether it was written.

    Raises:
        DataError: if the predictions are not those of the results.
        WriteError: if it cannot be written.
    """
    parts = [FORMAT, __version__, _lasting(results), predictions, images is not None]
    source = digests.of_data(parts)
    if not force and _tells(path, source):
        return False
    files.write_text(path, render(results, predictions, images, source=source))
    return True


def render(
    results: dict[str, Any], predictions: str, images: ImageSource | None, *, source: str = ""
) -> str:
    """Give the page as HTML; see :func:`write_report`."""
    key, kind, names = metrics.primary(results["verdict"]), kind_of(results), names_of(results)
    own = _OF_KIND[kind](results, predictions)
    style = (HERE / "style.css").read_text("utf-8")
    for name, dark in (("LIGHT", False), ("DARK", True)):
        style = style.replace(f"/* {name} DEPICTION */", f"{depiction_colours(dark)};")
    template = environment().from_string((HERE / "template.html.j2").read_text("utf-8"))
    return template.render(
        results=results,
        verdict=results["verdict"],
        headline=headline(results["verdict"]),
        evidence=evidence(results["verdict"]),
        after_holm=after_holm(results["backbones"]),
        kind=kind,
        metric=METRICS[key],
        loss=METRICS[metrics.loss_key(key)],
        more=METRICS[view.MORE[kind]] if kind in view.MORE else None,
        predicts=counted_names(kind, names),
        trust=reliability.held_out(results["reliability"]),
        expected_suspects=reliability.expected_suspects(results["reliability"]),
        test=tested.sentence(results["test"], results["verdict"]) if results["test"] else "",
        logit_variance=_logit_variance(results["where"]),
        source=source,
        version=__version__,
        style=style,
        script=policy.script(),
        policy=policy.policy(),
        candidates=view.candidates(results),
        tuned=view.tuned(results),
        pictures=pictures(results),
        depictions=[
            depiction(place["map_shape"], len(names), place["subject"], kind)
            for place in view.places(results)
            if not results.get("finetune")
        ],
        classes=names,
        **own,
        has_predictions=bool(predictions),
        thumbnails=thumbnails(
            images,
            view.pictured(results, [each.path for each in own["wrong"]], own["cells"]),
            depth=depth_of(results),
        ),
        looks=heat_maps(results, images),
        listed=view.LISTED,
    )


def _of_classes(results: dict[str, Any], predictions: str) -> dict[str, Any]:
    rows = read_predictions(predictions, names_of(results)) if predictions else []
    cells = view.cells(results, rows)
    return {
        "matrix": view.matrix(results),
        "cells": cells,
        "ids": {each["id"] for each in cells},
        "wrong": view.wrong(rows),
    }


def _of_labels(results: dict[str, Any], predictions: str) -> dict[str, Any]:
    labels = results["reliability"]["labels"]
    return {
        "matrix": view_labels.matrix(results["reliability"]),
        "cells": [],
        "wrong": view_labels.read_mistakes(predictions, labels) if predictions else [],
    }


def _of_numbers(results: dict[str, Any], predictions: str) -> dict[str, Any]:
    columns = results["reliability"]["columns"]
    return {
        "columns": view_numbers.columns(results["reliability"]),
        "cells": [],
        "wrong": view_numbers.read_residuals(predictions, columns) if predictions else [],
        "told": lambda residual: view_numbers.told(residual, columns),
    }


_OF_KIND = {CLASS: _of_classes, LABELS: _of_labels, NUMBER: _of_numbers}


def pictures(results: dict[str, Any]) -> dict[str, Picture]:
    """Draw all plots that these results have numbers for, by name."""
    return {key: picture(key, plot, results) for key, plot in drawable(results).items()}


def _logit_variance(where: dict[str, Any] | None) -> str:
    """Say what the logits' variance is made up of; older runs do not tell."""
    told = where and "covariance_share" in where["projection"]
    return position.variance_parts(where["projection"]) if where and told else ""


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
