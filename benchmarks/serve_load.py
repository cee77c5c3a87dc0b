"""Load: right answers for many clients at once, more than a server can take, and for long."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from http_client import Answer, Client, LostError
from serve_material import Answers, Material
from serve_rows import Outcome, Row, counts, in_words, judge, percentiles
from server_process import Running, Sample, Watch

WARM_UP = 0.25  # share of the time before memory is looked at
STEADY = 0.10  # by which memory may differ from its median after that
GROWTH = 0.02  # by which memory may grow in a soak
REFUSED_WITHIN, ACCEPTED_WITHIN = 0.1, 30.0  # seconds


@dataclass(frozen=True)
class Job:
    """A server, and the images that it is asked about.

    Attributes:
        running: the server.
        material: the photographs.
        answers: the right ones.
    """

    running: Running
    material: Material
    answers: Answers

    def request(self, places: Sequence[int], *, raw: bool = False) -> bytes:
        """Write a request with some images; their names are their numbers."""
        server, contents = self.running.server, self.material.contents
        path = f"/v1/predict?top={len(self.answers.classes)}"
        if raw:
            return server.request(path, contents[places[0]], "image/jpeg")
        return server.form(path, [(str(place), contents[place]) for place in places])

    async def ask(self, client: Client, request: bytes, places: Sequence[int]) -> Outcome:
        """Send a request and judge the answer."""
        start = time.monotonic()
        try:
            answer = await client.ask(request)
        except LostError as error:
            return Outcome("lost", error.sent, time.monotonic() - start, len(places), str(error))
        return judge(answer, self.answers, places)


async def closed_loop(
    job: Job, clients: int, images: int, going: Callable[[], bool], pause: float = 0.0
) -> list[Outcome]:
    """Let each client ask about its own images, again and again.

    Args:
        job: the server and the images.
        clients: how many ask at the same time.
        images: of a request.
        going: whether a client should ask once more.
        pause: seconds to wait after a refusal or a lost answer.
    """
    outcomes: list[Outcome] = []

    async def go(number: int) -> None:
        places = [(number * images + k) % len(job.material.photos) for k in range(images)]
        client, request = Client(job.running.server), job.request(places)
        while going():
            outcome = await job.ask(client, request, places)
            outcomes.append(outcome)
            if outcome.kind != "right":
                await asyncio.sleep(pause)
        client.close()

    await asyncio.gather(*map(go, range(clients)))
    return outcomes


def until(end: float) -> Callable[[], bool]:
    """Say yes until a moment of ``time.monotonic()``."""
    return lambda: time.monotonic() < end


async def answers_row(job: Job, clients: int, seconds: float) -> Row:
    """Many clients, each with its own image: are all answers right, and memory bounded?"""
    start = time.monotonic()
    first = await job.running.sample()
    async with Watch(job.running) as watch:
        outcomes = await closed_loop(job, clients, 1, until(start + seconds), 0.5)
    wall, last = time.monotonic() - start, await job.running.sample()
    numbers, good = counts(outcomes), [each for each in outcomes if each.kind == "right"]
    p50, p99 = percentiles(good)
    memory = [each.memory for each in watch.samples if each.at > start + WARM_UP * seconds]
    spread = max(abs(each / median(memory) - 1) for each in memory)
    cost = 1e3 * (last.seconds - first.seconds) / max(1, len(good))
    wrong = [each for each in outcomes if each.kind not in ("right", "refused")]
    measured = (
        f"{in_words(numbers)}; {len(good) / wall:.0f} images/s; p50 {p50:.2f} s, p99 {p99:.2f} s; "
        f"{cost:.1f} core-ms an image; memory {median(memory) / 1e6:.0f} MB ± {100 * spread:.1f} %"
    )
    values = {"outcomes": numbers, "images_per_second": len(good) / wall, "p50": p50, "p99": p99}
    values |= {"core_ms": cost, "memory_bytes": median(memory), "memory_spread": spread}
    values |= {"notes": sorted({each.note for each in wrong})[:5]}
    return Row(
        f"{clients} clients, {seconds:.0f} s, each with its own image",
        measured,
        "no wrong, lost or swapped answer; memory ± 10 %",
        bool(good) and not wrong and spread <= STEADY,
        values,
    )


async def capacity(job: Job, seconds: float) -> float:
    """Measure how many images a second a server answers one by one."""
    start = time.monotonic()
    outcomes = await closed_loop(job, 32, 1, until(start + seconds))
    return sum(each.kind == "right" for each in outcomes) / (time.monotonic() - start)


async def overload_row(job: Job, times: float, seconds: float) -> Row:
    """Requests come at random, more than can be answered: how quickly is the rest refused?"""
    rate = times * await capacity(job, min(10.0, seconds))
    requests = [job.request([place]) for place in range(len(job.material.photos))]
    idle: list[Client] = []
    tasks: list[asyncio.Task[Outcome]] = []
    lags: list[float] = []

    async def one(place: int) -> Outcome:
        client = idle.pop() if idle else Client(job.running.server)
        outcome = await job.ask(client, requests[place], [place])
        idle.append(client)
        return outcome

    draw, due, end = random.Random(0), time.monotonic(), time.monotonic() + seconds
    for number in itertools.count():
        due += draw.expovariate(rate)
        if due > end:
            break
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        lags.append(time.monotonic() - due)
        tasks.append(asyncio.create_task(one(number % len(requests))))
    outcomes = await asyncio.gather(*tasks)
    for client in idle:
        client.close()
    good = [each for each in outcomes if each.kind == "right"]
    refused = [each for each in outcomes if each.kind == "refused"]
    others = len(outcomes) - len(good) - len(refused)
    p50, p99 = percentiles(refused)
    slowest = max((each.seconds for each in good), default=np.nan)
    measured = (
        f"{rate:.0f} requests/s sent: {in_words(counts(outcomes))}; refused after p50 "
        f"{1e3 * p50:.0f} ms, p99 {1e3 * p99:.0f} ms; slowest accepted {slowest:.1f} s"
    )
    values = {"rate": rate, "outcomes": counts(outcomes), "refused_p50": p50, "refused_p99": p99}
    values |= {"slowest_accepted": slowest, "client_lag_p99": float(np.percentile(lags, 99))}
    values |= {"refused_max": max((each.seconds for each in refused), default=np.nan)}
    return Row(
        f"overload, {times:g} × capacity, {seconds:.0f} s",
        measured,
        "429/503 within 100 ms (p99); accepted within their deadline, 30 s",
        bool(good) and not others and p99 <= REFUSED_WITHIN and slowest <= ACCEPTED_WITHIN,
        values,
    )


async def soak_row(job: Job, clients: int, seconds: float) -> Row:
    """All kinds of requests and of clients, for long: does anything grow?"""
    start = time.monotonic()
    seen: list[str] = []

    async def go(number: int) -> None:
        draw, client = random.Random(number), Client(job.running.server)
        while time.monotonic() < start + seconds:
            seen.append(await _something(job, client, draw))
            if draw.random() < 0.2:
                client.close()
            await asyncio.sleep(draw.expovariate(20))
        client.close()

    async with Watch(job.running, 1.0) as watch:
        await asyncio.gather(*map(go, range(clients)))
    samples = [each for each in watch.samples if each.at > start + WARM_UP * seconds]
    third = len(samples) // 3
    early, late = samples[:third], samples[-third:]
    growth = {name: _middle(late, name) / max(1, _middle(early, name)) - 1 for name in GROWING}
    unexpected = {kind: seen.count(kind) for kind in set(seen) if kind.startswith("unexpected")}
    measured = (
        f"{len(seen):,} requests; memory {_middle(early, 'memory') / 1e6:.0f} → "
        f"{_middle(late, 'memory') / 1e6:.0f} MB ({100 * growth['memory']:+.1f} %), descriptors "
        f"{_middle(early, 'descriptors'):.0f} → {_middle(late, 'descriptors'):.0f}, threads "
        f"{_middle(early, 'threads'):.0f} → {_middle(late, 'threads'):.0f}; "
        f"unexpected answers: {in_words(unexpected)}"
    )
    values = {"growth": growth, "requests": {kind: seen.count(kind) for kind in set(seen)}}
    values |= {"samples": [each._asdict() for each in watch.samples[:: max(1, third // 20)]]}
    met = growth["memory"] <= GROWTH and growth["threads"] <= 0 and not unexpected
    met = met and _middle(late, "descriptors") <= _middle(early, "descriptors") + 1
    return Row(
        f"soak, {seconds / 60:.0f} min: files, forms, damaged files, clients that go away",
        measured,
        "no growth of memory (2 %), descriptors, threads",
        met,
        values,
    )


GROWING = ("memory", "descriptors", "threads")


def _middle(samples: list[Sample], name: str) -> float:
    return float(median(getattr(each, name) for each in samples))


async def _something(job: Job, client: Client, draw: random.Random) -> str:
    """Do one of the things that clients do, and say what came of it."""
    photos, server = len(job.material.photos), job.running.server
    places = draw.sample(range(photos), draw.choice((1, 1, 2, 8)))
    whole = job.request(places)
    chance = draw.random()
    try:
        if chance < 0.6:
            outcome = await job.ask(client, whole, places)
            fine = outcome.kind in ("right", "refused", "late")
            return outcome.kind if fine else f"unexpected {outcome.kind}: {outcome.note}"
        if chance < 0.7:
            await client.leave(whole, draw.choice((0.01, 0.5, 1.0)))
            return "left"
        if chance < 0.8:
            content = bytearray(job.material.contents[places[0]])
            content = content[: draw.randrange(2, len(content))]
            answer = await client.ask(server.form("/v1/predict", [("cut.jpg", bytes(content))]))
            return _expect(answer, 422, "damaged")
        if chance < 0.9:
            return _expect(await client.ask(server.request("/metrics")), 200, "metrics")
        if chance < 0.95:
            return _expect(await client.ask(server.request("/nothing")), 404, "nothing there")
        odd = server.request("/v1/predict", b"[" * 1000, "application/json")
        return _expect(await client.ask(odd), 415, "wrong type")
    except LostError as error:
        return f"unexpected: lost, {error}"


def _expect(answer: Answer, status: int, kind: str) -> str:
    fine = answer.status in (status, 429, 503)
    return kind if fine else f"unexpected {answer.status}: {answer.body[:100]!r}"
