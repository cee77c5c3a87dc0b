"""Links in a source: where they point, and which of them are followed.

Folders come from anybody, and a link in one may point to any file of whoever reads it. So what is
read really lies below the source's root, unless the user follows links. The root itself may be a
link, and so may all that is above it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import PureWindowsPath

LEADS_OUT = "a link that points outside the folder"
IN_ARCHIVE = "a link, which is not followed"
_JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT


@dataclass
class Links:
    """The links below a root, as they are met.

    Args:
        top: the root.
        follow: whether those that point outside it are followed.

    Attributes:
        root: where it really lies.
        real: image that is a link, or was reached by one → where it really lies.
        left_out: paths that were not followed, as they are to be shown, in order.
    """

    top: str | os.PathLike[str]
    follow: bool = False
    real: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = os.path.realpath(self.top)
        self._start = os.path.normcase(os.path.join(self.root, ""))  # noqa: PTH118
        self._folders: dict[str, bool] = {}

    def is_outside(self, real: str) -> bool:
        """Whether a path without links lies elsewhere than below the root."""
        return not os.path.normcase(os.path.join(real, "")).startswith(self._start)  # noqa: PTH118

    def holds(self, path: str | os.PathLike[str]) -> bool:
        """Whether a file may be read: it really lies below the root, or links are followed."""
        if self.follow:
            return True
        folder, name = os.path.split(path)
        if "\0" in os.fspath(path):  # which no file has in its name
            return False
        if folder not in self._folders:
            self._folders[folder] = not self.is_outside(real_path(folder))
        if not self._folders[folder] or name in ("", os.curdir, os.pardir):
            return False
        return not (os.path.islink(path) and self.is_outside(real_path(path)))  # noqa: PTH114


def is_link(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a link, or a junction of Windows."""
    if entry.is_symlink():
        return True
    if os.name != "nt":
        return False
    return getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0) == _JUNCTION


def real_path(path: str | os.PathLike[str]) -> str:
    """Resolve all links; one to another machine stays as it is, for a look would ask that."""
    if os.name == "nt" and os.path.islink(path):  # noqa: PTH114
        target = os.readlink(path)  # noqa: PTH115
        if is_remote(target):
            return target
    return os.path.realpath(path)


def is_remote(target: str) -> bool:
    r"""Whether a path of Windows names another machine: ``\\host\share``.

    >>> is_remote(r"\\host\share\a"), is_remote(r"\\?\UNC\host\share"), is_remote(r"\\?\C:\a")
    (True, True, False)
    """
    local = target.replace("/", "\\").removeprefix("\\\\?\\")
    drive = PureWindowsPath(local).drive
    return drive.startswith("\\") or local.upper().startswith("UNC\\")
