"""What is said of studies that are drawn at a known truth, without a fit; see ``tests/drawn.py``.

Cheap: 2,000 studies take a quarter of a minute to a few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from promises import WIDE, Promise, Record, Section, rate

from drawn import HEADS, ROPE, Drawn
from headfit.study.comparison.compare import corrected_interval, corrected_t, holm, paired_se
from headfit.study.comparison.contrast import ALPHA, HeadScores
from headfit.study.comparison.verdict import conclude
from numbered import numbered

AHEAD = ("necessary", "position_needed", "ahead")
RARE = (0.95, 0.05)


@dataclass(frozen=True)
class Claim:
    """Studies, and words that are false of all of them, or true.

    Attributes:
        study: where they are drawn from.
        watched: these words.
        share: of the studies that are asked for.
    """

    study: Drawn
    watched: tuple[str, ...]
    share: float = 1.0

    def examine(self, seed: int) -> Record:
        """Note whether such a word is said, on any backbone."""
        found = self.study.contrasts(np.random.default_rng(seed))
        words = [each.word for each in found]
        return {"words": words, "said": any(word in self.watched for word in words)}


def _two(gap: float, lead: float, images: int, own: float, **others: object) -> Drawn:
    return Drawn({"gap": gap, "flatten": gap + lead}, images, own, **others)


def _four(gap: float, gmp: float, spp: float, images: int, own: float, **others: object) -> Drawn:
    accuracies = {"gap": gap, "gmp": gmp, "spp": spp, "flatten": 0.85}
    return Drawn(accuracies, images, own, **others)


def _nine(images: int, own: float) -> Drawn:
    return Drawn(dict.fromkeys(HEADS, 0.85), images, own)


def _places(count: int, images: int, own: float) -> Drawn:
    heads = [f"{place}/{head}" for place in range(count) for head in ("gap", "flatten")]
    return Drawn(dict.fromkeys(heads, 0.85), images, own)


def _claims() -> Iterator[tuple[str, Claim]]:
    for lead, said in ((0.01, "r"), (0.0075, "0.75 r"), (0.0, "0")):
        for images, own in ((400, 0.3), (1000, 0.1), (1000, 0.5), (3000, 0.3)):
            name = f"*necessary* at δ = {said}, {images:,} images, heads {own:g} apart"
            yield name, Claim(_two(0.85, lead, images, own), ("necessary",))
        rare = _two(0.85, lead, 600, 0.3, shares=RARE)
        yield f"*necessary* at δ = {said}, 600 images, 30 of one class", Claim(rare, ("necessary",))
    for images, own in ((400, 0.2), (1000, 0.3), (3000, 0.1)):
        name = f"*necessary*, *position_needed*: gmp as good, {images:,} images, {own:g} apart"
        yield name, Claim(_four(0.75, 0.85, 0.85, images, own), AHEAD[:2])
    for images, own in ((300, 0.3), (1500, 0.1), (1500, 0.5), (5000, 0.05)):
        name = f"*position_needed*: spp worse by 2 r, {images:,} images, {own:g} apart"
        yield name, Claim(_four(0.7, 0.7, 0.83, images, own), ("position_needed",))
    for lead, said in ((0.015, "1.5 r"), (-0.015, "−1.5 r")):
        for images, own in ((2000, 0.05), (5000, 0.1), (5000, 0.2)):
            name = f"*equivalent* at δ = {said}, {images:,} images, {own:g} apart"
            yield name, Claim(_two(0.85, lead, images, own), ("equivalent",))
    for images in (12, 60, 200, 400):
        name = f"*equivalent* at δ = 1.5 r, at the ceiling, {images} images"
        yield name, Claim(_two(0.985, 0.0149, images, 0.1), ("equivalent",))


def _true() -> Iterator[tuple[str, Claim]]:
    for images, own in ((2000, 0.05), (5000, 0.1), (5000, 0.2)):
        name = f"*equivalent* at δ = 0, {images:,} images, {own:g} apart"
        yield name, Claim(_two(0.85, 0, images, own), ("equivalent",))
    for images, own in ((400, 0.2), (1000, 0.3), (3000, 0.1)):
        name = f"*not_necessary*: gmp as good, {images:,} images, {own:g} apart"
        yield name, Claim(_four(0.75, 0.85, 0.85, images, own), ("not_necessary",))
    for images, own in ((1500, 0.1), (5000, 0.05)):
        name = f"*position_needed*: spp as good, {images:,} images, {own:g} apart"
        yield name, Claim(_four(0.7, 0.7, 0.85, images, own), ("position_needed",))


def _nulls() -> Iterator[tuple[str, Claim]]:
    for images, own in ((100, 0.5), (400, 0.1), (400, 0.5), (1000, 0.3), (3000, 0.3)):
        study = _four(0.85, 0.85, 0.85, images, own)
        yield f"four equal heads, {images:,} images, {own:g} apart", Claim(study, AHEAD)
    study = _four(0.85, 0.85, 0.85, 600, 0.3, shares=RARE)
    yield "four equal heads, 600 images, 30 of one class", Claim(study, AHEAD)
    study = _four(0.85, 0.85, 0.85, 400, 0.3, together=4)
    yield "four equal heads, 400 images in groups of 4", Claim(study, AHEAD)
    for images, own in ((400, 0.3), (1000, 0.1)):
        yield (
            f"nine equal heads, {images:,} images, {own:g} apart",
            Claim(_nine(images, own), AHEAD),
        )
    for count in (4, 9):
        study = _places(count, 400, 0.3)
        yield f"{count} backbones, sizes or cuts, 400 images, 0.3 apart", Claim(study, AHEAD)


@dataclass(frozen=True)
class Coverage:
    """Whether intervals hold the truth.

    Attributes:
        study: where studies are drawn from.
        share: of the studies that are asked for.
        most: largest rate; 1 where so few images leave no choice.
    """

    study: Drawn
    share: float = 1.0
    most: float = WIDE

    def examine(self, seed: int) -> Record:
        """Note it of flatten − gap, of flatten's score, and of that expected of the choice."""
        heads, truth = self.study.draw(np.random.default_rng(seed)), self.study.accuracies
        gap, flatten = map(heads.names.index, ("gap", "flatten"))
        difference = heads.difference(flatten, gap)
        low_high = difference.low, difference.high
        _, *score = corrected_interval(
            heads.scores[flatten], heads.folds, lower=0, upper=1, floor=heads.hits.score(flatten)
        )
        verdict = conclude(heads, numbered(self.study.labels), seed=seed).verdict
        return {
            "difference": _holds(low_high, truth["flatten"] - truth["gap"]),
            "score": _holds(score, truth["flatten"]),
            "expected": _holds(verdict.expected_score[1:], truth[verdict.recommended]),
        }


