"""What every protocol asks: open models that take files or pixels, within limits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from headfit.errors import HeadfitError, ImageError
from headfit.images.decode import decode
from headfit.model.prediction import Prediction
from headfit.model.runner import Tell
from headfit.serve.admission import Admission
from headfit.serve.batcher import Batcher
from headfit.serve.errors import Busy, Late, Refused
from headfit.serve.heat_maps import HeatMap, HeatMaps
from headfit.serve.job import Content, Job, Row
from headfit.serve.limits import Limits
from headfit.serve.metrics import Metrics
from headfit.serve.models import Models, ServedModel, parse_models
from headfit.serve.watch import Stamp, changed_files, stamp
from headfit.util.machine import give_way

WATCH_SECONDS = 1.0
Result = TypeVar("Result")
_log = logging.getLogger("headfit.serve")


class Service:
    """Open models, and what runs them.

    Args:
        models: see :func:`~headfit.serve.models.parse_models`.
        limits: what it takes at most.
        tell: called with a line of text when something takes long or falls back.
        watch: whether a model is opened again when its file changes.

    Attributes:
        limits: what it takes at most.
        metrics: what Prometheus is told.
        admission: what is accepted and not yet answered.

    Raises:
        UsageError: if a file does not exist, or a name is invalid or taken twice.
    """

    def __init__(
        self,
        models: Models,
        limits: Limits | None = None,
        tell: Tell = lambda _: None,
        *,
        watch: bool = True,
    ) -> None:
        self.limits = limits or Limits()
        self.metrics, self.admission = Metrics(), Admission(self.limits)
        self.metrics.watch(lambda: self.admission.images, lambda: self.admission.held)
        self._files, self._tell, self._watch = parse_models(models), tell, watch
        self._stamps: dict[str, Stamp] = {}
        self._models: dict[str, ServedModel] = {}
        self._batchers: WeakKeyDictionary[ServedModel, Batcher] = WeakKeyDictionary()
        self._heat_maps: WeakKeyDictionary[ServedModel, HeatMaps] = WeakKeyDictionary()
        self._started = self._stopping = False
        threads = self.limits.decoding_threads
        self._decoding = ThreadPoolExecutor(threads, "headfit-decode", give_way)
        self._explaining = ThreadPoolExecutor(1, "headfit-explain", give_way)
        self._computing = ThreadPoolExecutor(1, "headfit-open", give_way)
        self._opening = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all models, whether they are open or not."""
        return tuple(self._files)

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """The open models by name."""
        return MappingProxyType(self._models)

    @property
    def live(self) -> bool:
        """Whether the process answers; as long as it can say so."""
        return True

    @property
    def ready(self) -> bool:
        """Whether all models are open and requests are accepted."""
        return self._started and not self._stopping

    def model(self, name: str | None = None) -> ServedModel:
        """Give an open model.

        Args:
            name: None for the only one.

        Raises:
            Refused: 404 if there is no such model, 400 if there are several and none is named, 503
                while it is being opened.
        """
        if name is None:
            if len(self._files) > 1:
                listed = ", ".join(sorted(self._files))
                raise Refused(f"Name the model: this server has {listed}.")
            (name,) = self._files
        if name not in self._files:
            listed = ", ".join(sorted(self._files))
            raise Refused(f"There is no model {name[:100]!r} here. Models: {listed}.", 404)
        if name not in self._models:
            raise Busy("The model is being opened. Try again in a moment.", 503)
        return self._models[name]

    def deadline(self) -> float:
        """Give the ``time.monotonic()`` by which a request that comes now must be answered."""
        return time.monotonic() + self.limits.deadline

    async def predict_files(
        self,
        model: ServedModel,
        files: Sequence[tuple[str, bytes | ImageError]],
        *,
        deadline: float,
    ) -> list[Prediction]:
        """Predict image files.

        Args:
            model: what :meth:`model` gave.
            files: the name and the content of each, or why it has none.
            deadline: the ``time.monotonic()`` by which the answer must be there.

        Returns:
            A prediction for each, in order; one that cannot be read has an ``error``.

        Raises:
            Busy: if too much is waiting already, or the server is stopping.
            Late: if the answer is not ready before the deadline.
        """
        rows = await self._run(model, [content for _, content in files], deadline)
        return [
            Prediction(name, None, str(row))
            if isinstance(row, ImageError)
            else model.describe(name, row)
            for (name, _), row in zip(files, rows, strict=True)
        ]

    async def predict_pixels(
        self, model: ServedModel, pixels: np.ndarray, *, deadline: float
    ) -> np.ndarray:
        """Run a model over pixels.

        Args:
            model: what :meth:`model` gave.
            pixels: uint8 (n, height, width, 3), RGB, of the size in the model's contract; n ≥ 1.
            deadline: the ``time.monotonic()`` by which the answer must be there.

        Returns:
            float32 (n, K + C): probabilities or numbers, and channel means.

        Raises:
            Busy: if too much is waiting already, or the server is stopping.
            Late: if the answer is not ready before the deadline.
        """
        return np.stack(await self._run(model, list(pixels), deadline))  # type: ignore[arg-type]

    async def explain(
        self,
        model: ServedModel,
        files: Sequence[tuple[bytes, int]],
        heads: Sequence[str],
        *,
        deadline: float,
    ) -> list[list[HeatMap]]:
        """Explain image files that can be read.

        Args:
            model: what :meth:`model` gave.
            files: the content of each, and which output to explain.
            heads: heads that the run kept, or the model's own.
            deadline: the ``time.monotonic()`` by which the answer must be there.

        Returns:
            For each file a heat map of each head.

        Raises:
            Refused: if a head was not kept or cannot be explained quickly.
            Busy: if too much is waiting already, or the server is stopping.
            Late: if the answer is not ready before the deadline.
        """
        maps = self.heat_maps(model)
        maps.check(heads)
        with self._accepted(len(files), None, deadline):
            future = self._explaining.submit(maps.explain, files, heads)
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    return await asyncio.wrap_future(future)
            except TimeoutError:
                raise Late(self.limits.deadline) from None
            finally:
                future.cancel()

    def heat_maps(self, model: ServedModel) -> HeatMaps:
        """Give what explains a model."""
        return self._heat_maps[model]

    async def start(self) -> None:
        """Open all models.

        Raises:
            ModelFileError: if a file is not a model that headfit wrote.
            EngineError: if nothing here can run a model.
        """
        await self.reload()
        self._started = True
        if self._watch:
            self._watching = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Refuse new requests, and finish those that were accepted."""
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
        await self.admission.until_empty()
        for batcher in self._batchers.values():
            batcher.retire()
        for pool in (self._decoding, self._explaining, self._computing):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    async def reload(self, name: str | None = None) -> None:
        """Open a model again, prove it, and put it in the place of the old one.

        Requests that are under way end with the old one.

        Args:
            name: None for all.

        Raises:
            ModelFileError: if the file is not a model that headfit wrote; the old one stays.
            EngineError: if nothing here can run it; the old one stays.
        """
        async with self._opening:
            for each in self._files if name is None else (name,):
                try:
                    await self._open(each)
                except HeadfitError:
                    self.metrics.not_opened(each)
                    raise

    def prepare(self) -> None:
        """Open all models, and cache what opening and explaining them takes.

        Raises:
            ModelFileError: if a file is not a model that headfit wrote.
            EngineError: if nothing here can run a model.
        """
        for name, path in self._files.items():
            model = ServedModel.open(name, path, self._tell)
            model.classifier.runner.lanes()
            HeatMaps(model, self._tell).open()

    async def _open(self, name: str) -> None:
        self._stamps[name] = stamp(self._files[name])
        file, compute = self._files[name], self._beside
        model = await compute(ServedModel.open, name, file, self._tell)
        lanes = await compute(model.classifier.runner.lanes)
        self._heat_maps[model] = await compute(HeatMaps, model, self._tell)
        contract = model.contract

        def pixels(data: bytes) -> np.ndarray:
            return decode(data, contract.height, contract.width, contract.depth)

        self._batchers[model] = Batcher(
            lanes,
            pixels,
            self._decoding,
            self.limits,
            self.metrics.opened(model),
        )
        former = self._models.get(name)
        self._models[name] = model
        if former is not None:
            self._batchers[former].retire()

    async def _beside(self, call: Callable[..., Result], *given: object) -> Result:
        """Compute in a thread that lets the event loop go first."""
        return await asyncio.get_running_loop().run_in_executor(self._computing, call, *given)

    async def _follow(self) -> None:
        """Open each model again whose file changes; what cannot be opened leaves the old one."""
        async for name in changed_files(self._files, self._stamps, WATCH_SECONDS):
            try:
                await self.reload(name)
                _log.info("model opened again", extra={"model": name})
            except HeadfitError as error:
                _log.error("model not opened again", extra={"model": name, "reason": str(error)})
            except Exception:
                _log.exception("model not opened again", extra={"model": name})

    async def _run(
        self, model: ServedModel, contents: Sequence[Content | ImageError], deadline: float
    ) -> list[Row]:
        batcher = self._batchers[model]
        with self._accepted(len(contents), batcher.interval, deadline):
            job = Job(contents)
            batcher.submit(job)
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    rows = await job.rows()
            except TimeoutError:
                raise Late(self.limits.deadline) from None
            finally:
                job.drop()
        self.metrics.answered(model, rows)
        return rows

    @contextlib.contextmanager
    def _accepted(self, images: int, interval: float | None, deadline: float) -> Iterator[None]:
        if self._stopping:
            raise Busy("The server is stopping.", 503)
        with self.admission.take(images, interval, deadline):
            yield
