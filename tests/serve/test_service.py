"""Many clients, full queues, deadlines, models that change and servers that stop."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest

import classifiers
from headfit.errors import ModelFileError
from headfit.serve import Limits, create_app
from headfit.serve import service as service_module
from headfit.serve.batcher import Batcher
from headfit.serve.errors import Busy, Late, Refused
from headfit.serve.service import Service
from headfit.util.machine import LOWEST, STEP

PREDICT = "/v1/predict"


@asynccontextmanager
async def running(app) -> AsyncIterator[httpx.AsyncClient]:
    """Start an application, and give a client of it."""
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client,
    ):
        yield client


@asynccontextmanager
async def started(service: Service) -> AsyncIterator[Service]:
    await service.start()
    yield service
    await service.stop()


class Gate:
    """Holds all decoding until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._event, decode = threading.Event(), service_module.decode
        monkeypatch.setattr(
            service_module, "decode", lambda *args: (self._event.wait(60), decode(*args))[1]
        )

    def open(self) -> None:
        self._event.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def check(answer: httpx.Response, run, number: int) -> None:
    """See that an answer is that of an image, by its probabilities, which no other image has."""
    assert answer.status_code == 200, answer.text
    (record,) = answer.json()["predictions"]
    assert record["probability"] == run.probabilities[number].max()


def threads() -> set[threading.Thread]:
    """Threads that serve; those of another test may still be ending."""
    return {each for each in threading.enumerate() if each.name.startswith("headfit-")}


def lanes_at_work() -> int:
    """Count the threads that run models."""
    return sum(each.name == "headfit-inference" for each in threads())


def until_equal(find: Callable[[], object], expected: object) -> None:
    """Wait until something is as it should be: threads take a moment to end."""
    ends = time.monotonic() + 30
    while find() != expected and time.monotonic() < ends:
        time.sleep(0.01)
    assert find() == expected


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_every_one_of_50_clients_gets_the_answer_for_its_own_image(stored_run):
    async def ask(client: httpx.AsyncClient, number: int) -> None:
        for step in range(6):
            place = (7 * number + step) % len(stored_run.files)
            check(await client.post(PREDICT, content=stored_run.files[place]), stored_run, place)

    async def main() -> None:
        async with running(create_app(stored_run.folder)) as client:
            await asyncio.gather(*(ask(client, number) for number in range(50)))

    assert len(np.unique(stored_run.probabilities.max(axis=1))) == len(stored_run.files)
    asyncio.run(main())


def test_files_and_pixels_at_once_give_what_the_classifier_gives(stored_run):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, classifiers.SIDE, classifiers.SIDE, 3), np.uint8)

    async def main() -> None:
        async with started(Service(stored_run.folder)) as service:
            model, deadline = service.model(), service.deadline()
            files = [("", data) for data in stored_run.files]
            rows, predictions = await asyncio.gather(
                service.predict_pixels(model, pixels, deadline=deadline),
                service.predict_files(model, files, deadline=deadline),
            )
            expected = model.classifier.predict_proba(pixels)
        np.testing.assert_array_equal(rows, expected)
        found = np.stack([each.probabilities for each in predictions])
        np.testing.assert_array_equal(found, stored_run.probabilities)

    asyncio.run(main())


def test_what_exceeds_the_queue_is_refused_at_once_and_the_rest_answered(stored_run, gate):
    app = create_app(stored_run.folder, limits=Limits(queue=8))

    async def main() -> None:
        async with running(app) as client:
            service = app.state.service
            tasks = [
                asyncio.create_task(client.post(PREDICT, content=stored_run.files[n]))
                for n in range(8)
            ]
            await until(lambda: service.admission.images == 8)
            start = time.perf_counter()
            refused = await client.post(PREDICT, content=stored_run.files[0])
            assert time.perf_counter() - start < 0.1
            assert refused.status_code == 429
            assert int(refused.headers["Retry-After"]) >= 1
            assert refused.json()["error"].startswith("Too many images are waiting (8).")
            unread = await client.post(PREDICT, content=_never_read())
            assert unread.status_code == 429
            gate.open()
            for number, answer in enumerate(await asyncio.gather(*tasks)):
                check(answer, stored_run, number)
            assert service.admission.images == 0

    asyncio.run(main())


async def _never_read() -> AsyncIterator[bytes]:
    raise AssertionError("the body of a request that is refused was read")
    yield b""


def test_a_request_that_could_not_be_ready_in_time_is_refused(stored_run, monkeypatch):
    async def main() -> None:
        async with started(Service(stored_run.folder)) as service:
            monkeypatch.setattr(Batcher, "interval", 10.0)
            with pytest.raises(Busy) as refusal:
                await service.predict_files(
                    service.model(), 4 * [("", b"")], deadline=service.deadline()
                )
            assert refusal.value.retry_after == 20

    asyncio.run(main())


def test_a_request_that_is_late_ends_at_its_deadline_and_frees_its_place(stored_run, gate):
    async def main() -> None:
        async with started(Service(stored_run.folder, Limits(deadline=0.3))) as service:
            model = service.model()
            files = [("", data) for data in stored_run.files[:20]]
            with pytest.raises(Late, match=r"not ready within 0\.3 s"):
                await service.predict_files(model, files, deadline=service.deadline())
            assert service.admission.images == 0
            gate.open()
            (found,) = await service.predict_files(model, files[:1], deadline=time.monotonic() + 30)
            assert found.probabilities.max() == stored_run.probabilities[0].max()

    asyncio.run(main())


