"""What opening a model may take: memory and time, so that a hostile file cannot stop the machine.

Every child process may take three quarters of the machine's memory; while Keras loads a model file,
only what its weights need. A child that opens a file has a quarter of an hour. Two environment
variables move this.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from headfit.errors import ModelFileError, UsageError
from headfit.util.machine import in_words, usable_cores

MEMORY = "HEADFIT_MODEL_MEMORY"
"""Environment variable: gigabytes that a process which opens a model may take."""
SECONDS = "HEADFIT_MODEL_SECONDS"
"""Environment variable: seconds that a process which opens a model file may take."""
DEFAULT_SECONDS = 900.0  # ConvNeXtXLarge takes 60 on two cores
SHARE = 0.75  # of the machine's memory
COPIES = 6  # Keras holds up to four copies of the weights while it loads them
ROOM = 2**30  # for everything else, and for each processor the stacks of its threads:
ROOM_OF_CORE = 32 * 2**20
_SHORT_OF_MEMORY = re.compile(
    r"out of memory|unable to allocate|bad_alloc|RESOURCE_EXHAUSTED|cannot allocate|MemoryError",
    re.I,
)


def seconds() -> float:
    """Say how long a process may take that opens a model file."""
    return _setting(SECONDS) or DEFAULT_SECONDS


def memory() -> int:
    """Say how many bytes a process may take that builds or opens a model."""
    import psutil  # noqa: PLC0415  (not for --help)

    chosen = _setting(MEMORY)
    return int(chosen * 1e9) if chosen else int(SHARE * psutil.virtual_memory().total)


def allocated() -> int:
    """Count the bytes that this process has allocated now; only Linux can.

    Raises:
        OSError: on other systems.
    """
    status = Path("/proc/self/status").read_text("utf-8")
    return 1024 * int(status.partition("VmData:")[2].split()[0])


def hold_memory(most: int) -> None:
    """Limit what this process allocates from now on; only Linux can."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415  (not on Windows)

        former, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = most if former == resource.RLIM_INFINITY else min(most, former)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


@contextlib.contextmanager
def loading(path: Path, weights: int) -> Iterator[None]:
    """Limit what Keras allocates for a model file to what its weights explain.

    Args:
        path: the file.
        weights: bytes of the arrays in it.

    Raises:
        ModelFileError: in place of whatever Keras raises if that is not enough.
    """
    limited = sys.platform == "linux" and not _setting(MEMORY)
    most = ROOM + usable_cores() * ROOM_OF_CORE + COPIES * weights
    try:
        with _held(most) if limited else contextlib.nullcontext():
            yield
    except Exception as error:
        if limited and short_of_memory(error):
            raise ModelFileError(
                f"'{path}' needs over {in_words(most)} of memory to load, for {in_words(weights)} "
                f"of weights: the file may be damaged or hostile. Set {MEMORY} to the gigabytes "
                f"that it may take if you trust it."
            ) from None
        raise


@contextlib.contextmanager
def _held(more: int) -> Iterator[None]:
    import resource  # noqa: PLC0415  (not on Windows)

    taken = allocated()
    former, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if former == resource.RLIM_INFINITY or taken + more < former:
        resource.setrlimit(resource.RLIMIT_DATA, (taken + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (former, hard))


def short_of_memory(error: BaseException | str) -> bool:
    """Whether an error, or the last words of a process, say that memory ran out."""
    if isinstance(error, str):
        return _SHORT_OF_MEMORY.search(error) is not None
    return isinstance(error, MemoryError) or short_of_memory(str(error))


def too_large(function: str) -> ModelFileError:
    """Make the error of a process that ran out of memory."""
    return ModelFileError(
        f"The helper process for {function} ran out of memory: it may take {in_words(memory())}. "
        f"Use a smaller model or smaller images, or set {MEMORY} to more gigabytes."
    )


def too_slow(function: str) -> ModelFileError:
    """Make the error of a process that took too long."""
    return ModelFileError(
        f"The helper process for {function} did not end within {seconds():,.0f} s: the model "
        f"may be damaged or hostile. Set {SECONDS} to more if you trust it."
    )


def _setting(name: str) -> float | None:
    text = os.environ.get(name)
    if not text:
        return None
    try:
        if (value := float(text)) > 0:
            return value
    except ValueError:
        pass
    raise UsageError.invalid(name, text, "a number above 0")
