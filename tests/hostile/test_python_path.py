"""No Python file that lies in the current folder is run, unless the user names it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jobs_child as jobs
from headfit.errors import EngineError
from headfit.heads.custom.origin import Origin
from headfit.heads.custom.pooling import read_custom
from headfit.util import child
from headfit.util.child import FAST_BACKEND

# installed packages, and modules that Keras, JAX, OpenVINO, scipy and headfit look for in vain
NAMES = (
    *("keras", "jax", "numpy", "openvino", "h5py", "scipy", "click", "rich", "sitecustomize"),
    *("tensorflow", "tensorboard", "torch", "jax_plugins", "libtpu", "zstandard", "brotli"),
    *("argcomplete", "cython", "scikits", "org", "etils", "web_pdb", "chardet", "nvidia"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, full of modules that leave a trace when they are imported."""
    for name in NAMES:
        text = f"open({str(tmp_path / 'trace')!r}, 'a').write({name!r})\nraise ImportError\n"
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_beside_the_images_is_imported(folder: Path) -> None:
    root = str(Path(child.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "headfit", "inspect", "MobileNet", "--size", "64"],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (folder / "trace").exists()


@pytest.mark.parametrize("entry", ["", ".", "HERE"])
def test_children_do_not_inherit_the_current_folder(
    entry: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry.replace("HERE", str(folder)), *sys.path])
    (folder / "decoy_in_the_current_folder.py").write_text("")
    with pytest.raises(EngineError, match="No module named 'decoy"):
        child.call(jobs.ImportDecoy(), backend=FAST_BACKEND)
    assert not (folder / "trace").exists()


def test_a_stored_head_names_no_module_to_import(tmp_path: Path) -> None:
    facts = {
        **{"map_shape": [2, 2, 3], "seed": None, "digest": "", "width": 3, "arrays": []},
        **{"settled": [], "position_aware": False, "modules": ["decoy_in_the_current_folder"]},
    }
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    head = read_custom(Origin("mine"), tmp_path)
    assert head.origin.module == ""
    assert not hasattr(head.bound, "modules")
    assert read_custom(Origin("mine", place="named:mine"), tmp_path).origin.module == "named"
