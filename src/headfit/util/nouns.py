"""Numbers with their nouns: "1 image", "2,300 images"."""

from __future__ import annotations


def counted(count: int, one: str, several: str = "") -> str:
    """Write a number and its noun.

    Args:
        count: the number.
        one: the noun for 1.
        several: the noun for any other number; that for 1 with an "s" if empty.

    Example:

    >>> counted(1, "image"), counted(2300, "image"), counted(0, "class", "classes")
    ('1 image', '2,300 images', '0 classes')
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
