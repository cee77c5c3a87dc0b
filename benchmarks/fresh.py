"""Run ``headfit.compare`` in a process of its own: how long, how much memory, what came out.

Start-up and imports count, as they do for whoever types the command. Nothing is written but the
feature store.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from interleave import Work

LINEAR_HEADS = ("gap", "gmp", "avgmax", "gem", "lse", "spp", "flatten")
HERE = Path(__file__).parent
POLL = 0.05  # seconds


def compare(images: dict[str, Any], options: dict[str, Any], home: str) -> dict[str, Any]:
    """Compare in a fresh process.

    Args:
        images: ``folder``; ``keep`` (optional), a file for the labels and folds that were used.
        options: of ``headfit.compare``.
        home: HEADFIT_HOME of the process.

    Returns:
        ``wall`` (seconds of the process), ``peak`` and ``anonymous`` (greatest resident memory in
        bytes of the process and its children together; the second without mapped files), and of
        the results ``timings``, ``heads`` (name → train_seconds, score, folds) and ``map_shape``.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", "import fresh; fresh.serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE,
        env=os.environ | {"HEADFIT_HOME": home},
    )
    watch = _Memory(process.pid)
    watch.start()
    out, _ = process.communicate(json.dumps({"images": images, "options": options}))
    wall = time.perf_counter() - start
    watch.stop()
    if process.returncode:
        raise SystemExit("headfit.compare failed; its message is above.")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return {**found, "wall": wall, "peak": watch.peak, "anonymous": watch.anonymous}


def forget(home: str, *, fits_only: bool = False) -> None:
    """Remove all that was kept but the graphs of backbones, which are built and tried once.

    Args:
        home: HEADFIT_HOME.
        fits_only: leave the feature maps, too.
    """
    stay = {"graphs", "trials"} | ({"features"} if fits_only else set())
    for folder in Path(home).glob("*"):
        if folder.name not in stay:
            shutil.rmtree(folder)


def stored_bytes(home: str) -> int:
    """Size of the feature store."""
    folder = Path(home) / "features"
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def contestant(folder: str, options: dict[str, Any], home: str, without: str) -> Work:
    """A contestant of ``study.py``: compare once.

    Args:
        folder: the images.
        options: of ``headfit.compare``.
        home: HEADFIT_HOME, which keeps maps and fits from one contestant to the next.
        without: what is forgotten before: ``"all"``, ``"fits"`` or ``""``.
    """

    def work() -> tuple[int, dict[str, Any]]:
        if without:
            forget(home, fits_only=without == "fits")
        return 1, compare({"folder": folder}, options, home)

    return work


def serve() -> None:
    """Be the fresh process: a request on stdin, an answer as the last line of stdout."""
    request = json.loads(sys.stdin.read())
    import headfit as hf

    images = request["images"]
    # what is timed are heads and folds, and pictures made from one another are no duplicates here
    beside = {"where": False, "curve": False, "near_duplicates": False}
    study = hf.compare(images["folder"], **beside, **request["options"])
    results = study.results
    if images.get("keep"):
        np.savez(images["keep"], labels=study.index.labels, folds=study.folds)
    heads = {
        candidate["name"]: {
            "seconds": candidate["train_seconds"],
            "score": candidate["balanced_accuracy"]["mean"],
            "folds": candidate["balanced_accuracy"]["folds"],
        }
        for candidate in results["candidates"]
    }
    answer = {
        "timings": results["timings"],
        "heads": heads,
        "map_shape": results["candidates"][0]["map_shape"],
    }
    print(json.dumps(answer), flush=True)


class _Memory(threading.Thread):
    """Watches the resident memory of a process and all below it, by Linux' /proc."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = self.anonymous = 0
        self._pid = pid
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(POLL):
            sizes = [_resident(pid) for pid in _tree(self._pid)]
            self.peak = max(self.peak, sum(rss for rss, _ in sizes))
            self.anonymous = max(self.anonymous, sum(anonymous for _, anonymous in sizes))

    def stop(self) -> None:
        self._over.set()
        self.join()


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # the thread has ended meanwhile
            continue
        for child in children:
            found += _tree(int(child))
    return found


def _resident(pid: int) -> tuple[int, int]:
    """Resident bytes of a process: all, and those that are not mapped files."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended meanwhile
        return 0, 0
    fields = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "RssAnon")))
    rss, anonymous = (int(fields.get(name, "0").split()[0]) for name in ("VmRSS", "RssAnon"))
    return 1024 * rss, 1024 * anonymous
