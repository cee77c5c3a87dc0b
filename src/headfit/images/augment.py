"""Augmented views of an image, drawn by seed, digest of its file, and number.

View 0 is the image itself. A view depends on nothing but the augmentation, the digest of the
image's file and its own number: neither on other images nor on how many views are asked for. Flips
and quarter turns only move pixels. All other geometry is one bilinear resampling, in which the
image goes on beyond its borders as its mirror image; then come colours, then erasing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from headfit.errors import UnknownNameError, UsageError
from headfit.util import digests

VERSION = 1  # to be raised with every change of what is drawn
GREY = np.array([0.299, 0.587, 0.114])
ASPECT = math.log(4 / 3)  # of a crop, at most
ERASED_ASPECT = math.log(1 / 0.3)  # of a rectangle that is erased (Zhong et al. 2020)
ERASED_LEAST = 0.02  # its share of the image
SPARSE = slice(None, None, 4)  # of the rows and columns that a mean is taken of
Symmetry = tuple[int, bool]
"""Quarter turns to the left, and whether the image is mirrored left to right before."""
# brightness, contrast and saturation together
COLOUR = ("colour", "color")


@dataclass(frozen=True)
class Step:
    """One kind of change.

    Attributes:
        does: what it does, in a few words.
        default: strength, where none is named; 0 if it has none.
        least: smallest strength.
        most: largest strength.
    """

    does: str
    default: float = 0.0
    least: float = 0.01
    most: float = 1.0


STEPS = {
    "hflip": Step("mirror left to right"),
    "vflip": Step("mirror top to bottom"),
    "rot90": Step("turn by 90, 180 or 270 degrees"),
    "rotate": Step("turn by up to so many degrees", 10, 0.1, 180),
    "shift": Step("move by up to this share of the sides", 0.1, most=0.5),
    "zoom": Step("make larger or smaller by up to this share", 0.1),
    "crop": Step("cut out at least this share of the area, and enlarge it", 0.7, 0.05, 0.95),
    "brightness": Step("make lighter or darker by up to this share", 0.2, most=0.9),
    "contrast": Step("strengthen or weaken contrast by up to this share", 0.2, most=0.9),
    "saturation": Step("strengthen or weaken colours by up to this share", 0.2),
    "erase": Step(
        "fill a rectangle of up to this share of the area, in half of the views", 0.2, most=0.5
    ),
}
PRESETS = {
    "none": "",
    "light": "hflip,rotate10,shift0.05,zoom0.1,brightness0.1,contrast0.1",
    "strong": "hflip,rotate20,crop0.5,brightness0.3,contrast0.3,saturation0.3,erase0.2",
}
SYMMETRIES: dict[str, Symmetry] = {"hflip": (0, True), "vflip": (2, True), "rot90": (1, False)}
_TURNS = {
    1: Image.Transpose.ROTATE_90,
    2: Image.Transpose.ROTATE_180,
    3: Image.Transpose.ROTATE_270,
}
EXPECTED = "none, light, strong, or a comma-separated list such as hflip,rotate10,brightness0.2"


@dataclass(frozen=True)
class Augmentation:
    """How views of an image are drawn.

    Args:
        steps: each step with its strength (0 for one that has none), in any order.
        seed: of the random draws, at least 0.

    Raises:
        UsageError: a step is unknown or there twice, or a strength is out of its range.

    Example:

    >>> augmentation = Augmentation.parse("light,rotate20,vflip")
    >>> str(augmentation)
    'hflip,vflip,rotate20,shift0.05,zoom0.1,brightness0.1,contrast0.1'
    >>> str(augmentation.without("rotate", "shift", "zoom"))
    'hflip,vflip,brightness0.1,contrast0.1'
    """

    steps: tuple[tuple[str, float], ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        strengths: dict[str, float] = {}
        for name, strength in self.steps:
            if name not in STEPS:
                raise UnknownNameError("augmentation", name, (*STEPS, *COLOUR[:1], *PRESETS))
            if name in strengths:
                raise UsageError.invalid("augment", name, "a list that names each step once")
            strengths[name] = _checked(name, strength)
        if self.seed < 0:
            raise UsageError.invalid("seed", self.seed, "an integer of at least 0")
        ordered = tuple((name, strengths[name]) for name in STEPS if name in strengths)
        object.__setattr__(self, "steps", ordered)

    @classmethod
    def parse(cls, text: str, seed: int = 0) -> Augmentation:
        """Read an augmentation.

        Args:
            text: ``none``, ``light`` or ``strong``, or a comma-separated list of steps, each with
                its strength behind its name if another than the default is meant: ``hflip,
                rotate15, brightness0.2``. ``colour`` is brightness, contrast and saturation. A
                list may begin with ``light`` or ``strong``; its other steps add to that or
                replace strengths.
            seed: of the random draws.

        Raises:
            UsageError: a step is unknown or there twice, or a strength is out of its range.
        """
        words = text.lower().replace(" ", "")
        if not words:
            raise UsageError.invalid("augment", text, EXPECTED)
        first, _, rest = words.partition(",")
        if first not in PRESETS:
            first, rest = "none", words
        named = [pair for word in rest.split(",") for pair in _pairs(word)] if rest else []
        names = {name for name, _ in named}
        preset = [pair for word in PRESETS[first].split(",") for pair in _pairs(word) if word]
        return cls((*(pair for pair in preset if pair[0] not in names), *named), seed)

    def __str__(self) -> str:
        words = (name + (f"{strength:.12g}" if strength else "") for name, strength in self.steps)
        return ",".join(words) or "none"

    def without(self, *names: str) -> Augmentation:
        """Return the same without some of its steps."""
        return Augmentation(tuple(pair for pair in self.steps if pair[0] not in names), self.seed)

    @property
    def flips(self) -> tuple[str, ...]:
        """The steps that flip or turn the image, which can change what it shows."""
        return tuple(name for name, _ in self.steps if name in SYMMETRIES)

    @property
    def identity(self) -> dict[str, Any]:
        """Plain data that decides every view, for the keys of caches."""
        return {"version": VERSION, "steps": dict(self.steps), "seed": self.seed}

    @property
    def most_views(self) -> int | None:
        """How many different views an image has; None if there is no end of them."""
        return len(self._symmetries) if len(self.flips) == len(self.steps) else None

    def view(self, pixels: np.ndarray, image: str, number: int) -> np.ndarray:
        """Draw a view.

        With flips and quarter turns, the views of an image take each of their combinations once
        before one comes again, in an order of the image's own.

        Args:
            pixels: uint8 (height, width, 3), RGB.
            image: digest of the image's file.
            number: of the view, from 0: the image itself.

        Returns:
            uint8 (height, width, 3).
        """
        if number == 0:
            return pixels
        rng = self._random(image, number)
        mean = pixels[SPARSE, SPARSE].mean(axis=(0, 1))
        view = self._move(pixels, self._symmetry(image, number), rng)
        view = self._recolour(view, float(mean @ GREY), rng)
        self._erase(view, mean, rng)
        return np.array(view)

    @cached_property
    def _strengths(self) -> dict[str, float]:
        return dict(self.steps)

    @cached_property
    def _symmetries(self) -> list[Symmetry]:
        """All that the flips and turns can make together; first, the image as it is."""
        reached: list[Symmetry] = [(0, False)]
        for turns, mirrored in reached:  # grows meanwhile
            for name, (more, mirror) in SYMMETRIES.items():
                # mirrored last, earlier turns go the other way round
                other = (more + (-turns if mirror else turns)) % 4, mirrored != mirror
                if name in self._strengths and other not in reached:
                    reached.append(other)
        return reached

    def _random(self, *what: Any) -> np.random.Generator:
        return np.random.default_rng(int(digests.of_data([self.identity, *what]), 16))

    def _symmetry(self, image: str, number: int) -> Symmetry:
        """Deal the symmetries to the views of an image, each once in every round."""
        count = len(self._symmetries)
        if count == 1:
            return 0, False
        once, place = divmod(number, count)
        order: list[int] = self._random(image, "order", once).permutation(count).tolist()
        if once == 0:  # view 0 is the image as it is
            order.remove(0)
            order.insert(0, 0)
        return self._symmetries[order[place]]

    def _move(
        self, pixels: np.ndarray, symmetry: Symmetry, rng: np.random.Generator
    ) -> Image.Image:
        height, width, _ = pixels.shape
        turns, mirrored = symmetry
        drawn = self._drawn_geometry(height, width, rng)
        if drawn is None and (height == width or turns % 2 == 0):
            view = Image.fromarray(pixels)
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else view
            return view.transpose(_TURNS[turns]) if turns else view
        turn = np.array([[0.0, -width / height], [height / width, 0.0]])
        first = np.diag([-1.0 if mirrored else 1.0, 1.0]) @ np.linalg.matrix_power(turn, turns)
        matrix, offset = (np.eye(2), np.zeros(2)) if drawn is None else drawn
        return _resample(pixels, first @ matrix, first @ offset)

    def _drawn_geometry(
        self, height: int, width: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Draw where a view's pixels come from: a matrix (2, 2) and an offset, from the centre."""
        strengths, sides = self._strengths, np.array([width, height], float)
        if not {"rotate", "shift", "zoom", "crop"} & strengths.keys():
            return None
        matrix, offset = np.eye(2), np.zeros(2)
        if "rotate" in strengths:
            angle = math.radians(rng.uniform(-1, 1) * strengths["rotate"])
            sine, cosine = math.sin(angle), math.cos(angle)
            matrix = np.array([[cosine, -sine], [sine, cosine]])
        if "zoom" in strengths:
            matrix = matrix * (1 + strengths["zoom"]) ** rng.uniform(-1, 1)
        if "crop" in strengths:
            area, aspect = rng.uniform(strengths["crop"], 1), math.exp(rng.uniform(-1, 1) * ASPECT)
            shares = np.minimum(1.0, np.sqrt([area * aspect, area / aspect]))
            matrix = matrix * shares
            offset = offset + rng.uniform(-0.5, 0.5, 2) * (1 - shares) * sides
        if "shift" in strengths:
            offset = offset + rng.uniform(-1, 1, 2) * strengths["shift"] * sides
        return matrix, offset

    def _recolour(self, view: Image.Image, middle: float, rng: np.random.Generator) -> Image.Image:
        """Change brightness, then contrast about a middle grey, then saturation."""
        names = ("brightness", "contrast", "saturation")
        if not set(names) & self._strengths.keys():
            return view
        brightness, contrast, saturation = (
            1 + rng.uniform(-1, 1) * self._strengths.get(name, 0.0) for name in names
        )
        factor, constant = brightness * contrast, (1 - contrast) * brightness * middle
        if saturation == 1:
            levels = np.rint(np.arange(256) * factor + constant).clip(0, 255).astype(int)
            return view.point(levels.tolist() * 3)
        rows = factor * (saturation * np.eye(3) + (1 - saturation) * GREY)
        matrix = np.column_stack([rows, np.full(3, constant)])
        return view.convert("RGB", tuple(matrix.ravel().tolist()))

    def _erase(self, view: Image.Image, mean: np.ndarray, rng: np.random.Generator) -> None:
        """Fill a rectangle with the mean colour of the image, or leave the view as it is."""
        most = self._strengths.get("erase", 0.0)
        if not most or rng.random() < 0.5:
            return
        area = rng.uniform(min(ERASED_LEAST, most), most)
        aspect = math.exp(rng.uniform(-1, 1) * ERASED_ASPECT)
        shares = np.minimum(1.0, np.sqrt([area * aspect, area / aspect]))
        sides = np.array(view.size)
        size = np.maximum(1, np.rint(shares * sides))
        left, top = (rng.random(2) * (sides - size + 1)).astype(int).tolist()
        right, bottom = (left + int(size[0]), top + int(size[1]))
        view.paste(tuple(np.rint(mean).astype(int).tolist()), (left, top, right, bottom))


