"""Run one function in a process of its own, with the Keras backend that it needs.

Keras fixes its backend at import. Building a graph wants the OpenVINO backend, whoever uses
headfit wants theirs, and a command line that answers from its cache wants none: so everything that
needs Keras for a moment runs in a short-lived child. Requests are dataclasses and answers
dictionaries, both as JSON; arrays travel as ``.npy`` and ``.npz`` files in a folder that the caller
names.

A request lives in a module that imports nothing heavy, and names the function that takes it, which
lives in a module that ends in ``_child``:

    @dataclass(frozen=True)
    class MapShapeRequest(Request):
        function = "headfit.inspection.diagram.map_shape_child:map_shape"
        backbone: str
        size: int

    answer = call(MapShapeRequest("MobileNet", 224), backend=FAST_BACKEND)
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, cast

from headfit import errors
from headfit.util import hidden, limits

ANSWER = "headfit-answer:"
MAX_REASON = 300  # characters of a foreign error that are passed on, on one line
# what Keras imports if it is there, for parts of it that no child uses
SPARED = ("matplotlib", "pandas", "sklearn", "requests", "IPython")
# the like that Keras does not do without, and looks into later, if ever
STAND_INS = {
    "scipy.signal": (),
    "jax.experimental.pallas.ops.tpu.splash_attention": (
        *("splash_attention_kernel", "splash_attention_mask"),
    ),
}
KERAS_DEFAULT = "tensorflow"
COMPILE_QUICKLY = "--xla_backend_optimization_level=0"
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
PRESET = "hub:"  # before the name or the folder of one
FAST_BACKEND = "openvino"  # builds a network in a third of the time that JAX takes


@dataclass(frozen=True)
class Request:
    """What a child process is asked to do; subclasses add fields that JSON can hold.

    Attributes:
        function: ``"package.module_child:function"``, which takes the request and returns a
            dictionary that JSON can hold, or None for an empty one.
        opens: the field that may hold the path of a model file, a stranger's: the child then has
            :func:`headfit.util.limits.seconds`.
        runs_once: whether the child runs a network a single time: JAX then compiles in half the
            time for slower code (a DenseNet121 in 5 s instead of 11 s of processor time).
    """

    function: ClassVar[str]
    opens: ClassVar[str] = ""
    runs_once: ClassVar[bool] = False

    @property
    def seconds(self) -> float | None:
        """How long the child may take; None for as long as it likes."""
        place = str(getattr(self, self.opens, "") or "")
        path = place.removeprefix(PRESET)
        return limits.seconds() if path and Path(path).exists() else None


@dataclass(frozen=True)
class Job:
    """A child process at work; :meth:`result` waits for its answer."""

    function: str
    process: subprocess.Popen[str]
    seconds: float | None = None

    def result(self) -> dict[str, Any]:
        """Wait for the child.

        Returns:
            What the function returned.

        Raises:
            HeadfitError: the very error that the function raised.
            ModelFileError: if it ran out of memory, or of the seconds that it had.
            EngineError: if the child died in any other way; the message ends with its last words.
        """
        try:
            out, err = self.process.communicate(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            self.cancel()
            raise limits.too_slow(self.function) from None
        answers = [line for line in out.splitlines() if line.startswith(ANSWER)]
        if not answers:
            last = next((line for line in reversed(err.splitlines()) if line.strip()), "no message")
            if self.process.returncode < 0 and limits.short_of_memory(err):
                raise limits.too_large(self.function)
            raise errors.EngineError(
                f"The helper process for {self.function} ended with code "
                f"{self.process.returncode}: {last.strip()}"
            )
        answer: dict[str, Any] = json.loads(answers[-1].removeprefix(ANSWER))
        if "error" in answer:
            raise _rebuilt(answer["error"], answer["message"], answer.get("facts", {}))
        return answer

    def cancel(self) -> None:
        """Stop the child, whatever it is doing."""
        self.process.kill()
        self.process.communicate()


def default_backend() -> str:
    """Name the Keras backend to use: the user's, else JAX, which comes with headfit."""
    if "keras" in sys.modules:
        return str(sys.modules["keras"].backend.backend())
    return os.environ.get("KERAS_BACKEND") or "jax"


