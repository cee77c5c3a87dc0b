"""Digests: what names a value by its content."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xxhash


def of_bytes(data: bytes | memoryview) -> str:
    """Digest bytes (XXH3, 128 bits): fast and not for security."""
    return xxhash.xxh3_128(data).hexdigest()


def of_parts(parts: Iterable[bytes | memoryview]) -> str:
    """Digest bytes that lie in several pieces, as :func:`of_bytes` does of one."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def of_file(path: Path) -> str:
    """Digest a file's content, read in pieces of 1 MB."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def of_data(data: Any) -> str:
    """Digest plain data that JSON can hold, whatever the order of its keys."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return of_bytes(text.encode())
