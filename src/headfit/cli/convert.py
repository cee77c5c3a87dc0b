"""``headfit convert``: give a trained model another top."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from headfit.cli.command import Command
from headfit.cli.console import ConsoleCallback, output

EXAMPLES = """\b
Examples:
  headfit convert my-model.keras --to flatten
  headfit convert my-model.keras --to gap --data photos/
  headfit convert headfit-run/model.keras --to gap --data photos/ --refit --out smaller.keras
  headfit convert old-model.h5 --to low_rank --rank 4
  headfit convert old-model.h5 --to low_rank --shared --data photos/ --preprocessing tf
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", required=True, help="The new top: gap, flatten or low_rank.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The .keras file to write; it must not exist.  [default: MODEL-TO.keras beside MODEL]",
)
@click.option(
    "--rank",
    type=int,
    help="Of low_rank.  [default: the least that keeps 95 % of the squared norm]",
)
@click.option("--shared", is_flag=True, help="One low rank for all classes, not one for each.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Class folders of images: measure accuracy before, after, and with the top fitted anew.",
)
@click.option("--refit", is_flag=True, help="Write the top that was fitted anew on --data.")
@click.option(
    "--preprocessing",
    help="For --data: none, tf, caffe or torch, if the model expects prepared pixels.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the folds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, no table.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(
    model: Path,
    to: str,
    out: Path | None,
    rank: int | None,
    shared: bool,
    data: Path | None,
    refit: bool,
    preprocessing: str | None,
    seed: int,
    as_json: bool,
    debug: bool,
) -> None:
    """Write MODEL with another top; MODEL itself is left as it is.

    MODEL is a .keras or .h5 file that pools its last feature map with GlobalAveragePooling2D or
    Flatten and goes on with Dense. That pooling and that layer are rewritten, all else stays.
    gap to flatten is exact; the other ways keep what they can, and say how much.
    """
    from headfit.conversion import convert  # noqa: PLC0415  (heavy)

    with ConsoleCallback() as callback:
        document = convert(
            model,
            to,
            out=out,
            rank=rank,
            shared=shared,
            data=data,
            refit=refit,
            preprocessing=preprocessing,
            seed=seed,
            callback=callback,
        )
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show(output(), document)


def _show(console: Console, document: dict[str, Any]) -> None:
    shape = "×".join(map(str, document["map_shape"]))
    console.print(
        f"{document['model']}: {document['from']} on a map of {shape}, {document['units']:,} units",
        markup=False,
    )
    console.print(_table(document))
    for line in [_kept(document), *_data(document), *document["remarks"]]:
        console.print(line, markup=False)
    what = "refitted" if document["saved"] == "refitted" else "converted"
    console.print(f"Written ({what}): {document['out']}", markup=False)


def _table(document: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "top's parameters", "in all", "accuracy %", "balanced %"):
        table.add_column(name, justify="right" if name else "left", overflow="fold")
    data = document["data"] or {}
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
            f"{100 * scores['accuracy']:.1f}" if scores else "",
            f"{100 * scores['balanced_accuracy']:.1f}" if scores else "",
        )
    return table


def _name(document: dict[str, Any]) -> str:
    if document["rank"] is None:
        return str(document["to"])
    shared = "shared " if document["shared"] else ""
    return f"{document['to']}, {shared}rank {document['rank']}"


def _kept(document: dict[str, Any]) -> str:
    change = document["change"]
    if document["exact"]:
        return (
            f"Exact: on two test pictures no number of the layer changes by more than "
            f"{change['logit']:.1g}, no output by more than {change['output']:.1g}."
        )
    return (
        f"Not exact: {100 * document['kept']:.1f} % of the squared norm of the weights is kept; on "
        f"two test pictures outputs change by up to {change['output']:.2g}."
    )


def _data(document: dict[str, Any]) -> list[str]:
    data = document["data"]
    if data is None:
        return []
    lines = [
        f"{100 * data['position_share']:.1f} % of the variance of the layer's numbers lies in how "
        f"positions differ, over the {data['images']:,} images ({data['scored_on']})."
    ]
    if data["not_refitted"]:
        lines.append(f"Not fitted anew: {data['not_refitted']}")
    return lines
