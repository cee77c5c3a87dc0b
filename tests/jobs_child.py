"""Requests of the tests to child processes, and what answers them."""

from __future__ import annotations

import importlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from headfit import errors
from headfit.util import child


@dataclass(frozen=True)
class FunctionCall(child.Request):
    """Call any function by its module and name."""

    function = "jobs_child:call_function"
    called: str
    arguments: dict[str, Any]


def call_function(request: FunctionCall) -> dict[str, Any]:
    module, _, name = request.called.partition(":")
    function = getattr(importlib.import_module(module), name)
    return cast(dict[str, Any], function(**request.arguments))


@dataclass(frozen=True)
class Surroundings(child.Request):
    function = "jobs_child:surroundings"
    text: str = ""
    numbers: tuple[float | None, ...] = ()
    deep: dict[str, Any] | None = None


def surroundings(request: Surroundings) -> dict[str, Any]:
    return {
        "request": {"text": request.text, "numbers": request.numbers, "deep": request.deep},
        "backend": os.environ["KERAS_BACKEND"],
        "pid": os.getpid(),
        "child": child.__file__,
    }


@dataclass(frozen=True)
class Failure(child.Request):
    function = "jobs_child:fail"
    name: str


def fail(request: Failure) -> dict[str, Any]:
    if request.name == "UnknownNameError":
        raise errors.UnknownNameError("backbone", "mobilnet", ["mobilenet"])
    if request.name == "UsageError":
        raise errors.UsageError.invalid("folds", 2, "at least 3", "Leave it out.")
    raise getattr(errors, request.name)(f"{request.name} of 1 line: 'é'")


@dataclass(frozen=True)
class Silence(child.Request):
    function = "jobs_child:say_nothing"


@dataclass(frozen=True)
class Crash(child.Request):
    function = "jobs_child:crash"


def say_nothing(_: Silence) -> None:
    return None


def crash(_: Crash) -> dict[str, Any]:
    raise ZeroDivisionError("by\n nought")


@dataclass(frozen=True)
class Nowhere(child.Request):
    function = "no_such_module:f"


@dataclass(frozen=True)
class Death(child.Request):
    function = "jobs_child:die"
    code: int


def die(request: Death) -> dict[str, Any]:
    print("all is well so far", file=sys.stderr, flush=True)
    print("  out of memory  \n", file=sys.stderr, flush=True)
    os._exit(request.code)


@dataclass(frozen=True)
class NotOn(child.Request):
    function = "jobs_child:not_on"
    backend: str


def not_on(request: NotOn) -> dict[str, Any]:
    backend = os.environ["KERAS_BACKEND"]
    if backend == request.backend:
        raise errors.EngineError(f"not on {backend}")
    return {"backend": backend}


@dataclass(frozen=True)
class Chatter(child.Request):
    function = "jobs_child:chatter"


def chatter(_: Chatter) -> dict[str, Any]:
    for stream in (sys.stdout, sys.stderr):
        stream.write("x" * 1_000_000)
    os.write(1, b"from below, without a line's end")
    return {"characters": 2_000_000}


@dataclass(frozen=True)
class ImportDecoy(child.Request):
    function = "jobs_child:import_decoy"


def import_decoy(_: ImportDecoy) -> dict[str, Any]:
    import decoy_in_the_current_folder  # noqa: F401, PLC0415

    return {}


@dataclass(frozen=True)
class Sleep(child.Request):
    function = "jobs_child:sleep"
    mark: str


@dataclass(frozen=True)
class SleepOpening(Sleep):
    """Sleeps with a model file open."""

    opens = "mark"


def sleep(request: Sleep) -> dict[str, Any]:
    Path(request.mark).write_text(str(os.getpid()))
    time.sleep(60)
    return {}


@dataclass(frozen=True)
class KerasImport(child.Request):
    function = "imports_keras:imported"


@dataclass(frozen=True)
class SklearnImport(child.Request):
    function = "insists:imported"