def test_bodies_beyond_the_memory_for_them_are_refused(stored_run, gate):
    size = len(stored_run.files[0])
    app = create_app(stored_run.folder, limits=Limits(held_bytes=int(2.5 * size)))

    async def main() -> None:
        async with running(app) as client:
            tasks = [
                asyncio.create_task(client.post(PREDICT, content=stored_run.files[0]))
                for _ in range(2)
            ]
            await until(lambda: app.state.service.admission.images == 2)
            refused = await client.post(PREDICT, content=stored_run.files[0])
            assert refused.status_code == 429
            gate.open()
            for answer in await asyncio.gather(*tasks):
                check(answer, stored_run, 0)
            assert app.state.service.admission.held == 0
            check(await client.post(PREDICT, content=stored_run.files[0]), stored_run, 0)

    asyncio.run(main())


def test_stopping_refuses_what_is_new_and_finishes_what_was_accepted(stored_run, gate):
    async def main() -> None:
        service = Service(stored_run.folder)
        await service.start()
        model, deadline = service.model(), service.deadline()
        files = [("", data) for data in stored_run.files]
        accepted = asyncio.create_task(service.predict_files(model, files, deadline=deadline))
        await until(lambda: service.admission.images == len(files))
        stopping = asyncio.create_task(service.stop())
        await asyncio.sleep(0.05)
        assert not service.ready
        with pytest.raises(Busy, match="The server is stopping"):
            await service.predict_files(model, files[:1], deadline=deadline)
        gate.open()
        found = np.stack([each.probabilities for each in await accepted])
        np.testing.assert_array_equal(found, stored_run.probabilities)
        await stopping

    before = threads()
    asyncio.run(main())
    until_equal(lambda: threads() - before, set())


def test_a_client_that_goes_away_frees_its_place(stored_run, gate):
    app = create_app(stored_run.folder)

    async def main() -> None:
        async with started(app.state.service) as service:
            body = [{"type": "http.request", "body": stored_run.files[0]}]

            async def receive() -> dict[str, object]:
                if body:
                    return body.pop()
                await until(lambda: service.admission.images == 1)
                return {"type": "http.disconnect"}

            async def send(message: dict[str, object]) -> None:
                raise AssertionError(message)

            scope = {
                "type": "http",
                "http_version": "1.1",
                "method": "POST",
                "path": PREDICT,
                "query_string": b"",
                "headers": [(b"host", b"test")],
            }
            await app(scope, receive, send)
            assert service.admission.images == 0
            gate.open()

    asyncio.run(main())


def other_model(run) -> bytes:
    """Give the file of gap, whose answers differ from those of flatten."""
    return (run.folder / "heads/gap.keras").read_bytes()


def test_a_changed_file_is_served_without_losing_or_mixing_an_answer(run, monkeypatch):
    import headfit as hf  # noqa: PLC0415

    monkeypatch.setattr(service_module, "WATCH_SECONDS", 0.05)
    number = 3
    path = run.folder / "image.png"
    path.write_bytes(run.files[number])
    after = hf.Classifier(run.folder / "heads/gap.keras").predict_proba(path).max()
    before = run.probabilities[number].max()
    assert before != after
    app = create_app(run.model)
    others = lanes_at_work()

    async def main() -> None:
        async with running(app) as client:
            found: list[float] = []
            lanes = others + app.state.service.model().classifier.runner.lanes().count

            async def ask() -> None:
                while not found or found[-1] != after:
                    answer = await client.post(PREDICT, content=run.files[number])
                    assert answer.status_code == 200
                    found.append(answer.json()["predictions"][0]["probability"])

            asked = [asyncio.create_task(ask()) for _ in range(8)]
            await until(lambda: len(found) > 20)
            new = run.folder / "new"
            new.write_bytes(other_model(run))
            shutil.move(new, run.model)
            async with asyncio.timeout(60):
                await asyncio.gather(*asked)
            assert set(found) == {before, after}
            await until(lambda: lanes_at_work() <= lanes)

    asyncio.run(main())


def test_heat_maps_of_a_file_that_was_replaced_are_refused_until_it_is_opened(run):
    async def main() -> None:
        async with started(Service(run.model, watch=False)) as service:
            run.model.write_bytes(other_model(run))
            asked = {"heads": ["flatten"], "deadline": service.deadline()}
            with pytest.raises(Refused, match="The file of this model was replaced") as refusal:
                await service.explain(service.model(), [(run.files[0], 0)], **asked)
            assert refusal.value.status == 503
            await service.reload()
            assert service.heat_maps(service.model()).heads == ("gap",)

    asyncio.run(main())


def test_a_file_that_is_no_model_leaves_the_old_one(run, monkeypatch):
    monkeypatch.setattr(service_module, "WATCH_SECONDS", 0.05)

    async def main() -> None:
        async with started(Service(run.model)) as service:
            run.model.write_bytes(b"damaged")
            failed = 'headfit_model_loads_total{model="model",outcome="failed"} 1.0'
            await until(lambda: failed in service.metrics.text().decode())
            with pytest.raises(ModelFileError):
                await service.reload()
            (found,) = await service.predict_files(
                service.model(), [("", run.files[0])], deadline=service.deadline()
            )
            assert found.probabilities.max() == run.probabilities[0].max()

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_threads_that_compute_let_those_that_answer_go_first(run):
    async def main() -> dict[str, int]:
        async with running(create_app(run.model)) as client:
            (await client.post(PREDICT, content=run.files[0])).raise_for_status()
            mine = {each for each in threads() - before if each.native_id is not None}
            return {each.name: os.getpriority(os.PRIO_PROCESS, each.native_id) for each in mine}

    before, own = threads(), os.getpriority(os.PRIO_PROCESS, 0)
    computing = asyncio.run(main())
    assert len(computing) >= 3
    assert set(computing.values()) == {min(LOWEST, own + STEP)}
    assert os.getpriority(os.PRIO_PROCESS, threading.main_thread().native_id) == own
