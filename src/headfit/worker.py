"""Run one function in a process of its own, with the Keras backend that it needs.

Keras fixes its backend at import. Building a graph wants the OpenVINO backend, whoever uses
headfit wants theirs, and a command line that answers from its cache wants none: so everything that
needs Keras for a moment runs in a short-lived child. Requests and answers are JSON; arrays travel
as ``.npy`` and ``.npz`` files in a folder that the caller names.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from headfit import errors

ANSWER = "headfit-answer:"


@dataclass(frozen=True)
class Job:
    """A child process at work; ask :meth:`result` for what it found."""

    function: str
    process: subprocess.Popen[str]

    def result(self) -> dict[str, Any]:
        """Wait for the child.

        Returns:
            What the function returned.

        Raises:
            HeadfitError: the very error that the function raised.
            EngineError: if the child died in any other way; the message ends with its last words.
        """
        out, err = self.process.communicate()
        answers = [line for line in out.splitlines() if line.startswith(ANSWER)]
        if not answers:
            last = next((line for line in reversed(err.splitlines()) if line.strip()), "no message")
            raise errors.EngineError(
                f"The helper process for {self.function} ended with code "
                f"{self.process.returncode}: {last.strip()}"
            )
        answer: dict[str, Any] = json.loads(answers[-1].removeprefix(ANSWER))
        if "error" in answer:
            raise _rebuilt(answer["error"], answer["message"])
        return answer

    def cancel(self) -> None:
        """Stop the child, whatever it is doing."""
        self.process.kill()
        self.process.communicate()


def start(function: str, request: dict[str, Any], *, backend: str) -> Job:
    """Start ``module:function`` in a child process with ``KERAS_BACKEND`` set.

    Args:
        function: ``"package.module:function"``, taking the request's keys as keyword arguments
            and returning a dictionary that JSON can hold.
        request: keyword arguments that JSON can hold.
        backend: the Keras backend of the child.
    """
    env = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    # the child must find headfit wherever the parent found it
    env["PYTHONPATH"] = os.pathsep.join(part for part in sys.path if part)
    process = subprocess.Popen(
        [sys.executable, "-m", "headfit.worker", function],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    if process.stdin is None:  # cannot be: a pipe was asked for
        raise errors.EngineError(f"The helper process for {function} has no input.")
    process.stdin.write(json.dumps(request))
    process.stdin.close()
    process.stdin = None
    return Job(function, process)


def call(function: str, request: dict[str, Any], *, backend: str) -> dict[str, Any]:
    """Run ``module:function`` in a child process and wait for its answer."""
    job = start(function, request, backend=backend)
    try:
        return job.result()
    except BaseException:
        job.cancel()
        raise


def _rebuilt(name: str, message: str) -> errors.HeadfitError:
    kind = getattr(errors, name, errors.EngineError)
    error: errors.HeadfitError = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def _main() -> None:
    module, _, name = sys.argv[1].partition(":")
    request = json.loads(sys.stdin.read())
    try:
        answer = getattr(importlib.import_module(module), name)(**request)
    except errors.HeadfitError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except Exception as error:  # reported to the parent, which decides whether to fall back
        answer = {"error": "EngineError", "message": f"{type(error).__name__}: {error}"}
    print(ANSWER + json.dumps(answer))


if __name__ == "__main__":
    _main()
