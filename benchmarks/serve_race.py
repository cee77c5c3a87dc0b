"""Throughput, in turn: the server, ``Classifier`` over the same files, a plain FastAPI route."""

from __future__ import annotations

import asyncio
import atexit
import time
from pathlib import Path
from typing import Any

import numpy as np
from http_client import Client
from interleave import Contestant, Work, race
from serve_material import Material
from serve_rows import Row
from server_process import Running, start_headfit, start_plain
from tables import rates_table, ratio

ONE, MANY = "headfit serve, 1 image a request", "headfit serve, 16 images a request"
PASS = "Classifier over the same files"
PLAIN = {
    f"FastAPI and Keras predict, {size} a request, in {words}": (way, clients, images)
    for size, words, way, clients, images in (
        ("1 image", "threads", "threads", 32, 1),
        ("1 image", "the loop", "loop", 32, 1),
        ("16 images", "threads", "threads", 4, 16),
    )
}
NEEDS = ("fastapi", "tensorflow-cpu")
FACTOR, SHARE = 3.0, 0.8


def throughput_rows(
    material: Material, images: int, slow: int, rounds: int
) -> tuple[str, list[Row]]:
    """Race.

    Args:
        material: the photographs and the model.
        images: in a round.
        slow: the same for the plain route.
        rounds: in turn.

    Returns:
        The tables of all contestants, and the rows of the targets.
    """
    found = race(_contestants(material, images, slow), rounds)
    rates = {name: [each.rate for each in done] for name, done in found.items()}
    costs = {
        name: [1e3 * each.details["seconds"] / each.items for each in done]
        for name, done in found.items()
    }
    speeds = {name: [1e3 / each for each in values] for name, values in costs.items()}
    text = rates_table(rates, PASS, "images/s")
    text += "\n\n" + rates_table(costs, PASS, "core-ms an image, server alone")
    rows = [_against(PASS, ONE, SHARE, rates, speeds), _against(PASS, MANY, SHARE, rates, speeds)]
    plain = [name for name in PLAIN if name in rates]
    # the target is about a request for each image; a route that takes several is not the usual one
    for ours, size, bound in ((ONE, "1 image", FACTOR), (MANY, "16 images", None)):
        best = [name for name in plain if size in name]
        if best:
            best.sort(key=lambda name: np.median(costs[name]))
            rows.append(_against(best[0], ours, bound, rates, speeds))
    return text, rows


def _against(
    other: str, ours: str, bound: float | None, rates: dict[str, Any], speeds: dict[str, Any]
) -> Row:
    """Compare by processor time, which other programs on the machine hardly change."""
    wall, core = (ratio(ours, each[ours], each[other]).ratios for each in (rates, speeds))
    middle = float(np.median(core))
    measured = f"{_span(core)} by processor time; {_span(wall)} by the clock"
    values = {"core_ratios": core, "ratios": wall, "images_per_second": rates[ours]}
    if bound is None:
        return Row(f"{ours} / {other}", measured, values=values)
    return Row(f"{ours} / {other}", measured, f"≥ {bound:g}", middle >= bound, values)


def _span(ratios: tuple[float, ...]) -> str:
    return f"{np.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def _contestants(material: Material, images: int, slow: int) -> list[Contestant]:
    photos = [str(path) for path in material.photos]
    shared = {"model": str(material.models[0]), "photos": photos, "images": images}
    less = {**shared, "images": slow}
    return [
        Contestant(PASS, "serve_race:classifier", shared),
        Contestant(ONE, "serve_race:served", {**shared, "clients": 32, "size": 1}),
        Contestant(MANY, "serve_race:served", {**shared, "clients": 4, "size": 16}),
        *(
            Contestant(
                name,
                "serve_race:plain",
                {**less, "clients": clients, "size": size, "way": way, "port": 18_650 + place},
                needs=NEEDS,
            )
            for place, (name, (way, clients, size)) in enumerate(PLAIN.items())
        ),
    ]


def classifier(model: str, photos: list[str], images: int) -> Work:
    """Prepare ``Classifier.predict_proba`` over files."""
    import headfit as hf

    opened = hf.Classifier(model)
    chosen = [photos[number % len(photos)] for number in range(images)]

    def work() -> tuple[int, dict[str, float]]:
        start = time.process_time()
        opened.predict_proba(chosen)
        return images, {"seconds": time.process_time() - start}

    return work


def served(model: str, photos: list[str], images: int, clients: int, size: int) -> Work:
    """Prepare clients of ``headfit serve``."""
    return _clients(start_headfit(Path(model)), photos, images, clients, size)


def plain(
    model: str, photos: list[str], images: int, clients: int, size: int, way: str, port: int
) -> Work:
    """Prepare clients of the plain route."""
    return _clients(start_plain(Path(model), way, port), photos, images, clients, size)


def _clients(running: Running, photos: list[str], images: int, clients: int, size: int) -> Work:
    atexit.register(running.end)
    server, contents = running.server, [Path(path).read_bytes() for path in photos]
    requests = [
        server.form(
            "/v1/predict",
            [(str(k), contents[(start + k) % len(contents)]) for k in range(size)],
        )
        for start in range(0, images, size)
    ]

    async def ask_all() -> None:
        waiting = list(requests)

        async def go() -> None:
            client = Client(server)
            while waiting:
                answer = await client.ask(waiting.pop())
                if answer.status != 200:
                    raise SystemExit(f"{answer.status}: {answer.body[:200]!r}")
            client.close()

        await asyncio.gather(*(go() for _ in range(clients)))

    def work() -> tuple[int, dict[str, float]]:
        before = running.measure().seconds
        asyncio.run(ask_all())
        return len(requests) * size, {"seconds": running.measure().seconds - before}

    return work
