"""Text from outside on a terminal: characters that would steer it are shown instead.

Names of classes and files, layers and error messages may hold escape sequences, which move the
cursor, rename the window or hide what was printed, and bidirectional controls, which show a text in
another order ("Trojan Source", Boucher & Anderson 2021).
"""

from __future__ import annotations

import re

# C0 and C1, bidirectional controls, separators of lines and paragraphs, and lone surrogates
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str) -> str:
    r"""Write controls as Python does, ``\x1b`` or ``\u202e``; line breaks and tabs stay.

    >>> print(escape_controls("cat\x1b[2J"))
    cat\x1b[2J
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    r"""Write controls as :func:`escape_controls` does, line breaks and tabs too.

    >>> print(one_line("cat\ndog"))
    cat\ndog
    """
    return escape_controls(text).replace("\n", r"\n").replace("\t", r"\t")
