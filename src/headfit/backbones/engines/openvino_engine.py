"""OpenVINO running a graph: several requests in flight, images in batches where that is faster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import EngineInfo, Tagged
from headfit.backbones.graphs.compiled import DEFAULT, Setting, compile_graph, stream


class OpenVINOEngine:
    """A graph on OpenVINO.

    Args:
        path: the graph.
        info: facts about it; the setting is added.
        setting: how to run it.
        compiled: the graph compiled so; compiled here if None.

    Raises:
        EngineError: if OpenVINO refuses the graph.
    """

    def __init__(
        self, path: Path, info: EngineInfo, setting: Setting = DEFAULT, compiled: Any = None
    ) -> None:
        self.info = replace(info, setting=setting.to_dict())
        self._path, self._setting = path, setting
        self._compiled = compile_graph(path, setting) if compiled is None else compiled

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        """See :class:`headfit.backbones.engines.interface.Engine`; results come in order."""
        if self._setting.batch == 1:
            yield from stream(self._compiled, batches)
            return
        rest: list[Tagged] = []
        for tags, maps in stream(self._compiled, self._gathered(batches, rest)):
            for place, tag in enumerate(tags):
                yield tag, maps[place : place + 1]
        # too few for a batch: one at a time, which gives the same bits (see tuning)
        yield from stream(self._one_by_one, rest)

    def _gathered(self, batches: Iterable[Tagged], rest: list[Tagged]) -> Iterator[Tagged]:
        """Join images to whole batches; what is left in the end stays in ``rest``."""
        for tagged in batches:
            rest.append(tagged)
            if len(rest) == self._setting.batch:
                tags, images = zip(*rest, strict=True)
                yield tags, np.concatenate(images)
                rest.clear()

    @cached_property
    def _one_by_one(self) -> Any:
        return compile_graph(self._path, replace(self._setting, batch=1))
