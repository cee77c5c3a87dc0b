"""Load on ``headfit serve``, faults under load, and what others would write by hand.

python benchmarks/serve.py all                          everything but the soak, on its own server
python benchmarks/serve.py answers --clients 200 --seconds 60
python benchmarks/serve.py soak --seconds 600
python benchmarks/serve.py overload --url http://127.0.0.1:8000 --model RUN/model.keras --photos DIR

Without --model it trains two small heads on photographs of its own, once, below --work. Right
answers are those of ``Classifier`` with the same file. Clients and server share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from http_client import Server
from serve_faults import reload_row, restart_row, stop_row
from serve_load import Job, answers_row, overload_row, soak_row
from serve_material import Material, own_material, prepare
from serve_race import throughput_rows
from serve_rows import Row, table
from server_process import Running, headfit
from tables import machine

ASKING = {"answers": 60.0, "overload": 20.0, "soak": 600.0}  # seconds, unless said otherwise
OURS = ("throughput", "stop", "reload", "restart")  # which start servers of their own
ALL = ("answers", "throughput", "overload", "stop", "reload", "restart")


def main() -> None:
    """Measure, and print the table."""
    args = _arguments()
    chosen = ALL if args.row == "all" else (args.row,)
    if args.url is not None:
        _check_url(args)
        chosen = tuple(name for name in chosen if name not in OURS)
        if not chosen:
            raise SystemExit(f"'{args.row}' starts and stops servers of its own: leave out --url.")
    material = _material(args)
    before = _surroundings()
    rows: list[Row] = []
    texts: list[str] = []
    for name in chosen:
        print(f"measuring: {name}", file=sys.stderr)
        if name == "throughput":
            text, more = throughput_rows(material, args.images, args.slow, args.rounds)
            texts.append(text)
            rows += more
        elif name in ASKING:
            rows.append(_asked(args, material, name))
        else:
            rows.append(_fault(args, material, name))
        print(table(rows[-1:]), file=sys.stderr)
    if args.json:
        record = {"machine": before, "rows": [row.record() for row in rows]}
        print(json.dumps(record, indent=1, default=float))
    else:
        print("\n\n".join([before, *texts, table(rows)]))


def _surroundings() -> str:
    """Describe the machine, and what else it is doing."""
    waiting = f"{os.getloadavg()[0]:.0f}" if hasattr(os, "getloadavg") else "unknown"
    return f"{machine()}\nprocesses that ran or waited in the minute before: {waiting}"


def _asked(args: argparse.Namespace, material: Material, name: str) -> Row:
    answers = material.answers(material.models[0])
    if answers.closest < 1e-3:
        print(f"two photographs have answers {answers.closest:.1g} apart", file=sys.stderr)
    seconds = args.seconds or ASKING[name]
    with _server(args, material) as running:
        job = Job(running, material, answers)
        work = {
            "answers": lambda: answers_row(job, args.clients, seconds),
            "overload": lambda: overload_row(job, args.times, seconds),
            "soak": lambda: soak_row(job, min(args.clients, 8), seconds),
        }[name]
        return asyncio.run(work())


def _fault(args: argparse.Namespace, material: Material, name: str) -> Row:
    rows: dict[str, Callable[[], Row]] = {
        "stop": lambda: stop_row(material, min(args.clients, 64), args.rounds),
        "reload": lambda: reload_row(material, min(args.clients, 16), 2 * args.rounds),
        "restart": lambda: restart_row(material, args.rounds),
    }
    return rows[name]()


@contextlib.contextmanager
def _server(args: argparse.Namespace, material: Material) -> Iterator[Running]:
    if args.url is not None:
        yield Running(Server(args.url.rstrip("/"), args.token))
        return
    with headfit(material.models[0]) as running:
        yield running


def _material(args: argparse.Namespace) -> Material:
    count = max(200, args.clients)
    if args.model:
        if args.photos is None:
            raise SystemExit("--model needs --photos, a folder of JPEG files.")
        return own_material(args.photos, args.model, count)
    return prepare(args.work, count)


def _check_url(args: argparse.Namespace) -> None:
    """Keep the load on this machine, unless the user says otherwise."""
    host = Server(args.url).address[0]
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return
    if not args.elsewhere:
        raise SystemExit(f"'{host}' is not this machine. With --elsewhere, if the server is yours.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", choices=("all", *ALL, "soak"))
    parser.add_argument("--url", help="of a server that runs; else one is started")
    parser.add_argument("--token", help="that this server asks for")
    parser.add_argument("--elsewhere", action="store_true", help="allow a URL beyond this machine")
    parser.add_argument(
        "--model", type=Path, action="append", help="that is served; a second one for reload"
    )
    parser.add_argument("--photos", type=Path, help="a folder of JPEG files")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "headfit-serve-benchmark"
    )
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--times", type=float, default=5.0, help="of the capacity, for overload")
    parser.add_argument("--images", type=int, default=320, help="in a round of throughput")
    parser.add_argument("--slow", type=int, default=96, help="the same for the plain route")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
