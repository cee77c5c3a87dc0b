"""Faults under load: asked to stop, given another model, killed."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from http_client import Client, LostError
from serve_load import Job, closed_loop, until
from serve_material import Material
from serve_rows import Outcome, Row, counts, in_words, judge
from server_process import headfit, start_headfit

BEFORE = 3.0  # seconds of load before the fault
GONE = 3  # lost answers in a row after which a client takes the server to be gone


def stop_row(material: Material, clients: int, times: int) -> Row:
    """Ask a server under load to stop: is everything answered that was sent before?"""
    answers = material.answers(material.models[0])
    before: list[Outcome] = []
    after: list[Outcome] = []
    seconds, codes = [], []
    for _ in range(times):
        running = start_headfit(material.models[0])
        outcomes, told = asyncio.run(_stopped(Job(running, material, answers), clients))
        codes.append(running.process.wait(60))
        seconds.append(time.monotonic() - told)
        for each in outcomes:  # where nothing was sent, the server was gone
            if each.sent is not None:
                (before if each.sent < told else after).append(each)
    lost = [each for each in before if each.kind not in ("right", "refused")]
    measured = (
        f"sent before: {in_words(counts(before))}; sent after: {in_words(counts(after))}; "
        f"exit code {', '.join(map(str, codes))} after {median(seconds):.1f} s"
    )
    values = {"before": counts(before), "after": counts(after), "seconds": seconds}
    return Row(
        f"TERM under load, {clients} clients, {times} times",
        measured,
        "no accepted request lost",
        bool(before) and not lost and not any(codes),
        values | {"codes": codes, "notes": sorted({each.note for each in lost})[:5]},
    )


async def _stopped(job: Job, clients: int) -> tuple[list[Outcome], float]:
    """Load a server, ask it to stop, and go on until it is gone."""
    told = time.monotonic() + BEFORE

    async def tell() -> float:
        await asyncio.sleep(told - time.monotonic())
        now = time.monotonic()
        job.running.tell(signal.SIGTERM)
        return now

    def going() -> bool:
        return job.running.process.poll() is None

    outcomes, now = await asyncio.gather(closed_loop(job, clients, 1, going, 0.2), tell())
    return outcomes, now


def reload_row(material: Material, clients: int, times: int) -> Row:
    """Replace the model under load: is each answer whole, and of the old or the new one?"""
    kinds: list[Outcome] = []
    delays: list[float] = []
    stale = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        shutil.copy(material.models[0], path)
        both = [Job(None, material, material.answers(model)) for model in material.models]
        with headfit(path) as running:
            jobs = [replace(job, running=running) for job in both]
            for number in range(times):
                found = asyncio.run(_reloaded(jobs, number, path, clients))
                kinds += found[0]
                delays.append(found[1])
                stale += found[2]
    numbers = counts(kinds)
    bad = {kind: n for kind, n in numbers.items() if kind not in ("old", "new", "refused")}
    measured = (
        f"{in_words(numbers)}; old after new: {stale}; new answers after {median(delays):.1f} s "
        f"({min(delays):.1f}–{max(delays):.1f})"
    )
    return Row(
        f"hot reload under load, {clients} clients, 4 images a request, {times} times",
        measured,
        "no accepted request lost, no mixed answer",
        not bad and not stale and numbers.get("new", 0) > 0,
        {"outcomes": numbers, "stale": stale, "seconds": delays},
    )


async def _reloaded(
    jobs: list[Job], number: int, path: Path, clients: int
) -> tuple[list[Outcome], float, int]:
    """Replace the model once, by a signal every other time, else by the watch over the file.

    Returns:
        How each request ended; seconds until the first answer of the new model; and how many
        answers of the old one came for requests that were sent after that.
    """
    old, new = jobs[number % 2], jobs[1 - number % 2]
    outcomes: list[Outcome] = []
    replaced = time.monotonic() + BEFORE
    first, ends = None, replaced + 30.0

    async def go(client_number: int) -> None:
        nonlocal first, ends
        places = [(client_number * 4 + k) % len(old.material.photos) for k in range(4)]
        client, request = Client(old.running.server), old.request(places)
        while time.monotonic() < ends:
            outcome = await _either(client, request, places, old, new)
            outcomes.append(outcome)
            if outcome.kind == "new" and first is None:
                first = time.monotonic()
                ends = first + BEFORE
            if outcome.kind not in ("old", "new"):
                await asyncio.sleep(0.5)
        client.close()

    async def exchange() -> None:
        await asyncio.sleep(BEFORE)
        copy = path.with_suffix(".new")
        shutil.copy(new.material.models[1 - number % 2], copy)
        copy.replace(path)
        if number % 2 == 0:
            old.running.tell(signal.SIGHUP)

    await asyncio.gather(exchange(), *map(go, range(clients)))
    if first is None:
        raise SystemExit("No answer of the new model came within 30 s.")
    late = [each for each in outcomes if each.kind == "old" and (each.sent or 0.0) > first]
    return outcomes, first - replaced, len(late)


async def _either(client: Client, request: bytes, places: list[int], old: Job, new: Job) -> Outcome:
    start = time.monotonic()
    try:
        answer = await client.ask(request)
    except LostError as error:
        return Outcome("lost", error.sent, time.monotonic() - start, len(places), str(error))
    # the server chooses the model when a request begins
    judged = judge(answer, new.answers, places)._replace(sent=start)
    if judged.kind == "right":
        return judged._replace(kind="new")
    if judged.kind == "wrong" and judge(answer, old.answers, places).kind == "right":
        return judged._replace(kind="old")
    return judged


def restart_row(material: Material, times: int) -> Row:
    """Kill a server under load and start it again: how long until the first right answer?"""
    answers = material.answers(material.models[0])
    seconds, cost, wrong = [], [], 0
    start_headfit(material.models[0]).end()
    for _ in range(times):
        running = start_headfit(material.models[0])
        job = Job(running, material, answers)
        asyncio.run(closed_loop(job, 16, 1, until(time.monotonic() + 1.0), 0.2))
        running.tell(signal.SIGKILL)
        running.process.wait()
        running = start_headfit(material.models[0])
        job = Job(running, material, answers)
        seconds.append(asyncio.run(running.first_answer(job.request([0]))))
        cost.append(running.measure().seconds)
        outcome = asyncio.run(_once(job))
        wrong += outcome.kind != "right"
        running.end()
    measured = (
        f"{median(seconds):.2f} s ({min(seconds):.2f}–{max(seconds):.2f}) to the first answer, "
        f"{median(cost):.2f} core-seconds; {wrong} wrong"
    )
    return Row(
        f"kill −9 and restart, graph cached, {times} times",
        measured,
        "< 3 s",
        median(seconds) < 3.0 and not wrong,
        {"seconds": seconds, "core_seconds": cost},
    )


async def _once(job: Job) -> Outcome:
    client = Client(job.running.server)
    outcome = await job.ask(client, job.request([0]), [0])
    client.close()
    return outcome
