"""``headfit explain``: heat maps of where a saved model looks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headfit.cli.command import Command
from headfit.cli.console import output, tell, tracked
from headfit.cli.options import PATH, REPORTING, TABLE_OF_PATHS, option, out_option
from headfit.cli.tables import literal, plain_table, print_json
from headfit.errors import UsageError
from headfit.images.inputs import Inputs
from headfit.images.targets import CLASS, NOUNS, NUMBER
from headfit.util import files
from headfit.util.nouns import counted

if TYPE_CHECKING:
    from rich.table import Table

    from headfit.explain.explainer import Explained, Explainer
    from headfit.explain.gallery import Item

SCHEMA = "headfit.explanation/1"
SEED = 0
EXAMPLES = """\b
Examples:
  headfit explain headfit-run/model.keras new.jpg
  headfit explain headfit-run/model.keras photos/ --class five --faithfulness
  headfit explain headfit-run/model.keras photos/ --compare gap,flatten
  headfit explain gap-run/model.keras photos/ --compare flatten-run/model.keras
  headfit explain position-run/model.keras photos/ --class x
"""
MAPS = "Heat maps"


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("model", type=PATH)
@click.argument("images", nargs=-1, required=True)
@TABLE_OF_PATHS
@option(
    MAPS,
    "--class",
    "class_",
    metavar="NAME",
    show_default="the most probable one of each image; of numbers the first",
    help="Class, label or number to explain.",
)
@option(
    MAPS,
    "--compare",
    "second",
    metavar="MODEL|HEADS",
    help="Show a second model beside the first: another model.keras, or one or two heads saved by "
    "compare --keep, such as flatten or gap,flatten.",
)
@option(MAPS, "--faithfulness", is_flag=True, help="Test the maps by deletion and insertion.")
@out_option("headfit-explain", "Folder for the pictures.")
@REPORTING
def command(
    model: Path,
    images: tuple[str, ...],
    class_: str | None,
    second: str | None,
    faithfulness: bool,
    out: Path,
    as_json: bool,
    debug: bool,
    **finding: Any,
) -> int:
    """Draw how each part of IMAGES raises or lowers the logit of a class or label, or a number.

    MODEL is a model.keras written by headfit. IMAGES are image files, folders (searched with their
    sub-folders), archives, tables with a column of paths, lists or patterns, as for predict. Each
    image becomes a picture; sheet.png holds them all. Files that cannot be read are reported and
    skipped; the exit code is 1 only if no file could be read.
    """
    from headfit.explain import gallery  # noqa: PLC0415  (heavy)
    from headfit.model.classifier import Classifier  # noqa: PLC0415

    sources = Inputs(images, **finding)
    tell(*sources.notes)
    inputs = list(sources)
    tell(*sources.left_out())
    files.check_writable(out)
    models = [Classifier(path, tell).explainer for path in _compared(model, second)]
    explained = gallery.explain_files(models, inputs, class_)
    items = list(tracked(explained, "Explaining", len(inputs)))
    drawn = gallery.write_pictures(models, items, out)
    pictures = list(tracked(drawn, "Drawing", len(items)))
    tests: list[dict[str, Any] | None] = [None for _ in models]
    if faithfulness and any(item.explanations for item in items):
        tests = [_test(each, items, column) for column, each in enumerate(models)]
    if as_json:
        print_json(_document(models, items, pictures, tests))
    else:
        _show(models, items, pictures, tests)
        if any(pictures):
            tell(f"Written: {out / gallery.SHEET}")
    return 0 if any(pictures) else 1


def _compared(model: Path, second: str | None) -> list[Path]:
    """Find the models: one alone, two files, or heads that compare saved beside the first."""
    from headfit.model.metadata import ModelRecord, kept_path  # noqa: PLC0415  (heavy)

    if second is None:
        return [model]
    if Path(second).is_file():
        return [model, Path(second)]
    if not model.is_file():
        return [model]  # opening it raises the better error
    heads = [name.strip() for name in second.split(",")]
    if len(heads) > 2:
        raise UsageError.invalid("second", second, "one or two heads")
    main = ModelRecord.read(model).head
    paths = [model if head == main else kept_path(model.parent, head) for head in heads]
    for head, path in zip(heads, paths, strict=True):
        if head.endswith(".keras") or Path(head).name != head:
            raise UsageError.invalid("second", head, "an existing model.keras, or one or two heads")
        if not path.is_file():
            raise UsageError(
                f"`second` is '{head}', but '{path}' does not exist. Run compare again with --keep "
                f"{second}: finished heads are not trained again."
            )
    pair = paths if len(paths) == 2 else [model, *paths]
    if pair[0] == pair[1]:
        raise UsageError(f"`second` must be another head: {main} is already the head of '{model}'.")
    return pair


def _test(model: Explainer, items: list[Item], column: int) -> dict[str, Any]:
    from headfit.explain import faithfulness, gallery  # noqa: PLC0415  (heavy)

    steps = gallery.measure_maps(model, items, column, SEED)
    count = len(gallery.tested(items))
    return faithfulness.summary(list(tracked(steps, "Testing the maps", count)), SEED)


def _document(
    models: list[Explainer],
    items: list[Item],
    pictures: list[Path | None],
    tests: list[dict[str, Any] | None],
) -> dict[str, Any]:
    explanations = []
    for item, picture in zip(items, pictures, strict=True):
        each = [_record(m, one) for m, one in zip(models, item.explanations, strict=False)]
        explanations.append(
            {
                "path": item.path,
                **(each[0] if each else _record(models[0], None)),
                "file": None if picture is None else str(picture),
                "compared": each[1] if len(each) > 1 else None,
                "error": item.error or None,
            }
        )
    pairs = zip(models, tests, strict=True)
    first, *others = [
        {"model": str(m.path), "head": m.head, "faithfulness": test} for m, test in pairs
    ]
    return {
        "schema": SCHEMA,
        **first,
        **({} if models[0].kind == CLASS else {"kind": models[0].kind}),
        "compared": others[0] if others else None,
        "explanations": explanations,
    }


def _record(model: Explainer, one: Explained | None) -> dict[str, Any]:
    number = model.kind == NUMBER
    first = (NOUNS[model.kind][0],) if number else (NOUNS[model.kind][0], "probability")
    keys = (*first, "value" if number else "logit")
    keys = (*keys, "bias", "map", "method", "completeness_error")
    if one is None:
        return dict.fromkeys(keys)
    likely = () if number else (one.probability,)
    values = (model.classes[one.target], *likely, one.logit, one.bias)
    return dict(
        zip(keys, (*values, one.map.tolist(), one.method, one.completeness_error), strict=True)
    )


def _show(
    models: list[Explainer],
    items: list[Item],
    pictures: list[Path | None],
    tests: list[dict[str, Any] | None],
) -> None:
    console = output()
    kind = models[0].kind
    shown = ("value",) if kind == NUMBER else ("probability", "logit")
    numbers = (*shown, "bias", "error")
    table = plain_table(("image", NOUNS[kind][0], "head", *numbers, "picture"), numbers)
    for item, picture in zip(items, pictures, strict=True):
        if picture is None:
            empty = [""] * (2 + len(numbers))
            table.add_row(literal(item.path), *empty, literal(item.error))
        for model, one in zip(models, item.explanations, strict=False):
            cells = [item.path, model.classes[one.target], model.head]
            if one.probability is None:
                cells += [f"{one.logit:.4g}", f"{one.bias:.4g}"]
            else:
                cells += [f"{100 * one.probability:.1f} %", f"{one.logit:.2f}", f"{one.bias:.2f}"]
            cells += [f"{one.completeness_error:.1g}", picture.name if picture else ""]
            table.add_row(*map(literal, cells))
    console.print(table)
    console.print()
    methods = {
        model.head: one.method
        for item in items
        for model, one in zip(models, item.explanations, strict=False)
    }
    for head, method in methods.items():
        console.print(f"{head}: {method}", markup=False)
    for model, test in zip(models, tests, strict=True):
        if test is not None:
            console.print()
            console.print(_test_table(model, test))


def _test_table(model: Explainer, test: dict[str, Any]) -> Table:
    what = "number" if model.kind == NUMBER else "probability"
    title = f"{model.head}: area under the {what}, {counted(test['images'], 'image')}"
    digits = ".4g" if model.kind == NUMBER else ".3f"
    numbers = ("this map", "random", "from the centre", "better than random")
    table = plain_table(("", *numbers), numbers, title=title)
    for kind, sense in (("deletion", "lower is better"), ("insertion", "higher is better")):
        areas = test[kind]
        values = [f"{areas[order]:{digits}}" for order in ("map", "random", "centre")]
        share = f"{100 * areas['better_than_random']:.0f} % of images"
        table.add_row(f"{kind} ({sense})", *values, share)
    return table
