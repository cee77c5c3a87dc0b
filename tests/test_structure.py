"""What holds of all modules alike: their order, their size, their names."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import headfit

ROOT = Path(headfit.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    .removesuffix("__init__")
    .rstrip("."): path
    for path in sorted(ROOT.rglob("*.py"))
}
"""Name within headfit → file; the package itself has no name."""

# from low to high: a package imports from itself and from those below (ARCHITECTURE.md: the same)
LAYERS = (
    ("errors",),
    ("progress",),
    ("util",),
    ("images", "samples"),
    ("heads",),
    ("layers",),
    ("backbones",),
    ("features",),
    ("inspection",),
    ("fitting",),
    ("finetuning",),
    ("study",),
    ("explain",),
    ("model",),
    ("report",),
    ("runs",),
    ("conversion",),
    ("exports",),
    ("web",),
    ("serve",),
    ("monitor",),
    ("tracking",),
    ("board",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
LOOSE = {"errors", "progress", "layers", "__main__"}
# sample data are for anybody: they know of nothing else
SAMPLES_MAY = {"errors", "util", "samples"}
# what may write an option of a command line outside cli/, and why
FLAGS_ALLOWED = {
    "errors": "explains how the command line rewrites arguments",
    "report.inline": "names of CSS variables",
    "samples.elpv": "an option of pip",
    "runs.provenance": "writes the command of a call",
    "util.child": "an option of XLA",
}
FLAG = re.compile(r"(?<![\w-])--[a-z]")
HEAVY = (
    *("keras", "jax", "openvino", "scipy", "sklearn", "matplotlib", "jinja2"),
    *("starlette", "uvicorn", "prometheus_client"),
)


def imports_of(name: str) -> Iterator[str]:
    """Names, within headfit, of the modules that a module imports anywhere in its code."""
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            base = node.module or ""
            inside = base.partition(".")[0] == "headfit"
            modules = [f"{base}.{alias.name}" for alias in node.names]
            found = [m if inside and _within(m) in MODULES else base for m in modules]
        else:
            continue
        yield from (_within(m) for m in found if m.partition(".")[0] == "headfit")


def _within(module: str) -> str:
    return module.removeprefix("headfit").lstrip(".")


@functools.cache
def edges() -> list[tuple[str, str]]:
    return sorted({(name, target) for name in MODULES if name for target in imports_of(name)})


def top(name: str) -> str:
    return name.partition(".")[0]


def test_every_package_has_its_layer():
    assert {top(name) for name in MODULES if name} | {"layers"} == set(RANK)


def test_no_module_lies_loose():
    loose = {name for name, path in MODULES.items() if path.parent == ROOT and name}
    assert loose <= LOOSE


def test_imports_go_downward_only():
    upward = {
        (name, target)
        for name, target in edges()
        # the package itself holds the version, and everything else only when asked for it
        if target and RANK[top(target)] > RANK[top(name)]
    }
    assert upward == set()


def test_no_two_modules_import_each_other():
    """Imports inside functions and for type checking count too."""
    both = {(a, b) for a, b in edges() if a < b and (b, a) in set(edges())}
    assert both == set()


def test_no_packages_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {}
    for name, target in edges():
        if target:
            graph.setdefault(name, set()).add(target)
    order = tuple(TopologicalSorter(graph).static_order())
    assert len(order) > 100


def test_samples_know_of_nothing_else():
    found = {top(target) for name, target in edges() if top(name) == "samples"}
    assert found <= SAMPLES_MAY


def test_public_names_are_sorted_complete_and_documented():
    assert headfit.__all__ == sorted(headfit.__all__)
    assert dir(headfit) == headfit.__all__
    assert set(headfit._HOME) | {"__version__"} == set(headfit.__all__)
    hints = ast.parse(MODULES[""].read_text("utf-8"))
    typed = [
        alias.name
        for node in ast.walk(hints)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("headfit")
        for alias in node.names
    ]
    assert sorted(typed) == sorted(headfit._HOME)
    for name in headfit._HOME:
        assert getattr(headfit, name).__doc__, name


def test_every_error_is_public():
    errors = importlib.import_module("headfit.errors")
    found = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert found == {name for name in headfit.__all__ if name.endswith("Error")}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Verdicts'"):
        headfit.Verdicts  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import headfit, headfit.errors",
        "from headfit.cli.main import main\nassert main(['--help']) == 0",
        "from headfit.cli.main import main\nassert main(['--version']) == 0",
    ],
    ids=["import", "--help", "--version"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    check = f"import sys\n{code}\nprint(sorted(set({HEAVY!r}) & sys.modules.keys()))"
    command = [sys.executable, "-W", "error", "-c", check]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_a_comparison_starts_without_what_takes_seconds_to_import():
    slow = {"sklearn", "scipy.stats", "keras", "jax", "openvino", "matplotlib", "jinja2"}
    check = f"import sys, headfit.cli.running\nprint(sorted({slow!r} & sys.modules.keys()))"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-1] == "[]"


def test_every_module_says_what_it_is_for():
    said = {n: ast.get_docstring(ast.parse(p.read_text("utf-8"))) for n, p in MODULES.items()}
    silent = {name for name, text in said.items() if len(text or "") < 9}
    assert silent == set()


def test_no_module_is_longer_than_350_lines():
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > 350} == {}


def test_only_the_command_line_names_its_options():
    """Elsewhere messages and docstrings name arguments; headfit.cli.wording makes them options."""
    naming = set()
    for name, path in MODULES.items():
        if top(name) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and FLAG.search(text):
                naming.add(name)
    assert naming == FLAGS_ALLOWED.keys()