def _resample(pixels: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> Image.Image:
    """Take each pixel of a view from where it comes from, by bilinear interpolation.

    Args:
        pixels: uint8 (height, width, 3).
        matrix: (2, 2), from x and y in the view to those in the image, both from the centre.
        offset: (2,), to be added.
    """
    height, width, _ = pixels.shape
    half = np.array([width, height]) / 2
    beyond = np.abs(matrix) @ half + np.abs(offset) - half
    right, below = np.ceil(np.maximum(0, beyond)).astype(int).tolist()
    if right or below:
        pixels = np.pad(pixels, ((below, below), (right, right), (0, 0)), "symmetric")
    origin = offset - matrix @ half + half + (right, below)
    numbers = (*matrix[0], origin[0], *matrix[1], origin[1])
    return Image.fromarray(pixels).transform(
        (width, height), Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR
    )


def _pairs(word: str) -> Iterator[tuple[str, float]]:
    """Read a step; ``colour`` is several."""
    name, strength = (word, "") if word in STEPS else _split(word)
    names = ("brightness", "contrast", "saturation") if name in COLOUR else (name,)
    for each in names:
        default = STEPS[each].default if each in STEPS else 0.0
        yield each, float(strength) if strength else default


def _split(word: str) -> tuple[str, str]:
    parts = re.fullmatch(r"([a-z]+\d*?)(\d+\.?\d*|\.\d+)?", word)
    return (parts[1], parts[2] or "") if parts else (word, "")


def _checked(name: str, strength: float) -> float:
    step = STEPS[name]
    if not step.default:
        if strength:
            raise UsageError.invalid("augment", f"{name}{strength:g}", f"{name} without a number")
        return 0.0
    if not step.least <= strength <= step.most:
        expected = f"{name} with a number from {step.least:g} to {step.most:g}, such as "
        expected += f"{name}{step.default:g} ({step.does})"
        raise UsageError.invalid("augment", f"{name}{strength:g}", expected)
    return float(strength)
