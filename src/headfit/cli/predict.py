"""``headfit predict``: predict classes, labels or numbers with a saved model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headfit.cli.command import OUTPUT, Command
from headfit.cli.console import ConsoleCallback, output, tell, tracked
from headfit.cli.options import PATH, REPORTING, TABLE_OF_PATHS, option
from headfit.cli.tables import literal, plain_table, print_json
from headfit.cli.wording import CommandLineWords
from headfit.errors import UsageError
from headfit.images.inputs import Inputs
from headfit.images.targets import CLASS, LABELS, NOUNS, NUMBER
from headfit.util import files

if TYPE_CHECKING:
    from headfit.model.prediction_file import Written

SCHEMA = "headfit.predictions/1"
UNLIKE = "unlike the training images"
EXAMPLES = """\b
Examples:
  headfit predict headfit-run/model.keras new.jpg
  headfit predict headfit-run/model.keras photos/ "more/**/*.png" --top 3
  headfit predict headfit-run/model.keras photos/ --out predictions.csv
  headfit predict headfit-run/model.keras new.csv --path-column file --out predictions.csv
  find photos -name "*.jpg" | headfit predict headfit-run/model.keras - --out predictions.parquet
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("model", type=PATH)
@click.argument("paths", nargs=-1, required=True)
@TABLE_OF_PATHS
@option(
    OUTPUT,
    "--top",
    type=click.IntRange(min=1),
    default=3,
    metavar="N",
    help="Number of classes or labels for each image, the most probable first.",
)
@option(
    OUTPUT,
    "--out",
    type=PATH,
    metavar="PATH",
    help="Write predictions to a .csv, .jsonl or .parquet file as they come, instead of printing "
    "them. An interrupted run is continued.",
)
@option(OUTPUT, "--overwrite", is_flag=True, help="Begin the file again, whatever is there.")
@option(OUTPUT, "--csv", "csv_path", type=PATH, metavar="PATH", help="Write a CSV file as well.")
@REPORTING
def command(
    model: Path,
    paths: tuple[str, ...],
    top: int,
    out: Path | None,
    overwrite: bool,
    csv_path: Path | None,
    as_json: bool,
    debug: bool,
    **finding: Any,
) -> int:
    """Predict the class, labels or numbers of images with MODEL, a model.keras of headfit.

    PATHS are image files, folders (searched with their sub-folders), archives (zip and tar),
    patterns, tables (.csv, .tsv, .jsonl or .parquet) with a column of paths, lists (LIST.txt or
    @LIST, one file a line) or - for a list on standard input. Files that cannot be read are
    reported and skipped; the exit code is 1 only if no file could be read.
    """
    from headfit.model.classifier import Classifier  # noqa: PLC0415  (heavy)
    from headfit.model.prediction_formats import Csv, JsonLines  # noqa: PLC0415

    if out is not None and csv_path is not None:
        raise UsageError("`csv_path` and `out` both write a file. Give one of them.")
    classifier, names = Classifier(model, tell), Inputs(paths, **finding)
    tell(*names.notes)
    if out is not None:
        with ConsoleCallback() as console:
            words = CommandLineWords([console])
            written = classifier.write_predictions(
                names, out, overwrite=overwrite, top=top, callbacks=words
            )
        tell(*names.left_out())
        _show_written(written, as_json, classifier.kind)
        return 0 if written.images > written.unreadable else 1
    images = list(names)
    tell(*names.left_out())
    steps = tracked(classifier.iter_predictions(images), "Predicting", len(images))
    predictions, kind = list(steps), classifier.kind
    records = list(map(JsonLines(classifier.classes, top, kind).record, predictions))
    if csv_path is not None:
        form = Csv(classifier.classes, kind)
        files.write_text(csv_path, (form.start() + form.rows(predictions)).decode())
    if as_json:
        of_kind = {} if kind == CLASS else {"kind": kind}
        print_json({"schema": SCHEMA, **of_kind, "predictions": records})
    else:
        _show(records, kind)
        if csv_path is not None:
            tell(f"Written: {csv_path}")
    return 0 if any(not prediction.error for prediction in predictions) else 1


def _show_written(written: Written, as_json: bool, kind: str) -> None:
    if as_json:
        print_json({"schema": SCHEMA, **asdict(written), "path": str(written.path)})
        return
    if kind != NUMBER:
        table = plain_table((NOUNS[kind][0], "images"), ["images"])
        for name, count in sorted(written.classes.items(), key=lambda each: -each[1]):
            table.add_row(literal(name), f"{count:,}")
        output().print(table)
    unreadable = f", {written.unreadable:,} could not be read" if written.unreadable else ""
    tell(f"Written: {written.path}: {written.images:,} rows{unreadable}")


def _show(records: list[dict[str, Any]], kind: str) -> None:
    remarks = any(record["outlier"] for record in records)
    names = next((list(record["numbers"]) for record in records if record.get("numbers")), [])
    columns, numbers = {
        CLASS: (("class", "probability", "then"), ["probability"]),
        LABELS: (("labels", "next"), []),
        NUMBER: (tuple(names or ["numbers"]), []),
    }[kind]
    table = plain_table(("image", *columns, *["remark"] * remarks), numbers)
    for record in records:
        remark = [UNLIKE if record["outlier"] else ""] * remarks
        error = record["error"]
        cells = _unread(error, len(columns)) if error else _CELLS[kind](record)
        table.add_row(*map(literal, [record["path"], *cells, *remark]))
    output().print(table)


def _unread(error: str, columns: int) -> list[str]:
    """Fill the columns of a file that cannot be read: the reason is in the last one."""
    if columns == 1:
        return [f"cannot be read: {error}"]
    return ["cannot be read", *[""] * (columns - 2), error]


def _class_cells(record: dict[str, Any]) -> list[str]:
    rest = ", ".join(f"{t['class']} {100 * t['probability']:.1f} %" for t in record["top"][1:])
    return [record["class"], f"{100 * record['probability']:.1f} %", rest]


def _label_cells(record: dict[str, Any]) -> list[str]:
    """Give the labels that the image has, and the most probable ones that it has not."""
    has, rest = (
        ", ".join(
            f"{each['label']} {100 * each['probability']:.1f} %"
            for each in record["labels"]
            if each["present"] is present
        )
        for present in (True, False)
    )
    return [has or "none", rest]


def _number_cells(record: dict[str, Any]) -> list[str]:
    """Give each number, with its interval if the model has one."""
    return [
        f"{each['value']:.4g}"
        + ("" if each["low"] is None else f" ({each['low']:.4g} to {each['high']:.4g})")
        for each in record["numbers"].values()
    ]


_CELLS = {CLASS: _class_cells, LABELS: _label_cells, NUMBER: _number_cells}
