"""A trial of about a second: which setting runs a graph fastest on this machine?

The result is cached. Only settings that give exactly the same bits as the default are tried, so
the choice never changes a feature map. (The order in which a convolution sums, and with it the
last bits, depends on the setting but not on the image.)
"""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import probe_images
from headfit.backbones.graphs.compiled import DEFAULT, Setting, compile_graph, stream
from headfit.util import digests
from headfit.util.cache import TRIALS
from headfit.util.machine import usable_cores

BATCH = 4
CHALLENGERS = (Setting("LATENCY", 1), Setting("THROUGHPUT", BATCH))
IMAGES = 2 * BATCH
MARGIN = 1.05  # a challenger must be so many times as fast
LEAST_ROUNDS, MOST_ROUNDS = 3, 9
SECONDS = 1.0
# larger batches only pay where an image takes so few seconds that handling it weighs
QUICK_IMAGE = 0.02


@dataclass
class Contestant:
    """A compiled graph, and its seconds in each round."""

    compiled: Any
    setting: Setting = DEFAULT
    seconds: list[float] = field(default_factory=list)

    def run(self, images: np.ndarray) -> np.ndarray:
        """Send all images through; their maps, float32 (n, …)."""
        size = self.setting.batch
        batches = [(at, images[at : at + size]) for at in range(0, len(images), size)]
        start = time.perf_counter()
        maps = [result for _, result in stream(self.compiled, batches)]
        self.seconds.append(time.perf_counter() - start)
        return np.concatenate(maps)


def tuned(path: Path, default: Any = None) -> tuple[Setting, Any]:
    """Compile a graph with the setting that suits it here, after a trial if there was none yet.

    Args:
        path: the graph, in a folder that is named by its digest.
        default: the graph compiled with the default setting; compiled here, if need be, if None.

    Returns:
        The setting, and the graph compiled with it.

    Raises:
        EngineError: if OpenVINO refuses the graph.
        WriteError: if the result cannot be cached.
    """
    subject = {"format": TRIALS.format, "graph": path.parent.name, "machine": machine()}
    key = digests.of_data(subject)
    setting = _remembered(TRIALS.read(key))
    if setting == DEFAULT and default is not None:
        return setting, default
    if setting is not None:
        return setting, compile_graph(path, setting)
    best, measured = _try(path, default)
    TRIALS.write(key, {**subject, "setting": best.setting.to_dict(), **measured})
    return best.setting, best.compiled


def machine() -> dict[str, Any]:
    """Give what the result of a trial depends on, besides the graph."""
    return {"cpu": _cpu(), "cores": usable_cores(), "openvino": version("openvino")}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    facts = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features")
    processor: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in facts:
            processor.setdefault(name.strip(), value.strip())
    # "AMD EPYC" alone is many processors: their instructions tell them apart
    return f"{platform.machine()} {platform.processor()} {digests.of_data(processor)}".strip()


def _remembered(record: dict[str, Any] | None) -> Setting | None:
    """Read the outcome of a former trial; None if there is none that this version knows."""
    setting = None if record is None else Setting(**record["setting"])
    return setting if setting in (DEFAULT, *CHALLENGERS) else None


def _try(path: Path, compiled: Any = None) -> tuple[Contestant, dict[str, Any]]:
    """Measure the settings in turn, and give the best with what was measured."""
    default = Contestant(compile_graph(path) if compiled is None else compiled)
    images, seconds = warm(default)
    challengers = [c for c in CHALLENGERS if c.batch == 1 or seconds <= QUICK_IMAGE]
    if seconds * len(images) > SECONDS / 4:  # three rounds of two would take far too long
        challengers = []
    expected = default.run(images)
    running, other_bits = [default], []
    for setting in challengers:
        challenger = Contestant(compile_graph(path, setting), setting)
        if np.array_equal(challenger.run(images), expected):
            running.append(challenger)
        else:
            other_bits.append(str(setting))
    race(running, images)
    rates = {str(c.setting): len(images) / median(c.seconds) for c in running if c.seconds}
    return _winner(running), {"images_per_second": rates, "other_bits": other_bits}


def warm(default: Contestant) -> tuple[np.ndarray, float]:
    """Give the images of a round, and the seconds for one of them."""
    _, height, width, _ = default.compiled.input(0).shape
    images = probe_images(height, width, IMAGES)
    for _ in range(2):  # the first image pays for buffers
        default.run(images[:1])
    seconds = default.seconds[-1]
    streams = default.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    return (images if seconds <= QUICK_IMAGE else images[: max(2, streams)]), seconds


def race(running: list[Contestant], images: np.ndarray) -> None:
    """Let all contestants run in turn until all is clear or the time is up. They have run before.

    Args:
        running: the first is the default; their ``seconds`` are filled.
        images: uint8 (n, height, width, 3).
    """
    for contestant in running:
        contestant.seconds.clear()
    start = time.perf_counter()
    for done in range(MOST_ROUNDS if len(running) > 1 else 0):
        late = time.perf_counter() - start > SECONDS
        if done >= LEAST_ROUNDS and (late or _clear(running)):
            return
        for contestant in running:
            contestant.run(images)


def _clear(running: list[Contestant]) -> bool:
    """Whether each challenger won every round, or lost every round."""
    default, *challengers = running
    rounds = [gains(default, challenger) for challenger in challengers]
    return all(min(each) >= MARGIN or max(each) < 1 for each in rounds)


def _winner(running: list[Contestant]) -> Contestant:
    """Give the fastest challenger that is clearly faster than the default, else the default."""
    default, *challengers = running
    gain = {id(each): median(gains(default, each)) for each in challengers}
    quicker = [each for each in challengers if gain[id(each)] >= MARGIN]
    return max(quicker, key=lambda each: gain[id(each)], default=default)


def gains(default: Contestant, challenger: Contestant) -> list[float]:
    """How many times as fast in each round; what slows the machine slows neighbours alike."""
    pairs = zip(default.seconds, challenger.seconds, strict=True)
    return [mine / theirs for mine, theirs in pairs]
