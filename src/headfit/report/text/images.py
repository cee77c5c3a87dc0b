"""What a run says about its images: the classes, and what was left out of each and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from headfit.images.index import ImageIndex
from headfit.images.overview import NOUNS, counted_names, ranges
from headfit.images.sources.reading import listed
from headfit.images.sources.source import TEST, TRAIN, VALIDATION, Skipped, quote
from headfit.images.targets import CLASS, LABELS, NUMBER, SEPARATOR, Targets
from headfit.util.nouns import counted

MOST_CLASSES = 12
MOST_LINES = 5


def classes_line(index: ImageIndex) -> str:
    """Name the classes or labels with their numbers of images, or the numbers with their ranges.

    Of many, only the smallest and the largest are named.
    """
    targets, counts = index.targets, index.counts()
    total = counted(len(index), "image")
    parts = {split: index.splits.count(split) for split in (TRAIN, VALIDATION, TEST)}
    if parts[TRAIN] < len(index):
        shown = ", ".join(f"{count:,} {split}" for split, count in parts.items() if count)
        total = f"{total}: {shown}"
    if targets.kind == LABELS and (none := int((~targets.mentions.any(axis=1)).sum())):
        total = f"{total}; {none:,} without a label"
    start = f"{counted_names(targets)} ({total})"
    if targets.kind == NUMBER:
        return f"{start}: {_number_ranges(targets)}."
    if len(counts) <= MOST_CLASSES:
        return f"{start}: {', '.join(f'{quote(k)} {n:,}' for k, n in counts.items())}."
    (most, high), *_, (fewest, low) = Counter(counts).most_common()
    return f"{start}, from {low:,} ({quote(fewest)}) to {high:,} ({quote(most)})."


def _number_ranges(targets: Targets) -> str:
    """Give the range and the mean of each number; of many, only of the first."""
    spans = [
        f"{quote(name)} from {low:.4g} to {high:.4g}, mean {mean:.4g}"
        for name, (low, mean, high) in ranges(targets).items()
    ]
    more = len(spans) - MOST_LINES
    return "; ".join(spans[:MOST_LINES]) + (f"; and {more:,} more" if more > 0 else "")


def left_out_lines(skipped: Iterable[Skipped], kind: str = CLASS) -> list[str]:
    """Say what was left out and why: a line for each class, the one with most first.

    Args:
        skipped: what was left out.
        kind: of the targets; only classes have lines of their own.
    """
    by_class: dict[str, list[Skipped]] = {}
    for each in skipped:
        by_class.setdefault(each.label if kind == CLASS else "", []).append(each)
    outside = by_class.pop("", [])
    order = sorted(by_class, key=lambda label: -len(by_class[label]))
    lines = [
        f"Left out of class {quote(label)}: {counted(len(by_class[label]), 'file')} "
        f"({reasons(by_class[label])})."
        for label in order[:MOST_LINES]
    ]
    rest = order[MOST_LINES:]
    if rest:
        count = sum(len(by_class[label]) for label in rest)
        classes = counted(len(rest), "other class", "other classes")
        lines.append(f"Left out of {classes}: {counted(count, 'file')}; results.json lists all.")
    if outside:
        shown = [f"{quote(each.path)} ({each.reason})" for each in outside[:MOST_LINES]]
        more = len(outside) - len(shown)
        lines.append(f"Left out: {', '.join(shown)}{f' and {more:,} more' if more else ''}.")
    return lines


def unreadable_classes(
    classes: Sequence[str], skipped: Sequence[Skipped], *, optional: bool, kind: str = CLASS
) -> str:
    """Say which classes or labels are lost because none of their training images can be read."""
    if kind == NUMBER:
        return f"No training image can be read ({reasons(skipped)}). Replace the images."
    why: Mapping[str, list[Skipped]] = {label: [] for label in classes}
    for each in skipped:
        for label in each.label.split(SEPARATOR) if kind == LABELS else (each.label,):
            if label in why:
                why[label].append(each)
    shown = [
        f"{quote(label)} ({reasons(each)})" if each else quote(label) for label, each in why.items()
    ]
    several, lost = NOUNS[kind][1], ", ".join(shown)
    remedy = f", or leave these {several} out with `skip_empty_classes=True`" if optional else ""
    return (
        f"{several.capitalize()} without a training image that can be read: {lost}. Replace the "
        f"images{remedy}."
    )


def left_out_classes(names: Sequence[str], kind: str = CLASS) -> str:
    """Say which classes or labels are left out because they have no images."""
    one, (noun, nouns) = len(names) == 1, NOUNS[kind]
    return (
        f"WARNING: {listed(map(quote, names))} {f'is no {noun}' if one else f'are no {nouns}'}: no "
        f"training image of {'it' if one else 'them'} can be read."
    )


def to_predict(count: int) -> str:
    """Say what becomes of images without labels."""
    have = f"{counted(count, 'image')} {'has' if count == 1 else 'have'}"
    return f"{have} no label: predicted at the end, in test_predictions.csv."


def unread_line(skipped: Sequence[Skipped]) -> str:
    """Say how many images without a label could not be predicted."""
    count = counted(len(skipped), "image")
    return f"WARNING: {count} without a label could not be read ({reasons(skipped)})."


def not_ranked(count: int) -> str:
    """Say that they are left out, for a command that predicts nothing."""
    return f"Left out: {counted(count, 'image')} without a label."


def reasons(skipped: Sequence[Skipped]) -> str:
    """Give the reasons, the most frequent first."""
    counts = Counter(each.reason for each in skipped).most_common()
    if len(counts) == 1:
        return counts[0][0]
    shown = ", ".join(f"{count:,} × {reason}" for reason, count in counts[:MOST_LINES])
    return shown + (", …" if len(counts) > MOST_LINES else "")