def select_backend() -> None:
    """Set ``KERAS_BACKEND`` to JAX if Keras would import TensorFlow, which is not installed.

    TensorFlow is Keras' default, which it also writes into ``keras.json``. Another backend there,
    or ``KERAS_BACKEND``, is respected; nothing changes once Keras has been imported.
    """
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        backend = json.loads((home / "keras.json").read_text("utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        backend = KERAS_DEFAULT
    absent = hidden.is_hidden(KERAS_DEFAULT) or find_spec(KERAS_DEFAULT) is None
    if backend == KERAS_DEFAULT and absent:
        os.environ["KERAS_BACKEND"] = "jax"


def start(request: Request, *, backend: str) -> Job:
    """Start the function of a request in a child process with ``KERAS_BACKEND`` set.

    Args:
        request: what to do.
        backend: the Keras backend of the child.

    Raises:
        EngineError: if no process can be started.
    """
    function, kind = request.function, f"{type(request).__module__}:{type(request).__name__}"
    fields = dataclasses.asdict(request)
    message = {"kind": kind, "fields": fields, "memory": limits.memory()}
    settings = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONIOENCODING": "utf-8"}
    if request.runs_once:
        settings["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {COMPILE_QUICKLY}".strip()
    settings["PYTHONPATH"] = os.pathsep.join(importable())
    # -P: not the current folder, which -m would put first
    command = [sys.executable, "-P", "-m", "headfit.util.child", function]
    try:
        # a file and not a pipe: nobody waits for a reader, or writes to one that is dead
        with tempfile.TemporaryFile() as stdin:
            stdin.write(json.dumps(message).encode())
            stdin.seek(0)
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=os.environ | settings,
            )
    except OSError as error:
        raise errors.EngineError(
            f"The helper process for {function} cannot be started: {error}"
        ) from error
    return Job(function, process, request.seconds)


def call(request: Request, *, backend: str, fallback: str = "") -> dict[str, Any]:
    """Run the function of a request in a child process and wait for its answer.

    Args:
        request: what to do.
        backend: the Keras backend of the child.
        fallback: the backend to try next if the first cannot do it; empty for none.

    Raises:
        HeadfitError: the very error that the function raised.
        EngineError: if no process can be started, or the child dies.
    """
    job = start(request, backend=backend)
    try:
        return job.result()
    except errors.EngineError:
        if not fallback or fallback == backend:
            raise
        return call(request, backend=fallback)
    except BaseException:
        job.cancel()
        raise


@contextlib.contextmanager
def importable_here() -> Iterator[None]:
    """Let the user's modules in the current folder be imported, within it only.

    Enter it with Keras and all that it needs imported: a ``keras.py`` here would come first.
    """
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def importable() -> list[str]:
    """List where a child may import from: where its parent does, but not the current folder.

    What lies there may be anybody's, and libraries try to import dozens of modules that are not
    installed.
    """
    ours = str(Path(__file__).parents[2])  # may be the current folder
    return [os.path.abspath(part) for part in sys.path if not _is_here(part)] + [ours]  # noqa: PTH100


def _is_here(part: str) -> bool:
    try:
        return Path(part).samefile(os.curdir)  # "" is the current folder too
    except OSError:
        return False


def switch_off_telemetry() -> None:
    """Keep OpenVINO from reporting; call it before OpenVINO is imported, by Keras or by anybody.

    Unless its user opted out beforehand, ``import openvino`` tells Google Analytics of each import,
    from a forked process (which JAX warns of), and leaves an identifier in the home folder. It
    does neither where its package ``openvino_telemetry`` is absent, so that is made to look absent.
    """
    if "openvino_telemetry" not in sys.modules:
        cast(dict[str, Any], sys.modules)["openvino_telemetry"] = None


def hide_tensorflow() -> None:
    """Keep Keras from importing TensorFlow in this process, unless it runs on it.

    Where TensorFlow is installed, Keras imports it to save a model and to copy a layer, whatever
    its backend: 7 s of processor time, and lines on the terminal. For processes of headfit's own.
    """
    if default_backend() != KERAS_DEFAULT:
        hidden.hide(KERAS_DEFAULT)
        select_backend()  # Keras' own choice would need it


@contextlib.contextmanager
def sparing() -> Iterator[None]:
    """Keep Keras, imported in here for the first time, from importing what it does not need.

    For plots, scikit-learn wrappers, checkpoints, audio, notebooks and TPUs it imports half of what
    is installed: with its OpenVINO backend 5.4 s of processor time instead of 1.3 s, with JAX 5.3 s
    instead of 2.4 s. Whoever imports one of these packages afterwards gets it.
    """
    backend = os.environ.get("KERAS_BACKEND")
    names = [*SPARED, *(["jax"] if backend == "openvino" else [])]
    if backend == KERAS_DEFAULT:
        names.remove("requests")  # TensorFlow insists on it, after 5 s
    absent: dict[str, ModuleType | None] = dict.fromkeys(names)
    for name, parts in STAND_INS.items():
        absent[name] = module = ModuleType(name)
        vars(module).update({part: ModuleType(part) for part in parts})
    absent = {name: stand_in for name, stand_in in absent.items() if name not in sys.modules}
    cast(dict[str, Any], sys.modules).update(absent)
    try:
        yield
    finally:
        for name, stand_in in absent.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


def _imported(module: str) -> ModuleType:
    try:
        with sparing():
            return importlib.import_module(module)
    except ImportError:  # it insists on one of them
        return importlib.import_module(module)


def _rebuilt(name: str, message: str, facts: dict[str, str]) -> errors.HeadfitError:
    kind = getattr(errors, name, errors.EngineError)
    error: errors.HeadfitError = kind.__new__(kind)
    errors.HeadfitError.__init__(error, message, **facts)
    return error


def _run(function: str, message: dict[str, Any]) -> dict[str, Any]:
    """Call a function with the request of a message."""
    module, _, name = function.partition(":")
    answer_to = getattr(_imported(module), name)
    home, _, kind = message["kind"].partition(":")
    answer = answer_to(getattr(_imported(home), kind)(**message["fields"]))
    return cast(dict[str, Any], answer or {})


def _main() -> None:
    switch_off_telemetry()
    hide_tensorflow()
    message = json.loads(sys.stdin.read())
    limits.hold_memory(message["memory"])
    try:
        # what libraries print must not get between the lines of the answer
        with contextlib.redirect_stdout(sys.stderr):
            answer = _run(sys.argv[1], message) or {}  # a function may return nothing
    except errors.HeadfitError as error:
        facts = {k: getattr(error, k) for k in ("argument", "received", "expected", "remedy")}
        answer = {"error": type(error).__name__, "message": str(error), "facts": facts}
    except Exception as error:  # reported to the parent, which decides whether to fall back
        reason = " ".join(str(error).split())[:MAX_REASON]
        answer = {"error": "EngineError", "message": f"{type(error).__name__}: {reason}"}
        if limits.short_of_memory(error):
            answer = {"error": "ModelFileError", "message": str(limits.too_large(sys.argv[1]))}
    print("\n" + ANSWER + json.dumps(answer))


if __name__ == "__main__":
    _main()