def _holds(ends: tuple[float, float], truth: float) -> bool:
    return bool(ends[0] <= truth <= ends[1])


def _coverages() -> Iterator[tuple[str, Coverage]]:
    for images, share, most in ((60, 1, 1), (150, 1, WIDE), (400, 1, WIDE), (1000, 0.5, WIDE)):
        study = _four(0.85, 0.85, 0.85, images, 0.3)
        yield f"four equal heads, {images:,} images", Coverage(study, share, most)
    apart = _four(0.8, 0.82, 0.84, 400, 0.3)
    yield "four heads, 80 to 85 %, 400 images", Coverage(apart)
    yield "600 images, 30 of one class", Coverage(_two(0.8, 0.05, 600, 0.3, shares=RARE))
    yield "400 images in groups of 4", Coverage(_two(0.8, 0.05, 400, 0.3, together=4))
    for images in (60, 400):
        study = _two(0.985, 0.014, images, 0.3)
        yield f"98.5 and 99.9 % right, {images} images", Coverage(study, most=1)


@dataclass(frozen=True)
class Planning:
    """Whether the number of images that was named decides, for leads of which all are as likely.

    Attributes:
        images: those there are.
        own: deviation of what a head makes of an image.
        reach: largest lead.
        share: of the studies that are asked for.
    """

    images: int
    own: float
    reach: float
    share: float = 1.0

    def examine(self, seed: int) -> Record:
        """Where a study is undecided, note whether another of the size that it names is not."""
        rng = np.random.default_rng(seed)
        lead = float(rng.uniform(-self.reach, self.reach))
        study = _two(0.75, lead, self.images, self.own)
        (first,) = study.contrasts(rng)
        if first.word != "undecided" or first.images_needed is None:
            return {"word": first.word}
        (then,) = replace(study, images=2 * round(first.images_needed / 2)).contrasts(rng)
        return {"word": first.word, "needed": first.images_needed, "then": then.word, "lead": lead}


PLANS = {
    "150 images, 0.5 apart": Planning(150, 0.5, 0.15),
    "400 images, 0.3 apart": Planning(400, 0.3, 0.06),
    "1,000 images, 0.3 apart": Planning(1000, 0.3, 0.04),
    "3,000 images, 0.5 apart": Planning(3000, 0.5, 0.04),
}


def _decided(records: list[Record]) -> list[bool]:
    return [record["then"] != "undecided" for record in records if "then" in record]


