"""What every protocol asks: open models that take files or pixels, within limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from headfit.errors import ImageError
from headfit.images.decode import decode
from headfit.model.prediction import Prediction
from headfit.model.runner import Tell
from headfit.serve.errors import Busy, Late, Refused
from headfit.serve.limits import Limits
from headfit.serve.models import Models, ServedModel, parse_models

Result = TypeVar("Result")


class Service:
    """Open models, and what runs them.

    Args:
        models: see :func:`~headfit.serve.models.parse_models`.
        limits: what it takes at most.
        tell: called with a line of text when something takes long or falls back.

    Raises:
        UsageError: if a file does not exist, or a name is invalid or taken twice.
    """

    def __init__(
        self, models: Models, limits: Limits | None = None, tell: Tell = lambda _: None
    ) -> None:
        self.limits = limits or Limits()
        self._files, self._tell = parse_models(models), tell
        self._models: dict[str, ServedModel] = {}
        self._started = self._stopping = False
        self._decoding = ThreadPoolExecutor(self.limits.decoding_threads, "headfit-decode")
        self._inference = ThreadPoolExecutor(1, "headfit-inference")

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
        self, model: ServedModel, files: Sequence[tuple[str, bytes]], *, deadline: float
    ) -> list[Prediction]:
        """Predict image files.

        Args:
            model: what :meth:`model` gave.
            files: the name and the content of each.
            deadline: the ``time.monotonic()`` by which the answer must be there.

        Returns:
            A prediction for each, in order; one that cannot be read has an ``error``.

        Raises:
            Busy: if too much is waiting already, or the server is stopping.
            Late: if the answer is not ready before the deadline.
        """
        decoded = await asyncio.gather(*(self._decode(model, data, deadline) for _, data in files))
        good = [each for each in decoded if isinstance(each, np.ndarray)]
        rows: Iterator[np.ndarray] = iter(())
        if good:
            rows = iter(await self.predict_pixels(model, np.stack(good), deadline=deadline))
        return [
            Prediction(name, None, str(each))
            if isinstance(each, ImageError)
            else model.describe(name, next(rows))
            for (name, _), each in zip(files, decoded, strict=True)
        ]

    async def predict_pixels(
        self, model: ServedModel, pixels: np.ndarray, *, deadline: float
    ) -> np.ndarray:
        """Run a model over pixels.

        Args:
            model: what :meth:`model` gave.
            pixels: uint8 (n, height, width, 3), RGB, of the size in the model's contract.
            deadline: the ``time.monotonic()`` by which the answer must be there.

        Returns:
            float32 (n, K + C): probabilities of the K classes and channel means.

        Raises:
            Busy: if too much is waiting already, or the server is stopping.
            Late: if the answer is not ready before the deadline.
        """
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._inference, model.classifier.runner.predict, pixels)
        return await self._in_time(future, deadline)

    async def start(self) -> None:
        """Open all models.

        Raises:
            ModelFileError: if a file is not a model that headfit wrote.
            EngineError: if nothing here can run a model.
        """
        for name in self._files:
            await self.reload(name)
        self._started = True

    async def stop(self) -> None:
        """Refuse new requests, and finish those that were accepted."""
        self._stopping = True
        await asyncio.to_thread(self._decoding.shutdown)
        await asyncio.to_thread(self._inference.shutdown)

    async def reload(self, name: str | None = None) -> None:
        """Open a model again, prove it, and put it in the place of the old one.

        Requests that are under way end with the old one.

        Args:
            name: None for all.

        Raises:
            ModelFileError: if the file is not a model that headfit wrote; the old one stays.
            EngineError: if nothing here can run it; the old one stays.
        """
        for each in self._files if name is None else (name,):
            path = self._files[each]
            self._models[each] = await asyncio.to_thread(ServedModel.open, each, path, self._tell)

    async def _decode(
        self, model: ServedModel, data: bytes, deadline: float
    ) -> np.ndarray | ImageError:
        contract = model.contract

        def work() -> np.ndarray | ImageError:
            try:
                return decode(data, contract.height, contract.width, contract.depth)
            except ImageError as error:
                return ImageError(str(error))

        loop = asyncio.get_running_loop()
        return await self._in_time(loop.run_in_executor(self._decoding, work), deadline)

    async def _in_time(self, work: Awaitable[Result], deadline: float) -> Result:
        try:
            return await asyncio.wait_for(work, deadline - time.monotonic())
        except TimeoutError:
            raise Late(self.limits.deadline) from None
