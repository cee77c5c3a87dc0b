"""A real run, looked at in a real browser while it goes on."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import browser
from headfit.cli import console
from headfit.monitor.folder import RunFolder
from headfit.monitor.record import Recorder
from headfit.monitor.server import serving
from headfit.monitor.site import Site
from headfit.monitor.words import amount
from headfit.progress import IMAGES
from photos import write_folder

GATED = Path(__file__).with_name("gates.py")
HEADS = ("gap", "gmp", "avgmax")
SMALL = ["--size", "64", "--quick", "--no-where", "--no-curve", "--folds", "3"]
SMALL += ["--heads", ",".join(HEADS)]  # the graph is that of other tests of commands
FOLDER = "<script>photos"
PATIENCE = 120


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


class Program:
    """``headfit`` in a process of its own, whose heads wait for their gates."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.gates = root / "gates"
        self.gates.mkdir(exist_ok=True)
        self._err = root / "err.txt"
        with self._err.open("w") as err, (root / "out.txt").open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(GATED), str(self.gates), *arguments],
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def open_gate(self, number: int, word: str = "") -> None:
        with tempfile.NamedTemporaryFile("w", dir=self.gates.parent, delete=False) as part:
            part.write(word)
        Path(part.name).replace(self.gates / str(number))

    def err(self) -> str:
        return self._err.read_text()

    def address(self) -> str:
        said = re.compile(r"Watch: (http://127\.0\.0\.1:\d+/\w{32}/)")
        return str(wait_for(lambda: self.alive() and said.search(self.err()))[1])

    def alive(self) -> bool:
        assert self.process.poll() is None, self.err()
        return True

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def started(root: Path, *arguments: str) -> Iterator[Program]:
    program = Program(root, *arguments)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.wait()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("live") / FOLDER, 4, seed=6)


@pytest.fixture
def arguments(photos: Path, tmp_path: Path) -> list[str]:
    return ["compare", str(photos), "--out", str(tmp_path / "run"), *SMALL]


def progress(run: Path) -> dict[str, Any]:
    path = run / "progress.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def scored(run: Path) -> list[str]:
    return [score["name"] for score in progress(run).get("scores", [])]


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    if not (browser.CHROMIUM and browser.DRIVER):
        pytest.skip(browser.MISSING)
    with browser.browser(loopback=True) as found:
        yield found


def rows(driver: Any) -> list[str]:
    script = "return [...document.querySelectorAll('#scores th')].map(e => e.textContent)"
    return list(driver.execute_script(script))


def text(driver: Any, selector: str) -> str:
    script = "return document.querySelector(arguments[0])?.textContent ?? ''"
    return str(driver.execute_script(script, selector))


def serious(driver: Any) -> list[str]:
    driver.execute_script(browser.axe_source())
    found = driver.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 15
    return [each["id"] for each in found["violations"]]


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_scores_come_head_by_head_and_then_the_report(
    arguments: list[str], driver: Any, tmp_path: Path
) -> None:
    browser.look(driver)
    with started(tmp_path, *arguments, "--watch", "--json") as program:
        driver.get(program.address())
        driver.execute_script("window.stays = true")
        for number, head in enumerate(HEADS, 1):
            wait_for(lambda count=number: program.alive() and len(rows(driver)) == count)
            assert set(rows(driver)) == set(HEADS[:number])
            assert scored(tmp_path / "run") == list(HEADS[:number])
            assert head in text(driver, "#news")
            if number == 2:
                _check_the_page(driver)
            program.open_gate(number)
        # the same address is the report, as soon as there is one
        wait_for(lambda: driver.title.startswith("headfit: use "))
        assert driver.current_url == program.address()
        assert driver.get_log("browser") == []
        wait_for(lambda: "Press Ctrl-C" in program.err())
        results = json.loads((tmp_path / "out.txt").read_text())
        assert {row["name"] for row in results["candidates"]} == set(HEADS)
        assert program.end(signal.SIGINT) == 0
    assert "Traceback" not in program.err() and "Interrupted" not in program.err()
    assert progress(tmp_path / "run")["state"] == "done"


def _check_the_page(driver: Any) -> None:
    assert driver.execute_script("return window.stays"), "the page was loaded anew"
    assert text(driver, "#state") == "Comparing heads"
    assert text(driver, "#images") == FOLDER
    assert "12 " in text(driver, "#messages")  # images, or feature maps that were there
    assert len(driver.find_elements("css selector", "script")) == 1
    bars = "return [...document.querySelectorAll('progress')].map(b => b.value / b.max)"
    shares = driver.execute_script(bars)
    assert shares[:-1] == [1.0] * (len(shares) - 1)
    assert 0 < shares[-1] <= 1
    assert len(driver.find_elements("css selector", "#scores svg circle")) == 2
    means = (
        "return [...document.querySelectorAll('#scores td:nth-child(3)')].map(e => +e.textContent)"
    )
    values = driver.execute_script(means)
    assert values == sorted(values, reverse=True) and all(0 <= v <= 100 for v in values)
    for dark in (False, True):
        browser.look(driver, dark=dark, width=400)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 400
        assert serious(driver) == []
    browser.look(driver)


