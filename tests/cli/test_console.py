"""Progress as a terminal, a pipe and a poor terminal see it; real pseudo-terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from rich.cells import cell_len

from headfit.cli import console
from headfit.cli.console import ConsoleCallback, output
from headfit.progress import HeadScore
from headfit.util.machine import Memory, in_words

Capture = pytest.CaptureFixture[str]
RUN = """
import sys, time
from headfit.cli.console import ConsoleCallback, output
from headfit.progress import HeadScore
with ConsoleCallback() as callback:
    callback.on_stage_begin("Images through efficientnet_lite0 at 224 px", 2624, "images")
    for number in range(1, 13):
        time.sleep(0.04)
        callback.on_progress(200 * number, skipped=number // 4)
    time.sleep(0.6)
    callback.on_message("Found \\u2192 \\u03c4 \\u00d7 3, \\udcff")
    callback.on_stage_begin("Training heads", 4)
    callback.on_progress(1, "gap")
    callback.on_head_end(HeadScore("128px:end/gap", {"mean": 0.93}, {}, 5, 1.0))
    callback.on_progress(1.5, "flatten")
    time.sleep(0.25)
    if "interrupt" in sys.argv:
        raise KeyboardInterrupt
output().print("result \\u2192 \\u25cf \\u2500 \\udcff")
"""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-8]|4[0-8]|9[0-7])(?:;[0-9]+)*m")
FINAL = r"Images through efficientnet_lite0 at 224 px: [\d.]+ s, 3 skipped"
ENCODINGS = ("ascii", "latin-1", "cp1252")
CASES: dict[object, tuple[int, tuple[str, ...], dict[str, str]]] = {
    60: (60, (), {}),
    80: (80, (), {}),
    120: (120, (), {}),
    "no colour": (80, (), {"NO_COLOR": "1"}),
    "dumb": (80, (), {"TERM": "dumb"}),
    "interrupted": (80, ("interrupt",), {}),
    **{name: (80, (), {"PYTHONIOENCODING": name}) for name in ENCODINGS},
}
Seen = dict[object, str]


@pytest.fixture(scope="module")
def terminals() -> Seen:
    """What each terminal was sent; they run at once, because they mostly wait."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        return dict(
            zip(CASES, pool.map(lambda case: _terminal(*case), CASES.values()), strict=True)
        )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bars_fit_the_terminal_and_hold_what_matters(width: int, terminals: Seen) -> None:
    seen = terminals[width]
    lines = _lines(seen)
    bars = [line for line in lines if "/2,624" in line]
    assert len(bars) > 3
    # with the spinner and a bar, and never so long that the terminal would wrap it
    assert all("━" in line and cell_len(line) <= width for line in bars)
    assert re.search(r"2,400/2,624 .*\d:\d\d left", bars[-1])
    if width >= 80:
        assert re.search(r"[\d,]+/s  \d:\d\d left  3 skipped  [\d.]+ MB$", bars[-1].rstrip())
    if width >= 120:
        assert any("flatten  last: gap 93.0 %" in line for line in lines)
    assert any(re.fullmatch(FINAL, line) for line in lines)
    assert re.search(r"Peak memory [\d.]+ MB", seen)
    assert COLOUR.search(seen)
    assert _cursor_is_shown(seen)


def test_no_color_keeps_the_bars_and_drops_the_colours(terminals: Seen) -> None:
    seen = terminals["no colour"]
    assert not COLOUR.search(seen)
    assert "/2,624" in seen


def test_a_dumb_terminal_gets_plain_lines(terminals: Seen) -> None:
    seen = terminals["dumb"]
    assert "\x1b" not in seen
    assert "/2,624" not in seen
    assert any(re.fullmatch(FINAL, line) for line in _lines(seen))


def test_interrupted_the_terminal_is_left_clean(terminals: Seen) -> None:
    seen = terminals["interrupted"]
    assert _cursor_is_shown(seen)
    assert "Peak memory" not in seen
    # after the bar is cleared nothing of it is left on its line
    assert seen.index("KeyboardInterrupt") > seen.rindex("\x1b[2K")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_poor_encoding_ends_no_run(encoding: str, terminals: Seen) -> None:
    seen = terminals[encoding]
    assert "Traceback" not in seen
    assert "Found > tau " in seen
    assert "result > " in seen
    assert "/2,624" in seen
    assert _cursor_is_shown(seen)


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1"}])
def test_a_pipe_gets_plain_lines(forced: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        capture_output=True,
        env=_environment(PYTHONIOENCODING="utf-8") | forced,
        check=True,
    )
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 4
    assert re.fullmatch(FINAL, lines[1])
    assert lines[0].startswith("Found → τ × 3")
    assert lines[2].startswith("Training heads: 0.")
    assert lines[3].startswith("Peak memory ")
    assert b"\x1b" not in done.stderr
    assert done.stdout.decode().startswith("result → ● ─ ")


