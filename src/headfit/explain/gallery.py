"""Explain image files and write the heat maps as pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from headfit.errors import ImageError, UsageError
from headfit.explain import drawing, faithfulness
from headfit.explain.colours import scale_of
from headfit.explain.drawing import Tile
from headfit.explain.explainer import Explained, Explainer
from headfit.images.decode import decode
from headfit.images.read_ahead import PathLike, content_of, decode_images
from headfit.images.targets import NOUNS
from headfit.util import files

CHUNK = 256
SHEET = "sheet.png"
MOST = 120
"""Images on a sheet; the rest only have pictures of their own."""
TESTED = 50
"""Images whose maps are tested, about 130 runs of the network each."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
LONGEST = 40


@dataclass(frozen=True)
class Item:
    """One file and its explanations.

    Attributes:
        image: the file, as it was named.
        explanations: one for each model; empty if the file cannot be read.
        error: why it cannot be read; empty if it can.
    """

    image: PathLike
    explanations: tuple[Explained, ...] = ()
    error: str = ""

    @property
    def path(self) -> str:
        """The name of the file."""
        return os.fspath(self.image)


def explain_files(
    models: Sequence[Explainer], images: Iterable[PathLike], class_: str | None = None
) -> Iterator[Item]:
    """Explain files, in order; one that cannot be read does not stop the others.

    Args:
        models: one or two; all explain what the first predicts, of numbers the first of them.
        images: image files.
        class_: the class, label or number to explain instead.

    Raises:
        UnknownNameError: if a model has no such name.
        UsageError: if the models predict different kinds of targets.
    """
    first, *others = models
    for other in others:
        if other.kind != first.kind:
            raise UsageError(
                f"Two models are compared where both predict the same. Received: '{first.path}', "
                f"which predicts {NOUNS[first.kind][1]}, and '{other.path}', which predicts "
                f"{NOUNS[other.kind][1]}."
            )
    target = None if class_ is None else first.target(class_)
    for other in others:
        for name in first.classes if class_ is None else (class_,):
            other.target(name)
    decoded = decode_images(images, first.contract)
    while chunk := list(islice(decoded, CHUNK)):
        readable = [(image, each) for image, each in chunk if isinstance(each, np.ndarray)]
        explained: Iterator[tuple[Explained, ...]] = iter(())
        if readable:
            pixels = np.stack([each for _, each in readable])
            columns = [first.explain(pixels, target)]
            names = [first.classes[each.target] for each in columns[0]]
            for other in others:
                same = other.contract == first.contract
                own = pixels if same else np.stack([_pixels(image, other) for image, _ in readable])
                columns.append(other.explain(own, [other.target(name) for name in names]))
            explained = zip(*columns, strict=True)
        for image, each in chunk:
            if isinstance(each, ImageError):
                yield Item(image, error=str(each))
            else:
                yield Item(image, next(explained))


def write_pictures(
    models: Sequence[Explainer], items: Sequence[Item], out: Path
) -> Iterator[Path | None]:
    """Write a picture of each item and a sheet of the first 120, all with one colour scale.

    Args:
        models: those that explained.
        items: their explanations.
        out: the folder; what else is in it stays.

    Yields:
        The file of each item in turn, None for one that cannot be read.

    Raises:
        WriteError: if one cannot be written.
        ImageError: if a file cannot be read any more.
    """
    note = drawing.meaning(models[0].kind, _explained_name(models[0], items))
    scale = scale_of(each.map for item in items for each in item.explanations)
    tiles: list[Tile] = []
    for number, item in enumerate(items, 1):
        if not item.explanations:
            yield None
            continue
        tile = _tile(models, item)
        if len(tiles) < MOST:
            tiles.append(tile)
        name = models[0].classes[item.explanations[0].target]
        target = out / f"{number:04}-{safe_name(Path(item.path).stem)}-{safe_name(name)}.png"
        _write(drawing.single(tile, scale, note), target)
        yield target
    if tiles:
        _write(drawing.sheet(tiles, scale, note), out / SHEET)


def measure_maps(
    model: Explainer, items: Sequence[Item], column: int = 0, seed: int = 0
) -> Iterator[faithfulness.Areas]:
    """Measure how faithful the maps of some items are, evenly taken from all.

    Args:
        model: the one that explained.
        items: the explanations.
        column: which of an item's explanations.
        seed: of the random orders.
    """
    for item in tested(items):
        one = item.explanations[column]
        image = _pixels(item.image, model)
        yield faithfulness.areas(image, one.map, one.target, model.predictions, seed)


def tested(items: Sequence[Item]) -> list[Item]:
    """Choose the items whose maps are tested: all that could be read, or 50 of them."""
    good = [item for item in items if item.explanations]
    places = np.unique(np.linspace(0, len(good) - 1, min(TESTED, len(good))).round().astype(int))
    return [good[place] for place in places]


def safe_name(text: str) -> str:
    """Make of any text a part of a file name: ASCII letters, digits, ``_`` and ``-``."""
    return _UNSAFE.sub("_", text)[:LONGEST].strip("_-") or "_"


def _explained_name(model: Explainer, items: Sequence[Item]) -> str:
    """Name the first output that is explained; of numbers it is the same for all images."""
    return next((model.classes[i.explanations[0].target] for i in items if i.explanations), "")


def _tile(models: Sequence[Explainer], item: Item) -> Tile:
    captions = []
    for model, one in zip(models, item.explanations, strict=True):
        name = model.classes[one.target]
        value = f"{one.logit:.4g}"
        if one.probability is not None:
            value = f"{100 * one.probability:.1f} %"
        captions.append(f"{name}: {value}\n{model.head}")
    return Tile(
        _pixels(item.image, models[0]),
        Path(item.path).name,
        [one.map for one in item.explanations],
        captions,
    )


def _pixels(image: PathLike, model: Explainer) -> np.ndarray:
    try:
        contract = model.contract
        return decode(content_of(image), contract.height, contract.width, contract.depth)
    except ImageError as error:
        raise ImageError(f"'{os.fspath(image)}' cannot be read: {error}.") from error


def _write(image: Image.Image, path: Path) -> None:
    signed = PngInfo()
    signed.add_text("Software", "headfit")  # so that no run takes it for a photograph
    files.write_file(path, lambda temporary: image.save(temporary, "PNG", pnginfo=signed))