def _planned(records: list[Record]) -> list[str]:
    undecided = [record for record in records if "then" in record]
    needed = f"{np.median([record['needed'] for record in undecided]):,.0f}" if undecided else ""
    return [f"{len(undecided):,}", needed, rate(_decided(records))]


@dataclass(frozen=True)
class Power:
    """How often the words say that flatten is ahead, and how often the old ones did."""

    study: Drawn
    share: float = 1.0

    def examine(self, seed: int) -> Record:
        """Note both words."""
        rng = np.random.default_rng
        (found,) = self.study.contrasts(rng(seed))
        return {"new": found.word, "old": old_word(self.study.draw(rng(seed)))}


def old_word(heads: HeadScores) -> str:
    """Find the word by the rules of 0.1: Holm over all heads, the point estimate, folds alone."""
    gap, flatten = map(heads.names.index, ("gap", "flatten"))
    others = [head for head in range(len(heads.names)) if head != gap]
    tests = {h: corrected_t(heads.scores[h] - heads.scores[gap], heads.folds, ROPE) for h in others}
    adjusted = holm(np.array([tests[head].p_value for head in others]))
    found = tests[flatten]
    if adjusted[others.index(flatten)] < ALPHA and found.mean >= ROPE:
        behind = heads.scores[flatten].mean() - heads.scores.mean(axis=1)
        alike = behind <= paired_se(heads.scores, heads.folds)[flatten]
        cheaper = heads.parameters < heads.parameters[flatten]
        as_good = (alike & cheaper & np.array(heads.position_aware)).any()
        return "position_needed" if as_good else "necessary"
    if found.p_rope >= 1 - ALPHA:
        return "equivalent"
    return "not_necessary" if found.p_better <= ALPHA else "undecided"


def _powers() -> Iterator[tuple[str, Power]]:
    for points_ in (2, 3, 4, 5):
        gap, start = 0.85 - points_ / 100, f"δ = {points_} r"
        for images in (400, 1000, 3000):
            two = _two(gap, points_ / 100, images, 0.3)
            yield f"{start}, {images:,} images, gap and flatten", Power(two)
        weak, strong = (_four(gap, gap, spp, 1000, 0.3) for spp in (gap, 0.85))
        yield f"{start}, 1,000 images, gmp and spp as gap", Power(weak)
        yield f"{start}, 1,000 images, gmp as gap, spp as flatten", Power(strong)


def _powered(records: list[Record]) -> list[str]:
    cells = []
    for kind, words in (("old", AHEAD[:2]), ("new", AHEAD)):
        said = [record[kind] for record in records]
        cells += [f"{np.mean([each == word for each in said]):.3f}" for word in words]
        cells.append(rate([each in AHEAD for each in said]))
    return cells


INTERVALS = ("difference", "score", "expected")


def _said(records: list[Record]) -> list[bool]:
    return [record["said"] for record in records]


def _covered(row: Coverage, records: list[Record]) -> Iterator[Promise]:
    for kind in INTERVALS:
        held = [record[kind] for record in records]
        yield Promise(f"{kind} covered", held, high=row.most, low=0.95)


SECTIONS = [
    Section(
        "words",
        "A word that is false, said:",
        dict(_claims()),
        "word and truth | said",
        lambda records: [rate(_said(records))],
        lambda row, records: [Promise("said", _said(records), high=ALPHA)],
    ),
    Section(
        "true words",
        "A word that is true, said in the same kinds of studies:",
        dict(_true()),
        "word and truth | said",
        lambda records: [rate(_said(records))],
        lambda row, records: [],
    ),
    Section(
        "null",
        "Equal heads; *necessary*, *position_needed* or *ahead* said, on any backbone:",
        dict(_nulls()),
        "heads | said",
        lambda records: [rate(_said(records))],
        lambda row, records: [Promise("said", _said(records), high=ALPHA)],
    ),
    Section(
        "coverage",
        "The 95 % interval holds the truth:",
        dict(_coverages()),
        "heads and images | difference | score | expected score",
        lambda records: [rate([record[kind] for record in records]) for kind in INTERVALS],
        _covered,
    ),
    Section(
        "planning",
        "Undecided studies, and whether another with the number of images that was named decides:",
        PLANS,
        "images there are | undecided | named, median | decided then",
        _planned,
        lambda row, records: [Promise("decided", _decided(records), low=0.75, high=0.85)],
    ),
    Section(
        "power",
        "Flatten is δ ahead, and that is said:",
        dict(_powers()),
        "truth | old: *necessary* | *position_needed* | any of both | new: *necessary* | "
        "*position_needed* | *ahead* | any of the three",
        _powered,
        lambda row, records: [],
    ),
]