def test_a_long_stage_is_not_silent_in_a_pipe(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LOOK", 0.02)
    monkeypatch.setattr(console, "SPEAK", 0.2)
    start = time.monotonic()
    with ConsoleCallback() as callback:
        callback.on_stage_begin("Images through it", 100, "images")
        for done in range(10, 60, 10):
            callback.on_progress(done, skipped=2)
            time.sleep(0.1)
        callback.on_stage_begin("Training heads", 4)
        callback.on_progress(1, "flatten")
        callback.on_head_end(HeadScore("gap", {"mean": 0.5}, {}, 5, 1.0))
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    spoken = [line for line in lines if re.search(r" of 100 images", line)]
    assert 1 <= len(spoken) <= (time.monotonic() - start) / 0.2
    assert re.fullmatch(
        r"Images through it: \d0 of 100 images, [\d.,]+ images/s, 2 skipped, 0:\d\d left", spoken[0]
    )
    assert any(line.startswith("Training heads: 25 %, flatten, last: gap 50.0 %") for line in lines)


def test_what_comes_before_the_images_does_not_slow_their_rate(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LOOK", 0.01)
    monkeypatch.setattr(console, "SPEAK", 0.05)
    monkeypatch.setattr(console, "PAUSE", 0.3)
    with ConsoleCallback() as callback:
        callback.on_stage_begin("Images", 10000, "images")
        callback.on_progress(1)
        time.sleep(1.0)  # the graph is built
        for done in range(10, 130, 10):
            callback.on_progress(done)
            time.sleep(0.02)
    spoken = [line for line in capsys.readouterr().err.splitlines() if " of 10,000" in line]
    rate = re.search(r"([\d.,]+) images/s", spoken[-1])
    # about 500 a second; with the pause in it, no more than 120
    assert rate
    assert float(rate[1].replace(",", "")) > 150


def test_nothing_is_said_of_progress_on_stdout(capsys: Capture) -> None:
    with ConsoleCallback() as callback:
        callback.on_stage_begin("Images", 2, "images")
        callback.on_progress(2)
        callback.on_message("a remark")
    assert capsys.readouterr().out == ""


def test_memory_counts_children() -> None:
    memory = Memory()
    memory.measure()
    alone = memory.now
    assert alone is not None
    assert 10e6 < alone < 64e9
    hold = "import sys; kept = bytearray(b'x') * 150_000_000; print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        memory.measure()
        assert memory.now is not None
        assert memory.now > alone + 100e6
        child.communicate(b"\n")
    memory.measure()
    assert memory.peak is not None
    assert memory.peak > memory.now


def test_a_system_that_does_not_tell_breaks_no_bar(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "Process", refuse)
    with ConsoleCallback() as callback:
        callback.on_stage_begin("Training heads", 1)
        callback.on_progress(1)
    err = capsys.readouterr().err
    assert err.startswith("Training heads: 0.0 s")
    assert "memory" not in err


@pytest.mark.parametrize(
    ("size", "words"),
    [(85_400_000, "85.4 MB"), (949_999_999, "950 MB"), (1.24e9, "1.24 GB")],
)
def test_memory_in_words(size: int, words: str) -> None:
    assert in_words(size) == words


def test_piped_results_are_wide_enough_for_the_plot(capsys: Capture) -> None:
    assert output().width == console.PIPED_WIDTH


def _terminal(width: int, arguments: tuple[str, ...], environment: dict[str, str]) -> str:
    """Run it with a terminal for stdout and stderr; give all that this was sent."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        stdin=other,
        stdout=other,
        stderr=other,
        env=_environment(**environment),
    ):
        os.close(other)
        seen = b""
        while piece := _read(main):
            seen += piece
    os.close(main)
    return seen.decode("utf-8", "replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side has closed it
        return b""


def _environment(**given: str) -> dict[str, str]:
    unset = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    source = str(Path(console.__file__).parents[2])
    return kept | {"TERM": "xterm-256color", "PYTHONPATH": source} | {"LANG": "C.UTF-8"} | given


def _lines(seen: str) -> list[str]:
    return re.split(r"[\r\n]+", CONTROL.sub("", seen))


def _cursor_is_shown(seen: str) -> bool:
    return seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l") >= 0