@pytest.mark.slow
def test_a_run_that_fails_says_why_to_whoever_looks_on(
    arguments: list[str], driver: Any, tmp_path: Path
) -> None:
    with started(tmp_path, *arguments, "--watch") as program:
        driver.get(program.address())
        wait_for(lambda: program.alive() and rows(driver))
        program.open_gate(1, "fail")
        assert program.process.wait(PATIENCE) == 1
    wait_for(lambda: text(driver, "#state") in ("Failed", "No answer"))
    assert progress(tmp_path / "run")["error"] == "RuntimeError: the <b>disk</b> is on fire"
    # the server waits until the page has heard of it
    assert "RuntimeError: the <b>disk</b> is on fire" in text(driver, "#news")


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_from_another_terminal_until_the_run_is_interrupted(
    arguments: list[str], driver: Any, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    other.mkdir()
    with started(tmp_path, *arguments) as program:
        wait_for(lambda: program.alive() and scored(run))
        with started(other, "ui", str(run)) as viewer:
            driver.get(viewer.address())
            wait_for(lambda: rows(driver) == ["gap"])
            assert program.end(signal.SIGINT) == 130
            assert "Interrupted" in program.err()
            wait_for(lambda: text(driver, "#state") == "Stopped")
            assert "run the same command to continue" in text(driver, "#headline")
            assert viewer.end(signal.SIGTERM) == 0
        assert "Traceback" not in viewer.err()
    assert [path.name for path in run.iterdir()] == ["progress.json"]
    # nobody serves the page any more, and it says so
    wait_for(lambda: text(driver, "#state") == "No answer")


def test_a_file_that_is_damaged_meanwhile_is_said(driver: Any, tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text(json.dumps(Recorder(tmp_path, FOLDER).to_dict()))
    with started(tmp_path, "ui", str(tmp_path)) as viewer:
        driver.get(viewer.address())
        wait_for(lambda: text(driver, "#headline") == "The run is about to start.")
        (tmp_path / "progress.json").write_text("{")
        wait_for(lambda: "is not valid JSON" in text(driver, "#headline"))
        (tmp_path / "progress.json").write_text(json.dumps(Recorder(tmp_path).to_dict()))
        wait_for(lambda: text(driver, "#state") == "Comparing heads")


@pytest.mark.slow
def test_a_run_that_was_killed_leaves_a_whole_file(arguments: list[str], tmp_path: Path) -> None:
    with started(tmp_path, *arguments) as program:
        wait_for(lambda: program.alive() and scored(tmp_path / "run"))
        assert program.end(signal.SIGKILL) == -signal.SIGKILL
    assert progress(tmp_path / "run")["state"] == "running"
    assert progress(tmp_path / "run")["pid"] == program.process.pid


def test_the_script_says_what_the_page_says(driver: Any, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, FOLDER)
    recorder.on_stage_begin("Images", 20_000, IMAGES)
    recorder.on_progress(12_345, skipped=2)
    found = recorder.to_dict()
    (stage,) = found["stages"]
    stage |= {"rate": 1872.4, "seconds": 75.0}
    (tmp_path / "progress.json").write_text(json.dumps(found))
    with serving(Site(RunFolder(tmp_path).progress, tmp_path), "token") as address:
        driver.get(address)
        # shown by the script only
        wait_for(lambda: driver.execute_script("return !document.querySelector('#axis').hidden"))
        assert text(driver, ".amount") == amount(stage)
    assert "1,872.4 images/s" in amount(stage)


def test_a_foreign_report_runs_no_script_and_asks_nobody(driver: Any, tmp_path: Path) -> None:
    asked: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{other.server_port}"
        (tmp_path / "report.html").write_text(
            f"<title>kept</title><script>document.title = 'run'; fetch('{place}/fetch')</script>"
            f"<img src='{place}/img' onerror=\"document.title = 'run'\">"
            f"<link rel=stylesheet href='{place}/css'><iframe src='{place}/frame'></iframe>"
            f"<form action='{place}/form' id=f></form><script src='{place}/js'></script>"
            f"<meta http-equiv=refresh content='0;url=javascript:document.title=1'>"
        )
        with serving(Site(RunFolder(tmp_path).progress, tmp_path), "token") as address:
            driver.get(address)
            wait_for(lambda: driver.execute_script("return document.readyState") == "complete")
            assert driver.title == "kept"
            assert driver.execute_script("return window.origin") == "null"
        other.shutdown()
    assert asked == []
    driver.get_log("browser")  # what was refused


def test_the_wait_for_ctrl_c_is_one_of_short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Never:
        def wait(self, seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(console, "threading", SimpleNamespace(Event=Never))
    console.until_interrupted()
    assert len(waits) == 3 and max(waits) <= 0.5


@pytest.mark.usefixtures("interruptible")
def test_an_address_for_all_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    with started(tmp_path, "ui", str(tmp_path), "--host", "0.0.0.0") as viewer:
        viewer.address()
        wait_for(lambda: "Press Ctrl-C" in viewer.err())
        assert viewer.err().startswith(
            "WARNING: the run, its report and the images in it leave this machine"
        )
        assert viewer.end(signal.SIGINT) == 0


@pytest.mark.usefixtures("uninterruptible")
def test_a_job_in_the_background_leaves_ctrl_c_to_the_foreground(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    with started(tmp_path, "ui", str(tmp_path)) as viewer:
        wait_for(lambda: f"Stop serving with: kill {viewer.process.pid}" in viewer.err())
        viewer.process.send_signal(signal.SIGINT)
        time.sleep(0.7)  # longer than a step of its wait
        assert viewer.alive()
        assert viewer.end(signal.SIGTERM) == 0
