"""``headfit convert``: give a trained model another top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from headfit.cli.command import OUTPUT, Command
from headfit.cli.console import ConsoleCallback, output
from headfit.cli.options import (
    DATA,
    HEADS,
    LINKS,
    PATH,
    PREPROCESSING_MODES,
    REPORTING,
    SEED,
    SPLITS,
    TABLE,
    option,
)
from headfit.cli.tables import plain_table, print_json
from headfit.cli.wording import in_command_line_words
from headfit.report.text.metrics import METRICS
from headfit.report.text.position import variance_parts

EXAMPLES = """\b
Examples:
  headfit convert my-model.keras --to flatten
  headfit convert my-model.keras --to gap --data photos/
  headfit convert my-model.keras --to gap --data photos.csv --label-column breed
  headfit convert headfit-run/model.keras --to gap --data photos/ --refit --out smaller.keras
  headfit convert old-model.h5 --to low_rank --rank 4
  headfit convert old-model.h5 --to low_rank --shared --data photos/ --preprocessing tf
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("model", type=PATH)
@option(
    HEADS,
    "--to",
    type=click.Choice(["gap", "flatten", "low_rank"]),
    required=True,
    help="The new top.",
)
@option(
    HEADS,
    "--rank",
    type=int,
    metavar="N",
    show_default="the least that keeps 95 % of the squared norm",
    help="Rank of low_rank.",
)
@option(HEADS, "--shared", is_flag=True, help="With low_rank, one factor shared by all classes.")
@option(
    DATA,
    "--data",
    metavar="SOURCE",
    help="Images in classes, as compare takes them: measure the accuracy before, after, and with a "
    "refitted top.",
)
@option(DATA, "--refit", is_flag=True, help="Write the top that was refitted on --data.")
@option(
    DATA,
    "--preprocessing",
    type=PREPROCESSING_MODES,
    help="How pixels of --data are scaled, if the model expects scaled pixels.",
)
@SPLITS
@LINKS
@TABLE
@SEED
@option(
    OUTPUT,
    "--out",
    type=PATH,
    metavar="PATH",
    show_default="MODEL-TO.keras beside MODEL",
    help="The .keras file to write. It must not exist yet.",
)
@REPORTING
def command(model: Path, to: str, as_json: bool, debug: bool, **options: Any) -> None:
    """Write MODEL with another top. MODEL itself stays unchanged.

    MODEL is a .keras or .h5 file that pools its last feature map with GlobalAveragePooling2D or
    Flatten, followed by Dense. The pooling and that Dense layer are rewritten; everything else
    stays. gap to flatten is exact; other conversions report how much of the weights they keep.
    """
    from headfit.conversion import convert  # noqa: PLC0415  (heavy)

    with ConsoleCallback() as callback:
        conversion = convert(model, to, callbacks=callback, **options)
    if as_json:
        print_json(conversion.to_dict())
    else:
        _show(output(), conversion.to_dict())


def _show(console: Console, document: dict[str, Any]) -> None:
    shape = "×".join(map(str, document["map_shape"]))
    console.print(
        f"{document['model']}: {document['from']} on a map of {shape}, {document['units']:,} units",
        markup=False,
    )
    console.print()
    console.print(_table(document))
    console.print()
    for line in [_fidelity(document), *_data(document), *document["remarks"]]:
        console.print(in_command_line_words(line), markup=False)
    what = "refitted" if document["saved"] == "refitted" else "converted"
    console.print(f"Written ({what}): {document['out']}", markup=False)


def _table(document: dict[str, Any]) -> Table:
    data = document["data"] or {}
    metrics = _metrics(data)
    numbers = ("top's parameters", "in all", *metrics.values())
    table = plain_table(("", *numbers), numbers)
    new = _name(document)
    after = document["parameters"]["after"]
    rows = [(document["from"], document["parameters"]["before"], "before"), (new, after, "after")]
    if data.get("refitted"):
        rows.append((f"{new}, refitted", after, "refitted"))
    for name, counts, which in rows:
        scores = data.get(which)
        table.add_row(
            name,
            f"{counts['top']:,}",
            f"{counts['total']:,}",
            *(METRICS[metric].plain(scores[metric]) if scores else "" for metric in metrics),
        )
    return table


def _metrics(data: dict[str, Any]) -> dict[str, str]:
    """Give the head of the column of each metric; those of classes without images."""
    names = list(data["before"]) if data else ["accuracy", "balanced_accuracy"]
    short = {"accuracy": "accuracy %", "balanced_accuracy": "balanced %"}
    return {name: short.get(name, METRICS[name].heading) for name in names}


def _name(document: dict[str, Any]) -> str:
    if document["rank"] is None:
        return str(document["to"])
    shared = "shared " if document["shared"] else ""
    return f"{document['to']}, {shared}rank {document['rank']}"


def _fidelity(document: dict[str, Any]) -> str:
    change = document["change"]
    if document["exact"]:
        return (
            f"Exact: on two test images no value of the layer changes by more than "
            f"{change['logit']:.1g}, no output by more than {change['output']:.1g}."
        )
    return (
        f"Not exact: {100 * document['kept']:.1f} % of the squared norm of the weights remains; on "
        f"two test images outputs change by up to {change['output']:.2g}."
    )


def _data(document: dict[str, Any]) -> list[str]:
    data = document["data"]
    if data is None:
        return []
    lines = [
        f"Variance of the layer's output over {data['images']:,} images ({data['scored_on']}): "
        f"{variance_parts(data)}."
    ]
    if data["not_refitted"]:
        lines.append(f"Not refitted: {data['not_refitted']}")
    return lines
