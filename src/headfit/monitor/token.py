"""What the address of a page holds so that only its user can open it."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

from headfit.util import cache

KEY = "page.key"
_BYTES = 32


def token_of(folder: Path) -> str:
    """Give the token of a run's page: the same each time, and nobody else can guess it.

    It is derived from a key in the cache folder. If that cannot be kept, or others could have read
    it, the token is a new one each time.
    """
    key = _key() or secrets.token_bytes(_BYTES)
    return hmac.new(key, os.fsencode(folder.resolve()), "sha256").hexdigest()[:32]


def _key() -> bytes | None:
    path = cache.home() / KEY
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600)
        except FileExistsError:
            pass
        else:
            with open(made, "wb") as stream:  # noqa: PTH123  (a descriptor)
                stream.write(secrets.token_bytes(_BYTES))
        with open(os.open(path, os.O_RDONLY | flags), "rb") as stream:  # noqa: PTH123
            status = os.fstat(stream.fileno())
            key = stream.read(_BYTES)
    except OSError:
        return None
    mine = not hasattr(os, "getuid") or (
        status.st_uid == os.getuid() and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    )
    return key if mine and len(key) == _BYTES and stat.S_ISREG(status.st_mode) else None
